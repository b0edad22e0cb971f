"""Small studies that reach every line on which a stored number depends: what a stamp compares.

They are part of the library, so that an old revision runs its own.  A probe's name stands for its
content: one that is changed gets another name.
"""

from __future__ import annotations

import gzip
import io
import pickle
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mvlib.core import arithmetic
from mvlib.core.checks import BadInput
from mvlib.core.files import Arrays, write_whole
from mvlib.deep import image_networks
from mvlib.deep.image_networks import Epochs
from mvlib.deep.image_sets import ImageData
from mvlib.deep.networks import Architecture
from mvlib.deep.optimisers import Adam, Momentum, Plan
from mvlib.deep.photographs import ARCHIVES, PARTS, load
from mvlib.deep.picture_views import PictureViews
from mvlib.paper import multi_view_data, network
from mvlib.paper.activation import Activation, RoundedReLU
from mvlib.paper.batches import Batch, Batches, MidpointMixup, MiniBatches
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.network import LearnerParams
from mvlib.paper.objectives import LabelSmoothing
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    ConstantStep,
    DecayingStep,
    FixedSteps,
    Optimiser,
    Schedule,
    SharedStep,
    WhenFitted,
)
from mvlib.store.checkpoint import TrainingCheckpoint
from mvlib.store.kinds import Kind, kind_of
from mvlib.store.stamps import Probed
from mvlib.studies import image_kernels, images, one_draw
from mvlib.studies.classifiers import ClassifierStudy
from mvlib.studies.distillation import FORMS, TARGETS, DistillationStudy
from mvlib.studies.gaussian import GaussianData, GaussianStudy
from mvlib.studies.gaussian_kernels import GaussianKernelStudy
from mvlib.studies.image_inside import InsideStudy
from mvlib.studies.image_kernels import MAPS, ImageKernelStudy
from mvlib.studies.image_views import ViewStudy
from mvlib.studies.images import ImageStudy
from mvlib.studies.joint_training import JointStudy
from mvlib.studies.kernel_contrast import ContrastStudy
from mvlib.studies.many_classes import ManyClassesStudy
from mvlib.studies.picture_views import PictureStudy
from mvlib.studies.single_model import SingleModelStudy
from mvlib.studies.teachers import CONTROLS

STEP = BoundedRelativeStep(max_step=1000.0, relative_change=0.3)
NETWORKS = SingleModelStudy(
    data=MultiViewParams(n_classes=3, dim=40, n_patches=10, sparsity=1.5, noise_std=0.05,
                         single_view_fraction=0.1),
    learner=LearnerParams(n_neurons=3, power=4, threshold=1.0, init_std=0.1),
    schedule=Schedule(step_rule=STEP, stop_rule=WhenFitted(limit=60)),
    n_train=45, n_networks=3, draw=2, n_test_single=70, n_test_multi=65,
)  # fmt: skip
FIXED = replace(NETWORKS.schedule, stop_rule=FixedSteps(steps=12))
ROUNDED = {
    precision: replace(NETWORKS, learner=replace(NETWORKS.learner, precision=precision))
    for precision in ("bfloat16", "split")
}
IMAGES = ImageStudy(
    data=ImageData(dataset="digits", n_train=60, n_test=80, draw=1), width=4,
    schedule=Epochs(epochs=4, batch=25), n_learners=2, first_seed=3,
)  # fmt: skip
AUGMENTED = replace(
    IMAGES, data=replace(IMAGES.data, copies=2), schedule=Epochs(epochs=2, batch=25),
    normalisation="batch",
)  # fmt: skip


# By name: a study, or a function where running it takes more than that.
Probes = dict[str, Any]


@dataclass(frozen=True)
class _Cube(Activation):
    def value(self, z: Tensor) -> Tensor:
        return z.clamp(min=0) ** 3 / 3

    def slope(self, z: Tensor) -> Tensor:
        return z.clamp(min=0) ** 2

    def onset(self) -> tuple[int, float]:
        return 3, 1.0


@dataclass(frozen=True)
class _Mixed(Batches):
    """Halfway between neighbours, soft labels and all: inputs that no teacher knows."""

    def batch(self, step: int, X: Tensor, labels: Tensor, n_classes: int, seed: int) -> Batch:
        soft = torch.nn.functional.one_hot(labels, n_classes).to(X.dtype)
        mixed, y = ((whole + whole.roll(step + 1, 0)) / 2 for whole in (X, soft))
        return Batch(X=mixed, labels=y)


def _data(**changes: Any) -> SingleModelStudy:
    return replace(NETWORKS, data=replace(NETWORKS.data, **changes))


