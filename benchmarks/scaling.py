"""Seconds and memory of a training step along each of its six sizes, and what they follow.

    python benchmarks/scaling.py     # about three minutes on two cores -> benchmarks/scaling.json

One size varies at a time around `CENTRE`, in factors of two.  Along each axis a power law is
fitted, over all points a cost model (`mvlib.run.cost`), which then has to predict shapes that were
not in the fit.  All points are in the precision of the book's studies.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

from contenders import random_problem, step_seconds
from fits import MEMORY_TERMS, TIME_TERMS, fit_cost, fit_power_law
from mvlib.core.checks import require_int
from mvlib.experiments.settings import base_study
from mvlib.run.cost import Shape, predict_seconds
from peak_memory import extra_bytes
from report import HERE, command_line, provenance, write_atomically
from rounds import interleave

SCALING_PATH = HERE / "scaling.json"
CENTRE = Shape(n_train=400, n_patches=40, dim=500, n_classes=10, n_neurons=6, n_networks=4)
# No powers of two: rows of such lengths fall on the same places of the cache, which is another
# subject.
AXES: dict[str, tuple[int, ...]] = {
    "n_classes": (5, 10, 20, 40),
    "n_patches": (10, 20, 40, 80, 160),
    "n_train": (100, 200, 400, 800, 1600),
    "dim": (125, 250, 500, 1000, 2000),
    "n_neurons": (3, 6, 12, 24),
    "n_networks": (1, 2, 4, 8, 16),
}
# Points on axes alone do not tell the prices of the cost model apart (`fit_cost`):
# rows, columns and dimension also vary together.
CORNERS = tuple(
    replace(CENTRE, n_train=n, n_networks=S, dim=d)
    for n in (200, 800)
    for S in (2, 8)
    for d in (250, 1000)
)
# Off the axes, never fitted: the smoke study, half the book's training set, a mixture.
HELD_OUT = (
    Shape(n_train=600, n_patches=16, dim=300, n_classes=4, n_neurons=5, n_networks=4),
    Shape(n_train=1000, n_patches=40, dim=1000, n_classes=10, n_neurons=5, n_networks=10),
    Shape(n_train=200, n_patches=80, dim=1000, n_classes=5, n_neurons=12, n_networks=8),
)
# Peaks include what libraries take for themselves: errors of less than this are none.
MEMORY_NOISE = 4e6


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Which shapes are measured.

    Attributes:
        centre: where the axes meet.
        axes: field of `Shape` -> its sizes, all else as at the centre.
        corners: shapes off the axes that are fitted, too.
        held_out: shapes that are only predicted.
    """

    centre: Shape = CENTRE
    axes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: AXES)
    corners: tuple[Shape, ...] = CORNERS
    held_out: tuple[Shape, ...] = HELD_OUT

    def along(self, name: str) -> list[Shape]:
        """The shapes of one axis."""
        return [replace(self.centre, **{name: size}) for size in self.axes[name]]

    def fitted(self) -> list[Shape]:
        """Every shape that is fitted, once: the centre lies on all axes."""
        on_axes = [shape for name in self.axes for shape in self.along(name)]
        return list(dict.fromkeys([*on_axes, *self.corners]))


def main(arguments: list[str] | None = None) -> int:
    """Measure, fit, write; returns the exit code 0."""
    options = command_line(__doc__, SCALING_PATH, rounds=7).parse_args(arguments)
    record = measure(Plan(), rounds=options.rounds, note=options.note)
    write_atomically(options.output, record)
    print(summary(record))
    return 0


def measure(plan: Plan, *, rounds: int, note: str = "") -> dict[str, Any]:
    """The whole record: points, exponents, cost models and how they did on what they have not
    seen."""
    require_int("rounds", "", rounds, 1, "7 give a median")
    made_by = provenance(note)
    fitted = plan.fitted()
    shapes = [*fitted, *plan.held_out]
    seconds = seconds_by_shape(shapes, rounds)
    memory = {shape: float(extra_bytes(shape, repeatable=True)) for shape in shapes}
    middle = {shape: statistics.median(turns) for shape, turns in seconds.items()}
    time_model = fit_cost(fitted, [middle[shape] for shape in fitted], TIME_TERMS)
    memory_model = fit_cost(
        fitted, [memory[shape] for shape in fitted], MEMORY_TERMS, floor=MEMORY_NOISE
    )

    def axis(name: str) -> dict[str, Any]:
        sizes, shapes = plan.axes[name], plan.along(name)
        taken = [memory[shape] for shape in shapes]
        return {
            "sizes": list(sizes),
            "seconds": [middle[shape] for shape in shapes],
            "seconds_low": [min(seconds[shape]) for shape in shapes],
            "seconds_high": [max(seconds[shape]) for shape in shapes],
            "extra_bytes": taken,
            "seconds_law": asdict(fit_power_law(sizes, [middle[shape] for shape in shapes])),
            # A peak that grew by less than a page is one page here: logarithms need something.
            "extra_bytes_law": asdict(fit_power_law(sizes, [max(b, 4096.0) for b in taken])),
        }

    def trial(shape: Shape) -> dict[str, Any]:
        return {
            "shape": asdict(shape),
            "seconds": middle[shape],
            "predicted_seconds": predict_seconds(shape, time_model),
            "extra_bytes": memory[shape],
            "predicted_extra_bytes": predict_seconds(shape, memory_model),
        }

    return {
        "centre": asdict(plan.centre),
        "axes": {name: axis(name) for name in plan.axes},
        "corners": [trial(shape) for shape in plan.corners],
        "seconds_model": asdict(time_model),
        "extra_bytes_model": asdict(memory_model),
        "held_out": [trial(shape) for shape in plan.held_out],
        "precision": base_study("book").learner.precision,
        "details": {**made_by, "rounds": rounds},
    }


def seconds_by_shape(shapes: list[Shape], rounds: int) -> dict[Shape, list[float]]:
    """Seconds per training step of each shape, one a round, all shapes once a round."""
    study = base_study("book")
    timers = {
        str(index): partial(step_seconds, random_problem(shape, study))
        for index, shape in enumerate(shapes)
    }
    interleave(timers, 1)  # warm-up: memory is mapped, threads are there
    return dict(zip(shapes, interleave(timers, rounds).values(), strict=True))


def summary(record: Mapping[str, Any]) -> str:
    """Exponents, prices and predictions in a few lines."""
    lines = []
    for name, axis in record["axes"].items():
        law = axis["seconds_law"]
        lines.append(f"{name:10}  seconds ~ size^{law['exponent']:.2f} "
                     f"[{law['low']:.2f}, {law['high']:.2f}]")  # fmt: skip
    model = record["seconds_model"]
    lines.append(f"seconds = {model['prices']}")
    lines.append(f"all points within {model['worst_error']:.0%}, half within "
                 f"{model['median_error']:.0%}")  # fmt: skip
    for trial in record["held_out"]:
        lines.append(f"held out: {trial['seconds']:.4f} s, predicted "
                     f"{trial['predicted_seconds']:.4f} s")  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
