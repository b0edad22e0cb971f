"""A stored entry computed again and compared: does the code that runs give what the store holds?"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from mvlib.core.checks import BadInput
from mvlib.core.files import Arrays
from mvlib.experiments.settings import Experiment
from mvlib.run.computing import Order, carry_out
from mvlib.run.dispatch import entry_of, is_stored
from mvlib.store.entries import Store

# Another processor adds float32 numbers in another order.  Where one stored training was repeated
# on one, error rates were equal and scores differed by up to .004: room for that, and no more.
ABSOLUTE = 0.005
RELATIVE = 0.01
# A test input whose two best scores nearly tie may change sides: of many, one in a hundred.
SHARE = 0.01
ALLOWED = (
    f"{ABSOLUTE:g} + {RELATIVE:.0%} of the stored value where numbers are real, {SHARE:.0%} of the "
    "elements where they are whole"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """An array that is not the stored one to the last bit."""

    name: str
    difference: str
    """How large, in words."""
    agrees: bool
    """Whether another machine may be the reason."""


def repeatable(chosen: Iterable[Experiment], store: Store, within: float) -> list[Experiment]:
    """Those whose stored entry took at most `within` seconds and whose teacher is stored, too.

    Raises:
        CorruptEntry: if one is damaged.
    """
    found = []
    for e in chosen:
        record = store.record(e.name, e.study)
        # The seconds of one that was resumed leave out what came before.
        if record and record["seconds"] <= within and not record.get("resumed"):
            if e.teacher is None or is_stored(e.teacher, store):
                found.append(e)
    return found


def choose(candidates: list[Experiment], store: Store) -> Experiment:
    """One of them, another each time: chance comes from the operating system.

    Raises:
        BadInput: if there is none.
    """
    if candidates:
        return secrets.choice(candidates)
    raise BadInput(
        f"results folder (--results) = {str(store.root)!r} must hold an entry that was computed in "
        "so short a time and holds none; raise --within, or name another one."
    )


def verify(experiment: Experiment, store: Store) -> list[Comparison]:
    """Compute an entry again, in memory, and compare: its arrays that are not bitwise the same.

    Raises:
        BadInput: if it, or its teacher, is not stored (any more).
    """
    stored, teacher = entry_of(experiment, store), None
    if experiment.teacher:
        teacher = entry_of(experiment.teacher, store)
    if stored is None or (experiment.teacher and teacher is None):
        raise BadInput(
            f"results folder (--results) = {str(store.root)!r} must keep what is compared and lost "
            f"{experiment.name} ({experiment.label}); run again."
        )
    outputs = teacher.arrays["train_outputs"] if teacher else None
    return compare(stored.arrays, carry_out(Order(study=experiment.study, outputs=outputs)).arrays)


def compare(stored: Arrays, again: Arrays) -> list[Comparison]:
    """The arrays that differ at all, those that may not first."""
    found = []
    for name in sorted(stored.keys() | again.keys()):
        if name not in stored or name not in again:
            there = "stored" if name in stored else "computed"
            found.append(Comparison(name, f"only {there}", agrees=False))
            continue
        old, new = np.asarray(stored[name]), np.asarray(again[name])
        if (old.dtype, old.shape) != (new.dtype, new.shape):
            said = f"{old.dtype} {old.shape} stored, {new.dtype} {new.shape} computed"
            found.append(Comparison(name, said, agrees=False))
        elif old.tobytes() != new.tobytes():
            compared = _floats if old.dtype.kind == "f" else _discrete
            found.append(compared(name, old, new))
    return sorted(found, key=lambda c: c.agrees)


def _floats(name: str, old: np.ndarray, new: np.ndarray) -> Comparison:
    agrees = np.allclose(new, old, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True)
    here = np.isfinite(old) & np.isfinite(new)
    largest = np.abs(new[here].astype(float) - old[here]).max(initial=0.0)
    return Comparison(name, f"by up to {largest:.3g}", bool(agrees))


def _discrete(name: str, old: np.ndarray, new: np.ndarray) -> Comparison:
    unequal = int(np.sum(old != new))
    agrees = unequal <= SHARE * old.size
    if old.dtype.kind in "iu":
        # A table of counts is short, and one input that changes sides moves two of its numbers.
        moved = np.abs(new.astype(float) - old).sum()
        agrees = agrees or moved <= SHARE * np.abs(old.astype(float)).sum()
    return Comparison(name, f"in {unequal} of {old.size} elements", bool(agrees))
