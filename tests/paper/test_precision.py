"""Products of training in each precision: scores, gradients, training and data, against float64
and each other."""

from dataclasses import dataclass, fields, replace

import pytest
import torch
from torch import Tensor
from toys import Kept

from mvlib import Activation, BadInput, LearnerParams
from mvlib.core.arithmetic import PRECISIONS, Precision
from mvlib.paper import network
from mvlib.paper.evaluation import test_scores as scores_on
from mvlib.paper.gradient_descent import Trajectory, train
from mvlib.paper.lottery import takeoff_times
from mvlib.paper.multi_view_data import (
    MultiViewParams,
    Sample,
    StreamedPatches,
    feature_vectors,
    sample,
    stored,
)
from mvlib.paper.network import ascent_direction, init_weights, logits
from mvlib.paper.objectives import CrossEntropy
from mvlib.paper.step_rules import BoundedRelativeStep, FixedSteps, Schedule

# Of a score or gradient, in units of its length.  A bfloat16 number is off by 2^-9 at most, a
# product by that of weights, slopes and the results; a split one is off by 2^-16 or so.
OFF: dict[Precision, float] = {"float32": 1e-6, "split": 1e-5, "bfloat16": 1e-2}
S, k, m, d, N, P = 2, 3, 2, 40, 30, 8
DATA = MultiViewParams(n_classes=k, dim=d, n_patches=P, sparsity=1.0, single_view_fraction=0.1,
                       noise_std=0.1)  # fmt: skip
DRAWN = sample(DATA, N, seed=0, name="train")
SCHEDULE = Schedule(step_rule=BoundedRelativeStep(max_step=10.0, relative_change=0.3),
                    stop_rule=FixedSteps(steps=6))  # fmt: skip

each = pytest.mark.parametrize("precision", PRECISIONS)
rounding = pytest.mark.parametrize("precision", ["bfloat16", "split"])


