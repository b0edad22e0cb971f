"""Objectives: the printed update of distillation by loop, every other residual by autograd."""

import math
from dataclasses import replace
from itertools import product

import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked
from torch import Tensor

import mvlib.paper.network
from mvlib.core.checks import BadInput
from mvlib.paper.gradient_descent import Trajectory, classification_error, train
from mvlib.paper.multi_view_data import MultiViewParams, sample
from mvlib.paper.network import LearnerParams, init_weights, logits
from mvlib.paper.objectives import (
    AverageCrossEntropy,
    CrossEntropy,
    Objective,
    TemperatureDistillation,
    TruncatedDistillation,
    truncated_logit,
)
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    ConstantStep,
    FixedSteps,
    Schedule,
    SharedStep,
    WhenFitted,
)

K, N = 3, 12
DATA = MultiViewParams(n_classes=K, dim=8, n_patches=6, sparsity=1.0, single_view_fraction=0.1,
                       noise_std=0.1)  # fmt: skip
LEARNER = LearnerParams(n_neurons=2, power=3, threshold=0.5, init_std=0.7)
Z = sample(DATA, N, seed=0, name="train", dtype=torch.float64)
X, Y = Z.patches, Z.labels
HARD = nnf.one_hot(Y, K).double()
SEEDS = [4, 7, 11]
TAU, ETA, RATIO = 0.8, 0.3, 40.0
ALL = slice(None)
# A few float64 roundings of numbers of order 1.
EXACT = dict(rtol=1e-12, atol=1e-13)


def start(seeds: list[int] = SEEDS, learner: LearnerParams = LEARNER) -> Tensor:
    return init_weights(seeds, learner, n_classes=K, dim=8, dtype=torch.float64)


