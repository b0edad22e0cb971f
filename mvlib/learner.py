r"""The two-layer convolutional network of Section 3.2, many networks at once.

A network is a tensor W of shape (k, m, d): m neurons for each of k classes, each looking at every
patch.  An ensemble is the same tensor with one more axis in front.  Nothing here knows what the
data mean: patches are vectors, classes are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.checks import require, require_int, require_number
from mvlib.randomness import stream

# Correlations of a block of samples (see benchmarks/README.md).  On a CPU what the pointwise pass
# re-reads should stay in the cache; elsewhere a block should be worth the launch.
CACHE_FLOATS = 1 << 19
DEVICE_FLOATS = 1 << 25
# Correlations of one sample beyond which its patches are gone through in parts: memory stays
# bounded whatever P is, for a third matrix product.
SAMPLE_FLOATS = 1 << 21


@runtime_checkable
class Streamed(Protocol):
    """Inputs that are made anew in every pass instead of stored: as much of a tensor of shape
    (n, P, d) as training needs."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, P, d)."""
        ...

    def split(self, split_size: int, /) -> Iterable[Tensor]:
        """The samples in order, in blocks of at most so many."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class LearnerParams:
    r"""Architecture, activation and initialisation.

    Choice: the paper takes $\sigma_0 = 1/\sqrt k$ and lets k grow; at k = 10 that starts every
    neuron beyond the threshold and nothing races, so `init_std` is free.

    Attributes:
        n_neurons: m >= 1, neurons per class.
        power: integer q >= 2 of the smoothed ReLU; the paper: 4.
        threshold: $\varrho > 0$, where the smoothed ReLU turns linear (not the data's rho).
        init_std: $\sigma_0 > 0$, every weight starts as $N(0, \sigma_0^2)$.

    Raises:
        BadInput: for the first field out of its range.
    """

    n_neurons: int = 4
    power: int = 4
    threshold: float = 1.0
    init_std: float = 0.02

    def __post_init__(self) -> None:
        big = float("inf")
        require_int("n_neurons", "m", self.n_neurons, 1, "give each class a neuron")
        require_int("power", "q", self.power, 2, "the paper uses 4")
        require_number("threshold", "varrho", self.threshold, 0, big, "try 1.0", open_low=True)
        require_number("init_std", "sigma_0", self.init_std, 0, big, "try 0.02", open_low=True)


def smoothed_relu(
    z: Float[Tensor, "*shape"], *, power: int, threshold: float
) -> Float[Tensor, "*shape"]:
    r"""ReLU with its corner replaced by a polynomial of degree q.

    $0$ for $z \le 0$; $z^q / (q\varrho^{q-1})$ up to $\varrho$; then $z - (1 - 1/q)\varrho$.  The
    polynomial of z clamped to $[0, \varrho]$ plus $\mathrm{ReLU}(z - \varrho)$ is the same function
    with no branch; value and slope agree at both joins.

    Paper: Definition 3.4.
    """
    q, varrho = power, threshold
    return z.clamp(0, varrho) ** q / (q * varrho ** (q - 1)) + torch.relu(z - varrho)


def smoothed_relu_slope(
    z: Float[Tensor, "*shape"], *, power: int, threshold: float
) -> Float[Tensor, "*shape"]:
    r"""The derivative: $(z/\varrho)^{q-1}$ clamped to [0, 1]."""
    return (z.clamp(0, threshold) / threshold) ** (power - 1)


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
    r"""$w^{(0)}_{i,r} \sim N(0, \sigma_0^2 I)$, one independent network a seed.

    Seed 7 gives the same network alone or among a hundred.  `name` separates generations, e.g.
    students from the teachers that share their seed.
    """
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

    One pass over the data: two matrix products and a pointwise pass a block, which is the whole
    cost of training.  `residual(F, rows)` is given the scores of one block of samples after the
    other, in order, and returns $a_i(X)$ for them; for cross-entropy it is
    $1_{i=y} - \mathrm{softmax}_i(F(X))$, and the result is minus the gradient of the loss.
    """
    S, k, m, d = W.shape
    ascent = W.new_zeros(S * k * m, d)
    # The slopes of a block lack the factor 1 / varrho^(q-1); the residuals are far fewer.
    scale = 1 / (X.shape[0] * learner.threshold ** (learner.power - 1))
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


def outputs_and_ascent(
    W: Float[Tensor, "seeds k m d"],
    X: Float[Tensor, "n P d"] | Streamed,
    residual: Residual,
    learner: LearnerParams,
) -> tuple[Float[Tensor, "seeds n k"], Float[Tensor, "seeds k m d"]]:
    """The scores F beside `ascent_direction`, from the same pass."""
    F = W.new_empty(W.shape[0], X.shape[0], W.shape[1])

    def noting(scores: Tensor, rows: slice) -> Tensor:
        F[:, rows] = scores.transpose(0, 1)
        return residual(scores, rows)

    ascent = ascent_direction(W, X, noting, learner)
    return F, ascent


def _blocks(W: Tensor, X: Tensor | Streamed) -> Iterator[tuple[slice, Tensor]]:
    """Blocks of samples with their places."""
    per_sample = X.shape[1] * W[..., 0].numel()
    start = 0
    for block in X.split(max(1, _budget(W) // per_sample)):
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
    r"""Scores (S, k, n) and, at the correlations, slopes times $\varrho^{q-1}$, (S k m, n P).

    With u = z clamped to $[0, \varrho]$ the slope is $u^{q-1}$ and the activation
    $u\, u^{q-1}/q$, both over $\varrho^{q-1}$, plus $\mathrm{ReLU}(z - \varrho)$: products
    alone, where `pow` would take longer than the matrix product.  Neurons are rows, so that the
    sum over patches runs along memory.
    """
    S, k, m, d = W.shape
    q, varrho = learner.power, learner.threshold
    z = W.reshape(-1, d) @ X.reshape(-1, d).T
    u = z.clamp(0, varrho)
    slope = u if q == 2 else u * u
    for _ in range(q - 3):
        slope = slope * u
    # Nothing is written over, so that scores can be differentiated.
    z = torch.addcmul((z - varrho).relu(), slope, u, value=1 / (q * varrho ** (q - 1)))
    scores = z.view(S, k, m, len(X), -1).sum(dim=4).sum(dim=2)
    return scores, slope
