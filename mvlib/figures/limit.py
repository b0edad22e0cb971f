"""Drawings of what the theorems say of large k, small sigma_0 and large T."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvlib.figures import parts
from mvlib.figures.picture import PALETTE, SINGLE, STUDENT, THEORY, canvas, picture
from mvlib.findings.limit import BEGINS, Average
from mvlib.findings.report_limit import CURVES, Counts

LOOKS = {
    "test error / mu": (SINGLE, "o"),
    "winner foretold": (PALETTE["view 1"], "^"),
    "classes with one view": (STUDENT, "s"),
}


@picture
def towards_the_limit(reduced: Mapping[str, Counts], full: Counts) -> str:
    """Three curves over the number of classes: lines for reduced training, one for each way in
    which k grows; open marks for full training in the first way."""
    panels = parts.rows_of(1, len(LOOKS), 2.1, sharex=True)
    for axis, (name, (colour, marker)) in zip(panels, LOOKS.items(), strict=True):
        for line, counts in zip(parts.LINES, reduced.values(), strict=False):
            ks = sorted(counts)
            axis.plot(ks, [counts[k][name] for k in ks], ls=line, marker=marker, ms=4, color=colour)
        axis.plot(list(full), [full[k][name] for k in full], marker, ms=9, mfc="none", color=colour)
        axis.axhline(CURVES[name], color=THEORY, lw=1)
        low = 0.25 if CURVES[name] < 1 else 0.7
        axis.set(title=name, xscale="log", ylim=(low, CURVES[name] + 0.05))
    panels[-1].set_xlabel("number of classes k")
    keys = [
        *(parts.key(parts.ink(), f"{way}, reduced", ls=line)
          for line, way in zip(parts.LINES, reduced, strict=False)),
        parts.key(parts.ink(), "trained in full", marker="o", ms=9, mfc="none"),
        parts.key(THEORY, "theorems", ls="-", lw=1),
    ]  # fmt: skip
    parts.legend_outside(panels[0], 2, keys)
    said = "; ".join(
        f"{name}, {way}: from {counts[min(counts)][name]:.2f} at k = {min(counts)} to "
        f"{counts[max(counts)][name]:.2f} at k = {max(counts)}"
        for name in LOOKS
        for way, counts in reduced.items()
    )
    return f"Three panels over k, reduced, with marks where networks were trained: {said}."


@picture
def on_and_on(curves: Mapping[str, tuple[np.ndarray, np.ndarray]], *, n_views: int = 2) -> str:
    """Errors on single-view inputs against steps in units of each network's first fit; `curves`:
    how it was trained -> (steps over first fit, errors), both (records, networks)."""
    [axis] = canvas((7, 3.6))
    for line, (name, (times, error)) in zip(parts.LINES, curves.items(), strict=False):
        for network, (t, e) in enumerate(zip(times.T, error.T, strict=True)):
            axis.plot(t[t > 0], e[t > 0], ls=line, color=SINGLE, alpha=0.8,
                      label=name if network == 0 else None)  # fmt: skip
    axis.axvline(1, color=parts.ink(), lw=0.6, ls=":")
    parts.theorem_1(axis, n_views, label="Theorem 1")
    axis.set(xscale="log", xlabel="steps / steps to the first fit", ylabel="single-view error",
             ylim=(0, 1))  # fmt: skip
    axis.legend(fontsize=9)
    said = "; ".join(
        f"{name}: {error[-1].mean():.2f} after {times[-1].mean():.0f} times as many steps as "
        "fitting took"
        for name, (times, error) in curves.items()
    )
    return f"Errors on single-view inputs over training time, logarithmic. {said}."


@picture
def printed_students(
    curves: Mapping[str, tuple[np.ndarray, np.ndarray]], solved: float, *, n_views: int = 2
) -> str:
    """Test errors over mu of students over steps; `curves`: kind -> (steps, errors (records,
    students)); `solved`: the mark below which a student has learned both views.  Errors of 0 are
    drawn on the lower edge."""
    [axis] = canvas((7, 3.6))
    edge = 1e-3
    for line, (name, (steps, error)) in zip(parts.LINES, curves.items(), strict=False):
        axis.plot(steps, np.maximum(error.mean(axis=1), edge), ls=line, clip_on=False,
                  color=parts.colour_of(name), label=name)  # fmt: skip
    axis.axhline(solved, color=THEORY, ls="--", label=f"{solved:g}")
    parts.theorem_1(axis, n_views)
    axis.set(xlabel="step t", ylabel=parts.ERROR, yscale="log", ylim=(edge, None))
    axis.legend(fontsize=9)
    ends = {name: float(error[-1].mean()) for name, (_, error) in curves.items()}
    return f"Test error over mu of students over training, on a logarithmic axis. At the end: " \
        f"{parts.listed(ends)}."  # fmt: skip


@picture
def average_ratios(
    curves: Mapping[str, Mapping[int, Sequence[Average]]], full: Sequence[Average]
) -> str:
    """Error of the mean of L networks trained as one over one network's, against sigma_0 over
    varrho: a panel a setting, a line for every L, reduced; stars where it was done in full, in the
    first panel."""
    panels = parts.rows_of(1, len(curves), 2.7, sharex=True, sharey=True)
    colours = list(PALETTE.values())
    for axis, (name, lines) in zip(panels, curves.items(), strict=True):
        for i, (L, points) in enumerate(lines.items()):
            places = [one.start for one in points]
            ends = [np.array([one.low for one in points]), np.array([one.high for one in points])]
            ratios = np.array([one.ratio for one in points])
            parts.curve_with_band(axis, places, ratios, ends, color=colours[i % len(colours)],
                                  marker=parts.MARKERS[i % 6], ls=parts.LINES[i % 5], lw=None,
                                  label=f"L = {L}", alpha=0.15)  # fmt: skip
        axis.axhline(BEGINS, color=THEORY, ls="--")
        starts = sorted({one.start for points in lines.values() for one in points})
        parts.plain_log_axis(axis, starts)
        axis.set_xticklabels([f"{start:g}" for start in starts])
        axis.set(ylabel="ratio of test errors", ylim=(0, None))
        axis.set_title(name, fontsize=10)
    for one in full:
        panels[0].plot(one.start, one.ratio, "*", ms=11, color=parts.ink(), zorder=5)
    panels[-1].set_xlabel(r"$\sigma_0 / \varrho$")
    keys = [*panels[0].get_legend_handles_labels()[0],
            *(parts.key(parts.ink(), f"trained in full, L = {L}", marker="*", ms=11)
              for L in sorted({one.members for one in full}))]  # fmt: skip
    parts.legend_outside(panels[0], len(keys), keys)
    said = "; ".join(
        f"{name}, L = {L}: {points[0].ratio:.2f} at {points[0].start:g}, {points[-1].ratio:.2f} at "
        f"{points[-1].start:g}"
        for name, lines in curves.items()
        for L, points in lines.items()
    )
    return f"Ratio of the error of an average trained as one to a single network's. {said}."
