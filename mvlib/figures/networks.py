"""The only room that knows how to draw.

Every public function takes arrays and returns a `Picture`: the same drawing in light and in dark,
with alternative text that says what is seen.  Colours have one meaning throughout the book.
"""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mvlib.paper.evaluation import learned_views

# Okabe and Ito's palette: told apart with any common colour blindness, on white and on black.
PALETTE = {
    "view 1": "#0072B2",
    "view 2": "#D55E00",
    "view 3": "#56B4E9",
    "view 4": "#F0E442",
    "single": "#CC79A7",
    "ensemble": "#009E73",
    "student": "#E69F00",
    "theory": "#7F7F7F",
}
_INK = {"light": "#222222", "dark": "#DDDDDD"}
CODE = re.compile(r"`([^`]+)`")
_VECTOR_LIMIT = 160_000  # bytes; a larger SVG is stored as PNG instead


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing in two themes; Jupyter and the book show it through its HTML.

    Attributes:
        light, dark: image bytes.
        mime: image/svg+xml or image/png.
        alt: what is seen, in a sentence or two.
    """

    light: bytes
    dark: bytes
    mime: str
    alt: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        del include, exclude
        alt = html.escape(self.alt, quote=True)
        # Outside the book there is no style sheet: the dark one hides itself, the book shows it.
        images = [
            f'<img class="mv-{theme} dark-light" alt="{alt}" style="max-width:100%;{hidden}" '
            f'src="data:{self.mime};base64,{base64.b64encode(content).decode()}"/>'
            for theme, content, hidden in (
                ("light", self.light, ""),
                ("dark", self.dark, "display:none"),
            )
        ]
        return {"text/html": "".join(images), "text/plain": self.alt}


@dataclass(frozen=True, slots=True)
class Table:
    """A real table: headers and rows of words and numbers; numbers get four digits, and words in
    backticks are set as code."""

    headers: Sequence[str]
    rows: Sequence[Sequence[object]]

    @classmethod
    def of(cls, records: Sequence[Mapping[str, object]]) -> Table:
        """A table of records, header -> cell, all with the same headers."""
        return cls(list(records[0]), [list(record.values()) for record in records])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(h)}</th>' for h in self.headers)
        body = "".join(
            "<tr>" + "".join(f"<td>{_cell(v)}</td>" for v in row) + "</tr>" for row in self.rows
        )
        return f'<table class="table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table for a notebook's output."""
    return Table(headers, rows)


def _cell(value: object) -> str:
    text = html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))
    return CODE.sub(r"<code>\1</code>", text)  # names of the library stand in backticks


def picture(draw: Callable[[], Figure], alt: str) -> Picture:
    """Run `draw` once in light and once in dark."""
    light, dark = (_render(draw, ink, "svg") for ink in _INK.values())
    if max(len(light), len(dark)) <= _VECTOR_LIMIT:
        return Picture(light, dark, mime="image/svg+xml", alt=alt)
    light, dark = (_render(draw, ink, "png") for ink in _INK.values())
    return Picture(light, dark, mime="image/png", alt=alt)


def _render(draw: Callable[[], Figure], ink: str, file_format: str) -> bytes:
    style: dict[Any, Any] = {
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": ink,
        "axes.titlecolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "legend.labelcolor": ink,
        "legend.frameon": False,
        "lines.color": ink,
        "font.size": 11,
        "axes.titlesize": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "figure.constrained_layout.use": True,
        "savefig.transparent": True,
        "svg.hashsalt": "mvlib",  # the same data give the same bytes
    }
    with mpl.rc_context(style):
        figure = draw()
        buffer = io.BytesIO()
        metadata: dict[str, Any] = {"Date": None} if file_format == "svg" else {"Software": None}
        figure.savefig(buffer, format=file_format, dpi=144, metadata=metadata)
        plt.close(figure)
    return buffer.getvalue()


def _ink() -> str:
    return mpl.rcParams["text.color"]


def view_colour(view: int) -> str:
    """Of view 0, 1, ...; from the fifth on colours come again."""
    return PALETTE[f"view {view % 4 + 1}"]


def number(n: int) -> str:
    """A small number in words."""
    return {2: "two", 3: "three", 4: "four"}.get(n, str(n))


