"""Activations of one's own: training, kernels, lottery and rates follow; what does not belong
together is refused."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked
from torch import Tensor
from toys import TEACHER

from mvlib import Activation, BadInput, LearnerParams, SmoothedReLU, lottery_winners, ntk
from mvlib.paper.activation import RoundedReLU, check_activation
from mvlib.paper.growth_rates import pulls
from mvlib.paper.lottery import takeoff_times
from mvlib.paper.multi_view_data import MultiViewParams, feature_vectors, sample
from mvlib.paper.network import ascent_direction, init_weights, logits
from mvlib.paper.tangent_kernel import tangent_outputs
from mvlib.store.entries import canonical_json
from mvlib.studies.single_model import run_single_model

# float64 sums of a few dozen terms of order one, added in another order.
ROUNDING = dict(rtol=1e-12, atol=1e-13)
S, k, m, d, N, P = 2, 3, 2, 5, 7, 4


@dataclass(frozen=True)
class TanhCubed(Activation):
    r"""Its slope is tanh^3 where z > 0: rises as Definition 3.4 with q = 4 does, and no join."""

    stretch: float = 1.0

    def value(self, z: Tensor) -> Tensor:
        u = z.clamp_min(0) / self.stretch
        return self.stretch * (u.cosh().log() - u.tanh() ** 2 / 2)

    def slope(self, z: Tensor) -> Tensor:
        return (z.clamp_min(0) / self.stretch).tanh() ** 3

    def onset(self) -> tuple[int, float]:
        return 4, self.stretch


@dataclass(frozen=True)
class Softplus(Activation):
    def value(self, z: Tensor) -> Tensor:
        return nnf.softplus(z)

    def slope(self, z: Tensor) -> Tensor:
        return z.sigmoid()


@dataclass(frozen=True)
class Ramp(Activation):
    """A kink; or none, and a slope that is one number expanded, not to be written over."""

    kink: bool = True

    def value(self, z: Tensor) -> Tensor:
        return z.clamp_min(0) if self.kink else z

    def slope(self, z: Tensor) -> Tensor:
        return (z > 0).to(z.dtype) if self.kink else z.new_ones(()).expand_as(z)


OWN = [RoundedReLU(3, 0.5), TanhCubed(), TanhCubed(0.5), Softplus(), Ramp(), Ramp(False)]
own = pytest.mark.parametrize("activation", OWN, ids=repr)


def learner(activation: Activation | None) -> LearnerParams:
    return LearnerParams(n_neurons=m, init_std=0.1, activation=activation)


def network_and_inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    W = 0.6 * torch.randn(S, k, m, d, generator=generator, dtype=torch.float64)
    return W, torch.randn(N, P, d, generator=generator, dtype=torch.float64)


def scores(W: Tensor, X: Tensor, activation: Activation) -> Tensor:
    """F as (S, n, k), written once more, for autograd."""
    return activation.value(torch.einsum("skmd,npd->snkmp", W, X)).sum(dim=(-1, -2))


@own
def test_scores_and_ascent_follow(activation: Activation) -> None:
    W, X = network_and_inputs()
    leaf = W.clone().requires_grad_()
    F = scores(leaf, X, activation)
    torch.testing.assert_close(logits(W, X, learner(activation)), F.detach(), **ROUNDING)
    a = torch.randn(N, S, k, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    (gradient,) = torch.autograd.grad((a.transpose(0, 1) * F).sum() / N, leaf)
    got = ascent_direction(W, X, lambda _, rows: a[rows], learner(activation))
    torch.testing.assert_close(got, gradient, **ROUNDING)


@own
def test_kernels_follow(activation: Activation) -> None:
    W, X = network_and_inputs()
    jacobian = torch.autograd.functional.jacobian(
        lambda w: scores(w[None], X, activation)[0], W[0]
    )  # (n, k, k, m, d)
    for i in range(k):
        features = jacobian[:, i, i].reshape(N, -1)
        kernel = ntk(W[0], X, None, learner(activation))[i]
        torch.testing.assert_close(kernel, features @ features.T, **ROUNDING)
    theta = torch.ones_like(W[0])
    expected = torch.einsum("nikmd,kmd->ni", jacobian, theta)
    got = tangent_outputs(W[0], theta, X, learner(activation))
    torch.testing.assert_close(got, expected, **ROUNDING)


def test_the_smoothed_relu_by_name_is_the_default() -> None:
    W, X = network_and_inputs()
    named = learner(SmoothedReLU(power=3, threshold=0.7))
    default = replace(learner(None), power=3, threshold=0.7)
    assert torch.equal(logits(W, X, named), logits(W, X, default))


# -- the lottery ---------------------------------------------------------------------------------


def clean(k: int, n: int) -> tuple[Any, Tensor]:
    """Multi-view data without noise or other classes, every own view of strength 1."""
    params = MultiViewParams(
        n_classes=k, dim=2 * k, n_patches=2 * k, sparsity=0.0, single_view_fraction=0.0,
        own_strength=(1.0, 1.0), noise_std=0.0,
    )  # fmt: skip
    drawn = sample(params, n, seed=0, name="train", dtype=torch.float64)
    return drawn, feature_vectors(params, 0, dtype=torch.float64)


@pytest.mark.parametrize("stretch", [0.5, 1.0])
def test_the_lottery_follows(stretch: float) -> None:
    training_set, v = clean(3, 30)
    theirs = learner(TanhCubed(stretch))
    W0 = init_weights([0, 1], theirs, n_classes=3, dim=6, dtype=torch.float64).abs()
    W0 = W0.clamp_min(0.02)
    times = takeoff_times(W0, v, training_set, theirs)
    c0 = torch.einsum("skmd,kld->skml", W0, v.view(3, 2, -1)).numpy()
    # Gradient flow c' = (1 - 1/k) (1/k) tanh(c / stretch)^3 until c has grown by the threshold.
    c = c0 + stretch * np.linspace(0, 1, 20_001).reshape(-1, 1, 1, 1, 1)
    expected = np.trapezoid(1 / (2 / 9 * np.tanh(c / stretch) ** 3), c, axis=0)
    # As for Definition 3.4 (test_ensemble_measurement): a trapezium on 64 steps of 15.5% errs by
    # .4%, and begins a share 2e-4 stretch / c0, at most .5%, too late.
    np.testing.assert_allclose(times, expected, rtol=0.01)
    # On the way to the threshold Definition 3.4 does not slow down as tanh does.
    smoothed = replace(theirs, activation=SmoothedReLU(4, stretch))
    assert (takeoff_times(W0, v, training_set, smoothed) < times).all()


def test_no_onset_no_lottery() -> None:
    training_set, v = clean(3, 30)
    W0 = init_weights([0], learner(None), n_classes=3, dim=6, dtype=torch.float64)
    says = r"activation \(sigma\) = Softplus\(\) must say the power of its onset .* `train` alone\."
    for refused in (
        lambda theirs: lottery_winners(W0, v, training_set, theirs),
        lambda theirs: pulls(TEACHER.data, theirs, 100),
        lambda theirs: replace(TEACHER, learner=theirs),
    ):
        with pytest.raises(BadInput, match=says):
            refused(learner(Softplus()))
        with pytest.raises(BadInput, match=r"power \(q\) = 2 must be an integer >= 3"):
            refused(learner(SmoothedReLU(2)))


def test_rates_need_the_power_alone() -> None:
    data = TEACHER.data
    assert pulls(data, learner(TanhCubed()), 100) == pulls(data, learner(None), 100)
    assert pulls(data, learner(SmoothedReLU(3)), 100) != pulls(data, learner(None), 100)


# -- a study of one's own activation -------------------------------------------------------------


def test_a_study_holds_it() -> None:
    toy = replace(TEACHER, n_test_single=10, n_test_multi=10)
    theirs = replace(toy, learner=replace(toy.learner, activation=TanhCubed()))
    found, usual = run_single_model(theirs), run_single_model(toy)
    features = feature_vectors(toy.data, toy.draw)
    drawn = sample(toy.data, toy.n_train, seed=toy.draw, name="train")
    seeds = [1000 * toy.draw + r for r in range(toy.n_networks)]
    W0 = init_weights(seeds, toy.learner, n_classes=3, dim=toy.data.dim)
    foretold = lottery_winners(W0, features, drawn, theirs.learner)
    assert np.array_equal(found["winner_margin"], foretold.margin.numpy())
    assert found["fitted"].all()
    assert not np.allclose(found["train_outputs"], usual["train_outputs"], rtol=1e-3)
    keys = {canonical_json(replace(toy, learner=replace(toy.learner, activation=a))) for a in
            (None, TanhCubed(), TanhCubed(0.5), SmoothedReLU())}  # fmt: skip
    assert len(keys) == 4


# -- refusals ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WrongSlope(TanhCubed):
    def slope(self, z: Tensor) -> Tensor:
        return z.clamp_min(0).tanh() ** 2


@dataclass(frozen=True)
class SlightlyWrongSlope(TanhCubed):
    def slope(self, z: Tensor) -> Tensor:
        return 1.01 * super().slope(z)


@dataclass(frozen=True)
class WrongOnly(Activation):
    """Right but on (2, 3)."""

    def value(self, z: Tensor) -> Tensor:
        return z.clamp_min(0)

    def slope(self, z: Tensor) -> Tensor:
        return ((z > 0) & ~((z > 2) & (z < 3))).to(z.dtype)


@dataclass(frozen=True)
class Infinite(Activation):
    def value(self, z: Tensor) -> Tensor:
        return z.log()

    def slope(self, z: Tensor) -> Tensor:
        return 1 / z


@dataclass(frozen=True)
class WrongOnset(TanhCubed):
    def onset(self) -> tuple[int, float]:
        return 3, 1.0


@dataclass(frozen=True)
class WrongUnit(TanhCubed):
    def value_and_slope(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return self.value(z), 2 * self.slope(z)


@dataclass(frozen=True)
class WrongInPlace(TanhCubed):
    def value_and_slope_(self, z: Tensor, spare: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        return z.clamp_(min=0), self.slope(z)


@dataclass(frozen=True)
class Total(Activation):
    def value(self, z: Tensor) -> Tensor:
        return z.sum()

    def slope(self, z: Tensor) -> Tensor:
        return torch.ones_like(z)


@dataclass(frozen=True)
class Logical(Activation):
    def value(self, z: Tensor) -> Tensor:
        return z.clamp_min(0)

    def slope(self, z: Tensor) -> Tensor:
        return z > 0


class Thawed(Activation):
    def value(self, z: Tensor) -> Tensor:
        return z

    def slope(self, z: Tensor) -> Tensor:
        return torch.ones_like(z)


@dataclass(frozen=True)
class Stranger:
    def value(self, z: Tensor) -> Tensor:
        return z


@pytest.mark.parametrize(
    ("activation", "says"),
    [
        (WrongSlope(), "must have the slope of its value: at z = "),
        (SlightlyWrongSlope(), "must have the slope of its value: at z = "),
        (WrongOnly(), "must have the slope of its value: at z = 2.0"),
        (Infinite(), "must have the slope of its value: at z = -9.88 slope is -0.10"),
        (WrongOnset(), r"must begin with slope \(z / 1\)\^2 as its onset says; at z = 0.001"),
        (WrongUnit(), "must give by value_and_slope what value and slope give"),
        (WrongInPlace(), "must give by value_and_slope what value and slope give"),
        (Total(), "must keep its argument's shape and dtype"),
        (Logical(), "must keep its argument's shape and dtype"),
        (Thawed(), "must be a frozen dataclass of numbers and words"),
        (TanhCubed([1.0]), "must be a frozen dataclass of numbers and words"),  # type: ignore[arg-type]
        (Stranger(), "must be an Activation; inherit from it"),
        ("gelu", "must be an Activation; inherit from it"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_does_not_belong_together(activation: Any, says: str) -> None:
    with unchecked(), pytest.raises(BadInput, match=rf"^activation \(sigma\) = .* {says}"):
        learner(activation)


@pytest.mark.parametrize("q", [2, 3, 4, 5])
@pytest.mark.parametrize("varrho", [0.1, 0.7, 2.0])
def test_definition_3_4_belongs_together(q: int, varrho: float) -> None:
    check_activation(SmoothedReLU(q, varrho))


@pytest.mark.parametrize("q", [2, 3, 4, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_in_place_nothing_changes(q: int, dtype: torch.dtype) -> None:
    theirs = SmoothedReLU(q, 0.7)
    z = torch.randn(50, 41, generator=torch.Generator().manual_seed(0), dtype=dtype)
    value, slope = theirs.value_and_slope(z)
    place, *spare = z.clone(), z.clone().fill_(torch.nan), z.clone().fill_(torch.nan)
    found = theirs.value_and_slope_(place, spare)
    assert torch.equal(found[0], value) and torch.equal(found[1], slope)
    memory = {tensor.data_ptr() for tensor in (place, *spare)}
    assert {tensor.data_ptr() for tensor in found} <= memory, "none is asked for"


@pytest.mark.parametrize(
    ("q", "varrho", "z", "value", "slope"),
    [
        (4, 0.5, -1.0, 0.0, 0.0),
        (4, 0.5, 0.5, 0.5 * (2**0.25 - 1), 2**-0.75),  # u = 1
        (2, 3.0, 4.0, 2.0, 0.8),  # hypotenuse 5 less 3; 4/5
        (4, 1.0, 1e-5, 0.25e-20, 1e-15),  # z^4 / 4, far below 1
        (4, 0.1, 1e3, 1e3 - 0.1, 1.0),  # the line z - varrho
    ],
)
def test_the_rounded_relu_by_hand(
    q: int, varrho: float, z: float, value: float, slope: float
) -> None:
    check_activation(RoundedReLU(q, varrho))
    point, told = torch.tensor([z], dtype=torch.float64), RoundedReLU(q, varrho)
    # A handful of float64 roundings of numbers up to 1000 / .1 in the power q.
    assert told.value(point).item() == pytest.approx(value, rel=1e-12)
    assert told.slope(point).item() == pytest.approx(slope, rel=1e-12)


def test_power_and_threshold_are_said_once() -> None:
    with pytest.raises(BadInput, match=r"power, threshold \(q, varrho\) = \(4, 0.5\) must keep"):
        LearnerParams(threshold=0.5, activation=TanhCubed())
    with pytest.raises(BadInput, match=r"power \(q\) = 1 must be an integer >= 2"):
        SmoothedReLU(1)
    with pytest.raises(BadInput, match=r"threshold \(varrho\) = 0 must lie in \(0, inf\)"):
        SmoothedReLU(4, 0)
    with pytest.raises(BadInput, match=r"threshold \(varrho\) = 0 must lie in \(0, inf\)"):
        RoundedReLU(4, 0)
