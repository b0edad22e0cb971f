"""Figures of the appendix on cost: what a training step takes, and whether that was foretold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from mvlib.figures.networks import PALETTE, Picture, picture
from mvlib.findings.report_costs import SYMBOLS, Axis
from mvlib.run.cost import PowerLaw


def scaling_panels(axes: Mapping[str, Axis]) -> Picture:
    """Seconds per training step along each size, all others fixed."""

    def draw() -> Figure:
        figure, panels = plt.subplots(2, 3, figsize=(9, 5.4), sharey=True)
        for panel, (name, axis) in zip(panels.flat, axes.items(), strict=True):
            middle, low, high = axis.seconds.T
            spread = np.stack([middle - low, high - middle])
            panel.errorbar(axis.sizes, middle, spread, fmt="o", ms=5, color=PALETTE["view 1"],
                           label="measured: median, least, greatest")  # fmt: skip
            panel.plot(axis.sizes, axis.modelled, color=PALETTE["theory"], label="cost model")
            panel.set(xscale="log", yscale="log", xlabel=SYMBOLS[name])
            panel.set_xticks(axis.sizes, [str(v) for v in axis.sizes])
            panel.minorticks_off()
            panel.set_title(f"exponent {_law(axis.law)}", fontsize=9)
        for panel in panels[:, 0]:
            panel.set_ylabel("seconds a step")
        handles, names = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=2, fontsize=9)
        return figure

    said = "; ".join(f"{SYMBOLS[name]}: {_law(axis.law)}" for name, axis in axes.items())
    return picture(
        draw,
        "Six panels, seconds of a training step against one size each, both axes logarithmic. The "
        f"points rise nearly along straight lines. Exponents with 95% intervals: {said}.",
    )


def _law(law: PowerLaw) -> str:
    return f"{law.exponent:.2f} [{law.low:.2f}, {law.high:.2f}]"


def foretold(
    groups: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, unit: str
) -> Picture:
    """Predicted against measured cost of training steps.

    Args:
        groups: what the points are -> (predicted, measured).
        unit: of both.
    """
    styles = (("o", PALETTE["view 1"]), ("s", PALETTE["view 2"]), ("D", PALETTE["ensemble"]))

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(5.6, 4.4))
        for (marker, colour), (name, (predicted, measured)) in zip(
            styles, groups.items(), strict=False
        ):
            axis.plot(predicted, measured, marker, color=colour, label=name)
        every = [v for pair in groups.values() for values in pair for v in values]
        ends = [0.7 * min(every), 1.4 * max(every)]
        axis.plot(ends, ends, color=PALETTE["theory"], lw=1, label="as predicted", zorder=0)
        axis.set(xscale="log", yscale="log", xlabel=f"predicted {unit}", ylabel=f"measured {unit}")
        axis.legend(fontsize=9)
        return figure

    said = "; ".join(
        f"{name}, {len(p)} of them, measured between {min(ratios):.2f} and {max(ratios):.2f} of "
        "what was predicted"
        for name, (p, m) in groups.items()
        for ratios in [[b / a for a, b in zip(p, m, strict=True)]]
    )
    return picture(
        draw,
        f"Measured against predicted {unit} of training steps, both axes logarithmic, with the "
        f"diagonal: {said}.",
    )
