"""The image network and its training, against autograd, by hand, and against themselves."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as nnf

from mvlib.core.checks import BadInput
from mvlib.core.randomness import stream
from mvlib.deep.image_networks import (
    Epochs,
    ResidualNet,
    image_outputs,
    init_network,
    lower,
    soft_labels,
    top,
    train_together,
)
from mvlib.deep.optimisers import Weights
from mvlib.studies.image_kernels import convolution_map, fit, tangent_map

NET = ResidualNet(n_classes=3, channels=1, side=8, width=2)
NORMALISED = replace(NET, normalisation="batch")
SCHEDULE = Epochs(epochs=3, batch=4)
X = torch.randn(10, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.arange(10) % 3


def same(a: Weights, b: Weights) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_shapes_and_variances() -> None:
    net = replace(NET, width=32, side=28)
    W = init_network(0, net)
    assert {name: tuple(w.shape) for name, w in W.items()} == net.shapes()
    for name, w in W.items():
        gain = 1 if name == "readout" else 2
        expected = gain / math.prod(w.shape[1:])
        # The relative deviation of a variance of n Gaussians is sqrt(2 / n).
        assert float(w.var()) == pytest.approx(expected, rel=5 * math.sqrt(2 / w.numel())), name
    assert image_outputs(W, torch.zeros(2, 1, 28, 28)).shape == (2, 3)


def test_seeds_are_independent_and_repeatable() -> None:
    assert same(init_network(3, NET), init_network(3, NET))
    assert not same(init_network(3, NET), init_network(4, NET))


def test_a_block_by_hand() -> None:
    """Stem picks every other pixel; all other convolutions are 0 but the shortcut, the identity."""
    W = {name: torch.zeros(shape) for name, shape in NET.shapes().items()}
    W["stem"][:, 0, 2, 2] = torch.tensor([1.0, -1.0])  # the centre tap; the second channel: minus
    W["first.short"][0, 0], W["first.short"][1, 1] = 1, 1
    picked = X[:, 0, ::2, ::2]
    positive = nnf.avg_pool2d(picked.clamp_min(0), 2)
    negative = nnf.avg_pool2d((-picked).clamp_min(0), 2)
    A = lower(W, X)
    assert torch.allclose(A[:, 0], positive * math.sqrt(0.5), atol=1e-6)
    assert torch.allclose(A[:, 1], negative * math.sqrt(0.5), atol=1e-6)
    assert float(A[:, 2:].abs().max()) == 0
    W["readout"][1, 0] = 2.0  # the first position of the first channel
    expected = 2 * positive[:, 0, 0] * 0.5  # through two blocks: sqrt(1/2) twice
    assert torch.allclose(image_outputs(W, X)[:, 1], expected, atol=1e-6)
    assert top(W, A).shape == (10, 4 * 2 * 2)


class Normalised(torch.nn.Module):
    """The same network by torch's own layers, its parameters under the same names."""

    def __init__(self, W: Weights) -> None:
        super().__init__()
        strides = {"stem": 2, "first.in": 2}
        self.conv, self.norm = torch.nn.ModuleDict(), torch.nn.ModuleDict()
        for name in (name for name in W if W[name].ndim == 4):
            c_out, c_in, kernel, _ = W[name].shape
            key = name.replace(".", "_")
            self.conv[key] = torch.nn.Conv2d(
                c_in, c_out, kernel, strides.get(name, 1), kernel // 2, bias=False
            )
            self.norm[key] = torch.nn.BatchNorm2d(c_out)
            self.conv[key].weight.data.copy_(W[name])
        self.readout = torch.nn.Linear(W["readout"].shape[1], len(W["readout"]), bias=False)
        self.readout.weight.data.copy_(W["readout"])

    def at(self, name: str, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.norm[name](self.conv[name](x))
        return out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.at("stem", x).relu()
        h = self.at("first_out", self.at("first_in", x).relu())
        x = ((self.at("first_short", nnf.avg_pool2d(x, 2)) + h) / math.sqrt(2)).relu()
        h = self.at("second_out", self.at("second_in", x).relu())
        out: torch.Tensor = self.readout(((x + h) / math.sqrt(2)).relu().flatten(1))
        return out


def test_batch_normalisation_against_torch() -> None:
    """Three steps of plain gradient descent of torch's own layers, and what they give outside
    training; every parameter and every running statistic."""
    W = {k: w.double() for k, w in init_network(0, NORMALISED).items()}
    assert {name: tuple(w.shape) for name, w in W.items()} == NORMALISED.shapes()
    own = Normalised(W).double()
    for rows in torch.arange(9).split(3):
        trained = [w.requires_grad_(not k.endswith(("mean", "var"))) for k, w in W.items()]
        trained = [w for w in trained if w.requires_grad]
        expected = own(X[rows].double())
        found = image_outputs(W, X[rows].double(), training=True)
        assert torch.allclose(found, expected, rtol=1e-9)
        own.zero_grad()
        nnf.cross_entropy(expected, Y[rows]).backward()
        pulls = torch.autograd.grad(nnf.cross_entropy(found, Y[rows]), trained)
        with torch.no_grad():
            for w, pull in zip(trained, pulls, strict=True):
                w -= 0.1 * pull
            for w in own.parameters():
                assert w.grad is not None
                w -= 0.1 * w.grad
    own.eval()
    with torch.no_grad():
        # float64, in which three steps lose some digits.
        assert torch.allclose(image_outputs(W, X.double()), own(X.double()), rtol=1e-8)
        before = W["stem.mean"].clone()
        image_outputs(W, X.double())
    assert torch.equal(W["stem.mean"], before), "only training moves statistics"
    assert torch.allclose(W["second.in.var"], own.norm["second_in"].running_var, rtol=1e-9)


def test_normalised_networks_train_in_bfloat16() -> None:
    schedule = replace(SCHEDULE, epochs=40, step_size=0.02, precision="bfloat16")
    start = init_network(0, NORMALISED)
    (end,) = train_together([start], X, Y, schedule, seed=0)
    assert all(w.dtype == torch.float32 and not w.requires_grad for w in end.values())
    assert float(start["stem.mean"].abs().max()) == 0, "what it starts from stays as it is"
    assert float(end["stem.mean"].abs().min()) > 0
    assert torch.equal(image_outputs(end, X).argmax(dim=1), Y)


def test_flops_count_multiplications() -> None:
    """2 x (5 x 5 x 2 taps x 16 pixels + convolutions at 4 pixels + readout) by hand."""
    convolutions = 9 * 2 * 4 + 9 * 4 * 4 + 2 * 4 + 2 * 9 * 4 * 4
    assert NET.flops() == NORMALISED.flops() == 2 * (25 * 2 * 16 + convolutions * 4 + 3 * 16)


def test_a_step_of_adam_by_hand() -> None:
    """The first step of Adam moves every weight by the step size against its gradient's sign."""
    W0 = init_network(0, NET)
    schedule = Epochs(epochs=1, batch=10, step_size=1e-3)
    (W1,) = train_together([W0], X, Y, schedule, seed=0)
    leaves = {name: w.clone().requires_grad_() for name, w in W0.items()}
    nnf.cross_entropy(image_outputs(leaves, X), Y).backward()
    for name, w in leaves.items():
        assert w.grad is not None
        clear = w.grad.abs() > 1e-4  # far above Adam's 1e-8
        moved = (W1[name] - W0[name])[clear]
        # One step in float32 on weights of size 1.
        assert torch.allclose(moved, -1e-3 * w.grad[clear].sign(), rtol=1e-2, atol=1e-6), name


def test_the_schedule() -> None:
    schedule = Epochs(epochs=10, batch=50, step_size=2.0)
    assert schedule.steps(1000) == 200 and schedule.steps(1001) == 210
    rates = [schedule.rate(t, 1000) for t in range(200)]
    assert rates[0] == pytest.approx(2 / 20)  # the first of twenty steps of warm-up
    assert max(rates) <= 2 and rates[100] == pytest.approx(1.0)
    assert 0 < rates[-1] < 1e-3 and rates[19:] == sorted(rates[19:], reverse=True)


def test_adam_against_torch() -> None:
    """Every step of torch's own Adam, on a copy of the network in another memory layout."""
    W0, X64 = {k: w.double() for k, w in init_network(0, NET).items()}, X.double()
    (found,) = train_together([W0], X64, Y, SCHEDULE, seed=4)
    leaves = {k: w.contiguous().clone().requires_grad_() for k, w in W0.items()}
    adam = torch.optim.Adam(leaves.values(), betas=(0.9, 0.99))
    order, step = stream(4, "image batches"), 0
    for _ in range(3):
        for rows in torch.randperm(10, generator=order).split(4):
            adam.param_groups[0]["lr"] = SCHEDULE.rate(step, 10)
            adam.zero_grad()
            nnf.cross_entropy(image_outputs(leaves, X64[rows]), Y[rows]).backward()
            adam.step()
            step += 1
    assert step == SCHEDULE.steps(10) == 9
    for name, w in leaves.items():
        # float64 over nine steps, which divide by gradients of any size.
        assert torch.allclose(found[name], w, rtol=1e-8, atol=1e-10), name


def test_bfloat16_is_near_float32() -> None:
    """Gradients, and no more, are rounded: steps that bfloat16 could not add are not lost."""
    W0 = init_network(3, NET)
    exact, low = (
        train_together([W0], X, Y, replace(SCHEDULE, step_size=1e-4, precision=precision), seed=4)
        for precision in ("float32", "bfloat16")
    )
    a, b = (torch.cat([(end[k] - W0[k]).flatten() for k in W0]) for (end,) in (exact, low))
    assert all(low[0][k].dtype == torch.float32 for k in W0) and not torch.equal(a, b)
    # Eight bits a number; Adam makes a whole step of a gradient near 0 whatever its sign.
    assert float((a - b).norm() / a.norm()) < 0.3


def test_members_are_trained_as_one() -> None:
    """Their mean falls in loss, and each of them depends on the others."""
    told = []
    schedule = Epochs(epochs=30, batch=5, step_size=0.02)
    starts = [init_network(5000, NET), init_network(5001, NET)]
    a, b = train_together(starts, X, Y, schedule, seed=5, tick=lambda: told.append(1))
    mean = (image_outputs(a, X) + image_outputs(b, X)) / 2
    assert float(nnf.cross_entropy(mean, Y)) < 0.5 * math.log(3)
    (alone,) = train_together(starts[:1], X, Y, schedule, seed=5)
    assert not same(a, alone)
    assert len(told) == schedule.steps(10) == 60


def test_soft_labels_by_hand() -> None:
    """Teacher (0, 2 ln 3) at T = 2 says (1/4, 3/4); a student that says (1/2, 1/2) pays T^2 ln 2,
    and nothing pulls a student that agrees."""
    G = torch.tensor([[0.0, 2 * math.log(3)]])
    goal, loss = soft_labels(G, 2.0)
    assert goal.tolist()[0] == pytest.approx([0.25, 0.75])
    assert float(loss(torch.zeros(1, 2), goal)) == pytest.approx(4 * math.log(2), rel=1e-6)
    F = (G + 5).requires_grad_()  # the same probabilities
    (pull,) = torch.autograd.grad(loss(F, goal), F)
    assert float(pull.abs().max()) < 1e-6
    with pytest.raises(BadInput, match=r"temperature \(T\) = 0"):
        soft_labels(G, 0.0)


def test_a_loss_that_runs_away_is_named() -> None:
    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return outputs.sum() * math.inf

    with pytest.raises(BadInput, match="step 0 of seed 7"):
        train_together([init_network(7, NET)], X, Y, SCHEDULE, seed=7, loss=loss)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n_classes", 0),
        ("channels", 0),
        ("side", 10),
        ("side", 4),
        ("width", 0),
        ("normalisation", "layer"),
    ],
)
def test_bad_networks(field: str, value: object) -> None:
    with pytest.raises(BadInput, match=rf"^{field} .*= {value!r} must .*\.$"):
        replace(NET, **{field: value})


