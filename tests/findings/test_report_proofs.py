"""What the pages on the proofs show, on arrays small enough to do by hand."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toys import TEACHER, student

from mvlib.findings import report_proofs as report
from mvlib.paper.multi_view_data import sample
from mvlib.paper.objectives import truncated_logit
from mvlib.store.entries import Arrays

STUDY = student(tau=0.5, rate_ratio=2.0, teacher_scale=1.0)  # k = 3, V = 2, q = 4, varrho = 1

# Two networks, three records; the second never fits.  Class 0 learns its second view, the others
# their first.
START = np.array([[0.1, 0.2], [0.2, 0.1], [0.3, 0.1]])
CORRELATIONS = np.stack(
    [np.stack([START, START])] * 2 + [np.stack([START * [10, 15], START * [30, 2]])]
)
CORRELATIONS[2, 1, 0] = [0.1, 5.0]
GROWTH = np.zeros((3, 2, 3, 2, 4, 2))
GROWTH[..., 0] = 0.5
GROWTH[..., 2, 0] = -0.1
GROWTH[..., 0, 1] = 2.0
GROWTH[..., 2, 1] = -1.0
HARD: Arrays = {
    "steps": np.array([0, 4, 8]),
    "train_error": np.array([[0.9, 0.9], [0.4, 0.4], [0.0, 0.1]]),
    "view_correlations": CORRELATIONS,
    "growth": GROWTH,
    "predicted_winner": np.array([[1, 0, 0], [1, 0, 1]]),
    "watched_single_error": np.array([[0.9, 0.9], [0.8, 0.7], [0.5, 0.4]]),
    # One sample of class 0 that shows view 1 (index 0), the loser; one of class 1 with its winner.
    "single_shown": np.array([[0, 0], [1, 0]]),
    "single_scores": np.arange(36.0).reshape(3, 2, 2, 3),
    "fresh_shown": np.array([[2, 1], [0, 0]]),
    "fresh_scores": np.zeros((3, 2, 2, 3)),
}


def test_winners_and_losers_are_those_of_the_first_fit() -> None:
    views = report.races(HARD)
    assert views.winner.tolist() == [[1, 0, 0]] * 2 and views.loser.tolist() == [[0, 1, 1]] * 2
    assert views.fit.tolist() == [2, 2]  # the second is taken as it ends
    won = views.of(HARD["view_correlations"], views.winner)
    assert won.shape == (3, 6) and won[0].tolist() == [0.2, 0.2, 0.3] * 2
    assert views.at_fit(won)[0] == pytest.approx(3.0)
    assert views.of(GROWTH, views.loser).shape == (3, 6, 4, 2)


def test_the_loser_foretold_without_noise() -> None:
    """Pure powers: 1/c^2 of both views falls by the same amount, whatever the winner's pace."""
    quiet = replace(TEACHER, data=replace(TEACHER.data, noise_std=0.0))
    # No correlation comes near the threshold: a patch of strength 1.5 reads 1 at c = 2/3.
    winner, loser = np.array([[0.2], [0.3], [0.5]]), np.array([[0.1], [np.nan], [np.nan]])
    views = report.Races(winner=np.zeros((1, 1), int), loser=np.ones((1, 1), int), fit=np.zeros(1))
    found = report.foretold_loser(replace(STUDY, teacher=quiet), winner, loser, views)[:, 0]
    exact = [(1 / 0.1**2 - (1 / 0.2**2 - 1 / c**2)) ** -0.5 for c in (0.2, 0.3, 0.5)]
    # The grid has 3000 points: .0005 apart, and the clock's own error is less.
    assert found == pytest.approx(exact, rel=0.01)


def test_where_a_race_ends() -> None:
    data = replace(TEACHER.data, own_strength=(1.0, 2.0), patches_per_view=3, n_patches=12)
    assert report.saturation(data, TEACHER.learner) == pytest.approx(2.0)  # 2.0 * 1.5 / 3 = varrho
    study = replace(STUDY, teacher=replace(TEACHER, data=data))
    assert report.race_ends(study, np.array([[0.1, 0.1], [2.0, 0.5], [3.0, 1.0]])).tolist() == [
        1,
        2,
    ]


