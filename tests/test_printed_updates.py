"""Distillation as printed: (4.2) by hand, (4.3) by a loop that differentiates nothing."""

import math

import pytest
import torch
from torch import Tensor

from mvlib.checks import BadInput
from mvlib.distribution import MultiViewParams, sample
from mvlib.learner import LearnerParams, init_weights, logits
from mvlib.objectives import (
    AverageCrossEntropy,
    CrossEntropy,
    Objective,
    TemperatureDistillation,
    TruncatedDistillation,
    truncated_logit,
)
from mvlib.training import ConstantStep, FixedSteps, Schedule, SharedStep, train

K, M, D = 3, 2, 8
DATA = MultiViewParams(n_classes=K, dim=D, n_patches=6, sparsity=1.0, noise_std=0.2)
LEARNER = LearnerParams(n_neurons=M, power=3, threshold=0.5, init_std=0.5)
Z = sample(DATA, 7, seed=0, name="train", dtype=torch.float64)
W0 = init_weights([1, 2], LEARNER, n_classes=K, dim=D, dtype=torch.float64)
G = 3 * torch.randn(2, 7, K, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
ETA, RATIO, TAU = 0.3, 4.0, 0.7
ROUNDING = dict(rtol=1e-11, atol=1e-13)  # float64, some hundred additions in another order


def one_step(objective: Objective, W: Tensor = W0, shared: bool = False) -> Tensor:
    rule = SharedStep(ConstantStep(ETA)) if shared else ConstantStep(ETA)
    schedule = Schedule(step_rule=rule, stop_rule=FixedSteps(steps=1))
    return train(W, Z.patches, Z.labels, objective, learner=LEARNER, schedule=schedule).weights


def soft(F: list[float], tau: float) -> list[float]:
    powers = [math.exp(min(tau**2 * f, 1) / tau) for f in F]
    return [p / sum(powers) for p in powers]


def slope(z: float) -> float:
    return 0.0 if z <= 0 else min(1.0, (z / LEARNER.threshold) ** (LEARNER.power - 1))


def printed_step(network: int, teacher: Tensor) -> Tensor:
    """(4.3), one network: w - eta grad L - eta' E[(logit^tau(F) - logit^tau(G))^- grad F]."""
    W = W0[network].clone()
    F = logits(W0[network : network + 1], Z.patches, LEARNER)[0].tolist()
    for i in range(K):
        for r in range(M):
            for n in range(7):
                grad = torch.zeros(D, dtype=torch.float64)
                for p in range(DATA.n_patches):
                    x = Z.patches[n, p]
                    grad += slope(float(W0[network, i, r] @ x)) * x
                probability = math.exp(F[n][i]) / sum(math.exp(f) for f in F[n])
                grad_loss = -((1.0 if int(Z.labels[n]) == i else 0.0) - probability) * grad
                gap = soft(F[n], TAU)[i] - soft(teacher[n].tolist(), TAU)[i]
                W[i, r] -= ETA * grad_loss / 7
                W[i, r] -= ETA * RATIO * min(0.0, gap) * grad / 7
    return W


@pytest.mark.parametrize("teachers", [1, 2])
def test_the_update_is_the_printed_one(teachers: int) -> None:
    objective = TruncatedDistillation(teacher_outputs=G[:teachers], tau=TAU, rate_ratio=RATIO)
    moved = one_step(objective)
    for network in (0, 1):
        expected = printed_step(network, G[network % teachers])
        torch.testing.assert_close(moved[network], expected, **ROUNDING)
    # The loop must not pass because nothing moved or because the second term is absent.
    assert not torch.allclose(moved, one_step(CrossEntropy()), rtol=1e-3)


def test_without_a_distillation_rate_it_is_cross_entropy() -> None:
    alone = TruncatedDistillation(teacher_outputs=G[:1], tau=TAU, rate_ratio=0.0)
    torch.testing.assert_close(one_step(alone), one_step(CrossEntropy()), rtol=0, atol=0)


def test_truncated_logit_by_hand() -> None:
    # tau = 1/2: the cap is F = 4; e^(1/4 F / (1/2)) = e^(F/2) up to e^2.
    found = truncated_logit(torch.tensor([0.0, 2.0, 4.0, 400.0]), tau=0.5)
    powers = torch.tensor([1.0, math.e, math.e**2, math.e**2])
    torch.testing.assert_close(found, powers / powers.sum())


def test_the_push_only_goes_up_and_stops_at_the_cap_if_asked() -> None:
    F = torch.tensor([[[0.5, 3.0, -1.0]], [[2.0, 2.5, 0.0]]], dtype=torch.float64)
    labels = torch.tensor([0, 1])
    rows = slice(0, 2)
    plain = CrossEntropy().residual(F, labels, rows)
    pushes = [
        TruncatedDistillation(
            teacher_outputs=G[:1], tau=TAU, rate_ratio=RATIO, stop_at_cap=stop
        ).residual(F, labels, rows)
        - plain
        for stop in (False, True)
    ]
    assert bool((pushes[0] >= 0).all()) and bool((pushes[0] > 0).any())
    below = TAU**2 * F < 1
    torch.testing.assert_close(pushes[1], torch.where(below, pushes[0], torch.zeros_like(F)))


@pytest.mark.parametrize("kind", ["hard", "temperature", "mean", "sum"])
def test_residuals_are_minus_the_gradient_of_the_stated_loss(kind: str) -> None:
    scale = {"mean": 0.5, "sum": 1.0}.get(kind, 0.0)
    T, weight = 3.0, 2.0
    objective: Objective = CrossEntropy()
    if kind == "temperature":
        objective = TemperatureDistillation(teacher_outputs=G[:1], temperature=T, weight=weight)
    if scale:
        objective = AverageCrossEntropy(scale=scale)
    F = logits(W0, Z.patches, LEARNER).transpose(0, 1).clone().requires_grad_()
    target = Z.labels[:, None].expand(-1, 2).reshape(-1)
    if scale:
        together = scale * F.sum(dim=1)
        loss = torch.nn.functional.cross_entropy(together, Z.labels, reduction="sum")
    else:
        loss = torch.nn.functional.cross_entropy(F.reshape(-1, K), target, reduction="sum")
    if kind == "temperature":
        q = (G[0] / T).softmax(dim=-1)[:, None]
        divergence = (q * (q.log() - (F / T).log_softmax(dim=-1))).sum()
        loss = loss + weight * T**2 * divergence
    (gradient,) = torch.autograd.grad(loss, F)
    found = objective.residual(F.detach(), Z.labels, slice(0, 7))
    torch.testing.assert_close(found, -gradient, **ROUNDING)


def test_the_sum_of_two_networks_is_one_network_twice_as_wide() -> None:
    together = one_step(AverageCrossEntropy(scale=1.0), shared=True)
    wide = one_step(CrossEntropy(), W=torch.cat([W0[:1], W0[1:]], dim=2))
    torch.testing.assert_close(torch.cat([together[:1], together[1:]], dim=2), wide, **ROUNDING)


@pytest.mark.parametrize(
    ("field", "value", "bound"),
    [
        ("tau", 0.0, r"\(0, inf\)"),
        ("tau", -1.0, r"\(0, inf\)"),
        ("rate_ratio", -1.0, r"\[0, inf\)"),
    ],
)
def test_bad_parameters(field: str, value: float, bound: str) -> None:
    good = {"tau": TAU, "rate_ratio": RATIO}
    with pytest.raises(BadInput, match=rf"{field} .*{value}.*{bound}"):
        TruncatedDistillation(teacher_outputs=G[:1], **(good | {field: value}))


def test_bad_temperature_weight_and_scale() -> None:
    with pytest.raises(BadInput, match=r"temperature \(T\) = 0.0"):
        TemperatureDistillation(teacher_outputs=G[:1], temperature=0.0, weight=1.0)
    with pytest.raises(BadInput, match=r"weight \(lambda\) = -1.0"):
        TemperatureDistillation(teacher_outputs=G[:1], temperature=1.0, weight=-1.0)
    with pytest.raises(BadInput, match=r"scale \(c\) = 0.0"):
        AverageCrossEntropy(scale=0.0)


def test_a_teacher_of_another_shape_is_refused() -> None:
    objective = TruncatedDistillation(teacher_outputs=G[:1, :5], tau=TAU, rate_ratio=RATIO)
    with pytest.raises(BadInput, match=r"teacher_outputs \(G\) = \(1, 5, 3\)"):
        one_step(objective)
