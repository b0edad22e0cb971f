"""The direction of each theorem, at smoke scale, with an interval that excludes the null.

Smoke scale (k = 4, two draws of four networks) is far from the theorems' regime: nothing here asks
for their numbers, only for what they say is larger than what.
"""

from pathlib import Path

import numpy as np
import pytest

from mvlib.experiments import base_study, experiments
from mvlib.measurement import wilson_interval
from mvlib.results import Arrays, Store
from mvlib.sweep import run_experiment
from mvlib.theorems import CLAIMS, Finding, both_learned, findings

STUDY = base_study("smoke")


@pytest.fixture(scope="module")
def draws(smoke_store: Path) -> list[Arrays]:
    store = Store(smoke_store)
    return [run_experiment(e, store) for e in experiments("smoke", "single-model")]


@pytest.fixture(scope="module")
def found(draws: list[Arrays]) -> dict[str, Finding]:
    waiting = iter(draws)
    return {f.claim: f for f in findings("smoke", lambda e: next(waiting))}


def test_every_claim_is_found(found: dict[str, Finding]) -> None:
    assert list(found) == list(CLAIMS)
    for claim, finding in found.items():
        assert finding.claim == claim
        assert finding.low <= finding.measured <= finding.high
        assert f"{finding.measured:.3f}" in finding.summary()


def test_theorem_1_a_fitted_network_still_errs(
    found: dict[str, Finding], draws: list[Arrays]
) -> None:
    assert all(a["fitted"].all() for a in draws)
    assert all((a["train_error"][-1] == 0).all() for a in draws)
    # Null: a network that fits its training data has learned everything (error 0).
    assert found["theorem-1"].low > 0.1
    # Its errors are those of single-view data: of them it gets at least a fifth wrong.
    for a in draws:
        n = STUDY.n_test_single * STUDY.n_networks
        wrong = round(float(a["single_error"].mean()) * n)
        assert wilson_interval(wrong, n)[0] > 0.2
        assert a["multi_error"].max() < a["single_error"].min()


def test_theorem_2_the_ensemble_errs_less(found: dict[str, Finding], draws: list[Arrays]) -> None:
    # Null: averaging does nothing.  The two intervals do not touch.
    assert found["theorem-2"].high < found["theorem-1"].low
    for a in draws:  # and on every draw, on the same inputs
        wrong = round(float(a["ensemble_single_error"]) * STUDY.n_test_single)
        assert wilson_interval(wrong, STUDY.n_test_single)[1] < a["single_error"].min()
        assert a["ensemble_multi_error"] <= a["multi_error"].mean()
        mean = np.nanmean(a["size_curve"], axis=1)
        assert mean[-1] < mean[0]


def test_the_lottery_is_not_a_coin_toss(found: dict[str, Finding]) -> None:
    assert found["lottery-winners"].low > 0.5


def test_most_classes_learn_one_view_only(draws: list[Arrays]) -> None:
    # Null: both views of a class are learned alike.
    both = np.concatenate([both_learned(a["correlations"]).ravel() for a in draws])
    assert wilson_interval(float(both.sum()), both.size)[1] < 0.5
    # Which one differs between networks: together they hold more than any one of them.
    for a in draws:
        learned = a["correlations"] >= 0.3 * a["correlations"].max(axis=-1, keepdims=True)
        assert learned.any(axis=0).sum() > learned.sum(axis=(1, 2)).max()


def test_errors_are_those_of_the_view_that_was_not_learned(draws: list[Arrays]) -> None:
    for a in draws:
        rows = np.indices(a["correlations"].shape[:2])
        winner = a["correlations"].argmax(axis=-1)
        with_winner = a["class_error"][*rows, winner]
        with_loser = a["class_error"][*rows, 1 - winner]
        assert with_winner.mean() < 0.1 < with_loser.mean()


def hand_made(single: list[float], together: float) -> Arrays:
    """Arrays of one draw with two networks; multi-view data without error."""
    return {
        "single_error": np.array(single),
        "multi_error": np.zeros(2),
        "fitted": np.ones(2, dtype=bool),
        "correlations": np.array([[[2.0, 0.1], [0.2, 2.0]], [[2.0, 1.0], [2.0, 0.0]]]),
        "predicted_winner": np.array([[0, 1], [1, 0]]),
        "ensemble_single_error": np.array(together),
        "ensemble_multi_error": np.array(0.0),
        "ensemble_bootstrap": np.full(10, together),
        "bootstrap_multi": np.zeros(10),
    }


def test_findings_by_hand() -> None:
    made = [hand_made([0.4, 0.6], 0.01), hand_made([0.5, 0.5], 0.03)]
    by_claim = {claim: make(STUDY, made) for claim, make in CLAIMS.items()}
    assert by_claim["theorem-1"].measured == pytest.approx(0.5) and by_claim["theorem-1"].n == 4
    assert by_claim["theorem-2"].measured == pytest.approx(0.02)
    lottery = by_claim["lottery-winners"]  # three of four winners in each draw
    assert lottery.measured == 0.75 and lottery.n == 8
    assert both_learned(made[0]["correlations"]).tolist() == [[False, False], [True, False]]
