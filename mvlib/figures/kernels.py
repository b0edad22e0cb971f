"""Drawings of tangent kernels beside networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes

from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, SINGLE, THEORY, canvas, picture


@picture
def contrast_rows(panels: Mapping[str, Mapping[str, Sequence[np.ndarray]]]) -> str:
    """The paper's Figure 1 with synthetic data: every learner's error, kernels beside networks;
    `panels`: title -> rows, the same in each, with one array of test errors, in percent of all test
    inputs, a data draw."""
    floor = 1e-3
    names = list(next(iter(panels.values())))
    n_draws = max(len(row) for rows in panels.values() for row in rows.values())
    axes = canvas((6.2, (0.45 * len(names) + 0.8) * len(panels) + 0.5), len(panels), 1, sharey=True)
    for axis, (title, rows) in zip(axes, panels.items(), strict=True):
        _dots(axis, [(name, rows[name]) for name in names], floor)
        axis.set_title(title)
    axes[-1].set_xlabel("test error, %")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.6)
    parts.legend_outside(axes[0], n_draws + 1, parts.draw_keys(n_draws))
    means = {
        title: parts.listed({name: parts.mean_of_draws(draws) for name, draws in rows.items()})
        for title, rows in panels.items()
    }
    said = "; ".join(f"{title}: {mean}" for title, mean in means.items())
    return (
        f"Dots of test error in percent, one row a learner, {len(panels)} panels with logarithmic "
        f"axes of their own, cut at {floor:g}. Means (diamonds): {said}."
    )


def _dots(axis: Axes, rows: Sequence[tuple[str, Sequence[np.ndarray]]], floor: float) -> None:
    for y, (name, draws) in enumerate(rows):
        for i, errors in enumerate(draws):
            # Dots above the row's line, one height a draw; the mean below it.
            height = y - 0.08 - 0.3 * (i + 0.5) / len(draws)
            axis.plot(np.maximum(errors, floor), np.full(len(errors), height), parts.MARKERS[i % 6],
                      color=parts.colour_of(name), ms=5, alpha=0.7, mew=0)  # fmt: skip
        mean = max(parts.mean_of_draws(draws), floor)
        axis.plot(mean, y + 0.18, "D", color=parts.colour_of(name), mec=parts.ink(), ms=8)
    pooled = np.concatenate([d for _, draws in rows for d in draws])
    low, high = np.maximum([pooled.min(), pooled.max()], floor)
    # At least a decade, or small differences would look large.
    low = max(min(low, high / 10), floor)
    high = max(high, 10 * low)
    axis.set(xscale="log", xlim=(low / 1.5, 2 * high))
    subs = (1.0, 2.0, 5.0) if high < 50 * low else (1.0,)
    axis.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=subs))
    plain = mpl.ticker.FuncFormatter(lambda x, _: f"{'≤ ' if x <= floor else ''}{x:g}")
    axis.xaxis.set_major_formatter(plain)
    axis.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())
    if pooled.min() <= floor:
        axis.axvline(floor, color=THEORY, ls=":", zorder=0)
    axis.grid(axis="y", color=THEORY, alpha=0.25)


@picture
def laziness(draws: Sequence[Mapping[str, np.ndarray]]) -> str:
    """How far networks in training leave their linearisation and their first kernel; `draws`:
    steps, linearisation_error, kernel_drift, watched_train_error, (records,) each, a data draw."""
    steps = draws[0]["steps"]
    names = ("linearisation_error", "kernel_drift", "watched_train_error")
    linearised, drift, train_error = (np.array([a[name] for a in draws]) for name in names)
    shown = {
        r"linearisation error $\|F - F_{lin}\| / \|F\|$": linearised,
        r"kernel drift $1 - \cos(K_t, K_0)$": drift,
    }
    axes = parts.rows_of(1, 2, 2.9)
    for axis, (title, curves) in zip(axes, shown.items(), strict=True):
        for i, (curve, error) in enumerate(zip(curves, train_error, strict=True)):
            axis.plot(steps, error, color=THEORY, lw=0.8, label="" if i else "training error")
            axis.plot(steps, curve, ls=parts.LINES[i % 5], color=SINGLE, label=f"draw {i + 1}")
        axis.set(xlabel="step t", ylabel=title, ylim=(0, max(1.05, 1.05 * np.nanmax(curves))))
    parts.legend_outside(axes[0], 4)
    ends, drifts = linearised[:, -1], drift[:, -1]
    return (
        f"Two panels over {steps[-1]:.0f} steps, one line a data draw, training error in thin grey "
        f"behind. The linearisation error ends at {ends.min():.2f} to {ends.max():.2f}, the "
        f"kernel's drift at {drifts.min():.2f} to {drifts.max():.2f}, training error at "
        f"{train_error[:, -1].max():.2g} at most."
    )


@picture
def joint_curve(curves: Mapping[str, Mapping[int, np.ndarray | float]], single: np.ndarray) -> str:
    """Error over mu of networks trained together, over how many they are, L; `curves`: "mean
    trained as one" and "sum trained as one" -> L -> errors, (draws,) or a number; `single`: of
    networks trained alone."""
    alone = float(single.mean())
    means = {
        form: {L: float(np.mean(e)) for L, e in curve.items()} for form, curve in curves.items()
    }
    [axis] = canvas((6, 3.6))
    colour = ENSEMBLE
    for style, (form, curve) in zip(("D-", "s--"), curves.items(), strict=True):
        for L, errors in curve.items():
            values = np.atleast_1d(errors)
            axis.plot(np.full(len(values), L), values, style[0], color=colour, ms=4, alpha=0.5)
        L_and_mean = zip(*means[form].items(), strict=True)
        axis.plot(*L_and_mean, style, color=colour, mfc="none", ms=8, label=form)
    axis.axhline(alone, color=SINGLE, ls="-.", label="trained alone")
    axis.set(xlabel="networks trained together, L", ylabel=parts.ERROR, ylim=(0, None))
    axis.set_xticks(sorted({L for curve in curves.values() for L in curve}))
    parts.legend_outside(axis, 3)
    said = "; ".join(
        f"{form}, {parts.listed({f'L = {L}:': mean for L, mean in curve.items()})}"
        for form, curve in means.items()
    )
    return (
        f"Test error over mu against the number of networks trained together: {said}. A "
        f"horizontal line marks networks trained alone, at {alone:.3g}."
    )
