"""Small networks: by hand, by loops, and many at once against each alone."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from shapes import unchecked
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mvlib.core.checks import BadInput
from mvlib.core.randomness import stream
from mvlib.deep.networks import (
    Affine,
    Architecture,
    Convolutional,
    FullyConnected,
    Residual,
    init_many,
    outputs_many,
    skeleton,
    train_many,
)
from mvlib.deep.optimisers import Adam, Momentum, Plan, Weights, descend

FORMS = (
    Architecture(kind="linear"),
    Architecture(kind="fully connected", width=5, depth=2),
    Architecture(kind="residual", width=4, depth=2),
    Architecture(kind="convolutional", width=3, depth=2),
)
forms = pytest.mark.parametrize("form", FORMS, ids=lambda form: form.kind)
optimisers = pytest.mark.parametrize("optimiser", [Adam(), Momentum()], ids=["adam", "momentum"])
# float64 sums in another order, over a few dozen steps of Adam, which divides by small numbers.
CLOSE: dict[str, Any] = {"rtol": 1e-8, "atol": 1e-10}


def build(form: Architecture) -> nn.Module:
    return form.build(n_inputs=8, n_outputs=3, positions=4)


def numbers(*shape: int, name: str = "x") -> Tensor:
    return torch.randn(*shape, generator=stream(0, name), dtype=torch.float64)


def only(weights: Weights, seed: int) -> Weights:
    return {key: w[seed] for key, w in weights.items()}


def plan(optimiser: Adam | Momentum, **changes: Any) -> Plan:
    given = {"learning_rate": 0.02, "epochs": 6, "batch_size": 4} | changes
    return Plan(optimiser=optimiser, **given)


def test_fully_connected_by_hand() -> None:
    net = skeleton(FullyConnected, n_inputs=2, width=2, depth=1, n_outputs=2)
    weights = {
        "hidden.0.weight": torch.tensor([[[1.0, -1.0], [0.0, 2.0]]]),
        "hidden.0.bias": torch.tensor([[0.0, -1.0]]),
        "readout.weight": torch.tensor([[[1.0, 0.0], [1.0, 3.0]]]),
        "readout.bias": torch.tensor([[0.5, 0.0]]),
    }
    # Input (3, 1): neurons relu(2) = 2 and relu(2 - 1) = 1; scores 2 + .5 and 2 + 3.
    # Input (0, 1): neurons relu(-1) = 0 and 1; scores .5 and 3.
    F = outputs_many(net, weights, torch.tensor([[3.0, 1.0], [0.0, 1.0]]))
    assert F.tolist() == [[[2.5, 5.0], [0.5, 3.0]]]


def test_a_convolution_by_hand() -> None:
    net = skeleton(Convolutional, n_inputs=3, positions=3, width=1, depth=1, n_outputs=1)
    weights = {
        "hidden.0.weight": torch.tensor([[[1.0, 10.0, 100.0]]]),  # left, itself, right
        "hidden.0.bias": torch.tensor([[0.0]]),
        "readout.weight": torch.tensor([[[1.0, 0.0, 0.001]]]),
        "readout.bias": torch.tensor([[0.0]]),
    }
    # The circle 1, 2, 3: place 0 sees (3, 1, 2), place 2 sees (2, 3, 1).
    F = outputs_many(net, weights, torch.tensor([[1.0, 2.0, 3.0]]))
    assert float(F) == pytest.approx((3 + 10 + 200) + 0.001 * (2 + 30 + 100))


def test_residual_from_its_formula() -> None:
    form = FORMS[2]
    weights = init_many(build(form), [3], dtype=torch.float64)
    w, X = only(weights, 0), numbers(7, 8)

    def norm(h: Tensor) -> Tensor:
        gap = h - h.mean()
        return gap / (gap.square().mean() + 1e-5).sqrt()

    for x, F in zip(X, outputs_many(build(form), weights, X)[0], strict=True):
        h = w["readin.weight"] @ x + w["readin.bias"]
        for b in (0, 1):
            a = w[f"inner.{b}.weight"] @ norm(h) + w[f"inner.{b}.bias"]
            h = h + w[f"outer.{b}.weight"] @ a.clamp(min=0) + w[f"outer.{b}.bias"]
        assert torch.allclose(F, w["readout.weight"] @ norm(h) + w["readout.bias"], **CLOSE)


def test_a_convolution_turns_with_its_input() -> None:
    form = FORMS[3]
    weights = init_many(build(form), [0], dtype=torch.float64)
    X, turned = numbers(5, 8), numbers(5, 8).view(5, 4, 2).roll(1, dims=1).flatten(1)
    read = weights["readout.weight"].view(1, 3, 4, 3).roll(1, dims=2).flatten(2)
    F = outputs_many(build(form), weights | {"readout.weight": read}, turned)
    assert torch.allclose(F, outputs_many(build(form), weights, X), **CLOSE)


def test_sizes() -> None:
    # 8 * 3 + 3;  8 * 5 + 5 + 5 * 5 + 5 + 5 * 3 + 3;  8 * 4 + 4 + 4 (4 * 4 + 4) + 4 * 3 + 3;
    # windows of 3: 6 * 3 + 3 + 9 * 3 + 3 + 12 * 3 + 3
    sizes = [sum(w.numel() for w in build(form).parameters()) for form in FORMS]
    assert sizes == [27, 93, 131, 90]
    assert [form.label for form in FORMS[:2]] == ["linear", "fully connected 5 x 2"]


@forms
def test_start(form: Architecture) -> None:
    net = build(form)
    state = torch.random.get_rng_state()
    many = init_many(net, [5, 7, 9])
    assert torch.equal(torch.random.get_rng_state(), state), "no global random number"
    alone = init_many(net, [7])
    assert all(torch.equal(many[key][1], alone[key][0]) for key in many)
    assert not torch.equal(many["readout.weight"][0], many["readout.weight"][1])
    assert all(not many[key].any() for key in many if key.endswith("bias"))
    small = init_many(net, [7], readout_scale=0.5)
    for key in many:
        scale = 0.5 if key == "readout.weight" else 1.0
        assert torch.equal(small[key], scale * alone[key])
    other = init_many(net, [7], name="labels")
    assert not torch.equal(other["readout.weight"], alone["readout.weight"])


def test_scale_of_the_start() -> None:
    net = skeleton(FullyConnected, n_inputs=50, width=400, depth=1, n_outputs=2)
    w = init_many(net, [0])["hidden.0.weight"]
    # 20000 numbers: the standard deviation is known to 1 / sqrt(2 n) = .5%; four times that.
    assert float(w.std()) == pytest.approx(math.sqrt(2 / 50), rel=0.02)


def test_scales_of_a_norm_start_at_one() -> None:
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.norm(x)

    weights = init_many(skeleton(Normed), [0, 1])
    assert weights["norm.weight"].eq(1).all() and weights["norm.bias"].eq(0).all()


@forms
@optimisers
@pytest.mark.parametrize("own_order", [True, False])
def test_many_are_each_alone(
    form: Architecture, optimiser: Adam | Momentum, own_order: bool
) -> None:
    net, X = build(form), numbers(10, 8)
    y = torch.randint(0, 3, (10,), generator=stream(0, "y"))
    seeds, how = [0, 4, 7], plan(optimiser, weight_decay=0.1)
    start = init_many(net, seeds, dtype=torch.float64)
    before = {key: w.clone() for key, w in start.items()}

    def trained(some: list[int]) -> Weights:
        begin = init_many(net, some, dtype=torch.float64)
        orders = [stream(s, "order") for s in some] if own_order else [stream(0, "order")]
        return train_many(net, begin, X, y, plan=how, orders=orders)

    many = trained(seeds)
    assert all(torch.equal(start[key], before[key]) for key in start)
    for i, seed in enumerate(seeds):
        alone = trained([seed])
        for key in many:
            assert torch.allclose(many[key][i], alone[key][0], **CLOSE), key
    if own_order:
        assert not torch.allclose(
            many["readout.weight"][1],
            train_many(net, start, X, y, plan=how, orders=[stream(0, "order")])["readout.weight"][
                1
            ],
        )


@forms
@pytest.mark.parametrize(
    "how",
    [plan(Adam(), cosine=False), plan(Adam(beta1=0.8), weight_decay=0.3), plan(Momentum()),
     plan(Momentum(momentum=0.0), cosine=False)],
    ids=["adam", "adamw", "momentum", "plain"],
)  # fmt: skip
def test_against_torch(form: Architecture, how: Plan) -> None:
    """One network with torch's own optimiser and autograd, batch by batch."""
    net, X = build(form), numbers(10, 8)
    y = torch.randint(0, 3, (10,), generator=stream(0, "y"))
    start = init_many(net, [2], dtype=torch.float64)
    w = {key: v.clone().requires_grad_() for key, v in only(start, 0).items()}
    made: torch.optim.Optimizer
    if isinstance(how.optimiser, Adam):
        made = torch.optim.AdamW(w.values(), betas=(how.optimiser.beta1, 0.999), lr=1.0,
                                 weight_decay=how.weight_decay)  # fmt: skip
    else:
        made = torch.optim.SGD(w.values(), lr=1.0, momentum=how.optimiser.momentum)
    generator, step = stream(0, "order"), 0
    for _ in range(how.epochs):
        order = torch.randperm(10, generator=generator)
        for rows in (order[:4], order[4:8], order[8:]):
            half = 0.5 * (1 + math.cos(math.pi * step / 18)) if how.cosine else 1.0
            made.param_groups[0]["lr"] = how.learning_rate * half
            made.zero_grad()
            one = {key: v[None] for key, v in w.items()}
            functional.cross_entropy(functional_call(net, one, (X[rows][None],))[0],
                                     y[rows]).backward()  # fmt: skip
            made.step()
            step += 1
    found = train_many(net, start, X, y, plan=how, orders=[stream(0, "order")])
    assert how.steps(10) == step == 18
    for key, v in w.items():
        assert torch.allclose(found[key][0], v.detach(), **CLOSE), key


