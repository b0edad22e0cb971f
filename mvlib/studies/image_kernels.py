r"""Ridge regression on frozen features of photographs (the other half of Figures 1 and 6).

As in Section 2.1 a feature map has one output, $\Phi(x) = \nabla_W f(W_0, x)$, and every class has
weights of its own on it: $f_i(x) = \langle\theta_i, \Phi(x)\rangle$.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as nnf
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.arithmetic import inner_products
from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.deep.image_networks import ResidualNet, image_outputs, init_network
from mvlib.deep.image_sets import ImageData, ImageSets, image_sets
from mvlib.deep.optimisers import Weights
from mvlib.paper.ensemble import ensemble_outputs
from mvlib.paper.gradient_descent import Progress
from mvlib.paper.tangent_kernel import gram, kernel_ridge, predict
from mvlib.store.kinds import Kind, register
from mvlib.studies.one_draw import as_arrays, ticker

MAPS = ("tangent", "convolution")
ROWS = ("single", "ensemble", "average", "distilled", "self_distilled", "hard_student")
CHUNK = 100  # images whose gradients are taken at once
GRID = 4  # random convolutions are averaged over GRID x GRID parts of the image


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageKernelStudy:
    """Linear learners on frozen features of images.

    Attributes:
        data: training and test images.
        features: "tangent", the gradient of a residual network at its start, or "convolution",
            random 5 x 5 filters, rectified and averaged over a 4 x 4 grid.
        width: c of that network, or the number of filters.
        n_seeds: L >= 2 maps of the ensemble and of the trained average.
        n_students: fresh maps, between 1 and L, each fitted to the labels, to the ensemble and to
            one of its members.
        first_seed: maps have seeds first_seed, first_seed + 1, ...; students follow.
        diag_reg: lambda > 0 of the ridge, in units of the kernel's mean diagonal.
    """

    data: ImageData
    features: str
    width: int
    n_seeds: int
    n_students: int
    first_seed: int
    diag_reg: float

    def __post_init__(self) -> None:
        require(self.features in MAPS, "features", "", self.features, f"be one of {MAPS}",
                "pick one")  # fmt: skip
        require_int("width", "c", self.width, 1, "try 16")
        require_int("n_seeds", "L", self.n_seeds, 2, "an ensemble needs two members")
        require_int("n_students", "L", self.n_students, 1, "train at least one student")
        fits, bound = self.n_students <= self.n_seeds, f"be <= {self.n_seeds}"
        require(fits, "n_students", "", self.n_students, bound, "each needs a teacher of its own")
        require_int("first_seed", "seed", self.first_seed, 0, "pass a plain int")
        require_number("diag_reg", "lambda", self.diag_reg, 0, math.inf, "try .01", open_low=True)

    @property
    def n_maps(self) -> int:
        """Of the ensemble and of the students."""
        return self.n_seeds + self.n_students


def kernel_flops(study: ImageKernelStudy) -> float:
    """Floating-point operations, about; gradients and factors count tenfold, being slow."""
    n, t = study.data.n_train, study.data.n_test
    features, D = 500.0 * study.width * (n + t), study.width * GRID * GRID
    if study.features == "tangent":
        net = ResidualNet(n_classes=1, channels=1, side=28, width=study.width)
        features = 30 * net.flops() * (n + t)
        D = sum(math.prod(shape) for shape in net.shapes().values())
    return study.n_maps * (features + 2.0 * n * (n + t) * D + 10 * n**3)


def tangent_map(
    W: Weights, X: Float[Tensor, "n ..."], *, outputs: Callable[[Weights, Tensor], Tensor]
) -> Float[Tensor, "n D"]:
    r"""$\nabla_W f(W_0, x)$ of a network with one output, all weights side by side."""
    gradient = torch.func.grad(lambda weights, x: outputs(weights, x[None]).squeeze())
    gradient = torch.func.vmap(gradient, in_dims=(None, 0))
    return torch.cat([g.flatten(1) for g in gradient(W, X).values()], dim=1)


def convolution_map(
    filters: Float[Tensor, "f ch 5 5"], X: Float[Tensor, "n ch h w"]
) -> Float[Tensor, "n D"]:
    """Rectified answers of random filters, averaged over a grid."""
    answers = nnf.relu(nnf.conv2d(X, filters, stride=2, padding=2))
    return nnf.adaptive_avg_pool2d(answers, GRID).flatten(1)


def kernels(study: ImageKernelStudy, seed: int, sets: ImageSets) -> tuple[Tensor, Tensor]:
    """Of one of the study's maps."""
    channels, side, device = *sets.X.shape[1:3], str(sets.X.device)
    if study.features == "tangent":
        net = ResidualNet(n_classes=1, channels=channels, side=side, width=study.width)
        W = init_network(seed, net, device=device)
        return products(partial(tangent_map, W, outputs=image_outputs), sets.X, sets.X_test)
    shape = (study.width, channels, 5, 5)
    filters = torch.randn(shape, generator=stream(seed, "random filters"))
    filters = (filters / (25 * channels) ** 0.5).to(device)
    return products(partial(convolution_map, filters), sets.X, sets.X_test)


