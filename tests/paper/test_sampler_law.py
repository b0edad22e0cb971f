"""The law of the sampler: one fixed draw of n = 5000 inputs of each kind against Definition 3.1.

Every test below shares one error budget.  With ALPHA / COMPARISONS for each comparison
(Bonferroni) a correct sampler and a random seed would fail anywhere in this file with probability
at most ALPHA; the seed is fixed, so it either always passes or never does.
"""

import math
from dataclasses import replace
from itertools import product
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from mvlib.paper.evaluation import law_of_the_sampler, strengths_by_role
from mvlib.paper.multi_view_data import MultiViewParams, Sample, feature_vectors, sample

k, P, d, n = 5, 12, 12, 5000
PARAMS = MultiViewParams(
    n_classes=k, dim=d, n_patches=P, sparsity=1.5, noise_std=0.3, single_view_fraction=0.2,
    features="general", balanced=False,
)  # fmt: skip
ALPHA, COMPARISONS = 0.01, 750  # about 710 are made, each entry of a covariance counted
Z = NormalDist().inv_cdf(1 - ALPHA / COMPARISONS / 2)  # 4.3 standard deviations


@pytest.fixture(scope="module", params=["multi", "single", "mixture"])
def drawn(request: pytest.FixtureRequest) -> Sample:
    return sample(PARAMS, n, seed=11, name="law", kind=request.param)


def with_views(V: int) -> MultiViewParams:
    """The same with V views a class; room for V own views and some of V (k - 1) others."""
    return replace(PARAMS, n_views=V, dim=V * k, n_patches=V * k + 2, single_other_strength=0.2)


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
    for j, l in product(range(k), (0, 1)):
        elsewhere = drawn.labels != j
        assert_rate(drawn.strengths[elsewhere, j, l] > 0, 1.5 / k)
    # Two views of one wrong class come and go independently.
    elsewhere = drawn.labels != 0
    assert_rate((drawn.strengths[elsewhere, 0] > 0).all(dim=1), (1.5 / k) ** 2)


def test_dominant_view_is_a_fair_coin(drawn: Sample) -> None:
    if drawn.single_view.any():
        assert_rate(drawn.dominant_view[drawn.single_view] == 0, 0.5)


def test_strengths_are_uniform() -> None:
    multi = strengths_by_role(sample(PARAMS, n, seed=11, name="law", kind="multi"))
    single = strengths_by_role(sample(PARAMS, n, seed=11, name="law", kind="single"))
    for values, low, high in (
        (multi["own view"], 1, 2),
        (multi["own, the rest"], 1, 2),
        (multi["other classes"], 0.2, 0.4),
        (single["own view"], 1, 2),
        (single["own, the rest"], 0.1, 0.2),
        (single["other classes"], 0.2, 0.4),
    ):
        assert_uniform(torch.from_numpy(values), low, high)


def test_patches_are_placed_uniformly(drawn: Sample) -> None:
    rows = torch.arange(n)
    own = drawn.view_patches[rows, drawn.labels, 0, 0]
    for patch in range(P):
        assert_rate(own == patch, 1 / P)
    # The second own view is anywhere else: the distance around the ring is uniform on 1 .. P-1.
    other = drawn.view_patches[rows, drawn.labels, 1, 0]
    for step in range(1, P):
        assert_rate((other - own) % P == step, 1 / (P - 1))