def _theorem_1(axis: Axes, n_views: int, **style: Any) -> None:
    """The band of Theorem 1, around 1 - 1/V."""
    missed = 1 - 1 / n_views
    axis.axhspan(missed - 0.01, missed + 0.01, color=PALETTE["theory"], alpha=0.5, **style)


# ---------------------------------------------------------------- chapter 1: data


def patch_pictures(inputs: Mapping[str, tuple[np.ndarray, int]]) -> Picture:
    r"""Inputs as pictures: $\langle x_p, v \rangle$ for every patch and view.

    Args:
        inputs: title -> a (k, V, P) array and the input's class, whose V columns are framed.
    """
    V = next(iter(inputs.values()))[0].shape[1]
    brightest = max(float(reading.max()) for reading, _ in inputs.values())

    def draw() -> Figure:
        width = min(11.0, 3.2 * len(inputs) + 1)
        figure, axes = plt.subplots(1, len(inputs), figsize=(width, 4), squeeze=False)
        for axis, (title, (reading, label)) in zip(axes[0], inputs.items(), strict=True):
            shown = reading.reshape(-1, reading.shape[2]).T
            mesh = axis.imshow(shown, cmap="viridis", vmin=0, vmax=brightest, aspect="auto")
            axis.set(title=title, xlabel=f"view $v_{{j,l}}$ ({number(V)} a class)")
            axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
            axis.yaxis.set_major_locator(mpl.ticker.MaxNLocator(6, integer=True))
            frame = (V * label - 0.5, -0.5)
            axis.add_patch(
                mpl.patches.Rectangle(frame, V, len(shown), fill=False, ec="#D55E00", lw=2)
            )
        axes[0, 0].set_ylabel("patch p")
        figure.colorbar(mesh, ax=axes[0].tolist(), label=r"$\langle x_p, v\rangle$", shrink=0.8)
        return figure

    framed = ", ".join(f"{title} (class {label})" for title, (_, label) in inputs.items())
    return picture(
        draw,
        f"Heat maps of patches against views for {framed}. {number(V).capitalize()} framed columns "
        "mark the input's own class; bright cells are views at full strength, dim ones weak views, "
        "the rest noise.",
    )


def strength_histograms(groups: Mapping[str, Mapping[str, np.ndarray]]) -> Picture:
    """Distribution of view strengths by role, one panel a kind of data.

    Args:
        groups: kind -> role -> strengths.
    """
    colours = ["#0072B2", "#D55E00", "#7F7F7F"]

    def draw() -> Figure:
        figure, axes = plt.subplots(1, len(groups), figsize=(9, 3.2), sharex=True, squeeze=False)
        for axis, (kind, roles) in zip(axes[0], groups.items(), strict=True):
            for colour, (role, values) in zip(colours, roles.items(), strict=False):
                axis.hist(values, bins=np.linspace(0, 2.2, 56), density=True, label=role,
                          color=colour, histtype="stepfilled", alpha=0.65)  # fmt: skip
            axis.set(title=kind, xlabel=r"strength $\sum_p z_p$ of a view")
            axis.legend()
        axes[0, 0].set_ylabel("density")
        return figure

    said = "; ".join(
        f"{kind}: "
        + ", ".join(f"{role} {v.min():.2f} to {v.max():.2f}" for role, v in roles.items() if len(v))
        for kind, roles in groups.items()
    )
    return picture(draw, f"Histograms of the strengths of views. {said}.")


# ---------------------------------------------------------------- chapter 3: one network


