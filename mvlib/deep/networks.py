r"""Small deep networks, and many seeds of one of them trained at once.

A network here is a `torch.nn.Module` without state that takes the inputs of S networks at once,
(S, n, d), with their weights, one dictionary: name -> (S, *shape).  Networks do not interact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.deep.optimisers import Plan, Weights, descend, rounded
from mvlib.paper.gradient_descent import Progress

Form = Literal["linear", "fully connected", "residual", "convolutional"]
Loss = Callable[[Tensor, Tensor], Tensor]  # outputs (S, n, k) and targets (S, n, ...) -> (S,)


def cross_entropy(
    outputs: Float[Tensor, "S n k"], targets: Shaped[Tensor, "S n *k"]
) -> Float[Tensor, " S"]:
    """Of each network, mean over its samples; targets are labels or probabilities."""
    each = functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(0, 1), reduction="none")
    return each.view(outputs.shape[:2]).mean(dim=1)


class Affine(nn.Linear):
    """The affine functions of S networks at once: one batched product."""

    def forward(self, x: Float[Tensor, "S n d"]) -> Float[Tensor, "S n k"]:
        return torch.baddbmm(self.bias.unsqueeze(-2), x, self.weight.mT)


class FullyConnected(nn.Module):
    """`depth` hidden layers of `width` neurons with ReLU, then a linear read-out; of depth 0 a
    linear function."""

    def __init__(self, *, n_inputs: int, width: int, depth: int, n_outputs: int) -> None:
        super().__init__()
        sizes = [n_inputs, *[width] * depth]
        self.hidden = nn.ModuleList(Affine(i, o) for i, o in pairwise(sizes))
        self.readout = Affine(sizes[-1], n_outputs)

    def forward(self, x: Float[Tensor, "S n d"]) -> Float[Tensor, "S n k"]:
        for layer in self.hidden:
            x = torch.relu(layer(x))
        return self.readout(x)


class Residual(nn.Module):
    r"""`depth` blocks $h \mapsto h + B\,\mathrm{ReLU}(A\,\mathrm{norm}(h))$ of `width` neurons
    between a linear read-in and a linear read-out of norm(h).

    norm subtracts a sample's mean over neurons and divides by their standard deviation; it has no
    parameters and, unlike batch normalisation, no memory of other samples.
    """

    def __init__(self, *, n_inputs: int, width: int, depth: int, n_outputs: int) -> None:
        super().__init__()
        self.readin = Affine(n_inputs, width)
        self.inner = nn.ModuleList(Affine(width, width) for _ in range(depth))
        self.outer = nn.ModuleList(Affine(width, width) for _ in range(depth))
        self.readout = Affine(width, n_outputs)

    def forward(self, x: Float[Tensor, "S n d"]) -> Float[Tensor, "S n k"]:
        h = self.readin(x)
        for inner, outer in zip(self.inner, self.outer, strict=True):
            h = h + outer(torch.relu(inner(functional.layer_norm(h, h.shape[-1:]))))
        return self.readout(functional.layer_norm(h, h.shape[-1:]))


class Convolutional(nn.Module):
    """`depth` convolutions over windows of three neighbouring positions with ReLU, then a linear
    read-out of all positions.

    An input of d numbers is a circle of `positions` places with d / positions channels each.
    """

    def __init__(self, *, n_inputs: int, positions: int, width: int, depth: int,
                 n_outputs: int) -> None:  # fmt: skip
        super().__init__()
        self.positions = positions
        channels = [n_inputs // positions, *[width] * depth]
        self.hidden = nn.ModuleList(Affine(3 * i, o) for i, o in pairwise(channels))
        self.readout = Affine(positions * channels[-1], n_outputs)

    def forward(self, x: Float[Tensor, "S n d"]) -> Float[Tensor, "S n k"]:
        S, n, _ = x.shape
        h = x.reshape(S, n, self.positions, -1)
        for layer in self.hidden:
            window = torch.cat([h.roll(1, dims=2), h, h.roll(-1, dims=2)], dim=-1)
            h = torch.relu(layer(window.flatten(1, 2))).view(S, n, self.positions, -1)
        return self.readout(h.flatten(2))


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """A network's form.

    Attributes:
        kind: "linear", "fully connected", "residual" or "convolutional".
        width: neurons (channels) of a hidden layer, >= 1; 0 for a linear function.
        depth: hidden layers, blocks or convolutions, >= 1; 0 for a linear function.
    """

    kind: Form
    width: int = 0
    depth: int = 0

    def __post_init__(self) -> None:
        kinds = get_args(Form)
        require(self.kind in kinds, "kind", "choice", self.kind, f"be one of {kinds}", "pick one")
        least = 0 if self.kind == "linear" else 1
        require_int("width", "", self.width, least, "only linear functions have no hidden layer")
        require_int("depth", "", self.depth, least, "only linear functions have no hidden layer")
        flat = self.kind != "linear" or self.width == self.depth == 0
        require(flat, "depth", "", self.depth, "be 0 for a linear function", "leave out its sizes")

    @property
    def label(self) -> str:
        """The form in words and numbers."""
        return self.kind if self.kind == "linear" else f"{self.kind} {self.width} x {self.depth}"

    def build(self, *, n_inputs: int, n_outputs: int, positions: int) -> nn.Module:
        """A `skeleton` of this form; `positions` matters to convolutions only."""
        sizes = dict(n_inputs=n_inputs, width=self.width, depth=self.depth, n_outputs=n_outputs)
        if self.kind == "convolutional":
            return skeleton(Convolutional, positions=positions, **sizes)
        return skeleton(Residual if self.kind == "residual" else FullyConnected, **sizes)


def skeleton(build: Callable[..., nn.Module], **sizes: int) -> nn.Module:
    """A network without weights: it says what is computed and which shapes that takes."""
    with torch.device("meta"):
        return build(**sizes)


def init_many(
    network: nn.Module, seeds: Sequence[int], *, name: str = "init", readout_scale: float = 1.0,
    dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu",
) -> Weights:  # fmt: skip
    r"""Weights of one network a seed: $\mathcal N(0, 2 / \mathrm{fan\ in})$, offsets 0.

    Weights of the module called readout are multiplied by `readout_scale` >= 0: small values start
    near F = 0, as the networks of Definition 3.4 do.  Each network has its seed's own stream: it is
    the same alone or among others.  Scales of a learned norm (vectors called weight) are 1.

    Raises:
        BadInput: if there are no seeds.
    """
    require(len(seeds) > 0, "seeds", "", list(seeds), "not be empty", "name at least one network")
    require_number("readout_scale", "", readout_scale, 0, math.inf, "1 changes nothing")
    generators, weights = [stream(seed, name) for seed in seeds], {}
    for key, like in network.named_parameters():
        w = torch.full((len(seeds), *like.shape), float(key.endswith("weight")), dtype=dtype)
        if like.ndim > 1:
            std = math.sqrt(2 / like.shape[1:].numel())
            drawn = [torch.randn(like.shape, generator=g, dtype=dtype) for g in generators]
            w = std * torch.stack(drawn)
        weights[key] = w.to(device)
    if "readout.weight" in weights:
        weights["readout.weight"] *= readout_scale
    return weights


def train_many(
    network: nn.Module, weights: Weights, X: Float[Tensor, "n ..."], targets: Tensor, *, plan: Plan,
    orders: Sequence[torch.Generator], loss: Loss = cross_entropy, progress: Progress | None = None,
) -> Weights:  # fmt: skip
    """Train every network of `weights` on the same data, all at once.

    Args:
        network: what is computed, see `skeleton`; no batch normalisation or dropout.
        weights: where they start, see `init_many`; not changed.
        X, targets: n samples; labels, or whatever `loss` compares outputs with, one row a sample.
        orders: one generator of the order of the samples for all networks, or one for each.
        progress: called after each pass with its number of steps so far.

    Raises:
        BadInput: if the number of generators fits neither, or targets and samples differ in number.
        FloatingPointError: at the first loss that is not finite, naming step and network.
    """
    n, S = len(X), len(next(iter(weights.values())))
    fits, remedy = len(orders) in (1, S), "give one for all networks or one for each"
    require(fits, "orders", "", len(orders), f"be 1 or {S} generators", remedy)
    require(len(targets) == n, "targets", "", len(targets), f"be {n} rows", "one for each sample")
    weights = {name: w.clone().requires_grad_() for name, w in weights.items()}
    own, X = X.dtype, rounded(X, plan.precision)
    optimiser, step, steps = plan.optimiser.build(weights.values()), 0, plan.steps(n)
    for _ in range(plan.epochs):
        order = torch.stack([torch.randperm(n, generator=g) for g in orders]).to(X.device)
        for rows in order.expand(S, n).split(plan.batch_size, dim=1):
            used = {name: rounded(w, plan.precision) for name, w in weights.items()}
            outputs = functional_call(network, used, (X[rows],)).to(own)
            value = loss(outputs, targets[rows])
            if not bool(torch.isfinite(value).all()):
                bad = int((~torch.isfinite(value)).nonzero()[0])
                said = f"loss of network {bad} is {value[bad].item()} at step {step}"
                raise FloatingPointError(f"{said}; lower the learning rate.")
            gradients = torch.autograd.grad(value.sum(), [*weights.values()])
            descend(optimiser, gradients, plan.rate(step, steps), plan.weight_decay)
            step += 1
        if progress:
            progress(step, 1.0)
    return {name: w.detach() for name, w in weights.items()}


def outputs_many(
    network: nn.Module, weights: Weights, X: Float[Tensor, "n ..."], *, block: int = 2000
) -> Float[Tensor, "S n k"]:
    """Scores of every network on every input, in blocks of `block` inputs."""
    S = len(next(iter(weights.values())))
    blocks = (x.expand(S, *x.shape) for x in X.split(block))
    with torch.no_grad():
        return torch.cat([functional_call(network, weights, (x,)) for x in blocks], dim=1)
