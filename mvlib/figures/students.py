"""Drawings of tangent kernels against networks, of distillation and of self-distillation.

As in `figures`: arrays in, a `Picture` out, colours with one meaning.  Here names carry it: what is
called hard, single or a network has the colour of single networks, an average or ensemble that of
ensembles, a control that of the text; everything else is a student with a teacher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import cycle
from textwrap import wrap
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from mvlib.figures.networks import PALETTE, Picture, _ink, picture

_MEANING = {"hard": "single", "single": "single", "network": "single",
            "average": "ensemble", "ensemble": "ensemble"}  # fmt: skip
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_MARKERS = ("o", "s", "^", "v", "P", "X")
_ERROR = r"test error / $\mu$"
_BLACK = "#222222"  # on the palette's own colours, in both themes


def _colour(name: str) -> str:
    if "control" in name:
        return _ink()
    return PALETTE[next((m for word, m in _MEANING.items() if word in name), "student")]


def _key(colour: str, label: str, **style: Any) -> Line2D:
    """An entry of a legend."""
    return Line2D([], [], color=colour, label=label, **{"ls": "", **style})


def _spread(n: int, width: float) -> np.ndarray:
    """Places of n dots beside each other, around 0."""
    return width * (np.arange(n) - (n - 1) / 2) / max(n - 1, 1)


def _mean_of_draws(draws: Sequence[np.ndarray]) -> float:
    return float(np.mean([np.mean(d) for d in draws]))


def _said(means: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {mean:.3g}" for name, mean in means.items())


def _mean_and_range(
    axis: Axes, steps: np.ndarray, values: np.ndarray, line: Any, name: str
) -> None:
    """Mean over the second axis, with everything between smallest and largest."""
    values = values.reshape(len(steps), -1)
    axis.fill_between(steps, values.min(axis=1), values.max(axis=1), color=_colour(name),
                      alpha=0.2, lw=0)  # fmt: skip
    axis.plot(steps, values.mean(axis=1), ls=line, color=_colour(name), label=name)


def _draw_keys(n_draws: int) -> list[Line2D]:
    keys = [_key(_ink(), f"data draw {i + 1}", marker=_MARKERS[i % 6]) for i in range(n_draws)]
    return [*keys, _key(_ink(), "mean", marker="D", ms=8)]


def _legend_above(figure: Figure, keys: Sequence[Any], columns: int) -> None:
    figure.legend(handles=keys, loc="outside upper center", ncols=columns, fontsize=9)


# ---------------------------------------------------------------- chapter 2: tangent kernels


def _contrast_panel(
    axis: Axes, title: str, rows: Mapping[str, Sequence[np.ndarray]], floor: float
) -> None:
    for y, (name, draws) in enumerate(rows.items()):
        for i, errors in enumerate(draws):
            # Dots above the row's line, one height a draw; the mean below it.
            height = y - 0.08 - 0.3 * (i + 0.5) / len(draws)
            axis.plot(np.maximum(errors, floor), np.full(len(errors), height), _MARKERS[i % 6],
                      color=_colour(name), ms=5, alpha=0.7, mew=0)  # fmt: skip
        mean = max(_mean_of_draws(draws), floor)
        axis.plot(mean, y + 0.18, "D", color=_colour(name), mec=_ink(), ms=8)
    pooled = np.concatenate([d for draws in rows.values() for d in draws])
    low, high = max(pooled.min(), floor), max(pooled.max(), floor)
    # At least a decade, or small differences would look large.
    low = max(min(low, high / 10), floor)
    high = max(high, 10 * low)
    axis.set(xscale="log", title=title, xlabel=_ERROR, xlim=(low / 1.5, 2 * high))
    subs = (1.0, 2.0, 5.0) if high < 50 * low else (1.0,)
    axis.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=subs))
    plain = mpl.ticker.FuncFormatter(lambda x, _: f"{'≤ ' if x <= floor else ''}{x:g}")
    axis.xaxis.set_major_formatter(plain)
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    if pooled.min() <= floor:
        axis.axvline(floor, color=PALETTE["theory"], ls=":", zorder=0)
    axis.grid(axis="y", color=PALETTE["theory"], alpha=0.25)


def contrast_rows(panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]]) -> Picture:
    """The paper's Figure 1 with synthetic data: every learner's error, kernels beside networks.

    Args:
        panels: title -> rows, the same in every panel; a row has one array of test errors over
            mu, (networks,), a data draw.
    """
    floor = 1e-3
    names = list(next(iter(panels.values())))

    def draw() -> Figure:
        size = (min(11, 3 * len(panels) + 2), 0.62 * len(names) + 1.5)
        figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
        for axis, (title, rows) in zip(axes[0], panels.items(), strict=True):
            _contrast_panel(axis, title, {name: rows[name] for name in names}, floor)
        axes[0, 0].set_yticks(range(len(names)), names)
        axes[0, 0].set_ylim(len(names) - 0.5, -0.6)
        draws = max(len(row) for rows in panels.values() for row in rows.values())
        _legend_above(figure, _draw_keys(draws), draws + 1)
        return figure

    said = "; ".join(
        f"{title}: {_said({name: _mean_of_draws(draws) for name, draws in rows.items()})}"
        for title, rows in panels.items()
    )
    return picture(
        draw,
        f"Dots of test error over mu in one row a learner, {len(panels)} panels with logarithmic "
        f"axes of their own, cut at {floor:g}. Means (diamonds): {said}.",
    )


def laziness(draws: Sequence[Mapping[str, np.ndarray]]) -> Picture:
    """How far networks in training leave their linearisation and their first kernel.

    Args:
        draws: steps, linearisation_error, kernel_drift and watched_train_error, (records,) each,
            of one network a data draw.
    """
    steps = draws[0]["steps"]
    linearisation_error, kernel_drift, train_error = (
        np.array([a[name] for a in draws])
        for name in ("linearisation_error", "kernel_drift", "watched_train_error")
    )
    panels = {
        r"linearisation error $\|F - F_{lin}\| / \|F\|$": linearisation_error,
        r"kernel drift $1 - \cos(K_t, K_0)$": kernel_drift,
    }

    def draw() -> Figure:
        figure, axes = plt.subplots(1, 2, figsize=(8.5, 3.4))
        for axis, (title, curves) in zip(axes, panels.items(), strict=True):
            for i, (curve, error) in enumerate(zip(curves, train_error, strict=True)):
                axis.plot(steps, error, color=PALETTE["theory"], lw=0.8,
                          label="" if i else "training error")  # fmt: skip
                axis.plot(steps, curve, ls=_LINES[i % 5], color=PALETTE["single"],
                          label=f"draw {i + 1}")  # fmt: skip
            axis.set(xlabel="step t", ylabel=title, ylim=(0, max(1.05, 1.05 * np.nanmax(curves))))
        _legend_above(figure, axes[0].get_legend_handles_labels()[0], 4)
        return figure

    return picture(
        draw,
        f"Two panels over {steps[-1]:.0f} steps, one line a data draw, training error in thin grey "
        f"behind. The linearisation error ends at {linearisation_error[:, -1].min():.2f} to "
        f"{linearisation_error[:, -1].max():.2f}, the kernel's drift at "
        f"{kernel_drift[:, -1].min():.2f} to {kernel_drift[:, -1].max():.2f}, training error at "
        f"{train_error[:, -1].max():.2g} at most.",
    )


def joint_curve(
    curves: Mapping[str, Mapping[int, np.ndarray | float]], single: np.ndarray
) -> Picture:
    """Error of networks trained together, over how many they are.

    Args:
        curves: "mean trained as one" and "sum trained as one" -> L -> test errors over mu of L
            networks, (draws,) or a number.
        single: of networks trained alone.
    """
    alone = float(single.mean())
    means = {
        form: {L: float(np.mean(e)) for L, e in curve.items()} for form, curve in curves.items()
    }

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(6, 3.6))
        look: dict[str, Any] = {"color": PALETTE["ensemble"]}
        for style, (form, curve) in zip(("D-", "s--"), curves.items(), strict=True):
            for L, errors in curve.items():
                values = np.atleast_1d(errors)
                axis.plot(np.full(len(values), L), values, style[0], **look, ms=4, alpha=0.5)
            axis.plot(*zip(*means[form].items(), strict=True), style, **look, mfc="none", ms=8,
                      label=form)  # fmt: skip
        axis.axhline(alone, color=PALETTE["single"], ls="-.", label="trained alone")
        axis.set(xlabel="networks trained together, L", ylabel=_ERROR, ylim=(0, None))
        axis.set_xticks(sorted({L for curve in curves.values() for L in curve}))
        _legend_above(figure, axis.get_legend_handles_labels()[0], 3)
        return figure

    said = "; ".join(
        f"{form}, {_said({f'L = {L}:': mean for L, mean in curve.items()})}"
        for form, curve in means.items()
    )
    return picture(
        draw,
        f"Test error over mu against the number of networks trained together: {said}. A "
        f"horizontal line marks networks trained alone, at {alone:.3g}.",
    )


# ---------------------------------------------------------------- chapter 5: distillation


def soft_label_bars(
    rows: Sequence[tuple[str, np.ndarray]], label: int, visible: Mapping[int, str]
) -> Picture:
    """Soft labels of one input, as different teachers and students see it.

    Args:
        rows: (who, probabilities of the classes, (k,)).
        label: the right class, framed.
        visible: class -> which of its views the input shows weakly, such as "view 2".
    """
    k = len(rows[0][1])
    notes = {j: "\n".join(wrap(note, 7)) for j, note in {label: "label", **visible}.items()}

    def draw() -> Figure:
        figure, axes = plt.subplots(
            len(rows), 1, figsize=(max(6, 0.62 * k), 0.95 * len(rows) + 0.9), sharex=True,
            sharey=True, squeeze=False,
        )  # fmt: skip
        for axis, (who, soft) in zip(axes[:, 0], rows, strict=True):
            axis.bar(range(k), soft, color=_colour(who), width=0.7)
            axis.axvspan(label - 0.45, label + 0.45, fill=False, ec=_ink(), lw=1.4, ls="--")
            axis.set_title(who, fontsize=9, loc="left", pad=3)
        ticks = [f"{j}\n{notes[j]}" if j in notes else f"{j}" for j in range(k)]
        axes[-1, 0].set_xticks(range(k), ticks, fontsize=9)
        axes[-1, 0].set_xlabel("class, and its view in the input")
        figure.supylabel("soft label", fontsize=11)
        return figure

    said = "; ".join(
        f"{who}: {soft[label]:.2f} on the label"
        + "".join(f", {soft[j]:.2f} on class {j}" for j in visible if j != label)
        for who, soft in rows
    )
    return picture(
        draw,
        f"One row of bars a network over {k} classes: the soft label of an input of class {label} "
        f"(framed) that also shows views of {len(visible.keys() - {label})} others. {said}.",
    )


def students_over_time(
    steps: np.ndarray,
    curves: Mapping[str, np.ndarray],
    fitted_at: Mapping[str, float],
    *,
    n_views: int = 2,
) -> Picture:
    """Students' error on single-view inputs over training, by what they are taught.

    Args:
        steps: (records,).
        curves: kind -> single-view errors, (records, students).
        fitted_at: kind -> first recorded step with training error 0; NaN if never.
        n_views: V; lines mark what one and two of V views leave out.
    """
    levels = [Fraction(n_views - 1, n_views) ** known for known in (1, 2)]

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(7.5, 4.2))
        for line, (kind, values) in zip(cycle(_LINES), curves.items(), strict=False):
            step = fitted_at.get(kind, np.nan)
            name = f"{kind}, fits at {step:.0f}" if np.isfinite(step) else kind
            _mean_and_range(axis, steps, values, line, name)
            axis.plot([step, step], [0, 0.045], color=_colour(kind), lw=2.5, clip_on=False)
        for level in levels:
            axis.axhline(float(level), color=PALETTE["theory"], ls=":", lw=1)
            axis.text(1.01, float(level), str(level), transform=axis.get_yaxis_transform(),
                      va="center", color=PALETTE["theory"])  # fmt: skip
        axis.set(xlabel="step t", ylabel="error on single-view inputs", ylim=(0, 1.05))
        _legend_above(figure, axis.get_legend_handles_labels()[0], 2)
        return figure

    starts = [float(values[0].mean()) for values in curves.values()]
    ends = {kind: float(values[-1].mean()) for kind, values in curves.items()}
    fits = [f"{kind} at {step:.0f}" for kind, step in fitted_at.items() if np.isfinite(step)]
    return picture(
        draw,
        f"Single-view error over {steps[-1]:.0f} steps, one line and band a kind of student, "
        f"from {min(starts):.3g} or more at the start to {_said(ends)} at the end. Marks on the "
        f"axis where training sets are fitted: {', '.join(fits) or 'none'}. Dotted lines at "
        f"{levels[0]} and {levels[1]}.",
    )


def student_dots(
    groups: Mapping[str, Sequence[np.ndarray]], predicted: Mapping[str, float]
) -> Picture:
    """Test error of every student, a column a kind.

    Args:
        groups: kind -> one array of test errors over mu, (students,), a data draw.
        predicted: kind -> what theory says; kinds may be missing.
    """
    n_draws = max(len(draws) for draws in groups.values())
    means = {kind: _mean_of_draws(draws) for kind, draws in groups.items()}

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(max(5, 1.6 * len(groups) + 1), 4))
        for x, (kind, draws) in enumerate(groups.items()):
            for i, errors in enumerate(draws):
                # Draws side by side, the students of one spread a little.
                place = x - 0.3 + 0.4 * (i + 0.5) / n_draws
                axis.plot(place + _spread(len(errors), 0.2 / n_draws), errors, _MARKERS[i % 6],
                          color=_colour(kind), ms=5, alpha=0.8)  # fmt: skip
            axis.plot(x + 0.28, means[kind], "D", color=_colour(kind), mec=_ink(), ms=9)
            if kind in predicted:
                axis.plot([x - 0.35, x + 0.42], [predicted[kind]] * 2, color=PALETTE["theory"],
                          lw=2, zorder=0)  # fmt: skip
        names = [kind.replace(" ", "\n", 1) for kind in groups]
        axis.set_xticks(range(len(groups)), names)
        axis.set(ylabel=_ERROR, ylim=(-0.02, None), xlim=(-0.5, len(groups) - 0.4))
        keys = [*_draw_keys(n_draws), _key(PALETTE["theory"], "predicted", ls="-", lw=2)]
        _legend_above(figure, keys, len(keys))
        return figure

    said = "; ".join(
        f"{kind}: {np.concatenate(list(draws)).min():.3g} to "
        f"{np.concatenate(list(draws)).max():.3g}, mean {means[kind]:.3g}"
        + (f", predicted {predicted[kind]:.3g}" if kind in predicted else "")
        for kind, draws in groups.items()
    )
    return picture(draw, f"A dot a student, test error over mu, in a column a kind: {said}.")


def long_run(runs: Mapping[str, tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Picture:
    """Students long after they fit: their error, and the largest correlation with a view.

    Args:
        runs: kind of student -> steps (records,), test errors over mu and largest view
            correlations, (records,) or (records, students).
    """

    def draw() -> Figure:
        figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.8))
        for i, axis in enumerate(axes, start=1):
            for line, (kind, run) in zip(cycle(_LINES), runs.items(), strict=False):
                _mean_and_range(axis, run[0], run[i], line, kind)
            axis.set_xlabel("step t")
        axes[0].set(ylabel=_ERROR, ylim=(-0.02, 1.05))
        axes[1].set(yscale="log", ylabel=r"largest $\langle w_{j,r}, v_{j,l}\rangle$")
        _legend_above(figure, axes[0].get_legend_handles_labels()[0], 4)
        return figure

    said = "; ".join(
        f"{kind} after {steps[-1]:.0f} steps: error {np.mean(error[-1]):.3g}, "
        f"largest correlation {np.max(weight[-1]):.3g}"
        for kind, (steps, error, weight) in runs.items()
    )
    return picture(draw, f"Two panels over training steps, one line a kind of student. {said}.")


# ---------------------------------------------------------------- chapter 6: self-distillation


def two_lotteries(counts: np.ndarray) -> Picture:
    """Which views students end with, by how their own lottery and their teacher's went.

    Args:
        counts: numbers of (student, class) pairs, (2, 3): both lotteries named the same view or
            not, by the views the student ends with: only its own, only the other one, both.
    """
    rows = ["both lotteries named the same view", "they named different views"]
    columns = ["only its own", "only the other", "both"]
    shares, totals = counts / counts.sum(axis=1, keepdims=True), counts.sum(axis=1)
    looks = [(PALETTE["single"], ""), (PALETTE["single"], "///"), (PALETTE["student"], "")]

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(8, 0.75 * len(rows) + 1.4))
        for j, (name, (colour, hatch)) in enumerate(zip(columns, looks, strict=True)):
            left = shares[:, :j].sum(axis=1)
            axis.barh(range(len(rows)), shares[:, j], left=left, height=0.56, color=colour,
                      hatch=hatch, edgecolor=_BLACK, lw=0.8, label=name)  # fmt: skip
            for y in shares[:, j].nonzero()[0].tolist():
                _share(axis, left[y] + shares[y, j] / 2, y, shares[y, j], colour, above=j % 2 == 0)
        named = [f"{row}\n(n = {n:.0f})" for row, n in zip(rows, totals, strict=True)]
        axis.set_yticks(range(len(rows)), named)
        axis.set(xlabel="share of students and classes", xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6))
        _legend_above(figure, axis.get_legend_handles_labels()[0], 4)
        return figure

    said = "; ".join(
        f"{row} (n = {n:.0f}): " + _said(dict(zip(columns, share, strict=True)))
        for row, share, n in zip(rows, shares, totals, strict=True)
    )
    return picture(draw, f"Stacked bars of the views that students end with, as shares. {said}.")


def _share(axis: Axes, x: float, y: float, share: float, colour: str, above: bool) -> None:
    """Write a share into its segment, or beside it where it is too thin."""
    if share > 0.07:
        box = {"fc": colour, "ec": "none", "pad": 1.5}
        axis.text(x, y, f"{share:.0%}", ha="center", va="center", color=_BLACK, bbox=box)
    else:
        place, align = (y - 0.3, "bottom") if above else (y + 0.3, "top")
        axis.text(x, place, f"{share:.1%}", ha="center", va=align, fontsize=8)


def chain_curve(
    generations: Sequence[int], errors: Sequence[np.ndarray], complete: Sequence[float]
) -> Picture:
    """Students of students: test error and shares of classes with all views, by generation.

    Args:
        generations: 0 for networks, 1 for their students, and so on.
        errors: for each generation the test errors over mu, (students,).
        complete: for each generation the share of classes with all views.
    """
    means = [float(e.mean()) for e in errors]

    def draw() -> Figure:
        figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharex=True)
        for g, values, share in zip(generations, errors, complete, strict=True):
            name, marker = ("student", "o") if g else ("single", "s")
            place = g + _spread(len(values), 0.24)
            axes[0].plot(place, values, marker, color=PALETTE[name], ms=5)
            axes[1].plot(g, share, marker, color=PALETTE[name])
        for axis, curve in zip(axes, (means, complete), strict=True):
            axis.plot(generations, curve, "-", color=PALETTE["student"], zorder=0)
        axes[0].set(ylabel=_ERROR, ylim=(-0.02, None))
        axes[1].set(ylabel="share of classes with all views", ylim=(-0.03, 1.05))
        for axis in axes:
            axis.set_xlabel("generation")
            axis.set_xticks(list(generations))
        keys = [_key(PALETTE["single"], "networks", marker="s"),
                _key(PALETTE["student"], "students", marker="o"),
                _key(PALETTE["student"], "mean", ls="-")]  # fmt: skip
        _legend_above(figure, keys, 3)
        return figure

    said = "; ".join(
        f"generation {g}, error {mean:.3g}, all views {share:.2f}"
        for g, mean, share in zip(generations, means, complete, strict=True)
    )
    return picture(
        draw,
        f"Two panels by generation, 0 being networks: test error over mu, with a line through the "
        f"means, and the share of classes with all views. {said}.",
    )
