r"""Training reduced to what a class knows of its own views, for more classes than can be trained.

A neuron of class i is replaced by $c_{i,r,l} = \langle w_{i,r}, v_{i,l}\rangle$, what it reads of
the views of its *own* class: V numbers, where `mvlib.reduced` keeps one for each of the V k views.
Classes meet in the softmax alone, through the views of other classes that an input shows.  What is
left out, beside what `mvlib.reduced` leaves out (the scatter of strengths, noise but its mean
effect; a memory for single-view samples is kept, of the label's own neurons), is confusion: that a
class's score is raised by another class's view.  Its rate is s/k of an own view's
(`mvlib.paper.growth_rates`), so this is the wrong picture of a few classes and the right one of
many; the book has it beside full training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int
from mvlib.core.randomness import stream
from mvlib.paper.activation import takeoff
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.gradient_descent import Progress
from mvlib.paper.step_rules import BoundedRelativeStep, WhenFitted
from mvlib.store.kinds import Kind, register
from mvlib.studies.one_draw import expected_steps, seeds_of
from mvlib.studies.single_model import SingleModelStudy

# Gauss and Hermite's rule for the mean over a patch's noise, exact up to degree 7.
NODES, WEIGHTS = (a.tolist() for a in np.polynomial.hermite_e.hermegauss(4))
WEIGHTS = [w / sum(WEIGHTS) for w in WEIGHTS]

UNSURE = 0.5  # mean of 1 - p_y over the training set from which on it is not fitted


@dataclass(frozen=True, kw_only=True, slots=True)
class ManyClassesStudy:
    """Reduced networks of one data draw.

    Choice: fitted is a training set whose points are all classified, with less than `UNSURE` of
    their probability missing on average.

    Attributes:
        base: the setting, as for full training; its networks, test points and stop rule.
        together: train the mean of the networks as one (Section 2.1) instead of each by itself.
        drawn: multi-view training points a class that are drawn, >= 1; each counts for as many as
            N / k leaves, if those are more.
    """

    base: SingleModelStudy
    together: bool = False
    drawn: int = 200

    def __post_init__(self) -> None:
        base = self.base
        require_int("drawn", "", self.drawn, 1, "draw a point of each class")
        rule = base.schedule.step_rule
        require(isinstance(rule, BoundedRelativeStep), "step_rule", "eta", rule,
                "be a BoundedRelativeStep", "the reduction has no other")  # fmt: skip
        for field, symbol, value in (
            ("feature_noise", "gamma", base.data.feature_noise),
            ("weight_decay", "lambda", base.schedule.weight_decay),
        ):
            require(value == 0, field, symbol, value, "be 0", "the reduction has none")


class Points(NamedTuple):
    """Labelled points: which views of other classes each shows.

    Attributes:
        labels, shown: y, and the view at full strength (-1: all), (n,).
        weight: how many points each stands for, (n,).
        view, group: every visible view of another class, numbered V j + l, and the pair of point
            and class that it belongs to, (e,).
        row, rival: of every such pair, (g,).
        n_single, n_faint: how many of the points, and of the visible views, are single-view; they
            come first.
    """

    labels: Int[Tensor, " n"]
    shown: Int[Tensor, " n"]
    weight: Float[Tensor, " n"]
    view: Int[Tensor, " e"]
    group: Int[Tensor, " e"]
    row: Int[Tensor, " g"]
    rival: Int[Tensor, " g"]
    n_single: int
    n_faint: int


def draw_points(
    data: MultiViewParams, labels: Tensor, n_single: int, weight: Tensor, rng: torch.Generator
) -> Points:
    """Points of these classes, the first `n_single` of them single-view.  Every view of another
    class is present with probability s/k, drawn by the gaps between those that are."""
    n, k, V = len(labels), data.n_classes, data.n_views
    coins = torch.randint(0, V, (n,), generator=rng)
    shown = torch.where(torch.arange(n) < n_single, coins, -1)
    total, p = n * k * V, min(data.sparsity / k, 1 - 1e-9)
    place = torch.zeros(0, dtype=torch.int64)
    if p > 0:
        enough = int(total * p + 8 * math.sqrt(total * p) + 20)
        gaps = torch.empty(enough, dtype=torch.float64).geometric_(p, generator=rng)
        place = gaps.long().cumsum(0) - 1
        place = place[place < total]
    row, view = place // (k * V), place % (k * V)
    others = view // V != labels[row]
    row, view = row[others], view[others]
    pairs, group = torch.unique_consecutive(row * k + view // V, return_inverse=True)
    faint = int((row < n_single).sum())
    return Points(labels, shown, weight, view, group, pairs // k, pairs % k, n_single, faint)


@dataclass(frozen=True)
class _Reading:
    """What networks with correlations c, (L, k, m, V), read of each kind of patch."""

    study: SingleModelStudy
    c: Tensor

    @cached_property
    def spread(self) -> Float[Tensor, "L k m"]:
        r"""$\sigma_p \|w_{i,r}\|$."""
        data, start = self.study.data, self.study.learner.init_std
        return data.noise_std * (start**2 * data.dim + self.c.square().sum(-1)).sqrt()

    def mean(self, z: Tensor) -> tuple[Tensor, Tensor]:
        r"""$\sum_r \varphi(zc) - \varphi(0)$, (L, k, V), and the slope
        $\varphi'(zc)$; $\varphi(x) = \mathbb E_g \sigma(x + s g)$."""
        act, s = self.study.learner.nonlinearity, self.spread[..., None]
        value, slope = torch.zeros_like(self.c), torch.zeros_like(self.c)
        for node, w in zip(NODES, WEIGHTS, strict=True):
            at, steep = act.value_and_slope(torch.addcmul(s * node, self.c, z))
            value.add_(at, alpha=w)
            slope.add_(steep, alpha=w / act.slope_unit)
        return value.sum(2) - self.bare[..., None], slope

    @cached_property
    def bare(self) -> Float[Tensor, "L k"]:
        r"""$\sum_r \varphi(0)$: what every patch adds that shows no view of the class."""
        act, s = self.study.learner.nonlinearity, self.spread
        at = [w * act.value_and_slope(s * x)[0] for x, w in zip(NODES, WEIGHTS, strict=True)]
        return torch.stack(at).sum((0, 3))


