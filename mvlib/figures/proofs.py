"""Drawings of what the proofs of Theorems 1 and 3 bound, along training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.figures import parts
from mvlib.figures.picture import SINGLE, STUDENT, THEORY, canvas, picture

_THIN: dict[str, Any] = {"lw": 0.9, "alpha": 0.7}  # one of many lines


@picture
def race_and_foretold(
    steps: np.ndarray, winner: np.ndarray, loser: np.ndarray, ends: np.ndarray,
    measured: np.ndarray, foretold: np.ndarray, saturation: float,
) -> str:  # fmt: skip
    """Winners and losers of all races, (records, races) each, on a logarithmic axis, the record
    at which each race ends being `ends`; beside them where losers stand then, `measured`, and
    where they were foretold to be, (races,)."""
    left, right = canvas((6.2, 7.6), 2, 1)  # one above the other: to be read on a phone
    last = int(ends.max()) + 3
    for name, curves, line in (("winners", winner, "-"), ("losers", loser, "--")):
        every = left.plot(steps[:last], curves[:last].clip(1e-3), line, **_THIN, color=SINGLE)
        every[0].set_label(name)
    left.axhline(saturation, color=THEORY, ls=":")
    left.text(0, 1.1 * saturation, "end of the race", color=THEORY, fontsize=9)
    left.set(xlabel="step t", ylabel=r"$\max_r\,\langle w_{j,r}, v_{j,l}\rangle$", yscale="log")
    left.legend(fontsize=9, loc="lower right")
    low, high = min(measured.min(), foretold.min()) / 1.3, 1.3 * max(measured.max(), foretold.max())
    right.plot([low, high], [low, high], color=THEORY, ls="--", label="as foretold")
    right.plot(foretold, measured, "o", color=SINGLE, alpha=0.8, label="one race")
    right.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high))
    right.set(xlabel="loser foretold from the start", ylabel="loser when the race ends")
    right.legend(fontsize=9)
    typical = float(np.median(np.abs(np.log(measured / foretold))))
    return (
        f"Above: {winner.shape[1]} races on a logarithmic axis. Winners bend upwards and reach "
        f"{saturation:.1f} between steps {steps[ends.min()]:.0f} and {steps[ends.max()]:.0f}; "
        "losers stay behind. Below: the loser's correlation at the end of each race against what "
        f"its start foretold, beside the diagonal; half of them within a factor of "
        f"{np.exp(typical):.2f}."
    )


@picture
def residual_by_size(
    sizes: np.ndarray, residual: np.ndarray, grid: np.ndarray, alone: np.ndarray,
    rivals: np.ndarray, saturation: float,
) -> str:  # fmt: skip
    """Mean residual of a class's multi-view samples against its winner's correlation, (records,
    races) each, between what is predicted, over a `grid` of correlations, of a winner `alone` and
    among `rivals` as large."""
    [axis] = canvas((6.2, 4))
    axis.plot(sizes, residual, "o", color=SINGLE, ms=3.5, alpha=0.5, mew=0)
    axis.plot([], [], "o", color=SINGLE, ms=4, label="a class at one step")
    axis.plot(grid, alone, color=THEORY, ls="--", label="predicted, no other score")
    axis.plot(grid, rivals, color=THEORY, ls="-", label="predicted, rivals as large")
    axis.axvline(saturation, color=THEORY, ls=":")
    axis.text(saturation, 1.2, " end of the race", color=THEORY, fontsize=9)
    axis.set(xlabel="winner's correlation", ylabel="residual $1 - p_y$, multi-view samples",
             yscale="log", ylim=(float(residual.min()) / 2, 2))  # fmt: skip
    axis.legend(fontsize=9, loc="lower left")
    return (
        f"Residuals on a logarithmic axis fall from {residual[0].mean():.2f} to "
        f"{np.median(residual[-1]):.2g} as winners grow to {np.median(sizes[-1]):.0f}, between two "
        "curves computed from that correlation alone."
    )


@picture
def who_asks(
    panels: Mapping[str, tuple[np.ndarray, Mapping[str, np.ndarray]]],
    measured: Mapping[str, np.ndarray],
) -> str:
    """What samples of each role have added to a view; `panels`: title -> steps and role -> sums
    (records,), and what they add up to, `measured`, less where it began."""
    looks = (("-", parts.ink()), ("--", SINGLE), ("-", STUDENT), (":", THEORY))
    axes = canvas((6.2, 2.9 * len(panels) + 0.8), len(panels), 1, sharex=True)
    for axis, (title, (steps, roles)) in zip(axes, panels.items(), strict=True):
        for (line, colour), (role, added) in zip(looks, roles.items(), strict=True):
            axis.plot(steps, added, line, color=colour, lw=2.2, label=role)
        axis.plot(steps, measured[title], ".", color=parts.ink(), ms=4, label="all, as measured")
        axis.set(title=title, ylabel="added to the correlation")
    axes[-1].set_xlabel("step t")
    parts.legend_outside(axes[0], 2)
    said = "; ".join(
        f"{title}: {parts.listed({role: float(added[-1]) for role, added in roles.items()})}"
        for title, (_, roles) in panels.items()
    )
    return f"What samples have added to a view by the last step, on average over races. {said}."


@picture
def remembered(steps: np.ndarray, panels: Mapping[str, np.ndarray], fits: Sequence[float]) -> str:
    """Scores of left-over inputs by where they are read; `panels`: title -> (records, three): in
    patches of the view shown, of the winner's trace, elsewhere; `fits`: steps of first fits."""
    names = ("the view shown (the loser)", "the winner's faint trace", "all other patches")
    looks = (("-", STUDENT), ("--", SINGLE), ("-", parts.ink()))
    axes = canvas((6.2, 2.7 * len(panels) + 0.7), len(panels), 1, sharex=True, sharey=True)
    for axis, (title, scores) in zip(axes, panels.items(), strict=True):
        for name, (line, colour), curve in zip(names, looks, scores.T, strict=True):
            axis.plot(steps, curve, line, color=colour, lw=2, label=name)
        for step in fits:
            axis.axvline(step, color=THEORY, ls=":")
        axis.set(title=title, ylabel="part of $F_y$")
    axes[-1].set_xlabel("step t")
    parts.legend_outside(axes[0], 3)
    said = "; ".join(
        f"{title}: {parts.listed(dict(zip(names, map(float, scores[-1]), strict=True)))}"
        for title, scores in panels.items()
    )
    return (
        f"Left-over single-view inputs, the parts of their right class's score over training, "
        f"with dotted lines where networks fit. At the end, {said}."
    )


