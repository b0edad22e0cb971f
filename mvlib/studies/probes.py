"""Small studies that reach every line on which a stored number depends: what a stamp compares.

They are part of the library, so that an old revision runs its own.  A probe's name stands for its
content: one that is changed gets another name.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mvlib.core.checks import BadInput
from mvlib.core.files import Arrays
from mvlib.deep.image_networks import Epochs
from mvlib.deep.image_sets import ImageData
from mvlib.deep.networks import Architecture
from mvlib.deep.optimisers import Adam, Momentum, Plan
from mvlib.paper.batches import MiniBatches
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.network import LearnerParams
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    ConstantStep,
    FixedSteps,
    Optimiser,
    Schedule,
    SharedStep,
    WhenFitted,
)
from mvlib.store.checkpoint import TrainingCheckpoint
from mvlib.store.kinds import Kind, kind_of
from mvlib.store.stamps import Probed
from mvlib.studies import one_draw
from mvlib.studies.distillation import FORMS, TARGETS, DistillationStudy
from mvlib.studies.gaussian import GaussianData, GaussianStudy
from mvlib.studies.image_inside import InsideStudy
from mvlib.studies.image_kernels import MAPS, ImageKernelStudy
from mvlib.studies.image_views import ViewStudy
from mvlib.studies.images import ImageStudy
from mvlib.studies.joint_training import JointStudy
from mvlib.studies.kernel_contrast import ContrastStudy
from mvlib.studies.single_model import SingleModelStudy

STEP = BoundedRelativeStep(max_step=1000.0, relative_change=0.3)
NETWORKS = SingleModelStudy(
    data=MultiViewParams(n_classes=3, dim=40, n_patches=10, sparsity=1.5, noise_std=0.05,
                         single_view_fraction=0.1),
    learner=LearnerParams(n_neurons=3, power=4, threshold=1.0, init_std=0.1),
    schedule=Schedule(step_rule=STEP, stop_rule=WhenFitted(limit=60)),
    n_train=45, n_networks=3, draw=2, n_test_single=70, n_test_multi=65,
)  # fmt: skip
FIXED = replace(NETWORKS.schedule, stop_rule=FixedSteps(steps=12))
IMAGES = ImageStudy(
    data=ImageData(dataset="digits", n_train=60, n_test=80, draw=1), width=4,
    schedule=Epochs(epochs=4, batch=25), n_learners=2, first_seed=3,
)  # fmt: skip


# By name: a study, or a function where running it takes more than that.
Probes = dict[str, Any]


def _data(**changes: Any) -> SingleModelStudy:
    return replace(NETWORKS, data=replace(NETWORKS.data, **changes))


def _networks() -> Probes:
    constant = Schedule(step_rule=ConstantStep(2.0), stop_rule=FixedSteps(steps=9),
                        weight_decay=0.01)  # fmt: skip
    adam = replace(NETWORKS.schedule, step_rule=Optimiser(name="Adam", lr=0.05))
    studies: Probes = {
        "plain": NETWORKS,
        "labels drawn freely": _data(balanced=False),
        "many patches a view": _data(patches_per_view=3, patches_per_other_view=2, n_patches=20),
        "too few patches": _data(n_patches=3, sparsity=3.0, overflow="thin"),
        "general position": _data(features="general", feature_noise=0.01, view_scale=(1.2, 1.0)),
        "no single-view samples": _data(single_view_fraction=0.0),
        "watched": replace(NETWORKS, record_every=4, n_watch=20),
        "constant step": replace(NETWORKS, schedule=constant),
        "cubic": replace(NETWORKS, learner=replace(NETWORKS.learner, power=3, threshold=0.5)),
        "Adam on mini-batches": replace(NETWORKS, batches=MiniBatches(20), schedule=adam),
        "one network": replace(NETWORKS, n_networks=1, draw=5),
    }
    return studies | {"streamed": _streamed, "resumed": _resumed}


def _students() -> Probes:
    base = DistillationStudy(teacher=NETWORKS, schedule=FIXED, n_students=2)
    studies: Probes = {f"taught by {target}": replace(base, target=target) for target in TARGETS}
    studies |= {f"form {form}": replace(base, form=form) for form in FORMS}
    chain = replace(base, teacher=base, target="each", generation=2)
    studies |= {"second generation": chain,
                "mini-batches": replace(base, batches=MiniBatches(20)),
                "watched": replace(base, record_every=5, n_watch=20)}  # fmt: skip
    return studies


def _joint() -> Probes:
    base = replace(NETWORKS, schedule=replace(FIXED, step_rule=SharedStep(STEP)))
    return {
        "mean": JointStudy(base=base, n_members=2, mean=True),
        "sum": JointStudy(base=base, n_members=2, mean=False),
    }


def _kernels() -> Probes:
    study = ContrastStudy(base=NETWORKS, n_seeds=2, n_students=1, diag_reg=0.01,
                          descent_steps=8, watch_steps=6, n_watch=10)  # fmt: skip
    return {"plain": study}


def _gaussian() -> Probes:
    forms = (
        Architecture(kind="linear"),
        Architecture(kind="fully connected", width=6, depth=2),
        Architecture(kind="residual", width=6, depth=1),
        Architecture(kind="convolutional", width=4, depth=2),
    )
    plan = Plan(optimiser=Adam(), learning_rate=0.01, epochs=2, batch_size=25)
    data = GaussianData(dim=8, positions=4, n_classes=3, n_clusters=1, cluster_norm=0.0,
                        labels=forms[0], label_noise=0.0, margin=0.0)  # fmt: skip
    plain = GaussianStudy(data=data, learners=forms, plan=plan, n_train=60, n_networks=2, draw=4,
                          n_test=90)  # fmt: skip
    clusters = replace(data, n_clusters=3, cluster_norm=2.0, label_noise=0.2, margin=0.1,
                       labels=forms[3])  # fmt: skip
    steady = Plan(optimiser=Momentum(), learning_rate=0.01, epochs=2, batch_size=40, cosine=False,
                  weight_decay=0.01)  # fmt: skip
    return {
        "one Gaussian": plain,
        "mixture": replace(plain, data=clusters, plan=steady),
    }


def _image_networks() -> Probes:
    def taught(target: str) -> ImageStudy:
        return replace(IMAGES, target=target, teacher=IMAGES, first_seed=20)

    noisy = replace(IMAGES.data, label_noise=0.2, single_view_fraction=0.3, explore=True)
    return {
        "labels": IMAGES,
        "average of two": replace(IMAGES, members=2, n_learners=1),
        "taught by the average": taught("average"),
        "taught by one each": taught("each"),
        "wrong labels, halves": replace(IMAGES, data=noisy),
    }


def _image_kernels() -> Probes:
    return {
        features: ImageKernelStudy(
            data=IMAGES.data, features=features, width=4, n_seeds=2, n_students=1, first_seed=3,
            diag_reg=1e-3,
        )
        for features in MAPS
    }  # fmt: skip


def _image_views() -> Probes:
    return {
        word: ViewStudy(base=replace(
            IMAGES, data=replace(IMAGES.data, single_view_fraction=0.4, two_photographs=two)
        ))
        for word, two in {"one photograph": False, "two photographs": True}.items()
    }  # fmt: skip


def _inside() -> Probes:
    study = InsideStudy(base=IMAGES, deleted=(0.5,), n_heat=2, patch=3, stride=3, n_channels=2)
    return {"plain": study}


PROBES: Mapping[str, Callable[[], Probes]] = {
    "networks": _networks,
    "students": _students,
    "joint training": _joint,
    "tangent kernels": _kernels,
    "gaussian inputs": _gaussian,
    "image networks": _image_networks,
    "image kernels": _image_kernels,
    "image views": _image_views,
    "inside image networks": _inside,
}


def run_probes(kinds: Sequence[Kind]) -> Probed:
    """What the probes of some kinds give, here and now.

    Raises:
        BadInput: if one cannot run on this machine.
    """
    arrays: dict[str, np.ndarray] = {}
    for kind in kinds:
        for name, probe in PROBES[kind.name]().items():
            try:
                found = probe() if callable(probe) else _run(probe)
            except (BadInput, ImportError, OSError) as error:
                raise BadInput(
                    f"probe = {kind.name}/{name} must run on this machine and does not ({error}); "
                    "stamp on one where it does."
                ) from error
            arrays |= {f"{kind.name}/{name}/{array}": np.asarray(v) for array, v in found.items()}
    return Probed(arrays, {kind.name: kind.source for kind in kinds})


def _run(study: Any, **more: Any) -> Arrays:
    teacher = getattr(study, "teacher", None)
    outputs = None if teacher is None else _run(teacher)["train_outputs"]
    return kind_of(study).compute(study, outputs=outputs, teacher_outputs=outputs, **more)


def _streamed() -> Arrays:
    """Training inputs that are made anew in every pass, as those too large to be stored are."""
    with _changed(one_draw, "STORED_BYTES", 0):
        return _run(NETWORKS)


class _Interrupted(Exception):
    pass


def _resumed() -> Arrays:
    """Interrupted after a few steps, and gone on from its checkpoint."""

    def interrupt(step: int, share: float) -> None:
        if step == 7:
            raise _Interrupted

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "state.npz"
        study = replace(NETWORKS, record_every=3)
        try:
            _run(study, checkpoint=TrainingCheckpoint(path, every_seconds=0), progress=interrupt)
        except _Interrupted:
            return _run(study, checkpoint=TrainingCheckpoint(path))
    raise AssertionError("the probe's training ended before it was interrupted")


@contextmanager
def _changed(module: object, name: str, value: object) -> Iterator[None]:
    before = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, before)
