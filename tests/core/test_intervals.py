"""The resampler against exact laws and simulated truths, and Wilson's interval against a table."""

import numpy as np
import pytest
from scipy import stats

from mvlib.core.checks import BadInput
from mvlib.core.intervals import (
    Counts,
    Draw,
    errors,
    interval,
    mean_interval,
    ratio,
    resample,
    wilson_interval,
)

SIMULATED = 400  # of which 380 +- 4.4 are covered where 95% should be


def covering(
    rng: np.random.Generator, draws: int, between: float, within: float, networks: int = 5
) -> float:
    """How often the interval of a mean of nested normal numbers holds the truth, 0."""
    hits = 0
    for trial in range(SIMULATED):
        values = [rng.normal(between * rng.normal(), within, networks) for _ in range(draws)]
        resampled = resample([[{"x": v}] for v in values], n_resamples=400, seed=trial)
        low, high = interval(resampled["x"])
        hits += low <= 0 <= high
    return hits / SIMULATED


def test_intervals_of_nested_means_cover_the_truth() -> None:
    # 20 draws of 5 networks.  A percentile interval of n draws is narrower than one from Student's
    # t by sqrt(1 - 1/n) and 1.96 / 2.09: 92.5% where draws decide; where networks do, their spread
    # counts twice, at most 98%.
    rng = np.random.default_rng(0)
    for between, within in ((1.0, 0.5), (0.5, 1.0)):
        assert 0.90 <= covering(rng, 20, between, within) <= 0.98


def test_three_draws_are_rough() -> None:
    # What the findings' caveat says: where draws differ more than networks about 70%, because three
    # draws lie on one side of the truth a quarter of the time.
    rng = np.random.default_rng(1)
    assert 0.65 <= covering(rng, 3, 3.0, 0.5) <= 0.80
    assert covering(rng, 3, 0.0, 1.0) >= 0.93


def test_the_same_inputs_are_resampled_once_for_all_draws() -> None:
    # Two draws of one learner each, wrong on the same 30 of 100 inputs: a binomial rate, whichever
    # draws are taken.  With inputs of their own, the mean of two has half the variance.
    wrong = {"e": np.arange(100)[None] < 30}
    variance = 0.3 * 0.7 / 100
    for same, expected in ((True, variance), (False, variance / 2)):
        found = resample([[wrong], [wrong]], n_resamples=4000, same_inputs=same)["e"]
        # A variance from 4000: sqrt(2 / 4000) = 2.2%, four times.
        assert found.shape == (4000,) and found.var() == pytest.approx(expected, rel=0.09)
    # Draws and learners are resampled, too: without inputs that differ, the laws of both.
    draws = [[{"e": np.array([[True], [False]])}], [{"e": np.array([[True], [True]])}]]
    found = resample(draws, n_resamples=4000, same_inputs=True)["e"]
    # A resample's slot is 1 with the second draw; with the first 0, 1/2, 1 at odds 1 : 2 : 1.
    # Mean 3/4 and variance 1/2 (1/4 + 1/8) + 1/2 - 9/16 = 1/8 of a slot, of two 1/16.
    assert found.mean() == pytest.approx(0.75, abs=4 / 4 / np.sqrt(4000))
    assert found.var() == pytest.approx(1 / 16, rel=0.09)


def test_intervals_of_counts_cover_the_truth() -> None:
    # 20 ensembles whose error rates differ by 30% about .1, each known from 400 inputs.
    rng, hits = np.random.default_rng(2), 0
    for trial in range(SIMULATED):
        rates = 0.1 * rng.gamma(1 / 0.3**2, 0.3**2, 20)
        draws: list[Draw] = [[errors("e", rng.binomial(400, p) / 400, 400)] for p in rates]
        low, high = interval(resample(draws, n_resamples=400, seed=trial)["e"])
        hits += low <= 0.1 <= high
    assert 0.90 <= hits / SIMULATED <= 0.98