@pytest.mark.parametrize(("field", "value"), [("epochs", 0), ("batch", 0), ("step_size", 0.0)])
def test_bad_schedules(field: str, value: float) -> None:
    with pytest.raises(BadInput, match=rf"^{field} .*= {value} must .*\.$"):
        replace(SCHEDULE, **{field: value})


# ---------------------------------------------------------------- frozen features


def test_tangent_features_are_the_gradient() -> None:
    net = replace(NET, n_classes=1)
    W = init_network(2, net)
    found = tangent_map(W, X, outputs=image_outputs)
    leaves = {name: w.clone().requires_grad_() for name, w in W.items()}
    for i in (0, 7):
        gradients = torch.autograd.grad(
            image_outputs(leaves, X[i : i + 1])[0, 0], [*leaves.values()]
        )
        expected = torch.cat([g.flatten() for g in gradients])
        assert torch.allclose(found[i], expected, rtol=1e-4, atol=1e-5)  # float32, another order


def test_random_convolutions_by_hand() -> None:
    filters = torch.zeros(1, 1, 5, 5)
    filters[0, 0, 2, 2] = -1.0
    found = convolution_map(filters, X)
    assert torch.allclose(found, (-X[:, 0, ::2, ::2]).clamp_min(0).flatten(1))


def test_a_ridge_fit_by_hand() -> None:
    """K = diag(1, 3) and lambda of the mean diagonal 2: outputs K / (K + 2 lambda) y."""
    K, K_test = torch.diag(torch.tensor([1.0, 3.0])), torch.tensor([[1.0, 1.0]])
    y = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    train, test = fit(K, K_test, y, 0.5)
    assert torch.allclose(train, torch.tensor([[0.5, 0.0], [0.0, 1.5]]))
    assert torch.allclose(test, torch.tensor([[0.5, 0.5]]))
    several, _ = fit(K, K_test, torch.stack([y, 2 * y]), 0.5)
    assert torch.allclose(several[1], 2 * train)