@pytest.fixture(params=[True, False], ids=["native", "in float32"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounded products by bfloat16 instructions, or in float32."""
    monkeypatch.setattr(
        network, "is_native", lambda precision, device: request.param and precision != "float32"
    )


@dataclass(frozen=True)
class Softplus(Activation):
    def value(self, z: Tensor) -> Tensor:
        return torch.nn.functional.softplus(z)

    def slope(self, z: Tensor) -> Tensor:
        return z.sigmoid()


@dataclass(frozen=True)
class Straight(Activation):
    """Its value is its argument, its slope one number: memory that must not be taken for spare."""

    def value(self, z: Tensor) -> Tensor:
        return z

    def slope(self, z: Tensor) -> Tensor:
        return z.new_ones(()).expand_as(z)


def learner(precision: Precision, activation: Activation | None = None) -> LearnerParams:
    return LearnerParams(
        n_neurons=m, init_std=0.2, activation=activation, precision=precision
    )  # fmt: skip


def weights() -> Tensor:
    return 3 * init_weights(range(S), learner("float32"), n_classes=k, dim=d)


def residuals() -> Tensor:
    return torch.randn(N, S, k, generator=torch.Generator().manual_seed(1))


def ascent(W: Tensor, X: Tensor | StreamedPatches, theirs: LearnerParams) -> Tensor:
    a = residuals().to(W.dtype)
    return ascent_direction(W, X, lambda _, rows: a[rows], theirs)


def off(found: Tensor, exact: Tensor) -> float:
    """Distance in units of the length of what is exact."""
    return float((found.double() - exact).norm() / exact.norm())


@each
@pytest.mark.parametrize("narrow", [False, True], ids=["inputs float32", "inputs bfloat16"])
@pytest.mark.parametrize("activation", [None, Softplus(), Straight()], ids=repr)
def test_scores_and_gradient(
    way: None, precision: Precision, narrow: bool, activation: Activation | None
) -> None:
    W, theirs = weights(), learner(precision, activation)
    X = stored(DRAWN).bfloat16() if narrow else stored(DRAWN)
    as_defined = X if precision == "float32" else X.bfloat16()
    leaf = W.double().requires_grad_()
    z = torch.einsum("skmd,npd->snkmp", leaf, as_defined.double())
    F = theirs.nonlinearity.value(z).sum(dim=(-1, -2))
    (gradient,) = torch.autograd.grad((residuals().transpose(0, 1) * F).sum() / N, leaf)
    found, pull = logits(W, X, theirs), ascent(W, X, theirs)
    assert found.dtype == pull.dtype == torch.float32
    assert off(found, F.detach()) < OFF[precision] and off(pull, gradient) < OFF[precision]
    # The same in float64 networks, whose weights are rounded alike.
    assert off(logits(W.double(), X, theirs), F.detach()) < OFF[precision]


def test_precisions_differ() -> None:
    """Or the tolerances would be met by float32 alone."""
    W, X = weights(), stored(DRAWN)
    exact = ascent(W.double(), X.bfloat16(), learner("float32"))
    distances = [off(ascent(W, X.bfloat16(), learner(p)), exact) for p in PRECISIONS]
    by_precision = dict(zip(PRECISIONS, distances, strict=True))
    assert 30 * by_precision["split"] < by_precision["bfloat16"]
    assert 3 * by_precision["float32"] < by_precision["split"]


@rounding
def test_rounded_inputs_are_the_inputs(way: None, precision: Precision) -> None:
    W, X, theirs = weights(), stored(DRAWN), learner(precision)
    assert torch.equal(logits(W, X, theirs), logits(W, X.bfloat16(), theirs))
    assert torch.equal(ascent(W, X, theirs), ascent(W, X.bfloat16(), theirs))


@rounding
@pytest.mark.parametrize(
    "sizes", [{"CACHE_FLOATS": 700}, {"CACHE_FLOATS": 30, "SAMPLE_FLOATS": 40}], ids=str
)
def test_blocks_and_parts(
    way: None, precision: Precision, sizes: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks of 7 samples, the last one of 2 in memory made for more; samples in parts."""
    W, X, theirs = weights(), stored(DRAWN).bfloat16(), learner(precision)
    whole = logits(W, X, theirs).double(), ascent(W, X, theirs).double()
    for name, value in sizes.items():
        monkeypatch.setattr(network, name, value)
    assert off(logits(W, X, theirs), whole[0]) < OFF[precision]
    # A block's pull is rounded by itself.
    assert off(ascent(W, X, theirs), whole[1]) < OFF[precision]


@each
def test_scores_can_be_differentiated(precision: Precision) -> None:
    theirs = learner(precision)
    leaf, X = weights().requires_grad_(), stored(DRAWN).bfloat16()
    (residuals().transpose(0, 1) * logits(leaf, X, theirs)).sum().backward()
    assert leaf.grad is not None
    exact = ascent(leaf.detach().double(), X, learner("float32"))
    # In float32, whatever the precision: there is no gradient of rounding.
    assert off(leaf.grad / N, exact) < OFF["float32"]
    with torch.no_grad():
        F = logits(leaf, X, theirs)
    assert not F.requires_grad and torch.equal(F, logits(leaf.detach(), X, theirs))


# -- training ------------------------------------------------------------------------------------


def trained(drawn: Sample, precision: Precision, **more: object) -> Trajectory:
    W0 = init_weights(range(S), learner(precision), n_classes=k, dim=d)
    return train(W0, drawn.patches, drawn.labels, CrossEntropy(), learner=learner(precision),
                 schedule=SCHEDULE, **more)  # fmt: skip


@rounding
def test_training_on_rounded_inputs_stored_or_streamed(way: None, precision: Precision) -> None:
    n = 520  # drawn in blocks of 250, 250 and 20
    plain, narrow, streamed = (
        sample(DATA, n, seed=0, name="train", rounded=r, streamed=s)
        for r, s in ((False, False), (True, False), (True, True))
    )
    once, again, other = (trained(drawn, precision) for drawn in (plain, narrow, streamed))
    assert torch.equal(once.weights, again.weights) and torch.equal(once.loss, again.loss)
    # Blocks of other sizes; six steps, each of at most 1.3 times what the one before was off by.
    assert off(other.weights, once.weights.double()) < 5 * OFF[precision]
    assert off(other.loss, once.loss.double()) < 5 * OFF[precision]
    F = logits(once.weights, narrow.patches, learner(precision))
    assert torch.equal(logits(once.weights, streamed.patches, learner(precision)), F)


def test_float32_on_rounded_inputs() -> None:
    narrow = sample(DATA, N, seed=0, name="train", rounded=True)
    wide = replace(narrow, patches=stored(narrow).float())
    assert torch.equal(trained(narrow, "float32").weights, trained(wide, "float32").weights)


@each
def test_precision_says_how_test_inputs_are_read(precision: Precision) -> None:
    W, rounds = weights(), precision != "float32"
    found = scores_on(W, DATA, learner(precision), kind="single", n=N, seed=0).outputs
    inputs = sample(DATA, N, seed=0, name="test", kind="single", rounded=rounds).patches
    assert torch.equal(found, logits(W, inputs, learner(precision)))


def interrupted(precision: Precision) -> Kept:
    """After three steps."""

    def progress(step: int, share: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    kept = Kept()
    with pytest.raises(KeyboardInterrupt):
        trained(DRAWN, precision, checkpoint=kept, progress=progress)
    return kept


@each
def test_training_goes_on_in_its_precision_only(precision: Precision) -> None:
    kept = interrupted(precision)
    for other in PRECISIONS:
        if other == precision:
            continue
        with pytest.raises(
            BadInput,
            match=rf"^checkpoint \(precision\) = '{precision}' must be '{other}', in which .*; "
            r"it is of another training: remove it\.$",
        ):
            trained(DRAWN, other, checkpoint=kept)
    whole = trained(DRAWN, precision)
    assert torch.equal(trained(DRAWN, precision, checkpoint=kept).weights, whole.weights)


@rounding
@pytest.mark.parametrize("size", [3.4e38, -3.4e38, float("inf"), float("nan")])
def test_inputs_beyond_the_range_of_bfloat16(precision: Precision, size: float) -> None:
    X = stored(DRAWN).clone()
    X[3, 2, 1] = size
    with pytest.raises(
        BadInput,
        match=r"^X \(X\) = \S+ must be <= 3.39e\+38 in size to be rounded to bfloat16; scale the "
        r"inputs, or keep float32\.$",
    ):
        trained(replace(DRAWN, patches=X), precision)


# -- rounded samples -----------------------------------------------------------------------------


@pytest.mark.parametrize("features", ["axis", "general"])
def test_rounded_samples(features: str) -> None:
    params = replace(DATA, features=features, feature_noise=0.1)
    plain, narrow, streamed = (
        sample(params, 300, seed=3, name="train", rounded=r, streamed=s)
        for r, s in ((False, False), (True, False), (True, True))
    )
    X, patches = stored(plain), stored(narrow)
    assert patches.dtype == torch.bfloat16 and 2 * patches.nbytes == X.nbytes
    assert torch.equal(patches, X.bfloat16())
    for f in fields(Sample):
        if f.name not in ("patches", "looks"):
            assert torch.equal(getattr(plain, f.name), getattr(narrow, f.name)), f.name
    assert isinstance(streamed.patches, StreamedPatches)
    assert torch.equal(torch.cat(list(streamed.patches.split(33))), patches)
    assert torch.equal(streamed[7:280].patches, patches[7:280])
    moved = streamed.patches.to(device="cpu", dtype=torch.float32)
    assert torch.equal(moved[:10], patches[:10])


def test_the_lottery_is_foretold_from_rounded_samples() -> None:
    W0 = init_weights(range(S), learner("float32"), n_classes=k, dim=d).abs()
    views = feature_vectors(DATA, 0)
    narrow = sample(DATA, N, seed=0, name="train", rounded=True)
    times = [takeoff_times(W0, views, drawn, learner("float32")) for drawn in (DRAWN, narrow)]
    # What a neuron reads in a patch enters to the third power: three roundings of 2^-9.
    torch.testing.assert_close(times[0], times[1], rtol=0.02, atol=0)
