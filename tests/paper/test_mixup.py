"""Midpoint mixup and label smoothing against their formulas."""

import math
from dataclasses import replace
from itertools import combinations

import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked
from toys import TEACHER

from mvlib import (
    BadInput,
    ConstantStep,
    CrossEntropy,
    FixedSteps,
    LabelSmoothing,
    MidpointMixup,
    Schedule,
    init_weights,
    logits,
    run_single_model,
    sample,
    stream,
    train,
)

K, N = 3, 12
DATA, LEARNER = TEACHER.data, TEACHER.learner
Z = sample(DATA, N, seed=0, name="train", dtype=torch.float64)
X, Y = Z.patches, Z.labels
assert isinstance(X, torch.Tensor)
HOT = nnf.one_hot(Y, K).double()
ONE_STEP = Schedule(step_rule=ConstantStep(2.0), stop_rule=FixedSteps(steps=1))


def pairs_of(step: int, seed: int = 3) -> list[tuple[int, int]]:
    """Which two samples each midpoint lies between, found among all pairs."""
    batch = MidpointMixup().batch(step, X, Y, K, seed)
    assert batch.rows is None and len(batch.X) == N, "new inputs, of which no teacher knows"
    every, found = list(combinations(range(N), 2)), []
    for mixed, soft in zip(batch.X, batch.labels, strict=True):
        # The same two numbers are added: not even rounding.
        (pair,) = [(i, j) for i, j in every if torch.equal(mixed, (X[i] + X[j]) / 2)]
        assert torch.equal(soft, (HOT[pair[0]] + HOT[pair[1]]) / 2)
        found.append(pair)
    return found


def test_midpoints_are_of_two_samples_each_met_twice() -> None:
    pairs = pairs_of(0)
    assert sorted(i for pair in pairs for i in pair) == sorted([*range(N)] * 2)


def test_partners_are_drawn_anew_from_step_and_seed_alone() -> None:
    first = set(pairs_of(0))
    assert first == set(pairs_of(0))
    assert first != set(pairs_of(1)) and first != set(pairs_of(0, seed=4))
    # In 60 steps 720 of 66 pairs: one is left out with a chance of (1 - 2 / 11)^60 < 1e-5.
    met = {pair for step in range(60) for pair in pairs_of(step)}
    assert met == set(combinations(range(N), 2))


def test_the_midpoint_is_rounded_not_its_ends_sum() -> None:
    rough = X.to(torch.bfloat16)
    found = MidpointMixup().batch(0, rough, Y, K, 3).X
    order = torch.randperm(N, generator=stream(3, "midpoints", 0))
    # Halves of sums of two bfloat16 numbers of like size fit into float32.
    exact = (rough[order].float() + rough[order.roll(1)].float()) / 2
    assert torch.equal(found, exact.to(torch.bfloat16))


def test_a_step_descends_the_cross_entropy_of_midpoints() -> None:
    W0 = init_weights([0, 1], LEARNER, n_classes=K, dim=DATA.dim, dtype=torch.float64)
    moved = train(W0, X, Y, CrossEntropy(), learner=LEARNER, schedule=ONE_STEP,
                  batches=MidpointMixup(), batch_seed=3).weights  # fmt: skip
    W = W0.clone().requires_grad_()
    loss = torch.zeros((), dtype=torch.float64)
    for i, j in pairs_of(0):
        log_p = logits(W, ((X[i] + X[j]) / 2)[None], LEARNER)[:, 0].log_softmax(dim=-1)
        loss = loss - (log_p[:, Y[i]] + log_p[:, Y[j]]).sum() / 2 / N
    (gradient,) = torch.autograd.grad(loss, W)
    # Sums of a few hundred float64 terms in another order.
    assert torch.allclose(moved, W0 - 2.0 * gradient, rtol=1e-9, atol=1e-12)


def test_one_sample_cannot_be_mixed() -> None:
    W0 = init_weights([0], LEARNER, n_classes=K, dim=DATA.dim, dtype=torch.float64)
    with pytest.raises(BadInput, match=r"n_train \(N\) = 1 must be >= 2 to be mixed; one sample"):
        train(W0, X[:1], Y[:1], CrossEntropy(), learner=LEARNER, schedule=ONE_STEP,
              batches=MidpointMixup())  # fmt: skip


@pytest.mark.parametrize("share", [0.0, 0.1, 0.7])
def test_label_smoothing_is_minus_the_gradient_of_its_loss(share: float) -> None:
    F = torch.randn(N, 2, K, generator=stream(0, "scores"), dtype=torch.float64).requires_grad_()
    soft = (1 - share) * HOT + share / K
    loss = -(soft[:, None] * F.log_softmax(dim=-1)).sum()
    (gradient,) = torch.autograd.grad(loss, F)
    found = LabelSmoothing(share=share).residual(F.detach(), Y, slice(0, N))
    assert torch.allclose(found, -gradient, rtol=1e-12, atol=1e-14)  # rounding of float64


def test_smoothed_labels_keep_scores_down() -> None:
    longer = replace(
        TEACHER, schedule=replace(TEACHER.schedule, stop_rule=FixedSteps(steps=150)), n_networks=1
    )
    outputs = [
        run_single_model(replace(longer, objective=objective))["train_outputs"].max()
        for objective in (CrossEntropy(), LabelSmoothing(share=0.3))
    ]
    assert outputs[1] < 0.8 * outputs[0]


@pytest.mark.parametrize("share", [-0.1, 1.0, math.nan])
def test_bad_share(share: float) -> None:
    with unchecked(), pytest.raises(BadInput, match=r"share \(epsilon\) = .* must lie in \[0, "):
        LabelSmoothing(share=share)
