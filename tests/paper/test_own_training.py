"""What a reader changes about training, in a file of his own and with public names alone: the
objective, the batch of a step, the update."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked
from torch import Tensor
from toys import TEACHER, student

import mvlib
from mvlib import (
    BadInput,
    Batch,
    ConstantStep,
    CrossEntropy,
    FixedSteps,
    LearnerParams,
    MiniBatches,
    MultiViewParams,
    Optimiser,
    Schedule,
    TruncatedDistillation,
    WhenFitted,
    init_weights,
    logits,
    run_distillation,
    run_single_model,
    sample,
    train,
)
from mvlib.paper.gradient_descent import Trajectory
from mvlib.paper.step_rules import DecayingStep, SharedStep
from mvlib.store.checkpoint import TrainingCheckpoint
from mvlib.store.entries import canonical_json
from mvlib.studies.joint_training import JointStudy
from mvlib.studies.kernel_contrast import ContrastStudy

K, N, D, SEEDS = 3, 22, 8, [4, 7, 11]
DATA = MultiViewParams(n_classes=K, dim=D, n_patches=6, sparsity=1.0, single_view_fraction=0.1,
                       noise_std=0.1)  # fmt: skip
LEARNER = LearnerParams(n_neurons=2, power=3, threshold=1.0, init_std=0.3)
Z = sample(DATA, N, seed=0, name="train", dtype=torch.float64)
X, Y = Z.patches, Z.labels
assert isinstance(X, Tensor)
# Some ten steps of float64 sums in another order.
CLOSE = dict(rtol=1e-9, atol=1e-12)


# -- the reader's own file ------------------------------------------------------------------------


@dataclass(frozen=True)
class LabelSmoothing(mvlib.Objective):
    share: float = 0.1

    def residual(self, F: Tensor, labels: Tensor, rows: slice) -> Tensor:
        k = F.shape[-1]
        soft = (1 - self.share) * nnf.one_hot(labels, k).to(F.dtype) + self.share / k
        return CrossEntropy().residual(F, soft, rows)


@dataclass(frozen=True)
class Mixup(mvlib.Batches):
    alpha: float = 0.4

    def batch(self, step: int, X: Tensor, labels: Tensor, n_classes: int, seed: int) -> Batch:
        generator = mvlib.stream(seed, "mixup", step)
        other = torch.randperm(len(X), generator=generator)
        numbers = np.random.default_rng(torch.randint(2**31, (1,), generator=generator).numpy())
        share = numbers.beta(self.alpha, self.alpha)
        soft = nnf.one_hot(labels, n_classes).to(X.dtype)
        return Batch(X=share * X + (1 - share) * X[other],
                     labels=share * soft + (1 - share) * soft[other])  # fmt: skip


ADAM = Optimiser(name="Adam", lr=0.05, options={"betas": (0.8, 0.95)})
ADAM_ON_MINI_BATCHES: dict[str, Any] = dict(
    schedule=Schedule(step_rule=ADAM, stop_rule=WhenFitted(limit=60)), batches=MiniBatches(12)
)


@dataclass(frozen=True)
class HeavyBall:
    """w + v, v = beta v + eta ascent."""

    eta: float
    beta: float

    def update(self, W: Tensor, ascent: Tensor, state: dict) -> tuple[Tensor, dict]:
        v = self.eta * ascent + self.beta * state.get("v", torch.zeros_like(W))
        return W + v, {"v": v}


def test_each_is_short() -> None:
    for thing in (LabelSmoothing, Mixup, HeavyBall):
        assert len(inspect.getsource(thing).splitlines()) <= 20


# -- slow references -------------------------------------------------------------------------------


def start(seeds: list[int] = SEEDS, dtype: torch.dtype = torch.float64) -> Tensor:
    return init_weights(seeds, LEARNER, n_classes=K, dim=D, dtype=dtype)


def run(seeds: list[int] = SEEDS, *, steps: int = 9, rule: Any = ADAM, objective: Any = None,
        dtype: torch.dtype = torch.float64, **more: Any) -> Trajectory:  # fmt: skip
    more = {"schedule": Schedule(step_rule=rule, stop_rule=FixedSteps(steps=steps))} | more
    return train(start(seeds, dtype), X.to(dtype), Y, objective or CrossEntropy(), learner=LEARNER,
                 seeds=seeds, **more)  # fmt: skip


Loss = Callable[[int, Tensor], Tensor]  # step, weights of one network (1, k, m, d)


def by_autograd(make: Callable[[list[Tensor]], torch.optim.Optimizer], loss: Loss, steps: int = 9,
                factor: Callable[[int], float] = lambda _: 1.0) -> Tensor:  # fmt: skip
    """One network after the other, as one trains with PyTorch, the learning rate times `factor`."""
    ends = []
    for W0 in start():
        W = W0.clone().requires_grad_()
        optimiser = make([W])
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, factor)
        for t in range(steps):
            optimiser.zero_grad()
            loss(t, W[None]).backward()
            optimiser.step()
            schedule.step()
        ends.append(W.detach())
    return torch.stack(ends)


def on_batches(batches: mvlib.Batches, seed: int = 0) -> Loss:
    def loss(t: int, W: Tensor) -> Tensor:
        batch = batches.batch(t, X, Y, K, seed)
        return nnf.cross_entropy(logits(W, batch.X, LEARNER)[0], batch.labels)

    return loss


def sgd(lr: float, **options: float) -> Callable[[list[Tensor]], torch.optim.Optimizer]:
    return lambda weights: torch.optim.SGD(weights, lr=lr, **options)


# -- objectives ------------------------------------------------------------------------------------


def test_label_smoothing_is_pytorchs() -> None:
    got = run(objective=LabelSmoothing(0.2), rule=ConstantStep(0.7))
    expected = by_autograd(
        sgd(0.7),
        lambda t, W: nnf.cross_entropy(logits(W, X, LEARNER)[0], Y, label_smoothing=0.2),
    )
    torch.testing.assert_close(got.weights, expected, **CLOSE)
    assert not torch.allclose(got.weights, run(rule=ConstantStep(0.7)).weights, rtol=1e-3)


def test_soft_labels_are_pytorchs() -> None:
    generator = torch.Generator().manual_seed(0)
    F = torch.randn(5, 2, K, generator=generator, dtype=torch.float64, requires_grad=True)
    soft = torch.rand(5, K, generator=generator, dtype=torch.float64)
    soft /= soft.sum(dim=1, keepdim=True)
    loss = torch.stack(
        [nnf.cross_entropy(F[:, s], soft, reduction="none") for s in range(2)], dim=1
    )
    (gradient,) = torch.autograd.grad(loss.sum(), F)
    objective, before = CrossEntropy(), soft.clone()
    torch.testing.assert_close(objective.loss(F, soft), loss, **CLOSE)
    torch.testing.assert_close(
        objective.residual(F.detach(), soft, slice(0, 5)), -gradient, **CLOSE
    )
    assert torch.equal(soft, before)


def test_a_study_holds_an_objective() -> None:
    usual, smooth = (
        run_single_model(replace(TOY, objective=objective))
        for objective in (CrossEntropy(), LabelSmoothing())
    )
    assert not np.allclose(usual["train_outputs"], smooth["train_outputs"], rtol=1e-3)
    keys = {canonical_json(replace(TOY, objective=o)) for o in
            (CrossEntropy(), LabelSmoothing(), LabelSmoothing(0.2))}  # fmt: skip
    assert len(keys) == 3 and canonical_json(TOY) in keys


TOY = replace(TEACHER, n_test_single=10, n_test_multi=10)
G = torch.zeros(1, TOY.n_train, K)


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        (
            TruncatedDistillation(teacher_outputs=G, tau=0.4, rate_ratio=1.0),
            "be a frozen dataclass",
        ),
        ("smooth", "be an Objective; inherit from that class"),
        (type("Thawed", (LabelSmoothing,), {"residual": None}), "be an Objective"),
    ],
    ids=["with a teacher", "a word", "a class"],
)
def test_objectives_that_a_study_cannot_hold(objective: Any, says: str) -> None:
    with unchecked(), pytest.raises(BadInput, match=rf"^objective \(a\) = [\s\S]* must {says}"):
        replace(TOY, objective=objective)


def test_joint_training_and_kernels_have_their_own() -> None:
    shared = replace(TOY.schedule, step_rule=SharedStep(ConstantStep(1.0)))
    base = replace(TOY, schedule=shared, objective=LabelSmoothing())
    with pytest.raises(
        BadInput, match=r"objective \(a\) = .* must be CrossEntropy\(\) in the base"
    ):
        JointStudy(base=base, n_members=2, mean=True)
    for other in (replace(TOY, objective=LabelSmoothing()), replace(TOY, batches=MiniBatches(9))):
        with pytest.raises(BadInput, match=r"base \(\) = .* must have CrossEntropy\(\) and no bat"):
            ContrastStudy(base=other, n_seeds=2, n_students=1, diag_reg=0.01, descent_steps=8,
                          watch_steps=6, n_watch=10)  # fmt: skip


# -- batches ---------------------------------------------------------------------------------------


def test_a_pass_meets_every_sample_once() -> None:
    batches = MiniBatches(5)
    passes = []
    for turn in range(3):
        found = [batches.batch(5 * turn + i, X, Y, K, seed=3) for i in range(5)]
        assert [len(b.labels) for b in found] == [5, 5, 5, 5, 2]
        for b in found:
            assert b.rows is not None
            assert torch.equal(b.X, X[b.rows]) and torch.equal(b.labels, Y[b.rows])
        order = torch.cat([b.rows for b in found])
        assert sorted(order.tolist()) == list(range(N))
        passes.append(order.tolist())
    assert passes[0] != passes[1] != passes[2] != passes[0] != list(range(N))
    other = batches.batch(0, X, Y, K, seed=4).rows
    assert other is not None and other.tolist() != passes[0][:5]


@pytest.mark.parametrize("batches", [MiniBatches(5), Mixup()], ids=repr)
def test_steps_on_batches_are_pytorchs(batches: mvlib.Batches) -> None:
    got = run(rule=ConstantStep(0.7), batches=batches, batch_seed=2)
    torch.testing.assert_close(got.weights, by_autograd(sgd(0.7), on_batches(batches, 2)), **CLOSE)
    other = run(rule=ConstantStep(0.7), batches=batches, batch_seed=3)
    assert not torch.allclose(got.weights, other.weights, rtol=1e-3)


def test_one_batch_of_all_is_the_full_batch() -> None:
    got, full = run(batches=MiniBatches(N)), run()
    torch.testing.assert_close(got.weights, full.weights, **CLOSE)
    torch.testing.assert_close(got.loss, full.loss, **CLOSE)


def test_what_is_reported_is_of_the_whole_training_set() -> None:
    got = run(steps=12, batches=MiniBatches(5), record_every=4, probes={"W": torch.clone})
    assert got.recorded_steps.tolist() == [0, 4, 8, 12]
    for W, loss, error in zip(got.probes["W"], got.loss, got.train_error, strict=True):
        F = logits(W, X, LEARNER)
        own = torch.stack([nnf.cross_entropy(f, Y) for f in F])
        torch.testing.assert_close(loss, own, **CLOSE)
        wrong = (F.argmax(dim=2) != Y).double().mean(dim=1)
        torch.testing.assert_close(error, wrong, **CLOSE)
    torch.testing.assert_close(got.train_outputs, F, **CLOSE)


def test_a_network_stops_at_the_first_look_that_finds_no_error() -> None:
    schedule = Schedule(step_rule=ADAM, stop_rule=WhenFitted(limit=200))
    got = run(schedule=schedule, batches=MiniBatches(5))
    assert bool(got.fitted.all()) and len(set(got.stop_step.tolist())) > 1
    assert all(stop % 5 == 0 for stop in got.stop_step.tolist())  # ceil(22 / 5) steps a pass
    closely = run(schedule=schedule, batches=MiniBatches(5), record_every=1)
    for row, stop in enumerate(got.stop_step.tolist()):
        errors = closely.train_error[:, row]
        looks = errors[: stop + 1 : 5]
        assert (looks[:-1] > 0).all() and looks[-1] == 0
    # Watching changes nothing, though it saw a network without errors between two looks.
    assert torch.equal(closely.weights, got.weights)
    first = [int((closely.train_error[:, row] == 0).nonzero()[0, 0]) for row in range(3)]
    assert first != got.stop_step.tolist()


def test_a_teacher_goes_with_its_samples() -> None:
    G = torch.randn(len(SEEDS), N, K, generator=torch.Generator().manual_seed(1), dtype=X.dtype)
    objective = TruncatedDistillation(teacher_outputs=9 * G, tau=0.5, rate_ratio=2.0)
    batches, W0 = MiniBatches(5), start()
    got = run(steps=1, rule=ConstantStep(0.7), objective=objective, batches=batches)
    rows = batches.batch(0, X, Y, K, 0).rows
    assert rows is not None
    part = TruncatedDistillation(teacher_outputs=9 * G[:, rows], tau=0.5, rate_ratio=2.0)
    once = Schedule(step_rule=ConstantStep(0.7), stop_rule=FixedSteps(steps=1))
    by_hand = train(W0, X[rows], Y[rows], part, learner=LEARNER,
                    schedule=once)  # fmt: skip
    torch.testing.assert_close(got.weights, by_hand.weights, **CLOSE)
    with pytest.raises(BadInput, match=r"rows \(\) = None must be given: the teacher's outputs"):
        run(objective=objective, batches=Mixup())


def test_studies_hold_batches() -> None:
    study = replace(
        TOY, batches=Mixup(), schedule=replace(TOY.schedule, stop_rule=FixedSteps(steps=9))
    )
    found = run_single_model(study)
    X = sample(study.data, study.n_train, seed=study.draw, name="train")
    W0 = init_weights([2000, 2001, 2002], study.learner, n_classes=K, dim=study.data.dim)
    by_hand = train(W0, X.patches, X.labels, CrossEntropy(), learner=study.learner,
                    schedule=study.schedule, batches=Mixup(), batch_seed=study.draw)  # fmt: skip
    assert np.array_equal(found["train_outputs"], by_hand.train_outputs.numpy())
    teacher = run_single_model(TOY)["train_outputs"]
    whole = run_distillation(student(teacher=TOY), teacher_outputs=teacher)
    parts = run_distillation(student(teacher=TOY, batches=MiniBatches(9)), teacher_outputs=teacher)
    assert not np.allclose(whole["train_outputs"], parts["train_outputs"], rtol=1e-3)
    keys = {canonical_json(replace(TOY, batches=b)) for b in
            (None, MiniBatches(9), MiniBatches(8), Mixup())}  # fmt: skip
    assert len(keys) == 4


# -- updates ---------------------------------------------------------------------------------------

OPTIMISERS = {
    "SGD": {"momentum": 0.8, "nesterov": True},
    "Adam": {"betas": (0.8, 0.95)},
    "AdamW": {"weight_decay": 0.1},
    "RMSprop": {},
    "NAdam": {},  # keeps a number of its own beside the moments
}


@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("batches", [None, MiniBatches(5)], ids=repr)
def test_optimisers_are_pytorchs(name: str, batches: mvlib.Batches | None) -> None:
    options = OPTIMISERS[name]
    got = run(rule=Optimiser(name=name, lr=0.03, options=options), batches=batches)
    make = getattr(torch.optim, name)
    expected = by_autograd(
        lambda weights: make(weights, lr=0.03, **options), on_batches(batches or MiniBatches(N))
    )
    # RMSprop and the Adams divide by a root of the gradient's own size: no worse conditioned.
    torch.testing.assert_close(got.weights, expected, **CLOSE)


def test_sgd_is_the_constant_step() -> None:
    # A step that is a power of two multiplies without rounding: not a bit differs.
    ours, theirs = (
        run(rule=rule, dtype=torch.float32, steps=30).weights
        for rule in (ConstantStep(0.5), Optimiser(name="SGD", lr=0.5))
    )
    assert torch.equal(ours, theirs)
    # Others round once more or less a step: 6e-8 relative, 30 steps, grown tenfold at most.
    ours, theirs = (
        run(rule=rule, dtype=torch.float32, steps=30).weights
        for rule in (ConstantStep(0.3), Optimiser(name="SGD", lr=0.3))
    )
    torch.testing.assert_close(ours, theirs, rtol=2e-5, atol=2e-6)


def test_a_decaying_step_is_pytorchs_schedule() -> None:
    after, half_life = 3, 4

    def factor(t: int) -> float:
        return 2.0 ** (-max(0, t - after) / half_life)

    rule = DecayingStep(rule=ConstantStep(0.3), after=after, half_life=half_life)
    got = run(rule=rule, batches=MiniBatches(5))
    expected = by_autograd(sgd(0.3), on_batches(MiniBatches(5)), factor=factor)
    torch.testing.assert_close(got.weights, expected, **CLOSE)


def test_a_step_that_has_not_begun_to_decay_is_the_rules_own() -> None:
    own = ConstantStep(0.3)
    ours, theirs = (
        run(rule=rule, dtype=torch.float32, steps=20).weights
        for rule in (DecayingStep(rule=own, after=19, half_life=1), own)
    )
    assert torch.equal(ours, theirs)


@pytest.mark.parametrize("bad", [{"after": -1}, {"half_life": 0}])
def test_a_decaying_step_refuses_what_does_not_decay(bad: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=rf"^{next(iter(bad))} "):
        DecayingStep(**{"rule": ConstantStep(0.3), "after": 3, "half_life": 2} | bad)


def test_an_update_of_ones_own() -> None:
    got = run(rule=HeavyBall(0.3, 0.8), batches=MiniBatches(5))
    expected = by_autograd(sgd(0.3, momentum=0.8), on_batches(MiniBatches(5)))
    torch.testing.assert_close(got.weights, expected, **CLOSE)


def test_networks_that_stop_leave_the_others_alone() -> None:
    together = run(**ADAM_ON_MINI_BATCHES)
    assert bool(together.fitted.all()) and len(set(together.stop_step.tolist())) > 1
    for row, seed in enumerate(SEEDS):
        alone = run([seed], **ADAM_ON_MINI_BATCHES)
        assert alone.stop_step[0] == together.stop_step[row]
        torch.testing.assert_close(alone.weights[0], together.weights[row], **CLOSE)
    backwards = run(SEEDS[::-1], **ADAM_ON_MINI_BATCHES)
    torch.testing.assert_close(backwards.weights.flip(0), together.weights, **CLOSE)


WAYS: dict[str, dict[str, Any]] = {
    "Adam on mini-batches": ADAM_ON_MINI_BATCHES,
    "momentum on mixup": dict(
        batches=Mixup(),
        schedule=Schedule(step_rule=Optimiser(name="SGD", lr=0.3, options={"momentum": 0.8}),
                          stop_rule=WhenFitted(limit=60)),
    ),
    "plain SGD, without state": dict(
        batches=MiniBatches(5),
        schedule=Schedule(step_rule=Optimiser(name="SGD", lr=0.5), stop_rule=WhenFitted(limit=60)),
    ),
    "one's own update": dict(
        schedule=Schedule(step_rule=HeavyBall(0.3, 0.8), stop_rule=WhenFitted(limit=60))
    ),
    "label smoothing, (3.1)": dict(
        objective=LabelSmoothing(),
        schedule=Schedule(step_rule=ConstantStep(0.5), stop_rule=WhenFitted(limit=60)),
    ),
}  # fmt: skip


class Interrupted(Exception):
    pass


@pytest.mark.parametrize("name", WAYS)
@pytest.mark.parametrize("interrupted_at", [1, 4, "after the first has stopped"])
def test_resumed_is_uninterrupted(name: str, interrupted_at: Any, tmp_path: Path) -> None:
    way = WAYS[name] | {"dtype": torch.float32, "record_every": 3}
    whole = run(**way)
    assert len(set(whole.stop_step.tolist())) > 1, "the test needs different stops"
    if not isinstance(interrupted_at, int):
        interrupted_at = int(whole.stop_step.min()) + 1

    def interrupt(step: int, share: float) -> None:
        if step == interrupted_at:
            raise Interrupted

    path = tmp_path / "state.npz"
    with pytest.raises(Interrupted):
        run(**way, checkpoint=TrainingCheckpoint(path, every_seconds=0), progress=interrupt)
    kept = TrainingCheckpoint(path)
    resumed = run(**way, checkpoint=kept)
    assert kept.resumed
    for field in ("weights", "stop_step", "fitted", "train_outputs", "recorded_steps", "loss",
                  "train_error"):  # fmt: skip
        assert torch.equal(getattr(whole, field), getattr(resumed, field)), field


# -- refusals --------------------------------------------------------------------------------------


def test_batches_larger_than_the_training_set() -> None:
    says = rf"size \(B\) = {N + 1} must be <= N = {N}; take fewer"
    with pytest.raises(BadInput, match=says):
        run(batches=MiniBatches(N + 1))
    for make in (lambda b: replace(TOY, batches=b), lambda b: student(teacher=TOY, batches=b)):
        assert make(MiniBatches(36)).batches == MiniBatches(36)
        with pytest.raises(BadInput, match=r"size \(B\) = 37 must be <= N = 36"):
            make(MiniBatches(37))
    for size in (0, 2.5, True):
        with unchecked(), pytest.raises(BadInput, match=r"size \(B\) = .* must be an integer >= 1"):
            MiniBatches(size)


def test_batches_of_a_stream() -> None:
    drawn = sample(DATA, N, seed=0, name="train", streamed=True)
    with pytest.raises(BadInput, match=r"X \(X\) = \(22, 6, 8\) must be held in memory"):
        train(start(dtype=torch.float32), drawn.patches, drawn.labels, CrossEntropy(),
              learner=LEARNER, **ADAM_ON_MINI_BATCHES)  # fmt: skip


@dataclass(frozen=True)
class Gives(mvlib.Batches):
    what: str

    def batch(self, step: int, X: Tensor, labels: Tensor, n_classes: int, seed: int) -> Batch:
        soft = nnf.one_hot(labels, n_classes).to(X.dtype)
        return {
            "no inputs": Batch(X=X[:0], labels=labels[:0]),
            "other patches": Batch(X=X[:, 1:], labels=labels),
            "too few labels": Batch(X=X, labels=labels[1:]),
            "labels of more classes": Batch(X=X, labels=torch.cat([soft, soft], dim=1) / 2),
            "labels that sum to 2": Batch(X=X, labels=2 * soft),
        }[self.what]


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (
            "no inputs",
            r"batch of step 0 \(X\) = \(0, 6, 8\) must have axes \(n, 6, 8\) with n >= 1",
        ),
        ("other patches", r"batch of step 0 \(X\) = \(22, 5, 8\) must have axes"),
        ("too few labels", r"labels of step 0 \(y\) = \(21,\) must have shape \(22,\) or"),
        ("labels of more classes", r"labels of step 0 \(y\) = \(22, 6\) must have .* \(22, 3\)"),
        ("labels that sum to 2", r"labels of step 0 \(y\) = 'sums off by 1' must be probabilities"),
    ],
)
def test_batches_that_do_not_fit(what: str, says: str) -> None:
    with unchecked(), pytest.raises(BadInput, match=says):
        run(batches=Gives(what))


def test_what_is_no_supplier_of_batches() -> None:
    for batches, says in (
        (64, "must be Batches; inherit from that class"),
        (Gives([1]), "must be a frozen dataclass of numbers and words"),  # type: ignore[arg-type]
    ):
        for use in (lambda b: run(batches=b), lambda b: replace(TOY, batches=b)):
            with unchecked(), pytest.raises(BadInput, match=rf"batches \(X\) = .* {says}"):
                use(batches)


@pytest.mark.parametrize(
    ("name", "options", "why"),
    [
        ("Adamant", {}, "no attribute 'Adamant'"),
        ("Adam", {"momentum": 0.9}, "unexpected keyword argument 'momentum'"),
        ("Adam", {"betas": (2.0, 0.9)}, "Invalid beta"),
        ("LBFGS", {}, "closure"),
        ("SparseAdam", {}, "does not support dense"),
        ("lr_scheduler", {}, "not callable"),
        ("Optimizer", {}, ""),
        (3, {}, "attribute name must be string"),
    ],
)
def test_optimisers_that_pytorch_refuses(name: Any, options: Mapping, why: str) -> None:
    with unchecked(), pytest.raises(BadInput) as caught:
        Optimiser(name=name, lr=0.1, options=options)
    said = str(caught.value)
    assert said.startswith(f"name, options = ({name!r}, ") and why in said
    assert said.endswith("; try 'Adam'.") and "\n" not in said


def test_what_does_not_go_with_an_optimiser() -> None:
    with pytest.raises(BadInput, match=r"weight_decay \(lambda\) = 0.1 must be 0 beside an update"):
        Schedule(step_rule=ADAM, stop_rule=FixedSteps(steps=1), weight_decay=0.1)
    with unchecked(), pytest.raises(BadInput, match=r"lr \(eta\) = 0 must lie in \(0, inf\)"):
        Optimiser(name="Adam", lr=0)
    with (
        unchecked(),
        pytest.raises(BadInput, match=r"step_rule \(eta\) = .* be a frozen dataclass"),
    ):
        Schedule(step_rule=lambda W, ascent: 1.0, stop_rule=FixedSteps(steps=1))
    assert Optimiser(name="Adam", lr=0.05, options=(("betas", (0.8, 0.95)),)) == ADAM
    others = replace(ADAM, lr=0.1), replace(ADAM, options={}), ConstantStep(0.05)
    assert len({canonical_json(rule) for rule in (ADAM, *others)}) == 4


def test_a_loss_that_is_not_finite_says_how_far_the_step_went() -> None:
    with pytest.raises(FloatingPointError, match=r"network 4 is nan at step 1, .* of size inf;"):
        run(rule=HeavyBall(float("inf"), 0.0), steps=3)
