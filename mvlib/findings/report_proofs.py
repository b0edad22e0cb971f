"""What the pages on the proofs of Theorems 1 and 3 show: the same starts on hard labels and taught
by the ensemble, on one data draw, with the quantities that the proofs bound.

A *race* is one class of one network.  Its winner is the view that the network has when it first
fits the training set on hard labels, its loser the best of the others then; students are looked at
by the same two views, so that the loser is the view that hard labels never taught.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mvlib.findings.formatting import Record, mean, number, percent
from mvlib.findings.report_networks import first_fit, fitted_at
from mvlib.findings.theorems import learned
from mvlib.paper.activation import takeoff
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.evaluation import LEARNED_SHARE, predicted_single_error
from mvlib.paper.growth_rates import pulls
from mvlib.paper.lottery import race_clock
from mvlib.paper.multi_view_data import Sample, sample
from mvlib.paper.network import LearnerParams
from mvlib.paper.objectives import truncated_logit
from mvlib.paper.view_growth import ROLES, roles
from mvlib.store.entries import Arrays
from mvlib.studies.distillation import DistillationStudy, averages
from mvlib.studies.single_model import SingleModelStudy

OWN, SINGLE, FAINT = range(3)  # places in ROLES


@dataclass(frozen=True, kw_only=True, slots=True)
class Races:
    """Who won and who lost: views in 0..V-1, (seeds, k), and the record of each network's first
    fit on hard labels (the last one if it never fits), (seeds,)."""

    winner: np.ndarray
    loser: np.ndarray
    fit: np.ndarray

    def of(self, values: np.ndarray, view: np.ndarray) -> np.ndarray:
        """What (records, seeds, k, V, ...) says of one view a race, (records, races, ...)."""
        at = view[None, :, :, None, *[None] * (values.ndim - 4)]
        found = np.take_along_axis(values, at, axis=3)[:, :, :, 0]
        return found.reshape(len(values), -1, *values.shape[4:])

    def at_fit(self, values: np.ndarray) -> np.ndarray:
        """What (records, races) says at each race's first fit, (races,)."""
        record = np.repeat(self.fit, self.winner.shape[1])
        return values[record, np.arange(values.shape[1])]


def races(hard: Arrays) -> Races:
    """Those of networks on hard labels."""
    first, fits = first_fit(hard["train_error"])
    fit = np.where(fits, first, len(hard["steps"]) - 1)
    at_fit = hard["view_correlations"][fit, np.arange(len(fit))]
    order = np.argsort(at_fit, axis=-1)
    return Races(winner=order[..., -1], loser=order[..., -2], fit=fit)


# ---------------------------------------------------------------- Theorem 1


def saturation(data: MultiViewParams, learner: LearnerParams) -> float:
    r"""The correlation at which a neuron reads $\varrho$ in a patch of an own view, and the race
    ends: $\varrho C_p / \bar z$."""
    _, threshold = takeoff(learner.nonlinearity)
    return threshold * data.patches_per_view / (sum(data.own_strength) / 2)


def foretold_loser(
    study: DistillationStudy, winner: np.ndarray, loser: np.ndarray, views: Races
) -> np.ndarray:
    r"""Where the loser should stand whenever the winner stands where it does, by `race_clock` from
    both starts alone, (records, races); `winner` and `loser` likewise, measured."""
    base = study.base
    end = 1.2 * max(float(winner.max()), saturation(base.data, base.learner))
    clocks = [
        race_clock(base.data, base.learner, view=view, end=end) for view in range(base.data.n_views)
    ]
    foretold = np.empty_like(winner)
    for i, (w, v) in enumerate(zip(views.winner.ravel(), views.loser.ravel(), strict=True)):
        (c_w, left_w), (c_l, left_l) = clocks[w], clocks[v]
        passed = np.interp(winner[0, i], c_w, left_w) - np.interp(winner[:, i], c_w, left_w)
        left = np.interp(loser[0, i], c_l, left_l) - passed
        foretold[:, i] = np.interp(left, left_l[::-1], c_l[::-1])
    return foretold


def residual_sizes(
    study: DistillationStudy, hard: Arrays, views: Races
) -> tuple[np.ndarray, np.ndarray]:
    """The winner's correlation and the mean residual of the class's multi-view samples,
    (records, races) each."""
    sizes = views.of(hard["view_correlations"], views.winner)
    return sizes, views.of(hard["growth"], views.winner)[:, :, OWN, 0]


