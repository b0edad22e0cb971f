"""The law of the sampler: one fixed draw of n = 5000 inputs of each kind against Definition 3.1.

Every test below shares one error budget.  With ALPHA / COMPARISONS for each comparison
(Bonferroni) a correct sampler and a random seed would fail anywhere in this file with probability
at most ALPHA; the seed is fixed, so it either always passes or never does.
"""

import math
from dataclasses import replace
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from mvlib.distribution import MultiViewParams, Sample, feature_vectors, sample
from mvlib.measurement import law_of_the_sampler, strengths_by_role

k, P, d, n = 5, 12, 12, 5000
PARAMS = MultiViewParams(
    n_classes=k, dim=d, n_patches=P, sparsity=1.5, noise_std=0.3, single_view_fraction=0.2,
    features="general", balanced=False,
)  # fmt: skip
ALPHA, COMPARISONS = 0.01, 550  # about 520 are made, each entry of a covariance counted
Z = NormalDist().inv_cdf(1 - ALPHA / COMPARISONS / 2)  # 4.3 standard deviations


@pytest.fixture(scope="module", params=["multi", "single", "mixture"])
def drawn(request: pytest.FixtureRequest) -> Sample:
    return sample(PARAMS, n, seed=11, name="law", kind=request.param)


def assert_rate(hits: Tensor, p: float) -> None:
    """A binomial count within Z standard deviations (counts here are >= 50: normal enough)."""
    trials = hits.numel()
    slack = Z * math.sqrt(p * (1 - p) / trials)
    assert abs(hits.double().mean().item() - p) <= slack


def assert_uniform(values: Tensor, low: float, high: float) -> None:
    """Kolmogorov-Smirnov with the Dvoretzky-Kiefer-Wolfowitz bound
    P(D > e) <= 2 exp(-2 n e^2), which holds at every n."""
    u = ((values.double() - low) / (high - low)).sort().values
    count = len(u)
    assert count > 200
    grid = torch.arange(count + 1, dtype=torch.float64) / count
    distance = max((grid[1:] - u).max().item(), (u - grid[:-1]).max().item())
    assert distance <= math.sqrt(math.log(2 * COMPARISONS / ALPHA) / (2 * count))


def test_labels_and_kinds(drawn: Sample) -> None:
    for y in range(k):
        assert_rate(drawn.labels == y, 1 / k)
    if 0 < drawn.single_view.sum() < n:
        assert_rate(drawn.single_view, 0.2)
        for y in range(k):  # and the kind does not depend on the label
            assert_rate(drawn.single_view[drawn.labels == y], 0.2)


def test_views_of_other_classes_are_present_at_rate_s_over_k(drawn: Sample) -> None:
    for view in range(2 * k):
        elsewhere = drawn.labels != view // 2
        assert_rate(drawn.strengths[elsewhere, view] > 0, 1.5 / k)
    # Two views of one wrong class come and go independently.
    elsewhere = drawn.labels != 0
    assert_rate((drawn.strengths[elsewhere, :2] > 0).all(dim=1), (1.5 / k) ** 2)


def test_dominant_view_is_a_fair_coin(drawn: Sample) -> None:
    if drawn.single_view.any():
        assert_rate(drawn.dominant_view[drawn.single_view] == 0, 0.5)


def test_strengths_are_uniform() -> None:
    multi = strengths_by_role(sample(PARAMS, n, seed=11, name="law", kind="multi"))
    single = strengths_by_role(sample(PARAMS, n, seed=11, name="law", kind="single"))
    for values, low, high in (
        (multi["own view"], 1, 2),
        (multi["own, the other one"], 1, 2),
        (multi["other classes"], 0.2, 0.4),
        (single["own view"], 1, 2),
        (single["own, the other one"], 0.1, 0.2),
        (single["other classes"], 0.2, 0.4),
    ):
        assert_uniform(torch.from_numpy(values), low, high)


def test_patches_are_placed_uniformly(drawn: Sample) -> None:
    rows = torch.arange(n)
    own = drawn.view_patches[rows, 2 * drawn.labels, 0]
    for patch in range(P):
        assert_rate(own == patch, 1 / P)
    # The second own view is anywhere else: the distance around the ring is uniform on 1 .. P-1.
    other = drawn.view_patches[rows, 2 * drawn.labels + 1, 0]
    for step in range(1, P):
        assert_rate((other - own) % P == step, 1 / (P - 1))


@pytest.mark.parametrize("C_o", [1, 2])
def test_views_of_several_patches_are_placed_uniformly(C_o: int) -> None:
    p = replace(PARAMS, n_patches=22, patches_per_view=3, patches_per_other_view=C_o)
    drawn = sample(p, n, seed=11, name="law")
    own = torch.arange(2 * k) // 2 == drawn.labels[:, None]
    for patch in range(22):
        held = (drawn.view_patches == patch).any(dim=2)
        assert_rate((held & own).any(dim=1), 2 * 3 / 22)
        assert_rate((held & ~own).any(dim=1), 2 * (k - 1) * 1.5 / k * C_o / 22)
    assert_table(drawn, p)


def test_noise_is_white(drawn: Sample) -> None:
    features = feature_vectors(PARAMS, 11)
    signal = torch.zeros_like(drawn.patches)
    row, view, slot = (drawn.view_patches >= 0).nonzero(as_tuple=True)
    patch = drawn.view_patches[row, view, slot]
    signal[row, patch] = drawn.strengths[row, view, None] * features[view]
    xi = (drawn.patches - signal).reshape(-1, d).double() / PARAMS.noise_std
    count = len(xi)
    # Standard normal: a mean has variance 1/N, a product of two coordinates too, a square 2/N.
    assert xi.mean(dim=0).abs().max().item() <= Z / math.sqrt(count)
    deviation = (xi.T @ xi / count - torch.eye(d)).abs()
    assert deviation.diagonal().max().item() <= Z * math.sqrt(2 / count)
    assert deviation.fill_diagonal_(0).max().item() <= Z / math.sqrt(count)
    # Neighbouring patches are independent, and so are the first two coordinates' signs.
    assert_rate(xi[1:, 0] * xi[:-1, 0] > 0, 0.5)
    assert_rate(xi[:, 0].abs() < NormalDist().inv_cdf(0.75), 0.5)


def test_feature_noise_is_uniform() -> None:
    p = MultiViewParams(n_classes=2, dim=4, n_patches=4, sparsity=1.0, feature_noise=0.3)
    alpha = sample(p, 500, seed=11, name="law").feature_noise
    assert alpha is not None
    assert_uniform(alpha.flatten(), 0, 0.3)


def test_the_books_own_table_agrees(drawn: Sample) -> None:
    assert_table(drawn, PARAMS)


def assert_table(drawn: Sample, params: MultiViewParams) -> None:
    for quantity, expected, measured, interval, trials in law_of_the_sampler(drawn, params):
        assert interval.startswith("[") and trials > 0
        # Widest case: one count among `trials` with variance p (1 - p).
        slack = Z * math.sqrt(expected * (1 - expected) / trials)
        assert abs(measured - expected) <= slack, quantity
