"""What the parameters alone foretell of the lottery: how often each view is the first."""

import math
from dataclasses import replace

import numpy as np
import pytest

from mvlib.core.checks import BadInput
from mvlib.paper.lottery import lottery_winners, race_clock, winning_odds
from mvlib.paper.multi_view_data import MultiViewParams, feature_vectors, sample
from mvlib.paper.network import LearnerParams, init_weights

N = 40_000
SLACK = 4 / math.sqrt(N)  # eight standard deviations of a share; the grid's error is below it
DATA = MultiViewParams(
    n_classes=4, dim=200, n_patches=8, sparsity=0.0, single_view_fraction=0.0,
    own_strength=(1.0, 1.0), noise_std=0.0,
)  # fmt: skip


def odds(*scale: float, m: int = 1, q: int = 4, noise_std: float = 0.0) -> list[float]:
    data = replace(DATA, n_views=len(scale), view_scale=scale, dim=200, n_patches=4 * len(scale),
                   single_other_strength=0.2, noise_std=noise_std)  # fmt: skip
    learner = LearnerParams(n_neurons=m, power=q, init_std=0.05)
    return winning_odds(data, learner, n=N, seed=3).tolist()


@pytest.mark.parametrize("noise_std", [0.0, 0.05])
def test_views_alike_are_learned_alike(noise_std: float) -> None:
    for m, V in ((1, 2), (5, 2), (5, 3)):
        assert odds(*[1.3] * V, m=m, noise_std=noise_std) == pytest.approx([1 / V] * V, abs=SLACK)


@pytest.mark.parametrize(("q", "ratio"), [(4, 1.25), (4, 2.0), (3, 1.25), (5, 1.25)])
def test_one_neuron_without_noise_by_its_angle(q: int, ratio: float) -> None:
    """Two standard normals have an angle that is uniform: the second view wins where it is
    positive and above a times the first, from atan(a) to pi of 2 pi; where both are negative,
    1/4, the one nearer to 0.  Growth ends at a threshold of 20 times the start, not at infinity,
    which favours nobody by more than (1/20)^(q - 2)."""
    a = ratio ** (q / (q - 2))  # S is the q-th power, and counts to the 1 / (q - 2)
    expected = (math.pi - math.atan(a)) / (2 * math.pi) + 1 / 8
    assert odds(ratio, 1.0, q=q)[1] == pytest.approx(expected, abs=SLACK + 0.05 ** (q - 2) / 4)


def test_a_clock_without_noise_counts_in_powers() -> None:
    """With the slope (z c)^3 below the threshold 1, from c to c' takes (1/c^2 - 1/c'^2) / 2 z^4."""
    c, left = race_clock(DATA, LearnerParams(init_std=0.05), view=0, end=0.6)
    early, late = (int(np.abs(c - at).argmin()) for at in (0.1, 0.5))
    expected = (1 / c[early] ** 2 - 1 / c[late] ** 2) / 2
    # Trapezia .0003 wide, where the rate goes as c^3: 3 (.0003 / .1)^2 of the integral at most.
    assert left[early] - left[late] == pytest.approx(expected, rel=1e-4)
    assert left[-1] == 0 and bool((np.diff(left) < 0).all())


def test_more_neurons_and_more_noise_leave_less_to_chance() -> None:
    few, many = (odds(1.25, 1.0, m=m)[1] for m in (2, 20))
    noisy = odds(1.25, 1.0, m=2, noise_std=0.1)[1]
    assert many < few < 0.5 and noisy < few


def test_it_is_what_actual_starts_foretell() -> None:
    """`lottery_winners`, which reads weights and training data, on as many classes."""
    data = replace(DATA, view_scale=(1.1, 1.0), noise_std=0.05)
    learner = LearnerParams(n_neurons=3, init_std=0.05)
    drawn, features = sample(data, 160, seed=0, name="train"), feature_vectors(data, 0)
    W0 = init_weights(range(150), learner, n_classes=4, dim=200)
    found = lottery_winners(W0, features, drawn, learner).winner
    expected = winning_odds(data, learner, n=N, seed=0)[1].item()
    # 600 classes; the noise of 40 inputs a class is not quite its law: .03 more.
    assert (found == 1).float().mean().item() == pytest.approx(expected, abs=0.06 + 0.03)
    assert 0.1 < expected < 0.45


def test_nothing_takes_off_at_two() -> None:
    with pytest.raises(BadInput, match=r"^power \(q\) = 2 must be an integer >= 3; "):
        odds(1.0, 1.0, q=2)
