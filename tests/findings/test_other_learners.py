"""Mixup and classifiers as findings and in chapters, on arrays small enough to do by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toys import TEACHER, Config  # mu = 0.1: a multi-view error counts nine times

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.other_learners import ALONE, LOWER, WIDE
from mvlib.experiments.settings import Experiment, base_study, vary
from mvlib.findings import other_learners, report_other_learners
from mvlib.findings.finding import Finding
from mvlib.paper.step_rules import FixedSteps
from mvlib.store.entries import Arrays, Store
from mvlib.studies.classifiers import ClassifierStudy

STUDY = ClassifierStudy(base=TEACHER, degrees=(1, 2), penalties=(1.0,))
BOTH, ONE = [[1.0, 0.9], [2.0, 2.0]], [[1.0, 0.9], [2.0, 0.1]]  # of two classes


def networks(single: list[float], views: list[Any], **more: Any) -> Arrays:
    n = len(single)
    return {
        "single_error": np.array(single), "multi_error": np.zeros(n), "fitted": np.arange(n) > 0,
        "correlations": np.array(views), "stop_step": np.full(n, 80),
        "ensemble_single_error": np.array(0.25), "ensemble_multi_error": np.array(0.0),
        "steps": np.array([0, 40, 80]), "train_error": np.array([[0.5] * n, [0.0] * n, [0.0] * n]),
        "watched_single_error": np.full((3, n), single),
    } | more  # fmt: skip


MIXED = [networks([0.0, 0.2], [BOTH, ONE]), networks([0.1, 0.1], [BOTH, BOTH])]
PLAIN = [networks([0.4, 0.6], [ONE, ONE])]


def classified(flat: list[float], pooled: list[float], **more: Any) -> Arrays:
    """Errors over mu on validation inputs and on test inputs, which are all single-view."""
    errors = np.array([flat, pooled])
    return {"validation_error": errors, "single_error": errors, "multi_error": 0 * errors,
            "train_error": 0 * errors, "penalty": 1 + 0 * errors} | more  # fmt: skip


def test_mixup_is_measured_beside_the_same_networks_without_it() -> None:
    error, views = other_learners.mixup_findings(TEACHER, MIXED, PLAIN)
    assert (error.claim, views.claim) == ("mixup-single", "mixup-classes-with-both-views")
    assert error.measured == pytest.approx(0.1) and views.measured == pytest.approx(0.875)
    assert error.turn == pytest.approx(0.5) and views.turn == pytest.approx(0.5)
    assert error.n == views.n == 4 and error.verdict == "right direction"
    assert "4 networks on 2 data draws, each after exactly 80 steps; 2 fit" in error.caveat
    assert "they err on 0.500 mu" in error.caveat
    assert "they know all views in a share of 0.500" in views.caveat


def test_a_row_a_claim() -> None:
    found = other_learners.mixup_findings(TEACHER, MIXED, PLAIN)
    first, second = report_other_learners.finding_table(found)
    assert first["claim"].startswith("Mixup single: A single network trained on midpoints errs")
    assert (first["expected"], second["expected"]) == ("at most 0.01", "at least 1")
    assert first["verdict"] == "right direction" and first["how"] == found[0].caveat


def test_the_best_classifier_is_the_one_that_validates_best() -> None:
    a = classified([0.5, 0.3], [0.4, 0.2])
    assert other_learners.best_classifier(STUDY, a, linear=True) == ("pooled", 0.4)
    assert other_learners.best_classifier(STUDY, a, linear=False) == ("pooled", 0.2)
    # Not the one with the least test error.
    seen = a | {"validation_error": np.array([[0.1, 0.1], [0.9, 0.9]])}
    assert other_learners.best_classifier(STUDY, seen, linear=True) == ("flattened", 0.5)


def verdict(errors: list[float]) -> Finding:
    networks = {"network_single_error": np.array([0.4, 0.6]), "network_multi_error": np.zeros(2)}
    noisy = [classified([error, error], [1.0, 1.0], **networks) for error in errors]
    plain = [classified([0.3, 0.3], [0.02, 0.02])]
    study = replace(STUDY, common_noise=0.03, n_networks=2)
    linear, polynomial = other_learners.classifier_findings(study, noisy, plain)
    assert linear.measured == polynomial.measured == pytest.approx(np.mean(errors))
    assert linear.predicted == pytest.approx(2 / 3 / 0.1)  # two of three guesses, over mu
    assert linear.turn == pytest.approx(0.5) and linear.n == len(errors)
    assert "gamma = 0.03; without it the same classifiers err on 0.020 mu." in linear.caveat
    assert "Patches flattened, chosen" in linear.caveat
    return linear


def test_classifiers_that_beat_networks_refute_the_claim() -> None:
    assert verdict([0.1, 0.2]).verdict == "fails"
    assert verdict([0.7, 0.8]).verdict == "right direction"


def test_classifier_table() -> None:
    a = classified([0.5, 0.3], [0.4, 0.2], multi_error=np.full((2, 2), 0.1))
    rows = report_other_learners.classifier_table(STUDY, [a], PLAIN)
    assert [list(row.values())[:2] for row in rows] == [
        ["linear", "flattened"], ["polynomial of degree 2", "flattened"],
        ["linear", "pooled"], ["polynomial of degree 2", "pooled"], ["single network", "patches"],
    ]  # fmt: skip
    assert rows[0]["test error / μ"] == pytest.approx(0.5 + 9 * 0.1)
    noisy = replace(STUDY, n_networks=2)
    beside = {f"network_{kind}_error": np.array([0.2, 0.4]) for kind in ("single", "multi")}
    [*_, last] = report_other_learners.classifier_table(noisy, [a | beside], PLAIN)
    values = report_other_learners.classifier_values(
        replace(noisy, common_noise=0.0316), [a | beside]
    )
    assert list(values.values()) == ["0.032", 2, "3.000"]
    assert last["test error / μ"] == pytest.approx(0.3 + 9 * 0.3)
    assert rows[-1]["single-view error"] == rows[-1]["test error / μ"] == pytest.approx(0.5)


# ------------------------------------------------------------------------------------ mixup

STUDENTS = [networks([0.1, 0.1], [BOTH, BOTH], stop_step=np.array([60, 60]))]
TWO = [networks([0.4, 0.6], [ONE, [[1.0, 0.9], [0.1, 2.0]]], stop_step=np.array([20, 30]))]


def families(store: Store) -> dict[str, Any]:
    """Families of one draw, whose entries took 4 seconds each."""
    of: dict[str, Any] = {}
    shown = {"single-model": TWO, "distilled": STUDENTS, "mixup": MIXED[:1]}
    for i, name in enumerate((*report_other_learners.ALONE, "distilled")):
        config = Config(size=i)
        e = Experiment(name=name, scale="smoke", label="draw 10", study=config)
        [arrays] = shown.get(name, PLAIN)
        store.save(name, config, {"a": np.zeros(1)}, 4.0)
        of[name] = [(e, arrays)]
    return of


def test_learners_side_by_side(tmp_path: Path) -> None:
    store = Store(tmp_path)
    of = families(store)
    rows = {row["learner"]: row for row in report_other_learners.side_by_side(TEACHER, of, store)}
    assert list(rows) == [*report_other_learners.ALONE.values(), "ensemble", "distilled student"]
    assert rows["mixup"]["test error / μ [95% interval]"].startswith("0.100 [")
    shown = report_other_learners.errors(TEACHER, of)
    assert list(shown) == list(rows) and shown["mixup"][0].tolist() == [0.0, 0.2]
    assert [row["classes with both views"] for row in rows.values()] == pytest.approx(
        # The ensemble's two networks know different views of the second class.
        [0.5, 0.5, 0.5, 0.75, 0.5, 1.0, 1.0]
    )
    assert [row["steps of networks"] for row in rows.values()] == [25, 80, 80, 80, 80, 50, 110]
    assert [row["seconds"] for row in rows.values()] == [2, 2, 2, 2, 2, 4, 6]


def test_errors_over_time_are_of_those_trained_equally_long(tmp_path: Path) -> None:
    steps, curves, fitted = report_other_learners.over_time(families(Store(tmp_path)))
    assert steps.tolist() == [0, 40, 80]
    assert list(curves) == list(report_other_learners.ALONE.values())[1:]
    assert curves["mixup"].shape == (3, 2) and fitted["mixup"] == 40


def test_values_of_the_text(tmp_path: Path) -> None:
    of = families(Store(tmp_path))
    narrower = vary(base_study("smoke"), own_strength=(1.0, 1.4))
    of["mixup"][0] = (SimpleNamespace(study=narrower), MIXED[0])
    of["mixup-narrow"][0] = (SimpleNamespace(study=narrower), PLAIN[0])
    said = report_other_learners.values(TEACHER, of)
    # Uniform on [1, 2]: 1/12 over the square of 3/2.
    assert said["spread"] == "0.037"
    # Uniform on [1, 1.4]: .4^2 / 12 over the square of 1.2.
    assert said["wide-spread"] == "0.0093"
    assert said["mixup-error"] == "0.100" and said["mixup-views"] == "0.750"
    assert said["ensemble-error"] == "0.250" and said["mixup-steps"] == 80


# ----------------------------------------------------------------------------------- experiments


def test_all_are_trained_alike_but_for_one_thing() -> None:
    base = base_study("smoke")
    for name, changes in ALONE.items():
        for e in experiments("smoke", name):
            study: Any = e.study
            assert study.learner.threshold == round(LOWER * base.learner.threshold, 2)
            assert study.data == replace(base.data, own_strength=WIDE)
            assert isinstance(study.schedule.stop_rule, FixedSteps)
            plain = replace(study, objective=base.objective, batches=None)
            assert replace(plain, **changes) == study
