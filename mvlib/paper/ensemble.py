r"""The ensemble of (4.1): the average of independently trained networks' outputs, and its error."""

from __future__ import annotations

import itertools
from math import comb, inf

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int, require_number
from mvlib.core.randomness import stream
from mvlib.paper.gradient_descent import classification_error


def ensemble_outputs(
    member_outputs: Float[Tensor, "members n k"], *, scale: float = 1.0
) -> Float[Tensor, "n k"]:
    r"""$G(X) = \frac{c}{K} \sum_{\ell} F^{[\ell]}(X)$.

    The scale c, the paper's $\widetilde\Theta(1)$, never changes a prediction; it matters only
    when a student is trained to match G.

    Raises:
        BadInput: if scale <= 0.

    Paper: eq. (4.1).
    """
    require_number("scale", "c", scale, 0, inf, "no prediction depends on it", open_low=True)
    return scale * member_outputs.mean(dim=0)


def disjoint_ensembles(
    member_outputs: Float[Tensor, "members n k"], size: int
) -> Float[Tensor, "ensembles n k"]:
    """Averages of the first, the second, ... `size` members, of as many as there are whole ones:
    they share no network, and are independent of each other given the data."""
    require_int("size", "K", size, 1, "average at least one network")
    return torch.stack(
        [ensemble_outputs(part) for part in member_outputs.split(size) if len(part) == size]
    )


def subsets_of_size(
    n_members: int, size: int, *, at_most: int, seed: int
) -> Int[Tensor, "subsets size"]:
    """All subsets of `size` members, or `at_most` distinct ones at random where there are more."""
    require_int("size", "K", size, 1, f"between 1 and {n_members}")
    need = f"lie between 1 and {n_members}"
    require(size <= n_members, "size", "K", size, need, "train more networks")
    if comb(n_members, size) <= at_most:
        return torch.tensor(list(itertools.combinations(range(n_members), size)))
    generator = stream(seed, "subsets", size)
    chosen: dict[tuple[int, ...], None] = {}
    while len(chosen) < at_most:
        drawn = torch.randperm(n_members, generator=generator)[:size]
        chosen[tuple(sorted(drawn.tolist()))] = None
    return torch.tensor(list(chosen))


def size_curve(
    member_outputs: Float[Tensor, "members n k"],
    labels: Int[Tensor, " n"],
    *,
    at_most: int = 60,
    seed: int = 0,
) -> Float[Tensor, "members subsets"]:
    """Error of ensembles of K = 1 .. members networks, one row a size; row K - 1 holds the error
    of each subset tried and is padded with NaN.  Subsets overlap: their spread is not a standard
    error."""
    K_max = member_outputs.shape[0]
    curve = torch.full((K_max, at_most), torch.nan)
    for size in range(1, K_max + 1):
        for column, subset in enumerate(subsets_of_size(K_max, size, at_most=at_most, seed=seed)):
            mean = ensemble_outputs(member_outputs[subset])
            curve[size - 1, column] = classification_error(mean[None], labels)[0]
    return curve


def bootstrap_ensembles(
    member_outputs: Float[Tensor, "members n k"],
    labels: Int[Tensor, " n"],
    *,
    n_resamples: int,
    seed: int,
) -> Float[Tensor, " resamples"]:
    """Errors of ensembles whose members and test inputs are both resampled with replacement.

    Which members are drawn depends on the seed alone: resamples of two kinds of test data belong
    together.  A resample of K networks holds about .63 K different ones, so these errors lie above
    the ensemble's own: as an interval they are conservative upwards.
    """
    members, n, k = member_outputs.shape
    draw_members, draw_rows = (stream(seed, "bootstrap", what) for what in ("members", "rows"))
    errors = []
    for _ in range(n_resamples):
        drawn = torch.randint(0, members, (members,), generator=draw_members)
        weight = torch.bincount(drawn, minlength=members).to(member_outputs.dtype) / members
        mean = (weight @ member_outputs.reshape(members, -1)).view(n, k)
        rows = torch.randint(0, n, (n,), generator=draw_rows)
        errors.append(classification_error(mean[rows][None], labels[rows])[0])
    return torch.stack(errors)
