"""What the book says of tangent kernels, from arrays small enough to work by hand."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from toys import TEACHER  # mu = 0.1: a multi-view error counts nine times

from mvlib.findings import report_kernels
from mvlib.findings.tangent_kernels import networks_train_average
from mvlib.store.entries import Arrays
from mvlib.studies.kernel_contrast import METHODS, WHO

WRONG = {"single": np.array([[True, False]]), "multi": np.array([[False] * 9 + [True]])}
KERNELS: Arrays = {
    **{f"{m}_{who}_{kind}_wrong": wrong
       for m in METHODS for who in WHO for kind, wrong in WRONG.items()},
    "ridge_single_single_wrong": np.array([[True, True], [False, False]]),
    "ridge_single_multi_wrong": np.zeros((2, 10), dtype=bool),
    "ridge_ensemble_train_gap": np.array(0.002), "descent_ensemble_train_gap": np.array(0.02),
    "ridge_hard_student_train_error": np.array([0.0, 0.0]),
    "descent_hard_student_train_error": np.array([0.0, 0.25]),
    "steps": np.array([0, 3, 6]), "linearisation_error": np.array([0.0, 0.4, 0.6]),
    "kernel_drift": np.array([0.0, 0.2, 0.7]),
}  # fmt: skip
LATER = KERNELS | {
    "ridge_ensemble_train_gap": np.array(0.004),
    "linearisation_error": np.array([0.0, 0.51, 0.6]),
    "kernel_drift": np.array([0.0, 0.2, 0.8]),
}


def networks(error: float, together: float) -> Arrays:
    return {
        "single_error": np.array([error, error + 0.2]), "multi_error": np.array([0.0, 0.01]),
        "ensemble_single_error": np.array(together), "ensemble_multi_error": np.array(0.0),
        "correlations": np.array([[[2.0, 0.1], [0.5, 0.0]], [[0.0, 0.61], [0.7, 0.59]]]),
        "stop_step": np.array([5, 7]), "fitted": np.array([True, True]),
        # Of averages of one network, of two (one of which was not tried) and of three.
        "size_curve": np.array([[error] * 2, [together, np.nan], [0.9] * 2]),
        "size_curve_multi": np.array([[0.0] * 2, [0.0, np.nan], [0.9] * 2]),
    }  # fmt: skip


DRAWS = {
    "contrast": [KERNELS], "single-model": [networks(0.4, 0.1)], "joint": [networks(0.5, 0.3)],
    "hard-labels": [networks(0.6, 0.0)], "distilled": [networks(0.2, 0.0)],
}  # fmt: skip


def test_learner_errors_and_their_means() -> None:
    panels = report_kernels.learner_errors(TEACHER, DRAWS)
    assert list(panels) == ["tangent kernels, ridge", "tangent kernels, descent", "networks"]
    # In percent of all inputs, of which a tenth are single-view.
    assert panels["tangent kernels, ridge"]["single"][0] == pytest.approx([10.0, 0.0])
    # Half of single-view inputs and a tenth of multi-view ones.
    assert panels["tangent kernels, descent"]["single"][0] == pytest.approx([5 + 9])
    rows = report_kernels.mean_table(panels)
    assert [row["networks"] for row in rows] == pytest.approx([5.45, 1.0, 3.0, 7.45, 3.45])
    said = report_kernels.mean_values(rows)
    assert len(said) == 15 and said["ridge-one"] == "5%" and said["descent-avg"] == "14%"
    assert (said["net-ens"], said["net-avg"]) == ("1%", "3%")


def test_setting_values() -> None:
    study = SimpleNamespace(n_seeds=4, n_students=2, diag_reg=0.01, descent_steps=300)
    said = report_kernels.setting_values([(SimpleNamespace(study=study), KERNELS)])
    assert list(said.values()) == [4, 2, 1, 0.01, 300]


def test_finding_table() -> None:
    found = networks_train_average(TEACHER, DRAWS["single-model"], DRAWS["joint"])
    said = {"claim": "ntk-gain", "statement": "It helps.", "caveat": "by hand"}
    finding = replace(found, predicted=0.5, measured=0.2, low=0.1, high=0.3, **said)
    [row] = report_kernels.finding_table([finding])
    assert list(row.values()) == ["It helps.", 0.5, "0.200 [0.100, 0.300]", "by hand"]


def test_what_a_kernel_teacher_could_tell() -> None:
    rows = report_kernels.teacher_table([KERNELS, LATER])
    assert [list(row.values()) for row in rows] == [
        ["ridge", pytest.approx(0.003), 0.0], ["descent", pytest.approx(0.02), 0.125]
    ]  # fmt: skip
    said = report_kernels.teacher_values(rows)
    assert said == {"gap-ridge": "0.0030", "gap-descent": "0.0200"}


def test_laziness_values() -> None:
    said = report_kernels.laziness_values([KERNELS, LATER])
    assert said == {"lazy-until": "3 to 6", "drift-end": "0.75"}


def test_networks_trained_as_one() -> None:
    sizes = ((2, False, 0.4), (2, True, 0.3), (5, True, 0.2))
    runs = [
        (SimpleNamespace(study=SimpleNamespace(n_members=L, mean=mean)), networks(0.9, error))
        for L, mean, error in sizes
    ]
    assert report_kernels.joint_errors(TEACHER, runs) == {
        "mean trained as one": {2: 0.3, 5: 0.2}, "sum trained as one": {2: 0.4}
    }  # fmt: skip
    # The mark is 0.6: both views of class 0 reach it, only one of class 1.
    assert list(report_kernels.joint_table(TEACHER, runs)[0].values()) == [
        "sum", 2, 0.4, 1.0, 0.5, 7, "True"
    ]  # fmt: skip
