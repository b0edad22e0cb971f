"""Drawings of how far the story holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, PALETTE, SINGLE, STUDENT, THEORY, canvas, picture


@picture
def views_curve(found: Mapping[int, tuple[Sequence[np.ndarray], Sequence[float], float]]) -> str:
    """Test error over mu against the number of views; `found`: V -> single networks' errors, one
    array a data draw, their averages', and the finite-size prediction."""
    [axis] = canvas((6, 3.4))
    views = list(found)
    axis.plot(views, [1 - 1 / V for V in views], "-", color=THEORY, label="$1 - 1/V$")
    axis.plot(views, [p for *_, p in found.values()], "--", color=THEORY,
              label="finite-size prediction")  # fmt: skip
    pooled = [np.concatenate(list(errors)) for errors, *_ in found.values()]
    parts.mean_and_spread(axis, views, pooled, ls="", label="one network, spread over networks")
    together = [float(np.mean(e)) for _, e, _ in found.values()]
    axis.plot(views, together, "D", color=ENSEMBLE, ms=8, label="their average")
    axis.set(xlabel="views of a class, V", ylabel=parts.ERROR, ylim=(-0.03, 1), xticks=views)
    axis.legend(fontsize=9)
    said = ", ".join(
        f"{e.mean():.2f} with {V} views, together {t:.2f}"
        for V, e, t in zip(views, pooled, together, strict=True)
    )
    return f"Test error over mu of single networks and of their average: {said}."


@picture
def flips_curve(
    rows: Sequence[Mapping[str, float]], ratios: np.ndarray, laws: Mapping[str, np.ndarray]
) -> str:
    """Share of classes in which the weaker view wins, measured and foretold, over the ratio of
    strengths; `laws`: name -> what a law says at `ratios`."""
    [axis] = canvas((6, 3.4))
    for line, (name, law) in zip(("-", ":"), laws.items(), strict=False):
        axis.plot(ratios, law, line, color=THEORY, label=name)
    x = [row["ratio"] for row in rows]
    measured = np.array([row["measured"] for row in rows])
    ends = np.abs([[row[end] for row in rows] for end in ("low", "high")] - measured)
    axis.errorbar(x, measured, yerr=ends, fmt="o", color=SINGLE, capsize=3,
                  label="learned, 95% interval")  # fmt: skip
    axis.plot(x, [row["foretold"] for row in rows], "^", color=PALETTE["view 1"], mfc="none",
              label="foretold of these networks")  # fmt: skip
    axis.set(xlabel="strength of view 1 over view 2", ylabel="weaker view wins", ylim=(0, 0.75))
    axis.legend(fontsize=9)
    said = ", ".join(f"{m:.2f} (law {row['law']:.2f}) at {row['ratio']:g}"
                     for m, row in zip(measured, rows, strict=True))  # fmt: skip
    return f"Share of classes in which the weaker view wins, falling with its strength: {said}."


_LEVERS = {
    "overlap": r"overlap $\langle v, v'\rangle$",
    "weight_decay": r"weight decay $\lambda$",
    "n_neurons": "neurons $m$",
    "power": "power $q$",
    "smoothing": "smoothing",
}


@picture
def lever_panels(curves: Mapping[str, Mapping[str, Sequence[Any]]]) -> str:
    """One panel a lever; `curves`: lever -> its "values", and over them errors of "single" networks
    (an array each) on single-view data, and the share of classes answered by "both" views."""
    axes = parts.rows_of(2, len(curves), 2.8, sharey=True)
    for axis, (lever, of) in zip(axes, curves.items(), strict=False):
        x = np.arange(len(of["values"]))
        parts.mean_and_spread(axis, x, of["single"], ls="-", label="one network")
        axis.plot(x, of["both"], "s--", color=STUDENT, label="classes answered by both views")
        parts.theorem_1(axis, 2)
        axis.set_xticks(x, list(of["values"]), fontsize=9)
        axis.set(xlabel=_LEVERS.get(lever, lever), ylim=(-0.03, 1.05))
        axis.margins(x=0.15)
    for axis in axes[::2]:
        axis.set_ylabel("single-view error, share")
    parts.legend_outside(axes[0], 2)
    said = " ".join(
        f"Along {lever.replace('_', ' ')}: "
        + ", ".join(
            f"{e.mean():.2f} (classes answered by both views: {b:.2f}) at {v}"
            for v, e, b in zip(of["values"], of["single"], of["both"], strict=True)
        )
        + "."
        for lever, of in curves.items()
    )
    return f"Single-view error of one network, one panel a lever. {said}"
