"""Who computes: this process, or the workers of a Dask scheduler, be they elsewhere or processes
that were started here.

The package distributed is imported only here and only when one process is not enough.  Workers
need this library and no file of ours: what they are to compute goes to them with the order, arrays
come back with the result, and the store is written by who asked.  A scheduler elsewhere needs
nothing but Dask: what it is handed to pass on is bytes, and functions that travel with their code.
"""

from __future__ import annotations

import asyncio
import logging
import math
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, no_type_check

import torch

from mvlib.core.source import fingerprint
from mvlib.core.threads import cores, environment, threads_each
from mvlib.paper.gradient_descent import Progress
from mvlib.run.computing import Computed, Order, Unfit, carry_out
from mvlib.store.kinds import kind_of, own_kinds

PATIENCE = 5.0  # seconds to wait for a scheduler
ASK_EVERY = 2.0  # seconds until its workers are counted again
_Reply = tuple[str, str, Any]  # worker's address, its fingerprint or what it lacks, result


class Killed(RuntimeError):
    """Whoever computed an experiment was killed, again and again."""


class Here:
    """This process: one order at a time, carried out before `submit` returns."""

    slots: float = 1  # how many orders to give at once; the others wait with whoever gives them
    keeps_checkpoints = True  # whether a computation may keep its state in the store's folder

    def submit(self, order: Order, *, priority: float, progress: Progress) -> Future[Computed]:
        """Carry out an order."""
        del priority
        future: Future[Computed] = Future()
        try:
            future.set_result(carry_out(order, progress))
        except Exception as error:  # but not KeyboardInterrupt
            future.set_exception(error)
        return future

    def awaited(self) -> None:
        """Nothing is ever waited for."""


