"""Experiments on photographs, at three scales."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mvlib.deep.image_networks import Epochs
from mvlib.deep.image_sets import ImageData
from mvlib.deep.photographs import here
from mvlib.experiments.settings import FIRST_DRAW, Families, Scale
from mvlib.studies.image_inside import InsideStudy
from mvlib.studies.image_kernels import ImageKernelStudy
from mvlib.studies.image_views import ViewStudy
from mvlib.studies.images import ImageStudy

# Seeds of networks, students and averages; settings were chosen with seeds below 10 (students:
# 100 to 109) on draws 0 to 5, and tested on the last sixth of the training files.
NETWORKS, STUDENTS, AVERAGES = 10, 200, 300


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSize:
    """What a scale changes; `wide` is the width of a network with about as many weights as the
    trained average has in all its members."""

    dataset: str
    n_train: int
    n_test: int
    n_kernel_test: int
    width: int
    wide: int
    n_filters: int
    epochs: int
    n_learners: int
    n_averages: int
    n_view_learners: int
    view_shares: tuple[float, ...]
    diag_reg: float = 1e-3


IMAGE_SIZES: dict[str, ImageSize] = {
    # Fashion-MNIST where it is on this machine, else digits: see `image_size`.
    "smoke": ImageSize(dataset="digits", n_train=100, n_test=200, n_kernel_test=100, width=4,
                       wide=8, n_filters=16, epochs=20, n_learners=3, n_averages=2,
                       n_view_learners=2, view_shares=(0.0, 0.4)),
    "book": ImageSize(dataset="fashion-mnist", n_train=1000, n_test=10000, n_kernel_test=5000,
                      width=16, wide=50, n_filters=256, epochs=30, n_learners=10, n_averages=3,
                      n_view_learners=5, view_shares=(0.0, 0.1, 0.2, 0.4)),
    # Your own copy of the archive, and a GPU.
    "paper": ImageSize(dataset="cifar-10", n_train=40000, n_test=10000, n_kernel_test=10000,
                       width=64, wide=200, n_filters=1024, epochs=60, n_learners=10, n_averages=3,
                       n_view_learners=10, view_shares=(0.0, 0.05, 0.1, 0.2, 0.4)),
}  # fmt: skip


def image_size(scale: Scale) -> ImageSize:
    """The scale's sizes; at smoke scale the images that are on this machine."""
    size = IMAGE_SIZES[scale]
    if scale == "smoke" and here("fashion-mnist"):
        return replace(size, dataset="fashion-mnist")
    return size


def image_study(scale: Scale, **data: Any) -> ImageStudy:
    """The networks of every experiment on photographs; `data` changes fields of its `ImageData`."""
    size = image_size(scale)
    base = ImageData(
        dataset=size.dataset, n_train=size.n_train, n_test=size.n_test, draw=FIRST_DRAW
    )
    return ImageStudy(
        data=replace(base, **data),
        width=size.width,
        schedule=Epochs(epochs=size.epochs, precision="bfloat16"),
        n_learners=size.n_learners,
        first_seed=NETWORKS,
    )


def image_families(scale: Scale) -> Families:
    """Ensembles and what is compared with them, and what their networks see."""
    size, base = image_size(scale), image_study(scale)
    average = replace(base, teacher=base, target="average", first_seed=STUDENTS)
    smoke = scale == "smoke"
    features = {
        "ntk": ("tangent", size.width),
        "random convolutions": ("convolution", size.n_filters),
    }
    return {
        "images-single": {size.dataset: base},
        "images-distilled": {size.dataset: average},
        "images-self-distilled": {size.dataset: replace(average, target="each")},
        # The mean of as many networks as the ensemble has, trained as one.
        "images-average": {
            f"{base.n_learners} networks": replace(
                base,
                members=base.n_learners,
                n_learners=size.n_averages,
                first_seed=AVERAGES,
            )
        },
        # About as many weights as a trained average: what width alone gains.
        "images-wide": {
            f"{size.wide} channels": replace(base, width=size.wide, n_learners=size.n_averages)
        },
        "images-kernels": {
            label: ImageKernelStudy(
                data=replace(base.data, n_test=size.n_kernel_test),
                features=kind,
                width=width,
                n_seeds=size.n_learners,
                n_students=size.n_learners,
                first_seed=NETWORKS,
                diag_reg=size.diag_reg,
            )
            for label, (kind, width) in features.items()
        },
        # Halves as views, a growing share of images with one half missing.
        "images-views": {
            f"mu = {mu:g}, {'two photographs' if two else 'one photograph'}": ViewStudy(
                base=replace(
                    image_study(scale, single_view_fraction=mu, two_photographs=two),
                    n_learners=size.n_view_learners,
                )
            )
            for two in (False, True)
            for mu in size.view_shares
        },
        "images-noise": {
            f"label noise {share:g}": image_study(scale, label_noise=share) for share in (0.1, 0.2)
        },
        # Into the networks of "images-single", trained again.
        "images-inside": {
            "deletion, heat, channels": InsideStudy(
                base=base,
                deleted=(0.5, 0.875) if smoke else (0.5, 0.75, 0.875),
                n_heat=3 if smoke else 6,
                patch=6,
                stride=4 if smoke else 2,
                n_channels=4 if smoke else 16,
            )
        },
    }