def _networks() -> Probes:
    constant = Schedule(step_rule=ConstantStep(2.0), stop_rule=FixedSteps(steps=9),
                        weight_decay=0.01)  # fmt: skip
    adam = replace(NETWORKS.schedule, step_rule=Optimiser(name="Adam", lr=0.05))
    decaying = replace(FIXED, step_rule=DecayingStep(rule=ConstantStep(2.0), after=2, half_life=2))
    studies: Probes = {
        "plain": NETWORKS,
        "labels drawn freely": _data(balanced=False),
        "many patches a view": _data(patches_per_view=3, patches_per_other_view=2, n_patches=20),
        "too few patches": _data(n_patches=3, sparsity=3.0, overflow="thin"),
        "general position": _data(features="general", feature_noise=0.01, view_scale=(1.2, 1.0)),
        "overlapping views": _data(overlap=0.2),
        "no single-view samples": _data(single_view_fraction=0.0),
        "watched": replace(NETWORKS, record_every=4, n_watch=20),
        "constant step": replace(NETWORKS, schedule=constant),
        "cubic": replace(NETWORKS, learner=replace(NETWORKS.learner, power=3, threshold=0.5)),
        "Adam on mini-batches": replace(NETWORKS, batches=MiniBatches(20), schedule=adam),
        "steps that decay": replace(NETWORKS, schedule=decaying),
        "one network": replace(NETWORKS, n_networks=1, draw=5),
        "disjoint ensembles": replace(NETWORKS, n_networks=5, ensemble_size=2),
    }
    few = replace(NETWORKS, schedule=replace(FIXED, stop_rule=FixedSteps(steps=4)))
    many = replace(few, n_train=300, n_test_single=260)
    blank = replace(few, data=_data(single_view_fraction=0.0).data, n_test_single=4, n_watch=5)
    return studies | {
        "many networks": replace(few, n_networks=8),
        "few test inputs, no single-view samples": blank,
        "an activation of one's own": replace(few, learner=LearnerParams(activation=_Cube())),
        "another smoothing": replace(few, learner=LearnerParams(activation=RoundedReLU())),
        "batches of one's own": replace(few, batches=_Mixed()),
        "midpoint mixup": replace(few, batches=MidpointMixup()),
        "label smoothing": replace(few, objective=LabelSmoothing()),
        "streamed": partial(_streamed, NETWORKS),
        "streamed, watched": partial(_streamed, replace(NETWORKS, record_every=4, n_watch=20)),
        "in blocks": partial(_under, NETWORKS, network, CACHE_FLOATS=2000),
        "in parts": partial(_under, few, network, CACHE_FLOATS=100, SAMPLE_FLOATS=100),
        "in chunks": partial(_under, many, multi_view_data, CHUNK_FLOATS=16_000),
        **_in_each_precision(lambda base: base),
        "resumed": partial(_resumed, replace(NETWORKS, record_every=3), _after_7),
        "resumed, some stopped": partial(_resumed, NETWORKS, _after_a_stop),
        "Adam, resumed, some stopped": partial(
            _resumed, replace(NETWORKS, schedule=adam), _after_a_stop
        ),
    }


def _students() -> Probes:
    base = DistillationStudy(teacher=NETWORKS, schedule=FIXED, n_students=2)
    studies: Probes = {f"taught by {target}": replace(base, target=target) for target in TARGETS}
    studies |= {f"form {form}": replace(base, form=form) for form in FORMS}
    chain = replace(base, teacher=base, target="each", generation=2)
    paired = replace(NETWORKS, n_networks=5, ensemble_size=2)
    studies |= {"second generation": chain,
                "taught by the average of students": replace(chain, target="average"),
                "taught by disjoint ensembles": replace(base, teacher=paired, n_students=3),
                "mini-batches": replace(base, batches=MiniBatches(20)),
                "watched": replace(base, record_every=5, n_watch=20),
                "outputs not kept": replace(base, keep_outputs=False),
                "who asks": replace(base, record_every=5, growth=True)}  # fmt: skip
    fitted = replace(base, target="each", n_students=3, schedule=NETWORKS.schedule)
    return studies | {
        "streamed": partial(_streamed, base),
        "resumed, some stopped": partial(_resumed, fitted, _after_a_stop),
        **_in_each_precision(lambda teacher: replace(base, teacher=teacher)),
    }


def _joint() -> Probes:
    schedule = replace(FIXED, step_rule=SharedStep(STEP))

    def joint(base: SingleModelStudy, mean: bool = True) -> JointStudy:
        return JointStudy(base=replace(base, schedule=schedule), n_members=2, mean=mean)

    return {
        "mean": joint(NETWORKS),
        "sum": joint(NETWORKS, mean=False),
        **_in_each_precision(joint),
    }


