"""Drawings of what ensembles gain on inputs without views.

As in `figures`: arrays in, a `Picture` out, colours with one meaning: single networks and ensembles
have theirs; kinds of data differ by marker and line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mvlib.core.intervals import wilson_interval
from mvlib.figures.networks import PALETTE, Picture, _ink, picture
from mvlib.findings.gaussian import Cell, minority_followed

_LINES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "v", "P", "X")
_REMOVED = "share of errors removed"


def error_grid(cells: Sequence[Cell]) -> Picture:
    """Single networks and ensembles in every cell: panels by inputs and condition, and in each the
    same lines, one a labelling function and learner."""
    panels: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        panels.setdefault((cell.inputs, cell.condition), []).append(cell)
    rows = list(dict.fromkeys(r for r, _ in panels))
    columns = list(dict.fromkeys(c for _, c in panels))
    most = max(float(cell.single.max()) for cell in cells)

    def draw() -> Figure:
        tall = len(next(iter(panels.values())))
        figure, axes = plt.subplots(
            len(rows), len(columns), figsize=(2.2 * len(columns) + 2.6, 0.2 * tall * len(rows) + 2),
            sharex=True, sharey=True, squeeze=False,
        )  # fmt: skip
        for (row, column), lines in panels.items():
            axis = axes[rows.index(row), columns.index(column)]
            _error_lines(axis, lines)
            axis.set_title(f"{row}, {column}", fontsize=9)
            axis.set_xlim(0, 1.05 * most)
        figure.supxlabel("test error", fontsize=11)
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2, fontsize=9)
        return figure

    said = "; ".join(
        f"{row}, {column}: {np.mean([e.single.mean() for e in lines]):.3f} to "
        f"{np.mean([e.ensemble for e in lines]):.3f}"
        for (row, column), lines in panels.items()
    )
    return picture(
        draw,
        f"{len(panels)} panels of test errors, one line a labelling function and learner: a dot "
        "with its spread for single networks, a diamond for their average, to the left of the dot "
        f"and mostly near it. Means of single networks and of averages: {said}.",
    )


def _error_lines(axis: Axes, lines: Sequence[Cell]) -> None:
    y = np.arange(len(lines))
    axis.errorbar([e.single.mean() for e in lines], y, xerr=[e.single.std() for e in lines],
                  fmt="o", ms=5, capsize=2, color=PALETTE["single"],
                  label="one network: mean and spread")  # fmt: skip
    axis.plot([e.ensemble for e in lines], y, "D", ms=5, color=PALETTE["ensemble"],
              label="their average")  # fmt: skip
    axis.set_yticks(y, [f"{e.labels}: {e.learner}" for e in lines], fontsize=8)
    axis.set_ylim(len(lines) - 0.5, -0.5)
    axis.grid(axis="y", color=PALETTE["theory"], alpha=0.25)


def errors_left(gaussian: np.ndarray, multi_view: np.ndarray) -> Picture:
    """Share of a single network's errors that is left once K networks are averaged.

    Args:
        gaussian: one line a cell, (cells, K).
        multi_view: one line a data draw, (draws, K').
    """
    size = np.arange(1, gaussian.shape[1] + 1)
    sizes = np.arange(1, multi_view.shape[1] + 1)
    low, high = np.quantile(gaussian, [0.1, 0.9], axis=0)

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(7, 4))
        colour = PALETTE["ensemble"]
        axis.fill_between(
            size, low, high, color=colour, alpha=0.25, lw=0, label="middle 80% of cells"
        )
        axis.plot(size, gaussian.mean(axis=0), "o--", color=colour, label="no views: mean of cells")
        axis.plot(sizes, multi_view.mean(axis=0), "D-", color=colour, label="multi-view data")
        axis.plot(sizes, 0.5 ** (sizes - 1.0), ":", color=PALETTE["theory"],
                  label="halved by every network")  # fmt: skip
        axis.set(xlabel="networks averaged, K", ylabel="share of errors left", ylim=(0, 1.05))
        axis.set_xticks(sizes if len(sizes) > len(size) else size)
        axis.legend(fontsize=9)
        return figure

    return picture(
        draw,
        f"Share of errors left against the number of networks averaged. Without views it falls to "
        f"{gaussian[:, -1].mean():.2f} (middle 80% of cells {low[-1]:.2f} to {high[-1]:.2f}) with "
        f"{size[-1]} networks and is nearly flat by then; on multi-view data it falls to "
        f"{multi_view[:, -1].mean():.2f} with {sizes[-1]}.",
    )


def who_is_followed(groups: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Picture:
    """How many networks know an input, and how often their average then does.

    Args:
        groups: kind of data -> (inputs that c of the networks get right, those of them on which
            the average is right), for c = 0, ..., members.
    """
    shares = {name: every / every.sum() for name, (every, _) in groups.items()}

    def draw() -> Figure:
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6))
        width = 0.8 / len(groups)
        for i, (name, (every, known)) in enumerate(groups.items()):
            c = np.arange(len(every)) / (len(every) - 1)
            offset = (i - (len(groups) - 1) / 2) * width / (len(every) - 1)
            left.bar(c + offset, shares[name], width / (len(every) - 1), label=name,
                     color=PALETTE["single"], alpha=1 - 0.55 * i, hatch="" if i == 0 else "///",
                     ec=_ink(), lw=0.5)  # fmt: skip
            seen = every > 0
            rate, error = _rate(known[seen], every[seen])
            right.errorbar(c[seen], rate, yerr=error, fmt=_MARKERS[i] + _LINES[i], capsize=2,
                           color=PALETTE["ensemble"], label=name)  # fmt: skip
        left.set(xlabel="share of networks that are right", ylabel="share of inputs")
        left.legend(fontsize=9)
        right.axvline(0.5, color=PALETTE["theory"], ls=":")
        right.set(xlabel="share of networks that are right", ylim=(-0.03, 1.05),
                  ylabel="how often the average is right")  # fmt: skip
        right.legend(fontsize=9)
        return figure

    said = "; ".join(f"{name}: {minority_followed(*counts):.2f}" for name, counts in groups.items())
    return picture(
        draw,
        "Left: bars of how many networks are right on an input. Right: how often the average is "
        "right, against the share of networks that are. Where some but fewer than half are right, "
        f"the average is right this often: {said}.",
    )


def _rate(hits: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rates and the two arms of their 95% Wilson intervals, (2, n)."""
    rate = hits / trials
    ends = [wilson_interval(int(h), int(n)) for h, n in zip(hits, trials, strict=True)]
    low, high = np.array(ends).T
    return rate, np.maximum([rate - low, high - rate], 0)


def gain_and_variance(groups: Mapping[str, np.ndarray]) -> Picture:
    """What averaging removes against how much the networks differ, one marker a cell.

    Args:
        groups: name -> variance share, share of errors and of cross-entropy removed, (3, cells).
    """

    def draw() -> Figure:
        figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), sharex=True, sharey=True)
        for i, (name, (variance, error, loss)) in enumerate(groups.items()):
            style = dict(marker=_MARKERS[i], ls="", ms=6, alpha=0.75, mec=_ink(), mew=0.5)
            axes[0].plot(variance, error, color=PALETTE["ensemble"], label=name, **style)
            axes[1].plot(variance, loss, color=PALETTE["ensemble"], label=name, **style)
        axes[0].set(ylabel=_REMOVED, ylim=(-0.05, 1.05), title="errors")
        axes[1].set(ylabel="share of cross-entropy removed", title="cross-entropy")
        for axis in axes:
            axis.set(xlabel="variance between networks / mean square", xlim=(0, None))
        axes[0].legend(fontsize=9)
        return figure

    said = "; ".join(
        f"{name}: variance {v.mean():.2f}, errors {e.mean():.2f}, cross-entropy {l.mean():.2f}"
        for name, (v, e, l) in groups.items()
    )
    return picture(
        draw,
        "One marker a cell: share of errors (left) and of cross-entropy (right) that the ensemble "
        f"removes, against the variance of the outputs. Means: {said}.",
    )


