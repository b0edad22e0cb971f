"""What drawings of several chapters share: meanings of colours, curves with bands, legends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from mvlib.figures.picture import ENSEMBLE, PALETTE, SINGLE, THEORY, canvas

Places = Sequence[float] | Sequence[int] | np.ndarray

ERROR = r"test error / $\mu$"
SINGLE_VIEW = "error on single-view inputs"
LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "v", "P", "X")
# The first word that a name contains decides; without any, it is a student with a teacher.
_MEANING = {"hard": "single", "single": "single", "network": "single",
            "average": "ensemble", "ensemble": "ensemble"}  # fmt: skip


def ink() -> str:
    """The theme's colour of text."""
    return mpl.rcParams["text.color"]


def colour_of(name: str) -> str:
    """Of a learner, by its name; a control has the colour of text."""
    if "control" in name:
        return ink()
    return PALETTE[next((m for word, m in _MEANING.items() if word in name), "student")]


def view_colour(view: int) -> str:
    """Of view 0, 1, ...; from the fifth on colours come again."""
    return PALETTE[f"view {view % 4 + 1}"]


def in_words(n: int) -> str:
    """A small number."""
    return {2: "two", 3: "three", 4: "four"}.get(n, str(n))


def listed(values: Mapping[str, float]) -> str:
    """Names with their values, for alternative text."""
    return ", ".join(f"{name} {value:.3g}" for name, value in values.items())


def spread(n: int, width: float) -> np.ndarray:
    """Places of n dots beside each other, around 0."""
    return width * (np.arange(n) - (n - 1) / 2) / max(n - 1, 1)


def mean_of_draws(draws: Sequence[np.ndarray]) -> float:
    """Every data draw counts the same, however many learners it has."""
    return float(np.mean([np.mean(d) for d in draws]))


def key(color: str, label: str, **style: Any) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], color=color, label=label, **{"ls": "", **style})


def rows_of(columns: int, n: int, high: float, **options: Any) -> list[Axes]:
    """n panels, each `high` inches, a few a row: a wider figure cannot be read on a phone."""
    rows = -(-n // columns)
    axes = canvas((6.2, high * rows + 0.7), rows, columns, **options)
    for axis in axes[n:]:
        axis.set_axis_off()
    return axes


def draw_keys(n_draws: int) -> list[Line2D]:
    """Entries for the data draws, which differ by marker, and for their mean."""
    keys = [key(ink(), f"data draw {i + 1}", marker=MARKERS[i % 6]) for i in range(n_draws)]
    return [*keys, key(ink(), "mean", marker="D", ms=8)]


def legend_outside(
    axis: Axes, columns: int, keys: Sequence[Any] = (), place: Any = "outside upper center"
) -> None:
    """The legend of one panel, or of `keys`, for all panels."""
    handles = keys or axis.get_legend_handles_labels()[0]
    axis.figure.legend(handles=handles, loc=place, ncols=columns, fontsize=9)


def theorem_1(axis: Axes, n_views: int, **style: Any) -> None:
    """The band of Theorem 1, around 1 - 1/V."""
    missed = 1 - 1 / n_views
    axis.axhspan(missed - 0.01, missed + 0.01, color=THEORY, alpha=0.5, **style)


def plain_log_axis(axis: Axes, values: Places) -> None:
    """A logarithmic x axis with a plain tick at each value and no others."""
    axis.set_xscale("log")
    axis.set_xticks(values, [str(v) for v in values])
    axis.minorticks_off()


def count_axis(axis: Axes, most: int) -> None:
    """An x axis of whole numbers up to `most`, all of them marked if they are few."""
    axis.set_xlim(0.5, most + 0.5)
    few = mpl.ticker.FixedLocator(range(1, most + 1))
    many = mpl.ticker.MaxNLocator(10, integer=True, prune="lower")
    axis.xaxis.set_major_locator(few if most <= 12 else many)


def curve_with_band(
    axis: Axes, x: Places, curve: np.ndarray, ends: Sequence[np.ndarray] | np.ndarray,
    *, color: str, band: str | None = None, alpha: float = 0.25, lw: float | None = 0, **line: Any,
) -> None:  # fmt: skip
    """A curve over a band between two `ends`; `band` names it in the legend."""
    axis.fill_between(x, *ends, color=color, alpha=alpha, lw=lw, label=band)
    axis.plot(x, curve, color=color, **line)


def averages(
    axis: Axes,
    draws: Sequence[np.ndarray],
    look: str,
    *,
    unit: float = 1.0,
    floor: float = 0.0,
    **options: Any,
) -> np.ndarray:
    """Test errors of averages of K learners over K, (K, subsets) a data draw, NaN where there is no
    subset: means, which are returned, with a band for the middle 80%; drawn in multiples
    of 1 / `unit`, at `floor` or above."""
    mean = unit * np.mean([np.nanmean(errors, axis=1) for errors in draws], axis=0)
    ends = unit * np.nanquantile(np.concatenate(list(draws), axis=1), [0.1, 0.9], axis=1)
    sizes = range(1, len(mean) + 1)
    curve_with_band(axis, sizes, np.maximum(mean, floor), np.maximum(ends, floor),
                    marker=look[0], ls=look[1:], **options)  # fmt: skip
    return mean


def mean_and_spread(
    axis: Axes, x: Places, samples: Sequence[np.ndarray] | np.ndarray, **style: Any
) -> None:
    """Means of single networks with bars of one standard deviation."""
    means, deviations = [s.mean() for s in samples], [s.std() for s in samples]
    axis.errorbar(x, means, yerr=deviations, fmt="o", capsize=3, color=SINGLE, **style)


def networks_and_average(
    axis: Axes, columns: Mapping[str, tuple[np.ndarray, float]], average: str
) -> None:
    """A column of dots for errors of single networks, with a diamond for that of their average,
    which the legend calls `average`, beside it."""
    for x, (errors, together) in enumerate(columns.values()):
        names = ("one network", average) if x == 0 else (None, None)
        place = x + np.linspace(-0.15, 0.15, len(errors))
        axis.plot(place, errors, "o", color=SINGLE, label=names[0])
        axis.plot(x + 0.3, together, "D", color=ENSEMBLE, ms=8, label=names[1])
    axis.set_xticks(range(len(columns)), list(columns))
