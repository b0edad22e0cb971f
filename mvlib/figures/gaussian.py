"""Drawings of what ensembles gain on inputs without views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvlib.core.intervals import wilson_interval
from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, SINGLE, THEORY, canvas, picture
from mvlib.findings.gaussian import Cell, minority_followed


@picture
def error_grid(cells: Sequence[Cell]) -> str:
    """Single networks and ensembles in every cell: panels by condition and inputs, and in each the
    same lines, one a labelling function and learner."""
    panels: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        panels.setdefault((cell.condition, cell.inputs), []).append(cell)
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*panels, strict=True))
    most = max(float(cell.single.max()) for cell in cells)
    tall = len(next(iter(panels.values())))
    # Not wider than a page's column, so that labels keep their size.
    size = (2.6 * len(columns) + 2.6, (0.21 * tall + 0.35) * len(rows) + 1)
    axes = canvas(size, len(rows), len(columns), sharex=True, sharey=True)
    for (row, column), lines in panels.items():
        axis = axes[rows.index(row) * len(columns) + columns.index(column)]
        y = np.arange(len(lines))
        means, spreads = ([of(e.single) for e in lines] for of in (np.mean, np.std))
        axis.errorbar(means, y, xerr=spreads, fmt="o", ms=5, capsize=2, color=SINGLE,
                      label="one network: mean and spread")  # fmt: skip
        axis.plot([e.ensemble for e in lines], y, "D", ms=5, color=ENSEMBLE, label="their average")
        axis.set_yticks(y, [f"{e.labels} / {e.learner}" for e in lines], fontsize=10)
        axis.set(xlim=(0, 1.05 * most), ylim=(len(lines) - 0.5, -0.5))
        axis.grid(axis="y", color=THEORY, alpha=0.25)
        axis.set_title(f"{column}, {row}", fontsize=10)
    axes[0].figure.supxlabel("test error", fontsize=11)
    axes[0].figure.supylabel("labels / learner", fontsize=11)
    parts.legend_outside(axes[0], 2)
    said = "; ".join(
        f"{column}, {row}: {np.mean([e.single.mean() for e in lines]):.2f} to "
        f"{np.mean([e.ensemble for e in lines]):.2f}"
        for (row, column), lines in panels.items()
    )
    return (
        f"{len(panels)} panels of test errors, one line a labelling function and learner: a dot "
        "with its spread for single networks, a diamond for their average, to the left of the dot "
        f"and mostly near it. Means of single networks and of averages: {said}."
    )


@picture
def errors_left(gaussian: np.ndarray, multi_view: np.ndarray) -> str:
    """Share of a single network's errors that is left once K networks are averaged, one line a
    cell or a data draw: `gaussian` (cells, K), `multi_view` (draws, K')."""
    size, sizes = (np.arange(1, left.shape[1] + 1) for left in (gaussian, multi_view))
    low, high = np.quantile(gaussian, [0.1, 0.9], axis=0)
    [axis] = canvas((7, 4))
    parts.curve_with_band(axis, size, gaussian.mean(axis=0), [low, high], marker="o", ls="--",
                          color=ENSEMBLE, label="no views: mean of cells",
                          band="middle 80% of cells")  # fmt: skip
    axis.plot(sizes, multi_view.mean(axis=0), "D-", color=ENSEMBLE, label="multi-view data")
    axis.plot(sizes, 0.5 ** (sizes - 1.0), ":", color=THEORY, label="halved by every network")
    axis.set(xlabel="networks averaged, K", ylabel="share of errors left", ylim=(0, 1.05))
    axis.set_xscale("log", base=2)  # or the few networks without views would have a corner
    axis.xaxis.set_major_formatter("{x:g}")
    axis.legend(fontsize=9)
    return (
        f"Share of errors left against the number of networks averaged. Without views it falls to "
        f"{gaussian[:, -1].mean():.2f} (middle 80% of cells {low[-1]:.2f} to {high[-1]:.2f}) with "
        f"{size[-1]} networks and is nearly flat by then; on multi-view data it falls to "
        f"{multi_view[:, -1].mean():.2f} with {sizes[-1]}."
    )


@picture
def who_is_followed(groups: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> str:
    """How many networks know an input, and how often their average then does; `groups`: kind of
    data -> (inputs that c of the networks get right, those of them on which the average is right),
    for c = 0, ..., members, drawn in as many bins as the smallest number of members has."""
    left, right = parts.rows_of(1, 2, 3)
    bins = min(len(every) for every, _ in groups.values())
    for i, (name, counts) in enumerate(groups.items()):
        places = np.linspace(0, 1, len(counts[0]))
        bin_of = np.round(places * (bins - 1)).astype(int)
        every, known = (np.bincount(bin_of, weights) for weights in counts)
        c = np.linspace(0, 1, bins)
        width = 0.8 / len(groups) / (len(every) - 1)
        offset = (i - (len(groups) - 1) / 2) * width
        left.bar(c + offset, every / every.sum(), width, label=name, color=SINGLE,
                 alpha=1 - 0.55 * i, hatch="///" if i else "", ec=parts.ink(), lw=0.5)  # fmt: skip
        hits, trials = known[every > 0], every[every > 0]
        rate = hits / trials
        pairs = zip(hits, trials, strict=True)
        ends = np.array([wilson_interval(int(h), int(n)) for h, n in pairs])
        right.errorbar(c[every > 0], rate, yerr=abs(ends.T - rate), capsize=2,
                       color=parts.ink() if i else ENSEMBLE,
                       fmt=parts.MARKERS[i] + parts.LINES[i], label=name)  # fmt: skip
    right.axvline(0.5, color=THEORY, ls=":")
    left.set_ylabel("share of inputs")
    right.set(ylabel="how often the average is right", ylim=(-0.03, 1.05))
    for axis in (left, right):
        axis.set_xlabel("share of networks that are right")
        axis.legend(fontsize=9)
    said = "; ".join(f"{name}: {minority_followed(*counts):.2f}" for name, counts in groups.items())
    return (
        "Above: bars of how many networks are right on an input. Below: how often the average is "
        "right, against the share of networks that are. Where some but fewer than half are right, "
        f"the average is right this often: {said}."
    )


@picture
def gain_and_scatter(groups: Mapping[str, np.ndarray]) -> str:
    """What averaging removes against the variance, and against what votes would remove, one marker
    a cell; `groups`: name -> variance share, share of errors that votes remove and share that the
    average removes, (3, cells), NaN where the variance is not known."""
    left, right = parts.rows_of(1, 2, 3.2, sharey=True)
    for marker, (name, (variance, votes, removed)) in zip(
        parts.MARKERS, groups.items(), strict=False
    ):
        for axis, x in ((left, variance), (right, votes)):
            cell = name.endswith("labels")
            axis.plot(x, removed, marker, color=ENSEMBLE if cell else parts.ink(), label=name,
                      ms=6 if cell else 8, alpha=0.75, mec=parts.ink(), mew=0.5)  # fmt: skip
    right.plot([0, 1], [0, 1], ":", color=THEORY)
    left.set(xlabel="variance between networks / mean square", xlim=(0, None), ylim=(-0.05, 1.05))
    right.set(xlabel="share that votes would remove")
    for axis in (left, right):
        axis.set_ylabel("share of errors removed")
    right.legend(fontsize=9)
    said = "; ".join(
        f"{name}: votes {v.mean():.2f}, average {e.mean():.2f}"
        for name, (_, v, e) in groups.items()
    )
    return (
        "One marker a cell: share of errors that the average removes, against the variance of the "
        "outputs (above) and against the share that votes would remove (below), with a "
        f"line where both are equal. Means: {said}."
    )


@picture
def gain_sweeps(
    panels: Sequence[tuple[str, Mapping[str, Sequence[tuple[int, np.ndarray, float]]]]],
) -> str:
    """Errors along one parameter a panel: its label, and curves: labels -> (value, errors of the
    networks, error of their average), in order."""
    axes = parts.rows_of(1, len(panels), 3, sharey=True)
    for axis, (label, curves) in zip(axes, panels, strict=True):
        for line, (name, points) in zip(parts.LINES, curves.items(), strict=False):
            x, errors, together = zip(*points, strict=True)
            parts.mean_and_spread(axis, x, errors, ls=line, label=f"one network, {name} labels")
            axis.plot(x, together, "D", ls=line, color=ENSEMBLE,
                      label=f"their average, {name} labels")  # fmt: skip
        parts.plain_log_axis(axis, x)
        axis.set(xlabel=label, ylabel="test error", ylim=(0, None))
    parts.legend_outside(axes[0], 2)
    said = " ".join(
        f"Along {label}, {name} labels: "
        + ", ".join(f"{s.mean():.3f} to {e:.3f} at {value}" for value, s, e in points)
        + "."
        for label, curves in panels
        for name, points in curves.items()
    )
    return f"Test error of single networks and of their averages. {said}"
