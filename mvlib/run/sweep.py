"""Computing experiments into a store, with progress: what notebooks and the command line call.

Where the computing is done, in this process, in several or on a cluster, changes nothing of the
order, of the store, or of what happens to an experiment that fails.
"""

from __future__ import annotations

import math
import shlex
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from mvlib.core.checks import BadInput, require, require_int, require_number
from mvlib.core.threads import cores
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import Experiment, Scale
from mvlib.run.cluster import Here, Workers, check_address, cluster, processes
from mvlib.run.computing import check_device, check_device_name
from mvlib.run.dispatch import Dispatch, entry_of, plan
from mvlib.run.progress import ProgressBar
from mvlib.store.entries import Arrays, Store


def fill(
    chosen: list[Experiment],
    store: Store,
    *,
    recompute: bool = False,
    show: bool = True,
    jobs: int = 1,
    scheduler: str | None = None,
    device: str = "cpu",
    checkpoint_every: float = 60.0,
) -> list[Experiment]:
    """Compute what the store lacks of several experiments and of their teachers; returns those
    that were computed here and now.

    Each is stored as soon as it is finished: an interruption loses what is under way and nothing
    else, and of that, unless it is on a cluster, only what came after its last checkpoint.

    Args:
        recompute: also what is stored (but no teacher that was not chosen).
        show: a progress bar, where stderr is a terminal.
        jobs: processes of this machine, which share its cores; 1: this one, 0: one a core.
        scheduler: tcp://host:port of a Dask scheduler whose workers compute instead.
        device: cpu, cuda or cuda:N, of whoever computes.
        checkpoint_every: seconds between the checkpoints of a training.

    Raises:
        ExperimentFailed: after all others, if some failed.
        CorruptEntry: before anything is computed, if a stored one is damaged.
        BadInput: if an argument is out of its range, the store cannot be written, or workers
            cannot be reached, run other code, or lack the device.
    """
    _check(jobs, scheduler, device, checkpoint_every)
    for e in [] if recompute else chosen:
        entry_of(e, store)
    tasks = plan(chosen, store, recompute=recompute)
    if not tasks:
        return []
    store.check_writable()
    workers = _workers(min(jobs or cores(), len(tasks)), scheduler, device)
    with ProgressBar([task.experiment for task in tasks], show=show) as bar:
        dispatch = Dispatch(tasks, store, bar, device, checkpoint_every)
        dispatch.run(workers)
    return dispatch.computed


def run_all(chosen: list[Experiment], store: Store, **options: Any) -> list[Arrays]:
    """Arrays of several experiments, from the store or computed and stored; `options` and what is
    raised are those of `fill`."""
    fill(chosen, store, **options)
    return stored(chosen, store)


def run_experiment(experiment: Experiment, store: Store, *, recompute: bool = False) -> Arrays:
    """The arrays of one experiment, from the store or computed and stored; its teacher's first."""
    return run_all([experiment], store, recompute=recompute, show=False)[0]


def stored(chosen: list[Experiment], store: Store) -> list[Arrays]:
    """Arrays of several experiments, and nothing is computed.

    Raises:
        BadInput: if the store lacks some, with the command that computes them.
        CorruptEntry: if one is damaged.
    """
    entries = [entry_of(e, store) for e in chosen]
    found: list[Arrays] = [entry.arrays for entry in entries if entry is not None]
    if len(found) < len(chosen):
        lacks = f"{len(chosen) - len(found)} of {len(chosen)} entries"
        raise BadInput(_missing(store, chosen[0].scale, f"hold what is read and lacks {lacks}"))
    return found


def load_family(
    scale: Scale, name: str, store: Store
) -> list[tuple[Experiment, dict[str, np.ndarray]]]:
    """The experiments called `name` with their arrays, computed where the store lacks them: what a
    notebook begins with.

    Raises:
        BadInput: if there is no store: whoever mistyped its folder would wait for hours.
    """
    chosen = experiments(scale, name)
    if not store.root.exists():
        raise BadInput(_missing(store, scale, "be there and is not"))
    return list(zip(chosen, map(dict, run_all(chosen, store, show=False)), strict=True))


def _missing(store: Store, scale: str, why: str) -> str:
    root = str(store.root)
    return (
        f"results folder (results, --results) = {root!r} must {why}; name another one, or compute "
        f"with `python -m mvlib run --scale {scale} --results {shlex.quote(root)}`."
    )


def _check(jobs: int, scheduler: str | None, device: str, checkpoint_every: float) -> None:
    require_int("jobs", "--jobs", jobs, 0, "0 takes one a core")
    if scheduler is not None:
        check_address(scheduler)
        alone = "a cluster has as many workers as were started"
        require(jobs == 1, "jobs", "--jobs", jobs, "be left out beside --scheduler", alone)
    check_device_name(device)
    require_number(
        "checkpoint_every", "--checkpoint-every", checkpoint_every, 0, math.inf, "try 60"
    )


def _workers(jobs: int, scheduler: str | None, device: str) -> AbstractContextManager[Workers]:
    if scheduler is not None:
        return cluster(scheduler, device)
    check_device(device)
    return nullcontext(Here()) if jobs == 1 else processes(jobs)
