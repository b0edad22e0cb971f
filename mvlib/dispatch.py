"""Which experiment is computed next, and what becomes of its result."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue

import numpy as np
from filelock import FileLock

from mvlib.checkpoint import TrainingCheckpoint
from mvlib.computing import Computed, Order, Unfit, work
from mvlib.pool import Workers
from mvlib.progress import ProgressBar
from mvlib.results import Entry, Store
from mvlib.settings import Experiment, Study

LOOK_AGAIN = 0.2  # seconds until an entry that another process computes is looked for again


class ExperimentFailed(RuntimeError):
    """An experiment could not be computed; the message names it and says why."""


@dataclass(eq=False, slots=True)
class Task:
    """An experiment to be computed.

    Attributes:
        experiment: which.
        key: its key in the store.
        again: compute it although the store may hold it.
        teacher: the task that must be finished first, if any.
        priority: floating-point operations of it and of the longest line of students that waits
            for it: no sweep can end sooner than that after it begins.
    """

    experiment: Experiment
    key: str
    again: bool
    teacher: Task | None
    priority: float


def is_stored(experiment: Experiment, store: Store) -> bool:
    """Whether the store has the experiment's entry for the present code and configuration."""
    return store.has(experiment.name, experiment.study)


def entry_of(experiment: Experiment, store: Store) -> Entry | None:
    """The experiment's entry, if the store has it.

    Raises:
        CorruptEntry: if it is damaged, with the command that rebuilds it.
    """
    rebuild = rebuild_command(experiment, store)
    return store.load(experiment.name, experiment.study, rebuild=rebuild)


def rebuild_command(experiment: Experiment, store: Store) -> str:
    """The command that computes an experiment's family again into the same store."""
    where = shlex.quote(str(store.root))
    return (
        f"python -m mvlib run --recompute --scale {experiment.scale} "
        f"--name {experiment.name} --results {where}"
    )


def plan(chosen: Iterable[Experiment], store: Store, *, recompute: bool = False) -> list[Task]:
    """What has to be computed, teachers before their students: of the chosen ones those the store
    lacks (with `recompute` all), and the teachers they need, unless stored."""
    chosen = list(chosen)
    again = {(e.name, e.study) for e in chosen} if recompute else set()
    tasks: dict[tuple[str, Study], Task] = {}

    def need(e: Experiment) -> Task | None:
        this = (e.name, e.study)
        if this not in tasks:
            if this not in again and is_stored(e, store):
                return None
            teacher = need(e.teacher) if e.teacher else None
            key = store.key(e.name, e.study)
            tasks[this] = Task(e, key, this in again, teacher, work(e.study))
        return tasks[this]

    for e in chosen:
        need(e)
    for task in reversed(tasks.values()):  # students first
        if task.teacher:
            line = work(task.teacher.experiment.study) + task.priority
            task.teacher.priority = max(task.teacher.priority, line)
    return list(tasks.values())