def race(steps: np.ndarray, correlations: np.ndarray, predicted: np.ndarray) -> Picture:
    """The views of every class, for one network, over training.

    Args:
        steps: (records,).
        correlations: (records, k, V).
        predicted: (k,), the view foretold by the initialisation.
    """
    _, k, V = correlations.shape
    columns = 5 if k % 5 == 0 else 4
    rows = -(-k // columns)

    def draw() -> Figure:
        figure, axes = plt.subplots(
            rows, columns, figsize=(2.1 * columns, 1.9 * rows), sharex=True, sharey=True,
            squeeze=False,
        )  # fmt: skip
        for j, axis in enumerate(axes.flat):
            if j >= k:
                axis.set_axis_off()
                continue
            for view in range(V):
                axis.plot(steps, correlations[:, j, view], color=view_colour(view),
                          label=f"view {view + 1}")  # fmt: skip
            axis.set_title(f"class {j}: view {predicted[j] + 1} foretold", fontsize=9,
                           color=view_colour(int(predicted[j])))  # fmt: skip
        figure.supxlabel("step t", fontsize=11)
        figure.supylabel(r"$\max_r\,\langle w_{j,r}, v_{j,l}\rangle$", fontsize=11)
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper right", ncols=V, fontsize=9)
        return figure

    final = correlations[-1]
    right = int((final.argmax(axis=1) == predicted).sum())
    learned = learned_views(torch.as_tensor(final)).sum(dim=1)
    several = int((learned > 1).sum())
    return picture(
        draw,
        f"{k} panels, one a class, each with {number(V)} curves of correlation over training. In "
        f"{several} of {k} classes more than one view takes off, in the others one does and the "
        f"rest stays low; the one that was foretold ends ahead in {right} of {k} classes.",
    )


def errors_over_time(
    steps: np.ndarray,
    train_error: np.ndarray,
    test_error: np.ndarray,
    residuals: Mapping[str, np.ndarray],
    fitted_at: np.ndarray,
    *,
    n_views: int = 2,
) -> Picture:
    """Training error, residuals of the training data, and test error in units of mu.

    Args:
        steps: (records,).
        train_error, test_error: (records, networks); test error in units of mu.
        residuals: kind of training data -> mean of 1 - p_y, (records, networks).
        fitted_at: first recorded step with training error 0, a network; NaN if never.
        n_views: V, for Theorem 1's band.
    """
    styles = dict(zip(residuals, ("-", "--"), strict=False))

    def draw() -> Figure:
        figure, axes = plt.subplots(1, 3, figsize=(11, 3.4), sharex=True)
        axes[0].plot(steps, train_error, color=PALETTE["single"], alpha=0.8)
        axes[0].set(ylabel="training error", ylim=(0, 1))
        axes[0].set_yscale("symlog", linthresh=1e-3)
        for kind, residual in residuals.items():
            lines = axes[1].plot(steps, residual, styles[kind], color=PALETTE["single"], alpha=0.8)
            lines[0].set_label(kind)
        axes[1].set(yscale="log", ylabel="residual $1 - p_y$, training data")
        axes[1].legend(fontsize=9)
        axes[2].plot(steps, test_error, color=PALETTE["single"], alpha=0.8)
        _theorem_1(axes[2], n_views)
        axes[2].text(steps[-1], 1.03 - 1 / n_views, "Theorem 1", ha="right",
                     color=PALETTE["theory"])  # fmt: skip
        axes[2].set(ylabel=r"test error / $\mu$", ylim=(0, 1.05))
        for axis in axes:
            axis.set_xlabel("step t")
            for step in fitted_at[np.isfinite(fitted_at)]:
                axis.axvline(step, color=_ink(), lw=0.6, ls=":")
        return figure

    fits = fitted_at[np.isfinite(fitted_at)]
    when = f"between steps {fits.min():.0f} and {fits.max():.0f}" if len(fits) else "never"
    last = ", ".join(f"{kind} {r[-1].mean():.3f}" for kind, r in residuals.items())
    return picture(
        draw,
        f"Three panels over training steps, one line a network. Training error reaches zero "
        f"{when} (dotted). The residuals end at {last}. Test error in units of mu falls from far "
        f"above one to {test_error[-1].mean():.2f} on average at the end, beside Theorem 1's band "
        f"at {1 - 1 / n_views:.2g}.",
    )


def network_errors(
    errors_by_draw: Sequence[np.ndarray],
    ensemble: Sequence[float],
    finite_size: float,
    *,
    n_views: int = 2,
) -> Picture:
    """Test error of each network, a column a data draw, with the ensemble's beside it."""

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(7, 3.6))
        for i, (errors, together) in enumerate(zip(errors_by_draw, ensemble, strict=True)):
            spread = np.linspace(-0.15, 0.15, len(errors))
            label = ("one network", "their average") if i == 0 else (None, None)
            axis.plot(i + spread, errors, "o", color=PALETTE["single"], label=label[0])
            axis.plot(i + 0.3, together, "D", color=PALETTE["ensemble"], ms=8, label=label[1])
        _theorem_1(axis, n_views, label="Theorem 1")
        axis.axhline(finite_size, color=PALETTE["theory"], ls="--", label="finite-size prediction")
        ticks = [f"data draw {i + 1}" for i in range(len(errors_by_draw))]
        axis.set(ylabel=r"test error / $\mu$", ylim=(-0.03, 1.25 - 1 / n_views))
        axis.set_xticks(range(len(errors_by_draw)), ticks)
        axis.legend(ncols=2, fontsize=9)
        return figure

    pooled = np.concatenate(list(errors_by_draw))
    return picture(
        draw,
        f"Dots: test error over mu of {len(pooled)} networks on {len(errors_by_draw)} data draws, "
        f"from {pooled.min():.2f} to {pooled.max():.2f} around {pooled.mean():.2f}; diamonds: the "
        f"averages of each draw's networks, between {min(ensemble):.3f} and {max(ensemble):.3f}.",
    )