def _many_classes() -> Probes:
    plain = ManyClassesStudy(base=NETWORKS, drawn=8)
    lonely = replace(_data(single_view_fraction=0.0, sparsity=0.0), n_train=45)
    watched = replace(NETWORKS, record_every=4, schedule=FIXED)
    return {
        "plain": plain,
        "together": replace(plain, together=True),
        "watched": replace(plain, base=watched),
        "no other views": replace(plain, base=lonely),
    }


def _kernels() -> Probes:
    study = ContrastStudy(base=NETWORKS, n_seeds=2, n_students=1, diag_reg=0.01,
                          descent_steps=8, watch_steps=6, n_watch=10)  # fmt: skip
    return {
        "plain": study,
        "many samples": replace(study, base=replace(NETWORKS, n_train=260)),
        "bfloat16": partial(_native, replace(study, base=ROUNDED["bfloat16"])),
    }


def _classifiers() -> Probes:
    # Of two equally good penalties the smaller one is kept: some, in this order, are.
    study = ClassifierStudy(base=NETWORKS, degrees=(1, 2), penalties=(10.0, 0.1), n_validation=9)
    noisy = replace(study, common_noise=0.1, n_networks=2, degrees=(1,))
    return {"plain": study, "common noise, networks": noisy}


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
        "in bfloat16": replace(plain, plan=replace(plan, precision="bfloat16")),
        "students, averages": replace(plain, learners=forms[1:3], students=("average", *CONTROLS),
                                      averages=2),
        "students of one network each": replace(plain, learners=forms[1:2], students=("each",)),
    }  # fmt: skip


def _gaussian_kernels() -> Probes:
    base = _gaussian()["one Gaussian"]
    assert isinstance(base, GaussianStudy)
    few = replace(base, learners=base.learners[1:2])
    return {"tangent": GaussianKernelStudy(base=few, n_students=1, diag_reg=1e-3)}


def _image_networks() -> Probes:
    def taught(target: str) -> ImageStudy:
        return replace(IMAGES, target=target, teacher=IMAGES, first_seed=20)

    noisy = replace(IMAGES.data, label_noise=0.2, single_view_fraction=0.3, explore=True)
    return {
        "labels": IMAGES,
        "average of two": replace(IMAGES, members=2, n_learners=1),
        "taught by the average": taught("average"),
        "taught by one each": taught("each"),
        **{f"taught by {control}": taught(control) for control in CONTROLS},
        "wrong labels, halves": replace(IMAGES, data=noisy),
        "in blocks": partial(_under, IMAGES, image_networks, BLOCK=32),
        "outputs kept in float16": partial(_under, taught("average"), images, HALF=60),
        "in bfloat16": replace(IMAGES, schedule=replace(IMAGES.schedule, precision="bfloat16")),
        "normalised, on augmented images": AUGMENTED,
        "normalised, taught by the average": replace(
            AUGMENTED, target="average", teacher=AUGMENTED, first_seed=20
        ),
        "files": _collections,
    }


def _image_kernels() -> Probes:
    studies: Probes = {
        features: ImageKernelStudy(
            data=IMAGES.data, features=features, width=4, n_seeds=2, n_students=1, first_seed=3,
            diag_reg=1e-3,
        )
        for features in MAPS
    }  # fmt: skip
    chunks = {
        f"{features}, in chunks": partial(_under, study, image_kernels, CHUNK=25)
        for features, study in studies.items()
    }
    return studies | chunks


def _image_views() -> Probes:
    return {
        word: ViewStudy(base=replace(
            IMAGES, data=replace(IMAGES.data, single_view_fraction=0.4, two_photographs=two)
        ))
        for word, two in {"one photograph": False, "two photographs": True}.items()
    }  # fmt: skip


def _pictures() -> Probes:
    def networks(**look: Any) -> SingleModelStudy:
        shown = PictureViews(dataset="digits", typical=0.5, side=4, **look)
        data = replace(NETWORKS.data, n_classes=10, dim=shown.dim, n_patches=8, overflow="thin",
                       patches_per_view=2, appearance=shown)  # fmt: skip
        few = replace(NETWORKS.schedule, stop_rule=FixedSteps(steps=5))
        return replace(NETWORKS, data=data, schedule=few)

    students = DistillationStudy(teacher=networks(), schedule=FIXED, n_students=2)
    return {
        "networks": PictureStudy(base=networks()),
        "students": PictureStudy(base=students),
        "other photographs, other kinds": PictureStudy(
            base=networks(explore=True, second=(2, 3, 4, 5, 6, 7, 8, 9, 0, 1))
        ),
        "photographs as they are": PictureStudy(base=networks(whitened=False)),
        "streamed": partial(_streamed, PictureStudy(base=networks())),
    }