class Dispatch:
    """Has tasks computed as soon as their teachers are stored, those with most priority first, and
    stores each result as soon as it is there.

    An entry is claimed while it is computed.  One that another process has claimed is left to it
    and looked for later, so that several sweeps over one store share the work.

    Attributes:
        computed: experiments computed and stored so far.
    """

    def __init__(
        self,
        tasks: list[Task],
        store: Store,
        workers: Workers,
        bar: ProgressBar,
        *,
        device: str,
        checkpoint_every: float,
    ) -> None:
        self.computed: list[Experiment] = []
        self._waiting = sorted(tasks, key=lambda task: -task.priority)
        self._running: dict[Task, FileLock] = {}
        self._ended: set[Task] = set()
        self._failed: dict[Task, BaseException] = {}
        self._left_out = 0
        self._inbox: SimpleQueue[tuple[Task, Future[Computed]]] = SimpleQueue()
        self._store, self._workers, self._bar = store, workers, bar
        self._device, self._every = device, checkpoint_every

    def run(self) -> None:
        """Compute everything.

        Raises:
            ExperimentFailed: after all others, if some failed.
            BadInput: at once, if the store cannot be written or read, or workers are unfit.
        """
        try:
            with self._workers:
                while self._waiting or self._running:
                    self._start_what_can()
                    self._collect_one()
        finally:
            # Only now: a worker may have written a checkpoint until it was stopped.
            for claim in self._running.values():
                claim.release()
        if self._failed:
            raise ExperimentFailed(self._report()) from next(iter(self._failed.values()))

    def _start_what_can(self) -> None:
        for task in list(self._waiting):
            if len(self._running) >= self._workers.slots:
                return
            if task.teacher is not None and task.teacher not in self._ended:
                continue
            claim = self._store.claim(task.key)
            if claim is None:
                continue
            self._waiting.remove(task)
            if not task.again and is_stored(task.experiment, self._store):
                claim.release()
                self._end(task)  # another process has done it
                continue
            self._running[task] = claim
            self._start(task)

    def _start(self, task: Task) -> None:
        experiment = task.experiment
        checkpoint = self._store.checkpoint_path(experiment.name, task.key)
        if task.again:
            TrainingCheckpoint(checkpoint).remove()  # computed again from nothing
        order = Order(
            study=experiment.study,
            outputs=self._teachers_outputs(experiment),
            device=self._device,
            checkpoint=checkpoint if self._workers.keeps_checkpoints else None,
            every_seconds=self._every,
        )
        self._bar.started(experiment)
        self._workers.submit(
            order,
            lambda future: self._inbox.put((task, future)),
            priority=task.priority,
            progress=partial(self._bar.within, experiment),
        )

    def _teachers_outputs(self, experiment: Experiment) -> np.ndarray | None:
        if experiment.teacher is None:
            return None
        entry = entry_of(experiment.teacher, self._store)
        assert entry is not None, "a task starts when its teacher is stored"
        return entry.arrays["train_outputs"]

    def _collect_one(self) -> None:
        try:
            task, future = self._inbox.get(timeout=LOOK_AGAIN)
        except Empty:
            self._workers.check()
            self._bar.refresh()
            return
        error = future.exception()
        if error is None:
            self._keep(task, future.result())
            self._end(task)
        elif isinstance(error, Unfit):
            raise error
        elif isinstance(error, BrokenExecutor):
            # It may have been any of them, and the pool is of no more use.
            named = " or ".join(_name(t.experiment) for t in self._running)
            raise ExperimentFailed(
                f"a process that computed {named} was killed; if that was for want of memory, use "
                "fewer --jobs. What was finished is stored."
            ) from error
        else:
            self._fail(task, error)
        self._running.pop(task).release()

    def _keep(self, task: Task, computed: Computed) -> None:
        e, store = task.experiment, self._store
        store.save(
            e.name,
            e.study,
            computed.arrays,
            computed.seconds,
            made_by=computed.made_by,
            resumed=computed.resumed,
        )
        TrainingCheckpoint(store.checkpoint_path(e.name, task.key)).remove()
        self.computed.append(e)
        if "teacher_train_error" in computed.arrays:
            _warn_of_unfitted_teacher(computed.arrays["teacher_train_error"])

    def _end(self, task: Task) -> None:
        self._ended.add(task)
        self._bar.ended(task.experiment)

    def _fail(self, task: Task, error: BaseException) -> None:
        self._failed[task] = error
        self._bar.ended(task.experiment)
        lost = {task}
        for waiting in sorted(self._waiting, key=_generation):
            if waiting.teacher in lost:
                lost.add(waiting)
                self._waiting.remove(waiting)
                self._left_out += 1

    def _report(self) -> str:
        said = "; ".join(
            f"experiment {_name(task.experiment)} failed ({type(error).__name__}: "
            f"{str(error).rstrip('.')})"
            for task, error in self._failed.items()
        )
        needing = f"; {self._left_out} that it teaches left out" if self._left_out else ""
        return f"{said}{needing}; all others are stored."


def _generation(task: Task) -> int:
    """How many teachers up to the first are still tasks."""
    return 1 + _generation(task.teacher) if task.teacher else 0


def _name(experiment: Experiment) -> str:
    return f"{experiment.name} ({experiment.label})"


def _warn_of_unfitted_teacher(train_error: np.ndarray) -> None:
    """Theorem 3 and self-distillation presume a teacher without training errors."""
    worst = float(np.nanmax(train_error, initial=0.0))
    if worst > 0:
        warnings.warn(
            f"the teacher's training error is {worst:.4g} and should be 0: its soft labels name "
            "wrong classes; train it longer.",
            stacklevel=2,
        )
