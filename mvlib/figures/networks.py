"""Drawings of inputs, of single networks and of their averages.

Where a function takes `n_views`, V, it is for the band of Theorem 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import seaborn as sns
import torch

from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, PALETTE, SINGLE, STUDENT, THEORY, canvas, picture
from mvlib.paper.evaluation import learned_views


@picture
def patch_pictures(inputs: Mapping[str, tuple[np.ndarray, int]]) -> str:
    r"""Inputs as pictures, $\langle x_p, v \rangle$ for every patch and view, and above them each
    view's sum over patches; `inputs`: title -> a (k, V, P) array and the input's class, whose
    views are in colour."""
    k, V, _ = next(iter(inputs.values()))[0].shape
    most = max(float(reading.max()) for reading, _ in inputs.values())
    rows = -(-len(inputs) // 2)
    axes = canvas((6.2, 4.4 * rows + 0.4), 2 * rows, 2, sharex=True, sharey="row",
                  height_ratios=[1, 2.6] * rows)  # fmt: skip
    pairs = [(axes[i + i // 2 * 2], axes[i + i // 2 * 2 + 2]) for i in range(2 * rows)]
    for above, axis in pairs[len(inputs) :]:
        above.set_axis_off()
        axis.set_axis_off()
    for (above, axis), (title, (reading, label)) in zip(pairs, inputs.items(), strict=False):
        colours = [parts.view_colour(v) if j == label else parts.ink() for j, v in np.ndindex(k, V)]
        own = np.repeat(np.arange(k) == label, V)
        above.bar(range(k * V), reading.sum(axis=2).ravel(), width=0.9, color=colours)
        above.set_title(title)
        # Less ink for grey: a faint view stands in one patch, an own one in several.
        cells = np.ones((reading.shape[2], k * V, 4))
        cells[..., :3] = [mpl.colors.to_rgb(colour) for colour in colours]
        shares = reading.reshape(k * V, -1).T.clip(0) / most
        cells[..., 3] = (shares * np.where(own, 1.3, 0.7)).clip(0, 1)
        axis.imshow(cells, aspect="auto", interpolation="nearest")
        axis.set_xlabel(f"view $v_{{j,l}}$ ({parts.in_words(V)} a class)")
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
    for above, axis in pairs[::2]:
        above.set_ylabel("sum over\npatches")
        axis.set_ylabel("patch p")
    square = {"marker": "s", "ms": 8}
    keys = [
        *(parts.key(parts.view_colour(v), f"own view {v + 1}", **square) for v in range(V)),
        parts.key(parts.ink(), "views of other classes", **square),
    ]
    parts.legend_outside(axes[0], V + 1, keys)
    said = []
    for title, (reading, label) in inputs.items():
        sums = reading.sum(axis=2)
        others = float(np.delete(sums, label, axis=0).max())
        strengths = ", ".join(f"{total:.1f}" for total in sums[label].tolist())
        said.append(f"{title} (class {label}): own views {strengths}, others up to {others:.1f}")
    return (
        "Patches against views, in colour where a patch holds one of the input's own views and in "
        f"grey where it holds another's; bars above are sums over patches. {'; '.join(said)}."
    )


@picture
def strength_histograms(groups: Mapping[str, Mapping[str, np.ndarray]]) -> str:
    """View strengths by role, one panel a kind of data; `groups`: kind -> role -> strengths."""
    meanings = ("view 1", "view 2", "theory")
    axes = parts.rows_of(1, len(groups), 2.6, sharex=True)
    for axis, (kind, roles) in zip(axes, groups.items(), strict=True):
        for meaning, (role, values) in zip(meanings, roles.items(), strict=False):
            axis.hist(values, bins=np.linspace(0, 2.2, 56).tolist(), density=True, label=role,
                      color=PALETTE[meaning], histtype="stepfilled", alpha=0.65)  # fmt: skip
        axis.set(title=kind, ylabel="density")
        axis.legend()
    axes[-1].set_xlabel(r"strength $\sum_p z_p$ of a view")
    said = "; ".join(
        f"{kind}: "
        + ", ".join(f"{role} {v.min():.2f} to {v.max():.2f}" for role, v in roles.items() if len(v))
        for kind, roles in groups.items()
    )
    return f"Histograms of the strengths of views. {said}."


@picture
def race(
    steps: np.ndarray, correlations: np.ndarray, predicted: np.ndarray, stop: float = np.nan
) -> str:
    """The views of every class, for one network, over training: `steps` (records,), `correlations`
    (records, k, V), `predicted` (k,), the view foretold by the initialisation, and the step at
    which the network first fits and would `stop`, NaN if none is to be marked."""
    _, k, V = correlations.shape
    columns = 2 if k <= 10 else 5  # to be read on a phone, as long as there are few
    rows = -(-k // columns)
    axes = canvas((3.1 * columns, 1.35 * rows + 0.8), rows, columns, sharex=True, sharey=True)
    for j, axis in enumerate(axes[:k]):
        for view, curve in enumerate(correlations[:, j].T):
            axis.plot(steps, curve, color=parts.view_colour(view), label=f"view {view + 1}")
        foretold = int(predicted[j])
        axis.set_title(f"class {j}: view {foretold + 1} foretold", fontsize=10, pad=3,
                       color=parts.view_colour(foretold))  # fmt: skip
        axis.axvline(stop, color=parts.ink(), ls=":", lw=1)
    for axis in axes[k:]:
        axis.set_axis_off()
    figure = axes[0].figure
    figure.supxlabel("step t", fontsize=11)
    figure.supylabel(r"$\max_r\,\langle w_{j,r}, v_{j,l}\rangle$", fontsize=11)
    keys = axes[0].get_legend_handles_labels()[0]
    stopped = np.isfinite(stop)
    if stopped:
        keys.append(parts.key(parts.ink(), "first fit: networks stop", ls=":"))
    parts.legend_outside(axes[0], len(keys), keys)
    final = correlations[-1]
    right = int((final.argmax(axis=1) == predicted).sum())
    several = int((learned_views(torch.as_tensor(final)).sum(dim=1) > 1).sum())
    return (
        f"{k} panels, one a class, each with {parts.in_words(V)} curves of correlation over "
        f"training. In {several} of {k} classes more than one view takes off, in the others one "
        f"does and the rest stays low; the one that was foretold ends ahead in {right} of {k} "
        f"classes.{f' A dotted line marks the first fit, at step {stop:.0f}.' if stopped else ''}"
    )


@picture
def errors_over_time(
    steps: np.ndarray,
    train_error: np.ndarray,
    test_error: np.ndarray,
    residuals: Mapping[str, np.ndarray],
    fitted_at: np.ndarray,
    *,
    n_views: int = 2,
) -> str:
    """Training error, residuals of the training data, and test error.

    Args:
        steps: (records,).
        train_error, test_error: (records, networks); test error in units of mu.
        residuals: kind of training data -> mean of 1 - p_y, (records, networks).
        fitted_at: first recorded step with training error 0, a network; NaN if never.
        n_views: V.
    """
    fits = fitted_at[np.isfinite(fitted_at)]
    style: dict[str, Any] = {"color": SINGLE, "alpha": 0.8}
    top, middle, bottom = canvas((6.2, 7.6), 3, 1, sharex=True)
    top.plot(steps, train_error, **style)
    top.set(ylabel="training error", ylim=(0, 1))
    top.set_yscale("symlog", linthresh=1e-3)
    for line, (kind, residual) in zip(("-", "--"), residuals.items(), strict=False):
        middle.plot(steps, residual, line, **style)[0].set_label(kind)
    middle.set(yscale="log", ylabel="residual $1 - p_y$")
    middle.legend(fontsize=9)
    bottom.plot(steps, test_error, **style)
    parts.theorem_1(bottom, n_views)
    bottom.text(steps[-1], 1.03 - 1 / n_views, "Theorem 1", ha="right", color=THEORY)
    bottom.set(ylabel=parts.ERROR, ylim=(0, 1.05), xlabel="step t")
    for axis in (top, middle, bottom):
        for step in fits:
            axis.axvline(step, color=parts.ink(), lw=0.6, ls=":")
    when = f"between steps {fits.min():.0f} and {fits.max():.0f}" if len(fits) else "never"
    last = ", ".join(f"{kind} {r[-1].mean():.3f}" for kind, r in residuals.items())
    return (
        f"Three panels over training steps, one line a network. Training error reaches zero "
        f"{when} (dotted). The residuals end at {last}. Test error in units of mu falls from far "
        f"above one to {test_error[-1].mean():.2f} on average at the end, beside Theorem 1's band "
        f"at {1 - 1 / n_views:.2g}."
    )


@picture
def network_errors(draws: Sequence[np.ndarray], finite_size: float, *, n_views: int = 2) -> str:
    """Test error over mu of each network, a column a data draw, beside what is predicted for many
    classes and for a finite number."""
    [axis] = canvas((7, 3.6))
    for x, errors in enumerate(draws):
        names = ("one network", "their mean") if x == 0 else (None, None)
        place = x + np.linspace(-0.3, 0.3, len(errors))
        axis.plot(place, errors, "o", color=SINGLE, ms=5, alpha=0.7, label=names[0])
        axis.plot(
            x + np.array([-0.35, 0.35]), 2 * [errors.mean()], color=parts.ink(), label=names[1]
        )
    axis.set_xticks(range(len(draws)), [f"data draw {i}" for i in range(1, len(draws) + 1)])
    parts.theorem_1(axis, n_views, label="Theorem 1")
    axis.axhline(finite_size, color=THEORY, ls="--", label="finite-size prediction")
    axis.set(ylabel=parts.ERROR)
    parts.legend_outside(axis, 4)
    pooled = np.concatenate(list(draws))
    return (
        f"Dots: test error over mu of {len(pooled)} networks on {len(draws)} data draws, from "
        f"{pooled.min():.2f} to {pooled.max():.2f} around {pooled.mean():.2f}, of which "
        f"{np.mean(np.abs(pooled - 1 + 1 / n_views) <= 0.01):.0%} lie in Theorem 1's band."
    )


@picture
def prediction_margins(margin: np.ndarray, right: np.ndarray, *, n_views: int = 2) -> str:
    """How often the foretold view won (`right`), by how clear the prediction was (`margin`, in
    [0, 1], of the same shape); chance is right once in `n_views`."""
    # Sixths by rank, so that ties leave no bin empty.
    sixths = np.array_split(np.argsort(margin.ravel(), kind="stable"), 6)
    groups = [g for g in sixths if len(g)]
    centre = [margin.ravel()[g].mean() for g in groups]
    rate = np.array([right.ravel()[g].mean() for g in groups])
    error = 1.96 * np.sqrt(rate * (1 - rate) / [len(g) for g in groups])
    chance = 1 / n_views
    [axis] = canvas((6, 3.4))
    axis.errorbar(centre, rate, yerr=error, fmt="o-", color=SINGLE, capsize=3)
    axis.axhline(1, color=THEORY, ls="--")
    axis.axhline(chance, color=THEORY, ls=":")
    axis.text(centre[-1], chance + 0.01, "chance", ha="right", color=THEORY)
    axis.set(xlabel="margin at initialisation (0: a tie)", ylabel="share foretold right",
             ylim=(chance - 0.1, 1.05))  # fmt: skip
    return (
        f"Share of classes whose winning view was foretold, against the margin at the start: from "
        f"{rate[0]:.2f} in the closest sixth of races to {rate[-1]:.2f} in the clearest."
    )


_PARAMETERS = {
    "init_std": r"$\sigma_0$",
    "threshold": r"threshold $\varrho$",
    "sparsity": "sparsity $s$",
    "multi_other_strength": "other-class strength",
}


@picture
def sweep_panels(
    sweeps: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]], *, n_views: int = 2
) -> str:
    """Failure regimes, one panel a parameter; `sweeps`: parameter -> its values and curves over
    them: "single-view error" (one array of networks a value), "all views learned" and "winner
    foretold" (one number a value)."""
    panels = [(_PARAMETERS.get(name, name), *of) for name, of in sweeps.items()]
    axes = parts.rows_of(2, len(panels), 2.8, sharey=True)
    for axis, (label, ticks, curves) in zip(axes, panels, strict=False):
        x = np.arange(len(ticks))
        parts.mean_and_spread(axis, x, curves["single-view error"], ls="-",
                              label=parts.SINGLE_VIEW)  # fmt: skip
        axis.plot(x, curves["all views learned"], "s--", color=STUDENT,
                  label="classes with all views")  # fmt: skip
        axis.plot(x, curves["winner foretold"], "^:", color=PALETTE["view 1"],
                  label="winner foretold")  # fmt: skip
        parts.theorem_1(axis, n_views)
        axis.set_xticks(x, [tick.replace(", ", ",\n") for tick in ticks])  # pairs are long
        axis.set(xlabel=label, ylim=(0, 1.05))
    for axis in axes[::2]:
        axis.set_ylabel("share")
    parts.legend_outside(axes[0], 3)
    said = " ".join(
        f"Along {label}: error on single-view inputs "
        + ", ".join(
            f"{e.mean():.2f} at {t}"
            for e, t in zip(curves["single-view error"], ticks, strict=True)
        )
        + "."
        for label, ticks, curves in panels
    )
    return f"One panel a parameter. {said}"


