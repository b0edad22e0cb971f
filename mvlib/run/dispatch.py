"""Which experiment is computed next, and what becomes of its result."""

from __future__ import annotations

import shlex
import time
import warnings
from collections.abc import Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
from filelock import FileLock

from mvlib.core.checks import BadInput
from mvlib.experiments.settings import Experiment
from mvlib.run.cluster import Workers
from mvlib.run.computing import Computed, Order, Unfit, work
from mvlib.run.progress import ProgressBar
from mvlib.store.checkpoint import TrainingCheckpoint
from mvlib.store.entries import Entry, Store

LOOK_AGAIN = 0.2  # seconds until an entry that another process computes is looked for again
GIVE_UP = 24.0  # hours to wait for others: an entry may take them as long


class ExperimentFailed(RuntimeError):
    """An experiment could not be computed; the message names it and says why."""


@dataclass(eq=False, slots=True)
class Task:
    """An experiment to be computed."""

    experiment: Experiment
    key: str
    again: bool  # although the store may hold it
    teacher: Task | None  # must be finished first
    # Floating-point operations of it and of the longest line of students that waits for it: no
    # sweep can end sooner than that after it begins.
    priority: float


def is_stored(experiment: Experiment, store: Store) -> bool:
    """Whether the store has the experiment's entry."""
    return store.has(experiment.name, experiment.study)


def entry_of(experiment: Experiment, store: Store) -> Entry | None:
    """The experiment's entry, if the store has it.

    Raises:
        CorruptEntry: if it is damaged, with the command that rebuilds it.
    """
    e = experiment
    rebuild = (
        f"python -m mvlib run --recompute --scale {e.scale} --name {e.name} "
        f"--results {shlex.quote(str(store.root))}"
    )
    return store.load(e.name, e.study, rebuild=rebuild)


def plan(chosen: Iterable[Experiment], store: Store, *, recompute: bool = False) -> list[Task]:
    """What has to be computed, teachers before their students: of the chosen ones those the store
    lacks (with `recompute` all), and the teachers they need, unless stored."""
    chosen = list(chosen)
    again = {(e.name, e.study) for e in chosen} if recompute else set()
    tasks: dict[tuple[str, Any], Task] = {}

    def need(e: Experiment) -> Task | None:
        this = (e.name, e.study)
        if this not in tasks:
            if this not in again and is_stored(e, store):
                return None
            teacher = need(e.teacher) if e.teacher else None
            tasks[this] = Task(e, store.key(*this), this in again, teacher, work(e.study))
        return tasks[this]

    for e in chosen:
        need(e)
    for task in reversed(tasks.values()):  # students first
        if task.teacher:
            line = work(task.teacher.experiment.study) + task.priority
            task.teacher.priority = max(task.teacher.priority, line)
    return list(tasks.values())


