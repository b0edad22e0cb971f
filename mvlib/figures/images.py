"""Drawings of networks, kernels and students on photographs (chapter 8).

As in `figures`: arrays in, a `Picture` out, colours with one meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mvlib.figures.networks import PALETTE, Picture, _ink, picture
from mvlib.store.entries import Arrays

_ERROR = "test error, %"
_LINES = {"single": "o-", "ensemble": "D--"}


def _colour(row: str) -> str:
    if row.startswith("ensemble of distilled"):
        return PALETTE["student"]
    for word, meaning in (("ensemble", "ensemble"), ("average", "ensemble"), ("single", "single")):
        if word in row:
            return PALETTE[meaning]
    return PALETTE["student"]


def _grey(axis: Axes, image: np.ndarray) -> None:
    """A (channels, h, w) image, grey or in colour, stretched to its own range."""
    low, high = float(image.min()), float(image.max())
    shown = np.moveaxis((image - low) / max(high - low, 1e-9), 0, -1)
    axis.imshow(shown.squeeze(), cmap="gray", vmin=0, vmax=1)
    axis.set_axis_off()


def error_rows(panels: Sequence[tuple[str, Mapping[str, np.ndarray]]]) -> Picture:
    """The paper's Figures 1 and 6: every learner's test error, networks beside frozen features.

    Args:
        panels: (title, rows), the same rows in every panel; a row has test errors, (learners,).
    """
    names = list(panels[0][1])

    def draw() -> Figure:
        size = (min(11.0, 3 * len(panels) + 2), 0.5 * len(names) + 1.2)
        figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
        for axis, (title, rows) in zip(axes[0], panels, strict=True):
            for y, name in enumerate(names):
                errors = 100 * rows[name]
                spread = y - 0.12 + 0.12 * np.linspace(-1, 1, len(errors)) * (len(errors) > 1)
                axis.plot(errors, spread, "o", color=_colour(name), ms=5, alpha=0.7, mew=0)
                axis.plot(errors.mean(), y + 0.2, "D", color=_colour(name), mec=_ink(), ms=7)
            axis.set(title=title, xlabel=_ERROR)
            axis.grid(axis="both", color=PALETTE["theory"], alpha=0.25)
        axes[0, 0].set_yticks(range(len(names)), names)
        axes[0, 0].set_ylim(len(names) - 0.5, -0.6)
        return figure

    said = "; ".join(
        f"{title}: " + ", ".join(f"{name} {100 * rows[name].mean():.1f}" for name in names)
        for title, rows in panels
    )
    return picture(
        draw,
        f"Dots of test error in percent, one row a kind of learner, {len(panels)} panels with axes "
        f"of their own; diamonds are means. {said}.",
    )


def ensemble_sizes(curves: Mapping[str, np.ndarray]) -> Picture:
    """The paper's Figure 8: ensembles of networks against ensembles of distilled students.

    Args:
        curves: "single networks" and "distilled students" -> test errors (sizes, subsets), NaN
            where there is no subset.
    """
    means = {name: 100 * np.nanmean(curve, axis=1) for name, curve in curves.items()}

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(6.5, 3.8))
        for (name, mean), style in zip(means.items(), ("D-", "o--"), strict=False):
            colour = PALETTE["student" if "distilled" in name else "ensemble"]
            sizes = np.arange(1, len(mean) + 1)
            low, high = 100 * np.nanquantile(curves[name], [0.1, 0.9], axis=1)
            axis.fill_between(sizes, low, high, color=colour, alpha=0.2, lw=0)
            axis.plot(sizes, mean, style, color=colour, label=f"averages of {name}")
        axis.set(xlabel="number averaged", ylabel=_ERROR)
        axis.set_xticks(range(1, max(map(len, means.values())) + 1))
        axis.legend(fontsize=9)
        return figure

    said = "; ".join(f"{n} from {m[0]:.1f} alone to {m[-1]:.1f}" for n, m in means.items())
    return picture(
        draw,
        f"Test error in percent against the number averaged, with bands for the middle 80% of "
        f"subsets: {said} for the average of all.",
    )


def spread_and_gain(networks: Mapping[str, Arrays]) -> Picture:
    """How far networks differ in error, and how much their ensemble gains, by label noise.

    Args:
        networks: share of labels replaced -> arrays with wrong (networks, n), ensemble_wrong (n,).
    """
    rows = [
        (share, 100 * a["wrong"].mean(axis=1), 100 * float(a["ensemble_wrong"].mean()))
        for share, a in networks.items()
    ]

    def draw() -> Figure:
        figure, axis = plt.subplots(figsize=(6, 3.6))
        for x, (_, errors, together) in enumerate(rows):
            names = ("one network", "their ensemble") if x == 0 else (None, None)
            places = x + np.linspace(-0.15, 0.15, len(errors))
            axis.plot(places, errors, "o", color=PALETTE["single"], label=names[0])
            axis.plot(x + 0.3, together, "D", ms=8, color=PALETTE["ensemble"], label=names[1])
        axis.set_xticks(range(len(rows)), list(networks))
        axis.set(xlabel="training labels replaced", ylabel=_ERROR, ylim=(0, None))
        axis.legend(fontsize=9)
        return figure

    said = "; ".join(
        f"{share}: networks {errors.min():.1f} to {errors.max():.1f}, ensemble {together:.1f}"
        for share, errors, together in rows
    )
    return picture(draw, f"Dots of test error in percent by share of wrong labels. {said}.")


def view_curves(
    shares: Sequence[float], panels: Mapping[str, tuple[np.ndarray, np.ndarray]]
) -> Picture:
    """Halves as views: errors on half images as training sees more of them.

    Args:
        shares: mu of each study.
        panels: title -> errors of one network and of the ensemble, (2, shares) each: on whole and
            on half images.
    """

    def draw() -> Figure:
        size = (4 * len(panels) + 1, 3.6)
        figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
        for axis, (title, pair) in zip(axes[0], panels.items(), strict=True):
            for who, errors in zip(("single", "ensemble"), pair, strict=True):
                for kind, alpha, row in (("half", 1.0, 1), ("whole", 0.45, 0)):
                    axis.plot(shares, 100 * errors[row], _LINES[who], color=PALETTE[who],
                              alpha=alpha, label=f"{who}, {kind} images")  # fmt: skip
            axis.axhline(50, color=PALETTE["theory"], ls=":")
            axis.text(shares[-1], 51, "Theorem 1", ha="right", color=PALETTE["theory"])
            axis.set(title=title, xlabel=r"training images with one half, $\mu$", ylim=(0, 100))
        axes[0, 0].set_ylabel(_ERROR)
        axes[0, 0].legend(fontsize=8)
        return figure

    said = "; ".join(
        f"{title}: half images {100 * s[1, 0]:.0f} to {100 * s[1, -1]:.0f} for one network and "
        f"{100 * e[1, 0]:.0f} to {100 * e[1, -1]:.0f} for the ensemble"
        for title, (s, e) in panels.items()
    )
    return picture(
        draw,
        f"Test error in percent against the share of training images with one half, on whole and "
        f"on half images, for one network and for the ensemble. From the smallest share to the "
        f"largest, {said}. A dotted line marks Theorem 1's one half.",
    )


def deletion_curves(
    shares: Sequence[float], panels: Sequence[tuple[str, np.ndarray, np.ndarray]]
) -> Picture:
    """The paper's Figure 9: errors with channels of an intermediate layer deleted.

    Args:
        shares: of the channels deleted, 0 first.
        panels: (title, single, ensemble) with test errors (shares, networks) and (shares,).
    """

    def draw() -> Figure:
        size = (min(11.0, 2.7 * len(panels) + 1), 3.4)
        figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
        ticks = [f"{share:.3g}" for share in shares]
        for axis, (title, single, ensemble) in zip(axes[0], panels, strict=True):
            low, high = 100 * single.min(axis=1), 100 * single.max(axis=1)
            axis.fill_between(range(len(shares)), low, high, color=PALETTE["single"], alpha=0.2)
            for name, errors in (("single", single.mean(axis=1)), ("ensemble", ensemble)):
                axis.plot(100 * errors, _LINES[name], color=PALETTE[name], label=name)
            axis.set_xticks(range(len(shares)), ticks)
            axis.set(title=title, xlabel="channels deleted", ylim=(0, 100))
        axes[0, 0].set_ylabel(_ERROR)
        axes[0, 0].legend(fontsize=9)
        return figure

    said = "; ".join(
        f"{title}: one network {100 * s[0].mean():.0f} to {100 * s[-1].mean():.0f}, ensemble "
        f"{100 * e[0]:.0f} to {100 * e[-1]:.0f}"
        for title, s, e in panels
    )
    return picture(
        draw,
        f"Test error in percent against the share of channels deleted, none to {shares[-1]:.3g}, "
        f"with the range over networks. {said}.",
    )


def heat_maps(images: np.ndarray, heat: np.ndarray, labels: Sequence[int]) -> Picture:
    """The paper's Figure 5: which parts of an image each network needs.

    Args:
        images: (images, channels, h, w).
        heat: (networks, images, rows, columns), the loss of the label's log-probability where a
            square is covered; each map is drawn on a scale of its own, those of 8 networks at most.
        labels: the classes of the images.
    """
    heat = heat[:8]
    seeds, titles = len(heat), [f"class {label}" for label in labels]

    def draw() -> Figure:
        size = (min(11.0, 1.1 * (seeds + 1)), 1.15 * len(images))
        figure, axes = plt.subplots(len(images), seeds + 1, figsize=size, squeeze=False)
        for row, (image, title) in enumerate(zip(images, titles, strict=True)):
            _grey(axes[row, 0], image)
            axes[row, 0].set_title(title, fontsize=8)
            for seed in range(seeds):
                axis, found = axes[row, seed + 1], heat[seed, row]
                largest = max(float(found.max()), 1e-6)
                axis.imshow(found, cmap="viridis", vmin=0, vmax=largest)
                axis.set_axis_off()
                if row == 0:
                    axis.set_title(f"network {seed}", fontsize=8)
        return figure

    flat = heat.reshape(seeds, len(images), -1).argmax(axis=2)
    different = np.mean([len(set(flat[:, i])) for i in range(len(images))])
    return picture(
        draw,
        f"{len(images)} images ({', '.join(titles)}), each beside {seeds} maps, one a network, "
        f"bright where covering a square costs the label most. The brightest squares of an image "
        f"lie in {different:.1f} different places on average.",
    )


def channel_images(images: np.ndarray, title: str) -> Picture:
    """The paper's Figure 3: images that channels of an intermediate layer answer to most.

    Args:
        images: (channels, ch, h, w).
        title: of the whole.
    """
    columns = min(8, len(images))
    rows = -(-len(images) // columns)

    def draw() -> Figure:
        size = (1.2 * columns, 1.3 * rows + 0.3)
        figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False)
        for i, axis in enumerate(axes.flat):
            axis.set_axis_off()
            if i < len(images):
                _grey(axis, images[i])
                axis.set_title(f"channel {i}", fontsize=8)
        figure.suptitle(title, fontsize=10)
        return figure

    return picture(
        draw,
        f"{title}: {len(images)} small grey pictures of edges, spots and textures, one a channel.",
    )
