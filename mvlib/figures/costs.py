"""Drawings of what a training step takes, and whether that was foretold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvlib.figures import parts
from mvlib.figures.picture import PALETTE, THEORY, canvas, picture
from mvlib.findings.report_costs import SYMBOLS, Axis


@picture
def scaling_panels(sizes: Mapping[str, Axis]) -> str:
    """Seconds per training step along each size, all others fixed."""
    laws = {
        name: f"{axis.law.exponent:.2f} [{axis.law.low:.2f}, {axis.law.high:.2f}]"
        for name, axis in sizes.items()
    }
    panels = parts.rows_of(2, len(sizes), 2.3, sharey=True)
    for panel, (name, axis) in zip(panels, sizes.items(), strict=True):
        middle, low, high = axis.seconds.T
        panel.errorbar(axis.sizes, middle, np.stack([middle - low, high - middle]), fmt="o",
                       ms=5, color=PALETTE["view 1"],
                       label="measured: median, least, greatest")  # fmt: skip
        panel.plot(axis.sizes, axis.modelled, color=THEORY, label="cost model")
        panel.set(yscale="log", xlabel=SYMBOLS[name])
        parts.plain_log_axis(panel, axis.sizes)
        panel.set_title(f"exponent {laws[name]}", fontsize=9)
    for panel in panels[::2]:
        panel.set_ylabel("seconds a step")
    parts.legend_outside(panels[0], 2, place="outside lower center")
    said = "; ".join(f"{SYMBOLS[name]}: {law}" for name, law in laws.items())
    return (
        "Six panels, seconds of a training step against one size each, both axes logarithmic. The "
        f"points rise nearly along straight lines. Exponents with 95% intervals: {said}."
    )


@picture
def foretold(groups: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, unit: str) -> str:
    """Predicted against measured cost of training steps, in `unit`; `groups`: what the points
    are -> (predicted, measured)."""
    looks = (("o", "view 1"), ("s", "view 2"), ("D", "ensemble"))
    ratios = {
        name: np.divide(measured, predicted) for name, (predicted, measured) in groups.items()
    }
    [axis] = canvas((5.6, 4.4))
    for (marker, meaning), (name, pair) in zip(looks, groups.items(), strict=False):
        axis.plot(*pair, marker, color=PALETTE[meaning], label=name)
    every = np.concatenate([values for pair in groups.values() for values in pair])
    ends = [0.7 * every.min(), 1.4 * every.max()]
    axis.plot(ends, ends, color=THEORY, lw=1, label="as predicted", zorder=0)
    axis.set(xscale="log", yscale="log", xlabel=f"predicted {unit}", ylabel=f"measured {unit}")
    axis.legend(fontsize=9)
    said = "; ".join(
        f"{name}, {len(r)} of them, measured between {r.min():.2f} and {r.max():.2f} of what was "
        "predicted"
        for name, r in ratios.items()
    )
    return (
        f"Measured against predicted {unit} of training steps, both axes logarithmic, with the "
        f"diagonal: {said}."
    )