def normal(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def run(objective: Objective, *, eta: float = ETA, steps: int = 1) -> Trajectory:
    schedule = Schedule(step_rule=ConstantStep(eta), stop_rule=FixedSteps(steps=steps))
    return train(start(), X, Y, objective, learner=LEARNER, schedule=schedule, seeds=SEEDS)


# ------------------------------------------------------------------ truncated logit (4.2)


def slow_truncated_logit(F: list[float], tau: float) -> list[float]:
    weights = [math.exp(min(tau**2 * f, 1) / tau) for f in F]
    return [w / sum(weights) for w in weights]


def test_truncated_logit_by_hand() -> None:
    e = math.e
    # tau = 1: exponents min(F, 1).
    got = truncated_logit(torch.tensor([0.0, 1.0, 5.0], dtype=torch.float64), tau=1.0)
    expected = torch.tensor([1, e, e], dtype=torch.float64) / (1 + 2 * e)
    torch.testing.assert_close(got, expected, **EXACT)
    # tau = 1/2: exponents min(F / 4, 1) * 2, that is F / 2 up to 2; negative scores count.
    got = truncated_logit(torch.tensor([0.0, 2.0, 4.0, 10.0, -2.0], dtype=torch.float64), tau=0.5)
    weights = torch.tensor([1, e, e**2, e**2, 1 / e], dtype=torch.float64)
    torch.testing.assert_close(got, weights / weights.sum(), **EXACT)


@pytest.mark.parametrize("tau", [0.19, 0.8, 1.0, 3.0])  # 0.19 = 1 / log(10)^2
def test_truncated_logit_is_its_formula(tau: float) -> None:
    F = normal(5, 2, 7, scale=1 / tau**2)
    assert bool((tau**2 * F > 1).any()) and bool((tau**2 * F < 1).any())
    got = truncated_logit(F, tau=tau)
    for a, b in product(range(5), range(2)):
        expected = torch.tensor(slow_truncated_logit(F[a, b].tolist(), tau), dtype=F.dtype)
        torch.testing.assert_close(got[a, b], expected, **EXACT)


def test_a_strong_teacher_is_uniform_over_what_it_sees() -> None:
    tau = 1 / math.log(10) ** 2
    F = torch.zeros(10, dtype=torch.float64)
    F[[2, 6]] = torch.tensor([30.0, 3000.0], dtype=F.dtype)  # both beyond 1 / tau^2 = 28.1
    got = truncated_logit(F, tau=tau)
    share = 1 / (2 + 8 * math.exp(-1 / tau))
    torch.testing.assert_close(got[[2, 6]], torch.full((2,), share, dtype=F.dtype), **EXACT)
    assert bool(torch.isfinite(truncated_logit(F, tau=1e-3)).all())  # no overflow of e^(1/tau)


# ----------------------------------------------------------------------- the update (4.3)


def smoothed_relu(z: float) -> tuple[float, float]:
    """Definition 3.4 and its slope."""
    q, varrho = LEARNER.power, LEARNER.threshold
    if z <= 0:
        return 0.0, 0.0
    if z <= varrho:
        return z**q / (q * varrho ** (q - 1)), (z / varrho) ** (q - 1)
    return z - (1 - 1 / q) * varrho, 1.0


def printed_terms(W: Tensor, G: Tensor, tau: float) -> tuple[Tensor, Tensor]:
    """-grad L and -E[(logit^tau(F) - logit^tau(G))^- grad F] of one network, teacher's G (n, k).

    -grad L is (1_{i=y} - logit_i) grad F_i; 1_{i != y} in Section 3.2 is a misprint.
    """
    k, m, _ = W.shape
    hard, soft = torch.zeros_like(W), torch.zeros_like(W)
    for s in range(len(X)):
        F = [0.0] * k
        for i, r, p in product(range(k), range(m), range(X.shape[1])):
            F[i] += smoothed_relu(float(W[i, r] @ X[s, p]))[0]
        normaliser = sum(math.exp(f) for f in F)
        student, teacher = slow_truncated_logit(F, tau), slow_truncated_logit(G[s].tolist(), tau)
        for i, r in product(range(k), range(m)):
            gradient = sum(smoothed_relu(float(W[i, r] @ x))[1] * x for x in X[s])
            hard[i, r] += ((i == int(Y[s])) - math.exp(F[i]) / normaliser) * gradient / len(X)
            soft[i, r] -= min(0.0, student[i] - teacher[i]) * gradient / len(X)
    return hard, soft


@pytest.mark.parametrize("teachers", [1, len(SEEDS)])
@pytest.mark.parametrize("block", [1, 1 << 20])  # samples one by one, and all at once
def test_distillation_is_the_printed_update_term_by_term(
    teachers: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mvlib.paper.network, "CACHE_FLOATS", block)
    W0, G = start(), normal(teachers, N, K, seed=1, scale=1.5) + 1
    objective = TruncatedDistillation(teacher_outputs=G, tau=TAU, rate_ratio=RATIO)
    both = run(objective).weights
    hard_only = run(replace(objective, rate_ratio=0.0)).weights
    # The case is worth comparing: both signs of the difference, both sides of the cap.
    F = logits(W0, X, LEARNER)
    missing = truncated_logit(F, tau=TAU) - truncated_logit(G, tau=TAU)
    for part in (missing, TAU**2 * F - 1, TAU**2 * G - 1):
        assert 0.1 < float((part > 0).double().mean()) < 0.9
    for row in range(len(SEEDS)):
        hard, soft = printed_terms(W0[row], G[row % teachers], TAU)
        assert float(hard.abs().max()) > 1e-3 and float(soft.abs().max()) > 1e-3
        torch.testing.assert_close(hard_only[row] - W0[row], ETA * hard, **EXACT)
        # eta' = RATIO * ETA; the difference of two weights of order 1 keeps 1e-15.
        torch.testing.assert_close(both[row] - hard_only[row], RATIO * ETA * soft, **EXACT)
        whole = W0[row] + ETA * hard + RATIO * ETA * soft
        torch.testing.assert_close(both[row], whole, **EXACT)


def test_the_negative_part_never_pushes_an_output_down() -> None:
    F, labels = normal(50, 4, 6, scale=3.0), torch.arange(50) % 6
    for G in (normal(1, 50, 6, seed=1, scale=3.0), normal(4, 50, 6, seed=2, scale=3.0)):
        objective = TruncatedDistillation(teacher_outputs=G, tau=0.7, rate_ratio=1e6)
        push = objective.residual(F, labels, ALL) - CrossEntropy().residual(F, labels, ALL)
        student, teacher = truncated_logit(F, tau=0.7), truncated_logit(G, tau=0.7).transpose(0, 1)
        assert float(push.min()) >= 0
        ahead = (student >= teacher).expand_as(push)
        assert torch.equal(push[ahead], torch.zeros_like(push[ahead]))
        clear = student < teacher - 1e-9  # elsewhere the push drowns in no rounding
        assert 0 < int(clear.sum()) < clear.numel() and float(push[clear].min()) > 0


def test_rate_ratio_zero_is_cross_entropy() -> None:
    objective = TruncatedDistillation(teacher_outputs=normal(1, N, K), tau=TAU, rate_ratio=0)
    got, expected = run(objective, steps=5), run(CrossEntropy(), steps=5)
    assert torch.equal(got.weights, expected.weights) and torch.equal(got.loss, expected.loss)


def test_stop_at_cap_drops_exactly_the_outputs_at_the_cap() -> None:
    tau = 0.5  # the cap is at F = 4, exactly
    below, above = math.nextafter(4.0, 0.0), math.nextafter(4.0, 5.0)
    F = torch.tensor([[[0.0, below, 4.0, above, 9.0, 40.0]]], dtype=torch.float64)
    labels = torch.tensor([5])
    pushed = set()
    for i in range(6):  # a teacher that is ahead on output i alone
        G = torch.full((1, 1, 6), -50.0, dtype=torch.float64)
        G[0, 0, i] = 4.0
        printed = TruncatedDistillation(teacher_outputs=G, tau=tau, rate_ratio=10.0)
        hard = CrossEntropy().residual(F, labels, ALL)
        push = printed.residual(F, labels, ALL) - hard
        stopped = replace(printed, stop_at_cap=True).residual(F, labels, ALL) - hard
        assert push[0, 0].nonzero().flatten().tolist() == [i]
        assert torch.equal(stopped, torch.where(F < 4, push, 0.0))
        pushed |= set(stopped[0, 0].nonzero().flatten().tolist())
    assert pushed == {0, 1}


# -------------------------------------------------------------- residuals by autograd


def minus_gradient(loss: Tensor, F: Tensor) -> Tensor:
    return -torch.autograd.grad(loss, F)[0]


def scores() -> tuple[Tensor, Tensor]:
    """Scores (n, seeds, k) of five networks and labels."""
    return normal(N, 5, K, seed=3, scale=2.0).requires_grad_(), Y


def hard_loss(F: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy (n, seeds)."""
    return nnf.cross_entropy(F.transpose(1, 2), labels[:, None].expand(F.shape[:2]),
                             reduction="none")  # fmt: skip


def test_cross_entropy_residual() -> None:
    F, labels = scores()
    got = CrossEntropy().residual(F.detach(), labels, ALL)
    torch.testing.assert_close(got, minus_gradient(hard_loss(F, labels).sum(), F), **EXACT)


@pytest.mark.parametrize("teachers", [1, 5])
@pytest.mark.parametrize("T", [0.5, 1.0, 4.0])
def test_temperature_residual(T: float, teachers: int) -> None:
    F, labels = scores()
    G = normal(teachers, N, K, seed=5, scale=3.0)
    target = (G / T).log_softmax(dim=-1).transpose(0, 1).expand_as(F)
    soft = nnf.kl_div((F / T).log_softmax(dim=-1), target, reduction="sum", log_target=True)
    loss = hard_loss(F, labels).sum() + 7.0 * T**2 * soft
    objective = TemperatureDistillation(teacher_outputs=G, temperature=T, weight=7.0)
    got = objective.residual(F.detach(), labels, ALL)
    torch.testing.assert_close(got, minus_gradient(loss, F), **EXACT)
    push = got - CrossEntropy().residual(F.detach(), labels, ALL)
    assert bool((push > 0).any()) and bool((push < 0).any())  # unlike the truncated form


@pytest.mark.parametrize("scale", [1.0, 0.2, 3.0])
def test_average_residual_for_each_member(scale: float) -> None:
    F, labels = scores()
    loss = nnf.cross_entropy(scale * F.sum(dim=1), labels, reduction="none")
    objective = AverageCrossEntropy(scale=scale)
    got = objective.residual(F.detach(), labels, ALL)
    torch.testing.assert_close(got, minus_gradient(loss.sum(), F), **EXACT)
    reported = objective.loss(F.detach(), labels)
    torch.testing.assert_close(reported, loss.detach()[:, None].expand(-1, 5), **EXACT)
    average = scale * F.detach().sum(dim=1, keepdim=True).expand(-1, 5, -1)
    torch.testing.assert_close(objective.scores(F.detach()), average, **EXACT)


def objectives(teachers: int = 5) -> list[Objective]:
    G = normal(teachers, N, K, seed=6, scale=2.0)
    return [
        CrossEntropy(),
        AverageCrossEntropy(scale=0.2),
        TruncatedDistillation(teacher_outputs=G, tau=TAU, rate_ratio=RATIO),
        TruncatedDistillation(teacher_outputs=G, tau=TAU, rate_ratio=RATIO, stop_at_cap=True),
        TemperatureDistillation(teacher_outputs=G, temperature=4.0, weight=10.0),
    ]


@pytest.mark.parametrize("teachers", [1, 5])
def test_blocks_of_samples_meet_their_own_teacher_rows(teachers: int) -> None:
    F, labels = normal(N, 5, K, seed=3, scale=2.0), Y
    before = F.clone()
    for objective in objectives(teachers):
        assert isinstance(objective, Objective)
        whole = objective.residual(F, labels, slice(0, N))
        parts = [slice(0, 5), slice(5, 6), slice(6, N)]
        blocks = [objective.residual(F[rows], labels[rows], rows) for rows in parts]
        assert torch.equal(torch.cat(blocks), whole)
    assert torch.equal(F, before), "the scores are the caller's"


def test_distilled_students_report_their_own_hard_loss() -> None:
    F, labels = normal(N, 5, K, seed=3, scale=2.0), Y
    for objective in objectives():
        if not isinstance(objective, AverageCrossEntropy):
            torch.testing.assert_close(objective.loss(F, labels), hard_loss(F, labels), **EXACT)
            assert torch.equal(objective.scores(F), F)


# ---------------------------------------------------------- networks trained together


def test_a_sum_of_networks_is_one_wide_network() -> None:
    schedule = Schedule(step_rule=SharedStep(ConstantStep(ETA)), stop_rule=FixedSteps(steps=6))
    W0 = start()
    L, k, m, d = W0.shape
    together = train(W0, X, Y, AverageCrossEntropy(scale=1.0), learner=LEARNER, schedule=schedule)
    wide = replace(LEARNER, n_neurons=L * m)
    merged = W0.transpose(0, 1).reshape(1, k, L * m, d)
    alone = train(merged, X, Y, CrossEntropy(), learner=wide, schedule=schedule)
    # Six steps of float64 sums in another order.
    close = dict(rtol=1e-10, atol=1e-12)
    got = together.weights.transpose(0, 1).reshape(1, k, L * m, d)
    assert float((got - merged).abs().max()) > 0.1
    torch.testing.assert_close(got, alone.weights, **close)
    torch.testing.assert_close(together.train_outputs.sum(dim=0), alone.train_outputs[0], **close)
    torch.testing.assert_close(together.loss, alone.loss.expand(1, L), **close)


@pytest.mark.parametrize(
    "rule", [ConstantStep(0.4), BoundedRelativeStep(max_step=50.0, relative_change=0.3)]
)
def test_a_shared_step_is_the_smallest(rule: ConstantStep | BoundedRelativeStep) -> None:
    W, G = normal(2, 4, K, 2, 8)
    W = W * torch.tensor([3.0, 1.0, 0.2, 5.0], dtype=W.dtype)[:, None, None, None]
    own, shared = rule(W, G), SharedStep(rule)(W, G)
    assert isinstance(rule, ConstantStep) or len(own.unique()) == 4
    assert shared.tolist() == [min(own.tolist())] * 4


def test_the_average_decides_when_to_stop() -> None:
    small = replace(LEARNER, init_std=0.2)
    schedule = Schedule(
        step_rule=SharedStep(BoundedRelativeStep(max_step=10.0, relative_change=0.3)),
        stop_rule=WhenFitted(limit=300),
    )
    objective = AverageCrossEntropy(scale=1 / 3)
    got = train(start(learner=small), X, Y, objective, learner=small, schedule=schedule,
                record_every=1, probes={"W": torch.clone})  # fmt: skip
    assert bool(got.fitted.all()) and len(got.stop_step.unique()) == 1
    own = []
    for W, error in zip(got.probes["W"], got.train_error, strict=True):
        F = logits(W, X, small)
        own.append(classification_error(F, Y))
        assert error.tolist() == [float(classification_error(F.mean(0, keepdim=True), Y))] * 3
    assert bool((got.train_error[:-1] > 0).all()), "stops at the first fitted average"
    assert bool((torch.stack(own) > 0).any(dim=1).all()), "the test needs a member that errs"


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("tau", [0, 0.0, -0.5, math.inf, math.nan])
def test_bad_tau(tau: float) -> None:
    words = rf"^tau \(tau\) = {tau} must lie in \(0, inf\); the paper: 1 / log\(k\)\^2\.$"
    with pytest.raises(BadInput, match=words):
        truncated_logit(torch.zeros(3), tau=tau)
    with pytest.raises(BadInput, match=words):
        TruncatedDistillation(teacher_outputs=torch.zeros(1, 4, 3), tau=tau, rate_ratio=1.0)


@pytest.mark.parametrize("value", [-1, -1e-9, math.inf, math.nan])
def test_bad_rates(value: float) -> None:
    G = torch.zeros(1, 4, 3)
    with pytest.raises(BadInput) as caught:
        TruncatedDistillation(teacher_outputs=G, tau=0.5, rate_ratio=value)
    assert f"rate_ratio (eta'/eta) = {value} must lie in [0, inf)" in str(caught.value)
    with pytest.raises(BadInput) as caught:
        TemperatureDistillation(teacher_outputs=G, temperature=4.0, weight=value)
    assert f"weight (lambda) = {value} must lie in [0, inf)" in str(caught.value)


@pytest.mark.parametrize("value", [0, -2.0, math.inf, math.nan])
def test_bad_temperature_and_scale(value: float) -> None:
    with pytest.raises(BadInput) as caught:
        TemperatureDistillation(teacher_outputs=torch.zeros(1, 4, 3), temperature=value, weight=1.0)
    assert f"temperature (T) = {value} must lie in (0, inf)" in str(caught.value)
    with pytest.raises(BadInput) as caught:
        AverageCrossEntropy(scale=value)
    assert f"scale (c) = {value} must lie in (0, inf)" in str(caught.value)


@pytest.mark.parametrize("block", [1, 1 << 20])
@pytest.mark.parametrize("kind", ["truncated", "temperature"])
@pytest.mark.parametrize(
    "shape",
    [
        (2, N, K),  # two teachers for three students
        (1, N, K + 1),
        (1, N - 1, K),
        (1, N + 1, K),
    ],
)
def test_a_teacher_of_another_shape(
    shape: tuple[int, ...], kind: str, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mvlib.paper.network, "CACHE_FLOATS", block)
    G = torch.zeros(shape, dtype=torch.float64)
    with unchecked(), pytest.raises(BadInput) as caught:
        if kind == "truncated":
            run(TruncatedDistillation(teacher_outputs=G, tau=TAU, rate_ratio=1.0))
        else:
            run(TemperatureDistillation(teacher_outputs=G, temperature=4.0, weight=1.0))
    words = f"teacher_outputs (G) = {shape} must match the students' (1 or 3, n, {K})"
    assert words in str(caught.value)


def test_a_teacher_without_its_first_axis(monkeypatch: pytest.MonkeyPatch) -> None:
    for block in (1 << 20, 1):
        monkeypatch.setattr(mvlib.paper.network, "CACHE_FLOATS", block)
        with (
            unchecked(),
            pytest.raises(BadInput, match=r"^teacher_outputs \(G\) = \(12, 3\) must "),
        ):
            run(TruncatedDistillation(teacher_outputs=HARD, tau=TAU, rate_ratio=1.0))


@pytest.mark.parametrize("teachers", [1, 5])
def test_the_objective_of_some_networks(teachers: int) -> None:
    F, labels = normal(N, 5, K, seed=3, scale=2.0), Y
    some = torch.tensor([True, False, True, True, False])
    for objective in objectives(teachers):
        if isinstance(objective, AverageCrossEntropy):
            assert objective.keep(some) is objective, "who is trained together stops together"
            continue
        whole, rest = objective.residual(F, labels, ALL), objective.keep(some)
        assert torch.equal(rest.residual(F[:, some], labels, ALL), whole[:, some])
        last = torch.tensor([False, False, True])
        only = rest.keep(last).residual(F[:, 3:4], labels, ALL)
        assert torch.equal(only, whole[:, 3:4])
        assert torch.equal(objective.residual(F, labels, ALL), whole), "the first one is as it was"


def test_a_new_objective_is_its_residual() -> None:
    class Half(Objective):
        def residual(self, F: Tensor, labels: Tensor, rows: slice) -> Tensor:
            return CrossEntropy().residual(F, labels, rows) / 2

    got, expected = run(Half(), steps=5), run(CrossEntropy(), eta=ETA / 2, steps=5)
    torch.testing.assert_close(got.weights, expected.weights, **EXACT)
    torch.testing.assert_close(got.loss, expected.loss, **EXACT)


def test_students_with_a_teacher_each_stop_by_themselves() -> None:
    small = replace(LEARNER, init_std=0.2)
    G = 4 * HARD + normal(len(SEEDS), N, K, seed=8, scale=0.3)
    rule = BoundedRelativeStep(max_step=10.0, relative_change=0.3)
    schedule = Schedule(step_rule=rule, stop_rule=WhenFitted(limit=300))

    def students(rows: slice) -> Trajectory:
        objective = TruncatedDistillation(teacher_outputs=G[rows], tau=TAU, rate_ratio=RATIO)
        W0 = start(SEEDS[rows], small)
        return train(W0, X, Y, objective, learner=small, schedule=schedule)

    alone = [students(slice(row, row + 1)) for row in range(len(SEEDS))]
    stops = [int(got.stop_step[0]) for got in alone]
    assert len(set(stops)) > 1 and all(bool(got.fitted.all()) for got in alone)
    together = students(slice(None))
    assert together.stop_step.tolist() == stops
    for row, got in enumerate(alone):
        torch.testing.assert_close(together.weights[row], got.weights[0], rtol=1e-9, atol=1e-12)
