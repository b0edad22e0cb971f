"""The law of the lottery without noise: how often each view is the first."""

import math

import pytest
import torch

from mvlib.core.checks import BadInput
from mvlib.paper.lottery import winning_odds

N = 40_000
SLACK = 4 / math.sqrt(N)  # four and more standard deviations of a share


def odds(*strengths: float, m: int = 1, q: int = 4) -> list[float]:
    return winning_odds(torch.tensor(strengths), n_neurons=m, power=q, n=N, seed=3).tolist()


def test_views_alike_are_learned_alike() -> None:
    for m, V in ((1, 2), (5, 2), (5, 3)):
        assert odds(*[1.3] * V, m=m) == pytest.approx([1 / V] * V, abs=SLACK)


@pytest.mark.parametrize(("q", "ratio"), [(4, 1.25), (4, 2.0), (3, 1.25), (5, 1.25)])
def test_one_neuron_by_its_angle(q: int, ratio: float) -> None:
    """Two standard normals have an angle that is uniform: the second view wins where it is
    positive and above a times the first, from atan(a) to pi, of the 3 pi / 2 in which one is
    positive."""
    a = ratio ** (q / (q - 2))  # S is the q-th power, and counts to the 1 / (q - 2)
    expected = (math.pi - math.atan(a)) / (1.5 * math.pi)
    assert odds(ratio, 1.0, q=q)[1] == pytest.approx(expected, abs=SLACK)


def test_more_neurons_leave_less_to_chance() -> None:
    few, many = (odds(1.25, 1.0, m=m)[1] for m in (2, 20))
    assert many < few < 0.5


def test_nothing_takes_off_at_two() -> None:
    with pytest.raises(BadInput, match=r"^power \(q\) = 2 must be an integer >= 3; "):
        odds(1.0, 1.0, q=2)
