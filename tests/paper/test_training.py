"""Gradient descent (3.1): against a loop, network by network, and when it stops."""

import math
from itertools import product

import pytest
import torch
from shapes import unchecked
from torch import Tensor
from toys import Kept

from mvlib.core.checks import BadInput
from mvlib.paper.evaluation import view_correlations
from mvlib.paper.gradient_descent import Trajectory, classification_error, train
from mvlib.paper.multi_view_data import MultiViewParams, feature_vectors, sample
from mvlib.paper.network import LearnerParams, init_weights, logits
from mvlib.paper.objectives import CrossEntropy, TruncatedDistillation
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    ConstantStep,
    FixedSteps,
    Schedule,
    StopRule,
    WhenFitted,
)

DATA = MultiViewParams(n_classes=3, dim=8, n_patches=6, sparsity=1.0, single_view_fraction=0.1,
                       noise_std=0.1)  # fmt: skip
LEARNER = LearnerParams(n_neurons=2, power=3, threshold=1.0, init_std=0.2)
SEEDS = [4, 7, 11, 12]
Z = sample(DATA, 15, seed=0, name="train", dtype=torch.float64)
# Matrix products of different shapes round differently (1e-16 relative); some 50 steps through the
# take-off, where growth is at most a hundredfold, keep that below 1e-9 with room to spare.
AFTER_TRAINING = dict(rtol=1e-9, atol=1e-12)


def start(seeds: list[int]) -> Tensor:
    return init_weights(seeds, LEARNER, n_classes=3, dim=8, dtype=torch.float64)


def run(
    seeds: list[int], stop_rule: StopRule, *, weight_decay: float = 0.0, **more: object
) -> Trajectory:
    rule = more.pop("step_rule", BoundedRelativeStep(max_step=10.0, relative_change=0.3))
    schedule = Schedule(step_rule=rule, stop_rule=stop_rule, weight_decay=weight_decay)
    return train(start(seeds), Z.patches, Z.labels, CrossEntropy(), learner=LEARNER,
                 schedule=schedule, seeds=seeds, **more)  # fmt: skip


def slow_ascent(W: Tensor, q: int, varrho: float) -> Tensor:
    """E[(1_{i=y} - softmax_i(F(X))) sum_p relu'(<w, x_p>) x_p] of one network, by loop."""
    total = torch.zeros_like(W)
    k, m, _ = W.shape
    for x, y in zip(Z.patches, Z.labels.tolist(), strict=True):
        F = [0.0] * k
        gradient = torch.zeros_like(W)
        for i, r, p in product(range(k), range(m), range(len(x))):
            z = float(W[i, r] @ x[p])
            if 0 < z <= varrho:
                F[i] += z**q / (q * varrho ** (q - 1))
                gradient[i, r] += (z / varrho) ** (q - 1) * x[p]
            elif z > varrho:
                F[i] += z - (1 - 1 / q) * varrho
                gradient[i, r] += x[p]
        normaliser = sum(math.exp(f) for f in F)
        for i in range(k):
            total[i] += ((i == y) - math.exp(F[i]) / normaliser) * gradient[i]
    return total / len(Z)


@pytest.mark.parametrize("weight_decay", [0.0, 0.05])
def test_a_constant_step_is_the_printed_update(weight_decay: float) -> None:
    eta = 0.7
    got = run([4], FixedSteps(steps=3), weight_decay=weight_decay, step_rule=ConstantStep(eta))
    W = start([4])[0]
    for _ in range(3):
        W = W + eta * slow_ascent(W, 3, 1.0) - eta * weight_decay * W
    # Three steps of float64 sums over 15 samples and 6 patches.
    torch.testing.assert_close(got.weights[0], W, rtol=1e-11, atol=1e-13)


def test_a_bounded_step_is_its_docstring() -> None:
    generator = torch.Generator().manual_seed(0)
    W, G = torch.randn(2, 4, 3, 2, 5, generator=generator, dtype=torch.float64)
    W[1] *= 1e3  # this network meets the cap
    rule = BoundedRelativeStep(max_step=2.0, relative_change=0.3, floor=0.25)
    expected = []
    for w, g in zip(W, G, strict=True):
        a = [max(abs(float(w[i, r] @ g[i, r])) / float(g[i, r].norm()) for r in range(2))
             for i in range(3)]  # fmt: skip
        a = [max(value, 0.25 * max(a)) for value in a]
        pull = [max(float(g[i, r].norm()) for r in range(2)) for i in range(3)]
        expected.append(min(2.0, 0.3 * min(x / y for x, y in zip(a, pull, strict=True))))
    assert expected[1] == 2.0 and expected[0] < 2.0
    # A handful of float64 roundings.
    torch.testing.assert_close(
        rule(W, G), torch.tensor(expected, dtype=W.dtype), rtol=1e-12, atol=0
    )


