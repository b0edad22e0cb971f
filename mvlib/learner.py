r"""The two-layer convolutional network of Section 3.2, many networks at once.

A network is a tensor W of shape (k, m, d): m neurons for each of k classes, each looking at every
patch.  An ensemble is the same tensor with one more axis in front.  Nothing here knows what the
data mean: patches are vectors, classes are numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.checks import require, require_int, require_number
from mvlib.randomness import stream

CACHE_FLOATS = 1 << 20  # correlations held at a time (4 MB): what the pointwise pass re-reads


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
    W: Float[Tensor, "seeds k m d"], X: Float[Tensor, "n P d"], learner: LearnerParams
) -> Float[Tensor, "seeds n k"]:
    r"""$F_i(X) = \sum_{r \in [m]} \sum_{p \in [P]} \widetilde{ReLU}(\langle w_{i,r}, x_p\rangle)$.

    Every network on every input.  These are scores: what the paper calls "logit" is their softmax.
    """
    S, k, m, _ = W.shape
    F = W.new_empty(len(X), S, k)
    for rows in _blocks(len(X), X.shape[1] * S * k * m):
        F[rows] = _forward_block(W, X[rows], learner)[0]
    return F.transpose(0, 1)


Residual = Callable[[Float[Tensor, "n seeds k"], slice], Float[Tensor, "n seeds k"]]


def outputs_and_ascent(
    W: Float[Tensor, "seeds k m d"],
    X: Float[Tensor, "n P d"],
    residual: Residual,
    learner: LearnerParams,
) -> tuple[Float[Tensor, "seeds n k"], Float[Tensor, "seeds k m d"]]:
    r"""One pass over the data: the scores F and the ascent direction
    $\frac1N \sum_X a_i(X)\, \nabla_{w_{i,r}} F_i(X)$ with
    $\nabla_{w_{i,r}} F_i(X) = \sum_p \widetilde{ReLU}'(\langle w_{i,r}, x_p\rangle)\, x_p$.

    `residual(F, rows)` returns $a_i(X)$ for one block of samples; for cross-entropy it is
    $1_{i=y} - \mathrm{softmax}_i(F(X))$, and the result is minus the gradient of the loss.  Two
    matrix products and a pointwise pass a block: this is the whole cost of training.
    """
    S, k, m, d = W.shape
    N, P = X.shape[:2]
    F = W.new_empty(N, S, k)
    ascent = W.new_zeros(S * k * m, d)
    for rows in _blocks(N, P * S * k * m):
        block = X[rows]
        F[rows], correlations = _forward_block(W, block, learner)
        weight = residual(F[rows], rows) / N
        slope = _slope_in_place(correlations, learner).view(len(block), P, S, k, m)
        slope *= weight[:, None, :, :, None]
        ascent.addmm_(slope.view(-1, S * k * m).T, block.reshape(-1, d))
    return F.transpose(0, 1), ascent.view_as(W)


def _blocks(n: int, floats_per_sample: int) -> list[slice]:
    size = max(1, CACHE_FLOATS // floats_per_sample)
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


def _forward_block(W: Tensor, X: Tensor, learner: LearnerParams) -> tuple[Tensor, Tensor]:
    """Scores (n, S, k) and correlations <w, x_p> (n P, S k m) of one block."""
    S, k, m, d = W.shape
    correlations = X.reshape(-1, d) @ W.reshape(-1, d).T
    activation = smoothed_relu(correlations, power=learner.power, threshold=learner.threshold)
    return activation.view(len(X), -1, S, k, m).sum(dim=(1, 4)), correlations


def _slope_in_place(correlations: Tensor, learner: LearnerParams) -> Tensor:
    """`smoothed_relu_slope` written over its argument: the block stays in the cache."""
    return correlations.clamp_(0, learner.threshold).div_(learner.threshold).pow_(learner.power - 1)
