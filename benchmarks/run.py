"""Measure mvlib's training step against the machine and against what one would write without it.

    python benchmarks/run.py                  # the book's shape -> benchmarks/latest.json
    python benchmarks/run.py --shape smoke    # seconds; prints, writes nothing
    python benchmarks/run.py --check          # compare what is written with the goals; 1 if missed

See benchmarks/README.md.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from contenders import (
    Problem,
    disagreement,
    jax_grad,
    jax_missing,
    module_loop,
    mvlib_train,
    problem,
    torch_func,
)
from matmul import yardsticks
from mvlib.core.checks import require_int
from mvlib.experiments.settings import base_study
from mvlib.run.cost import Shape, shape_of
from mvlib.studies.single_model import SingleModelStudy
from peak_memory import extra_bytes
from report import LATEST_PATH, command_line, goals, missed, provenance, write_atomically
from rounds import Ratio, Seconds, interleave, ratio

# Sums over N P = 80 000 patches in single precision, in another order: rounding alone makes 1e-6
# of the update.  A gradient that misses or doubles any term is off by far more than this.
AGREEMENT = 1e-4
RIVALS = {
    "over_loop": "loop",
    "over_loop_tuned": "loop, tuned",
    "over_torch_func": "torch.func",
    "over_torch_func_tuned": "torch.func, tuned",
    "over_jax": "JAX",
}
# Where memory is measured: (N, P) as multiples of the study's, so that the worst is found among
# many samples, many patches, and few samples of very many patches.
MEMORY_FACTORS = ((1.0, 1.0), (4.0, 1.0), (1.0, 4.0), (0.1, 40.0))
MEMORY_RUNS = 2  # of each, the worse one: the C library's reserve differs from run to run


def main(arguments: list[str] | None = None) -> int:
    """Returns the exit code: 0, or 1 where `--check` finds a goal missed."""
    parser = command_line(__doc__, None, rounds=9)
    parser.add_argument("--shape", choices=("book", "smoke"), default="book")
    parser.add_argument("--check", action="store_true", help="measure nothing, compare with goals")
    options = parser.parse_args(arguments)
    path = options.output or (LATEST_PATH if options.shape == "book" else None)
    if options.check:
        return check(options.output or LATEST_PATH)
    study = base_study(options.shape)
    record = measure(study, rounds=options.rounds, note=options.note)
    print(json.dumps(record, indent=2))
    if path:
        write_atomically(path, record)
        print(f"written to {path}", file=sys.stderr)
    return 0


def check(path: Path) -> int:
    """Say which goals a written record misses; 1 if it misses one."""
    record = json.loads(path.read_text(encoding="utf-8"))
    sentences = missed(record)
    for sentence in sentences:
        print(sentence)
    absent = [key for key, goal in goals().items() if goal.get("optional") and record[key] is None]
    for key in absent:
        print(f"{key} was not measured, and need not be: {record['details']['reasons'][key]}.")
    met = len(goals()) - len(sentences) - len(absent)
    print(f"{met} of {len(goals())} goals met by {path}, written {record['details']['date']}.")
    return 1 if sentences else 0


def measure(study: SingleModelStudy, *, rounds: int, note: str = "") -> dict[str, Any]:
    """The whole record: the measures of `goals.json`, and how they came about."""
    require_int("rounds", "", rounds, 1, "9 give a median with quartiles")
    made_by = provenance(note)  # first: the load average is that of the machine without us
    given = problem(study)
    seconds, reasons, gaps = race(given, rounds)
    yards = [name for name in seconds if name != "mvlib" and name not in RIVALS.values()]
    fastest = [min(turn) for turn in zip(*(seconds[name] for name in yards), strict=True)]
    ratios = {"share_of_matmul": ratio(fastest, seconds["mvlib"])}
    ceilings: dict[str, Ratio] = {}
    for key, name in RIVALS.items():
        if name in seconds:
            ratios[key] = ratio(seconds[name], seconds["mvlib"])
            ceilings[key] = ratio(seconds[name], fastest)
    memory, reason = memory_by_shape(study)
    if reason:
        reasons["extra_memory_mb"] = reason
    values: dict[str, float | None] = {key: r.median for key, r in ratios.items()}
    values["extra_memory_mb"] = max((case["extra_mb"] for case in memory), default=None)
    return {
        **{key: values.get(key) for key in goals()},
        "details": {
            **made_by,
            "shape": asdict(shape_of(study)),
            "ratios": {key: asdict(r) for key, r in ratios.items()},
            # What a ratio would be if a step were nothing but its two matrix products.
            "ceilings": {key: asdict(r) for key, r in ceilings.items()},
            "seconds": seconds,
            "disagreement": gaps,
            "memory": memory,
            "reasons": reasons,
        },
    }


def race(
    given: Problem, rounds: int
) -> tuple[dict[str, list[float]], dict[str, str], dict[str, float]]:
    """Seconds of everybody by round, why a measure is missing, and how far updates disagree.

    Raises:
        ValueError: if a contender arrives at other weights than mvlib.
    """
    reasons: dict[str, str] = {}
    with ExitStack() as stack:
        contenders = {
            "mvlib": mvlib_train(given),
            "loop": module_loop(given),
            "loop, tuned": module_loop(given, tuned=True),
            "torch.func": torch_func(given),
            "torch.func, tuned": torch_func(given, tuned=True),
        }
        missing = jax_missing()
        if missing:
            reasons["over_jax"] = missing
        else:
            contenders["JAX"] = stack.enter_context(jax_grad(given))
        reference = contenders["mvlib"].updated()
        # Everybody's first step: their warm-up, too.
        gaps = {
            name: disagreement(given, contender.updated(), reference)
            for name, contender in contenders.items()
        }
        for name, gap in gaps.items():
            if not gap <= AGREEMENT:
                raise ValueError(
                    f"{name}'s update is {gap:.2g} of its length from mvlib's and must be within "
                    f"{AGREEMENT:g}; it does other work."
                )
        timers: dict[str, Seconds] = {name: c.seconds for name, c in contenders.items()}
        seconds = interleave(timers | yardsticks(given.W, given.X), rounds)
    return seconds, reasons, gaps


def memory_by_shape(study: SingleModelStudy) -> tuple[list[dict[str, Any]], str | None]:
    """Extra memory of training at several (N, P), or why it could not be measured."""
    sizes = asdict(shape_of(study))
    cases = []
    for of_samples, of_patches in MEMORY_FACTORS:
        n, P = round(sizes["n_train"] * of_samples), round(sizes["n_patches"] * of_patches)
        shape = Shape(**sizes | {"n_train": n, "n_patches": P})
        try:
            runs = [extra_bytes(shape) / 1e6 for _ in range(MEMORY_RUNS)]
            cases.append({"n_train": n, "n_patches": P, "extra_mb": max(runs)})
        except OSError as error:
            return [], str(error)
    return cases, None


if __name__ == "__main__":
    sys.exit(main())