class _Strengths(NamedTuple):
    """Mean strength in one patch, and in how many patches, of every kind of sight."""

    own: Float[Tensor, " V"]
    weak: Float[Tensor, " V"]
    other: Tensor
    faint: Tensor
    own_patches: int
    other_patches: int


def _strengths(data: MultiViewParams) -> _Strengths:
    scale = torch.ones(data.n_views)
    scale[: len(data.view_scale)] = torch.tensor(data.view_scale)
    C_p, C_o = data.patches_per_view, data.patches_per_other_view
    weak = data.weak_view_strength * (1 + data.weak_view_spread) / 2
    faint = data.single_other_strength * (1 + data.single_other_floor) / 2
    own, other = (sum(ends) / 2 for ends in (data.own_strength, data.multi_other_strength))
    return _Strengths(
        own=scale * own / C_p,
        weak=torch.full((data.n_views,), weak / C_p),
        other=torch.tensor(other / C_o),
        faint=torch.tensor(faint / C_o),
        own_patches=C_p,
        other_patches=C_o,
    )


class _Scores(NamedTuple):
    """Scores of the label, (L, n), of every visible rival, (L, g), and of all else, (L, k)."""

    own: Tensor
    rival: Tensor
    bare: Tensor

    def mean(self) -> _Scores:
        """Of the networks together."""
        return _Scores(*(part.mean(0, keepdim=True) for part in self))