def test_the_residual_of_one_view() -> None:
    data = replace(TEACHER.data, own_strength=(1.0, 2.0), patches_per_view=1)
    study = replace(STUDY, teacher=replace(TEACHER, data=data))
    # A reading of 3 is worth 3 - (1 - 1/4); untrained, a class of three has one third.
    expected = [2 / 3, 2 / (2 + math.exp(2.25))]
    found = report.predicted_residual(study, np.array([0.0, 2.0]), rivals=False)
    assert found == pytest.approx(expected)


def test_the_residual_among_rivals() -> None:
    data = replace(TEACHER.data, patches_per_view=1, own_strength=(1.0, 2.0),
                   multi_other_strength=(0.25, 0.25))  # fmt: skip
    study = replace(STUDY, teacher=replace(TEACHER, data=data))
    # At c = 8 rivals read 2, worth 1.25, in half of the inputs; the class itself 12, worth 11.25.
    B = 2 * (0.5 + 0.5 * math.exp(1.25))
    found = report.predicted_residual(study, np.array([8.0]), rivals=True)
    assert found == pytest.approx([B / (B + math.exp(11.25))])


def test_gains_fit_the_change_of_all_correlations() -> None:
    views = report.races(HARD)
    growth = GROWTH.copy()
    found = HARD["view_correlations"].copy()
    found[1], found[2] = found[0] + 0.3, found[0] + 0.9  # as if .3 and .6 units passed: rate 1
    added = report.gains({**HARD, "growth": growth, "view_correlations": found}, views, views.loser)
    assert added.shape == (3, 6, 4)
    np.testing.assert_allclose(added[0], 0)
    np.testing.assert_allclose(added[1, 0], [0.6, 0, -0.3, 0])
    np.testing.assert_allclose(added[2, 0], [1.8, 0, -0.9, 0])
    still = {**HARD, "growth": np.zeros_like(growth), "view_correlations": found}
    assert not report.gains(still, views, views.loser).any()


def test_what_left_over_inputs_are_known_by() -> None:
    found = report.memory(HARD, report.races(HARD))
    scores, n = found["training"]
    assert n == 2  # the first sample, in both networks
    # Shown: view 1; the winner: view 2; the rest.  Records hold 12 numbers, networks 6.
    assert scores[0].tolist() == [3.0, 4.0, 5.0] and scores[2].tolist() == [27.0, 28.0, 29.0]
    assert found["fresh"][1] == 4


def test_errors_by_the_views_known() -> None:
    measured, predicted = report.error_and_known(STUDY, HARD)
    assert measured is HARD["watched_single_error"]
    # Three tenths of where their class ends: nobody at the start, and by the end both views of all
    # classes of the first network, one of the second's.
    known = report.known_views(HARD)
    assert not known[0].any() and known[2].sum(axis=(1, 2)).tolist() == [6, 3]
    assert predicted[2] == pytest.approx((1 - 9 / 12) * (1 - 0.5**2))  # s/k = 1/2


def test_theorem_one() -> None:
    one = report.theorem_one(STUDY, HARD)
    assert one.winner.shape == one.foretold.shape == (3, 6) and one.ends.shape == (6,)
    ledger = report.theorem_one_ledger(one)
    assert [row["step"] for row in ledger if row["step"]][0] == "1 growth"
    assert ledger[1]["measured"] == "0.83"  # 5 of 6 were named
    assert ledger[-1]["measured"] == "0.45"
    # Had the second network fitted a record earlier, it had known no view then, the first all 6.
    early = {**HARD, "train_error": np.array([[0.9, 0.9], [0.4, 0.0], [0.0, 0.1]])}
    lost = report.theorem_one_ledger(report.theorem_one(STUDY, early))[-1]
    assert lost["bound or prediction"] == "0.38"  # 6 of 12 views, by 1 - (1/2)^2
    assert lost["measured"] == "0.6"  # .5 and .7
    said = report.theorem_one_values(one)
    assert said["races"] == 6 and said["fits"] == "8, nan" and said["left-over"] == 2
    assert said["start-lead"] == "2" and said["memory-train"] == "84"


# ---------------------------------------------------------------- Theorem 3