def test_two_ensembles_against_their_exact_law() -> None:
    # Errors 10 and 30 in 200: a resample is the mean of two binomial rates, of the first ensemble
    # twice, of the second twice, or of both.
    n, rates = 200, (0.05, 0.15)
    low, high = interval(resample([[errors("e", p, n)] for p in rates])["e"])
    pmf = [stats.binom.pmf(np.arange(n + 1), n, p) for p in rates]
    law = 0.25 * np.convolve(pmf[0], pmf[0]) + 0.25 * np.convolve(pmf[1], pmf[1])
    law += 0.5 * np.convolve(pmf[0], pmf[1])
    below = np.cumsum(law)
    # 4000 resamples know a quantile's level to sqrt(.025 .975 / 4000) = .0025; four of them.
    for end, level in ((low, 0.025), (high, 0.975)):
        at = round(2 * n * end)
        assert below[at - 1] - 0.01 <= level <= below[at] + 0.01


def test_groups_of_a_draw_add_up() -> None:
    # A draw's error is the sum of two kinds; without chance there is nothing to resample.
    kinds = [errors("e", 1.0, 10, weight=0.25), errors("e", 0.0, 10), {"e": np.array([0.5, 0.5])}]
    assert resample([kinds, kinds], n_resamples=5)["e"].tolist() == [0.75] * 5


def test_counts_of_several_quantities_are_of_the_same_inputs() -> None:
    values = {"a": np.array([1.0, 0.5, 0.0]), "b": np.array([0.0, 0.5, 1.0])}
    table = Counts(inputs=np.array([3, 4, 3]), values=values)
    found = resample([[table]], n_resamples=200)
    assert found["a"] + found["b"] == pytest.approx(np.ones(200)) and found["a"].std() > 0


def test_learners_of_a_group_stay_together() -> None:
    values = np.array([0.1, 0.2, 0.7])
    draws: list[Draw] = [[{"a": values, "b": values + 0.2}, {"alone": values}]]
    found = resample(draws, n_resamples=300)
    assert found["b"] - found["a"] == pytest.approx(np.full(300, 0.2))
    assert np.abs(found["alone"] - found["a"]).max() > 0.1
    again = resample(draws, n_resamples=300)
    assert all(np.array_equal(found[name], again[name]) for name in found)
    assert not np.array_equal(found["a"], resample(draws, n_resamples=300, seed=1)["a"])


def test_draws_matter() -> None:
    values = [np.full(5, 0.4), np.full(5, 0.6)]
    assert mean_interval(values) == pytest.approx((0.4, 0.6))  # both alike in half of resamples


def test_one_draw_of_one_learner_is_all_there_is() -> None:
    assert mean_interval([np.array([0.3])]) == (0.3, 0.3)


def test_no_end_is_moved() -> None:
    # Averages of resampled networks err more than the ensemble itself: 0 is left out, so be it.
    assert interval(np.array([0.0] + [0.1] * 99)) == (0.1, 0.1)
    assert interval(np.array([1.0, 2.0, np.inf])) == (1.0, np.inf)


def test_ratio_of_nothing_is_infinite() -> None:
    assert ratio(np.array([1.0, 0.0, -1.0]), np.array([2.0, 0.0, -1.0])).tolist() == [
        0.5, np.inf, np.inf,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("count", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),  # Brown, Cai and DasGupta (2001): 0 successes, z^2 / (n + z^2)
        (50, 100, 0.4038, 0.5962),
        (1, 1, 0.2065, 1.0),
        (10, 10, 0.7225, 1.0),
    ],
)
def test_wilson_by_hand(count: int, n: int, low: float, high: float) -> None:
    # Hand values are given to four decimals.
    assert wilson_interval(count, n) == pytest.approx((low, high), abs=6e-5)


def test_a_higher_level_is_wider() -> None:
    # 50 of 100 at level 2 Phi(3) - 1: 1/2 +- 3 / (1 + 9/100) sqrt(1/400 + 9/40000).
    half = 3 / 1.09 * np.sqrt(1 / 400 + 9 / 40000)
    level = 2 * float(stats.norm.cdf(3)) - 1
    assert wilson_interval(50, 100, level=level) == pytest.approx((0.5 - half, 0.5 + half))


@pytest.mark.parametrize(("count", "n"), [(0, 0), (-1, 10), (11, 10)])
def test_wilson_bad_input(count: int, n: int) -> None:
    with pytest.raises(BadInput):
        wilson_interval(count, n)
