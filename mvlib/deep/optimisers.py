"""PyTorch's optimisers, as configurations that a study can hold, and learning rates.

Every operation is one number at a time, so it does not matter how many networks share a tensor.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number

Precision = Literal["float32", "bfloat16"]
Weights = dict[str, Tensor]  # by name of the parameter; of S networks at once (S, *its shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Momentum:
    """Gradient descent with momentum."""

    momentum: float = 0.9  # in [0, 1); 0 is plain gradient descent

    def __post_init__(self) -> None:
        require_number("momentum", "beta", self.momentum, 0, 1 - 1e-9, "try 0.9")

    def build(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        """PyTorch's optimiser of these weights, for `descend`."""
        return torch.optim.SGD(weights, momentum=self.momentum, fused=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class Adam:
    """Adam (Kingma and Ba)."""

    beta1: float = 0.9  # in [0, 1), how slowly the running means of g and g^2 forget
    beta2: float = 0.999
    epsilon: float = 1e-8  # > 0, keeps directions finite where gradients are 0

    def __post_init__(self) -> None:
        require_number("beta1", "beta_1", self.beta1, 0, 1 - 1e-9, "try 0.9")
        require_number("beta2", "beta_2", self.beta2, 0, 1 - 1e-9, "try 0.999")
        require_number("epsilon", "", self.epsilon, 0, math.inf, "try 1e-8", open_low=True)

    def build(self, weights: Iterable[Tensor]) -> torch.optim.Optimizer:
        """PyTorch's optimiser of these weights, for `descend`."""
        betas = (self.beta1, self.beta2)
        return torch.optim.Adam(weights, betas=betas, eps=self.epsilon, fused=True)


def descend(
    optimiser: torch.optim.Optimizer, gradients: Iterable[Tensor], rate: float, decay: float = 0.0
) -> None:
    """One step of the optimiser's weights along these gradients, in place; `rate` times `decay` of
    the weights themselves is taken away first, as AdamW does."""
    (group,) = optimiser.param_groups
    group["lr"] = rate
    for w, g in zip(group["params"], gradients, strict=True):
        # Fused steps go through memory side by side: other strides would be other weights.
        w.grad = g if g.stride() == w.stride() else torch.empty_like(w).copy_(g)
        if decay:
            w.data.mul_(1 - rate * decay)
    optimiser.step()


def rounded(x: Tensor, precision: Precision) -> Tensor:
    """What products are computed with: x, or in bfloat16 its neighbour there."""
    return x.bfloat16() if precision == "bfloat16" else x


def require_precision(precision: str) -> None:
    """Raises `BadInput` if there is no such precision."""
    known, remedy = get_args(Precision), "float32 where it matters"
    require(precision in known, "precision", "", precision, f"be one of {known}", remedy)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How to train."""

    optimiser: Momentum | Adam
    learning_rate: float  # eta > 0
    epochs: int  # passes through the data, >= 1
    batch_size: int  # B >= 1 samples a step; the last batch of a pass may be smaller
    cosine: bool = True  # the learning rate falls to 0 along half a cosine, or stays
    weight_decay: float = 0.0  # lambda >= 0: a step also takes eta lambda w away (as AdamW does)
    precision: Precision = "float32"  # of the training's activations; weights stay as they are

    def __post_init__(self) -> None:
        rate, cosine = self.learning_rate, self.cosine
        require_number("learning_rate", "eta", rate, 0, math.inf, "try 0.001", open_low=True)
        require_int("epochs", "", self.epochs, 1, "pass through the data at least once")
        require_int("batch_size", "B", self.batch_size, 1, "take at least one sample a step")
        require(isinstance(cosine, bool), "cosine", "", cosine, "be True or False", "pick one")
        require_number("weight_decay", "lambda", self.weight_decay, 0, math.inf, "0 is none")
        require_precision(self.precision)

    def steps(self, n: int) -> int:
        """How many steps `n` samples take."""
        return self.epochs * -(-n // self.batch_size)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step 0, 1, ..., steps - 1."""
        share = 0.5 * (1 + math.cos(math.pi * step / steps)) if self.cosine else 1.0
        return self.learning_rate * share