@picture
def residual_over_time(steps: np.ndarray, curves: Mapping[str, np.ndarray], start: float) -> str:
    """Mean residual of samples that show the missing view faintly, (records, races), by what the
    network is taught; `start`: what is foretold of distilled ones at step 0."""
    [axis] = canvas((6.2, 3.9))
    for name, values in curves.items():
        ends = np.quantile(values, [0.1, 0.9], axis=1)
        parts.curve_with_band(axis, steps, values.mean(axis=1), ends, color=parts.colour_of(name),
                              ls="--" if "hard" in name else "-", label=name)  # fmt: skip
    axis.plot(steps[0], start, "D", color=THEORY, ms=8, zorder=3, label="foretold at step 0")
    axis.axhline(0, color=parts.ink(), lw=0.6)
    axis.set(xlabel="step t", ylabel="residual $a_j(X)$: asked for")
    axis.legend(fontsize=9)
    said = "; ".join(
        f"{name} from {values[0].mean():.2f} to {values[-1].mean():.3f}"
        for name, values in curves.items()
    )
    return (
        "Mean residual on samples of other classes that show the missing view faintly, with bands "
        f"for the middle 80% of races: {said}; foretold for step 0: {start:.2f}."
    )


@picture
def missing_view(steps: np.ndarray, curves: Mapping[str, np.ndarray], level: float) -> str:
    """The loser's correlation, (records, races), by what the network is taught, beside the level
    at which a faint view reads the cap."""
    [axis] = canvas((6.2, 3.9))
    for name, values in curves.items():
        line, colour = "--" if "hard" in name else "-", parts.colour_of(name)
        axis.plot(steps, values, line, **_THIN, color=colour)[0].set_label(name)
    axis.axhline(level, color=THEORY, ls=":")
    axis.text(steps[0], 1.02 * level, "one neuron reads the cap", color=THEORY, fontsize=9)
    axis.set(xlabel="step t", ylabel=r"missing view: $\max_r\,\langle w_{j,r}, v_{j,l}\rangle$")
    parts.legend_outside(axis, 2)
    said = "; ".join(f"{name}: {np.median(v[-1]):.2g}" for name, v in curves.items())
    return (
        f"The correlation with the missing view over training, a line a race; a dotted line at "
        f"{level:.1f}. Medians at the end, {said}."
    )


@picture
def errors_by_views(
    steps: np.ndarray, curves: Mapping[str, tuple[np.ndarray, np.ndarray]], fits: Sequence[float]
) -> str:
    """Error on single-view inputs over training; `curves`: kind -> measured (records, networks) and
    by the views known (records,); `fits`: steps at which networks on hard labels fit."""
    [axis] = canvas((6.2, 3.9))
    for name, (measured, predicted) in curves.items():
        colour = parts.colour_of(name)
        axis.plot(steps, measured, "-", color=colour, lw=1.2)[0].set_label(name)
        axis.plot(steps, predicted, ":", color=colour, lw=2.2, label=f"{name}, by views known")
    for step in fits:
        axis.axvline(step, color=THEORY, ls=":", lw=1)
    axis.set(xlabel="step t", ylabel="error on single-view inputs", ylim=(0, 1.05))
    axis.legend(fontsize=9)
    said = "; ".join(
        f"{name} {measured[-1].mean():.3f}, by views known {predicted[-1]:.3f}"
        for name, (measured, predicted) in curves.items()
    )
    return (
        "Error on single-view inputs over training, solid, and by views known, dotted. At the end, "
        f"{said}."
    )
