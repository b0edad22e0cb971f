"""The largest training this machine bears, k = 50 and P = k^2 = 2,500, against its prediction.

    python benchmarks/largest.py     # about eight minutes on two cores -> benchmarks/largest.json

The inputs take more than the memory of most desks and are made anew in every pass
(`sample(..., streamed=True)`).  What a step should take is written down first: the cost model of
`scaling.json`, which was fitted to shapes a hundred times smaller, plus the price of drawing a
number, measured on a small sample.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from dataclasses import asdict, replace
from typing import Any

from contenders import input_dtype
from mvlib.experiments.settings import base_study
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.gradient_descent import train
from mvlib.paper.multi_view_data import CHUNK_FLOATS, StreamedPatches, sample
from mvlib.paper.network import init_weights
from mvlib.paper.objectives import CrossEntropy
from mvlib.paper.step_rules import FixedSteps
from mvlib.run.cost import CostModel, Shape, predict_seconds
from peak_memory import peak_over_now
from report import HERE, command_line, in_fresh_process, provenance, write_atomically
from scaling import SCALING_PATH

LARGEST_PATH = HERE / "largest.json"
SHAPE = Shape(n_train=2000, n_patches=2500, dim=500, n_classes=50, n_neurons=5, n_networks=2)
STEPS = 5
DRAWN = 40  # samples on which the price of drawing is measured


def main(arguments: list[str] | None = None) -> int:
    """Predict, run, write; returns the exit code 0."""
    options = command_line(__doc__, LARGEST_PATH).parse_args(arguments)
    made_by = provenance(options.note)
    record = {"shape": asdict(SHAPE), **prediction(SHAPE)}
    print(json.dumps(record, indent=2))
    # A process of its own: a peak of memory, once reached, is never undone.
    record |= in_fresh_process(__file__, "--run") | {"details": made_by}
    write_atomically(options.output, record)
    print(json.dumps(record, indent=2))
    return 0


def params(shape: Shape) -> MultiViewParams:
    """The book's data at this shape; views beyond the patches do not occur at P = k^2."""
    data = base_study("book").data
    return replace(
        data, n_classes=shape.n_classes, n_patches=shape.n_patches, dim=shape.dim,
        noise_std=data.noise_norm / shape.dim**0.5,
    )  # fmt: skip


def prediction(shape: Shape) -> dict[str, float]:
    """Seconds a step and bytes over data and weights, from small shapes alone."""
    scaling = json.loads(SCALING_PATH.read_text(encoding="utf-8"))
    numbers = float(shape.rows * shape.dim)
    price = drawing_price(shape)
    training = predict_seconds(shape, CostModel(**scaling["seconds_model"]))
    # Two chunks at a time: the next is drawn while the last one is still held.
    chunks = 2 * 4 * CHUNK_FLOATS
    held = replace(shape, n_train=1)  # of the data themselves nothing stays
    number_bytes = input_dtype(base_study("book").learner).itemsize
    return {
        "drawing_price": price,
        "predicted_training_seconds": training,
        "predicted_seconds": training + price * numbers,
        "predicted_extra_bytes": chunks
        + predict_seconds(held, CostModel(**scaling["extra_bytes_model"])),
        "data_bytes": number_bytes * numbers,
    }


def drawing_price(shape: Shape) -> float:
    """Seconds to draw one number of the inputs, the median of five small samples."""
    turns = []
    for turn in range(5):
        drawn = sample(params(shape), DRAWN, seed=turn, name="train", streamed=True,
                       rounded=base_study("book").learner.rounds_inputs)  # fmt: skip
        assert isinstance(drawn.patches, StreamedPatches)
        start = time.perf_counter()
        for block in drawn.patches.split(DRAWN):
            del block
        turns.append(time.perf_counter() - start)
    return statistics.median(turns) / (DRAWN * shape.n_patches * shape.dim)


def run(shape: Shape) -> dict[str, Any]:
    """Train for `STEPS` steps on streamed inputs: seconds of each, peak memory, loss."""
    study = base_study("book")
    learner = replace(study.learner, n_neurons=shape.n_neurons)
    drawn = sample(params(shape), shape.n_train, seed=0, name="train", streamed=True,
                   rounded=learner.rounds_inputs)  # fmt: skip
    W0 = init_weights(range(shape.n_networks), learner, n_classes=shape.n_classes, dim=shape.dim)
    schedule = replace(study.schedule, stop_rule=FixedSteps(steps=STEPS))
    reports: list[float] = []

    def training() -> list[float]:
        trajectory = train(
            W0, drawn.patches, drawn.labels, CrossEntropy(), learner=learner, schedule=schedule,
            record_every=1, progress=lambda step, share: reports.append(time.perf_counter()),
        )  # fmt: skip
        return trajectory.loss.mean(dim=1).tolist()

    loss, extra = peak_over_now(training)
    seconds = [after - before for before, after in zip(reports[:-1], reports[1:], strict=True)]
    return {
        "seconds": statistics.median(seconds),
        "seconds_of_steps": seconds,
        "extra_bytes": extra,
        "loss": loss,
    }


if __name__ == "__main__":
    if sys.argv[1:] == ["--run"]:
        print(json.dumps(run(SHAPE)))
        sys.exit(0)
    sys.exit(main())