def products(
    features: Callable[[Tensor], Tensor], X: Float[Tensor, "n ..."], X_test: Float[Tensor, "t ..."]
) -> tuple[Float[Tensor, "n n"], Float[Tensor, "t n"]]:
    r"""$K = \Phi\Phi^\top$ of the training set, and of test against training inputs."""
    with torch.no_grad():
        train = torch.cat([features(x) for x in X.split(CHUNK)])
        test = [inner_products(features(x), train) for x in X_test.split(CHUNK)]
        return gram(train, train.new_empty(len(train), len(train))), torch.cat(test)


def fit(
    kernel: Float[Tensor, "n n"], test_kernel: Float[Tensor, "t n"],
    targets: Float[Tensor, "*fits n k"], diag_reg: float,
) -> tuple[Float[Tensor, "*fits n k"], Float[Tensor, "*fits t k"]]:  # fmt: skip
    """Kernel ridge, one kernel for all classes: outputs on the training set and on the test set."""
    by_class = targets.movedim(-1, 0)[..., None]  # a fit for each class
    dual = kernel_ridge(kernel[None], by_class, diag_reg=diag_reg)
    train, test = (predict(K[None], dual) for K in (kernel, test_kernel))
    return train.squeeze(-1).movedim(0, -1), test.squeeze(-1).movedim(0, -1)


def run_image_kernels(
    study: ImageKernelStudy, *, progress: Progress | None = None, device: str = "cpu"
) -> dict[str, np.ndarray]:
    """What `frozen_learners` returns."""
    sets = image_sets(study.data, device=device)
    maps = (kernels(study, study.first_seed + i, sets) for i in range(study.n_maps))
    return frozen_learners(
        maps, sets.y, sets.y_test, n_classes=sets.n_classes, L=study.n_seeds,
        diag_reg=study.diag_reg, tick=ticker(study.n_maps, progress),
    )  # fmt: skip


def frozen_learners(
    maps: Iterable[tuple[Float[Tensor, "n n"], Float[Tensor, "t n"]]], y: Int[Tensor, " n"],
    y_test: Int[Tensor, " t"], *, n_classes: int, L: int, diag_reg: float, tick: Callable[[], None],
) -> dict[str, np.ndarray]:  # fmt: skip
    """Six learners of one kind of features: single, each of the L; ensemble, the mean of their
    outputs; average, F = (f_1 + ... + f_L) / L fitted as one; and students on fresh features,
    fitted to the ensemble's outputs on the training set (distilled), to those of one member
    (self_distilled), or to the labels (hard_student).

    Args:
        maps: the `products` of L feature maps, then of the students'.
        tick: called after each.

    Returns:
        ``<row>_wrong`` (learners, n_test) for each of `ROWS`, and teacher_train_gap, the mean
        distance of the ensemble's outputs on the training set from the one-hot labels.
    """
    one_hot = nnf.one_hot(y, n_classes).float()
    sums, train, test, students = [torch.zeros((), device=y.device)] * 2, [], [], []
    for i, pair in enumerate(maps):
        if i < L:
            fitted = fit(*pair, one_hot, diag_reg)
            train.append(fitted[0])
            test.append(fitted[1])
            sums = [a + b for a, b in zip(sums, pair, strict=True)]
        else:
            teacher = ensemble_outputs(torch.stack(train))
            targets = torch.stack([teacher, train[i - L], one_hot])
            students.append(fit(*pair, targets, diag_reg)[1])
        tick()
    single = torch.stack(test)
    average = fit(sums[0], sums[1], one_hot, diag_reg)[1]
    rows = (single, ensemble_outputs(single)[None], average[None], *torch.stack(students, dim=1))
    by_row = zip(ROWS, rows, strict=True)
    wrong = {f"{row}_wrong": outputs.argmax(dim=-1) != y_test for row, outputs in by_row}
    return as_arrays(wrong | {"teacher_train_gap": (teacher - one_hot).abs().mean().double()})


register(Kind(name="image kernels", configuration=ImageKernelStudy, run=run_image_kernels,
              work=kernel_flops, steps=lambda study: study.n_maps, version=2))  # fmt: skip
