"""How much memory training takes over its data and weights.

    python benchmarks/peak_memory.py '{"n_train": 2000, "n_patches": 40, ...}'

prints the bytes for one shape.  `extra_bytes` calls it in a fresh process, since a peak once
reached is never undone.  The peak is read from /proc and not from `ru_maxrss`, into which a child
inherits the peak of the process that started it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from contenders import random_problem, trained
from mvlib.experiments.settings import base_study
from mvlib.paper.step_rules import FixedSteps
from mvlib.run.cost import Shape
from report import in_fresh_process

T = TypeVar("T")
MMAP_THRESHOLD = 1 << 17  # glibc's own at the start; naming it keeps it from growing
PROC = Path("/proc/self")
TINY = Shape(n_train=20, n_patches=4, dim=8, n_classes=3, n_neurons=2, n_networks=2)


def extra_bytes(shape: Shape, *, repeatable: bool = False) -> int:
    """Peak resident memory of a training run of this shape minus what was resident just before,
    measured in a fresh process.

    `repeatable` makes the C library return every freed block to the system.  Otherwise it keeps
    some, how much depends on where the system put its heap, and the same run differs by tens of
    megabytes; that reserve is part of what a user sees, but says nothing about training.

    Raises:
        OSError: where there is no /proc (it is Linux's).
        subprocess.CalledProcessError: if that process fails; its words are on standard error.
    """
    if not (PROC / "clear_refs").exists():
        raise OSError("peak memory is read from /proc, which this system does not have.")
    env = {"MALLOC_MMAP_THRESHOLD_": str(MMAP_THRESHOLD)} if repeatable else {}
    return in_fresh_process(__file__, json.dumps(asdict(shape)), **env)


def measure(shape: Shape) -> int:
    """The same in this process, whose memory must not be in use for anything else."""
    # Two steps: the second finds what the first has left behind.
    study = base_study("book")
    schedule = replace(study.schedule, stop_rule=FixedSteps(steps=2))
    trained(random_problem(TINY, study), schedule)  # libraries loaded, thread pools started
    given = random_problem(shape, study)
    return peak_over_now(partial(trained, given, schedule))[1]


def peak_over_now(work: Callable[[], T]) -> tuple[T, int]:
    """What `work` returns, and the bytes by which this process's peak then exceeded what was
    resident before."""
    (PROC / "clear_refs").write_text("5", encoding="utf-8")  # forgets the peak so far
    before = _kilobytes("VmRSS")
    done = work()
    return done, 1024 * max(0, _kilobytes("VmHWM") - before)


def _kilobytes(field: str) -> int:
    status = (PROC / "status").read_text(encoding="utf-8")
    found = re.search(rf"^{field}:\s*(\d+) kB$", status, re.MULTILINE)
    assert found, field
    return int(found[1])


if __name__ == "__main__":
    print(measure(Shape(**json.loads(sys.argv[1]))))
