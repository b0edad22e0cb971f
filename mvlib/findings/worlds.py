"""One question for all kinds of data: what averaging removes, and how much of it one network holds.

A world is one kind of data with learners on several draws of it; each number is judged by the same
rule in all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mvlib.core.intervals import Draw, interval, ratio, resample
from mvlib.experiments.gaussian import condition_name
from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import Family, with_interval
from mvlib.findings.tangent_kernels import kernel_errors
from mvlib.findings.theorems import ensembles, network_errors, rough
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.store.entries import Arrays
from mvlib.studies.images import ImageStudy
from mvlib.studies.single_model import SingleModelStudy

RESAMPLES = 2000
UNIT_SHARE = "share of the ensemble's gain"
# Student -> what it is called; all but the first two have a teacher that knows no single sample.
STUDENTS = {
    "distilled": "the ensemble",
    "self_distilled": "one network",
    "one_hot": "one-hot labels",
    "shuffled": "outputs shuffled within a class",
    "smoothed": "smoothed labels",
}
CONTROLS = ("one_hot", "shuffled", "smoothed")
TOGETHER = {"single": "ensemble", "distilled": "ensemble_of_distilled"}  # and their averages
# Family of multi-view experiments -> row.
MULTI_VIEW = {
    "distilled": "distilled",
    "self-distilled": "self_distilled",
    "control-one-hot": "one_hot",
    "control-shuffled": "shuffled",
    "control-smoothed": "smoothed",
}
HINTON = {
    "temperature": "distilled",
    "temperature-each": "self_distilled",
    "temperature-one-hot": "one_hot",
}
# Row of learners on frozen features -> who they are in a study of multi-view data.
FROZEN = {
    "single": "single",
    "ensemble": "ensemble",
    "average": "average",
    "distilled": "distilled_student",
    "hard_student": "hard_student",
}

Rows = Mapping[str, np.ndarray]  # row -> errors of its learners, (learners,), or (learners, inputs)
Formula = Callable[[Mapping[str, np.ndarray]], np.ndarray]  # of errors by row, (resamples,) each
Measured = tuple[float, float, float]  # with the ends of its 95% interval


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class World:
    """One kind of data; equal to itself alone, so that its resamples are kept for it.

    Attributes:
        name: in words.
        draws: the rows of each data draw (or training set), "single" and "ensemble" always among
            them; a row that some draws lack is measured on the others, and so is what it is
            compared with.
        curve: error of averages of 1, 2, ... networks, mean over draws.
        same_inputs: whether all draws are tested on the same inputs.
    """

    name: str
    draws: Sequence[Rows]
    curve: np.ndarray
    same_inputs: bool = False

    def has(self, *rows: str) -> list[Rows]:
        """Those rows of the draws that have all of them."""
        return [{name: draw[name] for name in rows} for draw in self.draws
                if all(name in draw for name in rows)]  # fmt: skip


def mean_error(world: World, row: str) -> float:
    """Test error of a row, mean over learners, then draws."""
    return float(np.mean([draw[row].mean() for draw in world.has(row)]))


def resampled_errors(world: World, *rows: str) -> Mapping[str, np.ndarray]:
    """Test error of each row in bootstrap resamples, (resamples,), and of all other rows that the
    same draws have.

    A resample holds draws, in each of them learners, and test inputs, the same for all rows; the
    l-th learners of rows with as many go together, so that students are compared with their own
    teachers and with each other.  An ensemble has nothing to draw: it stays the learner it is.
    """
    return _resampled(world, tuple(set(rows) <= draw.keys() for draw in world.draws))


@functools.lru_cache(maxsize=64)
def _resampled(world: World, having: tuple[bool, ...]) -> Mapping[str, np.ndarray]:
    """Once for all questions about the same draws: what resamples take is the inputs' shares."""
    draws = [draw for draw, has in zip(world.draws, having, strict=True) if has]
    rows = [name for name in draws[0] if all(name in draw for draw in draws)]
    groups: list[Draw] = []
    for draw in draws:
        shapes = {name: (draw[name].ndim, len(draw[name])) for name in rows}
        groups.append([
            {name: draw[name] for name in rows if shapes[name] == shape}
            for shape in dict.fromkeys(shapes.values())
        ])  # fmt: skip
    return resample(groups, n_resamples=RESAMPLES, same_inputs=world.same_inputs)


def measure(world: World, formula: Formula, *rows: str) -> Measured:
    """A formula of the errors of some rows, with its 95% interval."""
    draws = world.has(*rows)
    exact = {name: np.array([np.mean([draw[name].mean() for draw in draws])]) for name in rows}
    return float(formula(exact)[0]), *interval(formula(resampled_errors(world, *rows)))


