"""Computing experiments into a store, with progress: what notebooks and the command line call."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
from tqdm import tqdm

from mvlib.contrast import ContrastStudy, contrast_flops, contrast_steps, run_contrast
from mvlib.distillation import (
    DistillationStudy,
    distillation_flops,
    run_distillation,
    student_steps,
)
from mvlib.experiments import experiments
from mvlib.joint_training import JointStudy, joint_flops, joint_steps, run_joint
from mvlib.results import Arrays, Store
from mvlib.settings import Experiment, Scale, Study
from mvlib.single_model import SingleModelStudy, expected_flops, expected_steps, run_single_model
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


def _compute(study: Study, outputs: np.ndarray | None, progress: Progress) -> Arrays:
    if isinstance(study, DistillationStudy):
        arrays = run_distillation(study, outputs, progress)
        _warn_of_unfitted_teacher(arrays["teacher_train_error"])
        return arrays
    if isinstance(study, JointStudy):
        return run_joint(study, progress)
    if isinstance(study, ContrastStudy):
        return run_contrast(study, progress)
    return run_single_model(study, progress)


def _warn_of_unfitted_teacher(train_error: np.ndarray) -> None:
    """Theorem 3 and self-distillation presume a teacher without training errors."""
    worst = float(np.nanmax(train_error, initial=0.0))
    if worst > 0:
        warnings.warn(
            f"the teacher's training error is {worst:.4g} and should be 0: its soft labels name "
            "wrong classes; train it longer.",
            stacklevel=2,
        )


class ProgressBar:
    """A bar over several experiments, measured in expected floating-point work, so that its time
    estimate is right although experiments differ a thousandfold."""

    def __init__(self, chosen: Iterable[Experiment], *, show: bool = True) -> None:
        total = sum(work(e.study) for e in chosen)
        # disable=None: no bar where stderr is not a terminal.
        self._bar = tqdm(
            total=total / 1e12, disable=None if show else True, unit="TFLOP", bar_format=_FORMAT
        )
        self._base = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()

    def within(self, experiment: Experiment, step: int, share_training: float) -> None:
        """Called after each training step."""
        part = min(1.0, step / steps_of(experiment.study))
        self._bar.set_description(f"{experiment.name} {experiment.label}", refresh=False)
        self._bar.set_postfix_str(f"step {step}, {share_training:.0%} still training", False)
        self._move(self._base + part * work(experiment.study))

    def finished(self, experiment: Experiment) -> None:
        """Called when an experiment is in the store."""
        self._base += work(experiment.study)
        self._move(self._base)

    def _move(self, flops: float) -> None:
        self._bar.update(flops / 1e12 - self._bar.n)


_FORMAT = "{desc} {percentage:3.0f}%|{bar:20}| {elapsed} gone, {remaining} to go{postfix}"


def run_experiment(
    experiment: Experiment,
    store: Store,
    *,
    recompute: bool = False,
    bar: ProgressBar | None = None,
) -> Arrays:
    """The arrays of one experiment, from the store or computed and stored; its teacher's first.

    Raises:
        CorruptEntry: if its entry is damaged and `recompute` is False.
        BadInput: if the store cannot be written.
    """

    def progress(step: int, share_training: float) -> None:
        if bar:
            bar.within(experiment, step, share_training)

    def compute() -> Arrays:
        # Only now: whoever finds the entry in the store needs no teacher.
        teacher = experiment.teacher
        outputs = run_experiment(teacher, store)["train_outputs"] if teacher else None
        return _compute(experiment.study, outputs, progress)

    entry = store.load_or_run(
        experiment.name,
        experiment.study,
        module_of(experiment.study),
        compute,
        recompute=recompute,
        rebuild=rebuild_command(experiment, store),
    )
    if bar:
        bar.finished(experiment)
    return entry.arrays


def rebuild_command(experiment: Experiment, store: Store) -> str:
    """The command that computes an experiment's family again into the same store."""
    where = shlex.quote(str(store.root))
    return (
        f"python -m mvlib run --recompute --scale {experiment.scale} "
        f"--name {experiment.name} --results {where}"
    )


def run_all(
    chosen: list[Experiment], store: Store, *, recompute: bool = False, show: bool = True
) -> list[Arrays]:
    """Arrays of several experiments; each is stored as soon as it is finished, so that an
    interruption loses the one under way and nothing else."""
    missing = [e for e in chosen if recompute or not is_stored(e, store)]
    arrays = []
    with ProgressBar(missing, show=show and bool(missing)) as bar:
        for experiment in chosen:
            todo = experiment in missing
            arrays.append(
                run_experiment(experiment, store, recompute=recompute, bar=bar if todo else None)
            )
    return arrays


def is_stored(experiment: Experiment, store: Store) -> bool:
    """Whether the store has the experiment's entry for the present code and configuration."""
    return store.has(experiment.name, experiment.study, module_of(experiment.study))


def load_family(
    scale: Scale, name: str, store: Store, *, show: bool = False
) -> list[tuple[Experiment, dict[str, np.ndarray]]]:
    """The experiments called `name` with their arrays: what a notebook begins with."""
    chosen = experiments(scale, name)
    return list(zip(chosen, map(dict, run_all(chosen, store, show=show)), strict=True))
