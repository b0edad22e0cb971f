"""Measure mvlib's training step against the machine and against what one would write without it.

    python benchmarks/run.py                  # the book's shape -> benchmarks/latest.json
    python benchmarks/run.py --shape smoke    # seconds; prints, writes nothing
    python benchmarks/run.py --check          # compare what is written with the goals; 1 if missed

See benchmarks/README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
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
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import Experiment, Scale, base_study, vary
from mvlib.run.cost import Shape, shape_of
from mvlib.run.hours import core_seconds
from mvlib.store.entries import Store
from mvlib.studies.single_model import SingleModelStudy
from peak_memory import extra_bytes
from report import LATEST_PATH, command_line, goals, missed, provenance, write_atomically
from rounds import Ratio, Seconds, interleave, ratio
from whole_study import BEFORE, ROOT, code_of, study_seconds

# How far an update may be from mvlib's, over its length.  float32: sums over N P = 80 000 patches
# in another order; rounding alone makes 1e-6 of the update.  bfloat16: 8 bits, a rounding is off by
# up to 2^-9 = .2%, and everybody rounds in other places (autocast activations and scores, too, JAX
# no correlation): .3% of the update between any two, room for three times as much.  A gradient that
# misses or doubles any term is off by far more than this.
AGREEMENT = {"float32": 1e-4, "bfloat16": 0.01}
# Key of a ratio -> who is compared, and in which precision both are.
RIVALS = {
    "over_loop": ("loop", "float32"),
    "over_loop_tuned": ("loop, tuned", "float32"),
    "over_torch_func": ("torch.func", "float32"),
    "over_torch_func_tuned": ("torch.func, tuned", "float32"),
    "over_jax": ("JAX", "float32"),
    "over_loop_autocast": ("loop", "bfloat16"),
    "over_loop_autocast_tuned": ("loop, tuned", "bfloat16"),
    "over_jax_bf16": ("JAX", "bfloat16"),
}
SHARES = {"share_of_matmul": "bfloat16", "share_of_matmul_float32": "float32"}
CONTENDERS = {"mvlib", *(name for name, _ in RIVALS.values())}  # whoever else is timed: products
STORE = Store(ROOT / "results")
STUDY_RUNS = 3  # of the book's study as it is, against one of the commit before: that takes minutes
CORES = 2  # on which all is to be reproduced
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
    study = measured_study(options.shape)
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
    problems = {p: problem(vary(study, precision=p)) for p in AGREEMENT}
    seconds, gaps = race(problems, rounds)
    fastest = {precision: fastest_products(turns) for precision, turns in seconds.items()}
    ratios = {key: ratio(fastest[p], seconds[p]["mvlib"]) for key, p in SHARES.items()}
    ceilings: dict[str, Ratio] = {}
    reasons: dict[str, str] = {}
    for key, (name, precision) in RIVALS.items():
        if name in seconds[precision]:
            ratios[key] = ratio(seconds[precision][name], seconds[precision]["mvlib"])
            ceilings[key] = ratio(seconds[precision][name], fastest[precision])
        else:
            reasons[key] = str(jax_missing())  # nobody else can be
    studies = whole_studies(study, reasons)
    if studies:
        ratios["study_over_float32"] = ratio(studies["before"] * STUDY_RUNS, studies["now"])
    memory = memory_by_shape(study, reasons)
    data_mb = {precision: given.X.nbytes / 1e6 for precision, given in problems.items()}
    values: dict[str, float | None] = {key: r.median for key, r in ratios.items()}
    values["extra_memory_mb"] = max((case["extra_mb"] for case in memory), default=None)
    values["data_mb_over_float32"] = data_mb["bfloat16"] / data_mb["float32"]
    values["reproduce_minutes"] = reproduce_minutes(experiments("book"), STORE, reasons)
    return {
        **{key: values.get(key) for key in goals()},
        "details": {
            **made_by,
            "shape": asdict(shape_of(study)),
            "precision_of_book": base_study("book").learner.precision,
            "ratios": {key: asdict(r) for key, r in ratios.items()},
            # What a ratio would be if a step were nothing but its two matrix products.
            "ceilings": {key: asdict(r) for key, r in ceilings.items()},
            "seconds": seconds,
            "disagreement": gaps,
            "study_seconds": studies,
            "memory": memory,
            "data_mb": data_mb,
            "reasons": reasons,
        },
    }


def race(
    problems: Mapping[str, Problem], rounds: int
) -> tuple[dict[str, dict[str, list[float]]], dict[str, dict[str, float]]]:
    """By precision: seconds of everybody by round, and how far updates disagree.

    Raises:
        ValueError: if a contender arrives at other weights than mvlib.
    """
    timers: dict[tuple[str, str], Seconds] = {}
    gaps: dict[str, dict[str, float]] = {}
    with ExitStack() as stack:
        for precision, given in problems.items():
            contenders = {
                "mvlib": mvlib_train(given),
                "loop": module_loop(given),
                "loop, tuned": module_loop(given, tuned=True),
            }
            if precision == "float32":
                contenders |= {
                    "torch.func": torch_func(given),
                    "torch.func, tuned": torch_func(given, tuned=True),
                }
            if not jax_missing():
                contenders["JAX"] = stack.enter_context(jax_grad(given))
            reference = contenders["mvlib"].updated()
            # Everybody's first step: their warm-up, too.
            gaps[precision] = {
                name: disagreement(given, contender.updated(), reference)
                for name, contender in contenders.items()
            }
            for name, gap in gaps[precision].items():
                if not gap <= AGREEMENT[precision]:
                    raise ValueError(
                        f"{name}'s update in {precision} is {gap:.2g} of its length from mvlib's "
                        f"and must be within {AGREEMENT[precision]:g}; it does other work."
                    )
            timers |= {(precision, name): c.seconds for name, c in contenders.items()}
            yards = yardsticks(given.W, given.X)
            timers |= {(precision, name): products for name, products in yards.items()}
        turns = interleave(timers, rounds)
    seconds: dict[str, dict[str, list[float]]] = {precision: {} for precision in problems}
    for (precision, name), taken in turns.items():
        seconds[precision][name] = taken
    return seconds, gaps


def fastest_products(turns: Mapping[str, list[float]]) -> list[float]:
    """Seconds of the faster yardstick in each round."""
    yards = [taken for name, taken in turns.items() if name not in CONTENDERS]
    return [min(turn) for turn in zip(*yards, strict=True)]


def measured_study(shape: Scale) -> SingleModelStudy:
    """Ten networks of the base study: as many as take a step together elsewhere."""
    study = base_study(shape)
    return replace(study, n_networks=min(10, study.n_networks), ensemble_size=0)


def whole_studies(study: SingleModelStudy, reasons: dict[str, str]) -> dict[str, list[float]]:
    """Seconds of a whole study of the book before studies had a precision, and now; empty, with a
    reason, where that cannot be measured or another shape is asked for."""
    key = "study_over_float32"
    if study != measured_study("book"):
        reasons[key] = "only the book's own study is measured whole"
        return {}
    try:
        with code_of(BEFORE) as before:
            now = [study_seconds(ROOT)]
            return {
                "before": [study_seconds(before)],
                "now": now + [study_seconds(ROOT) for _ in range(STUDY_RUNS - 1)],
            }
    except OSError as error:
        reasons[key] = str(error)
        return {}


def memory_by_shape(study: SingleModelStudy, reasons: dict[str, str]) -> list[dict[str, Any]]:
    """Extra memory of training at several (N, P); empty, with a reason, where that cannot be
    measured."""
    sizes = asdict(shape_of(study))
    cases = []
    for of_samples, of_patches in MEMORY_FACTORS:
        n, P = round(sizes["n_train"] * of_samples), round(sizes["n_patches"] * of_patches)
        shape = Shape(**sizes | {"n_train": n, "n_patches": P})
        try:
            runs = [extra_bytes(shape) / 1e6 for _ in range(MEMORY_RUNS)]
        except OSError as error:
            reasons["extra_memory_mb"] = str(error)
            return []
        cases.append({"n_train": n, "n_patches": P, "extra_mb": max(runs)})
    return cases


def reproduce_minutes(
    chosen: list[Experiment], store: Store, reasons: dict[str, str]
) -> float | None:
    """Minutes in which `CORES` cores do what the store's entries took; None, with a reason, if one
    is missing or was computed by other code."""
    taken = [
        core_seconds(e, store)
        if store.state(e.name, e.study)[0] in ("current", "stamped")
        else None
        for e in chosen
    ]
    known = [seconds for seconds in taken if seconds is not None]
    if len(known) < len(chosen):
        reasons["reproduce_minutes"] = (
            f"{store.root} lacks the time of {len(chosen) - len(known)} of {len(chosen)} entries "
            "(missing, of other code, resumed or damaged): python -m mvlib run"
        )
        return None
    return sum(known) / 60 / CORES


if __name__ == "__main__":
    sys.exit(main())