def share_of_gain(
    world: World, other: str, *, base: str = "single", ensemble: str = "ensemble"
) -> Measured:
    """(base - other) / (single - ensemble): 1 where `other` gains as much as the ensemble, 0 where
    it gains nothing.  Resamples in which the ensemble gains nothing count as infinite."""
    rows = dict.fromkeys((base, other, "single", ensemble))
    return measure(world, lambda e: ratio(e[base] - e[other], e["single"] - e[ensemble]), *rows)


def gain(world: World, other: str, *, base: str = "single") -> Measured:
    """How much lower the error of `other` is than that of `base`."""
    return measure(world, lambda e: e[base] - e[other], base, other)


def removed(world: World) -> Measured:
    """Share of a single network's errors that the ensemble removes."""
    return measure(
        world, lambda e: ratio(e["single"] - e["ensemble"], e["single"]), "single", "ensemble"
    )


# ---------------------------------------------------------------- the worlds


def multi_view(study: SingleModelStudy, families: Mapping[str, Family]) -> World:
    """Multi-view data, errors over mu; averages are of fewer networks than ensembles, see
    "few"."""
    of = {name: [arrays for _, arrays in family] for name, family in families.items()}
    single, joint = of["single-model"], of["joint"]
    draws = [
        {"single": errors, "ensemble": together}
        for errors, together in zip(
            network_errors(study, single), ensembles(study, single), strict=True
        )
    ]
    for family, row in MULTI_VIEW.items():
        for draw, errors in zip(draws, network_errors(study, of[family]), strict=False):
            draw[row] = errors
    # The mean of a few networks trained as one, their sum, and the ensemble of as many.
    members, mu = len(joint[0]["single_error"]), study.data.single_view_fraction
    for draw, a, together in zip(draws, single, _together(study, joint), strict=True):
        draw["average"] = together
        curve = error_in_units_of_mu(a["size_curve"], a["size_curve_multi"], mu)
        draw["few"] = np.array([np.nanmean(curve[members - 1])])
    summed = [a for e, a in families["joint-size"] if not e.study.mean
              and e.study.n_members == members]  # fmt: skip
    for draw, together in zip(draws, _together(study, summed), strict=False):
        draw["wide"] = together
    curves = [
        np.nanmean(error_in_units_of_mu(a["size_curve"], a["size_curve_multi"], mu), axis=1)
        for a in single
    ]
    return World(name="multi-view data", draws=draws, curve=np.mean(curves, axis=0))