def test_a_step_by_hand() -> None:
    """One weight, squares: w - eta (w x - t) x, with t given for each sample."""
    net = skeleton(Affine, in_features=1, out_features=1)
    start = {"weight": torch.tensor([[[1.0]], [[3.0]]]), "bias": torch.zeros(2, 1)}
    found = train_many(
        net, start, torch.tensor([[2.0]]), torch.tensor([[4.0]]),
        plan=plan(Momentum(), learning_rate=0.1, epochs=1, cosine=False),
        orders=[stream(0, "order")], loss=lambda F, t: 0.5 * (F - t).square().mean(dim=(1, 2)),
    )  # fmt: skip
    # Residuals 2 - 4 = -2 and 6 - 4 = 2, times x = 2, times .1.
    assert found["weight"].flatten().tolist() == pytest.approx([1.4, 2.6])
    assert found["bias"].flatten().tolist() == pytest.approx([0.2, -0.2])


@forms
def test_bfloat16_is_near_float32(form: Architecture) -> None:
    """Products, and no more, are rounded: small steps of the weights are not lost."""
    # A norm over few neurons divides by numbers near 0.
    wide = form if form.kind == "linear" else replace(form, width=16)
    net, X = build(wide), numbers(10, 8).float()
    y = torch.randint(0, 3, (10,), generator=stream(0, "y"))
    start, how = init_many(net, [0, 4]), plan(Momentum(), learning_rate=1e-4)
    exact, low = (
        train_many(net, start, X, y, plan=replace(how, precision=precision),
                   orders=[stream(0, "order")])
        for precision in ("float32", "bfloat16")
    )  # fmt: skip
    for key, w in exact.items():
        assert low[key].dtype == torch.float32 and not torch.equal(low[key], w)
    moved, other = (
        torch.cat([(end[key] - start[key]).flatten() for key in start]) for end in (exact, low)
    )
    # Eight bits a number, in a chain of six to a dozen operations.
    assert float((other - moved).norm() / moved.norm()) < 0.05