@picture
def class_count_curve(found: Mapping[int, tuple[np.ndarray, float]], *, n_views: int = 2) -> str:
    """Error on single-view inputs, and what is predicted, against the number of classes."""
    counts, (errors, predicted) = list(found), zip(*found.values(), strict=True)
    [axis] = canvas((6, 3.4))
    parts.mean_and_spread(axis, counts, errors, ls="-", label="measured, spread over networks")
    axis.plot(counts, predicted, "--", color=THEORY, label="finite-size prediction")
    parts.theorem_1(axis, n_views, label="Theorem 1")
    axis.set(xlabel="number of classes k", ylabel=parts.SINGLE_VIEW)
    parts.plain_log_axis(axis, counts)
    parts.legend_outside(axis, 3)
    said = ", ".join(f"{e.mean():.2f} at k = {k}" for k, e in zip(counts, errors, strict=True))
    return f"Error of single networks on single-view inputs: {said}."


@picture
def size_curve(draws: Sequence[np.ndarray], ours: int, *, n_views: int = 2) -> str:
    """Test error over the number of networks averaged, beside what theory says of it where each
    network knows one of `n_views` by chance; `draws` has test errors over mu of averages of K
    networks, (K, subsets) a data draw, NaN where there is no subset.  `ours`: the K of the book's
    ensembles, which is marked."""
    missed, least = 1 - 1 / n_views, 1e-4
    coins = "fair coins: $2^{-K}$" if n_views == 2 else f"chance: $(1 - 1/{n_views})^K$"
    [axis] = canvas((7, 4))
    mean = parts.averages(axis, draws, "D-", color=ENSEMBLE, lw=None,
                          label="mean over ensembles and draws",
                          band="middle 80% of ensembles")  # fmt: skip
    sizes = np.arange(1, len(mean) + 1)
    axis.plot(sizes, missed**sizes, "--", label=coins, color=THEORY)
    axis.axhline(1e-3, ls=":", label="Theorem 2's bound", color=THEORY)
    axis.plot(ours, mean[ours - 1], "o", color=parts.ink(), mfc="none", ms=13, label=f"K = {ours}")
    # Down to 0: linear below the least power of ten.
    axis.set_yscale("symlog", linthresh=least)
    axis.set(xlabel="networks averaged, K", ylabel=parts.ERROR, ylim=(-least / 4, 1.2),
             yticks=[0, *(10.0**e for e in range(-4, 1))])  # fmt: skip
    axis.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    # As far as there are errors to be seen.
    last = max(int(sizes[mean > least].max(initial=1)), ours)
    parts.count_axis(axis, min(last + 2, len(sizes)))
    axis.legend(fontsize=9)
    said = ", ".join(f"{mean[K - 1]:.3f} for K = {K}" for K in sizes if K in (1, 2, 5, 10))
    return (
        "Test error over mu, on an axis that is logarithmic down to a ten-thousandth and linear "
        f"to 0 below, against the number of networks averaged: {said}; for the book's ensembles, "
        f"K = {ours}, {mean[ours - 1]:.5f}; a dashed line falls by a factor of {missed:.2g} with "
        "every network, a dotted one marks Theorem 2's bound."
    )