def test_a_bounded_step_survives_a_zero_gradient() -> None:
    W, G = torch.ones(1, 3, 2, 5), torch.zeros(1, 3, 2, 5)
    step = BoundedRelativeStep(max_step=2.0, relative_change=0.3)(W, G)
    assert bool(torch.isfinite(step).all()) and 0 <= step.item() <= 2.0


def test_constant_step_gives_every_network_eta() -> None:
    W = torch.ones(3, 2, 1, 4)
    assert ConstantStep(0.5)(W, W).tolist() == [0.5, 0.5, 0.5]


def test_batch_is_loop_and_each_network_stops_by_itself() -> None:
    together = run(SEEDS, WhenFitted(limit=300))
    assert bool(together.fitted.all())
    assert len(together.stop_step.unique()) > 1, "the test needs different stops"
    for row, seed in enumerate(SEEDS):
        alone = run([seed], WhenFitted(limit=300))
        assert alone.stop_step[0] == together.stop_step[row]
        torch.testing.assert_close(alone.weights[0], together.weights[row], **AFTER_TRAINING)
        torch.testing.assert_close(
            alone.train_outputs[0], together.train_outputs[row], **AFTER_TRAINING
        )


def test_order_of_networks_does_not_matter() -> None:
    forwards, backwards = run(SEEDS, FixedSteps(steps=30)), run(SEEDS[::-1], FixedSteps(steps=30))
    torch.testing.assert_close(forwards.weights, backwards.weights.flip(0), **AFTER_TRAINING)


def test_when_fitted_stops_at_the_first_error_free_step() -> None:
    got = run(SEEDS, WhenFitted(limit=300), record_every=1)
    assert got.recorded_steps.tolist() == list(range(int(got.stop_step.max()) + 1))
    for row in range(len(SEEDS)):
        errors = got.train_error[:, row]
        assert int((errors == 0).nonzero()[0, 0]) == int(got.stop_step[row])
    F = logits(got.weights, Z.patches, LEARNER)
    # The same product over all networks instead of the active ones.
    torch.testing.assert_close(got.train_outputs, F, **AFTER_TRAINING)
    assert classification_error(F, Z.labels).tolist() == [0.0] * len(SEEDS)


def test_when_fitted_gives_up_at_its_limit() -> None:
    got = run(SEEDS, WhenFitted(limit=2))
    assert got.fitted.tolist() == (got.train_error[-1] == 0).tolist()
    assert not bool(got.fitted.all())
    assert set(got.stop_step[~got.fitted].tolist()) == {2}


def test_fixed_steps_are_counted_exactly() -> None:
    seen: list[int] = []
    got = run([4], FixedSteps(steps=5), progress=lambda step, share: seen.append(step))
    assert got.stop_step.tolist() == [5] and seen == [0, 1, 2, 3, 4, 5]


def test_records_and_probes() -> None:
    features = feature_vectors(DATA, 0, dtype=torch.float64)
    probes = {"correlations": lambda W: view_correlations(W, features)}
    W0 = start(SEEDS)
    got = run(SEEDS, FixedSteps(steps=10), record_every=4, probes=probes)
    assert got.recorded_steps.tolist() == [0, 4, 8, 10]
    assert got.loss.shape == got.train_error.shape == (4, 4)
    assert got.probes["correlations"].shape == (4, 4, 3, 2)
    assert torch.equal(got.probes["correlations"][0], view_correlations(W0, features))
    assert torch.equal(got.probes["correlations"][-1], view_correlations(got.weights, features))
    only_end = run(SEEDS, FixedSteps(steps=10), probes=probes)
    assert only_end.recorded_steps.tolist() == [10]
    assert torch.equal(only_end.weights, got.weights), "watching changes nothing"
    loss = torch.stack([torch.nn.functional.cross_entropy(f, Z.labels) for f in got.train_outputs])
    torch.testing.assert_close(got.loss[-1], loss, rtol=1e-12, atol=0)  # one mean over 15 samples


def test_a_stopped_network_repeats_its_last_state() -> None:
    features = feature_vectors(DATA, 0, dtype=torch.float64)
    got = run(SEEDS, WhenFitted(limit=300), record_every=1,
              probes={"c": lambda W: view_correlations(W, features)})  # fmt: skip
    first = int(got.stop_step.argmin())
    stop = int(got.stop_step[first])
    assert stop < int(got.recorded_steps[-1])
    for rows in (got.loss, got.train_error, got.probes["c"]):
        later = rows[stop:, first]
        assert torch.equal(later, later[:1].expand_as(later))