def _scores(reading: _Reading, points: Points, z: _Strengths) -> tuple[_Scores, list[Tensor]]:
    """Scores, every noise averaged over, and the slopes at own, other and faint views."""
    bare = reading.study.data.n_patches * reading.bare
    (own, at_own), (weak, _) = reading.mean(z.own), reading.mean(z.weak)
    (other, at_other), (faint, at_faint) = reading.mean(z.other), reading.mean(z.faint)
    n, e, labels = points.n_single, points.n_faint, points.labels
    one = weak.sum(-1, keepdim=True) - weak + own  # (L, k, V), by the view shown
    whole = [one[:, labels[:n], points.shown[:n]], own.sum(-1)[:, labels[n:]]]
    F_y = bare[:, labels] + z.own_patches * torch.cat(whole, 1)
    seen = faint.flatten(1)[:, points.view[:e]], other.flatten(1)[:, points.view[e:]]
    F_g = bare[:, points.rival].index_add(1, points.group, z.other_patches * torch.cat(seen, 1))
    return _Scores(F_y, F_g, bare), [at_own, at_other, at_faint]


def _absent(scores: _Scores, points: Points) -> Tensor:
    """The best score of a class but the label that an input shows nothing of, (L, n)."""
    best = scores.bare.topk(2, dim=1)
    first = best.indices[:, :1] == points.labels
    return torch.where(first, best.values[:, 1:], best.values[:, :1])


def _best(scores: _Scores, points: Points) -> Tensor:
    """The best score of a class but the label, (L, n)."""
    rows = points.row.expand(len(scores.own), -1)
    return _absent(scores, points).scatter_reduce(1, rows, scores.rival, "amax")


def _residuals(scores: _Scores, points: Points, best: Tensor) -> tuple[Tensor, Tensor]:
    """1 - p_y, (L, n), and p of every visible rival, (L, g)."""
    top = torch.maximum(scores.own, best)
    rival = (scores.rival - top[:, points.row]).exp()
    floor = scores.bare.amax(1, keepdim=True)
    bare = (scores.bare - floor).exp()
    absent = bare.sum(1, keepdim=True) - bare[:, points.labels]
    absent = absent.index_add(1, points.row, -bare[:, points.rival]).clamp_min(0)
    others = (absent * (floor - top).exp()).index_add(1, points.row, rival)
    Z = others + (scores.own - top).exp()
    return others / Z, rival / Z[:, points.row]


class _Memory(NamedTuple):
    """The single-view training points as the label's own neurons read them: n1 points, P patches.

    Attributes:
        y: their labels, (n1,).
        z: strength of each of the label's views in each patch, (n1, V, P).
        noise: what each neuron reads of each patch's noise at the start, over its spread.
    """

    y: Tensor
    z: Tensor
    noise: Float[Tensor, "L n1 m P"]


