"""Photographs as views: Definition 3.1 where a view is not a vector but any of many pictures."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.deep.image_sets import EXPLORE
from mvlib.deep.photographs import DATASETS, class_names, load
from mvlib.paper.appearance import Appearance

COLOURS = ("blue", "orange")  # what the two channels of a patch are called


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureViews(Appearance):
    r"""Two views a class, each a thing in a colour: class y shows things of kind y of a collection
    of photographs in blue, and of kind `second[y]` in orange.

    Each kind serves one class in each colour, so that either view names the class, neither says
    anything of the other, and both are as hard over the classes together.  A patch has two
    channels, blue and orange, of `side` x `side` pixels; a look is a photograph in one of them, the
    other is 0.  Training takes looks from the training files, every test from photographs that no
    training has seen.

    Choice: only typical photographs, so that what a network errs on is a view that it lacks and
    not a picture that nobody could read; whitened pixels, $(C + \bar c I)^{-1/2}(x - \bar x)$ with
    C their covariance and $\bar c$ its mean diagonal, because shirts, coats and pullovers have
    nearly one mean; and each photograph scaled to read 1 along its kind's mean, as far as that
    does not more than double it, so that strengths are those that the definition deals out.

    Attributes:
        dataset: one of `photographs.DATASETS`.
        typical: share of each kind's photographs that is used, in (0, 1]: those that are nearest
            to the mean of their own kind, in units of which the nearest other mean is farther.
        second: of each class the kind that it shows in orange, all kinds in some order; () is the
            next one, around.
        side: larger photographs are averaged down to this many pixels, >= 4.
        explore: True tests on the last sixth of the training files, not on the test files.
        whitened: False leaves pixels as they are, 0 for black: the same photographs, to look at.
    """

    dataset: str
    typical: float
    second: tuple[int, ...] = ()
    side: int = 16
    explore: bool = False
    whitened: bool = True

    def __post_init__(self) -> None:
        known = self.dataset in DATASETS
        require(known, "dataset", "name", self.dataset, f"be one of {DATASETS}", "pick one")
        few = "it is a share of the photographs"
        require_number("typical", "", self.typical, 0, 1, few, open_low=True)
        k = len(class_names(self.dataset))
        fits = self.second == () or sorted(self.second) == list(range(k))
        bound = f"be the kinds 0..{k - 1} in some order, or ()"
        require(fits, "second", "", self.second, bound, "name each of them once")
        require_int("side", "", self.side, 4, "try 16")
        for flag in ("explore", "whitened"):
            told = getattr(self, flag)
            require(isinstance(told, bool), flag, "", told, "be True or False", "pick one")

    @property
    def dim(self) -> int:
        """d, numbers in a patch."""
        return len(COLOURS) * self.side**2

    def things(self) -> tuple[tuple[str, str], ...]:
        """What each class shows in blue and in orange, by name."""
        names = class_names(self.dataset)
        return tuple((names[i], names[j]) for i, j in self._kinds().T.tolist())

    def _kinds(self) -> Int[Tensor, "2 k"]:
        """What each class shows in each colour."""
        first = torch.arange(len(class_names(self.dataset)))
        return torch.stack([first, torch.tensor(self.second) if self.second else first.roll(-1)])

    def views(self) -> Float[Tensor, "k 2 d"]:
        """The mean picture of each view, in its colour."""
        means, kinds = album(self).means, self._kinds().T.flatten()
        return _coloured(means[kinds], torch.arange(len(kinds))).view(len(means), 2, -1)

    def looks(
        self, view: Int[Tensor, " n"], chance: Float[Tensor, " n"], name: str
    ) -> Float[Tensor, "n d"]:
        """A photograph for each place, in its colour."""
        pages = album(self)
        pictures, first, many = pages.train if name == "train" else pages.test
        kind = self._kinds()[view % 2, view // 2]
        return _coloured(pictures[first[kind] + (chance.double() * many[kind]).long()], view)


class Pages(NamedTuple):
    """Photographs of one part of the files, kind after kind."""

    pictures: Float[Tensor, "n pixels"]
    first: Int[Tensor, " k"]  # row of each kind's first photograph
    many: Int[Tensor, " k"]  # of each


class Album(NamedTuple):
    """The photographs that looks are taken from, and the mean look of each kind."""

    means: Float[Tensor, "k pixels"]  # of length 1
    train: Pages
    test: Pages


@functools.lru_cache(maxsize=2)
def album(views: PictureViews) -> Album:
    """The typical photographs of a collection, whitened and scaled; made once in a process.
    Everything that is measured for it is measured on the training files.

    Raises:
        BadInput: if the files are missing or damaged, or some kind has no photograph left.
    """
    found = load(views.dataset)
    kept, k = len(found.train_labels) - len(found.train_labels) // EXPLORE, found.n_classes
    test = found.test_pixels, found.test_labels
    if views.explore:
        test = found.train_pixels[kept:], found.train_labels[kept:]
    parts = (found.train_pixels[:kept], found.train_labels[:kept]), test
    (X, y), (X_test, y_test) = ((_small(X, views.side), torch.tensor(y)) for X, y in parts)
    means = _means(X, y, k)
    own = typicality(X, y, means)
    least = torch.stack([own[y == kind].quantile(1 - views.typical) for kind in range(k)])
    rest = typicality(X_test, y_test, means) >= least[y_test]
    X, y, X_test, y_test = X[own >= least[y]], y[own >= least[y]], X_test[rest], y_test[rest]
    middle = _means(X, y, k).mean(dim=0) if views.whitened else torch.zeros(X.shape[1])
    Z = whitening(X - middle) if views.whitened else torch.eye(X.shape[1])
    means = _means(X - middle, y, k) @ Z
    length = means.norm(dim=1, keepdim=True)
    pages = (_pages((part - middle) @ Z / length[labels], labels, means / length, views)
             for part, labels in ((X, y), (X_test, y_test)))  # fmt: skip
    return Album(means / length, *pages)


def _small(pixels: np.ndarray, side: int) -> Float[Tensor, "n pixels"]:
    """Grey photographs of side x side pixels in [0, 1]."""
    blocks = torch.tensor(pixels).split(5000)  # in float32 all of them would take long to fill
    shrunk = [nnf.adaptive_avg_pool2d(block.float().mean(dim=1) / 255, side) for block in blocks]
    return torch.cat(shrunk).flatten(1)


def _means(X: Float[Tensor, "n d"], y: Int[Tensor, " n"], k: int) -> Float[Tensor, "k d"]:
    return torch.stack([X[y == kind].mean(dim=0) for kind in range(k)])


def typicality(
    X: Float[Tensor, "n d"], y: Int[Tensor, " n"], means: Float[Tensor, "k d"]
) -> Float[Tensor, " n"]:
    r"""$\min_{j \ne y} \|x - \bar x_j\| / \|x - \bar x_y\| - 1$: below 0 where another kind's
    mean is nearer than the own."""
    distance = torch.cdist(X, means)
    own = distance.gather(1, y[:, None])
    return distance.scatter(1, y[:, None], torch.inf).amin(dim=1) / own.squeeze(1) - 1


def whitening(X: Float[Tensor, "n d"]) -> Float[Tensor, "d d"]:
    r"""$(C + \bar c I)^{-1/2}$ with C the covariance of X and $\bar c$ its mean diagonal, in
    float64 within."""
    C = torch.cov(X.double().T)
    values, vectors = torch.linalg.eigh(C)
    scale = (values + C.diagonal().mean()).rsqrt()
    return ((vectors * scale) @ vectors.T).to(X.dtype)


def _pages(X: Tensor, y: Tensor, means: Tensor, views: PictureViews) -> Pages:
    many = torch.bincount(y, minlength=len(means))
    bound = "leave each kind a photograph in every part of the files"
    require(bool((many > 0).all()), "typical", "", views.typical, bound, "raise it")
    read = (X * means[y]).sum(dim=1, keepdim=True)
    scaled = X / read.clamp_min(0.5)
    return Pages(scaled[y.argsort(stable=True)], many.cumsum(dim=0) - many, many)


def _coloured(pictures: Float[Tensor, "n pixels"], view: Int[Tensor, " n"]) -> Float[Tensor, "n d"]:
    """Each picture in the channel of its view's colour; the other is 0."""
    found = pictures.new_zeros(len(view), len(COLOURS), pictures.shape[1])
    found[torch.arange(len(view)), view % 2] = pictures
    return found.flatten(1)