def test_gradients_in_another_layout_reach_their_own_weights() -> None:
    w = torch.ones(2, 3)
    g = torch.tensor([[1.0, 2.0, 3.0], [-4.0, 0.0, 6.0]])
    for optimiser in (Adam(), Momentum()):
        moved = []
        for gradient in (g, g.T.contiguous().T):
            leaf = w.clone().requires_grad_()
            descend(optimiser.build([leaf]), [gradient], 0.1)
            moved.append(leaf.detach())
        assert torch.equal(*moved)
        assert torch.equal((moved[0] - w).sign(), -g.sign())


def test_blocks_progress_and_soft_targets() -> None:
    net, X = build(FORMS[1]), numbers(9, 8)
    weights = init_many(net, [0, 1], dtype=torch.float64)
    whole = outputs_many(net, weights, X)
    assert whole.shape == (2, 9, 3)
    assert torch.allclose(outputs_many(net, weights, X, block=2), whole, **CLOSE)
    soft, told = numbers(9, 3, name="soft").softmax(dim=1), []
    after = train_many(net, weights, X, soft, plan=plan(Adam()), orders=[stream(0, "order")],
                       progress=lambda step, share: told.append((step, share)))  # fmt: skip
    assert told == [(3 * epoch, 1.0) for epoch in range(1, 7)]

    def loss(w: Weights) -> Tensor:
        return functional.cross_entropy(outputs_many(net, w, X)[1], soft)

    assert loss(after) < loss(weights)