def run_many_classes(
    study: ManyClassesStudy, progress: Progress | None = None
) -> dict[str, np.ndarray]:
    r"""Train, test and describe.  In the notation of `mvlib.reduced.dynamics`, for own views alone:
    $\dot c_{i,r,l} = \frac1N\sum_X a_i(X) \sum_p z_p\, \varphi'(z_p c_{i,r,l})$.

    Returns:
        Networks on the first axis unless said: stop_step, fitted, single_error, multi_error;
        correlations (L, k, V) at the end, predicted_winner (L, k); ensemble_single_error,
        ensemble_multi_error (scalars), of the mean of the networks' scores; where the study
        records, steps (records,), train_error and watched_single_error (records, L).
    """
    base = study.base
    data, learner, schedule = base.data, base.learner, base.schedule
    k, V, m, L, N = data.n_classes, data.n_views, learner.n_neurons, base.n_networks, base.n_train
    z, share = _strengths(data), 1 / L if study.together else 1.0
    rng = stream(base.draw, "many classes")
    n_single = round(data.single_view_fraction * N)
    n_multi = min(k * study.drawn, N - n_single)
    labels = torch.cat([torch.randperm(k, generator=rng)[torch.arange(n_single) % k],
                        torch.arange(n_multi) % k])  # fmt: skip
    weight = torch.ones(len(labels))
    weight[n_single:] = (N - n_single) / n_multi
    points = draw_points(data, labels, n_single, weight, rng)
    fresh = {}
    for kind, n in (("single", base.n_test_single), ("multi", base.n_test_multi)):
        ones, some = torch.ones(n), torch.arange(n) % k
        fresh[kind] = draw_points(data, some, n if kind == "single" else 0, ones, rng)
    starts, noise = [], []
    for seed in seeds_of(base.draw, L):
        own = stream(seed, "many classes")
        starts.append(learner.init_std * torch.randn(k, m, V, generator=own))
        noise.append(torch.randn(n_single, m, data.n_patches, generator=own))
    c = torch.stack(starts)
    held = _memory(labels[:n_single], points.shown[:n_single], data, z, noise)
    q, _ = takeoff(learner.nonlinearity)
    lead = (z.own / z.own[0]) ** (q / (q - 2)) * c.amax(2)
    memory = torch.zeros_like(held.noise)
    rule: BoundedRelativeStep = schedule.step_rule  # type: ignore[assignment]
    running = torch.ones(L, dtype=torch.bool)
    stop_step, limit = torch.zeros(L, dtype=torch.int64), schedule.stop_rule.limit
    records: dict[str, list[Tensor]] = {"steps": [], "train_error": [], "watched_single_error": []}
    for t in range(limit + 1):
        reading = _Reading(base, c)
        scores, slopes = _scores(reading, points, z)
        seen = torch.einsum("xvp,lxmv->lxmp", held.z, c[:, held.y])
        noisy = reading.spread[:, held.y][..., None] * held.noise + memory
        act = learner.nonlinearity
        value, steep = act.value_and_slope(seen + noisy)
        scores.own[:, :n_single] = value.sum((2, 3))
        judged = scores.mean() if study.together else scores
        best = _best(judged, points)
        wrong = (best >= judged.own).expand(L, -1)
        if base.record_every and t % base.record_every == 0:
            watched = _tested(reading, fresh["single"], z, together=study.together)
            error = (wrong * weight).sum(1) / weight.sum()
            records["steps"].append(torch.tensor(t))
            records["train_error"].append(error)
            records["watched_single_error"].append(watched)
        a, p = (part.expand(L, -1) for part in _residuals(judged, points, best))
        # Without noise many neurons classify before they have learned anything: no fit as yet.
        unfit = wrong.any(1) | ((a * weight).sum(1) > UNSURE * weight.sum())
        if isinstance(schedule.stop_rule, WhenFitted):
            running &= unfit
        if t == limit or not running.any():
            break
        stop_step[running] = t + 1
        ascent, pull = _ascent(
            c, share * a, share * p, slopes, steep / act.slope_unit, points, held, z, N
        )
        eta = _step_sizes(rule, c, ascent, pull, seen + noisy, noisy, held, data.noise_norm)
        if study.together:
            eta = eta.amin().expand(L)
        eta = torch.where(running, eta, 0)
        c = c + eta[:, None, None, None] * ascent
        memory = memory + eta[:, None, None, None] * data.noise_norm**2 * pull
        if progress:
            progress(t + 1, float(running.float().mean()))
    reading, found = _Reading(base, c), {}
    for kind, tested in fresh.items():
        found[f"{kind}_error"] = _tested(reading, tested, z)
        found[f"ensemble_{kind}_error"] = _tested(reading, tested, z, together=True)[0]
    found |= {name: torch.stack(rows) for name, rows in records.items() if rows}
    found |= {"correlations": c.amax(2), "predicted_winner": lead.argmax(-1),
              "stop_step": stop_step, "fitted": ~unfit}  # fmt: skip
    return {name: tensor.numpy() for name, tensor in found.items()}