def test_training_leaves_its_arguments_alone() -> None:
    W0 = start([4])
    before = W0.clone()
    schedule = Schedule(step_rule=ConstantStep(0.5), stop_rule=FixedSteps(steps=2))
    train(W0, Z.patches, Z.labels, CrossEntropy(), learner=LEARNER, schedule=schedule)
    assert torch.equal(W0, before)


def test_a_non_finite_loss_names_step_network_and_step_size() -> None:
    # Weight decay with eta lambda = 1e201 multiplies W by -1e201 each step: 1e402 is infinite.
    with pytest.raises(FloatingPointError, match=r"network 11 .* at step 2, .* size 1e\+200; "):
        run([11], FixedSteps(steps=5), step_rule=ConstantStep(1e200), weight_decay=10.0)


def test_classification_error_counts_ties() -> None:
    F = torch.tensor([[[1.0, 1.0], [2.0, 1.0], [0.0, 0.0], [1.0, 2.0]]])
    labels = torch.tensor([0, 0, 1, 0])
    assert classification_error(F, labels).tolist() == [0.75]
    untrained = torch.zeros(1, 4, 2)
    assert classification_error(untrained, labels).tolist() == [1.0]


@pytest.mark.parametrize(
    ("W", "X", "y", "words"),
    [
        (torch.ones(3, 2, 8), Z.patches, Z.labels, "W0 (W) = (3, 2, 8) must have axes"),
        (torch.ones(1, 3, 2, 9), Z.patches, Z.labels, "X (X) = (15, 6, 8) must have axes"),
        (torch.ones(1, 3, 2, 8), Z.patches[0], Z.labels, "X (X) = (6, 8) must"),
        (torch.ones(1, 3, 2, 8), Z.patches, Z.labels[:4], "labels (y) = (4,) must have shape"),
        (torch.ones(1, 2, 2, 8), Z.patches, Z.labels, "labels (y) = 0..2 must lie in 0..1"),
        (torch.ones(1, 3, 2, 8), Z.patches, Z.labels - 1, "labels (y) = -1..1 must lie in 0..2"),
    ],
)  # fmt: skip
def test_shapes_that_do_not_fit(W: Tensor, X: Tensor, y: Tensor, words: str) -> None:
    schedule = Schedule(step_rule=ConstantStep(0.5), stop_rule=FixedSteps(steps=2))
    with unchecked(), pytest.raises(BadInput) as caught:
        train(W.double(), X, y, CrossEntropy(), learner=LEARNER, schedule=schedule)
    assert words in str(caught.value)


@pytest.mark.parametrize("interrupted_at", [1, 7, 9])
def test_an_interrupted_training_goes_on_to_the_same_bits(interrupted_at: int) -> None:
    # Float32, whose rounding shows every change of order; networks that stop at different steps,
    # each with a teacher of its own.
    G = torch.randn(len(SEEDS), len(Z), 3, generator=torch.Generator().manual_seed(0))
    objective = TruncatedDistillation(teacher_outputs=G, tau=0.5, rate_ratio=0.1)
    schedule = Schedule(
        step_rule=BoundedRelativeStep(max_step=10.0, relative_change=0.3),
        stop_rule=WhenFitted(limit=400),
    )
    X = Z.patches.float()
    W0 = init_weights(SEEDS, LEARNER, n_classes=3, dim=8)
    views = feature_vectors(DATA, 0)

    def run_to(stop: int | None, checkpoint: Kept | None) -> Trajectory:
        def progress(step: int, share: float) -> None:
            if step == stop:
                raise KeyboardInterrupt

        return train(W0, X, Z.labels, objective, learner=LEARNER, schedule=schedule, seeds=SEEDS,
                     record_every=7, probes={"views": lambda W: view_correlations(W, views)},
                     progress=progress, checkpoint=checkpoint)  # fmt: skip

    whole = run_to(None, None)
    assert len(set(whole.stop_step.tolist())) > 1 and int(whole.stop_step.max()) > interrupted_at
    kept = Kept()
    with pytest.raises(KeyboardInterrupt):
        run_to(interrupted_at, kept)
    assert kept.state is not None and int(kept.state["step"]) == interrupted_at
    resumed = run_to(None, kept)
    for name in ("weights", "stop_step", "fitted", "train_outputs", "recorded_steps", "loss",
                 "train_error"):  # fmt: skip
        assert torch.equal(getattr(whole, name), getattr(resumed, name)), name
    assert torch.equal(whole.probes["views"], resumed.probes["views"])


def test_a_checkpoint_of_another_training_is_refused() -> None:
    kept = Kept()
    run(SEEDS, FixedSteps(steps=2), checkpoint=kept)
    with pytest.raises(
        BadInput, match=r"checkpoint \(W\) = \(4, 3, 2, 8\) must hold \(2, 3, 2, 8\)"
    ):
        run(SEEDS[:2], FixedSteps(steps=3), checkpoint=kept)
