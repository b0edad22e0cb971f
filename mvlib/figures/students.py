"""Drawings of distillation and of self-distillation.

Colours follow the names of kinds of students: see `parts.colour_of`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import cycle
from textwrap import wrap
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, SINGLE, STUDENT, THEORY, canvas, picture
from mvlib.findings.report_students import GOAL, GOAL_GAP, Stride

_BLACK = "#222222"  # on the palette's own colours, in both themes


def _mean_and_range(
    axis: Axes, steps: np.ndarray, values: np.ndarray, line: Any, name: str, *, band: bool = True
) -> None:
    """Of the students, which are the second axis of `values` or one; the mean alone without a
    `band`."""
    values = values.reshape(len(steps), -1)
    if not band:
        axis.plot(steps, values.mean(axis=1), ls=line, color=parts.colour_of(name), label=name)
        return
    ends = [values.min(axis=1), values.max(axis=1)]
    parts.curve_with_band(axis, steps, values.mean(axis=1), ends, ls=line,
                          color=parts.colour_of(name), label=name, alpha=0.2)  # fmt: skip


@picture
def soft_label_bars(
    rows: Sequence[tuple[str, np.ndarray]], label: int, visible: Mapping[int, str]
) -> str:
    """Soft labels of one input of class `label` as different networks see it; `rows`: (who,
    probabilities of the classes (k,)); `visible`: class -> which of its views the input shows
    weakly, such as "view 2"."""
    k = len(rows[0][1])
    notes = {j: "\n".join(wrap(note, 7)) for j, note in {label: "label", **visible}.items()}
    axes = canvas(
        (max(6, 0.62 * k), 0.95 * len(rows) + 0.9), len(rows), 1, sharex=True, sharey=True
    )
    for axis, (who, soft) in zip(axes, rows, strict=True):
        axis.bar(range(k), soft, color=parts.colour_of(who), width=0.7)
        axis.axvspan(label - 0.45, label + 0.45, fill=False, ec=parts.ink(), lw=1.4, ls="--")
        axis.set_title(who, fontsize=9, loc="left", pad=3)
    ticks = [f"{j}\n{notes[j]}" if j in notes else f"{j}" for j in range(k)]
    axes[-1].set_xticks(range(k), ticks, fontsize=9)
    axes[-1].set_xlabel("class, and its view in the input")
    axes[0].figure.supylabel("soft label", fontsize=11)
    said = "; ".join(
        f"{who}: {soft[label]:.2f} on the label"
        + "".join(f", {soft[j]:.2f} on class {j}" for j in visible if j != label)
        for who, soft in rows
    )
    return (
        f"One row of bars a network over {k} classes: the soft label of an input of class {label} "
        f"(framed) that also shows views of {len(visible.keys() - {label})} others. {said}."
    )


@picture
def students_over_time(
    steps: np.ndarray, curves: Mapping[str, np.ndarray], fitted_at: Mapping[str, float],
    *, n_views: int = 2,
) -> str:  # fmt: skip
    """Students' error on single-view inputs over training, by what they are taught, with lines at
    what one and two of `n_views` leave out; `steps` (records,); `curves`: kind -> errors (records,
    students), with a band from the best to the worst for the first two kinds alone, as those of
    more hide each other; `fitted_at`: kind -> first recorded step with training error 0, NaN if
    never."""
    levels = [Fraction(n_views - 1, n_views) ** known for known in (1, 2)]
    fits = {kind: f"{step:.0f}" for kind, step in fitted_at.items() if np.isfinite(step)}
    [axis] = canvas((6.2, 4.6))
    looks = zip(cycle(parts.LINES), curves.items(), strict=False)
    for i, (line, (kind, values)) in enumerate(looks):
        name = f"{kind}, fits at {fits[kind]}" if kind in fits else kind
        _mean_and_range(axis, steps, values, line, name, band=i < 2)
        step = fitted_at.get(kind, np.nan)
        axis.plot([step, step], [0, 0.045], color=parts.colour_of(kind), lw=2.5, clip_on=False)
    for level in levels:
        axis.axhline(float(level), color=THEORY, ls=":", lw=1)
        axis.text(1.01, float(level), str(level), transform=axis.get_yaxis_transform(),
                  va="center", color=THEORY)  # fmt: skip
    axis.set(xlabel="step t", ylabel="error on single-view inputs", ylim=(0, 1.05))
    parts.legend_outside(axis, 2)
    least = min(float(values[0].mean()) for values in curves.values())
    ends = {kind: float(values[-1].mean()) for kind, values in curves.items()}
    fitted = ", ".join(f"{kind} at {step}" for kind, step in fits.items())
    return (
        f"Single-view error over {steps[-1]:.0f} steps, one line a kind of student, "
        f"from {least:.3g} or more at the start to {parts.listed(ends)} at the end. Marks on the "
        f"axis where training sets are fitted: {fitted or 'none'}. Dotted lines at {levels[0]} and "
        f"{levels[1]}."
    )


@picture
def student_dots(
    groups: Mapping[str, Sequence[np.ndarray]], predicted: Mapping[str, float], *,
    error: tuple[str, str] = (parts.ERROR, "test error over mu"),
) -> str:  # fmt: skip
    """Test error over mu of every student, or another `error`, on the axis and in words; `groups`:
    kind -> one array (students,) a data draw; `predicted`: kind -> what theory says of it, if
    anything."""
    n_draws = max(len(draws) for draws in groups.values())
    means = {kind: parts.mean_of_draws(draws) for kind, draws in groups.items()}
    [axis] = canvas((6.2, 0.6 * len(groups) + 1.2))
    for y, (kind, draws) in enumerate(groups.items()):
        for i, errors in enumerate(draws):
            # Draws side by side, the students of one spread a little.
            middle = y - 0.3 + 0.4 * (i + 0.5) / n_draws
            place = middle + parts.spread(len(errors), 0.2 / n_draws)
            axis.plot(errors, place, parts.MARKERS[i % 6], color=parts.colour_of(kind), ms=5,
                      alpha=0.8)  # fmt: skip
        axis.plot(means[kind], y + 0.28, "D", color=parts.colour_of(kind), mec=parts.ink(), ms=9)
        if kind in predicted:
            axis.plot([predicted[kind]] * 2, [y - 0.35, y + 0.42], color=THEORY, lw=2, zorder=0)
    axis.set_yticks(range(len(groups)), [kind.replace(" ", "\n", 1) for kind in groups])
    axis.set(xlabel=error[0], xlim=(-0.02, None), ylim=(len(groups) - 0.4, -0.5))
    keys = parts.draw_keys(n_draws)
    if predicted:
        keys.append(parts.key(THEORY, "predicted", ls="-", lw=2))
    parts.legend_outside(axis, min(4, len(keys)), keys)
    pooled = {kind: np.concatenate(list(draws)) for kind, draws in groups.items()}
    said = "; ".join(
        f"{kind}: {errors.min():.3g} to {errors.max():.3g}, mean {means[kind]:.3g}"
        + (f", predicted {predicted[kind]:.3g}" if kind in predicted else "")
        for kind, errors in pooled.items()
    )
    return f"A dot a student, {error[1]}, in a row a kind: {said}."


@picture
def long_run(runs: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> str:
    """Students long after they fit; `runs`: kind of student -> steps (records,), test errors over
    mu and largest correlations with a view, (records,) or (records, students)."""
    above, below = parts.rows_of(1, 2, 2.6, sharex=True)
    for line, (kind, (steps, error, weight)) in zip(cycle(parts.LINES), runs.items(), strict=False):
        _mean_and_range(above, steps, error, line, kind)
        _mean_and_range(below, steps, weight, line, kind)
    above.set(ylabel=parts.ERROR, ylim=(-0.02, 1.05))
    below.set(xlabel="step t", ylabel=r"largest $\langle w_{j,r}, v_{j,l}\rangle$", yscale="log")
    parts.legend_outside(above, 4)
    said = "; ".join(
        f"{kind} after {steps[-1]:.0f} steps: error {np.mean(error[-1]):.3g}, "
        f"largest correlation {np.mean(weight[-1]):.2g}"
        for kind, (steps, error, weight) in runs.items()
    )
    return f"Two panels over training steps, one line a kind of student. {said}."


@picture
def frontier(strides: Sequence[Stride], book: tuple[float, float]) -> str:
    """Both goals of distillation as the length of a step changes: errors over mu of the one-hot
    control against those of students of the ensemble, with intervals, and a star for the means of
    all students of the `book`'s setting; below it how far views have come at the end."""
    x, y = (np.array([getattr(s, side) for s in strides]).T for side in ("taught", "control"))
    above, below = canvas((6.2, 8.4), 2, 1)
    bars = [np.maximum([at - low, high - at], 0) for at, low, high in (x, y)]
    above.errorbar(x[0], y[0], bars[1], bars[0], "o-", color=STUDENT, ecolor=parts.ink(), lw=1.5,
                  elinewidth=0.8, capsize=2, label="steps of one length")  # fmt: skip
    above.plot(*book, "*", ms=13, color=STUDENT, mec=parts.ink(), label="all students of the book")
    for s, beside in zip(strides, cycle([(6, 7), (6, -15), (-29, 7)]), strict=False):
        above.annotate(f"{s.length:g}", (s.taught[0], s.control[0]), xytext=beside,
                      textcoords="offset points", fontsize=10)  # fmt: skip
    top = max(1.1 * y[2].max(), GOAL_GAP + 6 * GOAL)
    above.fill_between([0, GOAL], [GOAL_GAP, GOAL + GOAL_GAP], top, color=THEORY, alpha=0.5, lw=0,
                      label="both goals met")  # fmt: skip
    above.set(xlabel=f"distilled: {parts.ERROR}", ylabel=f"control: {parts.ERROR}",
             xlim=(0, None), ylim=(0, top))  # fmt: skip
    lengths = [s.length for s in strides]
    for name, colour, views in (
        ("distilled", STUDENT, [s.taught_views for s in strides]),
        ("control", parts.ink(), [s.control_views for s in strides]),
    ):
        for look, which, readings in zip(
            ("o-", "v--"), ("stronger", "weaker"), zip(*views, strict=True), strict=True
        ):
            below.plot(lengths, readings, look, color=colour, label=f"{name}: {which} view")
    parts.plain_log_axis(below, lengths)
    below.set(xlabel="length of a step", ylabel=r"reading at the end / $\varrho$", ylim=(0, None))
    keys = [key for axis in (above, below) for key in axis.get_legend_handles_labels()[0]]
    parts.legend_outside(above, 3, keys)
    said = "; ".join(
        f"steps of {s.length:g}: distilled {s.taught[0]:.3g}, control {s.control[0]:.3g}, weaker "
        f"views at {s.taught_views[1]:.3g} and {s.control_views[1]:.3g} times the threshold"
        for s in strides
    )
    return (
        f"Two panels, students by the length of their steps. {said}. Both goals are met where the "
        f"distilled err on at most {GOAL:g} and the control on at least {GOAL_GAP:g} more."
    )


