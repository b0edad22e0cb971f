"""Claims about students and frozen networks, on made-up arrays whose numbers one can check."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from mvlib.experiments.settings import base_study
from mvlib.findings.claims import CONTROLS
from mvlib.findings.finding import UNIT_MU, Finding
from mvlib.findings.students import (
    control,
    distilled_ensemble_gain,
    hard_label_student,
    implicit_ensemble_prediction,
    less_than_hard,
    own_and_teachers_view,
    self_distillation_claim,
    share_with_all_views,
    theorem_3,
)
from mvlib.findings.tangent_kernels import (
    KERNEL_CLAIMS,
    UNIT_RATIO,
    kernel_errors,
    networks_train_average,
    ntk_contradiction,
    ratio_of_means,
)
from mvlib.findings.theorems import network_errors
from mvlib.findings.worlds import UNIT_SHARE
from mvlib.store.entries import Arrays
from mvlib.studies.kernel_contrast import METHODS, WHO

STUDY = base_study("smoke")
MU = STUDY.data.single_view_fraction
ODDS = (1 - MU) / MU  # multi-view inputs for each single-view one
CLAIMS = [
    "theorem-1",
    "theorem-2",
    "lottery-winners",
    "ntk-ensemble-over-single",
    "ntk-ensemble-over-single-by-descent",
    "ntk-train-average-over-single",
    "ntk-train-average-over-single-by-descent",
    "ntk-train-average-over-ensemble",
    "ntk-train-average-over-ensemble-by-descent",
    "ntk-distilled-over-hard",
    "ntk-distilled-over-hard-by-descent",
    "networks-train-average-over-single",
    "hard-label-student",
    "theorem-3",
    "distilled-ensemble-gain",
    "self-distillation",
    "control-one-hot",
    "control-shuffled",
    "self-control",
    "gaussian-ensemble-gain",
    "limit-single-error",
    "limit-winners",
    "limit-one-view",
    "train-average-ratio",
    "mixup-classes-with-both-views",
    "mixup-single",
    "mixup-multi",
    "linear-classifier",
    "linear-classifier-without-noise",
    "polynomial-classifier",
    "polynomial-classifier-without-noise",
    "handmade-single",
    "handmade-ensemble",
    "handmade-distilled",
    "handmade-one-hot-above-distilled",
    "handmade-self-distilled",
    "handmade-lottery",
    "images-ensemble-gain",
    "images-ensemble-gain-in-standard-errors",
    "images-distilled-share-of-gain",
    "images-self-distilled-gain",
    "images-train-average-share-of-gain",
    "images-train-average-at-equal-weights",
    "images-ntk-distilled-share-of-gain",
    "residual-distilled-share-of-gain",
    "residual-train-average-share-of-gain",
    "residual-train-average-at-equal-weights",
    "worlds-distilled-share-multi-view",
    "worlds-distilled-share-gaussian",
    "worlds-distilled-share-photographs",
    "four-features-single",
    "four-features-ensemble",
    "views-error",
    "flips",
]


def made(single: Sequence[float], multi: Sequence[float] | None = None, **more: Any) -> Arrays:
    """Arrays of one draw's students; without errors on multi-view data unless said."""
    n = len(single)
    return {
        "single_error": np.array(single),
        "multi_error": np.zeros(n) if multi is None else np.array(multi),
        "fitted": np.ones(n, dtype=bool),
        "stop_step": np.full(n, 60),
        "teacher_train_error": np.zeros(1),
        "ensemble_single_error": np.array(0.1),
        "ensemble_multi_error": np.array(0.0),
        **more,
    }


# ---------------------------------------------------------------------------- errors of students


def test_errors_are_in_units_of_mu() -> None:
    assert MU == pytest.approx(1.0 * 4 / 600)
    draws = [made([0.4, 0.2], [0.0, 0.001]), made([0.3, 0.5])]
    first, second = network_errors(STUDY, draws)
    assert first == pytest.approx([0.4, 0.2 + 0.001 * ODDS])
    assert second == pytest.approx([0.3, 0.5])


def test_less_than_hard_pairs_students() -> None:
    hard = [made([0.5, 0.9]), made([0.4, 0.6], [0.0, 0.002])]
    taught = [made([0.3, 0.7]), made([0.2, 0.4], [0.0, 0.002])]
    # Very different students, every one of them better by .2: no doubt is left.
    assert less_than_hard(STUDY, hard, taught) == pytest.approx((0.2, 0.2, 0.2))
    assert less_than_hard(STUDY, taught, hard) == pytest.approx((-0.2, -0.2, -0.2))
    hard, taught = [made([0.5, 0.9]), made([0.4, 0.6])], [made([0.1, 0.5]), made([0.4, 0.4])]
    # Differences .4, .4 in one draw, 0, .2 in the other.  The first draw twice: one resample in
    # four.  The second draw twice and .2 never: one in 64, and once: four in 64.
    assert less_than_hard(STUDY, hard, taught) == pytest.approx((0.25, 0.05, 0.4))


