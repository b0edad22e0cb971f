"""What it costs to give every freed block back to the system.

    python benchmarks/page_faults.py     # a minute -> benchmarks/page_faults.json

The same training steps in fresh processes, by turns with glibc's own habits and with
`mvlib.core.heap.keep_freed_blocks`.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
from dataclasses import asdict

from contenders import random_problem, step_seconds
from mvlib.core.heap import keep_freed_blocks
from mvlib.experiments.settings import base_study
from report import HERE, in_fresh_process, provenance, write_atomically
from scaling import CENTRE

PATH = HERE / "page_faults.json"
ROUNDS, CALLS = 5, 5
WAYS = ("given back", "kept")


def main() -> int:
    """Measure by turns, write; returns the exit code 0."""
    made_by = provenance()
    turns: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    for _ in range(ROUNDS):
        for way in WAYS:
            turns[way].append(in_fresh_process(__file__, way))
    ratios = [a["seconds"] / b["seconds"] for a, b in zip(*turns.values(), strict=True)]
    record = {
        "shape": asdict(CENTRE),
        "times_as_long_given_back": statistics.median(ratios),
        "ratios": ratios,
        "turns": turns,
        "details": made_by,
    }
    write_atomically(PATH, record)
    print(json.dumps(record, indent=2))
    return 0


def measure(way: str) -> dict[str, float]:
    """Median seconds of a step and page faults a step, in this process."""
    if way == "kept" and not keep_freed_blocks():
        raise OSError("this system's malloc cannot be told; glibc's can.")
    given = random_problem(CENTRE, base_study("book"))
    step_seconds(given)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    seconds = [step_seconds(given) for _ in range(CALLS)]
    faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
    # A call is three steps and a last pass.
    return {"seconds": statistics.median(seconds), "faults_a_pass": faults / (4 * CALLS)}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1])))
        sys.exit(0)
    sys.exit(main())