@picture
def coverage(learned: np.ndarray, classes: Sequence[str] | None = None) -> str:
    """Which views each network has, and how many have each; `learned` (networks, k, V) is True
    where a view is learned; `classes` are their names, if they have any."""
    networks, k, V = learned.shape
    above, axis = canvas((6.2, 0.24 * networks + 2.6), 2, 1, sharex=True,
                         height_ratios=[1, 0.2 * networks])  # fmt: skip
    # The views of a class stand close together, classes apart.
    place = np.arange(k)[:, None] + 0.8 / V * (np.arange(V) - (V - 1) / 2)
    for view in range(V):
        colour = parts.view_colour(view)
        above.bar(place[:, view], learned[:, :, view].sum(axis=0), width=0.72 / V, color=colour)
        row, column = learned[:, :, view].nonzero()
        axis.scatter(place[column, view], row, marker="s", s=110 / V, color=colour,
                     label=f"view {view + 1}")  # fmt: skip
    above.set(ylabel="networks", yticks=[0, networks], ylim=(0, networks))
    above.set_title("how many networks know the view", fontsize=10, loc="left")
    axis.set_yticks(range(networks), [f"{r}" for r in range(networks)], fontsize=9)
    axis.set(xlabel="class", ylabel="network", ylim=(networks - 0.5, -0.5))
    # Names stand upright: each line of them below its own view.
    axis.set_xticks(range(k), classes or [f"{j}" for j in range(k)], rotation=90 * bool(classes))
    parts.legend_outside(axis, V)
    each = learned.reshape(networks, -1).sum(axis=1)
    union = int(learned.any(axis=0).sum())
    return (
        f"A mark for every view that a network knows, {networks} networks by {V * k} views, and "
        f"above it a bar for how many know each. Each network has between {each.min()} and "
        f"{each.max()} views; together they have {union}."
    )


