"""The direction of each theorem, at smoke scale, with an interval that excludes the null.

Smoke scale (k = 4, two draws of four networks) is far from the theorems' regime: nothing here asks
for their numbers, only for what they say is larger than what.
"""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mvlib.core.intervals import mean_interval, wilson_interval
from mvlib.experiments.settings import base_study
from mvlib.findings.finding import Finding
from mvlib.findings.formatting import Family
from mvlib.findings.students import less_than_hard
from mvlib.findings.tangent_kernels import KERNEL_CLAIMS
from mvlib.findings.theorems import (
    all_learned,
    lottery_finding,
    rough,
    theorem_1,
    theorem_2,
)
from mvlib.paper.evaluation import learned_views
from mvlib.store.entries import Arrays

STUDY = base_study("smoke")
MU = STUDY.data.single_view_fraction


@pytest.fixture
def draws(smoke_families: dict[str, list[Arrays]]) -> list[Arrays]:
    return smoke_families["single-model"]


@pytest.fixture
def found(smoke_findings: dict[str, Finding]) -> dict[str, Finding]:
    return smoke_findings


def test_theorems_are_means_of_what_is_stored(
    found: dict[str, Finding], draws: list[Arrays], smoke_families: dict[str, list[Arrays]]
) -> None:
    def over_mu(single: float, multi: float) -> float:
        return (MU * float(single) + (1 - MU) * float(multi)) / MU

    together = np.mean([a["ensemble_multi_error"] for a in smoke_families["many-inputs"]])

    networks, ensembles, right = [], [], []
    for a in draws:
        errors = zip(a["single_error"], a["multi_error"], strict=True)
        networks += [over_mu(single, multi) for single, multi in errors]
        ensembles += [over_mu(single, together) for single in a["disjoint_single_error"]]
        for network, winners in zip(a["correlations"], a["predicted_winner"], strict=True):
            right += [c[w] > c[1 - w] for c, w in zip(network, winners, strict=True)]
    # Sums of a few float32 numbers.
    for claim, values in (
        ("theorem-1", networks),
        ("theorem-2", ensembles),
        ("lottery-winners", right),
    ):
        assert found[claim].claim == claim
        assert found[claim].measured == pytest.approx(np.mean(values), rel=1e-6)
        assert found[claim].n == len(values)
    assert len(ensembles) == len(draws) * (STUDY.n_networks // STUDY.ensemble_size)


def test_an_ensemble_is_one_unit() -> None:
    # On two draws two ensembles that err on none or on .08 of the inputs, whatever networks do.
    def made(single: list[float]) -> list[Arrays]:
        apart = {"disjoint_single_error": np.array([0, 0.08]), "disjoint_multi_error": np.zeros(2)}
        return [{**hand_made(single, 0.5), **apart}] * 2

    many = of_many(10**9, 0.0)  # so many that they leave nothing open
    found, same = (theorem_2(STUDY, made(single), many) for single in ([0.5, 0.5], [0.1, 0.9]))
    assert (found.low, found.high) == (same.low, same.high)
    # A sixteenth of resamples takes one without errors four times, another the other kind.
    assert (found.measured, found.low, found.high) == pytest.approx((0.04, 0, 0.08), abs=1e-6)
    assert found.n == 4 and found.caveat.startswith("4 disjoint ensembles of 2 on 2 data draws")
    # Without such the average of all networks is the only ensemble of a draw.
    whole = theorem_2(STUDY, [hand_made([0.5, 0.5], 0.02), hand_made([0.5, 0.5], 0.06)], many)
    assert (whole.measured, whole.low, whole.high) == pytest.approx((0.04, 0.02, 0.06), abs=1e-6)
    assert whole.n == 2


def of_many(n: int, error: float) -> Family:
    """One ensemble on so many multi-view inputs."""
    study = replace(STUDY, n_test_multi=n)
    return [(SimpleNamespace(study=study), {"ensemble_multi_error": np.array(error)})]


def test_multi_view_inputs_that_none_misreads_leave_three_over_n_open() -> None:
    draws, weight = [hand_made([0.5, 0.5], 0.0)] * 2, (1 - MU) / MU
    n = 30000
    none = theorem_2(STUDY, draws, of_many(n, 0.0))
    assert (none.measured, none.low) == (0, 0)
    # The chance that none of n is misread is (1 - rate)^n = .05 at the upper end.
    assert none.high == pytest.approx(weight * (1 - 0.05 ** (1 / n)))
    assert none.high == pytest.approx(weight * 3 / n, rel=0.01)
    some = theorem_2(STUDY, draws, of_many(n, 60 / n))
    assert some.measured == pytest.approx(weight * 60 / n) and "misreads 60 of 30000" in some.caveat
    assert some.high > some.measured


@pytest.mark.parametrize(("n", "said"), [(2, "at most 50%, not"), (3, "at most 75%, not"),
                                         (8, "less than the 95%")])  # fmt: skip
def test_an_interval_over_few_draws_says_how_much_it_covers(n: int, said: str) -> None:
    assert said in rough([hand_made([0.5], 0.0)] * n)
    # Draws that differ, and nothing else: how often a bootstrap over them holds their mean.
    rng, held = np.random.default_rng(0), 0
    for _ in range(400):
        low, high = mean_interval([np.array([x]) for x in rng.normal(size=n)])
        held += low <= 0 <= high
    share = held / 400
    # Three standard errors of 400 trials.
    assert share < 0.95 and (n > 3 or abs(share - (1 - 0.5 ** (n - 1))) < 0.075)


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
    # Null: averaging does nothing.  Of two networks an average loses a multi-view input in some
    # hundreds here, each of which weighs 149 times: the whole is told from networks on draws alone.
    assert found["theorem-2"].measured < found["theorem-1"].measured
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
    both = np.concatenate([all_learned(a["correlations"]).ravel() for a in draws])
    assert wilson_interval(int(both.sum()), both.size)[1] < 0.5
    # Which one differs between networks: together they hold more than any one of them.
    for a in draws:
        learned = learned_views(torch.as_tensor(a["correlations"])).numpy()
        assert learned.any(axis=0).sum() > learned.sum(axis=(1, 2)).max()


def test_errors_are_those_of_the_view_that_was_not_learned(draws: list[Arrays]) -> None:
    for a in draws:
        rows = np.indices(a["correlations"].shape[:2])
        winner = a["correlations"].argmax(axis=-1)
        with_winner = a["class_error"][*rows, winner]
        with_loser = a["class_error"][*rows, 1 - winner]
        assert with_winner.mean() < 0.1 < with_loser.mean()


def test_theorem_3_a_student_of_the_average_errs_less(
    found: dict[str, Finding], smoke_families: dict[str, list[Arrays]]
) -> None:
    hard, distilled = smoke_families["hard-labels"], smoke_families["distilled"]
    assert all((a["teacher_train_error"] == 0).all() for a in distilled)
    assert all(a["fitted"].all() for a in distilled)
    # Null: the teacher adds nothing to the labels.  Same data and start, student by student.
    mean, low, _ = less_than_hard(STUDY, hard, distilled)
    assert 0 < low < mean
    # Not because of a student that failed without its teacher: most pairs say so, on single-view
    # inputs, which nobody gets all wrong.  Not all pairs: a teacher of two networks lacks views.
    pairs = zip(hard, distilled, strict=True)
    gains = np.concatenate([h["single_error"] - d["single_error"] for h, d in pairs])
    assert min(gains.mean(), np.median(gains)) > 0
    assert found["theorem-3"].high < found["theorem-1"].low, "and less than single networks"


def test_self_distillation_errs_less(
    found: dict[str, Finding], smoke_families: dict[str, list[Arrays]]
) -> None:
    hard, taught = smoke_families["hard-labels"], smoke_families["self-distilled"]
    assert all((a["teacher_train_error"] == 0).all() and a["fitted"].all() for a in taught)
    # Null: a network has nothing to tell a network.  Four students are too few for an interval.
    assert less_than_hard(STUDY, hard, taught)[0] > 0
    assert found["self-distillation"].measured < found["theorem-1"].low


def test_frozen_networks_gain_from_averages_and_not_from_distillation(
    found: dict[str, Finding],
) -> None:
    # Null: averaging does nothing (ratio 1).
    assert found["ntk-ensemble-over-single"].high < 1
    assert found["ntk-train-average-over-single"].high < 1
    ratio = found["ntk-train-average-over-single"].measured
    ratio /= found["ntk-ensemble-over-single"].measured
    assert found["ntk-train-average-over-ensemble"].measured == pytest.approx(ratio)
    # Null: distillation does for them what it does for networks.  It changes errors by less than
    # a tenth.
    distilled = found["ntk-distilled-over-hard"]
    assert 0.9 < distilled.low and distilled.high < 1.1
    assert found["ntk-ensemble-over-single"].high < distilled.low
    rows = [claim for claim in found if claim.startswith("ntk-")]
    assert rows[::2] == list(KERNEL_CLAIMS)


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
    }


def test_findings_by_hand() -> None:
    made = [hand_made([0.4, 0.6], 0.01), hand_made([0.5, 0.5], 0.03)]
    one, two = theorem_1(STUDY, made), theorem_2(STUDY, made, of_many(10**9, 0.0))
    lottery = lottery_finding(made)
    assert [f.claim for f in (one, two, lottery)] == ["theorem-1", "theorem-2", "lottery-winners"]
    assert one.measured == pytest.approx(0.5) and one.n == 4
    assert two.measured == pytest.approx(0.02)
    # Three of four winners in each draw
    assert lottery.measured == 0.75 and lottery.n == 8
    assert all_learned(made[0]["correlations"]).tolist() == [[False, False], [True, False]]
