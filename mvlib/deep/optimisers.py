"""Optimisers and learning rates for networks that are dictionaries of weights.

Every operation is one number at a time, so it does not matter how many networks share a dictionary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number

Weights = dict[str, Tensor]  # by name of the parameter; of S networks at once (S, *its shape)


@dataclass(frozen=True, kw_only=True, slots=True)
class Momentum:
    """Gradient descent with momentum."""

    momentum: float = 0.9  # in [0, 1); 0 is plain gradient descent

    def __post_init__(self) -> None:
        require_number("momentum", "beta", self.momentum, 0, 1 - 1e-9, "try 0.9")

    def start(self, weights: Weights) -> tuple[Weights, ...]:
        """The state before the first step."""
        return ({k: torch.zeros_like(w) for k, w in weights.items()},)

    def direction(self, state: tuple[Weights, ...], gradient: Weights, step: int) -> Weights:
        """Where to go, times the learning rate; the state changes in place."""
        del step
        return {k: state[0][k].mul_(self.momentum).add_(g) for k, g in gradient.items()}


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

    def start(self, weights: Weights) -> tuple[Weights, ...]:
        """The state before the first step: both running means are 0."""
        return tuple({k: torch.zeros_like(w) for k, w in weights.items()} for _ in range(2))

    def direction(self, state: tuple[Weights, ...], gradient: Weights, step: int) -> Weights:
        """m / (sqrt(v) + epsilon) in step 0, 1, ..., with m and v the running means of g and g^2,
        corrected for their start at 0; the state changes in place."""
        mean, square = state
        c1, c2 = 1 - self.beta1 ** (step + 1), 1 - self.beta2 ** (step + 1)
        went = {}
        for k, g in gradient.items():
            # In place: of a small network these passes are a good part of the step.
            mean[k].lerp_(g, 1 - self.beta1)
            square[k].mul_(self.beta2).addcmul_(g, g, value=1 - self.beta2)
            root = square[k].sqrt().mul_(c1 / math.sqrt(c2)).add_(c1 * self.epsilon)
            went[k] = mean[k] / root
        return went


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How to train."""

    optimiser: Momentum | Adam
    learning_rate: float  # eta > 0
    epochs: int  # passes through the data, >= 1
    batch_size: int  # B >= 1 samples a step; the last batch of a pass may be smaller
    cosine: bool = True  # the learning rate falls to 0 along half a cosine, or stays
    weight_decay: float = 0.0  # lambda >= 0: a step also takes eta lambda w away (as AdamW does)

    def __post_init__(self) -> None:
        rate, cosine = self.learning_rate, self.cosine
        require_number("learning_rate", "eta", rate, 0, math.inf, "try 0.001", open_low=True)
        require_int("epochs", "", self.epochs, 1, "pass through the data at least once")
        require_int("batch_size", "B", self.batch_size, 1, "take at least one sample a step")
        require(isinstance(cosine, bool), "cosine", "", cosine, "be True or False", "pick one")
        require_number("weight_decay", "lambda", self.weight_decay, 0, math.inf, "0 is none")

    def steps(self, n: int) -> int:
        """How many steps `n` samples take."""
        return self.epochs * -(-n // self.batch_size)

    def rate(self, step: int, steps: int) -> float:
        """The learning rate of step 0, 1, ..., steps - 1."""
        share = 0.5 * (1 + math.cos(math.pi * step / steps)) if self.cosine else 1.0
        return self.learning_rate * share
