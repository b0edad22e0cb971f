"""Where experiments are computed on this machine: in this process, or in several."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Protocol, runtime_checkable

import torch

from mvlib.computing import Computed, Order, carry_out, check_device
from mvlib.training import Progress

Finished = Callable[[Future[Computed]], None]


@runtime_checkable
class Workers(Protocol):
    """Whoever computes.  Leaving the `with` block stops what is still being computed.

    Attributes:
        slots: how many orders to give at once; the others wait with whoever gives them.
        keeps_checkpoints: whether a computation may keep its state in the store's folder.
    """

    slots: float
    keeps_checkpoints: bool

    def __enter__(self) -> Workers:
        """Make ready."""
        ...

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Stop."""
        ...

    def submit(
        self, order: Order, finished: Finished, *, priority: float, progress: Progress
    ) -> None:
        """Have an order carried out; `finished` is called with the result or the exception.

        Args:
            priority: of two orders that wait, the one with more comes first.
            progress: called during the computation, where that is possible.
        """
        ...

    def check(self) -> None:
        """Called from time to time while nothing comes back.

        Raises:
            Unfit: if nothing ever will.
        """
        ...


class Here:
    """This process: one order at a time, carried out before `submit` returns."""

    slots: float = 1
    keeps_checkpoints = True

    def __init__(self, device: str) -> None:
        check_device(device)

    def __enter__(self) -> Here:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        """Nothing to stop."""

    def submit(
        self, order: Order, finished: Finished, *, priority: float, progress: Progress
    ) -> None:
        """Carry out an order."""
        del priority
        future: Future[Computed] = Future()
        try:
            future.set_result(carry_out(order, progress))
        except Exception as error:  # but not KeyboardInterrupt
            future.set_exception(error)
        finished(future)

    def check(self) -> None:
        """Nothing is ever waited for."""


class Pool:
    """Several processes of this machine, which share its cores evenly."""

    keeps_checkpoints = True

    def __init__(self, jobs: int, device: str) -> None:
        check_device(device)
        self.slots: float = jobs
        context = get_context("spawn")  # torch's threads do not survive a fork
        alive, self._alive = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            jobs, context, initializer=_begin, initargs=(alive, threads_each(jobs))
        )

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # An executor waits for what its processes are at; these must stop at once.
        if error is not None:
            self._alive.close()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._alive.close()

    def submit(
        self, order: Order, finished: Finished, *, priority: float, progress: Progress
    ) -> None:
        """Have an order carried out by a free process."""
        del priority, progress
        with _ctrl_c_held():  # this may start a process
            future = self._pool.submit(carry_out, order)
        future.add_done_callback(finished)

    def check(self) -> None:
        """An executor notices by itself when one of its processes is gone."""


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_each(jobs: int) -> int:
    """Torch threads of each of `jobs` processes: no more than there are cores in all, nor than
    this process was allowed (by OMP_NUM_THREADS, say)."""
    return max(1, min(cores() // jobs, torch.get_num_threads()))


@contextmanager
def _ctrl_c_held() -> Iterator[None]:
    """Ctrl-C, which a terminal sends to all processes, is for this one: a process started in here
    never sees it, not even while it still imports.  This one sees it when the block ends."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(alive: Connection, threads: int) -> None:
    """In a new process: when the one that started it is gone, so is this one."""
    torch.set_num_threads(threads)
    threading.Thread(target=_follow, args=(alive,), daemon=True).start()


def _follow(alive: Connection) -> None:
    # Nothing is ever sent: the pipe becomes readable when its other end closes, be it that the
    # parent closed it or that it was killed.
    alive.poll(None)
    os._exit(1)
