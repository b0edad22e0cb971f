"""How this process and those that it starts share the machine's cores, with each other and with
whatever else runs.  It imports nothing: OpenMP reads its environment when torch is loaded."""

from __future__ import annotations

import os

_ASLEEP = {"OMP_WAIT_POLICY": "PASSIVE"}
_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def wait_asleep() -> None:
    """Let threads that wait for each other sleep instead of spin, unless the user has chosen; to
    be called before torch is imported.

    A thread that spins holds a core which another may need: two sweeps at once, of two threads each
    on two cores, took five times as long as one.
    """
    for name, value in _ASLEEP.items():
        os.environ.setdefault(name, value)


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads_each(jobs: int, n_cores: int, allowed: int) -> int:
    """Threads of each of `jobs` processes: no more than there are cores in all, nor than this
    process was `allowed` (by OMP_NUM_THREADS, say)."""
    return max(1, min(n_cores // jobs, allowed))


def environment(threads: int) -> dict[str, str]:
    """Environment variables of a process that computes with so many threads."""
    return {**_ASLEEP, **os.environ, **dict.fromkeys(_COUNTS, str(threads))}
