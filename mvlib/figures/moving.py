"""Figures in which time passes: a slider over stored steps on the website, a still on paper.

A `Moving` figure carries its numbers along; the book's script `steps.js` draws them for the step
that the reader chooses.  Where that script is missing (in Jupyter, in print) the still is shown.
"""

from __future__ import annotations

import html
import json
from dataclasses import dataclass

import numpy as np
import torch

from mvlib.core.checks import require
from mvlib.figures.picture import PALETTE, Picture, canvas, picture
from mvlib.paper.evaluation import LEARNED_SHARE, learned_views

AXES = ("largest correlation with view 1", "largest correlation with view 2")
DIGITS = 4  # significant ones of the numbers sent to the reader


@dataclass(frozen=True, slots=True)
class Moving:
    """A still and the numbers behind it.

    Attributes:
        still: the whole course in one drawing.
        data: what `steps.js` needs, as JSON.
    """

    still: Picture
    data: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        shown = self.still._repr_mimebundle_(include, exclude)
        steps, still = html.escape(self.data), shown["text/html"]
        return shown | {"text/html": f'<div class="mv-steps" data-steps="{steps}">{still}</div>'}


def take_off(steps: np.ndarray, correlations: np.ndarray) -> Moving:
    r"""Every class of every network as a point in the plane of its two views' correlations, moving
    from near the origin along one axis.

    Args:
        steps: (records,).
        correlations: (records, S, k, 2), $\max_r \langle w_{j,r}, v_{j,l}\rangle$ of each network.

    Raises:
        BadInput: if a class has more than two views: a plane has two axes.
    """
    V = correlations.shape[-1]
    require(V == 2, "correlations", "V", V, "be of 2 views", "pick two: correlations[..., [0, 1]]")
    paths = correlations.reshape(len(steps), -1, 2)
    ahead = paths[-1].argmax(axis=1)
    both = int(learned_views(torch.as_tensor(correlations[-1])).all(dim=-1).sum())

    @picture
    def draw() -> str:
        [axis] = canvas((5.6, 4.6))
        for view, marker in enumerate("os"):
            name = f"view {view + 1}"
            x, y = paths[:, ahead == view].transpose(2, 0, 1)
            axis.plot(x, y, color=PALETTE[name], lw=0.8, alpha=0.5)
            axis.plot(x[-1], y[-1], marker, color=PALETTE[name], label=f"{name} ends ahead")
        axis.set(xlabel=AXES[0], ylabel=AXES[1])
        axis.legend()
        return alt

    alt = (
        f"Paths of {paths.shape[1]} classes (of {correlations.shape[1]} networks) in the plane of "
        f"their correlations with view 1 and view 2. All start near the origin; {sum(ahead == 0)} "
        f"end farther along the axis of view 1 and {sum(ahead == 1)} along that of view 2; {both} "
        f"have more than {LEARNED_SHARE:g} of the larger correlation on the other axis as well."
    )
    rounded = [[[float(f"{v:.{DIGITS}g}") for v in p] for p in record] for record in paths.tolist()]
    numbers = {
        "steps": steps.tolist(),
        "paths": rounded,
        "ahead": ahead.tolist(),
        "axes": AXES,
        "alt": alt,
    }
    return Moving(draw(), json.dumps(numbers, separators=(",", ":")))
