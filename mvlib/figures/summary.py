"""The book in one picture: who knows which views, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvlib.figures import parts
from mvlib.figures.picture import PALETTE, canvas, picture

GAP = 0.5  # between classes, in squares
SQUARE = 10  # side in points


@dataclass(frozen=True, kw_only=True, slots=True)
class Learner:
    """A row of `who_knows_what`."""

    name: str
    kind: str  # of `PALETTE`: "single", "ensemble" or "student"
    knows: np.ndarray  # (k, V), whether each view of each class is learned
    error: float  # on test data, in units of mu


@picture
def who_knows_what(learners: Sequence[Learner]) -> str:
    """A square for every view of every class, filled where the learner knows it, and a bar for the
    learner's test error."""
    k, V = learners[0].knows.shape
    number = parts.in_words(V)
    squares = "left square: view 1, right square: view 2"
    if V > 2:
        squares = f"squares from left to right: views 1 to {V}"

    knows = np.stack([learner.knows for learner in learners])
    left, right = canvas((7.3, 0.3 * len(learners) + 1.1), 1, 2, width_ratios=[3.2, 1], sharey=True)
    for view in range(V):
        colour = parts.view_colour(view)
        for known, fill in ((True, colour), (False, "none")):
            rows, classes = np.nonzero(knows[..., view] == known)
            left.plot(classes * (V + GAP) + view + 0.5, rows, "s", ms=SQUARE, mec=colour,
                      mfc=fill, mew=0.8, alpha=1.0 if known else 0.5)  # fmt: skip
    for row, learner in enumerate(learners):
        right.barh(row, learner.error, color=PALETTE[learner.kind], height=0.76)
        right.text(learner.error, row, f" {learner.error:.2f}", va="center", fontsize=9)
    left.set(xlim=(-0.3, k * (V + GAP)), ylim=(len(learners) - 0.4, -0.6),
             xlabel=f"class ({squares})", title="filled: the view is learned")  # fmt: skip
    left.set_xticks([j * (V + GAP) + V / 2 for j in range(k)], [str(j) for j in range(k)])
    left.set_yticks(range(len(learners)), [learner.name for learner in learners])
    left.tick_params(length=0)
    left.spines[:].set_visible(False)
    right.set(xlabel=parts.ERROR, xlim=(0, 1.25 * max(learner.error for learner in learners)))
    right.tick_params(axis="y", length=0)
    singles = [learner for learner in learners if learner.kind == "single"]
    counts = [int(learner.knows.sum()) for learner in singles]
    errors = [learner.error for learner in singles]
    said = "; ".join(
        f"{learner.name} knows {int(learner.knows.sum())} and errs on {learner.error:.2f} mu"
        for learner in learners
        if learner.kind != "single"
    )
    return (
        f"A grid of {V * k} views, {number} for each of {k} classes, and a bar of test error "
        f"for every learner. Each of {len(singles)} networks knows {min(counts)} to {max(counts)} "
        f"views, mostly one of the {number} of each class, another one in each network, and "
        f"errs on {min(errors):.2f} to {max(errors):.2f} mu. {said[0].upper()}{said[1:]}."
    )
