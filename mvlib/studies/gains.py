r"""What averaging the outputs of networks changes: errors, cross-entropy, variance, agreement."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from mvlib.core.randomness import stream
from mvlib.paper.ensemble import ensemble_outputs, size_curve
from mvlib.paper.gradient_descent import classification_error

RESAMPLES = 200
SUBSETS = 20  # ensembles tried of every size


def gains(
    outputs: Float[Tensor, "members n k"], labels: Int[Tensor, " n"], *, seed: int = 0
) -> dict[str, Tensor]:
    """Everything that is measured of some networks and of their average.

    Returns:
        single_error, single_loss (members,): of each network, loss being the cross-entropy;
        ensemble_error, ensemble_loss: of their average; disagreement, see there;
        variance_curve (members // 2,) and output_power, see `variance_curve`; size_curve
        (members,): mean error of ensembles of 1, 2, ...; agreement, agreement_ensemble
        (members + 1,), see `agreement`; bootstrap_single, bootstrap_ensemble (resamples,), see
        `paired_bootstrap`.
    """
    mean = ensemble_outputs(outputs)[None]
    single, together = paired_bootstrap(outputs, labels, seed=seed)
    known, rescued = agreement(outputs, labels)
    curve = size_curve(outputs, labels, at_most=SUBSETS, seed=seed)
    return {
        "single_error": classification_error(outputs, labels),
        "ensemble_error": classification_error(mean, labels)[0],
        "single_loss": _cross_entropy(outputs, labels),
        "ensemble_loss": _cross_entropy(mean, labels)[0],
        "disagreement": disagreement(outputs),
        "variance_curve": variance_curve(outputs),
        "output_power": centred(outputs).square().mean(),
        "size_curve": curve.nanmean(dim=1),
        "agreement": known,
        "agreement_ensemble": rescued,
        "bootstrap_single": single,
        "bootstrap_ensemble": together,
    }


def _cross_entropy(outputs: Tensor, labels: Tensor) -> Tensor:
    return torch.stack([functional.cross_entropy(F, labels) for F in outputs])


def centred(outputs: Float[Tensor, "members n k"]) -> Float[Tensor, "members n k"]:
    """Outputs less their mean over classes, which neither the softmax nor the answer sees."""
    return outputs - outputs.mean(dim=-1, keepdim=True)


def variance_curve(outputs: Float[Tensor, "members n k"]) -> Float[Tensor, " half"]:
    """Variance between averages of K networks that have no network in common, K = 1 ..
    members // 2: of centred outputs, unbiased, mean over inputs and classes.

    Independent networks make it fall like 1 / K; nothing is assumed here.
    """
    F, members = centred(outputs), len(outputs)
    curve = []
    for K in range(1, members // 2 + 1):
        groups = members // K
        means = F[: groups * K].reshape(groups, K, *F.shape[1:]).mean(dim=1)
        curve.append(means.var(dim=0).mean())
    return torch.stack(curve)


def disagreement(outputs: Float[Tensor, "members n k"]) -> Float[Tensor, ""]:
    """How often two different networks give different answers, mean over pairs and inputs."""
    members, n, k = outputs.shape
    votes = functional.one_hot(outputs.argmax(dim=-1), k).sum(dim=0).to(outputs.dtype)
    same = (votes * (votes - 1)).sum(dim=1) / (members * (members - 1))
    return 1 - same.mean()


def agreement(
    outputs: Float[Tensor, "members n k"], labels: Int[Tensor, " n"]
) -> tuple[Int[Tensor, " counts"], Int[Tensor, " counts"]]:
    """Number of inputs that exactly 0, 1, ..., members networks get right, and on how many of
    those the average is right."""
    members = len(outputs)
    right = (outputs.argmax(dim=-1) == labels).sum(dim=0)
    mean_right = ensemble_outputs(outputs).argmax(dim=-1) == labels
    every = torch.bincount(right, minlength=members + 1)
    return every, torch.bincount(right[mean_right], minlength=members + 1)


def paired_bootstrap(
    outputs: Float[Tensor, "members n k"],
    labels: Int[Tensor, " n"],
    *,
    seed: int,
    n_resamples: int = RESAMPLES,
) -> tuple[Float[Tensor, " resamples"], Float[Tensor, " resamples"]]:
    """Mean error of single networks and error of their average, with networks and inputs
    resampled with replacement, the same for both.

    A resample holds fewer different networks than there are, so the average's error leans
    upwards: use the spread, not the centre.
    """
    members, n, k = outputs.shape
    generator = stream(seed, "paired bootstrap")
    wrong = (outputs.argmax(dim=-1) != labels).to(outputs.dtype)
    single, together = [], []
    for _ in range(n_resamples):
        drawn = torch.randint(0, members, (members,), generator=generator)
        share = torch.bincount(drawn, minlength=members).to(outputs.dtype) / members
        rows = torch.randint(0, n, (n,), generator=generator)
        single.append((share @ wrong)[rows].mean())
        mean = (share @ outputs.reshape(members, -1)).view(n, k)
        answer = (mean.argmax(dim=-1) != labels)[rows]
        together.append(answer.to(outputs.dtype).mean())
    return torch.stack(single), torch.stack(together)