@picture
def averages_of_students(curves: Mapping[str, Sequence[np.ndarray]]) -> str:
    """Averages of students beside averages of networks, by how many are averaged; `curves`:
    "networks" and "distilled students" -> what `networks.size_curve` draws."""
    most = min(len(draw) for draws in curves.values() for draw in draws)
    [axis] = canvas((7, 4))
    looks = (("D-", ENSEMBLE), ("o--", STUDENT))
    means = {
        name: parts.averages(axis, [d[:most] for d in draws], look, color=colour, label=name)
        for (look, colour), (name, draws) in zip(looks, curves.items(), strict=True)
    }
    for name, mean in means.items():
        axis.annotate(f"{name}: {mean[0]:.2g} alone", (1, mean[0]), xytext=(10, 3),
                      textcoords="offset points", fontsize=10)  # fmt: skip
    axis.set(xlabel="networks or students averaged, K", ylabel=parts.ERROR, ylim=(0, None))
    parts.count_axis(axis, most)
    parts.legend_outside(axis, 2)
    said = "; ".join(
        f"{name} from {mean[0]:.2g} alone to {mean[-1]:.2g} for the average of {most}"
        for name, mean in means.items()
    )
    return (
        f"Test error over mu against the number averaged, with bands for the middle 80% of "
        f"averages: {said}."
    )


