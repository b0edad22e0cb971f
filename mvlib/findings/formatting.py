"""How chapters show what was found.

Tables are lists of records, column -> cell (`figures.Table.of`), and come from `*_table`; the
numbers that a chapter's text names, by their name there, from `*_values`; the rest is what figures
draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.store.entries import Arrays

Record = Mapping[str, object]  # a row of a table, or numbers by name
Family = Sequence[tuple[Any, Arrays]]  # experiments of one kind, as `load_family` gives them


def mean(values: Any) -> float:
    """The mean as a cell of a table, which is rounded there."""
    return float(np.mean(values))


def number(values: Any, digits: int = 3) -> str:
    """The mean with so many digits behind the point."""
    return f"{np.mean(values):.{digits}f}"


def percent(values: Any, digits: int = 1) -> str:
    """The mean in percent."""
    return f"{np.mean(values):.{digits}%}"


def mean_and_spread(values: np.ndarray) -> str:
    """Mean and standard deviation, between networks."""
    return f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"


def with_interval(estimate: Sequence[float], form: str = ".3f") -> str:
    """An estimate and the ends of its interval: "0.450 [0.428, 0.467]"."""
    measured, low, high = (f"{value:{form}}" for value in estimate)
    return f"{measured} [{low}, {high}]"


def of_all(flags: np.ndarray) -> str:
    """How many there are of all: "29 of 30"."""
    return f"{int(flags.sum())} of {len(flags)}"