def test_less_than_hard_counts_multi_view_errors() -> None:
    found = less_than_hard(STUDY, [made([0.4], [0.003])], [made([0.3], [0.001])])
    assert found == pytest.approx((0.1 + 0.002 * ODDS,) * 3)


def test_a_control_on_the_first_draw_alone() -> None:
    hard = [made([0.5, 0.9]), made([5.0, 5.0])]
    assert less_than_hard(STUDY, hard, [made([0.3, 0.7])]) == pytest.approx((0.2, 0.2, 0.2))
    finding = control(STUDY, "control-shuffled", hard, [made([0.3, 0.7])])
    assert "by 0.200 [0.200, 0.200], paired" in finding.caveat and finding.n == 2
    with pytest.raises(ValueError, match="zip"):
        less_than_hard(STUDY, hard[:1], [made([0.3, 0.7]), made([0.3, 0.7])])


def assert_students(finding: Finding, claim: str, predicted: float, measured: float) -> None:
    assert (finding.claim, finding.predicted, finding.unit) == (claim, predicted, UNIT_MU)
    assert finding.measured == pytest.approx(measured)
    assert finding.low <= finding.measured <= finding.high


def test_claims_about_students() -> None:
    hard = [made([0.5, 0.6]), made([0.4, 0.5], fitted=np.array([True, False]))]
    taught = [made([0.1, 0.2]), made([0.2, 0.1])]
    third = theorem_3(STUDY, hard, taught)
    assert_students(third, "theorem-3", 0.001, 0.15)
    assert third.n == 4 and (third.low, third.high) == pytest.approx((0.1, 0.2))
    assert "hard labels by 0.350 " in third.caveat and "teacher 0." in third.caveat
    assert "4 students on 2 data draws, each after exactly 60 steps; 4 fit" in third.caveat
    assert_students(hard_label_student(STUDY, hard), "hard-label-student", 0.5, 0.5)
    assert "3 fit their training set" in hard_label_student(STUDY, hard).caveat
    assert_students(self_distillation_claim(STUDY, hard, taught), "self-distillation", 0.26, 0.15)
    for name in ("control-one-hot", "control-shuffled", "self-control"):
        found = control(STUDY, name, hard, taught)
        assert_students(found, name, 0.5, 0.15)
        assert found.caveat.startswith("Not a claim of the paper.")


def test_a_bad_teacher_shows() -> None:
    taught = [made([0.1]), made([0.2], teacher_train_error=np.array([0.0, 0.125]))]
    finding = theorem_3(STUDY, [made([0.5]), made([0.5])], taught)
    assert "Training error of the teacher 0.125." in finding.caveat


def test_multi_view_errors_count() -> None:
    taught = [made([0.1, 0.1], [0.001, 0.003])]
    finding = theorem_3(STUDY, [made([0.5, 0.5])], taught)
    assert finding.measured == pytest.approx(0.1 + 0.002 * ODDS)
    assert "multi-view error 0.0020" in finding.caveat


@pytest.mark.parametrize(("together", "sign"), [(0.1, 1), (0.3, 0), (0.5, -1)])
def test_what_averaging_students_gains(together: float, sign: int) -> None:
    draws = [made([0.2, 0.4], ensemble_single_error=np.array(together)) for _ in range(3)]
    found = distilled_ensemble_gain(STUDY, draws)
    # Students err on .3 on average; what is left of it is not gained.
    assert found.measured == pytest.approx(0.2 * sign)
    assert (found.low, found.high) == pytest.approx((found.measured, found.measured))
    assert found.predicted == 0 and found.n == 3 and found.unit == UNIT_MU
    assert "which errs on 0.300 mu in all" in found.statement
    assert f"2 students, 0.300 mu, less that of their average, {0.3 - 0.2 * sign:.3f} mu" in (
        found.caveat
    )
    assert "3 data draws" in found.caveat


def test_the_gain_of_averaging_counts_multi_view_errors() -> None:
    draws = [made([0.2, 0.2], [0.001, 0.003], ensemble_multi_error=np.array(0.001))]
    gained = 0.2 + 0.002 * ODDS - (0.1 + 0.001 * ODDS)
    assert distilled_ensemble_gain(STUDY, draws).measured == pytest.approx(gained)


