"""Drawings of networks, kernels and students on photographs; errors are shares and are
drawn in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from mvlib.figures import parts
from mvlib.figures.picture import ENSEMBLE, PALETTE, SINGLE, STUDENT, THEORY, canvas, picture
from mvlib.store.entries import Arrays

_ERROR = "test error, %"
_MARKER_AND_LINE = {"single": "o-", "ensemble": "D--"}


def _grey(axis: Axes, image: np.ndarray) -> None:
    """A (channels, h, w) image, grey or in colour, stretched to its own range."""
    low, high = float(image.min()), float(image.max())
    shown = np.moveaxis((image - low) / max(high - low, 1e-9), 0, -1)
    axis.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=1)


@picture
def error_rows(panels: Sequence[tuple[str, Mapping[str, np.ndarray]]]) -> str:
    """The paper's Figures 1 and 6: every learner's test error, networks beside frozen features;
    `panels`: (title, rows), the same rows in every panel, with test errors (learners,)."""
    names = list(panels[0][1])
    axes = parts.rows_of(1, len(panels), 0.34 * len(names) + 0.5, sharex=True)
    for axis, (title, rows) in zip(axes, panels, strict=True):
        for y, name in enumerate(names):
            errors = 100 * rows[name]
            colour, place = parts.colour_of(name), y - 0.12 + parts.spread(len(errors), 0.24)
            axis.plot(errors, place, "o", color=colour, ms=5, alpha=0.7, mew=0)
            axis.plot(errors.mean(), y + 0.2, "D", color=colour, mec=parts.ink(), ms=7)
        axis.set_yticks(range(len(names)), names)
        axis.set(title=title, ylim=(len(names) - 0.5, -0.6))
        axis.grid(axis="both", color=THEORY, alpha=0.25)
    axes[-1].set_xlabel(_ERROR)
    said = "; ".join(
        f"{title}: " + ", ".join(f"{name} {100 * rows[name].mean():.1f}" for name in names)
        for title, rows in panels
    )
    return (
        f"Dots of test error in percent, one row a kind of learner, {len(panels)} panels with one "
        f"axis; diamonds are means. {said}."
    )


@picture
def ensemble_sizes(curves: Mapping[str, np.ndarray]) -> str:
    """The paper's Figure 8: ensembles of networks against ensembles of distilled students;
    `curves`: what is averaged -> test errors (sizes, subsets), NaN where there is no subset."""
    [axis] = canvas((6.5, 3.8))
    looks = (("D-", ENSEMBLE), ("o--", STUDENT))
    means = {
        name: parts.averages(axis, [errors], look, unit=100, color=colour, alpha=0.2,
                             label=f"averages of {name}")
        for (look, colour), (name, errors) in zip(looks, curves.items(), strict=False)
    }  # fmt: skip
    sizes = range(1, max(map(len, means.values())) + 1)
    axis.set(xlabel="number averaged", ylabel=_ERROR, xticks=sizes)
    axis.legend(fontsize=9)
    said = "; ".join(f"{n} from {m[0]:.1f} alone to {m[-1]:.1f}" for n, m in means.items())
    return (
        f"Test error in percent against the number averaged, with bands for the middle 80% of "
        f"subsets: {said} for the average of all."
    )


@picture
def spread_and_gain(networks: Mapping[str, Arrays]) -> str:
    """How far networks differ in error, and how much their ensemble gains; `networks`: share of
    labels replaced -> arrays with wrong (networks, n) and ensemble_wrong (n,)."""
    columns = {
        share: (100 * a["wrong"].mean(axis=1), 100 * float(a["ensemble_wrong"].mean()))
        for share, a in networks.items()
    }
    [axis] = canvas((6, 3.6))
    parts.networks_and_average(axis, columns, "their ensemble")
    axis.set(xlabel="training labels replaced", ylabel=_ERROR, ylim=(0, None))
    axis.legend(fontsize=9)
    said = "; ".join(
        f"{share}: networks {errors.min():.1f} to {errors.max():.1f}, ensemble {together:.1f}"
        for share, (errors, together) in columns.items()
    )
    return f"Dots of test error in percent by share of wrong labels. {said}."


@picture
def view_curves(
    shares: Sequence[float], panels: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> str:
    """Halves as views: errors as training sees more halves, `shares` of its images; `panels`: title
    -> errors of one network and of the ensemble, (2, shares) each: on whole and on half images."""
    axes = parts.rows_of(1, len(panels), 2.8, sharex=True, sharey=True)
    for axis, (title, pair) in zip(axes, panels.items(), strict=True):
        for who, (whole, half) in zip(("single", "ensemble"), pair, strict=True):
            for kind, alpha, errors in (("half", 1.0, half), ("whole", 0.45, whole)):
                axis.plot(shares, 100 * errors, _MARKER_AND_LINE[who], color=PALETTE[who],
                          alpha=alpha, label=f"{who}, {kind} images")  # fmt: skip
        axis.axhline(50, color=THEORY, ls=":")
        axis.text(shares[-1], 51, "Theorem 1", ha="right", color=THEORY)
        axis.set(title=title, ylabel=_ERROR, ylim=(0, 100))
    axes[-1].set_xlabel(r"training images with one half, $\mu$")
    parts.legend_outside(axes[0], 2)
    said = "; ".join(
        f"{title}: half images {100 * s[1, 0]:.0f} to {100 * s[1, -1]:.0f} for one network and "
        f"{100 * e[1, 0]:.0f} to {100 * e[1, -1]:.0f} for the ensemble"
        for title, (s, e) in panels.items()
    )
    return (
        f"Test error in percent against the share of training images with one half, on whole and "
        f"on half images, for one network and for the ensemble. From the smallest share to the "
        f"largest, {said}. A dotted line marks Theorem 1's one half."
    )


@picture
def deletion_curves(
    shares: Sequence[float], panels: Sequence[tuple[str, np.ndarray, np.ndarray]]
) -> str:
    """The paper's Figure 9: errors with `shares` of an intermediate layer's channels deleted, 0
    first; `panels`: (title, single (shares, networks), ensemble (shares,))."""
    places = range(len(shares))
    axes = parts.rows_of(2, len(panels), 2.6, sharex=True, sharey=True)
    for axis, (title, single, ensemble) in zip(axes, panels, strict=False):
        ends = [100 * single.min(axis=1), 100 * single.max(axis=1)]
        parts.curve_with_band(axis, places, 100 * single.mean(axis=1), ends, marker="o", alpha=0.2,
                              lw=None, color=SINGLE, label="single")  # fmt: skip
        axis.plot(100 * ensemble, "D--", color=ENSEMBLE, label="ensemble")
        axis.set_xticks(places, [f"{share:.3g}" for share in shares], fontsize=9)
        axis.set(ylim=(0, 100))
        axis.set_title(title, fontsize=10)
    axes[0].figure.supxlabel("channels deleted", fontsize=11)
    axes[0].figure.supylabel(_ERROR, fontsize=11)
    parts.legend_outside(axes[0], 2)
    said = "; ".join(
        f"{title}: one network {100 * s[0].mean():.0f} to {100 * s[-1].mean():.0f}, ensemble "
        f"{100 * e[0]:.0f} to {100 * e[-1]:.0f}"
        for title, s, e in panels
    )
    return (
        f"Test error in percent against the share of channels deleted, none to {shares[-1]:.3g}, "
        f"with the range over networks. {said}."
    )


@picture
def heat_maps(images: np.ndarray, heat: np.ndarray, titles: Sequence[str]) -> str:
    """The paper's Figure 5: which parts of `images` (images, channels, h, w), called `titles`,
    each network needs: `heat` (networks, images, rows, columns) is the loss of the label's
    log-probability where a square is covered.  Each map has a scale of its own, 5 at most."""
    heat = heat[:5]
    seeds = len(heat)
    axes = canvas((6.2, 1.15 * len(images)), len(images), seeds + 1)
    for axis in axes:
        axis.set_axis_off()
    for row, (image, title) in enumerate(zip(images, titles, strict=True)):
        first, *others = axes[row * (seeds + 1) : (row + 1) * (seeds + 1)]
        _grey(first, image)
        first.set_title(title, fontsize=9)
        for axis, found in zip(others, heat[:, row], strict=True):
            axis.imshow(found, cmap="viridis", vmin=0, vmax=max(float(found.max()), 1e-6))
    for seed, axis in enumerate(axes[1 : seeds + 1]):
        axis.set_title(f"network {seed}", fontsize=9)
    flat = heat.reshape(seeds, len(images), -1).argmax(axis=2)
    different = np.mean([len(set(places)) for places in flat.T])
    return (
        f"{len(images)} images ({', '.join(titles)}), each beside {seeds} maps, one a network, "
        f"bright where covering a square costs the label most. The brightest squares of an image "
        f"lie in {different:.1f} different places on average."
    )


@picture
def channel_images(images: np.ndarray, title: str) -> str:
    """The paper's Figure 3: `images` (channels, ch, h, w) that channels answer to most."""
    columns = 4
    rows = -(-len(images) // columns)
    axes = canvas((5.2, 1.35 * rows + 0.3), rows, columns)
    for axis in axes:
        axis.set_axis_off()
    for i, (axis, image) in enumerate(zip(axes, images, strict=False)):
        _grey(axis, image)
        axis.set_title(f"channel {i}", fontsize=9)
    axes[0].figure.suptitle(title, fontsize=11)
    return (
        f"{title}: {len(images)} small grey pictures of edges, spots and textures, one a channel."
    )


@picture
def sheets(inputs: Sequence[tuple[str, np.ndarray]]) -> str:
    """Inputs whose views are photographs, three a row; `inputs`: (title, patches (P, colours, h,
    w)).  Each patch is a picture in the colours of the views, black where nothing is above 0; each
    sheet has a scale of its own."""
    n, colours = inputs[0][1].shape[:2]
    light = np.array([to_rgb(parts.view_colour(view)) for view in range(colours)])
    axes = parts.rows_of(3, len(inputs), 2.1)
    for axis, (title, patches) in zip(axes, inputs, strict=False):
        shown = np.einsum(
            "pchw,cr->phwr", np.clip(patches / max(patches.max(), 1e-9), 0, 1) ** 0.5, light
        )
        framed = np.pad(shown, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=0.5)
        rows = [np.concatenate([*row], axis=1) for row in np.array_split(framed, round(n**0.5))]
        axis.imshow(np.clip(np.concatenate(rows), 0, 1))
        axis.set_title(title, fontsize=9)
        axis.set_axis_off()
    said = "; ".join(title.replace("\n", ", ") for title, _ in inputs)
    return (
        f"{len(inputs)} sheets of {n} small pictures, blue for view 1, orange for view 2 and black "
        f"where nothing stands: {said}."
    )