def _together(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[np.ndarray]:
    """Errors of networks trained as one, (1,) a draw."""
    found = network_errors(study, draws, "ensemble_")
    return [np.atleast_1d(errors) for errors in found]


def hinton(world: World, study: SingleModelStudy, families: Mapping[str, Family]) -> World:
    """The same networks and ensembles, with students by Hinton's form of the loss."""
    kept = [dict(draw) for draw in world.has("single", "ensemble")]
    for family, row in HINTON.items():
        arrays = [a for _, a in families[family]]
        for draw, errors in zip(kept, network_errors(study, arrays), strict=False):
            draw[row] = errors
    return replace(world, name="multi-view data, Hinton's loss", draws=kept)


def gaussian(family: Family, selves: Family = (), *, margin: bool = False) -> World:
    """Gaussian inputs of every kind; or those with linear labels and a margin.  `selves`: the same
    networks, each with a student of its own."""
    chosen = [(e.study, a) for e, a in family if (condition_name(e.study) != "clean") == margin]
    rows = {"average": "distilled"} | {c.replace("_", "-"): c for c in CONTROLS}
    draws = [
        {"single": a["wrong"][0], "ensemble": a["ensemble_wrong"][:1], "wide": a["wrong"][1],
         "average": a["together_wrong"], **{row: a[f"{t}_wrong"] for t, row in rows.items()}}
        for _, a in chosen
    ]  # fmt: skip
    taught = {(e.study.draw, e.study.data): a["each_wrong"] for e, a in selves}
    for draw, (study, _) in zip(draws, chosen, strict=True):
        if (study.draw, study.data) in taught:
            draw["self_distilled"] = taught[study.draw, study.data]
    name = "Gaussian inputs, linear labels and a margin" if margin else "Gaussian inputs"
    curve = np.mean([a["size_curve"][0] for _, a in chosen], axis=0)
    return World(name=name, draws=draws, curve=curve)


def frozen_features(name: str, draws: Sequence[Arrays]) -> World:
    """Learners on frozen features (`frozen_learners`); `name`: the data's."""
    rows = [{row.removesuffix("_wrong"): a for row, a in arrays.items() if a.ndim == 2}
            for arrays in draws]  # fmt: skip
    return World(name=name, draws=rows, curve=rows[0]["single"].mean(axis=1)[:1])


def multi_view_frozen(study: SingleModelStudy, contrast: Family, name: str) -> World:
    """The same on multi-view data, by ridge regression: errors over mu."""
    arrays = [a for _, a in contrast]
    of = {row: kernel_errors(study, arrays, "ridge", who) for row, who in FROZEN.items()}
    rows = [dict(zip(of, errors, strict=True)) for errors in zip(*of.values(), strict=True)]
    return World(name=name, draws=rows, curve=rows[0]["single"][:1])


def image_row(study: ImageStudy, single: ImageStudy) -> str:
    """What learners of an image study are beside single networks."""
    if study.target == "labels":
        if study.members > 1 or study.width != single.width:
            return "average" if study.members > 1 else "wide"
        return "single" if study.schedule == single.schedule else "as_long"
    rows = {"average": "distilled", "each": "self_distilled"}
    return rows.get(study.target, study.target.replace("-", "_"))


def photographs(found: Family) -> World:
    """Photographs: the networks of every training set first, all with equally many images."""
    draws: dict[int, dict[str, np.ndarray]] = {}
    curves, single = [], found[0][0].study
    for e, a in found:
        row, draw = image_row(e.study, single), draws.setdefault(e.study.data.draw, {})
        draw[row] = a["wrong"]
        if row in TOGETHER:
            draw[TOGETHER[row]] = a["ensemble_wrong"][None]
        if row == "single":
            curves.append(np.nanmean(a["size_curve"], axis=1))
    # Means over all training sets, as far as each has networks.
    curve = np.mean([*zip(*curves, strict=False)], axis=1)
    return World(
        name="photographs", draws=list(draws.values()), curve=curve, same_inputs=True
    )  # fmt: skip


def by_count(found: Family) -> dict[int, World]:
    """Number of training images, in order -> photographs, of the first training set alone."""
    by_n: dict[int, list[tuple[Any, Arrays]]] = {}
    for e, a in found:
        if e.study.data.draw == found[0][0].study.data.draw:
            by_n.setdefault(e.study.data.n_train, []).append((e, a))
    return {n: photographs(by_n[n]) for n in sorted(by_n)}


# ---------------------------------------------------------------- findings


def beside(world: World) -> str:
    """The controls' shares in words."""
    shares = (f"{STUDENTS[c]} {with_interval(share_of_gain(world, c), '.2f')}"
              for c in CONTROLS if world.has(c))  # fmt: skip
    return "; ".join(shares)


def best_control(world: World) -> str:
    """The control whose students err least, chosen after the fact: as hard a test as there is."""
    return min((c for c in CONTROLS if world.has(c)), key=lambda c: mean_error(world, c))


def distilled_share(world: World, slug: str, note: str = "") -> Finding:
    """What one student holds of the ensemble's gain beyond the same student of one-hot labels.

    Choice: the difference, by one rule in every world, because the loss of distillation alone can
    gain without a teacher that knows anything.
    """
    draws, best = world.has("distilled", "one_hot"), best_control(world)
    beyond_best = with_interval(share_of_gain(world, "distilled", base=best), ".2f")
    return Finding(
        claim=f"worlds-distilled-share-{slug}",
        statement=f"{world.name[0].upper()}{world.name[1:]}: a student of the ensemble has more of "
        "its gain than a student of one-hot labels.",
        predicted=0.0,
        source="ours",
        direction="at least",
        turn=0.0,
        **estimate(*share_of_gain(world, "distilled", base="one_hot")),
        n=sum(len(draw["distilled"]) for draw in draws),
        unit=UNIT_SHARE,
        caveat=(
            f"Share of the gain by what students are taught: the ensemble "
            f"{with_interval(share_of_gain(world, 'distilled'), '.2f')}; {beside(world)}. Beyond "
            f"the best of these controls, {STUDENTS[best]}, {beyond_best}.{note} "
            f"Bootstrap over {len(draws)} draws, then learners"
            f"{' and test inputs' if draws[0]['distilled'].ndim == 2 else ''}."
        ),
        few=rough(draws),
    )


def world_claims(views: World, inputs: World, pictures: World) -> list[Finding]:
    """What one student holds of multi-view data, of Gaussian inputs and of photographs."""
    note = " The loss is the capped form of the paper's (4.3), not Hinton's."
    return [
        distilled_share(views, "multi-view", note),
        distilled_share(inputs, "gaussian"),
        distilled_share(pictures, "photographs"),
    ]
