"""Definition 3.4 and the network built on it."""

from itertools import product

import pytest
import torch
from torch import Tensor

from mvlib.paper import network as room
from mvlib.paper.activation import SmoothedReLU
from mvlib.paper.network import LearnerParams, ascent_direction, init_weights, logits
from mvlib.paper.objectives import CrossEntropy

# float64 sums of a few dozen terms of order one, added in another order.
ROUNDING = dict(rtol=1e-12, atol=1e-13)
S, k, m, d, N, P = 3, 3, 2, 5, 7, 4
LEARNER = LearnerParams(n_neurons=m, power=4, threshold=0.7)


def network_and_inputs(seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, inputs and labels whose correlations fall on all three pieces."""
    generator = torch.Generator().manual_seed(seed)
    W = 0.6 * torch.randn(S, k, m, d, generator=generator, dtype=torch.float64)
    X = torch.randn(N, P, d, generator=generator, dtype=torch.float64)
    return W, X, torch.arange(N) % k


@pytest.mark.parametrize(
    ("q", "varrho", "z", "value", "slope"),
    [
        (2, 0.1, -1.0, 0.0, 0.0),  # without a zero branch: +5
        (3, 0.1, -1.0, 0.0, 0.0),  # without a zero branch: -33.3
        (4, 0.1, -1.0, 0.0, 0.0),
        (2, 0.1, 0.05, 0.0125, 0.5),  # .05^2 / (2 * .1)
        (2, 0.1, 0.1, 0.05, 1.0),  # at the join: varrho / q, slope 1 and not 2
        (2, 0.1, 0.3, 0.25, 1.0),  # .3 - .1 / 2
        (3, 3.0, 1.5, 0.125, 0.25),  # 1.5^3 / (3 * 3^2)
        (3, 3.0, 3.0, 1.0, 1.0),
        (3, 3.0, 5.0, 3.0, 1.0),  # 5 - (2/3) 3
        (4, 1.0, 0.0, 0.0, 0.0),
        (4, 1.0, 0.5, 0.015625, 0.125),  # .5^4 / 4
        (4, 1.0, 1.0, 0.25, 1.0),
        (4, 1.0, 2.0, 1.25, 1.0),  # 2 - (3/4) 1
    ],
)
def test_hand_worked_numbers(q: int, varrho: float, z: float, value: float, slope: float) -> None:
    point = torch.tensor([z], dtype=torch.float64, requires_grad=True)
    got = SmoothedReLU(q, varrho).value(point)
    got.backward(torch.ones(1, dtype=torch.float64))
    derivative = SmoothedReLU(q, varrho).slope(point.detach())
    # A handful of float64 roundings; the zero branch is exact.
    close = dict(rel=1e-14, abs=0.0)
    assert got.item() == pytest.approx(value, **close)
    assert derivative.item() == pytest.approx(slope, **close)
    assert point.grad is not None and point.grad.item() == pytest.approx(slope, **close)


@pytest.mark.parametrize(("q", "varrho"), [*product((2, 3, 4, 5), (0.1, 1.0, 3.0))])
def test_joins_from_both_sides(q: int, varrho: float) -> None:
    h = 1e-6 * varrho
    z = torch.tensor([-h, 0, h, varrho - h, varrho, varrho + h], dtype=torch.float64)
    below, at, above, left, join, right = SmoothedReLU(q, varrho).value(z).tolist()
    assert below == 0 and at == 0
    # On the right of 0 the difference quotient is (h / varrho)^(q-1) / q.
    assert (above - at) / h == pytest.approx((h / varrho) ** (q - 1) / q, rel=1e-9)
    assert join == pytest.approx(varrho / q, rel=1e-14)
    # Left of varrho the quotient misses 1 by (q-1) h / (2 varrho) = 2e-6 at most; both carry a
    # rounding of 1e-16 / 1e-6.
    assert (join - left) / h == pytest.approx(1, abs=3e-6)
    assert (right - join) / h == pytest.approx(1, abs=1e-9)


@pytest.mark.parametrize("q", [2, 3, 4])
def test_slope_is_the_derivative(q: int) -> None:
    z = torch.linspace(-2, 4, 601, dtype=torch.float64, requires_grad=True)  # meets 0 and varrho
    (gradient,) = torch.autograd.grad(SmoothedReLU(q).value(z).sum(), z)
    slope = SmoothedReLU(q).slope(z.detach())
    torch.testing.assert_close(slope, gradient, **ROUNDING)


def limit_memory(monkeypatch: pytest.MonkeyPatch, samples: int, patches: int) -> None:
    """Blocks of so many samples; where that is one, parts of so many of its patches."""
    monkeypatch.setattr(room, "CACHE_FLOATS", samples * patches * S * k * m)
    monkeypatch.setattr(room, "SAMPLE_FLOATS", patches * S * k * m)


# Whole data at once; blocks of 3, 3 and 1 samples; each sample alone; in parts of 3 and 1 patches.
BLOCKS = [(100, P), (3, P), (1, P), (1, 3)]


@pytest.mark.parametrize(("samples", "patches"), BLOCKS)
def test_logits_against_a_loop(samples: int, patches: int, monkeypatch: pytest.MonkeyPatch) -> None:
    limit_memory(monkeypatch, samples, patches)
    W, X, _ = network_and_inputs()

    def activation(z: float, q: int, varrho: float) -> float:
        if z <= 0:
            return 0.0
        return z**q / (q * varrho ** (q - 1)) if z <= varrho else z - (1 - 1 / q) * varrho

    expected = torch.zeros(S, N, k, dtype=torch.float64)
    for s, n, i, r, p in product(range(S), range(N), range(k), range(m), range(P)):
        z = sum(float(W[s, i, r, c] * X[n, p, c]) for c in range(d))
        expected[s, n, i] += activation(z, LEARNER.power, LEARNER.threshold)
    torch.testing.assert_close(logits(W, X, LEARNER), expected, **ROUNDING)


@pytest.mark.parametrize(("samples", "patches"), BLOCKS)
@pytest.mark.parametrize("q", [2, 3, 4, 5])
def test_ascent_against_autograd(
    q: int, samples: int, patches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit_memory(monkeypatch, samples, patches)
    learner = LearnerParams(n_neurons=m, power=q, threshold=0.7)
    W, X, y = network_and_inputs(q)
    ascent = ascent_direction(
        W, X, lambda F, rows: CrossEntropy().residual(F, y[rows], rows), learner
    )
    leaf = W.clone().requires_grad_()
    z = torch.einsum("skmd,npd->snkmp", leaf, X)
    outputs = SmoothedReLU(q, 0.7).value(z).sum(dim=(-1, -2))
    # Seeds do not interact, so the gradient of the summed loss is each seed's own gradient.
    loss = sum(torch.nn.functional.cross_entropy(f, y) for f in outputs)
    assert isinstance(loss, Tensor)
    (gradient,) = torch.autograd.grad(loss, leaf)
    torch.testing.assert_close(ascent, -gradient, **ROUNDING)


def test_cross_entropy_by_hand() -> None:
    F = torch.tensor([[[0.0, 0.0, 0.0]], [[2.0, 0.0, 0.0]]], dtype=torch.float64)
    y = torch.tensor([1, 0])
    e2 = torch.e**2
    loss = CrossEntropy().loss(F, y)
    residual = CrossEntropy().residual(F, y, slice(0, 2))
    expected_loss = torch.tensor([[3.0], [(e2 + 2) / e2]], dtype=torch.float64).log()
    expected = [[[-1 / 3, 2 / 3, -1 / 3]], [[2 / (e2 + 2), -1 / (e2 + 2), -1 / (e2 + 2)]]]
    torch.testing.assert_close(loss, expected_loss, **ROUNDING)
    torch.testing.assert_close(residual, torch.tensor(expected, dtype=torch.float64), **ROUNDING)


def test_seed_7_is_the_same_alone_and_among_100() -> None:
    alone = init_weights([7], LEARNER, n_classes=k, dim=d)
    among = init_weights(range(100), LEARNER, n_classes=k, dim=d)
    assert torch.equal(alone[0], among[7])
    assert among.flatten(1).unique(dim=0).shape[0] == 100, "no two networks alike"
    student = init_weights([7], LEARNER, n_classes=k, dim=d, name="student")
    assert not torch.equal(student, alone)


def test_init_scale() -> None:
    learner = LearnerParams(n_neurons=10, init_std=0.3)
    W = init_weights([0], learner, n_classes=10, dim=200)
    # n = 20,000 normals: the standard deviation is known to .3 / sqrt(2n) = .0015; five of them.
    assert W.std().item() == pytest.approx(0.3, abs=0.0075)
    assert W.mean().item() == pytest.approx(0, abs=5 * 0.3 / 20_000**0.5)


def test_symmetries() -> None:
    W, X, _ = network_and_inputs()
    F = logits(W, X, LEARNER)
    classes, patches = torch.tensor([2, 0, 1]), torch.tensor([3, 1, 0, 2])
    # Sums in another order: equal up to rounding.
    torch.testing.assert_close(logits(W.flip(2), X, LEARNER), F, **ROUNDING)
    torch.testing.assert_close(logits(W, X[:, patches], LEARNER), F, **ROUNDING)
    torch.testing.assert_close(logits(W[:, classes], X, LEARNER), F[..., classes], **ROUNDING)
    gaussian = torch.randn(d, d, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    Q = torch.linalg.qr(gaussian).Q
    torch.testing.assert_close(logits(W @ Q, X @ Q, LEARNER), F, **ROUNDING)


@pytest.mark.parametrize("q", [2, 4])
def test_scores_can_be_differentiated(q: int) -> None:
    W, X, _ = network_and_inputs()
    learner = LearnerParams(n_neurons=m, power=q, threshold=0.7)
    leaf = W.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(logits(leaf, X, learner).sum(), leaf)
    ones = ascent_direction(W, X, lambda F, rows: torch.ones_like(F), learner)
    torch.testing.assert_close(gradient / N, ones, **ROUNDING)