def predicted_residual(study: DistillationStudy, size: np.ndarray, *, rivals: bool) -> np.ndarray:
    r"""$1 - p_y$ of a multi-view input of mean strength that one neuron knows by one view, with
    correlation c: $B/(B + e^{F})$ with $F = C_p\,\widetilde{ReLU}(\bar z c / C_p)$.  Other scores
    are 0, so that B = k - 1; with `rivals`, each other class has a winner just as large, which is
    there faintly with probability s/k: $B = (k-1)(1 - s/k + (s/k) e^{f})$, f its score."""
    data, activation = study.base.data, study.base.learner.nonlinearity

    def score(strength: tuple[float, float], patches: int) -> np.ndarray:
        read = torch.as_tensor(sum(strength) / 2 / patches * size)
        return np.asarray(patches * activation.value(read).numpy())

    own = score(data.own_strength, data.patches_per_view)
    faint = score(data.multi_other_strength, data.patches_per_other_view)
    seen = data.sparsity / data.n_classes if rivals else 0.0
    B = (data.n_classes - 1) * (1 - seen + seen * np.exp(faint))
    return np.asarray(B / (B + np.exp(own)))


def residual_range(study: DistillationStudy, sizes: np.ndarray) -> list[np.ndarray]:
    """Correlations from 0 to the largest of `sizes`, with `predicted_residual` at each of them
    without rivals and with them."""
    grid = np.linspace(0, sizes.max(), 200)
    return [grid, *(predicted_residual(study, grid, rivals=rivals) for rivals in (False, True))]


def shown_views(base: SingleModelStudy) -> Sample:
    """The study's training set in as few dimensions as its views need: which of them a sample
    shows does not depend on d."""
    small = replace(base.data, dim=base.data.n_views * base.data.n_classes)
    return sample(small, base.n_train, seed=base.draw, name="train")


def since_start(curve: np.ndarray) -> np.ndarray:
    """What correlations (records, races) have gained by each record, on average over races."""
    return (curve - curve[0]).mean(axis=1)


def gains(arrays: Arrays, views: Races, view: np.ndarray) -> np.ndarray:
    """What samples in each of `ROLES` have added to the correlation of one view a race by each
    record, (records, races, roles): their part of its growth over the time that has passed.  That
    is not recorded; between two records it is what fits the changes of all correlations of a
    network best, their growth being the mean of its values at both ends."""
    middle = (arrays["growth"][1:, ..., 1] + arrays["growth"][:-1, ..., 1]) / 2
    change, rate = np.diff(arrays["view_correlations"], axis=0), middle.sum(axis=-1)
    passed = (change * rate).sum(axis=(2, 3)) / (rate**2).sum(axis=(2, 3)).clip(1e-30)
    added = np.cumsum(passed[..., None, None, None] * middle, axis=0)
    return views.of(np.concatenate([np.zeros_like(added[:1]), added]), view)


def memory(hard: Arrays, views: Races) -> dict[str, tuple[np.ndarray, int]]:
    """Left-over single-view inputs, those that show a loser, of the training set and fresh ones:
    kind -> the mean score of their own class by where it is read, (records, three): the view shown,
    the winner's faint trace, all other patches; and how many there are, over networks."""
    found = {}
    for kind, word in (("training", "single"), ("fresh", "fresh")):
        scores, (label, shown) = hard[f"{word}_scores"], hard[f"{word}_shown"].T
        won = views.winner[:, label]  # (seeds, n)
        left = won != shown
        parts = [
            scores[:, :, np.arange(len(label)), shown],
            np.take_along_axis(scores, won[None, :, :, None], axis=3)[..., 0],
            scores[..., -1],
        ]
        found[kind] = np.stack([p[:, left].mean(axis=1) for p in parts], axis=1), int(left.sum())
    return found


def known_views(arrays: Arrays) -> np.ndarray:
    """Whether each view has come so far, by each record, as to count as learned beside the largest
    correlation that its class ends with, (records, seeds, k, V)."""
    found = arrays["view_correlations"]
    return found >= LEARNED_SHARE * found[-1].max(axis=-1, keepdims=True)


