"""What the book says of the limit, from arrays small enough to work by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toys import TEACHER, student

from mvlib.experiments.limit import grown, with_classes
from mvlib.experiments.settings import base_study, joint_study
from mvlib.findings import limit, report_limit
from mvlib.findings.finding import Finding
from mvlib.store.entries import Arrays, Store
from mvlib.studies.many_classes import ManyClassesStudy

# Two networks, two classes: three lotteries foretold of four, one class with both views.
ARRAYS: Arrays = {
    "correlations": np.array([[[1, 0.1], [0.2, 2]], [[0.4, 1], [0.1, 1]]]),
    "predicted_winner": np.array([[0, 1], [0, 1]]),
    "single_error": np.array([0.4, 0.6]),
    "multi_error": np.array([0.0, 0.02]),
    "ensemble_single_error": np.array(0.1),
    "ensemble_multi_error": np.array(0.0),
    "fitted": np.array([True, True]),
    "stop_step": np.array([10, 20]),
}
BASE = replace(TEACHER, n_networks=2, n_test_single=500, n_test_multi=500)  # mu = .1
REDUCED = ManyClassesStudy(base=BASE)


def entry(study: Any, arrays: Arrays = ARRAYS, label: str = "") -> tuple[Any, Arrays]:
    return SimpleNamespace(study=study, label=label), arrays


def test_findings_are_of_the_largest_k() -> None:
    worse = dict(ARRAYS, single_error=np.array([0.9, 0.9]))
    error, winners, one = limit.limit_findings([entry(REDUCED, worse), entry(REDUCED)])
    assert error.measured == pytest.approx(0.5 + 9 * 0.01)
    # Wrong of 1000 single-view inputs 500, of 1000 multi-view ones 10, which count ninefold:
    # variances .25 / 1000 and 81 * .0099 / 1000.
    half = 1.96 * np.sqrt(0.25 / 1000 + 81 * 0.0099 / 1000)
    assert error.high - error.low == pytest.approx(2 * half, rel=0.15)
    assert (winners.measured, winners.n) == (0.75, 4)
    assert (one.measured, one.n) == (0.75, 4)
    assert [f.claim for f in (error, winners, one)] == [
        "limit-single-error", "limit-winners", "limit-one-view"
    ]  # fmt: skip


def test_averages_stand_beside_their_networks() -> None:
    together = replace(REDUCED, together=True)
    [one] = limit.averages([entry(REDUCED), entry(together)])
    assert (one.k, one.members, one.start) == (3, 2, pytest.approx(0.1))
    assert one.ratio == pytest.approx(0.1 / 0.59) and one.low < one.ratio < one.high
    _, joint = joint_study(BASE, 3, mean=True)
    [two] = limit.averages([entry(BASE), entry(joint)])
    assert two.members == 3 and two.ratio == one.ratio


def test_the_largest_ratio_of_those_that_fit_is_reported() -> None:
    together = replace(REDUCED, together=True)
    bad = dict(ARRAYS, ensemble_single_error=np.array(0.55))
    unfit = dict(bad, ensemble_single_error=np.array(0.8), fitted=np.array([True, False]))
    family = [entry(REDUCED), entry(together), entry(together, bad), entry(together, unfit)]
    found = limit.train_average_ratio(family)
    assert found.measured == pytest.approx(0.55 / 0.59) and "0.93 for L = 2" in found.caveat


def test_curves_and_tables() -> None:
    counts = report_limit.by_classes([entry(REDUCED)])
    assert list(counts[3].values()) == pytest.approx([0.59, 0.75, 0.75])
    [row] = report_limit.full_table([entry(BASE)], [entry(REDUCED)])
    assert row["their average"] == pytest.approx(0.1) and row["networks"] == 2
    assert row["views that none has"] == 0.25, "the second class's first view"
    [row] = report_limit.many_table({"held": [entry(REDUCED)]})
    assert row["way"] == "held" and row["steps"] == 15 and row["winner foretold"] == 0.75
    said = report_limit.limit_values([entry(BASE)], [entry(BASE)], [entry(REDUCED)])
    assert said["grown-error-last"] == "0.590" and said["held-one-first"] == "0.750"
    assert said["per-class"] == 12 and said["full-k-last"] == 3
    assert said["held-error-there"] == said["held-error-last"]


def test_goals_of_distillation_at_every_k(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = student(n_students=1, teacher=BASE)
    taught = dict(ARRAYS, single_error=np.array([0.105]), multi_error=np.zeros(1))
    beside = dict(ARRAYS, single_error=np.array([0.3]), multi_error=np.array([0.01]))
    more = with_classes(BASE, 6, 2, BASE.data.dim)
    full = [entry(BASE), entry(more)]
    [found] = report_limit.goals(full, [entry(one, taught)], [entry(one, beside)])
    # Nine multi-view inputs stand for one single-view input.
    assert found.above[0] == pytest.approx(0.005) and found.gap[0] == pytest.approx(0.285)
    # Two proportions of 500 inputs, and one of weight nine.
    deviation = np.sqrt((0.105 * 0.895 + 0.3 * 0.7 + 81 * 0.01 * 0.99) / 500)
    assert found.gap[2] - found.gap[1] == pytest.approx(2 * 1.96 * deviation, rel=0.15)
    assert found.met == (True, True)
    far = replace(found, k=6, above=(0.011, 0, 1))
    said = report_limit.goals_values([found, far])
    assert said["goal-first-at"] == "k = 3" and said["goal-second-at"] == "k = 3, k = 6"
    assert said["goal-both-at"] == "k = 3"
    assert said["goal-itself-at"] == "none of them", "all err on more than their average may"
    assert (said["goal-k-last"], said["goal-student-last"]) == (6, "0.105")
    assert report_limit.goals_values([far])["goal-both-at"] == "none of them"

    # Where there is no student its time is foretold from the last one's.
    monkeypatch.setattr(report_limit, "core_seconds", lambda e, store: 120.0)
    monkeypatch.setattr(report_limit, "work", lambda study: study.base.data.n_classes**2)
    full[1][0].scale = "smoke"
    without = report_limit.not_run(full, [entry(one, taught)], Store(tmp_path))
    assert without == {6: "not run: about 8 core-minutes"}
    known, unknown = report_limit.goals_table(full, [found], without)
    assert known["goals met (first: relative to the average)"] == "first and second"
    assert unknown["student"] == without[6]
    assert list(known) == list(unknown) and unknown["average"] == known["average"]
    monkeypatch.setattr(report_limit, "core_seconds", lambda e, store: None)
    assert report_limit.not_run(full, [entry(one)], Store(tmp_path)) == {6: "not run"}


def test_long_curves_are_in_units_of_the_first_fit() -> None:
    run: Arrays = {
        "steps": np.array([0, 5, 50]),
        "train_error": np.array([[0.9, 0.9], [0.0, 0.5], [0.0, 0.0]]),
        "watched_single_error": np.array([[0.9, 0.8], [0.5, 0.6], [0.3, 0.4]]),
    }
    times, errors = report_limit.long_curve(BASE, run)
    assert times.tolist() == [[0, 0], [1, 0.1], [10, 1]]
    said = report_limit.long_values({"it": (times, errors)})
    assert said == {"it-fit": "0.450", "it-ten": "0.350", "it-end": "0.350", "it-last": "6"}


def test_share_of_steps() -> None:
    steps, errors = np.array([0, 10, 20, 100]), np.array([[0.0], [0.9], [0.05], [0.01]])
    assert report_limit.share_of_steps(steps, errors) == pytest.approx(0.9)


def test_with_classes_holds_what_it_says() -> None:
    first = base_study("book")
    many = with_classes(first, 80, 2, 4000)
    data, held = many.data, first.data
    assert many.n_train / 80 == first.n_train / held.n_classes
    assert data.single_view_fraction == held.single_view_fraction
    assert data.noise_norm == pytest.approx(held.noise_norm)
    assert many.learner.n_neurons == first.learner.n_neurons + 5  # 1.5 log2(8), rounded up
    rules = many.schedule.step_rule, first.schedule.step_rule
    assert rules[0].max_step == pytest.approx(8 * rules[1].max_step)  # type: ignore[union-attr]

    more = grown(first, 640, 2)
    assert more.learner.init_std == pytest.approx(first.learner.init_std / 2)  # 64^(1/6)
    assert more.data.sparsity == pytest.approx(held.sparsity * 64**0.2)


def test_findings_at_smoke_scale(smoke_findings: dict[str, Finding]) -> None:
    assert smoke_findings["limit-winners"].measured > 0.8
    assert 0.3 < smoke_findings["limit-single-error"].measured < 0.6
    assert smoke_findings["limit-one-view"].measured > 0.5
    assert 0 <= smoke_findings["train-average-ratio"].measured