def prediction_margins(margin: np.ndarray, right: np.ndarray, *, n_views: int = 2) -> Picture:
    """How often the foretold view won, by how clear the prediction was.

    Args:
        margin: of every network and class, in [0, 1].
        right: whether the foretold view won, same shape.
        n_views: V; chance is right once in V.
    """
    margin, right = margin.ravel(), right.ravel()
    # Sixths by rank, so that ties leave no bin empty.
    groups = [g for g in np.array_split(np.argsort(margin, kind="stable"), 6) if len(g)]
    centre = np.array([margin[g].mean() for g in groups])
    rate = np.array([right[g].mean() for g in groups])
    count = np.array([len(g) for g in groups])
    error = 1.96 * np.sqrt(np.maximum(rate * (1 - rate), 0) / count)

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(6, 3.4))
        axis.errorbar(centre, rate, yerr=error, fmt="o-", color=PALETTE["single"], capsize=3)
        axis.axhline(1, color=PALETTE["theory"], ls="--")
        chance = 1 / n_views
        axis.axhline(chance, color=PALETTE["theory"], ls=":")
        axis.text(centre[-1], chance + 0.01, "chance", ha="right", color=PALETTE["theory"])
        axis.set(xlabel="margin at initialisation (0: a tie)", ylabel="share foretold right",
                 ylim=(chance - 0.1, 1.05))  # fmt: skip
        return figure

    return picture(
        draw,
        f"Share of classes whose winning view was foretold, against the margin at the start: from "
        f"{rate[0]:.2f} in the closest sixth of races to {rate[-1]:.2f} in the clearest.",
    )


_AXES = {
    "init_std": r"$\sigma_0$",
    "threshold": r"threshold $\varrho$",
    "sparsity": "sparsity $s$",
    "multi_other_strength": "other-class strength",
}


def sweep_panels(
    sweeps: Mapping[str, tuple[Sequence[str], Mapping[str, Any]]], *, n_views: int = 2
) -> Picture:
    """Failure regimes: one panel a parameter.

    Args:
        sweeps: parameter -> its values and curves over them: "test error / mu" (one array of
            networks a value), "all views learned" and "winner foretold" (one number a value).
        n_views: V, for Theorem 1's band.
    """
    panels = [(_AXES.get(name, name), *of) for name, of in sweeps.items()]

    def draw() -> Figure:
        figure, axes = plt.subplots(
            1, len(panels), figsize=(3 * len(panels), 3.4), sharey=True, squeeze=False
        )
        for axis, (label, ticks, curves) in zip(axes[0], panels, strict=True):
            x = np.arange(len(ticks))
            errors = curves["test error / mu"]
            mean, spread = [e.mean() for e in errors], [e.std() for e in errors]
            axis.errorbar(x, mean, yerr=spread, fmt="o-", capsize=3, color=PALETTE["single"],
                          label=r"test error / $\mu$")  # fmt: skip
            axis.plot(x, curves["all views learned"], "s--", color=PALETTE["student"],
                      label="classes with all views")  # fmt: skip
            axis.plot(x, curves["winner foretold"], "^:", color=PALETTE["view 1"],
                      label="winner foretold")  # fmt: skip
            _theorem_1(axis, n_views)
            axis.set_xticks(x, ticks)
            axis.set(xlabel=label, ylim=(0, 1.05))
        axes[0, 0].set_ylabel("share")
        handles, names = axes[0, 0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9)
        return figure

    said = " ".join(
        f"Along {label}: test error "
        + ", ".join(
            f"{e.mean():.2f} at {t}" for e, t in zip(curves["test error / mu"], ticks, strict=True)
        )
        + "."
        for label, ticks, curves in panels
    )
    return picture(draw, f"One panel a parameter, in units of mu. {said}")


