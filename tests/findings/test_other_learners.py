"""Mixup and classifiers as findings and in chapters, on arrays small enough to do by hand."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from toys import TEACHER  # mu = 0.1: a multi-view error counts nine times

from mvlib.experiments.catalogue import experiments
from mvlib.experiments.other_learners import ALONE, LOWER, WIDE
from mvlib.experiments.settings import Experiment, base_study, vary
from mvlib.findings import other_learners, report_other_learners
from mvlib.findings.finding import Finding
from mvlib.paper.multi_view_data import sample
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
    mixed = [MIXED[0] | {"multi_error": np.array([0.02, 0.1])}, MIXED[1]]
    views, single, multi = other_learners.mixup_findings(mixed, PLAIN)
    claims = "mixup-classes-with-both-views", "mixup-single", "mixup-multi"
    assert (views.claim, single.claim, multi.claim) == claims
    assert views.measured == pytest.approx(0.875) and views.turn == pytest.approx(0.5)
    # A mean over networks, then draws; neither error is counted in units of mu.
    assert single.measured == pytest.approx(0.1) and single.turn == pytest.approx(0.5)
    assert multi.measured == pytest.approx(0.03) and multi.turn == multi.predicted == 0
    assert {f.n for f in (views, single, multi)} == {4}
    assert single.verdict == "right direction"
    assert "4 networks on 2 data draws, each after exactly 80 steps; 2 fit" in single.caveat
    assert "on 10.0% of single-view inputs and 3.0% of multi-view inputs; without" in multi.caveat
    assert "mixup, on 50.0% of single-view inputs and 0.0% of multi-view inputs" in views.caveat


def test_more_multi_view_errors_than_without_mixup_refute_the_claim() -> None:
    worse = [a | {"multi_error": np.array([0.02, 0.1])} for a in MIXED]
    assert other_learners.mixup_findings(worse, PLAIN)[2].verdict == "fails"
    assert other_learners.mixup_findings(MIXED, PLAIN)[2].verdict == "holds"


def test_a_row_a_claim() -> None:
    found = other_learners.mixup_findings(MIXED, PLAIN)
    first, second, _ = report_other_learners.finding_table(found)
    assert second["claim"].startswith("A single network trained on midpoints errs on")
    assert (first["expected"], second["expected"]) == ("at least 1", "at most 0.01")
    assert second["verdict"] == "right direction" and second["how"] == found[1].caveat


@pytest.mark.parametrize(("linear", "expected"), [(True, 0.4), (False, 0.2)])
def test_the_best_classifier_is_the_one_that_validates_best(linear: bool, expected: float) -> None:
    a = classified([0.5, 0.3], [0.4, 0.2])
    form, errors = other_learners.best_classifier(STUDY, a, linear=linear)
    assert form == "pooled" and errors["single_error"].tolist() == [expected]
    # Not the one with the least test error.
    seen = a | {"validation_error": np.array([[0.1, 0.1], [0.9, 0.9]])}
    assert other_learners.best_classifier(STUDY, seen, linear=linear)[0] == "flattened"


def finding(multi: list[float]) -> Finding:
    """Of classifiers with these multi-view errors, one a draw, beside networks without any."""
    beside = {"network_single_error": np.array([0.4, 0.6]), "network_multi_error": np.zeros(2)}
    noisy = [
        classified([0.3, 0.3], [1.0, 1.0], multi_error=np.full((2, 2), e), **beside) for e in multi
    ]
    plain = [classified([0.3, 0.3], [0.02, 0.02])]
    study = replace(STUDY, common_noise=0.03, n_networks=2)
    found = other_learners.classifier_findings(study, noisy, plain, PLAIN)
    names = [f"{kind}-classifier{end}" for kind in ("linear", "polynomial")
             for end in ("", "-without-noise")]  # fmt: skip
    assert [f.claim for f in found] == names
    linear, clean, polynomial, _ = found
    # One input in ten shows one view.
    measured = 0.1 * 0.3 + 0.9 * np.mean(multi)
    assert linear.measured == polynomial.measured == pytest.approx(measured)
    assert linear.predicted == pytest.approx(2 / 3), "two of three guesses"
    assert linear.turn == pytest.approx(0.1 * 0.5) and linear.n == len(multi)
    assert linear.statement.startswith("With feature noise of gamma = 0.03 that all patches share")
    assert "same inputs. They err on 50.0% of single-view inputs and 0.0% of" in linear.caveat
    assert "Patches flattened, chosen" in linear.caveat
    # Without noise they err less than networks on the draw that both are of, PLAIN's.
    assert clean.statement.startswith("Without feature noise, what networks learn")
    assert clean.measured == pytest.approx(0.1 * 0.02) and clean.turn == pytest.approx(0.1 * 0.5)
    assert clean.n == 1 and clean.verdict == "fails" and "Patches pooled" in clean.caveat
    return linear


def test_classifiers_that_beat_networks_refute_the_claim() -> None:
    assert finding([0.0, 0.01]).verdict == "fails"
    assert finding([0.1, 0.2]).verdict == "right direction"
    assert finding([0.8, 0.9]).verdict == "holds"


def test_classifier_table() -> None:
    a = classified([0.5, 0.3], [0.4, 0.2], multi_error=np.full((2, 2), 0.1))
    rows = report_other_learners.classifier_table(STUDY, [a], PLAIN)
    assert [list(row.values())[:2] for row in rows] == [
        ["linear", "flattened"], ["polynomial of degree 2", "flattened"],
        ["linear", "pooled"], ["polynomial of degree 2", "pooled"], ["single network", "patches"],
    ]  # fmt: skip
    # .1 * .5 + .9 * .1 of all inputs.
    assert list(rows[0].values())[2:] == ["50.00%", "10.00%", "14.00%"]
    assert list(rows[-1].values())[2:] == ["50.00%", "0.00%", "5.00%"]
    noisy = replace(STUDY, n_networks=2, common_noise=0.0316)
    beside = {f"network_{kind}_error": np.array([0.2, 0.4]) for kind in ("single", "multi")}
    [*_, last] = report_other_learners.classifier_table(noisy, [a | beside], PLAIN)
    assert last["error on all inputs"] == "30.00%"
    said = report_other_learners.classifier_values(noisy, [a | beside])
    assert (said["common-gamma"], said["max-degree"], said["mu-classified"]) == (
        "0.032",
        2,
        "10.0%",
    )
    # Of single-view inputs those of the pooled classifiers, which validate best.
    assert (said["linear-noisy"], said["polynomial-noisy"]) == ("13.00%", "11.00%")
    assert (
        said["linear-noisy-by-kind"] == "40.0% of single-view inputs and 10.0% of multi-view inputs"
    )
    assert said["network-noisy"] == "30.00%"


# ------------------------------------------------------------------------------------ mixup

STUDENTS = [networks([0.1, 0.1], [BOTH, BOTH], stop_step=np.array([60, 60]))]
TWO = [networks([0.4, 0.6], [ONE, [[1.0, 0.9], [0.1, 2.0]]], stop_step=np.array([20, 30]))]


def families(store: Store) -> dict[str, Any]:
    """Families of one draw, whose entries took 4 seconds each; ensembles are of two."""
    of: dict[str, Any] = {}
    shown = {"single-model": TWO, "distilled": STUDENTS, "mixup": MIXED[:1]}
    for i, name in enumerate((*report_other_learners.ALONE, "distilled")):
        study = replace(TEACHER, ensemble_size=2, draw=i)
        [arrays] = shown.get(name, PLAIN)
        store.save(name, study, {"a": np.zeros(1)}, 4.0)
        of[name] = [(Experiment(name=name, scale="smoke", label="draw", study=study), arrays)]
    return of


def test_learners_side_by_side(tmp_path: Path) -> None:
    store = Store(tmp_path)
    of = families(store)
    rows = {row["learner"]: row for row in report_other_learners.side_by_side(of, store)}
    assert list(rows) == [*report_other_learners.ALONE.values(), "ensemble", "distilled student"]
    assert rows["mixup"]["single-view error [95% interval]"].startswith("10.0% [")
    assert rows["mixup"]["multi-view error"] == "0.00%"
    assert [row["n"] for row in rows.values()] == [2, 2, 2, 2, 2, 2, 1, 2]
    assert {row["draws"] for row in rows.values()} == {1}
    shown = report_other_learners.errors(of)
    assert list(shown) == list(rows) and shown["mixup"][0].tolist() == [0.0, 0.2]
    assert [row["classes with both views"] for row in rows.values()] == pytest.approx(
        # The ensemble's two networks know different views of the second class.
        [0.5, 0.5, 0.5, 0.75, 0.5, 0.5, 1.0, 1.0]
    )
    assert [row["steps of networks"] for row in rows.values()] == [25, 80, 80, 80, 80, 80, 50, 110]
    assert [row["seconds"] for row in rows.values()] == [2, 2, 2, 2, 2, 2, 4, 6]


def test_an_ensemble_has_the_errors_and_the_networks_of_the_disjoint_ones(tmp_path: Path) -> None:
    store = Store(tmp_path)
    of = families(store)
    [(e, two)] = of["single-model"]
    # Five networks, of which two ensembles are made and one is left.
    five = {name: two[name][[0, 1, 0, 0, 1]] for name in ("fitted", "correlations", "stop_step")}
    disjoint = {"disjoint_single_error": np.array([0.0, 0.5]), "single_error": np.ones(5)}
    of["single-model"] = [(e, two | five | disjoint)]
    assert report_other_learners.errors(of)["ensemble"] == [np.array([0.25])]
    # Together the first two know all views, the next two one of three classes' less.
    assert report_other_learners.views_known(of)["ensemble"] == pytest.approx(0.75)
    assert report_other_learners.numbers(of)["ensemble"] == 2
    assert report_other_learners.network_steps(of)["ensemble"] == pytest.approx(2 * 24)


def test_errors_over_time_are_of_those_trained_equally_long(tmp_path: Path) -> None:
    steps, curves, fitted = report_other_learners.over_time(families(Store(tmp_path)))
    assert steps.tolist() == [0, 40, 80]
    kinds = set(report_other_learners.ALONE.values())
    assert set(curves) == kinds - {"network", "mixup, longer, steps decay"}
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
    assert said["mixup-error"] == "10.0%" and said["mixup-views"] == "0.750"
    assert said["ensemble-error"] == "25.0%" and said["mixup-steps"] == 80
    fitted = MIXED[0]["fitted"]
    assert said["mixup-fitted"] == f"{sum(fitted)} of {len(fitted)}"


def test_the_hardest_inputs_are_read_at_the_height_of_learned_views(tmp_path: Path) -> None:
    of = families(Store(tmp_path))
    data = replace(TEACHER.data, multi_other_strength=(0.1, 0.25), patches_per_view=2, n_patches=8)
    study = replace(TEACHER, data=data)  # threshold 1, q = 4, own views from strength 1 on
    classes = [[[4.0, 2.0], [8.0, 0.1], [0.5, 0.4]]]  # the last one not beyond the threshold
    of["mixup"] = [(SimpleNamespace(study=study), MIXED[0] | {"correlations": np.array(classes)})]
    row = report_other_learners.heights(of)[3]
    assert row["network"] == "mixup"
    assert row["height of learned views"] == pytest.approx((4 + 2 + 8) / 3)
    # Over two patches c z / 2: 2 and 1 in the first class, 4 and .05 in the second.
    first, second = (2 - 3 / 4) + 1 / 4, (4 - 3 / 4) + 0.05**4 / 4
    assert row[report_other_learners.OWN] == pytest.approx(2 * (first + second) / 2)
    # In one patch .25 c: 1 and .5, 2 and .025.
    first, second = 1 / 4 + 0.5**4 / 4, (2 - 3 / 4) + 0.025**4 / 4
    assert row[report_other_learners.RIVALS] == pytest.approx((first + second) / 2)


def test_lost_inputs_by_cause() -> None:
    Z = sample(TEACHER.data, TEACHER.n_train, seed=TEACHER.draw, name="train")
    y, rows, multi = Z.labels.numpy(), np.arange(len(Z)), ~Z.single_view.numpy()
    F = np.zeros((1, len(Z), 3))
    F[0, rows, y], F[0, rows, (y + 1) % 3] = 9.0, 4.0
    lost = np.flatnonzero(multi & (y != 2))[:2]
    F[0, lost, y[lost]], F[0, lost, (y[lost] + 1) % 3] = 3.0, 3.0  # a tie is an error
    # No view of the last class is beyond the threshold.
    a = {"train_outputs": F, "correlations": np.array([[[5.0, 4.0], [4.0, 4.0], [0.5, 0.1]]]),
         "initial_correlations": np.array([[[0.1, 0.2], [0.3, 0.1], [0.02, 0.01]]]),
         "multi_error": np.array([0.4])}  # fmt: skip
    mixed = [(SimpleNamespace(study=TEACHER), a)]
    late, wrong, right = report_other_learners.lost_inputs(mixed)
    assert late["inputs"] == "class not learned" and late["n"] == (multi & (y == 2)).sum()
    assert wrong["n"] == 2 and right["n"] == (multi & (y != 2)).sum() - 2
    strengths = Z.strengths.numpy()
    assert wrong["strength of own views"] == pytest.approx(
        np.mean([strengths[i, y[i]].sum() for i in lost])
    )
    assert wrong["rival shows all views"] == np.mean(
        [strengths[i, (y[i] + 1) % 3].min() > 0 for i in lost]
    )
    assert (wrong["own score"], wrong["best wrong score"]) == (3.0, 3.0)
    assert (right["own score"], right["best wrong score"]) == (9.0, 4.0)
    said = report_other_learners.late_values(mixed)
    assert said == {
        "late-lost": f"{late['n']} of {late['n'] + 2}", "late-networks": "1 of 1",
        "late-multi": "40.0%", "timely-multi": "none",
        "late": "1 of 3", "late-start": "0.020", "late-height": "0.50", "usual-start": "0.200"
    }  # fmt: skip
    learned = a | {"correlations": np.full((1, 3, 2), 5.0)}
    none = report_other_learners.late_values([(SimpleNamespace(study=TEACHER), learned)])
    assert (none["late"], none["late-start"]) == ("0 of 3", "none")
    assert (none["late-lost"], none["timely-multi"]) == ("0 of 2", "40.0%")


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