def _memory(
    y: Tensor, shown: Tensor, data: MultiViewParams, z: _Strengths, noise: list[Tensor]
) -> _Memory:
    """The label's view shown in the first C_p patches, its others after them."""
    V, C_p = data.n_views, data.patches_per_view
    patches = torch.zeros(V, V, data.n_patches)
    for view in range(V):
        for place, other in enumerate([view, *(v for v in range(V) if v != view)]):
            strength = z.own[other] if other == view else z.weak[other]
            patches[view, other, place * C_p : (place + 1) * C_p] = strength
    return _Memory(y, patches[shown], torch.stack(noise))


def _tested(reading: _Reading, points: Points, z: _Strengths, *, together: bool = False) -> Tensor:
    """Errors of each network or, one number for each, of all together."""
    scores, _ = _scores(reading, points, z)
    scores = scores.mean() if together else scores
    return (_best(scores, points) >= scores.own).float().mean(1).expand(len(reading.c))


def _ascent(
    c: Tensor, a: Tensor, p: Tensor, slopes: list[Tensor], steep: Tensor, points: Points,
    held: _Memory, z: _Strengths, N: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Where c goes, and how hard each reading of a memorised patch is pulled."""
    (L, k, _, V), n1 = c.shape, len(held.y)
    at_own, at_other, at_faint = slopes
    weighted = a * points.weight / N
    own = torch.zeros(L, k).index_add(1, points.labels[n1:], weighted[:, n1:])
    ascent = at_own * own[:, :, None, None] * z.own * z.own_patches
    down = -(p * points.weight[points.row] / N)[:, points.group]
    e = points.n_faint
    for part, slope, strength in (
        (slice(e), at_faint, z.faint),
        (slice(e, None), at_other, z.other),
    ):
        pushed = torch.zeros(L, k * V).index_add(1, points.view[part], down[:, part])
        ascent = ascent + slope * (pushed * strength * z.other_patches).view(L, k, 1, V)
    pull = weighted[:, :n1, None, None] * steep
    return ascent.index_add(1, held.y, torch.einsum("lxmp,xvp->lxmv", pull, held.z)), pull


def _step_sizes(
    rule: BoundedRelativeStep, c: Tensor, ascent: Tensor, pull: Tensor, read: Tensor, noisy: Tensor,
    held: _Memory, noise_norm: float,
) -> Tensor:  # fmt: skip
    """The rule of `BoundedRelativeStep`; memories count as weights along the noise."""
    along = (c * ascent).sum(-1).index_add(1, held.y, (pull * noisy).sum(-1))
    square = ascent.square().sum(-1)
    square = square.index_add(1, held.y, noise_norm**2 * pull.square().sum(-1))
    norm = square.sqrt().clamp_min(torch.finfo(c.dtype).tiny)
    learned = (along.abs() / norm).amax(2)
    learned = torch.maximum(learned, rule.floor * learned.amax(1, keepdim=True))
    return (rule.relative_change * learned / norm.amax(2)).amin(1).clamp_max(rule.max_step)


def _work(study: ManyClassesStudy) -> float:
    """Operations, about: 20 for every neuron, view, kind of sight and node, 50 a visible view."""
    base = study.base
    data, k = base.data, base.data.n_classes
    neurons = 16 * 20.0 * k * base.learner.n_neurons * data.n_views
    shown = 50.0 * min(study.drawn * k, base.n_train) * data.n_views * data.sparsity
    return (neurons + shown) * base.n_networks * _steps(study)


def _steps(study: ManyClassesStudy) -> int:
    return expected_steps(study.base.schedule.stop_rule)


register(
    Kind(
        name="many classes",
        configuration=ManyClassesStudy,
        run=run_many_classes,
        work=_work,
        steps=_steps,
    )
)
