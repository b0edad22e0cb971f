r"""Who asks for each view, and what single-view inputs are known by: the quantities that the proofs
of Theorems 1 and 3 bound along training."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mvlib.paper.multi_view_data import BLOCK, Sample
from mvlib.paper.network import LearnerParams, Residual

# Where a training sample stands to a view: its class's multi-view samples, its class's single-view
# samples that show it, samples of other classes that show it faintly, all the rest.
ROLES = ("own class, multi-view", "own class, single-view", "other classes", "the rest")


def roles(data: Sample) -> Bool[Tensor, "n k V roles"]:
    """Where each sample stands to each view: one of `ROLES`."""
    _, k, V = data.strengths.shape
    classes, views = torch.arange(k), torch.arange(V)
    own = (data.labels.cpu()[:, None] == classes)[:, :, None]
    single = data.single_view.cpu()[:, None, None]
    multi = (own & ~single).expand(-1, -1, V)
    shown = own & single & (data.dominant_view.cpu()[:, None, None] == views)
    faint = ~own & (data.strengths.cpu() > 0)
    return torch.stack([multi, shown, faint, ~(multi | shown | faint)], dim=-1)


def growth_by_role(
    W: Float[Tensor, "seeds k m d"],
    *,
    features: Float[Tensor, "k V d"],
    data: Sample,
    residual: Residual,
    learner: LearnerParams,
) -> Float[Tensor, "seeds k V roles two"]:
    r"""Of each view $v_{j,\ell}$ and each role of the samples (`ROLES`), two numbers: the mean
    residual $a_j(X)$ of the samples in it, NaN where there are none, and their part of

    $$\frac{d}{dt}\langle w_{j,r}, v_{j,\ell}\rangle = \frac1N \sum_X a_j(X) \sum_p
    \widetilde{ReLU}'(\langle w_{j,r}, x_p\rangle)\, \langle x_p, v_{j,\ell}\rangle$$

    for the neuron r that reads the view best, per unit of $\eta$: over the roles these add up to
    that component of `ascent_direction`.  `residual` is as there; products are in W's precision.
    """
    S, k, m, d = W.shape
    V, P, activation = features.shape[1], data.patches.shape[1], learner.nonlinearity
    best = torch.einsum("skmd,kvd->skvm", W, features).argmax(dim=-1)[..., None, None]
    rows = torch.cat([W.reshape(-1, d), features.reshape(-1, d)])
    where = roles(data).to(W)
    found, start = W.new_zeros(S, k, V, len(ROLES), 2), 0
    for block in data.patches.split(BLOCK):
        n = len(block)
        here = slice(start, start + n)
        reads = torch.einsum("rd,npd->rnp", rows, block.to(W.dtype))
        z, seen = reads[: -k * V].view(S, k, m, n, P), reads[-k * V :].view(k, V, n, P)
        F = activation.value(z).sum(dim=(2, 4))
        a = residual(F.permute(2, 0, 1), here).permute(1, 2, 0)[:, :, None]  # (S, k, 1, n)
        slope = activation.slope(z).gather(2, best.expand(-1, -1, -1, n, P))
        pull = a * (slope * seen).sum(dim=-1)  # (S, k, V, n)
        both = torch.stack([a.expand_as(pull), pull], dim=-1)
        found += torch.einsum("skvnx,nkvr->skvrx", both, where[here])
        start += n
    return found / torch.stack([where.sum(dim=0), where.new_full((k, V, 4), start)], dim=-1)


def own_scores(
    W: Float[Tensor, "seeds k m d"], *, inputs: Sample, learner: LearnerParams
) -> Float[Tensor, "seeds n parts"]:
    r"""$F_y(X)$ of each input by where it is read: in the patches of each of the V views of its own
    class, and in all others, V + 1 parts that add up to the score if views share no patch."""
    x, rows = inputs.patches, torch.arange(len(inputs), device=W.device)
    assert isinstance(x, Tensor)
    reads = torch.einsum("snmd,npd->snmp", W[:, inputs.labels], x.to(W.dtype))
    value = learner.nonlinearity.value(reads).sum(dim=2)  # (S, n, P)
    patches = inputs.view_patches[rows, inputs.labels].flatten(1)  # (n, V C_p), all slots filled
    own = value.gather(2, patches.expand(len(W), -1, -1))
    own = own.unflatten(2, (inputs.strengths.shape[2], -1)).sum(dim=-1)
    return torch.cat([own, (value.sum(dim=2) - own.sum(dim=2))[..., None]], dim=2)
