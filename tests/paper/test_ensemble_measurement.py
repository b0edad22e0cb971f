"""Averages of networks, and what is measured of a network."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from mvlib.core.checks import BadInput
from mvlib.paper.ensemble import (
    bootstrap_ensembles,
    disjoint_ensembles,
    ensemble_outputs,
    size_curve,
    subsets_of_size,
)
from mvlib.paper.evaluation import (
    error_in_units_of_mu,
    inputs_by_knowledge,
    learned_views,
    predicted_single_error,
    test_scores,
    view_correlations,
)
from mvlib.paper.gradient_descent import classification_error
from mvlib.paper.lottery import lottery_winners, takeoff_times
from mvlib.paper.multi_view_data import MultiViewParams, Sample, feature_vectors, sample
from mvlib.paper.network import LearnerParams, init_weights, logits


def random_outputs(members: int, n: int, k: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    F = torch.randn(members, n, k, generator=generator, dtype=torch.float64)
    return F, torch.arange(n) % k


# -- ensembles ---------------------------------------------------------------------------------


def test_average_by_hand() -> None:
    F = torch.tensor([[[1.0, 4.0]], [[3.0, 1.0]], [[5.0, 1.0]]])
    assert ensemble_outputs(F).tolist() == [[3.0, 2.0]]
    assert ensemble_outputs(F, scale=2.0).tolist() == [[6.0, 4.0]]


def test_scale_never_changes_a_prediction() -> None:
    F, _ = random_outputs(4, 50, 3)
    plain = ensemble_outputs(F).argmax(dim=-1)
    for scale in (1e-3, 0.5, 7.0):
        assert torch.equal(ensemble_outputs(F, scale=scale).argmax(dim=-1), plain)
    with pytest.raises(BadInput, match=r"scale \(c\) = 0 "):
        ensemble_outputs(F, scale=0)


def test_disjoint_ensembles_share_no_network() -> None:
    F = torch.tensor([1.0, 3.0, 10.0, 30.0, 100.0])[:, None, None]
    assert disjoint_ensembles(F, 2).flatten().tolist() == [2.0, 20.0], "the fifth is left over"
    assert disjoint_ensembles(F, 5).flatten().tolist() == pytest.approx([28.8])
    assert torch.equal(disjoint_ensembles(F, 1), F)
    with pytest.raises(BadInput, match=r"size \(K\) = 0 must be an integer >= 1"):
        disjoint_ensembles(F, 0)


def test_subsets() -> None:
    every = subsets_of_size(4, 2, at_most=60, seed=0)
    assert every.tolist() == [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]
    some = subsets_of_size(10, 5, at_most=60, seed=0)
    assert some.shape == (60, 5) and some.unique(dim=0).shape == (60, 5)
    assert all(len(set(row)) == 5 for row in some.tolist())
    assert torch.equal(some, subsets_of_size(10, 5, at_most=60, seed=0))


@pytest.mark.parametrize("size", [0, 4])
def test_a_subset_larger_than_the_whole_is_refused(size: int) -> None:
    with pytest.raises(BadInput, match=rf"size \(K\) = {size} .*between 1 and 3"):
        subsets_of_size(3, size, at_most=60, seed=0)


def test_size_curve_begins_with_single_networks_and_ends_with_all() -> None:
    F, y = random_outputs(4, 50, 3)
    curve = size_curve(F, y)
    # Errors are stored in float32; there are 50 inputs, so neighbours are .02 apart.
    close = dict(rtol=0, atol=1e-6)
    single = classification_error(F, y).float()
    torch.testing.assert_close(curve[0, :4], single, **close)
    together = classification_error(F.mean(dim=0)[None], y).float()
    torch.testing.assert_close(curve[3, :1], together, **close)
    assert (~curve.isnan()).sum(dim=1).tolist() == [math.comb(4, K) for K in (1, 2, 3, 4)]


def test_bootstrap_ensembles() -> None:
    F, y = random_outputs(3, 40, 3)
    errors = bootstrap_ensembles(F, y, n_resamples=200, seed=0)
    assert errors.shape == (200,) and bool(((0 <= errors) & (errors <= 1)).all())
    assert torch.equal(errors, bootstrap_ensembles(F, y, n_resamples=200, seed=0))
    # All members alike: only inputs are resampled, and the mean is the one network's error e:
    # 200 resamples of 40 inputs know it to sqrt(e (1 - e) / 8000) < .006; four of them.
    alike = bootstrap_ensembles(F[:1].expand(3, -1, -1), y, n_resamples=200, seed=0)
    assert alike.mean().item() == pytest.approx(classification_error(F[:1], y).item(), abs=0.024)


# -- errors ------------------------------------------------------------------------------------


def test_error_in_units_of_mu_by_hand() -> None:
    assert error_in_units_of_mu(0.5, 0.001, 0.02) == pytest.approx(0.5 + 49 * 0.001)
    assert error_in_units_of_mu(0.5, 1.0, 1.0) == 0.5
    array = error_in_units_of_mu(np.array([0.5, 0.4]), np.array([0.0, 0.01]), 0.5)
    assert array == pytest.approx([0.5, 0.41])
    with pytest.raises(BadInput, match=r"\(mu\) = 0 "):
        error_in_units_of_mu(0.5, 0.0, 0)


def test_predicted_single_error_by_hand() -> None:
    # One of two views missing everywhere; a rival is there in half of the inputs.
    assert predicted_single_error(0.5, n_classes=2, sparsity=1.0) == 0.25
    # Two of three views missing; a rival in 1 - (2/3)^2.
    assert predicted_single_error(2 / 3, n_classes=3, sparsity=1.0) == pytest.approx(10 / 27)
    assert predicted_single_error(0.4, n_classes=3, sparsity=3.0) == pytest.approx(0.4)
    assert predicted_single_error(1.0, n_classes=3, sparsity=0.0) == 0


def test_scores_stream_over_blocks() -> None:
    p = MultiViewParams(n_classes=3, dim=8, n_patches=6, sparsity=1.0)
    learner = LearnerParams(n_neurons=2)
    W = init_weights([0, 1], learner, n_classes=3, dim=8)
    scores = test_scores(W, p, learner, kind="single", n=600, seed=0)
    whole = sample(p, 600, seed=0, name="test", kind="single")
    # float32 sums over 12 terms, in blocks of other sizes.
    torch.testing.assert_close(scores.outputs, logits(W, whole.patches, learner), rtol=1e-5, atol=0)
    assert torch.equal(scores.labels, whole.labels)
    assert torch.equal(scores.dominant_view, whole.dominant_view)


def test_rivals_by_loop() -> None:
    # Views of other classes in a third of inputs each, and no noise: what an input shows can be
    # read off its patches.
    p = MultiViewParams(n_classes=3, dim=8, n_patches=6, sparsity=1.0, noise_std=0.0)
    W, n = init_weights([0], LearnerParams(), n_classes=3, dim=8), 40
    scores = test_scores(W, p, LearnerParams(), kind="single", n=n, seed=0)
    patches = sample(p, n, seed=0, name="test", kind="single").patches
    assert isinstance(patches, Tensor)
    v, rivals = feature_vectors(p, 0), []
    for X, label in zip(patches, scores.labels.tolist(), strict=True):
        # 1e-3: far above rounding, far below the faintest view (.8 Gamma).
        shown = [[float((X @ v[j, view]).max()) > 1e-3 for view in (0, 1)] for j in range(3)]
        assert all(shown[label])
        rivals.append(max(sum(shown[j]) for j in range(3) if j != label))
    assert scores.rivals.tolist() == rivals and set(rivals) == {0, 1, 2}


def test_inputs_by_knowledge_by_hand() -> None:
    wrong = torch.tensor([True, False, True, False, True, True])
    known, rivals = torch.tensor([0, 0, 2, 1, 0, 0]), torch.tensor([2, 2, 1, 0, 2, 0])
    found = inputs_by_knowledge(wrong, known, rivals, members=2, n_views=2)
    assert found.tolist() == [
        [[1, 1], [0, 0], [3, 2]],
        [[1, 0], [0, 0], [0, 0]],
        [[0, 0], [1, 1], [0, 0]],
    ]


# -- views -------------------------------------------------------------------------------------


@pytest.mark.parametrize("V", [2, 3, 4])
def test_view_correlations_by_loop(V: int) -> None:
    p = MultiViewParams(n_classes=3, n_views=V, dim=12, n_patches=12, sparsity=1.0,
                        single_other_strength=0.2, features="general")  # fmt: skip
    v = feature_vectors(p, 0, dtype=torch.float64)
    W = init_weights([0, 1], LearnerParams(n_neurons=4), n_classes=3, dim=12, dtype=torch.float64)
    got = view_correlations(W, v)
    assert got.shape == (2, 3, V)
    for s in range(2):
        for i in range(3):
            for view in range(V):
                best = max(float(W[s, i, r] @ v[i, view]) for r in range(4))
                # An inner product of length 12.
                assert float(got[s, i, view]) == pytest.approx(best, rel=1e-13)


def test_learned_views_by_hand() -> None:
    c = torch.tensor([[[2.0, 0.5], [2.0, 0.7], [0.6, 2.0], [0.1, 2.0], [-1.0, -2.0]]])
    expected = [[True, False], [True, True], [True, True], [False, True], [False, False]]
    assert learned_views(c, share=0.3).tolist() == [expected]
    three = torch.tensor([[[2.0, 0.5, 0.7], [0.1, 0.2, 3.0], [1.0, 1.0, 1.0]]])
    expected = [[True, False, True], [False, False, True], [True, True, True]]
    assert learned_views(three, share=0.3).tolist() == [expected]


# -- the lottery -------------------------------------------------------------------------------


def clean(k: int, strength: tuple[float, float], n: int, V: int = 2) -> tuple[Sample, Tensor]:
    """A training set without noise of any kind."""
    p = MultiViewParams(
        n_classes=k, n_views=V, dim=V * k, n_patches=V * k, sparsity=0.0, single_view_fraction=0.0,
        own_strength=strength, single_other_strength=0.2, noise_std=0.0,
    )  # fmt: skip
    drawn = sample(p, n, seed=0, name="train", dtype=torch.float64)
    return drawn, feature_vectors(p, 0, dtype=torch.float64)


@pytest.mark.parametrize("q", [3, 4, 5])
@pytest.mark.parametrize(("z", "V"), [(1.0, 2), (2.0, 2), (1.0, 3)])
def test_takeoff_times_without_noise(q: int, z: float, V: int) -> None:
    k, varrho = 3, 2.0
    training_set, v = clean(k, (z, z), 30, V)
    learner = LearnerParams(n_neurons=4, power=q, threshold=varrho, init_std=0.1)
    W0 = init_weights([0, 1], learner, n_classes=k, dim=V * k, dtype=torch.float64).abs()
    W0 = W0.clamp_min(0.02)  # 1e-2 varrho
    times = takeoff_times(W0, v, training_set, learner)
    # g(c) = S (c / varrho)^(q-1) with S = (1 - 1/k) (1/k) z^q as long as z c < varrho: up to there
    # the integral of 1 / g is varrho^(q-1) / ((q-2) S) (c0^-(q-2) - (varrho / z)^-(q-2)).  The code
    # goes on to c0 + varrho, beyond the bend, where g = (1 - 1/k) (1/k) z.
    pull, bend = (1 - 1 / k) / k, varrho / z
    c0 = torch.einsum("skmd,kld->skml", W0, v)
    power = -(q - 2)
    closed = varrho ** (q - 1) / ((q - 2) * pull * z**q) * (c0**power - bend**power)
    closed = closed + (c0 + varrho - bend) / (pull * z)
    off = times / closed - 1
    # Its grid begins 1e-4 varrho beyond c0, a share of about (q-2) 1e-4 varrho / c0 too late.
    # Its points are h = 15.5% of the distance apart; the trapezium overestimates by h^2 / 12 times
    # the mean of q (q-1) (1 - c0/c)^2, which is 2: .4%; as much again for the bend.
    late = (q - 2) * 1e-4 * varrho / c0 / (1 - (c0 / bend) ** (q - 2))
    assert bool((off >= -late - 0.001).all()) and bool((off <= 0.008).all())


def test_a_neuron_that_points_away_never_takes_off() -> None:
    training_set, v = clean(3, (1.0, 1.0), 10)
    learner = LearnerParams(n_neurons=1, power=4, threshold=1.0)
    W0 = torch.full((1, 3, 1, 6), 0.1, dtype=torch.float64)
    W0[0, 0, 0, 0] = -2.0  # beyond the whole stretch: reads at most -1
    times = takeoff_times(W0, v, training_set, learner)
    assert times[0, 0, 0, 0] > 1e20 * times[0, 0, 0, 1]
    prediction = lottery_winners(W0, v, training_set, learner)
    assert prediction.winner[0, 0] == 1
    assert float(prediction.margin[0, 0]) == pytest.approx(1)
    # Alike in every respect: a tie, up to rounding.
    assert float(prediction.margin[0, 1]) == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("V", [2, 3, 4])
def test_winners_follow_the_closed_rule_without_noise(V: int) -> None:
    k, q = 5, 4
    training_set, v = clean(k, (1.0, 2.0), 100, V)
    learner = LearnerParams(n_neurons=3, power=q, threshold=3.0, init_std=0.05)
    W0 = init_weights(range(20), learner, n_classes=k, dim=V * k, dtype=torch.float64)
    prediction = lottery_winners(W0, v, training_set, learner)
    # S_{i,l} = sum of z^q over class i; the winner has the larger S^(1/(q-2)) max_r <w, v>.
    S = torch.stack([
        (training_set.strengths[training_set.labels == i, i] ** q).sum(dim=0)
        for i in range(k)
    ])  # fmt: skip
    score = S ** (1 / (q - 2)) * view_correlations(W0, v)
    # The rule leaves out what happens near the bend (c0 / varrho is a few percent), so close
    # races, within 5%, are not compared.
    best, next_best = score.sort(dim=-1, descending=True).values[..., :2].unbind(dim=-1)
    clear = next_best < 0.95 * best
    assert clear.float().mean() > 0.75
    assert torch.equal(prediction.winner[clear], score.argmax(dim=-1)[clear])
    assert bool(((0 <= prediction.margin) & (prediction.margin <= 1)).all())
    # Times fall as score^-(q-2): the margin is that of the two fastest.  Where both start above
    # .02, the grid of times begins at most 3% late (see above), its points cost .8%.
    margin = 1 - (next_best / best) ** (q - 2)
    sure = next_best > 0.02 * S.amax() ** (1 / (q - 2))
    assert sure.float().mean() > 0.5
    assert float((prediction.margin - margin)[sure].abs().max()) < 0.04


def test_no_race_at_power_two() -> None:
    training_set, v = clean(3, (1.0, 1.0), 10)
    W0 = torch.ones(1, 3, 1, 6, dtype=torch.float64)
    with pytest.raises(BadInput, match=r"power \(q\) = 2 "):
        lottery_winners(W0, v, training_set, LearnerParams(n_neurons=1, power=2))