# --------------------------------------------------------------------------- the two lotteries

# Three networks and two students of the first two; classes: 2.
TEACHERS = {"correlations": np.array([[[2, 0.1], [0.2, 3]], [[0.1, 2], [2, 1]], [[9, 0], [9, 0]]])}
TAUGHT = made(
    [0.2, 0.3],
    predicted_winner=np.array([[0, 0], [1, 1]]),
    correlations=np.array([[[2, 0.1], [2, 2]], [[0, 1.0], [0.5, 1.0]]]),
)


def test_own_view_and_teachers_view() -> None:
    views = own_and_teachers_view([TEACHERS], [TAUGHT])
    assert views["own"].tolist() == [[0, 0], [1, 1]]
    assert views["teacher"].tolist() == [[0, 1], [1, 0]], "network r teaches student r"
    assert views["has"].tolist() == [[[True, False], [True, True]], [[False, True], [True, True]]]
    assert share_with_all_views([TAUGHT]) == 0.5
    both = own_and_teachers_view([TEACHERS] * 2, [TAUGHT] * 2)
    assert both["own"].shape == (4, 2) and both["has"].shape == (4, 2, 2)


def test_implicit_ensemble_prediction_by_hand() -> None:
    # Own view and teacher's agree in two classes of four: half of .5 mu, where another class's
    # view is there to win instead: k = 4, s = 2, so 1 - (1/2)^3.
    assert STUDY.data.n_classes == 4 and STUDY.data.sparsity == 2.0
    predicted = implicit_ensemble_prediction(STUDY, [TEACHERS], [TAUGHT])
    assert predicted == pytest.approx(0.5 * 0.5 * 7 / 8)
    agree = {**TAUGHT, "predicted_winner": np.array([[0, 1], [1, 0]])}
    assert implicit_ensemble_prediction(STUDY, [TEACHERS], [agree]) == pytest.approx(0.5 * 7 / 8)
    differ = {**TAUGHT, "predicted_winner": np.array([[1, 0], [0, 1]])}
    assert implicit_ensemble_prediction(STUDY, [TEACHERS], [differ]) == 0
    mixed = implicit_ensemble_prediction(STUDY, [TEACHERS] * 2, [agree, differ])
    assert mixed == pytest.approx(0.25 * 7 / 8)


# --------------------------------------------------------------------- frozen networks and ratios


def wrong(*counts: int, n: int = 100) -> np.ndarray:
    """(networks, n): so many of n inputs are misclassified."""
    return np.arange(n) < np.array(counts)[:, None]


def frozen(single: dict[str, tuple[int, ...]], multi: dict[str, tuple[int, ...]]) -> Arrays:
    """Of 100 inputs of each kind, how many each learner gets wrong; by descent those learners that
    had no help get twice as many wrong."""
    found = {}
    for who in WHO:
        for method in METHODS:
            times = 2 if method == "descent" and who in ("single", "hard_student") else 1
            for kind, counts in (("single", single[who]), ("multi", multi[who])):
                found[f"{method}_{who}_{kind}_wrong"] = wrong(*(times * c for c in counts))
    return found


NOTHING: dict[str, tuple[int, ...]] = {
    "single": (0, 0, 0), "ensemble": (0,), "average": (0,), "hard_student": (0, 0),
    "distilled_student": (0, 0),
}  # fmt: skip
SINGLE_VIEW_ERRORS = {
    "single": (20, 30, 40), "ensemble": (15,), "average": (6,), "hard_student": (20, 40),
    "distilled_student": (18, 36),
}  # fmt: skip


def test_errors_of_frozen_networks() -> None:
    made_up = frozen(SINGLE_VIEW_ERRORS, {**NOTHING, "single": (0, 1, 2)})
    (found,) = kernel_errors(STUDY, [made_up], "ridge", "single")
    assert found == pytest.approx([0.2, 0.3 + 0.01 * ODDS, 0.4 + 0.02 * ODDS])
    (by_descent,) = kernel_errors(STUDY, [made_up], "descent", "single")
    assert by_descent == pytest.approx(2 * found)
    (ensemble,) = kernel_errors(STUDY, [made_up], "ridge", "ensemble")
    assert ensemble == pytest.approx([0.15])


