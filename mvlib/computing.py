"""One experiment computed, in whichever process: what an order is, and what comes back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvlib.checkpoint import TrainingCheckpoint
from mvlib.checks import BadInput
from mvlib.contrast import ContrastStudy, contrast_flops, contrast_steps, run_contrast
from mvlib.distillation import (
    DistillationStudy,
    distillation_flops,
    run_distillation,
    student_steps,
)
from mvlib.files import Arrays
from mvlib.gaussian import GaussianStudy, gaussian_flops, gaussian_steps, run_gaussian
from mvlib.heap import keep_freed_blocks
from mvlib.image_inside import InsideStudy, run_inside
from mvlib.image_kernels import ImageKernelStudy, kernel_flops, kernel_steps, run_image_kernels
from mvlib.image_training import ImageStudy, image_flops, image_steps, run_image_study
from mvlib.image_views import ViewStudy, run_views
from mvlib.joint_training import JointStudy, joint_flops, joint_steps, run_joint
from mvlib.results import circumstances
from mvlib.settings import Study
from mvlib.single_model import SingleModelStudy, expected_flops, expected_steps, run_single_model
from mvlib.source import fingerprint
from mvlib.training import Progress


@dataclass(frozen=True, slots=True)
class _Kind:
    """What differs between kinds of studies, beside how they are run."""

    module: str
    work: Callable[[Any], float]
    steps: Callable[[Any], int]


_KINDS: dict[type, _Kind] = {
    SingleModelStudy: _Kind(
        "single_model", expected_flops, lambda study: expected_steps(study.schedule.stop_rule)
    ),
    DistillationStudy: _Kind("distillation", distillation_flops, student_steps),
    JointStudy: _Kind("joint_training", joint_flops, joint_steps),
    ContrastStudy: _Kind("contrast", contrast_flops, contrast_steps),
    GaussianStudy: _Kind("gaussian", gaussian_flops, gaussian_steps),
    ImageStudy: _Kind("image_training", image_flops, image_steps),
    ImageKernelStudy: _Kind("image_kernels", kernel_flops, kernel_steps),
    ViewStudy: _Kind("image_views", lambda s: image_flops(s.base), lambda s: image_steps(s.base)),
    InsideStudy: _Kind(
        "image_inside", lambda s: image_flops(s.base), lambda s: image_steps(s.base)
    ),
}


# Studies that are computed in one go: no teacher, no checkpoint.
_WHOLE: dict[type, Callable[..., Arrays]] = {
    ContrastStudy: run_contrast,
    GaussianStudy: run_gaussian,
    ImageKernelStudy: run_image_kernels,
    ViewStudy: run_views,
    InsideStudy: run_inside,
}


def module_of(study: Study) -> str:
    """The module whose source, with all it imports, a study's stored numbers depend on."""
    return _KINDS[type(study)].module


def work(study: Study) -> float:
    """Floating-point operations of a study, about."""
    return _KINDS[type(study)].work(study)


def steps_of(study: Study) -> int:
    """How often a study will report progress, about."""
    return _KINDS[type(study)].steps(study)


class Unfit(BadInput):
    """This process, or another that was asked to compute, cannot give the numbers wanted: it lacks
    the device or runs other code.  The next experiment would fare no better."""


_CUDA = re.compile(r"cuda(?::(\d+))?")


def check_device_name(device: str) -> str:
    """The device itself, be it here or not.

    Raises:
        Unfit: if it is not one of cpu, cuda, cuda:N.
    """
    if device != "cpu" and not _CUDA.fullmatch(device):
        raise Unfit(f"device (--device) = {device!r} must be cpu, cuda or cuda:N; pick one.")
    return device


def check_device(device: str) -> str:
    """The device itself, if this process has it.

    Raises:
        Unfit: if not.
    """
    wanted = _CUDA.fullmatch(check_device_name(device))
    said = f"device (--device) = {device!r} must be there and PyTorch {torch.__version__} finds"
    if wanted and not torch.cuda.is_available():
        raise Unfit(f"{said} no CUDA device; use cpu, or a GPU build of PyTorch and a GPU.")
    if wanted and int(wanted[1] or 0) >= torch.cuda.device_count():
        found = ", ".join(f"cuda:{n}" for n in range(torch.cuda.device_count()))
        raise Unfit(f"{said} {found}; pick one of these, or cpu.")
    return device


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What a process needs to know to compute an experiment.

    Attributes:
        study: the configuration.
        outputs: its teacher's training outputs, if it has a teacher.
        device: where to compute.
        checkpoint: the file that keeps an interrupted training's state; None: nothing is kept.
        every_seconds: how often it is written.
        library: fingerprint of the code that gave the order.
    """

    study: Study
    outputs: np.ndarray | None = None
    device: str = "cpu"
    checkpoint: Path | None = None
    every_seconds: float = 60.0
    library: str = field(default_factory=fingerprint)


@dataclass(frozen=True, kw_only=True, slots=True)
class Computed:
    """What comes back.

    Attributes:
        arrays: the numbers.
        seconds: wall time of this process's part.
        made_by: `results.circumstances` of the process.
        resumed: whether an earlier process had done a part.
    """

    arrays: Arrays
    seconds: float
    made_by: dict[str, object]
    resumed: bool


def carry_out(order: Order, progress: Progress | None = None) -> Computed:
    """Compute what was ordered.

    Raises:
        Unfit: if this process runs other code than who gave the order, or lacks the device.
    """
    if fingerprint() != order.library:
        raise Unfit(
            f"library (mvlib) = {fingerprint()[:8]} must be the {order.library[:8]} of the process "
            "that gave the order; the source was changed meanwhile: start again."
        )
    check_device(order.device)
    keep_freed_blocks()
    checkpoint = None
    if order.checkpoint:
        checkpoint = TrainingCheckpoint(order.checkpoint, every_seconds=order.every_seconds)
    start = time.perf_counter()
    arrays = _compute(order, checkpoint, progress)
    return Computed(
        arrays=arrays,
        seconds=time.perf_counter() - start,
        made_by=circumstances(order.device),
        resumed=checkpoint is not None and checkpoint.resumed,
    )


def _compute(
    order: Order, checkpoint: TrainingCheckpoint | None, progress: Progress | None
) -> Arrays:
    study, device = order.study, order.device
    if isinstance(study, DistillationStudy):
        return run_distillation(
            study, order.outputs, progress, device=device, checkpoint=checkpoint
        )
    if isinstance(study, JointStudy):
        return run_joint(study, progress, device=device, checkpoint=checkpoint)
    if isinstance(study, SingleModelStudy):
        return run_single_model(study, progress, device=device, checkpoint=checkpoint)
    if isinstance(study, ImageStudy):
        return run_image_study(
            study, teacher_outputs=order.outputs, progress=progress, device=device
        )
    return _WHOLE[type(study)](study, progress=progress, device=device)
