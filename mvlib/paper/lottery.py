r"""The lottery-winning set M of Theorem 1's proof: which view of each class a network will learn,
foretold from its initialisation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.randomness import stream
from mvlib.paper.activation import takeoff
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.multi_view_data import BLOCK, Sample
from mvlib.paper.network import LearnerParams


@dataclass(frozen=True, kw_only=True, slots=True)
class LotteryPrediction:
    """The views the initialisation favours.

    Attributes:
        winner: the view in 0..V-1 predicted to be learned.
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
        BadInput: as `takeoff_times`.
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

    Raises:
        BadInput: if q < 3 (at q = 2 growth is exponential and nothing takes off), or an activation
            of one's own says no q and $\varrho$ by its `onset`.
    """
    activation = learner.nonlinearity
    _, threshold = takeoff(activation)
    k, V, _ = features.shape
    reads_own = _own_reads(W0, training_set)
    C_p = reads_own.shape[2]
    times = W0.new_empty(*W0.shape[:3], V)
    # Distances still to go, spaced evenly in their logarithm: growth is slow near the start.
    rise = torch.logspace(-4, 0, 65, dtype=W0.dtype, device=W0.device) * threshold
    for i in range(k):
        rows = (training_set.labels == i).nonzero().squeeze(1)
        for view in range(V):
            z = (training_set.strengths[rows, i, view] / C_p).repeat_interleave(C_p)
            start = W0[:, i] @ features[i, view]  # (seeds, m)
            read = reads_own[rows, view].flatten(0, 1).movedim(0, -1)  # (seeds, m, n_i C_p)
            noise = read - start[..., None] * z
            reads = (start[..., None] + rise)[..., None] * z + noise[:, :, None, :]
            rate = (1 - 1 / k) * (activation.slope(reads) * z).sum(dim=-1) / len(training_set)
            times[:, i, :, view] = torch.trapezoid(1 / rate.clamp_min(1e-30), rise, dim=-1)
    return times


def race_clock(
    data: MultiViewParams, learner: LearnerParams, *, view: int, end: float
) -> tuple[np.ndarray, np.ndarray]:
    r"""Correlations c on a grid up to `end`, and the time $\int dc / g(c)$ that is left from each
    until then, (points,) each, in a unit that all views of a class share.

    g is that of `takeoff_times` in the mean over inputs: the noise that a neuron reads beside a
    view is $N(0, \sigma_0^2\nu^2)$, $\nu = \sigma_p\sqrt d$, and every own view has its mean
    strength.  As both views of a class stand in the same multi-view samples, whose residuals are
    common to them, their clocks go equally fast as long as these samples teach, early and late.

    Raises:
        BadInput: as `takeoff_times`.
    """
    activation, sigma = learner.nonlinearity, learner.init_std
    takeoff(activation)
    c = torch.linspace(-5 * sigma, end, 3001, dtype=torch.float64)
    quantiles = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    noise = sigma * data.noise_norm * torch.special.ndtri(quantiles)
    factor = (*data.view_scale, *[1.0] * data.n_views)[view]
    z = factor * sum(data.own_strength) / 2 / data.patches_per_view
    rate = z * activation.slope(z * c[:, None] + noise).mean(dim=1)
    # From the far end, so that what is all but infinite below 0 is added last.
    left = torch.cumulative_trapezoid((1 / rate.clamp_min(1e-30)).flip(0), -c.flip(0))
    return c.numpy(), np.concatenate([[0.0], left.numpy()])[::-1]


def winning_odds(
    data: MultiViewParams, learner: LearnerParams, *, n: int, seed: int
) -> Float[Tensor, " V"]:
    r"""How often each view of a class is the first by the law of `takeoff_times`, over n
    initialisations: what the parameters alone foretell.

    Reads start as $c \sim N(0, \sigma_0^2)$, one a neuron and view, and go by `race_clock`.
    Without noise (`noise_std` = 0) a strength counts to the power $q/(q-2)$ against the start;
    with noise beyond $z c$ all reads are lifted alike and strengths decide.

    Raises:
        BadInput: as `takeoff_times`.
    """
    sigma, (_, threshold) = learner.init_std, takeoff(learner.nonlinearity)
    generator, times = stream(seed, "winning odds"), []
    for view in range(data.n_views):
        c, still = race_clock(data, learner, view=view, end=5 * sigma + threshold)
        start = torch.randn(n, learner.n_neurons, generator=generator).clamp(-5, 5).numpy() * sigma
        passed = [np.interp(at, c, still) for at in (start, start + threshold)]
        times.append((passed[0] - passed[1]).min(axis=1))
    first = torch.as_tensor(np.stack(times).argmin(axis=0))
    return torch.bincount(first, minlength=data.n_views) / n


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
            x = block[chosen[:, None, None], places[chosen]].to(W.dtype)
            reads[start + chosen] = torch.einsum("nvpd,smd->nvpsm", x, W[:, i])
        start += len(block)
    return reads