@pytest.mark.parametrize(
    ("claim", "ratio", "predicted", "n"),
    [
        ("ntk-ensemble-over-single", 0.5, 0.5, 6),  # .15 / .3
        ("ntk-train-average-over-single", 0.2, 0.5, 6),  # .06 / .3
        ("ntk-train-average-over-ensemble", 0.4, 1.0, 2),  # .06 / .15, one of each a draw
        ("ntk-distilled-over-hard", 0.9, 1.0, 4),  # .27 / .3
    ],
)
def test_kernel_ratios_by_hand(claim: str, ratio: float, predicted: float, n: int) -> None:
    draws = [frozen(SINGLE_VIEW_ERRORS, NOTHING)] * 2
    found = ntk_contradiction(STUDY, draws, claim)
    assert found.claim == claim and found.unit == UNIT_RATIO and found.n == n
    assert found.measured == pytest.approx(ratio) and found.predicted == predicted
    assert found.low <= found.measured <= found.high
    # Twice as many errors of single networks and students; an ensemble errs as often.
    together = claim == "ntk-train-average-over-ensemble"
    by_descent = ntk_contradiction(STUDY, draws, claim, "descent")
    assert by_descent.claim == f"{claim}-by-descent" and "(descent on" in by_descent.statement
    assert by_descent.measured == pytest.approx(ratio if together else ratio / 2)
    of_all = (0.15 if together else 0.3) * STUDY.data.single_view_fraction
    assert f"% against {100 * of_all:.1f}% of all inputs" in found.caveat
    if claim == "ntk-distilled-over-hard":  # student by student a tenth less
        assert (found.low, found.high) == pytest.approx((0.9, 0.9)) and "paired" in found.caveat
        assert (found.verdict, by_descent.verdict) == ("right direction", "fails")
    elif together:  # both draws are alike, and there is one of each
        assert (found.low, found.high) == pytest.approx((0.4, 0.4)) and found.verdict == "holds"
    else:
        assert found.low < ratio < found.high and "paired" not in found.caveat


def test_the_ratio_is_of_means_and_counts_multi_view_errors() -> None:
    light = frozen(SINGLE_VIEW_ERRORS, NOTHING)
    heavy = frozen(SINGLE_VIEW_ERRORS, {**NOTHING, "single": (3, 3, 3), "ensemble": (1,)})
    found = ntk_contradiction(STUDY, [light, heavy], "ntk-ensemble-over-single")
    ratio = (0.15 + 0.15 + 0.01 * ODDS) / (0.3 + 0.3 + 0.03 * ODDS)
    assert found.measured == pytest.approx(ratio)


def test_every_kernel_claim_has_its_row() -> None:
    rows = [claim + end for claim in KERNEL_CLAIMS for end in ("", "-by-descent")]
    assert [c for c in CLAIMS if c.startswith("ntk-")] == rows
    for claim in KERNEL_CLAIMS.values():
        assert {claim.above, claim.below} <= set(WHO)


def test_networks_trained_as_one() -> None:
    single = [made([0.4, 0.6]), made([0.5, 0.5])]
    joint = [
        made([0.9, 0.9, 0.9], ensemble_single_error=np.array(together)) for together in (0.2, 0.3)
    ]
    found = networks_train_average(STUDY, single, joint)
    assert found.claim == "networks-train-average-over-single" and found.unit == UNIT_RATIO
    # The average's errors, not its members', over those of networks trained one by one.
    assert found.measured == pytest.approx(0.25 / 0.5)
    assert found.predicted == 1 and found.n == 2 and "3 networks trained as one" in found.caveat
    assert 0.3 < found.low < 0.5 < found.high < 0.7


# -------------------------------------------------------------------------- bootstrap of a ratio