@picture
def two_lotteries(counts: np.ndarray) -> str:
    """Which views students end with, by how their own lottery and their teacher's went; `counts`
    of (student, class) pairs, (2, 3): both lotteries named the same view or not, by the views the
    student ends with: only its own, only the other one, both."""
    totals = counts.sum(axis=1)
    shares = counts / totals[:, None]
    names = ["both lotteries named the same view", "they named different views"]
    rows = [f"{name}\n(n = {n:.0f})" for name, n in zip(names, totals, strict=True)]
    looks = {
        "only its own": (SINGLE, ""),
        "only the other": (SINGLE, "///"),
        "both": (STUDENT, ""),
    }
    [axis] = canvas((7.2, 2.9))
    for j, (name, (colour, hatch)) in enumerate(looks.items()):
        left = shares[:, :j].sum(axis=1)
        axis.barh(range(2), shares[:, j], left=left, height=0.56, color=colour,
                  hatch=hatch, edgecolor=_BLACK, lw=0.8, label=name)  # fmt: skip
        for y in shares[:, j].nonzero()[0].tolist():
            _share(axis, left[y] + shares[y, j] / 2, y, shares[y, j], colour, above=j % 2 == 0)
    axis.set_yticks(range(2), rows)
    axis.set(xlabel="share of students and classes", xlim=(0, 1), ylim=(1.6, -0.6))
    parts.legend_outside(axis, 4)
    said = "; ".join(
        f"{row}: ".replace("\n", " ") + parts.listed(dict(zip(looks, share, strict=True)))
        for row, share in zip(rows, shares, strict=True)
    )
    return f"Stacked bars of the views that students end with, as shares. {said}."


