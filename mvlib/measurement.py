r"""What a network got wrong, which views it learned, and which ones its initialisation foretold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.activation import takeoff
from mvlib.checks import require_number
from mvlib.distribution import BLOCK, MultiViewParams, Sample, SampleKind, chunked_sample
from mvlib.intervals import wilson_interval
from mvlib.learner import LearnerParams, logits

LEARNED_SHARE = 0.3  # a view counts as learned above this share of its class's largest correlation


@dataclass(frozen=True, kw_only=True, slots=True)
class TestScores:
    """Scores of every network on fresh data of one kind.

    Attributes:
        outputs: F, shape (seeds, n, k).
        labels: y, shape (n,).
        dominant_view: as in `Sample`, shape (n,).
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    outputs: Float[Tensor, "seeds n k"]
    labels: Int[Tensor, " n"]
    dominant_view: Int[Tensor, " n"]


def test_scores(
    W: Float[Tensor, "seeds k m d"],
    params: MultiViewParams,
    learner: LearnerParams,
    *,
    kind: SampleKind,
    n: int,
    seed: int,
    name: str = "test",
) -> TestScores:
    """Scores on n fresh inputs of one kind, streamed: memory does not grow with n P d.  They are
    computed where W is and returned on the CPU, where the statistics are made."""
    outputs, labels, views = [], [], []
    for chunk in chunked_sample(params, n, seed=seed, name=name, kind=kind, dtype=W.dtype):
        outputs.append(logits(W, chunk.patches.to(device=W.device, dtype=W.dtype), learner).cpu())
        labels.append(chunk.labels)
        views.append(chunk.dominant_view)
    return TestScores(
        outputs=torch.cat(outputs, dim=1), labels=torch.cat(labels), dominant_view=torch.cat(views)
    )


test_scores.__test__ = False  # type: ignore[attr-defined]


def error_in_units_of_mu(single_error: Any, multi_error: Any, mu: float) -> Any:
    r"""Total test error over $\mathcal D$ divided by mu:
    $e_s + \frac{1-\mu}{\mu}\, e_m$, from the errors on single-view and on multi-view data.

    Measuring the two kinds apart needs far fewer inputs than drawing from the mixture, where one
    in 1/mu is single-view.  Works on numbers and arrays.

    Raises:
        BadInput: if mu is not in (0, 1].
    """
    require_number("single_view_fraction", "mu", mu, 0, 1, "needs single-view data", open_low=True)
    return single_error + (1 - mu) / mu * multi_error


def view_correlations(
    W: Float[Tensor, "seeds k m d"], features: Float[Tensor, "k V d"]
) -> Float[Tensor, "seeds k V"]:
    r"""$\max_{r} \langle w_{i,r}, v_{i,\ell} \rangle$ for each network, class and view."""
    return torch.einsum("skmd,kld->skml", W, features).amax(dim=2)


def learned_views(
    correlations: Float[Tensor, "*networks k V"], *, share: float = LEARNED_SHARE
) -> Bool[Tensor, "*networks k V"]:
    """Which views a network has: those that reach `share` of the class's largest correlation.

    Choice: the cut.  After the take-off correlations are either near 0 or of the winner's size.
    """
    require_number("share", "", share, 0, 1, "try 0.3", open_low=True)
    return correlations >= share * correlations.amax(dim=-1, keepdim=True).clamp_min(1e-12)


def predicted_single_error(missing: float, *, n_classes: int, sparsity: float) -> float:
    r"""Error on single-view data that a network with these learned views should make:
    $p\, (1 - (1 - s/k)^{k-1})$.

    p is the share of views that it has not learned: so many single-view inputs show one of them.
    Such an input is lost only if a learned view of some other class is present (one of them a
    class is counted): where none is, the right class wins by default.
    """
    return missing * (1 - (1 - sparsity / n_classes) ** (n_classes - 1))


def strengths_by_role(sample: Sample) -> dict[str, np.ndarray]:
    """Strengths of the views present, by the roles of Definition 3.1: one own view, the rest of
    them, and those of other classes.  The first is the dominant one where there is one."""
    n, _, V = sample.strengths.shape
    rows = torch.arange(n)
    own = sample.strengths[rows, sample.labels]
    first = torch.arange(V) == sample.dominant_view.clamp_min(0)[:, None]
    others = sample.strengths.clone()
    others[rows, sample.labels] = 0
    return {
        "own view": own[first].numpy(),
        "own, the rest": own[~first].numpy(),
        "other classes": others[others > 0].numpy(),
    }


def law_of_the_sampler(
    sample: Sample, params: MultiViewParams
) -> list[tuple[str, float, float, str, int]]:
    """Rates that Definition 3.1 fixes, beside those of a sample:
    (quantity, definition, measured, Wilson interval, n)."""
    k, V, n = params.n_classes, params.n_views, len(sample)
    C_p, C_o = params.patches_per_view, params.patches_per_other_view
    n_others, chance = V * (k - 1), params.sparsity / k
    present = int((sample.strengths > 0).sum()) - n * V
    held = int((sample.view_patches == 0).flatten(1).any(dim=1).sum())
    rows = [
        ("class 0", 1 / k, int((sample.labels == 0).sum()), n),
        ("another class's view present", chance, present, n * n_others),
        ("patch 0 holds a view", (V * C_p + n_others * chance * C_o) / params.n_patches, held, n),
    ]
    if bool(sample.single_view.any()):
        first = int((sample.dominant_view == 0).sum())
        rows.append(("view 1 is the strong one", 1 / V, first, int(sample.single_view.sum())))
    table = []
    for quantity, expected, count, trials in rows:
        low, high = wilson_interval(count, trials)
        table.append((quantity, expected, count / trials, f"[{low:.4f}, {high:.4f}]", trials))
    return table