@pytest.fixture(scope="module")
def taught() -> dict[str, Any]:
    drawn = sample(TEACHER.data, TEACHER.n_train, seed=TEACHER.draw, name="train")
    n = TEACHER.n_train
    outputs = np.zeros((3, n, 3))
    outputs[:, np.arange(n), drawn.labels.numpy()] = 10.0  # each network knows the label alone
    outputs[0, ~drawn.single_view.numpy(), 1] = 6.0  # and the first sees class 1 everywhere
    return {"outputs": outputs, "sample": drawn}


def test_the_first_push_by_loop(taught: dict[str, Any]) -> None:
    found = report.first_push(STUDY, **taught)
    G = truncated_logit(torch.as_tensor(taught["outputs"].mean(axis=0)), tau=0.5).numpy()
    drawn = taught["sample"]
    assert found.shape == (2, 3, 2)
    for j in range(3):
        rows = (drawn.strengths[:, j, 1] > 0).numpy() & (drawn.labels != j).numpy()
        push = 2.0 * np.maximum(G[rows, j] - 1 / 3, 0) - 1 / 3
        assert found[1, j, 1] == pytest.approx(push.mean())


def test_enough_for_the_cap() -> None:
    data = replace(TEACHER.data, multi_other_strength=(0.2, 0.3))
    study = replace(STUDY, teacher=replace(TEACHER, data=data))
    # The cap is at 4; a reading of 4.75 is worth that much, at strength 1/4.
    assert report.enough(study) == pytest.approx(19.0)
    read = TEACHER.learner.nonlinearity.value(torch.tensor(0.25 * report.enough(study)))
    assert float(read) == pytest.approx(4.0)


def test_what_teachers_say(taught: dict[str, Any]) -> None:
    known = np.ones((3, 3, 2))
    known[0, :, 1] = 0  # network 0 knows first views
    rows = {
        str(r["class"]): r
        for r in report.teacher_table(STUDY, taught["outputs"], known, taught["sample"])
    }
    ideal, label = rows["not there"]["ideal teacher"], rows["the label"]
    assert 0 < float(str(ideal)) < 1 / 3
    # The ensemble puts the label at the cap and leaves others at 0, but for class 1 at 2.
    assert float(str(label["the ensemble"])) > float(str(label["one network"]))


def test_theorem_three(taught: dict[str, Any]) -> None:
    distilled = {**HARD, "growth": GROWTH * [1.0, -1.0]}
    three = report.theorem_three(STUDY, HARD, distilled, taught["outputs"], taught["sample"])
    assert three.pushed.shape == (6,) and three.asked["distilled"].shape == (3, 6)
    assert three.asked["hard labels"] == pytest.approx(np.full((3, 6), -0.1))
    ledger = report.theorem_three_ledger(three)
    assert ledger[0]["hard labels"] == "-0.1" and ledger[0]["distilled"] == "-0.1"
    said = report.theorem_three_values(three)
    assert said["races"] == 6 and said["tau"] == 0.5 and said["cap"] == "4"
    steps, added = report.asked_by_role(HARD, three.views, three.views.loser)
    assert steps is HARD["steps"] and list(added) == list(report.ROLES)


def test_residuals_over_the_sizes_that_occur() -> None:
    grid, alone, among = report.residual_range(STUDY, np.array([[0.5], [3.0]]))
    assert grid[0] == 0 and grid[-1] == 3 and np.all(np.diff(grid) > 0)
    assert alone == pytest.approx(report.predicted_residual(STUDY, grid, rivals=False))
    assert alone[-1] < among[-1]  # rivals make the same view worth less


def test_views_shown_do_not_depend_on_the_dimension() -> None:
    found = report.shown_views(TEACHER)
    whole = sample(TEACHER.data, TEACHER.n_train, seed=TEACHER.draw, name="train")
    assert found.patches.shape[2] < whole.patches.shape[2]
    assert torch.equal(found.labels, whole.labels)
    assert torch.equal(found.single_view, whole.single_view)


def test_what_is_gained_since_the_start() -> None:
    curve = np.array([[1.0, 2.0], [2.0, 5.0]])
    assert report.since_start(curve) == pytest.approx([0.0, 2.0])