class Cluster:
    """The workers of a Dask scheduler.  Orders wait there, so that a cluster that grows on demand
    sees them; one whose worker dies is given to another.  Attributes are those of `Here`."""

    def __init__(
        self,
        client: Any,
        address: str,
        *,
        slots: float = math.inf,
        # Workers elsewhere have disks of their own: one would not find there what another wrote.
        keeps_checkpoints: bool = False,
        revive: Callable[[], None] = lambda: None,
    ) -> None:
        self.slots, self.keeps_checkpoints = slots, keeps_checkpoints
        self._client, self._address, self._revive = client, address, revive
        self._some, self._ask_at = True, 0.0

    def check(self, device: str) -> None:
        """Before anything is computed: raise `Unfit` if a worker that is there runs other code or
        lacks the device.  Those that join later say it when they are to compute."""
        with self._loss_noticed():
            probe = (b"", fingerprint(), device)
            replies = self._client.run(_task(), *probe, on_error="return")
        for address, reply in replies.items():
            if isinstance(reply, Unfit):
                raise Unfit(f"worker {address}: {reply}")
            _check_library(address, str(reply) if isinstance(reply, Exception) else reply[1])

    def submit(self, order: Order, *, priority: float, progress: Progress) -> Future[Computed]:
        """Have an order carried out by a free worker; of two that wait, the one with more
        `priority` comes first."""
        del progress
        from distributed.protocol import pickle  # also of classes that a script defines itself
        from distributed.scheduler import KilledWorker

        ours: Future[Computed] = Future()

        def done(theirs: Any) -> None:
            try:
                if self._client.status != "running":  # a loop that closes answers nothing
                    raise CancelledError
                address, found, computed = theirs.result()
                _check_library(address, found)
                ours.set_result(computed)
            except CancelledError:
                ours.set_exception(self._loss())
            except KilledWorker as error:
                ours.set_exception(Killed(
                    f"its process was killed {error.allowed_failures + 1} times; if that was for "
                    "want of memory, use fewer --jobs, or larger workers"
                ))  # fmt: skip
            except Exception as error:
                ours.set_exception(error)

        with self._loss_noticed(), warnings.catch_warnings():
            # A teacher's outputs may be large.  They go with the order all the same: handed out
            # beforehand, they would be lost with the worker that holds them.
            warnings.filterwarnings("ignore", "Sending large graph")
            kind = kind_of(order.study)
            # A reader's own kind is registered where it is computed; ours are.
            own = None if kind in own_kinds() else kind
            asked = (pickle.dumps((own, order)), order.library, order.device)
            # pure=False: an order repeated after an error is carried out again.
            theirs = self._client.submit(_task(), *asked, priority=priority, pure=False)
            theirs.add_done_callback(done)
        return ours

    def awaited(self) -> str | None:
        """What must happen before anything is computed, if as things stand nothing is.

        Raises:
            Unfit: if nothing ever will; a client that finds a lost scheduler again has given up
                its tasks.
        """
        self._revive()
        if self._client.status != "running":
            raise self._loss()
        if time.monotonic() >= self._ask_at:  # a large cluster has much to tell
            with self._loss_noticed():
                self._some = bool(self._client.scheduler_info()["workers"])
            self._ask_at = time.monotonic() + ASK_EVERY
        return None if self._some else f"a worker to join {self._address}"

    @contextmanager
    def _loss_noticed(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if isinstance(error, OSError) or self._client.status != "running":
                raise self._loss() from error
            raise

    def _loss(self) -> Unfit:
        return Unfit(
            f"scheduler (--scheduler) = {self._address!r} must be there until the end and was "
            "lost; what was finished is stored, start it and run again."
        )


Workers = Here | Cluster


def _check_library(address: str, found: str) -> None:
    if found != fingerprint():
        # A fingerprint is shown short, the error of an import in full.
        shown = found[:8] if re.fullmatch(r"[0-9a-f]{64}", found) else found
        raise Unfit(
            f"library (mvlib) of worker {address} = {shown} must be {fingerprint()[:8]}, as it is "
            "here; install the same version there and restart the worker, or run again if the "
            "source was edited meanwhile."
        )


def check_address(scheduler: str) -> str:
    """The address itself.

    Raises:
        Unfit: if it is not tcp://host:port.
    """
    match = re.fullmatch(r"tcp://(?:[^\s/:\[\]]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", scheduler)
    if not match or not 1 <= int(match[1]) <= 65535:
        raise Unfit(
            f"scheduler (--scheduler) = {scheduler!r} must be tcp://host:port with a port in "
            "1..65535; `dask scheduler` prints its address when it starts."
        )
    return scheduler


@contextmanager
def cluster(scheduler: str, device: str) -> Iterator[Cluster]:
    """The workers of a running Dask cluster.  Leaving the block has the scheduler forget what
    nobody else waits for.

    Raises:
        Unfit: if no scheduler answers, or a worker will not do.
    """
    asked = f"scheduler (--scheduler) = {check_address(scheduler)!r}"
    with _distributed(asked) as distributed:
        with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop in this one
            found = thread.submit(asyncio.run, _identity(scheduler)).result()
        if found != "Scheduler":
            raise Unfit(
                f"{asked} must be a running Dask scheduler and {found}; start one with "
                "`dask scheduler`, or use --jobs."
            )
        with _client(distributed, scheduler) as client:
            workers = Cluster(client, scheduler)
            workers.check(device)
            yield workers


@contextmanager
def processes(jobs: int) -> Iterator[Cluster]:
    """Several processes of this machine, which share its cores evenly, as workers of a scheduler
    in this one.  Leaving the block stops them at once."""
    with ExitStack() as undo:
        distributed = undo.enter_context(_distributed(f"jobs (--jobs) = {jobs}"))
        from dask import config

        # Who is silent for minutes has slept with the whole machine, and is alive.  An experiment
        # may be handed from one to the next while all of them are killed.
        settings: dict[str, object] = {"distributed.scheduler.worker-ttl": None,
                    "distributed.scheduler.allowed-failures": min(jobs, 3)}  # fmt: skip
        web = {"dashboard": False, "dashboard_address": "127.0.0.1:0"}
        with config.set(settings):
            local = distributed.LocalCluster(n_workers=0, silence_logs=False, scheduler_kwargs=web)
        address = undo.enter_context(local).scheduler_address
        client = undo.enter_context(_client(distributed, address))
        threads = threads_each(jobs, cores(), torch.get_num_threads())
        team = _Team(address, environment(threads))
        undo.callback(team.stop)
        for _ in range(jobs):
            team.start()
        yield Cluster(client, address, slots=jobs, keeps_checkpoints=True, revive=team.revive)


class _Team:
    """Processes that are workers of a scheduler."""

    def __init__(self, address: str, environment: dict[str, str]) -> None:
        self._address, self._environment = address, environment
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """One more."""
        # Modules are found where this process finds them.
        main = "import sys; _, address, *sys.path = sys.argv; from mvlib.run.cluster import serve; "
        path = [folder or os.getcwd() for folder in sys.path]
        # Ctrl-C, which a terminal sends to all processes, is for this one: a process that is
        # started while it is held never sees it, not even while it still imports.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            command = [sys.executable, "-c", main + "serve(address)", self._address, *path]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, env=self._environment)
            self._processes.append(process)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def revive(self) -> None:
        """One for each that was killed.

        Raises:
            Unfit: if one ended by itself: the next would, too.
        """
        for process in [p for p in self._processes if p.poll() is not None]:
            if process.returncode >= 0:
                raise Unfit(
                    f"processes (--jobs) = {len(self._processes)} must be there until the end and "
                    f"one left with exit code {process.returncode}; see what it said, or use "
                    "--jobs 1."
                )
            process.communicate()
            self._processes.remove(process)
            self.start()

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()


def serve(address: str) -> None:
    """Be a worker of a scheduler until standard input closes, as it does when the process at its
    other end is gone, be it killed."""
    threading.Thread(target=_follow, daemon=True).start()
    with _distributed("a worker") as distributed:

        async def work() -> None:
            async with distributed.Worker(address, nthreads=1, memory_limit=0) as worker:
                await worker.finished()

        asyncio.run(work())


def _follow() -> None:
    os.read(0, 1)
    os._exit(1)


@no_type_check  # the checks of a test run cannot travel
def _task() -> Callable[[bytes, str, str], _Reply]:
    """A function that carries out a pickled order on a worker, if that has our library and the
    device; without an order it only says so.

    It is made in here so that it travels with its code: the worker may lack this module.
    """

    def task(order: bytes, library: str, device: str) -> _Reply:
        import pickle

        from distributed import get_worker

        address = get_worker().address if order else ""
        try:
            from mvlib.core.source import fingerprint
        except ImportError as error:
            return address, f"missing ({error})", None
        found = fingerprint()
        if found != library:
            return address, found, None
        from mvlib.run.computing import carry_out, check_device
        from mvlib.store.kinds import register

        check_device(device)
        if not order:
            return address, found, None
        kind, wanted = pickle.loads(order)
        if kind is not None:
            register(kind)
        return address, found, carry_out(wanted)

    return task


@contextmanager
def _distributed(asked: str) -> Iterator[Any]:
    """The package, quiet about what is said in our own words.

    Raises:
        Unfit: if it is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise Unfit(
            f"{asked} needs a package that is not installed ({error}); `pip install distributed`, "
            "or compute in one process (--jobs 1)."
        ) from error
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] == "distributed"]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield distributed
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _client(distributed: Any, address: str) -> Any:
    # It is there: if it takes long to answer, this machine is busy.
    return distributed.Client(address, timeout=60, set_as_default=False, name="mvlib")


async def _identity(address: str) -> str:
    """Who listens at an address, in Dask's words, or what else was found.

    A client that finds nobody takes long to give up, and longer to be cleaned away.
    """
    from distributed.comm import connect

    async def ask() -> str:
        comm = await connect(address, timeout=PATIENCE)
        try:
            await comm.write({"op": "identity", "reply": True})
            return str((await comm.read())["type"])
        finally:
            comm.abort()

    try:
        kind = await asyncio.wait_for(ask(), 2 * PATIENCE)
    except (OSError, TimeoutError):
        return f"nobody answered within {PATIENCE:g} s"
    except Exception as error:  # whatever a reply that is not Dask's may look like to Dask
        return f"something else answered ({type(error).__name__})"
    return kind if kind == "Scheduler" else f"a {kind} answered"
