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

from mvlib.core.arithmetic import PRECISIONS, Precision, is_native, multiply, rounded
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
        precision: of the products of weights and inputs, see `mvlib.core.arithmetic`;
            the activation, residuals and steps are always in float32.

    Choice: in "bfloat16" and "split" the inputs are *defined* as rounded to the 8 bits of bfloat16,
    training and test alike.  They then take half the memory and are exact in every product, on
    every machine; the noise they carry is a hundred times what rounding adds.

    Raises:
        BadInput: for the first field out of its range.
    """

    n_neurons: int = 4
    power: int = 4
    threshold: float = 1.0
    init_std: float = 0.02
    activation: Activation | None = None
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        require_int("n_neurons", "m", self.n_neurons, 1, "give each class a neuron")
        smoothed = SmoothedReLU(self.power, self.threshold)
        require_number("init_std", "sigma_0", self.init_std, 0, inf, "try 0.02", open_low=True)
        if self.activation is not None:
            check_activation(self.activation)
            kept, given = smoothed == SmoothedReLU(), (self.power, self.threshold)
            need, remedy = "keep their defaults beside an activation", "give them to the activation"
            require(kept, "power, threshold", "q, varrho", given, need, remedy)

        known = f"be one of {PRECISIONS}"
        require(self.precision in PRECISIONS, "precision", "", self.precision, known, "pick one")

    @property
    def rounds_inputs(self) -> bool:
        """Whether inputs are bfloat16 numbers."""
        return self.precision != "float32"

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
    F, here = W.new_empty(W.shape[0], X.shape[0], W.shape[1]), _Pass(W, learner)
    for rows, block in _blocks(W, X):
        F[:, rows] = here.scores(block)[0].transpose(1, 2)
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
    ascent, here = W.new_zeros(S * k * m, d), _Pass(W, learner)
    # The slopes of a block still have their unit; the residuals are far fewer.
    scale = 1 / (X.shape[0] * learner.nonlinearity.slope_unit)
    for rows, block in _blocks(W, X):
        F, slope = here.scores(block)
        a = (residual(F.permute(2, 0, 1), rows) * scale).permute(1, 2, 0)  # (S, k, n)
        for part in _parts(W, block):
            if slope is None:
                slope = here.forward(part)[1]
            slope.view(S, k, m, *part.shape[:2]).mul_(a[:, :, None, :, None])
            here.add_pull(slope, part, ascent)
            slope = None
    return ascent.view_as(W)


class _Pass:
    """Both products and the pointwise part of one pass, block after block in the same memory:
    memory asked for anew is zeroed page by page, which can take as long as a product."""

    def __init__(self, W: Tensor, learner: LearnerParams) -> None:
        self.W, self.weights, self.activation = W, W.reshape(-1, W.shape[3]), learner.nonlinearity
        self.precision = learner.precision
        self.native = is_native(self.precision, W.device.type)
        self.rounded = rounded(self.weights, self.precision)
        self.differentiated = W.requires_grad and torch.is_grad_enabled()
        self.columns = 0

    def scores(self, block: Tensor) -> tuple[Tensor, Tensor | None]:
        """Scores (S, k, n) of a block and, unless it was gone through in parts, its slopes."""
        first, *others = _parts(self.W, block)
        scores, slope = self.forward(first)
        for part in others:
            scores += self.forward(part)[0]
        return scores, None if others else slope

    def forward(self, X: Tensor) -> tuple[Tensor, Tensor]:
        """Scores (S, k, n) and, at the correlations, slopes times their unit, (S k m, n P), which
        the next call writes over.  Neurons are rows, so that the sum over patches runs along
        memory."""
        S, k, m, d = self.W.shape
        x = X.reshape(-1, d).T
        if self.differentiated:  # autograd keeps what it needs: nothing may be written over
            value, slope = self.activation.value_and_slope(self.weights @ x.to(self.W.dtype))
        else:
            (z, *others), narrow = self._room(x.shape[1])
            z = multiply(self.rounded, x, z, native=self.native, spare=narrow)
            value, slope = self.activation.value_and_slope_(z, others)
        return value.view(S, k, m, len(X), -1).sum(dim=4).sum(dim=2), slope

    def add_pull(self, slope: Tensor, X: Tensor, ascent: Tensor) -> None:
        """ascent += slope X, blocks added up in float32."""
        x = X.reshape(-1, ascent.shape[1])
        slopes = rounded(slope, self.precision, self._room(slope.shape[1])[1])
        pull, narrow = torch.empty_like(ascent), torch.empty_like(ascent, dtype=torch.bfloat16)
        ascent += multiply(slopes, x, pull, native=self.native, spare=narrow)

    def _room(self, columns: int) -> tuple[list[Tensor], Tensor]:
        """Three matrices (S k m, columns), and one in bfloat16."""
        size = len(self.weights) * columns
        if columns > self.columns:
            self.columns, self.wide = columns, self.W.new_empty(3, size)
            self.narrow = self.W.new_empty(
                size if self.precision != "float32" else 0, dtype=torch.bfloat16
            )
        shape = (len(self.weights), columns)
        narrow = self.narrow[:size].view(shape) if len(self.narrow) else self.narrow
        return [part[:size].view(shape) for part in self.wide], narrow


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
