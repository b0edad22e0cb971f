"""Drawings of what ensembles gain on inputs without views."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvlib.core.intervals import wilson_interval
from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, SINGLE, THEORY, canvas, picture
from mvlib.findings.gaussian import Cell, minority_followed
from mvlib.findings.report_gaussian import by_condition, mean_errors

# Share of the errors that is left -> a line there and what it says.
_GAINS = {1.0: (":", "nothing gained"), 0.5: ("--", "half of the errors gone")}


@picture
def error_grid(cells: Sequence[Cell]) -> str:
    """The average of networks against one of them, a marker a cell: a panel a condition, a shape a
    labelling function, filled for the first kind of inputs and open for the second."""
    most = 1.05 * max(float(cell.single.mean()) for cell in cells)
    shapes = dict(zip(dict.fromkeys(cell.labels for cell in cells), parts.MARKERS, strict=False))
    inputs = dict.fromkeys(cell.inputs for cell in cells)
    fills = dict(zip(inputs, (ENSEMBLE, "none"), strict=False))
    panels = by_condition(cells)
    everything = panels.pop("all")
    axes = parts.rows_of(2, len(panels), 2.7, sharex=True, sharey=True)
    for axis, (condition, shown) in zip(axes, panels.items(), strict=False):
        for cell in shown:
            axis.plot(cell.single.mean(), cell.ensemble, shapes[cell.labels], ms=5.5,
                      color=ENSEMBLE, mfc=fills[cell.inputs])  # fmt: skip
        for slope, (line, _) in _GAINS.items():
            axis.axline((0, 0), slope=slope, color=THEORY, ls=line)
        axis.set(xlim=(0, most), ylim=(0, most), title=condition)
    axes[0].figure.supxlabel("test error of one network", fontsize=11)
    axes[0].figure.supylabel("test error of their average", fontsize=11)
    keys = [
        *(parts.key(ENSEMBLE, f"{name} labels", marker=shape) for name, shape in shapes.items()),
        *(parts.key(ENSEMBLE, name, marker="D", mfc=fill) for name, fill in fills.items()),
        *(parts.key(THEORY, name, ls=line) for line, name in _GAINS.values()),
    ]
    parts.legend_outside(axes[0], 2, keys)
    said = "; ".join(
        "{}: {:.2f} to {:.2f}".format(name, *mean_errors(shown))
        for name, shown in (panels | {"all": everything}).items()
    )
    return (
        f"{len(panels)} panels of test errors, one marker a cell, the average against one network, "
        "with a line on which nothing is gained and one on which half of the errors are gone. "
        f"Means of single networks and of averages: {said}."
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
