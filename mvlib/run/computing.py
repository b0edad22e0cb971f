"""One experiment computed, in whichever process: what an order is, and what comes back."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvlib.core.checks import BadInput
from mvlib.core.files import Arrays
from mvlib.core.source import fingerprint
from mvlib.paper.gradient_descent import Progress
from mvlib.store.checkpoint import TrainingCheckpoint
from mvlib.store.entries import circumstances
from mvlib.store.kinds import kind_of


def work(study: Any) -> float:
    """Floating-point operations of a study, about."""
    return kind_of(study).work(study)


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
    """What a process needs to know to compute an experiment."""

    study: Any
    outputs: np.ndarray | None = None  # its teacher's, on the training inputs
    device: str = "cpu"
    checkpoint: Path | None = None  # keeps an interrupted training's state, if it is to be kept
    every_seconds: float = 60.0  # how often it is written
    library: str = field(default_factory=fingerprint)  # the code that gave the order


@dataclass(frozen=True, kw_only=True, slots=True)
class Computed:
    """What comes back."""

    arrays: Arrays
    seconds: float  # wall time of this process's part
    made_by: dict[str, object]  # `store.entries.circumstances` of the process
    resumed: bool  # whether an earlier process had done a part


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
    checkpoint = None
    if order.checkpoint:
        checkpoint = TrainingCheckpoint(order.checkpoint, every_seconds=order.every_seconds)
    start, busy = time.perf_counter(), time.process_time()
    arrays = kind_of(order.study).compute(
        order.study,
        outputs=order.outputs,
        teacher_outputs=order.outputs,
        progress=progress,
        device=order.device,
        checkpoint=checkpoint,
    )
    return Computed(
        arrays=arrays,
        seconds=time.perf_counter() - start,
        made_by=circumstances(order.device) | {"core_seconds": time.process_time() - busy},
        resumed=checkpoint is not None and checkpoint.resumed,
    )
