"""What the book shows of costs, on made-up measurements small enough to do by hand."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import base_study, vary
from mvlib.findings import report_costs as report
from mvlib.run.computing import work
from mvlib.run.cost import CostModel, Shape

# A nanosecond an operation of the products, 8 a correlation: equal at d = 2.
PRICES = {"flops": 1e-9, "correlations": 8e-9}
MODEL = CostModel(prices=PRICES, worst_error=0.149, median_error=0.04, n=3)
CENTRE = dict(n_train=10, n_patches=2, dim=3, n_classes=5, n_neurons=2, n_networks=1)
LAW = {"exponent": 0.987, "low": 0.9, "high": 1.1, "factor": 2.0}
SCALING: dict[str, Any] = {
    "centre": CENTRE,
    "axes": {"dim": {"sizes": [3, 6], "seconds": [1.0, 2.0], "seconds_low": [0.9, 1.9],
                     "seconds_high": [1.2, 2.2], "seconds_law": LAW, "extra_bytes": [3e6, 4.6e6]}},
    "held_out": [{"predicted_seconds": 0.5, "seconds": [0.4, 0.7, 0.6]}],
    "details": {"cpus": 2, "cpu": "X", "threads": 4, "rounds": 7},
}  # fmt: skip
LARGEST = {
    "shape": {"n_train": 20, "dim": 3}, "data_bytes": 1e10, "seconds": 70.0,
    "seconds_of_steps": [80.0, 70.0, 60.0], "predicted_seconds": 100.0,
    "predicted_training_seconds": 80.0, "extra_bytes": 7.2e7, "predicted_extra_bytes": 5e7,
}  # fmt: skip
AXES = report.scaling_axes(SCALING, MODEL)


def test_axes() -> None:
    axis = AXES["dim"]
    # N P k m = 200 correlations, 4 d operations each.
    assert axis.modelled == pytest.approx([200 * (12 + 8) * 1e-9, 200 * (24 + 8) * 1e-9])
    assert axis.seconds.tolist() == [[1.0, 0.9, 1.2], [2.0, 1.9, 2.2]]
    (row,) = report.scaling_table(AXES)
    assert list(row.values()) == ["d", 3, 6, "3 and 5", 0.987, "[0.90, 1.10]"]


def test_scaling_in_the_text() -> None:
    assert report.scaling_values(SCALING, MODEL) == {
        "machine": "2 cores (X), 4 threads", "rounds": 7, "even-dim": "2", "worst": "15%",
        "centre": "N = 10, P = 2, d = 3, k = 5, m = 2, L = 1", "typical": "4%",
    }  # fmt: skip


def test_prices() -> None:
    first, second = report.price_table(MODEL)
    assert list(first.values()) == ["an operation of the products", 1.0]
    assert second["nanoseconds"] == 8.0


def test_what_was_foretold() -> None:
    points = report.foretold(AXES, SCALING, LARGEST)
    assert points["points of the fit"] == (AXES["dim"].modelled, [1.0, 2.0])
    assert points["shapes not fitted"] == ([0.5], [0.6])
    assert points["the largest, streamed"] == ([100.0], [70.0])


def test_the_largest_run() -> None:
    assert report.largest_values(LARGEST) == {
        "large-shape": "N = 20, d = 3", "large-data": "10 GB", "large-seconds": "70.0",
        "large-steps": 3, "large-range": "60.0 to 80.0", "large-predicted": "100.0",
        "large-drawing": "20.0", "large-ratio": "0.70", "large-memory": "72",
        "large-memory-predicted": "50",
    }  # fmt: skip


def test_the_theorems_own_regime() -> None:
    row = report.theory_table(MODEL)[0]
    # k = 10: N = 2000, P = 100, d = 1000, m = 5, ten networks: 1e8 correlations, 4e11 operations.
    assert [row[name] for name in ("k", "P", "N", "d")] == [10, 100, 2000, 1000]
    assert row["inputs, TB"] == "0.0008" and row["operations a step"] == "4.0e+11"
    assert row["hours a step, this machine"] == "0.11"  # 400.8 seconds
    assert row["all steps, years"] == "0.00089"  # 70 of them, 7.8 hours


def test_work_of_families() -> None:
    study: Any = base_study("smoke")
    d = study.data.dim
    assert report.flop_rate(study, MODEL) == pytest.approx(4 * d / (4 * d + 8) * 1e9)
    chosen = [*experiments("smoke", "single-model"), *experiments("smoke", "race")]
    first, race = report.work_table(chosen, rate=1e9)
    n = len(chosen) - 1
    each = work(chosen[0].study)
    assert first["experiments"] == "single-model" and first["how many"] == n
    assert first["work, TFLOP"] == f"{n * each / 1e12:.3g}" and race["how many"] == 1
    assert first["hours, this machine"] == f"{n * each / 3.6e12:.3g}"
    total = n * each + work(chosen[-1].study)
    assert report.work_values(chosen, rate=total / 86400 / 3) == {
        "rate": f"{total / 86400 / 3e9:.0f}", "paper-days": "3"
    }  # fmt: skip


def test_one_precision_beside_the_other() -> None:
    """Two draws of two networks and four classes: of eight, seven and eight know the same views."""
    some, other = np.array([[1.0, 0.0]] * 8).reshape(2, 4, 2), np.array([[0.2, 1.0]] * 8)
    changed = some.copy()
    changed[1, 3] = 1.0, 0.5  # both views are learned, not one

    def made(single: list[float], correlations: np.ndarray) -> dict[str, np.ndarray]:
        return {"single_error": np.array(single), "multi_error": np.zeros(2),
                "correlations": correlations.reshape(2, 4, 2)}  # fmt: skip

    narrow = replace(base_study("smoke"), n_networks=2)
    wide = vary(narrow, precision="float32")
    studies = [wide, narrow, replace(wide, draw=11), replace(narrow, draw=11)]
    arrays = [made([0.4, 0.6], some), made([0.5, 0.56], changed),
              made([0.5, 0.5], other), made([0.5, 0.5], 3 * other)]  # fmt: skip
    family: Any = [(SimpleNamespace(study=s), a) for s, a in zip(studies, arrays, strict=True)]
    first, second = (list(row.values()) for row in report.precision_table(family))
    assert first == [10, 2, *map(pytest.approx, (0.5, 0.53, 0.1)), "87.5%"]
    assert second == [11, 2, 0.5, 0.5, 0.0, "100.0%"]
    assert report.precision_values(family) == {
        "precision-draws": 2, "precision-classes": 16, "precision-same": "93.8%",
        "precision-gap": "0.0300",
    }  # fmt: skip
    assert [(e.study.draw, e.study.learner.precision) for e in experiments("smoke", "precision")][
        :2
    ] == [(10, "float32"), (10, "bfloat16")], "in such pairs"


def test_beside_other_ways() -> None:
    ratio = {"median": 1.9, "quartiles": [1.84, 2.06]}
    latest: dict[str, Any] = dict.fromkeys(report.RATIOS) | {"extra_memory_mb": 47.9}
    latest["details"] = {"ratios": {"over_loop": ratio}, "ceilings": {"over_loop": {"median": 2.1}}}
    goals = {"over_loop": {"at_least": 4.0}, "extra_memory_mb": {"at_most": 256.0}}
    table = report.comparison_table(latest, goals)
    rows = {key: list(row.values())[1:] for key, row in zip(report.RATIOS, table, strict=True)}
    assert rows["over_loop"] == [1.9, "1.84 to 2.06", ">= 4.0", "2.10"]
    assert rows["share_of_matmul"] == ["not measured", "", "", ""]
    assert rows["extra_memory_mb"] == [47.9, "", "<= 256.0", ""]


def test_sizes_by_the_papers_symbols() -> None:
    every = dict(zip(Shape.__dataclass_fields__, range(6), strict=True))
    assert report.named(every) == "N = 0, P = 1, d = 2, k = 3, m = 4, L = 5"