def _share(axis: Axes, x: float, y: float, share: float, colour: str, above: bool) -> None:
    """Write a share into its segment, or beside it where it is too thin."""
    if share > 0.07:
        box = {"fc": colour, "ec": "none", "pad": 1.5}
        axis.text(x, y, f"{share:.0%}", ha="center", va="center", color=_BLACK, bbox=box)
    else:
        place, align = (y - 0.3, "bottom") if above else (y + 0.3, "top")
        axis.text(x, place, f"{share:.1%}", ha="center", va=align, fontsize=8)


@picture
def chain_curve(
    generations: Sequence[int], errors: Sequence[np.ndarray], complete: Sequence[float]
) -> str:
    """Students of students, from `generations` 0, networks, on: their test `errors` over mu,
    (students,) each, and the shares of classes with all views, `complete`."""
    means = [float(e.mean()) for e in errors]
    single, student = SINGLE, STUDENT
    left, right = parts.rows_of(1, 2, 2.7, sharex=True)
    for g, values, share in zip(generations, errors, complete, strict=True):
        colour, marker = (student, "o") if g else (single, "s")
        left.plot(g + parts.spread(len(values), 0.24), values, marker, color=colour, ms=5)
        right.plot(g, share, marker, color=colour)
    for axis, curve in ((left, means), (right, complete)):
        axis.plot(generations, curve, "-", color=student, zorder=0)
        axis.set_xticks(list(generations))
    left.set(ylabel=parts.ERROR, ylim=(-0.02, None))
    right.set(xlabel="generation", ylabel="classes with all views", ylim=(-0.03, 1.05))
    keys = [parts.key(single, "networks", marker="s"), parts.key(student, "students", marker="o"),
            parts.key(student, "mean", ls="-")]  # fmt: skip
    parts.legend_outside(left, 3, keys)
    said = "; ".join(
        f"generation {g}, error {mean:.3g}, all views {share:.2f}"
        for g, mean, share in zip(generations, means, complete, strict=True)
    )
    return (
        f"Two panels by generation, 0 being networks: test error over mu, with a line through the "
        f"means, and the share of classes with all views. {said}."
    )
