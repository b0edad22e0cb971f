"""Training and test sets drawn from photographs: few images, balanced labels, and what the book
does to them on purpose (wrong labels, missing halves)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import Name, stream
from mvlib.deep.photographs import DATASETS, load

HALVES = ("whole", "left only", "right only")
SHIFT = 2  # pixels by which an augmented image moves at most, either way
EXPLORE = 6  # the last sixth of the training files is for choosing settings, never for training


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageData:
    r"""Which images, how many, and what was done to them.

    Choice: labels are balanced, and the training images come from the first five sixths of the
    training files; the last sixth is kept for choosing settings (`explore`).  Augmented copies are
    made once and are the same for all learners, so that a teacher's outputs on every image that its
    students see can be kept.

    Attributes:
        dataset: one of `photographs.DATASETS`.
        n_train: N, at least one image a class.
        n_test: the first so many official test images.
        draw: which N images are drawn for training.
        label_noise: share of training labels replaced by another class's, in [0, 1].
        single_view_fraction: mu, share of training images with only one half, in [0, 1].
        two_photographs: True joins the left half of one image with the right half of another of
            the same class, so that the halves have only the class in common.
        explore: True tests on the last sixth of the training files instead.
        copies: of each training image, >= 1: as it is, and copies - 1 times augmented, that is
            flipped with probability 1/2 and shifted (`augmented`).
    """

    dataset: str
    n_train: int
    n_test: int
    draw: int
    label_noise: float = 0.0
    single_view_fraction: float = 0.0
    two_photographs: bool = False
    explore: bool = False
    copies: int = 1

    def __post_init__(self) -> None:
        known, mu = self.dataset in DATASETS, self.single_view_fraction
        require(known, "dataset", "name", self.dataset, f"be one of {DATASETS}", "pick one")
        require_int("n_train", "N", self.n_train, 10, "give each class an image")
        require_int("n_test", "n", self.n_test, 1, "test on at least one image")
        require_int("draw", "seed", self.draw, 0, "pass a plain int")
        require_number("label_noise", "", self.label_noise, 0, 1, "it is a share of the labels")
        require_number("single_view_fraction", "mu", mu, 0, 1, "it is a share of the images")
        require_int("copies", "", self.copies, 1, "1 is each image as it is")
        for field in ("two_photographs", "explore"):
            value = getattr(self, field)
            require(isinstance(value, bool), field, "", value, "be True or False", "pick one")

    @property
    def n_shown(self) -> int:
        """Training images and all their augmented copies."""
        return self.n_train * self.copies


@dataclass(frozen=True, slots=True)
class ImageSets:
    """Pixels centred and scaled by the training set's own mean and standard deviation, so that 0
    is its mean grey.  Where images are augmented, N copies is in the place of N: first all images
    as they are, then all of them augmented once, and so on."""

    X: Tensor  # training images (N, channels, height, width)
    y: Tensor  # the labels trained on
    true_y: Tensor  # the labels before any noise
    X_test: Tensor
    y_test: Tensor
    n_classes: int


def image_sets(data: ImageData, *, device: str = "cpu") -> ImageSets:
    """Draw a training set and take the test set.

    Raises:
        BadInput: if the files are missing or damaged, or hold too few images.
    """
    found = load(data.dataset)
    k, kept = found.n_classes, len(found.train_labels) - len(found.train_labels) // EXPLORE
    rows = _balanced_rows(found.train_labels[:kept], data, k)
    pixels, labels = found.test_pixels, found.test_labels
    if data.explore:
        pixels, labels = found.train_pixels[kept:], found.train_labels[kept:]
    n, most = data.n_test, len(labels)
    require(n <= most, "n_test", "n", n, f"be <= {most}", "there are no more")
    X, X_test = (torch.tensor(p).float() / 255 for p in (found.train_pixels[rows], pixels[:n]))
    y, y_test = torch.tensor(found.train_labels[rows]), torch.tensor(labels[:n])
    mean, std = X.mean(dim=(0, 2, 3), keepdim=True), X.std(dim=(0, 2, 3), keepdim=True)
    X, X_test = (X - mean) / std, (X_test - mean) / std
    if data.two_photographs:
        X = join_halves(X, y, seed=data.draw, name="train")
        X_test = join_halves(X_test, y_test, seed=data.draw, name="test")
    if data.single_view_fraction:
        X = missing_halves(X, y, data.single_view_fraction, seed=data.draw)
    noisy = noisy_labels(y, data.label_noise, n_classes=k, seed=data.draw)
    if data.copies > 1:
        made = (augmented(X, stream(data.draw, "augmented", i)) for i in range(1, data.copies))
        X, noisy, y = torch.cat([X, *made]), noisy.repeat(data.copies), y.repeat(data.copies)
    X, noisy, y, X_test, y_test = (part.to(device) for part in (X, noisy, y, X_test, y_test))
    return ImageSets(X, noisy, y, X_test, y_test, k)


def _balanced_rows(labels: np.ndarray, data: ImageData, n_classes: int) -> np.ndarray:
    """N rows, the classes as equal in number as N allows, class after class."""
    order = torch.randperm(len(labels), generator=stream(data.draw, "images")).numpy()
    share, rest = divmod(data.n_train, n_classes)
    rows = []
    for label in range(n_classes):
        wanted = share + (label < rest)
        rows.append(order[labels[order] == label][:wanted])
        bound = f"ask for 1 to {len(rows[-1])} images of class {label}"
        fits = len(rows[-1]) == wanted > 0
        require(fits, "n_train", "N", data.n_train, bound, "use more or fewer images")
    return np.concatenate(rows)


def noisy_labels(
    y: Int[Tensor, " n"], share: float, *, n_classes: int, seed: int
) -> Int[Tensor, " n"]:
    """Exactly round(share n) labels replaced by another class's, chosen evenly.  A larger share
    changes the same images and more."""
    generator = stream(seed, "label noise")
    rows = torch.randperm(len(y), generator=generator)[: round(share * len(y))]
    shift = torch.randint(1, n_classes, y.shape, generator=generator)
    return y.index_copy(0, rows, (y[rows] + shift[rows]) % n_classes)


def augmented(X: Float[Tensor, "n c h w"], generator: torch.Generator) -> Float[Tensor, "n c h w"]:
    """Each image flipped left to right or not, and shifted by up to `SHIFT` pixels down and right
    or up and left; what moves in is the value of the image's nearest edge.

    Raises:
        BadInput: if the images are so small that a shift could move all of them out.
    """
    n, side = len(X), min(X.shape[2:])
    bound = f"be > {SHIFT}, the largest shift"
    require(side > SHIFT, "side", "", side, bound, "use larger images, or copies = 1")
    flips = torch.rand(n, generator=generator) < 0.5
    down, right = torch.randint(2 * SHIFT + 1, (2, n, 1), generator=generator)
    padded = nnf.pad(
        torch.where(flips[:, None, None, None], X.flip(3), X), [SHIFT] * 4, "replicate"
    )
    rows, columns = (torch.arange(s) + by for s, by in zip(X.shape[2:], (down, right), strict=True))
    at = torch.arange(n)[:, None, None]
    return padded[at, :, rows[:, :, None], columns[:, None]].movedim(3, 1).contiguous()


def only_half(X: Float[Tensor, "n c h w"], half: str) -> Float[Tensor, "n c h w"]:
    """The images with one half grey; `half` is one of `HALVES`."""
    kept, middle = X.clone(), X.shape[-1] // 2
    if half == "left only":
        kept[..., middle:] = 0
    if half == "right only":
        kept[..., :middle] = 0
    return kept


def missing_halves(
    X: Float[Tensor, "n c h w"], y: Int[Tensor, " n"], share: float, *, seed: int
) -> Float[Tensor, "n c h w"]:
    """A share of the images of each class with one half grey, left and right in turn.  A larger
    share takes the halves of the same images and more."""
    made = X.clone()
    for rows in _classes(y, seed, "halves"):
        rows = rows[: round(share * len(rows))]
        made[rows[::2]] = only_half(X[rows[::2]], "left only")
        made[rows[1::2]] = only_half(X[rows[1::2]], "right only")
    return made


def join_halves(
    X: Float[Tensor, "n c h w"], y: Int[Tensor, " n"], *, seed: int, name: str
) -> Float[Tensor, "n c h w"]:
    """The left half of each image beside the right half of another one of its class (its own
    where it is the only one); every half is used once."""
    made, middle = X.clone(), X.shape[-1] // 2
    for rows in _classes(y, seed, "join", name):
        # A cycle through the class: nobody meets itself.
        made[rows, ..., middle:] = X[rows.roll(1)][..., middle:]
    return made


def _classes(y: Tensor, seed: int, *name: Name) -> Iterator[Tensor]:
    """The rows of each class, in an order of its own."""
    for label in y.unique().tolist():
        rows = (y == label).nonzero().squeeze(1)
        yield rows[torch.randperm(len(rows), generator=stream(seed, *name, label))]
