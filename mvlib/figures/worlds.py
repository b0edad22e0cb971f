"""One question for all kinds of data, in one drawing (chapter 8)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes

from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, PALETTE, STUDENT, THEORY, canvas, picture

_KNOWS = ("the ensemble", "one network")
Shares = Mapping[str, Mapping[str, tuple[float, float, float]]]


@picture
def three_worlds(curves: Mapping[str, np.ndarray], students: Shares, joint: Shares) -> str:
    """Worlds side by side, by marker: `curves`, errors left with 1, 2, ... networks as a share of
    one network's; shares of the ensemble's gain, with intervals, of one student by what it is
    taught, and of networks trained as one."""
    above, middle, below = canvas((6.2, 10.2), 3, 1, height_ratios=(1, 1.15, 0.8))
    most = sorted(len(curve) for curve in curves.values())[1]
    for i, (name, curve) in enumerate(curves.items()):
        curve = curve[:most]
        above.plot(range(1, len(curve) + 1), curve, parts.MARKERS[i], ls=parts.LINES[i],
                  color=ENSEMBLE, label=name, ms=5)  # fmt: skip
    above.set(xlabel="networks averaged, K", ylabel="share of errors left", ylim=(-0.03, 1.05),
             title="averages", xticks=range(1, most + 1))  # fmt: skip
    above.legend(fontsize=9)
    colours = {what: STUDENT if what in _KNOWS else parts.ink() for what in students}
    _shares(middle, students, colours, list(curves))
    middle.set_title("one student of ...")
    _shares(below, joint, dict.fromkeys(joint, PALETTE["single"]), list(curves))
    below.set_title("trained as one")
    ends = ", ".join(f"{name} {curve[:most][-1]:.2f}" for name, curve in curves.items())
    return (
        f"Above: errors left against the number of networks averaged, at the end {ends}. Below: "
        f"shares of the ensemble's gain, a marker a world with its interval, between lines "
        f"at 0 and at 1, the ensemble. {_said(students, curves)} {_said(joint, curves)}"
    )


def _shares(axis: Axes, shares: Shares, colours: Mapping[str, str], worlds: list[str]) -> None:
    for y, (what, found) in enumerate(shares.items()):
        for i, world in enumerate(worlds):
            if world in found:
                value, low, high = found[world]
                place = y + 0.22 * (i - 1)
                axis.plot([low, high], [place, place], color=colours[what], lw=1.5)
                axis.plot(value, place, parts.MARKERS[i], color=colours[what], ms=6)
    for end in (0, 1):
        axis.axvline(end, color=THEORY, ls=":")
    axis.set_yticks(range(len(shares)), list(shares))
    axis.set(xlabel="share of the ensemble's gain", ylim=(len(shares) - 0.5, -0.5))


def _said(shares: Shares, worlds: Mapping[str, np.ndarray]) -> str:
    return " ".join(
        f"{what}: " + ", ".join(f"{w} {found[w][0]:.2f}" for w in worlds if w in found) + "."
        for what, found in shares.items()
    )
