"""Three views a class, end to end: a reader's own lines, and what follows from 2 becoming V."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import TEACHER, student

import mvlib
from mvlib.core.checks import BadInput
from mvlib.core.intervals import wilson_interval
from mvlib.experiments.settings import base_study
from mvlib.findings.students import (
    control,
    hard_label_student,
    implicit_ensemble_prediction,
    own_and_teachers_view,
    self_distillation_claim,
    share_with_all_views,
)
from mvlib.findings.theorems import all_learned, finite_size_prediction, missed, one_view_share
from mvlib.reduced.check import reduce_study

RERUN = Path(__file__).parents[2] / "book" / "rerun.md"
V = 3


@pytest.fixture(scope="module")
def lines() -> str:
    """The example on the page "Run it again, change it"; test_seams looks at its words."""
    [found] = re.findall(r"\(three-views\)=.*?```python\n(.*?)```", RERUN.read_text(), re.S)
    return found


@pytest.fixture(scope="module")
def made(lines: str) -> dict[str, Any]:
    """Everything the example defines, after it ran."""
    names: dict[str, Any] = {}
    exec(compile(lines, "three views", "exec"), names)
    return names


def test_a_network_knows_one_of_three_views(made: dict[str, Any]) -> None:
    known, a = made["known"], made["arrays"]
    L, k = made["study"].n_networks, made["study"].data.n_classes
    assert known.shape == (L, k, V) and a["fitted"].all()
    # Null: views are learned by chance, half of them or more.
    assert known.sum() < 0.5 * known.numel() and bool(known.any(dim=-1).all())
    # Null: which of three is learned is chance.
    right = a["predicted_winner"] == a["correlations"].argmax(axis=-1)
    assert wilson_interval(int(right.sum()), right.size)[0] > 1 / V
    assert set(a["predicted_winner"].ravel()) == set(range(V))


def test_its_error_is_that_of_two_views_of_three(made: dict[str, Any]) -> None:
    study, a, found = made["study"], made["arrays"], made["found"]
    assert found.predicted == pytest.approx(2 / 3) and "errs on 2/3 of mu" in found.statement
    # Null: an error of 1/2, as with two views.  Networks share their inputs: counted once.
    n = study.n_test_single
    wrong = round(float(a["single_error"].mean()) * n)
    assert wilson_interval(wrong, n)[0] > 0.5
    # The views not learned, counted by loop, times the chance that a rival is there.
    known = made["known"].tolist()
    L, k = study.n_networks, study.data.n_classes
    lost = sum(not known[r][i][l] for r, i, l in product(range(L), range(k), range(V)))
    rival = 1 - (1 - study.data.sparsity / k) ** (k - 1)
    assert finite_size_prediction(study, [a]) == pytest.approx(lost / (L * k * V) * rival)
    assert finite_size_prediction(study, [a]) < found.predicted


def test_errors_by_view_are_where_the_views_are_missing(made: dict[str, Any]) -> None:
    study, a, known = made["study"], made["arrays"], made["known"].numpy()
    drawn = mvlib.sample(study.data, study.n_test_single, seed=study.draw, name="test",
                         kind="single")  # fmt: skip
    assert a["class_error"].shape == known.shape
    total = np.zeros(study.n_networks)
    for i, l in product(range(study.data.n_classes), range(V)):
        shown = int(((drawn.labels == i) & (drawn.dominant_view == l)).sum())
        total += shown * a["class_error"][:, i, l] / study.n_test_single
    # Shares stored in float32.
    assert total == pytest.approx(a["single_error"], abs=1e-6)
    # A network reads the views it knows and is lost on the others.
    assert a["class_error"][known].mean() < 0.1 < 0.7 < a["class_error"][~known].mean()
    # Together they know more, and err less.
    assert known.any(axis=0).sum() > known.sum(axis=(1, 2)).max()
    assert a["ensemble_single_error"] < a["single_error"].min()


def test_students_of_three_views() -> None:
    data = replace(TEACHER.data, n_views=V, dim=40, n_patches=12, single_other_strength=0.3)
    teacher = replace(TEACHER, data=data)
    networks = mvlib.run_single_model(teacher)
    taught = mvlib.run_distillation(
        replace(student(), teacher=teacher, target="each"), networks["train_outputs"]
    )
    assert taught["correlations"].shape == (2, 3, V) == taught["class_error"].shape
    views = own_and_teachers_view([networks], [taught])
    assert views["has"].shape == (2, 3, V)
    assert np.array_equal(views["teacher"], networks["correlations"][:2].argmax(axis=-1))


# Two students of two classes: their own views and their teachers' agree in one case of four.
TEACHERS = {"correlations": np.array([[[2, 0.1, 0.1], [0.2, 0.1, 3]], [[0.1, 2, 1], [2, 1, 1]]])}
TAUGHT = {
    "single_error": np.array([0.2, 0.3]),
    "multi_error": np.zeros(2),
    "fitted": np.ones(2, dtype=bool),
    "stop_step": np.full(2, 60),
    "predicted_winner": np.array([[1, 2], [0, 2]]),
    "correlations": np.array([[[2, 2, 0.1], [0, 0.1, 2]], [[2, 1, 1.5], [0.5, 1, 0.9]]]),
}
STUDY = replace(
    base_study("smoke"), data=replace(base_study("smoke").data, n_views=V, n_patches=24)
)


def test_what_a_share_of_views_leaves_out() -> None:
    assert [missed(2), missed(2, known=2)] == [0.5, 0.25]  # the paper's numbers
    # Of three views, by counting: the one shown is not the one known; not among two draws.
    assert missed(3) == pytest.approx(sum(a != 0 for a in range(3)) / 3)
    pairs = [a != 0 and b != 0 for a, b in product(range(3), repeat=2)]
    assert missed(3, known=2) == pytest.approx(sum(pairs) / 9)


def test_predictions_of_claims_about_students() -> None:
    hard, taught = [TAUGHT], [TAUGHT]
    assert hard_label_student(STUDY, hard).predicted == pytest.approx(2 / 3)
    assert control(STUDY, "control-one-hot", hard, taught).predicted == pytest.approx(2 / 3)
    assert self_distillation_claim(STUDY, hard, taught).predicted == pytest.approx(1.04 * 4 / 9)
    # One of three views known where they agree (1 of 4), two where they differ; s/k = 1/2.
    found = implicit_ensemble_prediction(STUDY, [TEACHERS], [TAUGHT])
    assert found == pytest.approx((1 / 4 * 2 / 3 + 3 / 4 * 1 / 3) * (1 - 0.5**3))


def test_classes_with_all_views_and_with_one() -> None:
    assert all_learned(TAUGHT["correlations"]).tolist() == [[False, False], [True, True]]
    assert share_with_all_views([TAUGHT]) == 0.5
    assert one_view_share([TAUGHT]) == 0.25
    # 2 + 1 + 3 + 3 of 12 views are learned: a quarter is missing.
    found = finite_size_prediction(STUDY, [TAUGHT])
    assert found == pytest.approx(1 / 4 * (1 - 0.5**3))


def test_the_reduction_knows_two_views_only() -> None:
    with pytest.raises(BadInput, match=r"^n_views \(V\) = 3 must be 2; the reduction .*\.$"):
        reduce_study(STUDY)


def test_views_beyond_the_named_factors_have_factor_one() -> None:
    p = replace(STUDY.data, own_strength=(1.0, 1.0), view_scale=(2.0,))
    drawn = mvlib.sample(p, 20, seed=0, name="train", kind="multi")
    own = drawn.strengths[torch.arange(20), drawn.labels]
    assert own.tolist() == [[2.0, 1.0, 1.0]] * 20
