"""What a process keeps of what it frees."""

import ctypes
import subprocess
import sys

import pytest

from mvlib.core import heap

PROGRAM = """
import resource, torch
from mvlib.core.heap import keep_freed_blocks
if {keep}: assert keep_freed_blocks()
def faults(): return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(1 << 20)
before = faults()
for _ in range(20): torch.ones(1 << 20)
print(faults() - before)
"""


def faults(keep: bool) -> int:
    """Page faults while 4 MB are asked for, filled and freed twenty times, in a fresh process."""
    done = subprocess.run([sys.executable, "-c", PROGRAM.format(keep=keep)], check=True,
                          stdout=subprocess.PIPE, text=True)  # fmt: skip
    return int(done.stdout)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_freed_blocks_are_not_mapped_again() -> None:
    # 4 MB are 1024 pages: at most the first round may fault, and some pages of the interpreter.
    assert faults(keep=True) < 2 * 1024


def test_another_libc_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap.ctypes, "CDLL", lambda name: object())
    assert heap.keep_freed_blocks() is False
