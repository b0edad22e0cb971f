"""How this process's heap treats freed blocks: a training step frees and asks for the same few
megabytes hundreds of times."""

from __future__ import annotations

import ctypes

# glibc's malloc.h
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
KEPT = 128 << 20  # bytes; above the blocks of any training step (`network.SAMPLE_FLOATS`)


def keep_freed_blocks() -> bool:
    """Let this process keep what it frees, up to `KEPT` bytes, instead of giving it back to the
    system and having it zeroed, page by page, on the way in again; returns whether that was done.

    By default glibc maps and unmaps every block of more than 128 kB until it has seen larger ones
    freed; `benchmarks/page_faults.py` measures the cost.  For programs, not for imports: it is the
    process's setting.  Elsewhere than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, KEPT)) and bool(mallopt(_M_TRIM_THRESHOLD, 2 * KEPT))