@dataclass(frozen=True, kw_only=True, slots=True)
class LotteryPrediction:
    """The views the initialisation favours.

    Attributes:
        winner: in 0..V-1, the view predicted to be learned, shape (seeds, k).
        margin: 1 - (winner's take-off time / the next one's) in [0, 1]: 0 is a tie.
    """

    winner: Int[Tensor, "seeds k"]
    margin: Float[Tensor, "seeds k"]


def lottery_winners(
    W0: Float[Tensor, "seeds k m d"],
    features: Float[Tensor, "k V d"],
    training_set: Sample,
    learner: LearnerParams,
) -> LotteryPrediction:
    r"""The lottery-winning set M, predicted before the first step: in each class the view with
    the shortest take-off time of any neuron.

    Choice: the paper's text does not print M; this is our derivation.

    Raises:
        BadInput: if q < 3: at q = 2 growth is exponential and nothing takes off; or if an
            activation of one's own has no onset.
    """
    times = takeoff_times(W0, features, training_set, learner).amin(dim=2)
    first, second = times.sort(dim=-1).values[..., :2].unbind(dim=-1)
    return LotteryPrediction(winner=times.argmin(dim=-1), margin=1 - first / second)


def takeoff_times(
    W0: Float[Tensor, "seeds k m d"],
    features: Float[Tensor, "k V d"],
    training_set: Sample,
    learner: LearnerParams,
) -> Float[Tensor, "seeds k m V"]:
    r"""When each neuron would have risen by the threshold along each view of its class, if no other
    neuron existed: $T = \int_{c(0)}^{c(0) + \varrho} dc / g(c)$, in units of 1/eta.

    While all outputs are small, gradient flow moves $c = \langle w_{i,r}, v_{i,\ell}\rangle$ at
    the rate $g(c) = (1 - \frac1k) \frac1N \sum_X \sum_{p \in \mathcal P_v(X)} z_p\,
    \widetilde{ReLU}'(z_p c + n_p)$ over the samples of class i, where $n_p$ is what w(0) reads in
    the rest of the patch, its noise, which changes much more slowly than c.  Without noise
    $g = S c^{q-1}/\varrho^{q-1}$ and the first view is the one with the larger
    $S_{i,\ell}^{1/(q-2)} \max_r \langle w_{i,r}(0), v_{i,\ell} \rangle$.

    An activation of one's own says q and $\varrho$ by its `onset`.

    Raises:
        BadInput: if q < 3 or there is no onset.
    """
    activation = learner.nonlinearity
    _, threshold = takeoff(activation)
    k, V, _ = features.shape
    reads_own = _own_reads(W0, training_set)
    times = W0.new_empty(*W0.shape[:3], V)
    # Distances still to go, spaced evenly in their logarithm: growth is slow near the start.
    rise = torch.logspace(-4, 0, 65, dtype=W0.dtype, device=W0.device) * threshold
    for i in range(k):
        rows = (training_set.labels == i).nonzero().squeeze(1)
        for view in range(V):
            C_p = reads_own.shape[2]
            z = (training_set.strengths[rows, i, view] / C_p).repeat_interleave(C_p)
            start = W0[:, i] @ features[i, view]  # (seeds, m)
            read = reads_own[rows, view].flatten(0, 1).movedim(0, -1)  # (seeds, m, n_i C_p)
            noise = read - start[..., None] * z
            reads = (start[..., None] + rise)[..., None] * z + noise[:, :, None, :]
            rate = (1 - 1 / k) * (activation.slope(reads) * z).sum(dim=-1) / len(training_set)
            times[:, i, :, view] = torch.trapezoid(1 / rate.clamp_min(1e-30), rise, dim=-1)
    return times


def _own_reads(W: Float[Tensor, "seeds k m d"], inputs: Sample) -> Float[Tensor, "n V C_p seeds m"]:
    """What the neurons of each input's own class read in the patches of its own views, in one
    pass: the patches may be streamed."""
    rows = torch.arange(len(inputs), device=inputs.labels.device)
    patches = inputs.view_patches[rows, inputs.labels]  # (n, V, C_p), all slots filled
    reads = W.new_empty(*patches.shape, len(W), W.shape[2])
    start = 0
    for block in inputs.patches.split(BLOCK):
        y, places = inputs.labels[start : start + len(block)], patches[start : start + len(block)]
        for i in y.unique().tolist():
            chosen = (y == i).nonzero().squeeze(1)
            x = block[chosen[:, None, None], places[chosen]]
            reads[start + chosen] = torch.einsum("nvpd,smd->nvpsm", x, W[:, i])
        start += len(block)
    return reads