@picture
def output_bars(outputs: np.ndarray, label: int, title: str) -> str:
    """Scores of every network, `outputs` (networks, k), and of their average on one input, with
    the right class, `label`, framed."""
    networks, k = outputs.shape
    shown = {f"{r}": scores for r, scores in enumerate(outputs)}
    shown["average"] = outputs.mean(axis=0)
    axes = parts.rows_of(7, networks + 1, 2.4, sharey=True, sharex=True)
    for axis, (name, scores) in zip(axes, shown.items(), strict=False):
        colour = PALETTE["ensemble" if name == "average" else "single"]
        bars = axis.barh(range(k), scores, color=[colour] * k)
        bars[label].set(edgecolor=parts.ink(), linewidth=1.8)
        mark = "✓" if scores.argmax() == label else "✗"
        axis.set_title(f"{name}\n{mark}", fontsize=8)
        axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(2, integer=True))
    for axis in axes[::7]:
        axis.set(yticks=range(k), ylabel="class")
    axes[0].figure.supxlabel("score $F_i(X)$", fontsize=10)
    axes[0].figure.suptitle(title, fontsize=11)
    right = int((outputs.argmax(axis=1) == label).sum())
    verdict = "right" if shown["average"].argmax() == label else "wrong"
    return (
        f"Bars of the scores of {networks} networks and of their average on one input of class "
        f"{label}: {right} networks answer right, the average is {verdict}."
    )


@picture
def activation_curves(
    z: np.ndarray, values: Mapping[str, np.ndarray], slopes: Mapping[str, np.ndarray]
) -> str:
    """The smoothed ReLU and its slope."""
    colours = sns.color_palette("viridis", len(values))
    left, right = parts.rows_of(1, 2, 2.6)
    for axis, curves, label in ((left, values, "value"), (right, slopes, "slope")):
        for colour, (name, curve) in zip(colours, curves.items(), strict=True):
            axis.plot(z, curve, color=colour, label=name)
        axis.set(xlabel="$z$", ylabel=label)
        axis.axhline(0, color=parts.ink(), lw=0.5)
    left.legend(fontsize=9)
    return (
        f"Smoothed ReLU for {len(values)} choices of power and threshold: zero for negative z, a "
        "power curve, then a straight line of slope one; below it the slope, from 0 to 1."
    )