def _inside() -> Probes:
    study = InsideStudy(base=IMAGES, deleted=(0.5,), n_heat=2, patch=3, stride=3, n_channels=2)
    return {"plain": study}


PROBES: Mapping[str, Callable[[], Probes]] = {
    "networks": _networks,
    "students": _students,
    "joint training": _joint,
    "many classes": _many_classes,
    "tangent kernels": _kernels,
    "classifiers": _classifiers,
    "gaussian inputs": _gaussian,
    "gaussian kernels": _gaussian_kernels,
    "image networks": _image_networks,
    "image kernels": _image_kernels,
    "image views": _image_views,
    "pictures as views": _pictures,
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


def _in_each_precision(made: Callable[[SingleModelStudy], Any]) -> Probes:
    """Of networks whose products are rounded, by bfloat16 instructions and in float32, whichever
    this machine would choose."""
    studies = {precision: made(base) for precision, base in ROUNDED.items()}
    slow = {f"{name} in float32": partial(_native, study, 0) for name, study in studies.items()}
    return slow | {name: partial(_native, study) for name, study in studies.items()}


def _native(study: Any, rate: float = 4) -> Arrays:
    """Run as on a machine whose bfloat16 products are so many times as fast as those of float32."""
    rates = {"float32": 1, "bfloat16": rate}
    return _under(study, arithmetic, product_rates=lambda device: rates)


def _under(study: Any, module: object, **values: Any) -> Arrays:
    """Run where something in a module is another: sizes are small, so that a small study has
    parts."""
    with _changed(module, values):
        return _run(study)


def _streamed(study: Any) -> Arrays:
    """Training inputs that are made anew in every pass, as those too large to be stored are."""
    return _under(study, one_draw, STORED_BYTES=0)


class _Interrupted(Exception):
    pass


def _after_7(shares: Sequence[float]) -> bool:
    return len(shares) == 8


def _after_a_stop(shares: Sequence[float]) -> bool:
    """When a checkpoint has been written that some network has stopped before."""
    return len(shares) > 1 and shares[-2] < 1


def _resumed(study: Any, when: Callable[[Sequence[float]], bool]) -> Arrays:
    """Interrupted when that holds of the shares still training in steps 0, 1, ..., and gone on
    from its checkpoint."""
    shares = []

    def interrupt(step: int, share: float) -> None:
        shares.append(share)
        if when(shares):
            raise _Interrupted

    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "state.npz"
        try:
            _run(study, checkpoint=TrainingCheckpoint(path, every_seconds=0), progress=interrupt)
        except _Interrupted:
            return _run(study, checkpoint=TrainingCheckpoint(path))
    raise AssertionError("the probe's training ended before it was interrupted")


def _collections() -> Arrays:
    """A few made-up photographs in the files, packed or not, in which each collection comes."""
    with tempfile.TemporaryDirectory() as scratch:
        for path, content in _files():
            file = Path(scratch) / path
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, content)
        found = {name: load(name, scratch, check=False) for name in PARTS}
    words = ("train_pixels", "train_labels", "test_pixels", "test_labels")
    return {f"{name} {word}": getattr(one, word) for name, one in found.items() for word in words}


def _files() -> Iterator[tuple[str, bytes]]:
    pixels, labels = np.arange(2 * 3072, dtype=np.uint8).reshape(2, 3072), np.array([7, 3])
    for part in PARTS["fashion-mnist"]:
        values = pixels.reshape(-1, 32, 32) if "images" in part else np.arange(6, dtype=np.uint8)
        head = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, ">u4").tobytes()
        yield f"FashionMNIST/raw/{part}.gz", gzip.compress(head + values.tobytes())
    for part in PARTS["cifar-100"]:
        batch = pickle.dumps({"data": pixels, "fine_labels": labels})
        yield f"cifar-100-python/{part}", batch
    members = {
        # As Python 2 wrote it: words are bytes.
        f"cifar-10-batches-py/{part}": pickle.dumps(
            {b"data": pixels + np.uint8(i), b"labels": [i, 9]}, protocol=2
        )
        for i, part in enumerate(PARTS["cifar-10"])
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        folder = tarfile.TarInfo("test_batch")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in (members | {"__MACOSX/test_batch": b"a note"}).items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    yield ARCHIVES["cifar-10"], archive.getvalue()


@contextmanager
def _changed(module: object, values: Mapping[str, Any]) -> Iterator[None]:
    before = {name: getattr(module, name) for name in values}
    try:
        for name, value in values.items():
            setattr(module, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(module, name, value)