@pytest.mark.parametrize("V", [3, 4])
def test_any_number_of_views(V: int) -> None:
    p, rows = with_views(V), torch.arange(n)
    for kind in ("multi", "single"):
        drawn = sample(p, n, seed=11, name="law", kind=kind)
        assert drawn.strengths.shape == (n, k, V)
        own = drawn.strengths[rows, drawn.labels]
        if kind == "multi":
            assert bool((own >= 1).all()), "all V own views at full strength"
        else:
            assert bool(((own >= 1).sum(dim=1) == 1).all()), "one at full strength"
            assert torch.equal(own.argmax(dim=1), drawn.dominant_view)
            weak = own.sort(dim=1).values[:, :-1]
            assert 0.1 <= weak.min() and weak.max() <= 0.2
            for l in range(V):
                assert_rate(drawn.dominant_view == l, 1 / V)
                # Each weak own view has a strength of its own.
                assert_uniform(own[drawn.dominant_view != l, l], 0.1, 0.2)
        # Each of the V (k - 1) others with probability s/k, whatever the rest.
        for j, l in product(range(k), range(V)):
            assert_rate(drawn.strengths[drawn.labels != j, j, l] > 0, 1.5 / k)
        elsewhere = drawn.strengths[drawn.labels != 0, 0] > 0
        for count in range(3):  # binomial: V trials
            p_count = math.comb(V, count) * 0.3**count * 0.7 ** (V - count)
            assert_rate(elsewhere.sum(dim=1) == count, p_count)
        # Own views at random places, no two at one: the step from one to the next is uniform.
        first, second = drawn.view_patches[rows, drawn.labels, :2, 0].T
        for step in range(1, p.n_patches):
            assert_rate((second - first) % p.n_patches == step, 1 / (p.n_patches - 1))
        assert_table(drawn, p)


def test_roles_and_rates_with_three_views_by_hand() -> None:
    """One input of each of two classes, written down: k = 2, V = 3, s = 1, C_p = C_o = 1."""
    strengths = torch.tensor([
        [[0.1, 1.5, 0.2], [0.0, 0.3, 0.0]],
        [[0.4, 0.0, 0.25], [0.15, 0.12, 1.1]],
    ])  # fmt: skip
    places = torch.tensor([[[4, 0, 2], [-1, 5, -1]], [[3, -1, 1], [2, 4, 5]]])[..., None]
    drawn = Sample(
        patches=torch.zeros(2, 6, 6), labels=torch.tensor([0, 1]), feature_noise=None,
        single_view=torch.ones(2, dtype=torch.bool), dominant_view=torch.tensor([1, 2]),
        strengths=strengths, view_patches=places, thinned=torch.zeros(2, dtype=torch.long),
    )  # fmt: skip
    roles = {role: values.tolist() for role, values in strengths_by_role(drawn).items()}
    assert roles == {
        "own view": pytest.approx([1.5, 1.1]),
        "own, the rest": pytest.approx([0.1, 0.2, 0.15, 0.12]),
        "other classes": pytest.approx([0.3, 0.4, 0.25]),
    }
    p = MultiViewParams(n_classes=2, n_views=3, dim=6, n_patches=6, sparsity=1.0,
                        single_other_strength=0.3)  # fmt: skip
    rates = [
        (expected, measured, n) for _, expected, measured, _, n in law_of_the_sampler(drawn, p)
    ]
    assert rates == [
        (1 / 2, 1 / 2, 2),  # one of two inputs is of class 0
        (1 / 2, 3 / 6, 6),  # three of the six views of other classes are there
        (pytest.approx((3 + 3 / 2) / 6), 1 / 2, 2),  # patch 0 holds a view in one of two
        (1 / 3, 0, 2),  # view 1 (number 0) is the strong one in neither
    ]


@pytest.mark.parametrize("C_o", [1, 2])
def test_views_of_several_patches_are_placed_uniformly(C_o: int) -> None:
    p = replace(PARAMS, n_patches=22, patches_per_view=3, patches_per_other_view=C_o)
    drawn = sample(p, n, seed=11, name="law")
    own = (torch.arange(k) == drawn.labels[:, None])[..., None]
    for patch in range(22):
        held = (drawn.view_patches == patch).any(dim=3)
        assert_rate((held & own).any(dim=(1, 2)), 2 * 3 / 22)
        assert_rate((held & ~own).any(dim=(1, 2)), 2 * (k - 1) * 1.5 / k * C_o / 22)
    assert_table(drawn, p)


def test_noise_is_white(drawn: Sample) -> None:
    features = feature_vectors(PARAMS, 11)
    signal = torch.zeros_like(drawn.patches)
    row, j, l, slot = (drawn.view_patches >= 0).nonzero(as_tuple=True)
    patch = drawn.view_patches[row, j, l, slot]
    signal[row, patch] = drawn.strengths[row, j, l, None] * features[j, l]
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
    p = MultiViewParams(n_classes=3, dim=6, n_patches=6, sparsity=1.0, feature_noise=0.3)
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