@dataclass(slots=True)
class Dispatch:
    """Has tasks computed as soon as their teachers are stored, those with most priority first, and
    stores each result as soon as it is there.

    An entry is claimed while it is computed.  One that another process has claimed is left to it
    and looked for later, so that several sweeps over one store share the work.
    """

    waiting: list[Task]
    store: Store
    bar: ProgressBar
    device: str
    checkpoint_every: float
    computed: list[Experiment] = field(default_factory=list)
    _running: dict[Future[Computed], Task] = field(default_factory=dict)
    _claims: dict[Task, FileLock] = field(default_factory=dict)
    _ended: set[Task] = field(default_factory=set)
    _failed: dict[Task, BaseException] = field(default_factory=dict)
    _left_out: int = 0

    def run(self, computing: AbstractContextManager[Workers]) -> None:
        """Compute everything, by those who come out of `computing` and stop when it is left.

        Raises:
            ExperimentFailed: after all others, if some failed.
            BadInput: at once, if the store cannot be written or read, or workers are unfit; after
                long, if somebody else does not do what is waited for.
        """
        self.waiting.sort(key=lambda task: -task.priority)  # students stay behind their teachers
        try:
            with computing as workers:
                while self.waiting or self._running:
                    self._start_what_can(workers)
                    for future in self._finished(workers):
                        self._collect(self._running[future], future)
                        self._claims.pop(self._running.pop(future)).release()
        finally:
            # Only now: a worker may have written a checkpoint until it was stopped.
            for claim in self._claims.values():
                claim.release()
        if self._failed:
            raise ExperimentFailed(self._report()) from next(iter(self._failed.values()))

    def _start_what_can(self, workers: Workers) -> None:
        for task in list(self.waiting):
            if len(self._running) >= workers.slots:
                return
            if task.teacher is not None and task.teacher not in self._ended:
                continue
            claim = self.store.claim(task.key)
            if claim is None:
                continue
            self.waiting.remove(task)
            if not task.again and is_stored(task.experiment, self.store):
                claim.release()
                self._end(task)  # another process has done it
                continue
            self._claims[task] = claim
            self._running[self._start(task, workers)] = task

    def _start(self, task: Task, workers: Workers) -> Future[Computed]:
        e = task.experiment
        checkpoint = self.store.checkpoint_path(e.name, e.study)
        if task.again:
            TrainingCheckpoint(checkpoint).remove()  # computed again from nothing
        teacher = entry_of(e.teacher, self.store) if e.teacher else None
        order = Order(
            study=e.study,
            outputs=teacher.arrays["train_outputs"] if teacher else None,
            device=self.device,
            checkpoint=checkpoint if workers.keeps_checkpoints else None,
            every_seconds=self.checkpoint_every,
        )
        self.bar.started(e)
        within = partial(self.bar.within, e)
        return workers.submit(order, priority=task.priority, progress=within)

    def _finished(self, workers: Workers) -> set[Future[Computed]]:
        """What has come back, after a while if it is nothing."""
        if self._running:
            done = wait(self._running, LOOK_AGAIN, FIRST_COMPLETED).done
            awaited = None if done else workers.awaited()
        elif self.waiting:
            time.sleep(LOOK_AGAIN)
            done, awaited = set(), f"another process that computes {_name(self.waiting[0])}"
        else:
            return set()
        if self.bar.waits_for(awaited, GIVE_UP) > GIVE_UP * 3600:
            raise BadInput(
                f"this sweep waited {GIVE_UP:g} h for {awaited} and gives up; what was finished "
                "is stored, run again."
            )
        return done

    def _collect(self, task: Task, future: Future[Computed]) -> None:
        error = future.exception()
        if isinstance(error, Unfit):
            raise error
        if error is not None:
            self._fail(task, error)
            return
        e, found, store = task.experiment, future.result(), self.store
        store.save(e.name, e.study, found.arrays, found.seconds, made_by=found.made_by,
                   resumed=found.resumed)  # fmt: skip
        TrainingCheckpoint(store.checkpoint_path(e.name, e.study)).remove()
        self.computed.append(e)
        self._end(task)
        # Theorem 3 and self-distillation presume a teacher without training errors.
        worst = float(np.nanmax(found.arrays.get("teacher_train_error", 0.0), initial=0.0))
        if worst > 0:
            warnings.warn(
                f"the teacher's training error is {worst:.4g} and should be 0: its soft labels "
                "name wrong classes; train it longer.", stacklevel=2,
            )  # fmt: skip

    def _end(self, task: Task) -> None:
        self._ended.add(task)
        self.bar.ended(task.experiment)

    def _fail(self, task: Task, error: BaseException) -> None:
        self._failed[task] = error
        self.bar.ended(task.experiment)
        lost = {task}
        for waiting in list(self.waiting):
            if waiting.teacher in lost:
                lost.add(waiting)
                self.waiting.remove(waiting)
                self._left_out += 1

    def _report(self) -> str:
        said = "; ".join(
            f"experiment {_name(task)} failed ({type(error).__name__}: {str(error).rstrip('.')})"
            for task, error in self._failed.items()
        )
        needing = f"; {self._left_out} that it teaches left out" if self._left_out else ""
        return f"{said}{needing}; all others are stored."


def _name(task: Task) -> str:
    return f"{task.experiment.name} ({task.experiment.label})"