def gain_sweeps(
    panels: Sequence[tuple[str, Mapping[str, Sequence[tuple[int, np.ndarray, float]]]]],
) -> Picture:
    """Errors along one parameter.

    Args:
        panels: (axis label, curves) with curves: labels -> (value, errors of the networks, error
            of their average), in order.
    """

    def draw() -> Figure:
        figure, axes = plt.subplots(1, len(panels), figsize=(5 * len(panels), 3.6), sharey=True)
        for axis, (label, curves) in zip(np.atleast_1d(axes), panels, strict=True):
            for line, (name, points) in zip(_LINES, curves.items(), strict=False):
                x = [value for value, _, _ in points]
                axis.errorbar(x, [s.mean() for _, s, _ in points], fmt="o", ls=line, capsize=3,
                              yerr=[s.std() for _, s, _ in points], color=PALETTE["single"],
                              label=f"one network, {name} labels")  # fmt: skip
                axis.plot(x, [e for _, _, e in points], "D", ls=line, color=PALETTE["ensemble"],
                          label=f"their average, {name} labels")  # fmt: skip
            axis.set(xscale="log", xlabel=label, ylim=(0, None))
            axis.set_xticks(x, [str(v) for v in x])
            axis.minorticks_off()
        np.atleast_1d(axes)[0].set_ylabel("test error")
        handles, names = np.atleast_1d(axes)[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=2, fontsize=9)
        return figure

    said = " ".join(
        f"Along {label}, {name} labels: "
        + ", ".join(f"{s.mean():.3f} to {e:.3f} at {value}" for value, s, e in points)
        + "."
        for label, curves in panels
        for name, points in curves.items()
    )
    return picture(draw, f"Test error of single networks and of their averages. {said}")