def correlated(draws: int = 4, networks: int = 6) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Errors that differ between networks by a factor of three, and nearly half of them."""
    rng = np.random.default_rng(0)
    below = [rng.uniform(0.2, 0.6, networks) for _ in range(draws)]
    above = [0.5 * errors * rng.uniform(0.95, 1.05, networks) for errors in below]
    return above, below


def test_pairing_narrows_the_interval_of_a_ratio() -> None:
    above, below = correlated()
    ratio = np.mean([a.mean() for a in above]) / np.mean([b.mean() for b in below])
    paired, apart = (ratio_of_means(above, below, paired=paired)[1:] for paired in (True, False))
    assert paired[0] < ratio < paired[1]
    assert apart[0] < ratio < apart[1]
    # Networks differ by 30% each, sd of a mean of 24 about 6%; pairs by 3%, .6%: a tenth.
    assert paired[1] - paired[0] < (apart[1] - apart[0]) / 4


def test_a_constant_ratio_is_known_exactly() -> None:
    _, below = correlated()
    above = [0.3 * errors for errors in below]
    found = ratio_of_means(above, below, paired=True)
    assert found == pytest.approx((0.3, 0.3, 0.3), rel=1e-12)
    alike = [np.full(5, 0.4)] * 3
    assert ratio_of_means([np.array([0.1])] * 3, alike, paired=False) == (0.25,) * 3


def test_both_sides_of_a_ratio_are_of_the_same_draws() -> None:
    # Draws differ fourfold, above and below the line alike: that says nothing about the ratio.
    above, below = [np.full(3, x) for x in (0.1, 0.4)], [np.full(3, x) for x in (0.2, 0.8)]
    for paired in (True, False):
        found = ratio_of_means(above, below, paired=paired)
        assert found == pytest.approx((0.5,) * 3)


def test_draws_matter_for_a_ratio() -> None:
    above, below = [np.full(5, 0.1), np.full(5, 0.3)], [np.full(5, 0.5)] * 2
    for paired in (True, False):
        found = ratio_of_means(above, below, paired=paired)
        assert found == pytest.approx((0.4, 0.2, 0.6))  # both draws alike in a quarter of resamples
        assert found == ratio_of_means(above, below, paired=paired)


def test_nothing_below_the_line_is_infinite() -> None:
    above, below = [np.array([0.1, 0.1])], [np.array([0.0, 0.2])]
    _, low, high = ratio_of_means(above, below, paired=True)
    # A quarter of resamples holds the network without errors twice.
    assert high == np.inf and low == pytest.approx(0.5)


# ---------------------------------------------------------------------------------- all of them


def test_every_claim_is_found(smoke_findings: dict[str, Finding]) -> None:
    assert list(smoke_findings) == CLAIMS
    for claim, finding in smoke_findings.items():
        assert finding.claim == claim
        assert finding.low <= finding.high
        assert np.isfinite([finding.low, finding.measured]).all()
        # In so few images some resample has an ensemble that gains nothing: any share of that
        # gain is infinite (see share_of_gain).
        assert np.isfinite(finding.high) or finding.unit == UNIT_SHARE
        assert finding.n > 0 and finding.statement.endswith(".") and finding.caveat.endswith(".")


def test_whose_predictions_they_are(smoke_findings: dict[str, Finding]) -> None:
    # The text prints numbers for its theorems, of which the first is asked again in the limit, and
    # for its example with four features; for the rest it has words, or nothing.
    printed = {c for c, f in smoke_findings.items() if f.source == "the paper's number"}
    assert printed == {
        *("theorem-1", "theorem-2", "theorem-3", "self-distillation"),
        *("limit-single-error", "four-features-single", "four-features-ensemble"),
        *("handmade-single", "handmade-self-distilled"),  # the same, again
    }
    ours = {c for c, f in smoke_findings.items() if f.source == "ours"}
    assert ours >= {"control-one-hot", "control-shuffled", "self-control", "hard-label-student"}
    marks = {0.5, 0.25, 3.0, 0.9}  # that the book set itself
    marks |= {0.01}  # for another paper's words on mixup
    marks |= {1 - 1 / 4}  # footnote 5, with four views
    marks |= {0.0}  # that students of a control gain as much
    marks |= {0.1, 0.15}  # where photographs are views
    predicted = {claim: smoke_findings[claim].predicted for claim in ours}
    assert 0 < predicted.pop("flips") < 0.5, "a law's number, of the weaker one of two views"
    # What is removed on multi-view data, of which the other's turn is half.
    turn = smoke_findings["gaussian-ensemble-gain"].turn
    assert predicted.pop("images-ensemble-gain") == pytest.approx(2 * turn, abs=5e-4)  # rounded
    assert set(predicted.values()) == marks


def test_every_claim_reads_its_own_experiments(
    smoke_findings: dict[str, Finding], smoke_families: dict[str, list[Arrays]]
) -> None:
    of, hard = smoke_families, smoke_families["hard-labels"]
    again = [
        hard_label_student(STUDY, hard),
        theorem_3(STUDY, hard, of["distilled"]),
        distilled_ensemble_gain(STUDY, of["distilled"]),
        self_distillation_claim(STUDY, hard, of["self-distilled"]),
        *(control(STUDY, name, hard, of[name]) for name in CONTROLS),
        networks_train_average(STUDY, of["single-model"], of["joint"]),
        ntk_contradiction(STUDY, of["contrast"], "ntk-distilled-over-hard"),
    ]
    assert again == [smoke_findings[finding.claim] for finding in again]
    assert len({finding.measured for finding in again}) == len(again), "no two of the same arrays"
