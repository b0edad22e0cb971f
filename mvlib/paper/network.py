r"""The two-layer convolutional network of Section 3.2, many networks at once: their scores and
the direction in which (3.1) moves them.

A network is a tensor W of shape (k, m, d): m neurons for each of k classes, each looking at every
patch.  An ensemble is the same tensor with one more axis in front.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.paper.activation import Activation, SmoothedReLU, check_activation

# Correlations of a block of samples (see benchmarks/README.md).  On a CPU what the pointwise pass
# re-reads should stay in the cache; elsewhere a block should be worth the launch.
CACHE_FLOATS = 1 << 19
DEVICE_FLOATS = 1 << 25
# Correlations of one sample beyond which its patches are gone through in parts: memory stays
# bounded whatever P is, for a third matrix product.
SAMPLE_FLOATS = 1 << 21


@runtime_checkable
class Streamed(Protocol):
    """Inputs made anew in every pass: as much of a tensor of shape (n, P, d) as training needs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, P, d)."""

    def split(self, split_size: int, /) -> Iterable[Tensor]:
        """The samples in order, in blocks of at most so many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnerParams:
    r"""Architecture, activation and initialisation.

    Choice: the paper takes $\sigma_0 = 1/\sqrt k$ and lets k grow; at k = 10 that starts every
    neuron beyond the threshold and nothing races, so `init_std` is free.

    Attributes:
        n_neurons: m >= 1, neurons per class.
        power, threshold: q and $\varrho$ of Definition 3.4, see `SmoothedReLU`.
        init_std: $\sigma_0 > 0$, every weight starts as $N(0, \sigma_0^2)$.
        activation: another one in the place of Definition 3.4; power and threshold then keep
            their defaults.

    Raises:
        BadInput: for the first field out of its range.
    """

    n_neurons: int = 4
    power: int = 4
    threshold: float = 1.0
    init_std: float = 0.02
    activation: Activation | None = None

    def __post_init__(self) -> None:
        require_int("n_neurons", "m", self.n_neurons, 1, "give each class a neuron")
        smoothed = SmoothedReLU(self.power, self.threshold)
        require_number("init_std", "sigma_0", self.init_std, 0, inf, "try 0.02", open_low=True)
        if self.activation is not None:
            check_activation(self.activation)
            kept, given = smoothed == SmoothedReLU(), (self.power, self.threshold)
            need, remedy = "keep their defaults beside an activation", "give them to the activation"
            require(kept, "power, threshold", "q, varrho", given, need, remedy)

    @property
    def nonlinearity(self) -> Activation:
        """The activation in force: `activation`, or Definition 3.4."""
        return self.activation or SmoothedReLU(self.power, self.threshold)


def init_weights(
    seeds: Sequence[int],
    learner: LearnerParams,
    *,
    n_classes: int,
    dim: int,
    name: str = "init",
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "seeds k m d"]:
    r"""$w^{(0)}_{i,r} \sim N(0, \sigma_0^2 I)$, one independent network a seed; `name` separates
    generations, e.g. students from the teachers that share their seed."""
    shape = (n_classes, learner.n_neurons, dim)
    drawn = [torch.randn(shape, generator=stream(seed, name)) for seed in seeds]
    require(len(drawn) > 0, "seeds", "L", list(seeds), "hold at least one seed", "pass range(10)")
    return (learner.init_std * torch.stack(drawn)).to(device=device, dtype=dtype)


def logits(
    W: Float[Tensor, "seeds k m d"], X: Float[Tensor, "n P d"] | Streamed, learner: LearnerParams
) -> Float[Tensor, "seeds n k"]:
    r"""$F_i(X) = \sum_{r \in [m]} \sum_{p \in [P]} \widetilde{ReLU}(\langle w_{i,r}, x_p\rangle)$.

    Every network on every input.  These are scores: what the paper calls "logit" is their softmax.
    """
    F = W.new_empty(W.shape[0], X.shape[0], W.shape[1])
    for rows, block in _blocks(W, X):
        F[:, rows] = _block_scores(W, block, learner)[0].transpose(1, 2)
    return F


Residual = Callable[[Float[Tensor, "n seeds k"], slice], Float[Tensor, "n seeds k"]]


def ascent_direction(
    W: Float[Tensor, "seeds k m d"],
    X: Float[Tensor, "n P d"] | Streamed,
    residual: Residual,
    learner: LearnerParams,
) -> Float[Tensor, "seeds k m d"]:
    r"""$\frac1N \sum_X a_i(X)\, \nabla_{w_{i,r}} F_i(X)$ with
    $\nabla_{w_{i,r}} F_i(X) = \sum_p \widetilde{ReLU}'(\langle w_{i,r}, x_p\rangle)\, x_p$.

    One pass over the data, the whole cost of training: two matrix products and a pointwise pass a
    block.  `residual(F, rows)` returns $a_i(X)$ for the scores of one block after the other, in
    order; for cross-entropy, $1_{i=y} - \mathrm{softmax}_i(F(X))$, this is minus the gradient.
    """
    S, k, m, d = W.shape
    ascent = W.new_zeros(S * k * m, d)
    # The slopes of a block still have their unit; the residuals are far fewer.
    scale = 1 / (X.shape[0] * learner.nonlinearity.slope_unit)
    for rows, block in _blocks(W, X):
        F, slope = _block_scores(W, block, learner)
        a = (residual(F.permute(2, 0, 1), rows) * scale).permute(1, 2, 0)  # (S, k, n)
        for part in _parts(W, block):
            if slope is None:
                slope = _forward(W, part, learner)[1]
            slope.view(S, k, m, *part.shape[:2]).mul_(a[:, :, None, :, None])
            ascent.addmm_(slope, part.reshape(-1, d))
            slope = None
    return ascent.view_as(W)


def _blocks(W: Tensor, X: Tensor | Streamed) -> Iterator[tuple[slice, Tensor]]:
    start = 0
    for block in X.split(max(1, _budget(W) // (X.shape[1] * W[..., 0].numel()))):
        yield slice(start, start + len(block)), block
        start += len(block)


def _parts(W: Tensor, block: Tensor) -> Sequence[Tensor]:
    """The block as it is, or in parts where even one sample is too large."""
    limit = max(_budget(W), SAMPLE_FLOATS) // (len(block) * W[..., 0].numel())
    return block.split(max(1, limit), dim=1)


def _budget(W: Tensor) -> int:
    return CACHE_FLOATS if W.device.type == "cpu" else DEVICE_FLOATS


def _block_scores(W: Tensor, block: Tensor, learner: LearnerParams) -> tuple[Tensor, Tensor | None]:
    """Scores (S, k, n) of a block and, unless it was gone through in parts, its slopes."""
    first, *others = _parts(W, block)
    scores, slope = _forward(W, first, learner)
    for part in others:
        scores += _forward(W, part, learner)[0]
    return scores, None if others else slope


def _forward(W: Tensor, X: Tensor, learner: LearnerParams) -> tuple[Tensor, Tensor]:
    """Scores (S, k, n) and, at the correlations, slopes times their unit, (S k m, n P).  Neurons
    are rows, so that the sum over patches runs along memory."""
    S, k, m, d = W.shape
    value, slope = learner.nonlinearity.value_and_slope(W.reshape(-1, d) @ X.reshape(-1, d).T)
    return value.view(S, k, m, len(X), -1).sum(dim=4).sum(dim=2), slope