def test_the_learning_rate_falls_along_half_a_cosine() -> None:
    how = plan(Adam(), learning_rate=2.0)
    assert [how.rate(t, 4) for t in (0, 2)] == pytest.approx([2.0, 1.0])
    assert how.rate(3, 4) == pytest.approx(1 + math.cos(0.75 * math.pi))
    assert replace(how, cosine=False).rate(3, 4) == 2.0


def test_a_loss_that_explodes_is_named() -> None:
    net = build(FORMS[1])
    weights = init_many(net, [0, 1], dtype=torch.float64)
    weights["readout.bias"][1, 0] = math.inf
    with pytest.raises(FloatingPointError, match=r"^loss of network 1 is .* at step 0; lower the"):
        train_many(net, weights, numbers(4, 8), torch.zeros(4, dtype=torch.long),
                   plan=plan(Adam()), orders=[stream(0, "order")])  # fmt: skip


NAN = math.nan
BAD: list[tuple[Any, dict[str, Any], str]] = [
    (Architecture, {"kind": "round"}, r"kind \(choice\) = 'round' must be one of"),
    (Architecture, {"kind": "residual", "width": 0, "depth": 1}, r"width \(\) = 0 must be"),
    (Architecture, {"kind": "residual", "width": 3}, r"depth \(\) = 0 must be an integer >= 1"),
    (Architecture, {"kind": "linear", "width": 3}, r"be 0 for a linear function"),
    (Momentum, {"momentum": 1.0}, r"momentum \(beta\) = 1.0 must lie in \[0, "),
    (Adam, {"beta1": -0.1}, r"beta1 \(beta_1\) = -0.1"),
    (Adam, {"beta2": 1.0}, r"beta2 \(beta_2\) = 1.0"),
    (Adam, {"epsilon": 0.0}, r"epsilon \(\) = 0.0 must lie in \(0, inf\)"),
    (Plan, {"learning_rate": 0.0}, r"learning_rate \(eta\) = 0.0 must lie in \(0, inf\)"),
    (Plan, {"epochs": 0}, r"epochs \(\) = 0 must be an integer >= 1"),
    (Plan, {"batch_size": 1.5}, r"batch_size \(B\) = 1.5 must be an integer >= 1"),
    (Plan, {"cosine": 1}, r"cosine \(\) = 1 must be True or False"),
    (Plan, {"precision": "float16"}, r"precision \(\) = 'float16' must be one of"),
    (Plan, {"weight_decay": NAN}, r"weight_decay \(lambda\) = nan must lie in \[0, inf\)"),
]


@pytest.mark.parametrize(("kind", "given", "words"), BAD)
def test_bad_values(kind: Any, given: dict[str, Any], words: str) -> None:
    if kind is Plan:
        given = {"optimiser": Adam(), "learning_rate": 0.1, "epochs": 1, "batch_size": 1} | given
    with unchecked(), pytest.raises(BadInput, match=words) as caught:
        kind(**given)
    assert str(caught.value).count("\n") == 0 and str(caught.value).endswith(".")


def test_bad_calls() -> None:
    net, X, y = build(FORMS[1]), numbers(4, 8), torch.zeros(4, dtype=torch.long)
    with pytest.raises(BadInput, match=r"seeds \(\) = \[\] must not be empty"):
        init_many(net, [])
    with pytest.raises(BadInput, match="readout_scale"):
        init_many(net, [0], readout_scale=-1.0)
    weights = init_many(net, [0, 1, 2], dtype=torch.float64)
    with pytest.raises(BadInput, match=r"orders \(\) = 2 must be 1 or 3 generators"):
        train_many(net, weights, X, y, plan=plan(Adam()), orders=[stream(s, "o") for s in (0, 1)])
    with pytest.raises(BadInput, match=r"targets \(\) = 3 must be 4 rows"):
        train_many(net, weights, X, y[:3], plan=plan(Adam()), orders=[stream(0, "o")])


def test_forms_are_what_they_say() -> None:
    assert isinstance(build(FORMS[2]), Residual) and isinstance(build(FORMS[3]), Convolutional)
    assert isinstance(build(FORMS[0]), FullyConnected)
