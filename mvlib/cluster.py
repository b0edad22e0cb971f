"""Experiments on the workers of a Dask cluster.

The package distributed is imported only here and only when a scheduler is named.  Workers need
this library and no file of ours: what they are to compute goes to them with the order, arrays come
back with the result, and the store is written by who asked.  The scheduler needs nothing but Dask:
what it is handed to pass on is bytes, and functions that travel with their code.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import re
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, no_type_check

from mvlib.computing import Computed, Order, Unfit
from mvlib.pool import Finished
from mvlib.source import fingerprint
from mvlib.training import Progress

PATIENCE = 5.0  # seconds to wait for a scheduler
_Reply = tuple[str, str, Any]  # worker's address, its fingerprint or what it lacks, result


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


class Cluster:
    """A running Dask cluster.  Orders wait at its scheduler, so that a cluster that grows on
    demand sees them; one whose worker dies is given to another."""

    slots = float("inf")
    # Workers have disks of their own: one would not find there what another had written.
    keeps_checkpoints = False

    def __init__(self, scheduler: str, device: str) -> None:
        self._address = check_address(scheduler)
        self._device = device
        self._cleanup = ExitStack()

    def __enter__(self) -> Cluster:
        with ExitStack() as undo:
            self._client = undo.enter_context(_connected(self._address))
            with self._loss_noticed():
                self._check_workers()
            self._cleanup = undo.pop_all()
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        # Closing the client has the scheduler forget what nobody else waits for.
        self._cleanup.close()

    def submit(
        self, order: Order, finished: Finished, *, priority: float, progress: Progress
    ) -> None:
        """Have an order carried out by a free worker."""
        del progress
        ours: Future[Computed] = Future()

        def done(theirs: Any) -> None:
            try:
                ours.set_result(self._opened(theirs.result()))
            except CancelledError:
                ours.set_exception(self._loss())
            except Exception as error:
                ours.set_exception(error)
            finished(ours)

        with self._loss_noticed(), warnings.catch_warnings():
            # A teacher's outputs may be large.  They go with the order all the same: handed out
            # beforehand, they would be lost with the worker that holds them.
            warnings.filterwarnings("ignore", "Sending large graph")
            # pure=False: an order repeated after an error is carried out again.
            self._client.submit(
                _task(), pickle.dumps(order), order.library, priority=priority, pure=False
            ).add_done_callback(done)

    def check(self) -> None:
        """Whether the scheduler is still there.

        Raises:
            Unfit: if not.  A client that has lost it has given up its tasks, though it may find
                the way back.
        """
        if self._client.status != "running":
            raise self._loss()

    @contextmanager
    def _loss_noticed(self) -> Iterator[None]:
        try:
            yield
        except Unfit:
            raise
        except Exception as error:
            if isinstance(error, OSError) or self._client.status != "running":
                raise self._loss() from error
            raise

    def _loss(self) -> Unfit:
        return Unfit(
            f"scheduler (--scheduler) = {self._address!r} must be there until the end and was "
            "lost; what was finished is stored, start it and run again."
        )

    def _check_workers(self) -> None:
        """Workers that are there already, before anything is computed; others say it themselves."""
        replies = self._client.run(_probe(), self._device, fingerprint(), on_error="return")
        for address, reply in replies.items():
            found, complaint = (str(reply), "") if isinstance(reply, Exception) else reply
            _check_library(address, found)
            if complaint:
                raise Unfit(f"worker {address}: {complaint}")

    def _opened(self, reply: _Reply) -> Computed:
        address, found, computed = reply
        _check_library(address, found)
        return computed


def _check_library(address: str, found: str) -> None:
    if found != fingerprint():
        # A fingerprint is shown short, the error of an import in full.
        shown = found[:8] if re.fullmatch(r"[0-9a-f]{64}", found) else found
        raise Unfit(
            f"library (mvlib) of worker {address} = {shown} must be {fingerprint()[:8]}, as it is "
            "here; install the same version there and restart the worker."
        )


@no_type_check  # the checks of a test run cannot travel
def _probe() -> Callable[[str, str], tuple[str, str]]:
    """A function that tells of a worker its fingerprint and what is wrong with a device.

    It is made in here so that it travels with its code: the worker may lack this module.
    """

    def probe(device: str, library: str) -> tuple[str, str]:
        try:
            from mvlib.source import fingerprint
        except ImportError as error:
            return f"missing ({error})", ""
        found = fingerprint()
        if found != library:
            return found, ""
        from mvlib.computing import Unfit, check_device

        try:
            check_device(device)
        except Unfit as error:
            return found, str(error)
        return found, ""

    return probe


@no_type_check
def _task() -> Callable[[bytes, str], _Reply]:
    """A function that carries out a pickled order on a worker, if that has our library: it may
    have joined after the others were asked."""

    def task(order: bytes, library: str) -> _Reply:
        import pickle

        from distributed import get_worker

        address = get_worker().address
        try:
            from mvlib.source import fingerprint
        except ImportError as error:
            return address, f"missing ({error})", None
        found = fingerprint()
        if found != library:
            return address, found, None
        from mvlib.computing import carry_out

        return address, found, carry_out(pickle.loads(order))

    return task


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """A client of the scheduler, quiet about what is said in our own words.

    Raises:
        Unfit: if distributed is not installed or no scheduler answers.
    """
    try:
        import distributed
    except ImportError as error:
        raise Unfit(
            f"scheduler (--scheduler) = {address!r} needs a package that is not installed "
            f"({error}); `pip install distributed`, or use --jobs."
        ) from error
    with _quiet():
        with ThreadPoolExecutor(1) as thread:  # a notebook has an event loop in this one
            found = thread.submit(asyncio.run, _identity(address)).result()
        if found != "Scheduler":
            raise Unfit(
                f"scheduler (--scheduler) = {address!r} must be a running Dask scheduler and "
                f"{found}; start one with `dask scheduler`, or use --jobs."
            )
        with distributed.Client(
            address, timeout=PATIENCE, set_as_default=False, name="mvlib"
        ) as client:
            yield client


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


@contextmanager
def _quiet() -> Iterator[None]:
    """Without distributed's own log lines, as far as this process writes them."""
    names = [n for n in logging.root.manager.loggerDict if n.split(".")[0] == "distributed"]
    before = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
