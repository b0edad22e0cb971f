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
from mvlib.studies.teachers import CONTROLS

# Seeds of networks, students and averages; settings were chosen with seeds below 10 (students:
# 100 to 109) on draws 0 to 5, and tested on the last sixth of the training files.
NETWORKS, STUDENTS, AVERAGES = 10, 200, 300


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageSize:
    """What a scale changes.

    `wide` is the width of a network with about as many weights as the trained average has in all
    its members.  Of the `n_sets` training sets the first has all learners; the others have
    `n_set_learners` networks and one average of as many.  Controls, and all students of the others,
    are `n_students`.  `other_counts` are other numbers of training images
    N, and for each how many networks, students of a kind and trained averages.  `residual` is what
    is otherwise where networks are normalised and see `copies` of each image.  Students take
    `longer` times as many passes as networks.
    """

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
    n_sets: int
    n_set_learners: int
    n_students: int
    other_counts: tuple[tuple[int, int, int, int], ...]
    residual: dict[str, Any]
    copies: int = 1
    longer: int = 1
    diag_reg: float = 1e-3


IMAGE_SIZES: dict[str, ImageSize] = {
    # Fashion-MNIST where it is on this machine, else digits: see `image_size`.
    "smoke": ImageSize(dataset="digits", n_train=100, n_test=200, n_kernel_test=100, width=4,
                       wide=8, n_filters=16, epochs=20, n_learners=3, n_averages=2,
                       n_view_learners=2, view_shares=(0.0, 0.4), n_sets=2,
                       n_set_learners=2, n_students=2, other_counts=((50, 2, 1, 1),),
                       residual={"copies": 2, "epochs": 5, "width": 2, "wide": 4, "n_learners": 2,
                                 "n_students": 1, "n_averages": 1,
                                 "longer": 2}),
    "book": ImageSize(dataset="fashion-mnist", n_train=1000, n_test=10000, n_kernel_test=5000,
                      width=16, wide=50, n_filters=256, epochs=30, n_learners=10, n_averages=3,
                      n_view_learners=5, view_shares=(0.0, 0.1, 0.2, 0.4), n_sets=3,
                      n_set_learners=6, n_students=3,
                      other_counts=((250, 6, 3, 1), (4000, 4, 2, 0), (16000, 3, 1, 0)),
                      residual={"copies": 5, "epochs": 6, "n_set_learners": 5, "n_averages": 2,
                                "longer": 2}),
    # Your own copy of the archive, and a GPU.
    "paper": ImageSize(dataset="cifar-10", n_train=40000, n_test=10000, n_kernel_test=10000,
                       width=64, wide=200, n_filters=1024, epochs=60, n_learners=10, n_averages=3,
                       n_view_learners=10, view_shares=(0.0, 0.05, 0.1, 0.2, 0.4), n_sets=3,
                       n_set_learners=10, n_students=10, other_counts=((10000, 10, 10, 3),),
                       residual={"copies": 5, "epochs": 12, "longer": 2}),
}  # fmt: skip


def image_size(scale: Scale) -> ImageSize:
    """The scale's sizes; at smoke scale the images that are on this machine."""
    return of_this_machine(IMAGE_SIZES[scale], scale)


def of_this_machine(size: Any, scale: Scale) -> Any:
    """The sizes of a scale, which name a `dataset`: at smoke scale Fashion-MNIST where it is on
    this machine, else the digits, which are everywhere."""
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


def residual_size(scale: Scale) -> ImageSize:
    """The sizes of networks as the paper has them, normalised and on augmented images."""
    size = image_size(scale)
    return replace(size, **size.residual)


def residual_study(scale: Scale) -> ImageStudy:
    """Networks with batch normalisation on augmented images."""
    size, plain = residual_size(scale), image_study(scale)
    return replace(
        plain,
        data=replace(plain.data, copies=size.copies),
        schedule=replace(plain.schedule, epochs=size.epochs),
        width=size.width,
        n_learners=size.n_learners,
        normalisation="batch",
    )


def set_name(study: ImageStudy) -> str:
    """A training set in words."""
    return f"{study.data.dataset}, training set {study.data.draw}"


def taught(teacher: ImageStudy, target: str, students: int) -> ImageStudy:
    """Students of a study's networks; all start alike, whatever they are taught."""
    return replace(
        teacher, teacher=teacher, target=target, n_learners=students, first_seed=STUDENTS
    )


def averages(study: ImageStudy, n: int) -> ImageStudy:
    """Means of as many networks as a study has, each trained as one."""
    return replace(study, members=study.n_learners, n_learners=n, first_seed=AVERAGES)


def other_counts(scale: Scale) -> dict[str, ImageStudy]:
    """Networks, students of the ensemble and of the labels, and averages at other N."""
    made = {}
    for N, networks, students, n_averages in image_size(scale).other_counts:
        base = replace(image_study(scale, n_train=N), n_learners=networks)
        made[f"N = {N}, single"] = base
        made[f"N = {N}, distilled"] = taught(base, "average", students)
        made[f"N = {N}, one-hot"] = taught(base, "one-hot", students)
        if n_averages:
            made[f"N = {N}, average"] = averages(base, n_averages)
    return made


def compared(name: str, base: ImageStudy, size: ImageSize) -> Families:
    """Networks on several training sets, the first being `base`'s, and what is compared with their
    ensembles: students, controls, averages of as many networks trained as one, and single networks
    with about as many weights, that is what width alone gains."""
    others = [
        replace(base, data=replace(base.data, draw=FIRST_DRAW + i), n_learners=size.n_set_learners)
        for i in range(1, size.n_sets)
    ]
    sets = {set_name(study): study for study in (base, *others)}
    schedule = replace(base.schedule, epochs=size.longer * base.schedule.epochs)

    def students(study: ImageStudy, target: str, n: int = size.n_students) -> ImageStudy:
        return replace(taught(study, target, n), schedule=schedule)

    return {
        f"{name}-single": sets,
        f"{name}-distilled": {
            label: students(study, "average", n)
            for label, study in sets.items()
            for n in [base.n_learners if study is base else size.n_students]
        },
        **{
            f"{name}-{control}": {label: students(study, control) for label, study in sets.items()}
            for control in CONTROLS
        },
        f"{name}-average": {
            label: averages(study, size.n_averages if study is base else 1)
            for label, study in sets.items()
        },
        f"{name}-wide": {
            f"{size.wide} channels": replace(base, width=size.wide, n_learners=size.n_averages)
        },
    }


def image_families(scale: Scale) -> Families:
    """Ensembles and what is compared with them, and what their networks see."""
    size, base = image_size(scale), image_study(scale)
    residual, more, smoke = residual_study(scale), residual_size(scale), scale == "smoke"
    features = {
        "ntk": ("tangent", size.width),
        "random convolutions": ("convolution", size.n_filters),
    }
    return {
        **compared("images", base, size),
        "images-self-distilled": {set_name(base): taught(base, "each", base.n_learners)},
        **compared("residual", residual, more),
        # What students have of training longer alone.
        "residual-as-long": {
            set_name(residual): replace(
                residual,
                schedule=replace(residual.schedule, epochs=more.longer * more.epochs),
                n_learners=more.n_students,
            )
        },
        "images-count": other_counts(scale),
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
