"""Training reduced to own views: its gradient by autograd, its points by counting, its networks
beside those of the fuller reduction."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toys import TEACHER

from mvlib.core.checks import BadInput
from mvlib.core.randomness import stream
from mvlib.experiments.settings import base_study
from mvlib.paper.step_rules import ConstantStep, FixedSteps
from mvlib.reduced.check import reduce_study
from mvlib.studies import many_classes
from mvlib.studies.many_classes import ManyClassesStudy, draw_points, run_many_classes

DATA = TEACHER.data  # k = 3, s = 1.5, own views in one patch


def test_every_view_of_another_class_is_there_with_probability_s_over_k() -> None:
    n, n_single = 4000, 1000
    labels = torch.arange(n) % 3
    points = draw_points(DATA, labels, n_single, torch.ones(n), stream(0, "points"))
    row = points.row[points.group]
    assert not (points.view // 2 == labels[row]).any(), "own views are no rivals"
    assert (points.view // 2 == points.rival[points.group]).all()
    # 16 000 coins, of standard error .004; four of them are allowed.
    assert len(points.view) / (n * 4) == pytest.approx(0.5, abs=0.016)
    seen = torch.zeros(n, 6).index_put((row, points.view), torch.tensor(1.0), accumulate=True)
    assert seen.max() == 1 and points.n_faint == seen[:n_single].sum()
    assert (points.shown[:n_single] >= 0).all() and (points.shown[n_single:] == -1).all()


def by_formula(
    c: torch.Tensor, noisy: torch.Tensor, s: torch.Tensor, points: many_classes.Points
) -> torch.Tensor:
    """The cross-entropy of two networks' points, point by point; strengths are interval means."""
    act, own, weak, other, faint = TEACHER.learner.nonlinearity, 1.5, 0.15, 0.3, 0.3
    nodes, weights = np.polynomial.hermite_e.hermegauss(4)
    weights = weights / weights.sum()

    def mean(x: Any, spread: torch.Tensor) -> torch.Tensor:
        return sum(w * act.value(x + g * spread) for g, w in zip(nodes, weights, strict=True))

    total = torch.tensor(0.0)
    for network in range(len(c)):
        for x, (y, shown) in enumerate(zip(points.labels, points.shown, strict=True)):
            single, F = shown >= 0, []
            for j in range(3):
                spread, read = s[network, j], c[network, j]
                bare = mean(torch.zeros(3), spread).sum()
                score = DATA.n_patches * bare
                views = points.view[points.row[points.group] == x].tolist()
                for view in (v for v in views if v // 2 == j):
                    z = faint if single else other
                    score = score + mean(z * read[:, view % 2], spread).sum() - bare
                if j == y and single:
                    at = noisy[network, x] + torch.stack(
                        [own * read[:, shown], weak * read[:, 1 - shown]], 1
                    ) @ (torch.eye(2, DATA.n_patches))
                    score = act.value(at).sum()
                elif j == y:
                    for view in range(2):
                        score = score + mean(own * read[:, view], spread).sum() - bare
                F.append(score)
            lost = torch.stack(F).logsumexp(0) - F[int(y)]
            total = total + points.weight[x] * lost / 36
    return total


def test_the_ascent_is_the_gradient() -> None:
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
    weight = torch.ones(8)
    weight[3:] = 4.0
    points = draw_points(DATA, labels, 3, weight, stream(3, "points"))
    rng = torch.Generator().manual_seed(0)
    c = 0.8 * torch.rand(2, 3, 3, 2, generator=rng)
    z = many_classes._strengths(DATA)
    noise = [torch.randn(3, 3, DATA.n_patches, generator=rng) for _ in range(2)]
    held = many_classes._memory(labels[:3], points.shown[:3], DATA, z, noise)
    reading = many_classes._Reading(TEACHER, c)
    scores, slopes = many_classes._scores(reading, points, z)
    noisy = reading.spread[:, held.y][..., None] * held.noise + 0.3
    seen = torch.einsum("xvp,lxmv->lxmp", held.z, c[:, held.y])
    act = TEACHER.learner.nonlinearity
    value, steep = act.value_and_slope(seen + noisy)
    scores.own[:, :3] = value.sum((2, 3))
    a, p = many_classes._residuals(scores, points, many_classes._best(scores, points))
    ascent, pull = many_classes._ascent(
        c, a, p, slopes, steep / act.slope_unit, points, held, z, 36
    )
    free, memory = c.clone().requires_grad_(), noisy.clone().requires_grad_()
    by_formula(free, memory, reading.spread, points).backward()
    assert free.grad is not None and memory.grad is not None
    # float32 sums of a dozen terms.
    assert torch.allclose(-free.grad, ascent, atol=2e-6)
    assert torch.allclose(-memory.grad, pull, atol=2e-6)


def test_networks_do_as_in_the_fuller_reduction() -> None:
    base = replace(base_study("smoke"), n_networks=8)
    ours, theirs = run_many_classes(ManyClassesStudy(base=base)), reduce_study(base)
    assert ours["fitted"].all() and ours["multi_error"].max() == 0
    # 32 races of other starts each: a share of .9 has a standard error of .05, the mean error of
    # eight networks, which differ by .1, one of .035.
    assert (ours["predicted_winner"] == ours["correlations"].argmax(-1)).mean() > 0.8
    assert ours["single_error"].mean() == pytest.approx(theirs.single_error[:-1].mean(), abs=0.15)
    assert ours["ensemble_single_error"] < 0.5 * ours["single_error"].mean()


def test_an_average_of_one_is_a_network() -> None:
    alone = ManyClassesStudy(base=replace(base_study("smoke"), n_networks=1))
    one, mean = (run_many_classes(study) for study in (alone, replace(alone, together=True)))
    assert all(np.array_equal(one[name], mean[name]) for name in one)


def test_drawing_fewer_points_changes_little() -> None:
    base = replace(base_study("smoke"), n_networks=4)
    few, many = (run_many_classes(ManyClassesStudy(base=base, drawn=n)) for n in (30, 200))
    # Races are decided by the same starts; a point stands for four or five.
    same = few["correlations"].argmax(-1) == many["correlations"].argmax(-1)
    assert same.mean() > 0.8


def test_records() -> None:
    schedule = replace(TEACHER.schedule, stop_rule=FixedSteps(steps=6))
    base = replace(TEACHER, schedule=schedule, record_every=3)
    run = run_many_classes(ManyClassesStudy(base=base))
    assert run["steps"].tolist() == [0, 3, 6] and run["stop_step"].tolist() == [6, 6, 6]
    assert run["train_error"].shape == run["watched_single_error"].shape == (3, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"drawn": 0}, "drawn"),
        ({"base": replace(TEACHER, data=replace(DATA, feature_noise=0.1))}, "gamma"),
        (
            {"base": replace(TEACHER, schedule=replace(TEACHER.schedule,
                                                       step_rule=ConstantStep(0.1)))},
            "step_rule",
        ),
        (
            {"base": replace(TEACHER, schedule=replace(TEACHER.schedule, weight_decay=0.1))},
            "lambda",
        ),
    ],
)  # fmt: skip
def test_bad_input(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        ManyClassesStudy(**{"base": TEACHER, **changes})
