"""Experiments on photographs (chapter 8), at three scales."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from mvlib.deep.image_networks import Epochs
from mvlib.deep.image_sets import ImageData
from mvlib.deep.photographs import here
from mvlib.experiments.settings import FIRST_DRAW, Experiment, Scale
from mvlib.studies.image_inside import InsideStudy
from mvlib.studies.image_kernels import ImageKernelStudy
from mvlib.studies.image_views import ViewStudy
from mvlib.studies.images import ImageStudy

# Seeds of networks, students and averages; settings were chosen with seeds below 10 (students:
# 100 to 109) on draws 0 to 5, and tested on the last sixth of the training files.
NETWORKS, STUDENTS, AVERAGES = 10, 200, 300
NOISE = (0.1, 0.2)
KERNELS = {"tangent": "ntk", "convolution": "random convolutions"}


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
    """The networks of every experiment of chapter 8; `data` changes fields of its `ImageData`."""
    size = image_size(scale)
    base = ImageData(
        dataset=size.dataset, n_train=size.n_train, n_test=size.n_test, draw=FIRST_DRAW
    )
    return ImageStudy(
        data=replace(base, **data),
        width=size.width,
        schedule=Epochs(epochs=size.epochs),
        n_learners=size.n_learners,
        first_seed=NETWORKS,
    )


def image_single(scale: Scale) -> list[Experiment]:
    """Networks trained one by one on the labels."""
    study = image_study(scale)
    return [Experiment(name="images-single", scale=scale, label=study.data.dataset, study=study)]


def image_students(scale: Scale, name: str, target: str) -> list[Experiment]:
    """Students of the networks' average, or each of one network."""
    (teacher,) = image_single(scale)
    assert isinstance(teacher.study, ImageStudy)
    study = replace(teacher.study, target=target, teacher=teacher.study, first_seed=STUDENTS)
    label = study.data.dataset
    return [Experiment(name=name, scale=scale, label=label, study=study, teacher=teacher)]


def image_distilled(scale: Scale) -> list[Experiment]:
    """Students of the average."""
    return image_students(scale, "images-distilled", "average")


def image_self_distilled(scale: Scale) -> list[Experiment]:
    """Students of one network each."""
    return image_students(scale, "images-self-distilled", "each")


def image_averages(scale: Scale) -> list[Experiment]:
    """The mean of as many networks as the ensemble has, trained as one."""
    size, study = image_size(scale), image_study(scale)
    study = replace(study, members=study.n_learners, n_learners=size.n_averages,
                    first_seed=AVERAGES)  # fmt: skip
    return [Experiment(name="images-average", scale=scale, label=f"{study.members} networks",
                       study=study)]  # fmt: skip


def image_wide(scale: Scale) -> list[Experiment]:
    """Single networks with about as many weights as a trained average: what width alone gains."""
    size = image_size(scale)
    study = replace(image_study(scale), width=size.wide, n_learners=size.n_averages)
    return [Experiment(name="images-wide", scale=scale, label=f"{size.wide} channels",
                       study=study)]  # fmt: skip


def image_kernels(scale: Scale) -> list[Experiment]:
    """Frozen features: the network's tangent kernel, and random convolutions."""
    size = image_size(scale)
    data = replace(image_study(scale).data, n_test=size.n_kernel_test)
    return [
        Experiment(
            name="images-kernels", scale=scale, label=label,
            study=ImageKernelStudy(
                data=data, features=features,
                width=size.width if features == "tangent" else size.n_filters,
                n_seeds=size.n_learners, n_students=size.n_learners, first_seed=NETWORKS,
                diag_reg=size.diag_reg,
            ),
        )
        for features, label in KERNELS.items()
    ]  # fmt: skip


def image_noise(scale: Scale) -> list[Experiment]:
    """Networks trained on partly wrong labels."""
    return [Experiment(name="images-noise", scale=scale, label=f"label noise {share:g}",
                       study=image_study(scale, label_noise=share)) for share in NOISE]  # fmt: skip


def image_views(scale: Scale) -> list[Experiment]:
    """Halves as views, a growing share of images with one half missing."""
    size = image_size(scale)
    return [
        Experiment(
            name="images-views", scale=scale,
            label=f"mu = {mu:g}, {'two photographs' if two else 'one photograph'}",
            study=ViewStudy(base=replace(
                image_study(scale, single_view_fraction=mu, two_photographs=two),
                n_learners=size.n_view_learners,
            )),
        )
        for two in (False, True)
        for mu in size.view_shares
    ]  # fmt: skip


def image_inside(scale: Scale) -> list[Experiment]:
    """Into the networks of `image_single`, trained again."""
    smoke = scale == "smoke"
    study = InsideStudy(
        base=image_study(scale), deleted=(0.5, 0.875) if smoke else (0.5, 0.75, 0.875),
        n_heat=3 if smoke else 6, patch=6, stride=4 if smoke else 2,
        n_channels=4 if smoke else 16,
    )  # fmt: skip
    return [Experiment(name="images-inside", scale=scale, label="deletion, heat, channels",
                       study=study)]  # fmt: skip


IMAGE_FAMILIES = {
    "images-single": image_single,
    "images-distilled": image_distilled,
    "images-self-distilled": image_self_distilled,
    "images-average": image_averages,
    "images-wide": image_wide,
    "images-kernels": image_kernels,
    "images-views": image_views,
    "images-noise": image_noise,
    "images-inside": image_inside,
}