def class_count_curve(
    found: Mapping[int, tuple[np.ndarray, float]], *, n_views: int = 2
) -> Picture:
    """Single-network error over mu, and what is predicted, against the number of classes."""
    counts, (errors, predicted) = list(found), zip(*found.values(), strict=True)
    means = [e.mean() for e in errors]

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(6, 3.4))
        axis.errorbar(counts, means, yerr=[e.std() for e in errors], fmt="o-", capsize=3,
                      color=PALETTE["single"], label="measured, spread over networks")  # fmt: skip
        axis.plot(counts, predicted, "--", color=PALETTE["theory"], label="finite-size prediction")
        _theorem_1(axis, n_views, label="Theorem 1")
        axis.set(xscale="log", xlabel="number of classes k", ylabel=r"test error / $\mu$",
                 ylim=(0, 1.2 - 1 / n_views))  # fmt: skip
        axis.set_xticks(counts, [str(k) for k in counts])
        axis.minorticks_off()
        axis.legend(fontsize=9)
        return figure

    said = ", ".join(f"{m:.2f} at k = {k}" for m, k in zip(means, counts, strict=True))
    return picture(draw, f"Test error over mu of single networks: {said}.")


# ---------------------------------------------------------------- chapter 4: ensembles


def size_curves(curves: Mapping[str, Sequence[np.ndarray]], *, n_views: int = 2) -> Picture:
    """Test error over the number of networks averaged, beside what theory says of them or, where
    both are given, beside averages of students of their average.

    Args:
        curves: "networks" and maybe "distilled students" -> one (K, subsets) array of test errors
            over mu a data draw, NaN where there is no subset.
        n_views: V; each network knows one of V views by chance.
    """
    missed = 1 - 1 / n_views
    coins = "fair coins: $2^{-K}$" if n_views == 2 else f"chance: $(1 - 1/{n_views})^K$"
    alone, floor = len(curves) == 1, 5e-4
    means = {
        name: np.mean([np.nanmean(c, axis=1) for c in draws], axis=0)
        for name, draws in curves.items()
    }
    names = ["mean over ensembles and draws"] if alone else list(curves)
    band: dict[str, Any] = {"label": "middle 80% of ensembles"} if alone else {"lw": 0}
    sizes = np.arange(1, max(map(len, means.values())) + 1)

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(7, 4))
        looks = zip(names, ("D-", "o--"), ("ensemble", "student"), strict=False)
        for (label, style, meaning), (name, draws) in zip(looks, curves.items(), strict=True):
            subsets, colour = np.concatenate(list(draws), axis=1), PALETTE[meaning]
            low, high = np.maximum(np.nanquantile(subsets, [0.1, 0.9], axis=1), floor)
            place = sizes[: len(low)]
            axis.fill_between(place, low, high, alpha=0.25, color=colour, **band)
            axis.plot(place, np.maximum(means[name], floor), style, label=label, color=colour)
        axis.set(yscale="log", ylabel=r"test error / $\mu$")
        axis.set_xticks(sizes)
        if alone:
            grey = PALETTE["theory"]
            axis.plot(sizes, missed**sizes, "--", label=coins, color=grey)
            axis.axhline(1e-3, ls=":", label="Theorem 2's bound", color=grey)
            axis.set(xlabel="networks averaged, K", ylim=(floor, 1))
            axis.legend(fontsize=9)
        else:
            axis.set(xlabel="networks or students averaged, K", ylim=(0.9 * floor, 1))
            figure.legend(loc="outside upper center", ncols=2, fontsize=9)
        return figure

    if alone:
        [mean] = means.values()
        said = ", ".join(f"{mean[K - 1]:.3f} for K = {K}" for K in sizes if K in (1, 2, 5, 10))
        return picture(
            draw,
            f"Test error over mu on a logarithmic axis against the number of networks averaged: "
            f"{said}; a dashed line falls by a factor of {missed:.2g} with every network, a "
            "dotted one marks Theorem 2's bound.",
        )
    said = "; ".join(
        f"{name} from {mean[0]:.3g} alone to {mean[-1]:.3g} for the average of {len(mean)}"
        for name, mean in means.items()
    )
    return picture(
        draw,
        f"Test error over mu on a logarithmic axis, cut at {floor:g}, against the number averaged, "
        f"with bands for the middle 80% of averages: {said}.",
    )