def error_and_known(study: DistillationStudy, arrays: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Error on watched single-view inputs, (records, seeds), and what it should be by the views
    known, (records,), see `predicted_single_error`."""
    data, missing = study.base.data, 1 - known_views(arrays).mean(axis=(1, 2, 3))
    predicted = [
        predicted_single_error(share, n_classes=data.n_classes, sparsity=data.sparsity)
        for share in missing.tolist()
    ]
    return arrays["watched_single_error"], np.array(predicted)


def race_ends(study: DistillationStudy, winner: np.ndarray) -> np.ndarray:
    """The first record at which each winner reads the threshold, (races,); the last if never."""
    over = winner >= saturation(study.base.data, study.base.learner)
    return np.where(over.any(axis=0), over.argmax(axis=0), len(winner) - 1)


@dataclass(frozen=True, kw_only=True, slots=True)
class TheoremOne:
    """What the page on Theorem 1 draws of networks on hard labels: winner, loser and foretold
    loser, (records, races); the record at which each race ends, (races,); and `memory`."""

    study: DistillationStudy
    hard: Arrays
    views: Races
    winner: np.ndarray
    loser: np.ndarray
    foretold: np.ndarray
    ends: np.ndarray
    remembered: dict[str, tuple[np.ndarray, int]]

    def at_end(self, values: np.ndarray) -> np.ndarray:
        """What (records, races) says at the end of each race, (races,)."""
        return values[self.ends, np.arange(values.shape[1])]


def theorem_one(study: DistillationStudy, hard: Arrays) -> TheoremOne:
    """Of one draw's networks."""
    views = races(hard)
    winner, loser = (views.of(hard["view_correlations"], v) for v in (views.winner, views.loser))
    return TheoremOne(
        study=study,
        hard=hard,
        views=views,
        winner=winner,
        loser=loser,
        foretold=foretold_loser(study, winner, loser, views),
        ends=race_ends(study, winner),
        remembered=memory(hard, views),
    )


def _two(values: Any) -> str:
    """The mean with two significant digits, as people write them."""
    return f"{float(f'{np.mean(values):.2g}'):g}"


def _median(values: np.ndarray) -> str:
    return _two(np.median(values))


def theorem_one_ledger(one: TheoremOne) -> list[Record]:
    """The proof's steps: what each says of a quantity, and what that is here."""
    study, hard, views = one.study, one.hard, one.views
    data = study.base.data
    sizes, residual = (views.at_fit(values) for values in residual_sizes(study, hard, views))
    leads = [one.at_end(one.winner) / one.at_end(v) for v in (one.foretold, one.loser)]
    named = hard["predicted_winner"] == views.winner
    fit, seeds = views.fit, np.arange(len(views.fit))
    known = known_views(hard)[fit, seeds]  # each network's at its own first fit
    missed = float(1 - known.mean())
    lost = predicted_single_error(missed, n_classes=data.n_classes, sparsity=data.sparsity)
    read = {kind: scores[fit.max()].sum() for kind, (scores, _) in one.remembered.items()}
    rows = [
        ("1 growth", "the winner's lead when it reads the threshold", *map(_median, leads)),
        ("2 lottery", "winners named by the initialisation", "1", _two(named)),
        ("3 take-off", "residual of multi-view samples",
         " to ".join(_two(predicted_residual(study, sizes, rivals=r)) for r in (False, True)),
         _two(residual)),
        ("4 no second race", "the loser's correlation over the winner's", "near 0",
         _median(views.at_fit(one.loser) / views.at_fit(one.winner))),
        ("5 memory", "right score of left-over samples: of the training set",
         f"log k = {_two(math.log(data.n_classes))} or more", _two(read["training"])),
        ("", "fresh", "near 0", _two(read["fresh"])),
        ("6 one view", "views known of each class", "1", _two(known.sum(axis=-1))),
        ("7 half of mu", "error on single-view inputs", _two(lost),
         _two(hard["watched_single_error"][fit, seeds])),
    ]  # fmt: skip
    headers = ("step", "quantity", "bound or prediction", "measured")
    return [dict(zip(headers, row, strict=True)) for row in rows]


def theorem_one_values(one: TheoremOne) -> Record:
    """What the text of the page on Theorem 1 names."""
    (train, n), (fresh, n_fresh) = one.remembered["training"], one.remembered["fresh"]
    fit = int(one.views.fit.max())
    asked, won = (
        gains(one.hard, one.views, view).mean(axis=1)
        for view in (one.views.loser, one.views.winner)
    )
    data, learner = one.study.base.data, one.study.base.learner
    rates = pulls(data, learner, one.study.base.n_train)
    return {
        "races": one.winner.shape[1],
        "networks": len(one.views.fit),
        "fits": ", ".join(f"{step:.0f}" for step in fitted_at(one.hard)),
        "last-step": int(one.hard["steps"][-1]),
        "saturation": number(saturation(data, learner), 1),
        "start-lead": _median(one.winner[0] / one.loser[0].clip(1e-3)),
        "end-lead": _median(one.at_end(one.winner) / one.at_end(one.loser)),
        "foretold-lead": _median(one.at_end(one.winner) / one.at_end(one.foretold)),
        "left-over": n,
        "left-over-fresh": n_fresh,
        "noise-over-leftover": _two(rates.noise / rates.leftover),
        "behind": int((one.winner[0] < one.loser[0]).sum()),
        "memory-train": _two(train[fit].sum()),
        "memory-fresh": _two(fresh[fit].sum()),
        "trace-train": _two(train[fit, 1]),
        "trace-fresh": _two(fresh[fit, 1]),
        "winner-from-multi": _two(won[fit, OWN]),
        "winner-to-others": _two(-won[fit, FAINT]),
        "loser-early": _two(asked[one.ends.min(), OWN]),
        "loser-from-multi": _two(asked[fit, OWN]),
        "loser-from-single": _two(asked[fit, SINGLE]),
        "loser-to-others": _two(-asked[fit, FAINT]),
    }


# ---------------------------------------------------------------- Theorem 3


def teacher_table(
    study: DistillationStudy, outputs: np.ndarray, correlations: np.ndarray, sample: Sample
) -> list[Record]:
    r"""Mean soft label (4.2) of classes that a training input shows faintly and that it does not
    show, by who says it, beside what a teacher would say that puts every class it sees at the cap
    and all others at 0.

    Args:
        outputs: of the teaching networks on the training set, (networks, N, k).
        correlations: theirs with the views, (networks, k, V).
    """
    shown = roles(sample)[..., FAINT].numpy()  # (N, k, V)
    faint, single = shown.any(axis=-1), sample.single_view.numpy()[:, None]
    own = sample.labels.numpy()[:, None] == np.arange(faint.shape[1])
    c, tau = study.teacher_scale, study.tau
    known = (shown & learned(correlations)[0]).any(axis=-1)
    groups = {
        "the label": own & ~single,
        "faint, a view that network 0 knows": faint & ~single & known,
        "faint, a view that it lacks": faint & ~single & ~known,
        "not there": ~faint & ~own & ~single,
    }
    G = torch.as_tensor(c * outputs[0][None]), c * averages(study, torch.as_tensor(outputs))[:1]
    one, all_of_them = (truncated_logit(F[0], tau=tau).numpy() for F in G)
    ideal = truncated_logit(torch.as_tensor((faint | own) / tau**2), tau=tau).numpy()
    said = {"one network": one, "the ensemble": all_of_them, "ideal teacher": ideal}
    return [
        {"class": name} | {who: _two(label[group]) for who, label in said.items()}
        for name, group in groups.items()
    ]


def first_push(study: DistillationStudy, outputs: np.ndarray, sample: Sample) -> np.ndarray:
    r"""The mean residual of (4.3) before the first step, on the multi-view samples of other classes
    that show a view faintly: $\frac{\eta'}\eta(\mathrm{logit}^\tau_j(G) - \frac1k)^+ - \frac1k$,
    for every student's own teacher, class and view, (students, k, V)."""
    k = study.base.data.n_classes
    G = study.teacher_scale * averages(study, torch.as_tensor(outputs))[: study.n_students]
    soft = truncated_logit(G, tau=study.tau).expand(study.n_students, -1, -1)
    push = study.rate_ratio * (soft - 1 / k).clamp_min(0) - 1 / k  # (students, N, k)
    shown = roles(sample)[..., FAINT].to(push)  # (N, k, V)
    summed = torch.einsum("snk,nkv->skv", push, shown)
    return (summed / shown.sum(dim=0)).numpy()


def enough(study: DistillationStudy) -> float:
    r"""The correlation at which one neuron alone puts a class at the cap $1/\tau^2$ by a faint
    view: where $C_o \widetilde{ReLU}(\bar z c / C_o) = 1/\tau^2$, beyond the threshold."""
    data, (q, threshold) = study.base.data, takeoff(study.base.learner.nonlinearity)
    patches, z = data.patches_per_other_view, sum(data.multi_other_strength) / 2
    return (1 / (study.tau**2 * patches) + (1 - 1 / q) * threshold) * patches / z


@dataclass(frozen=True, kw_only=True, slots=True)
class TheoremThree:
    """What the page on Theorem 3 draws, "hard labels" beside "distilled": the loser's correlation
    and the mean residual of the samples that show it faintly, (records, races) each; `pushed`, the
    residual foretold for step 0, (races,)."""

    study: DistillationStudy
    of: dict[str, Arrays]
    views: Races
    loser: dict[str, np.ndarray]
    asked: dict[str, np.ndarray]
    pushed: np.ndarray

    @property
    def mean_push(self) -> float:
        """`pushed`, on average over races."""
        return float(self.pushed.mean())


def theorem_three(
    study: DistillationStudy, hard: Arrays, distilled: Arrays, outputs: np.ndarray, sample: Sample
) -> TheoremThree:
    """Of one draw's students; `study` is that of the distilled ones, `outputs` their teachers'."""
    views, of = races(hard), {"hard labels": hard, "distilled": distilled}
    pushed = np.take_along_axis(first_push(study, outputs, sample), views.loser[..., None], axis=2)
    return TheoremThree(
        study=study,
        of=of,
        views=views,
        loser={kind: views.of(a["view_correlations"], views.loser) for kind, a in of.items()},
        asked={kind: views.of(a["growth"], views.loser)[:, :, FAINT, 0] for kind, a in of.items()},
        pushed=pushed.ravel(),
    )


def theorem_three_ledger(three: TheoremThree) -> list[Record]:
    """The proof's steps: what each says of a quantity of distilled students, what that is at the
    last step unless said, and beside it the same on hard labels."""
    study, base, kinds = three.study, three.study.base, ("distilled", "hard labels")
    rates = pulls(base.data, base.learner, base.n_train)
    asked, loser = ([by_kind[kind] for kind in kinds] for by_kind in (three.asked, three.loser))
    arrays = [three.of[kind] for kind in kinds]
    added = [gains(a, three.views, three.views.loser).mean(axis=1)[-1] for a in arrays]
    shares = [part[FAINT] / part.sum() for part in added]
    known = [mean(known_views(a)[-1].sum(axis=-1)) for a in arrays]
    errors, predicted = zip(*(error_and_known(study, a) for a in arrays), strict=True)
    rows = [
        ("1 a residual is left", "residual on samples that show the missing view faintly, step 0",
         _two(three.mean_push), *(_two(a[0]) for a in asked)),
        ("2 faint views outrun noise", "rate on the missing view / on a sample's noise, computed",
         "above 1", _two(rates.weak / rates.noise), ""),
        ("3 growth", "share of the missing view's growth that these samples gave", "1",
         *(_two(share) if share > 0 else "none" for share in shares)),
        ("4 it stops", "the missing view's correlation", f"about {_two(enough(study))}",
         *(_median(c[-1]) for c in loser)),
        ("", "residual on those samples", "0 or less", *(_two(a[-1]) for a in asked)),
        ("5 both views", "views known of each class", "2", *map(_two, known)),
        ("6 test error", "error on single-view inputs", _two(predicted[0][-1]),
         *(_two(e[-1]) for e in errors)),
    ]  # fmt: skip
    headers = ("step", "quantity", "bound or prediction", *kinds)
    return [dict(zip(headers, row, strict=True)) for row in rows]


def theorem_three_values(three: TheoremThree) -> Record:
    """What the text of the page on Theorem 3 names."""
    study, base = three.study, three.study.base
    asked, steps = three.asked["distilled"].mean(axis=1), three.of["distilled"]["steps"]
    quiet = int((asked < asked[0] / 10).argmax())
    added = gains(three.of["distilled"], three.views, three.views.loser).mean(axis=1)[-1]
    rates = pulls(base.data, base.learner, base.n_train)
    return {
        "races": three.pushed.size,
        "students": study.n_students,
        "tau": study.tau,
        "cap": _two(1 / study.tau**2),
        "enough": _two(enough(study)),
        "pushed": _two(three.mean_push),
        "push-measured": _two(asked[0]),
        "push-hard": _two(three.asked["hard labels"][0]),
        "push-peak": _two(asked.max()),
        "quiet-step": int(steps[quiet]),
        "last-step": int(steps[-1]),
        "missing-end": _median(three.loser["distilled"][-1]),
        "missing-hard": _median(three.loser["hard labels"][-1]),
        "from-others": percent(added[FAINT] / added.sum(), 0),
        "weak-over-noise": _two(rates.weak / rates.noise),
    }


def asked_by_role(
    arrays: Arrays, views: Races, view: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Steps, and what samples in each role have added to one view a race by then, on average over
    races, (records,)."""
    added = gains(arrays, views, view).mean(axis=1)
    return arrays["steps"], dict(zip(ROLES, added.T, strict=True))