def coverage(learned: np.ndarray) -> Picture:
    """Which views each network has, and how many have each.

    Args:
        learned: (networks, k, V), True where learned.
    """
    networks, k, V = learned.shape

    def draw() -> Figure:
        figure, (above, axis) = plt.subplots(
            2, 1, figsize=(9, 0.28 * networks + 2.2), sharex=True,
            gridspec_kw={"height_ratios": [1, 0.22 * networks]},
        )  # fmt: skip
        # The views of a class stand close together, classes apart.
        place = np.arange(k)[:, None] + 0.8 / V * (np.arange(V) - (V - 1) / 2)
        for view in range(V):
            colour = view_colour(view)
            above.bar(place[:, view], learned[:, :, view].sum(axis=0), width=0.72 / V, color=colour)
            row, column = learned[:, :, view].nonzero()
            axis.scatter(place[column, view], row, marker="s", s=140 / V, color=colour,
                         label=f"view {view + 1}")  # fmt: skip
        above.set(ylabel="networks", yticks=[0, networks], ylim=(0, networks))
        above.set_title("how many networks know the view", fontsize=10, loc="left")
        axis.set_yticks(range(networks), [f"network {r}" for r in range(networks)], fontsize=9)
        axis.set(xlabel="class", xticks=range(k), ylim=(networks - 0.5, -0.5))
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=9)
        return figure

    each = learned.reshape(networks, -1).sum(axis=1)
    union = int(learned.any(axis=0).sum())
    return picture(
        draw,
        f"A mark for every view that a network knows, {networks} networks by {V * k} views, and "
        f"above it a bar for how many know each. Each network has between {each.min()} and "
        f"{each.max()} views; together they have {union}.",
    )


def output_bars(outputs: np.ndarray, label: int, title: str) -> Picture:
    """Scores of every network and of their average on one input.

    Args:
        outputs: (networks, k).
        label: the right class, framed.
        title: above the panels.
    """
    networks, k = outputs.shape
    shown = np.vstack([outputs, outputs.mean(axis=0)])

    def draw() -> Figure:
        figure, axes = plt.subplots(
            1, networks + 1, figsize=(min(11, 1.1 * (networks + 1)), 3), sharey=True, sharex=True
        )
        for r, (axis, scores) in enumerate(zip(axes, shown, strict=True)):
            last = r == networks
            colours = [PALETTE["ensemble"] if last else PALETTE["single"]] * k
            bars = axis.barh(range(k), scores, color=colours)
            bars[label].set(edgecolor=_ink(), linewidth=1.8)
            right = scores.argmax() == label
            axis.set_title(("average" if last else f"{r}") + (" ✓" if right else " ✗"), fontsize=9)
            axis.xaxis.set_major_locator(mpl.ticker.MaxNLocator(2, integer=True))
        axes[0].set(yticks=range(k), ylabel="class")
        figure.supxlabel("score $F_i(X)$", fontsize=10)
        figure.suptitle(title, fontsize=11)
        return figure

    right = int((outputs.argmax(axis=1) == label).sum())
    verdict = "right" if shown[-1].argmax() == label else "wrong"
    return picture(
        draw,
        f"Bars of the scores of {networks} networks and of their average on one input of class "
        f"{label}: {right} networks answer right, the average is {verdict}.",
    )


def activation_curves(
    z: np.ndarray, values: Mapping[str, np.ndarray], slopes: Mapping[str, np.ndarray]
) -> Picture:
    """The smoothed ReLU and its slope."""
    colours = sns.color_palette("viridis", len(values))

    def draw() -> Figure:
        figure, axes = plt.subplots(1, 2, figsize=(8, 3.2))
        for axis, curves, label in zip(axes, (values, slopes), ("value", "slope"), strict=True):
            for colour, (name, curve) in zip(colours, curves.items(), strict=True):
                axis.plot(z, curve, color=colour, label=name)
            axis.set(xlabel="$z$", ylabel=label)
            _zero_line(axis)
        axes[0].legend(fontsize=9)
        return figure

    n = len(values)
    return picture(
        draw,
        f"Smoothed ReLU for {n} choices of power and threshold: zero for negative z, a power "
        "curve, then a straight line of slope one; beside it the slope, from 0 to 1.",
    )


def _zero_line(axis: Axes) -> None:
    axis.axhline(0, color=_ink(), lw=0.5)
