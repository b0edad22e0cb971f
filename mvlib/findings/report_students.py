"""What the book shows of students."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from mvlib.experiments.settings import LONGER, Scale
from mvlib.findings.finding import Finding, records
from mvlib.findings.formatting import Family, Record, mean, number, of_all, percent, with_interval
from mvlib.findings.report_networks import fitted_at
from mvlib.findings.students import (
    implicit_ensemble_prediction,
    less_than_hard,
    own_and_teachers_view,
    share_with_all_views,
)
from mvlib.findings.theorems import (
    ensemble_errors,
    mean_of_draws,
    missed,
    network_errors,
    with_ends,
)
from mvlib.paper.growth_rates import Pulls, pulls
from mvlib.paper.multi_view_data import Sample
from mvlib.paper.objectives import TAU, truncated_logit
from mvlib.run.sweep import load_family
from mvlib.store.entries import Arrays, Store
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.single_model import SingleModelStudy

# Family of experiments -> its networks or students, as the chapters call them, and the claim about
# their error.
KINDS = {
    "single-model": ("networks", "theorem-1"),
    "hard-labels": ("hard labels", "hard-label-student"),
    "distilled": ("distilled", "theorem-3"),
    "self-distilled": ("self-distilled", "self-distillation"),
    "control-one-hot": ("control: one-hot", "control-one-hot"),
    "control-shuffled": ("control: shuffled", "control-shuffled"),
    "self-control": ("control: one-hot, softer", "self-control"),
}
STUDENTS = tuple(KINDS)[1:]
# Target of Hinton's form -> the same students by the capped (4.3).
SAME_TARGET = {"average": "distilled", "each": "self-distilled", "one-hot": "control-one-hot"}
PULLS = {
    "own": ("the own view that wins", "the multi-view samples of the class"),
    "weak": ("the missing view, weakly", "samples of other classes"),
    "confusion": ("a view of another class (confusion)", "that class's samples"),
    "noise": ("the noise of one sample", "that sample"),
    "leftover": ("the missing view at full strength", "left-over single-view samples"),
}
QUIET = 0.4  # factor for students' scores where soft labels are drawn: their floor is near the cap
UNEVEN = 0.6  # a view with less than this share of the class's larger correlation is the weak one
SOLVED = 0.05  # test error over mu that a student trained for long has to reach
# The introduction's mark for one student, and how far above it a control has to stay for half of
# what a network lacks to be owed to dark knowledge; the second is ours.
GOAL, GOAL_GAP = 0.01, 0.25

Estimate = tuple[float, float, float]  # a value with the ends of its interval
Draws = Mapping[str, Sequence[Arrays]]  # family -> arrays, one a data draw


def load(scale: Scale, store: Store, *names: str) -> dict[str, list[Arrays]]:
    """Families of experiments -> their arrays, one a data draw."""
    return {name: [arrays for _, arrays in load_family(scale, name, store)] for name in names}


def errors(study: SingleModelStudy, of: Draws) -> dict[str, list[np.ndarray]]:
    """Kind of network, in words -> test errors over mu, one array a data draw."""
    return {KINDS[name][0]: network_errors(study, draws) for name, draws in of.items()}


def predictions(found: Mapping[str, Finding]) -> dict[str, float]:
    """Kind of network, in words -> the error over mu that theory predicts (controls: nothing)."""
    return {
        kind: found[claim].predicted
        for kind, claim in KINDS.values()
        if claim in found and not kind.startswith("control")
    }


# ---------------------------------------------------------------- distillation


def distillation_values(study: SingleModelStudy, taught: DistillationStudy) -> Record:
    """The setting of distillation: the networks' study and that of the distilled students."""
    return {
        "members": study.ensemble_size or study.n_networks,
        "tau": taught.tau,
        "cap": number(1 / taught.tau**2, 2),
        "paper-tau": number(1 / np.log(study.data.n_classes) ** 2, 2),
        "ratio": taught.rate_ratio,
        "scale-c": taught.teacher_scale,
        "student-steps": taught.schedule.stop_rule.limit,
        "longer": LONGER,
        "watched-n": taught.n_watch,
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """An input with faint views that one network lacks."""

    at: int  # its place in the sample
    label: int
    visible: dict[int, str]  # other classes that it shows -> which of their views, in words
    unseen: list[int]  # those of them of which the network sees nothing here


def shown_classes(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Whether each input shows each class, (n, k), and shows it faintly: another than its own."""
    shown = (sample.strengths > 0).any(dim=-1).numpy()
    return shown, shown & (sample.labels.numpy()[:, None] != np.arange(shown.shape[1]))


def absent_ahead(sample: Sample, scores: np.ndarray) -> np.ndarray:
    """Whether some class that an input does not show has more of the `scores` (..., n, k) than one
    that it shows, (..., n)."""
    shown = shown_classes(sample)[0]
    loudest = np.where(shown, -np.inf, scores).max(axis=-1)
    return np.asarray(loudest > np.where(shown, scores, np.inf).min(axis=-1))


def faint_example(sample: Sample, learned: np.ndarray, scores: np.ndarray) -> Example:
    """The first multi-view input that shows three other classes of which a network sees one, by
    the views that it has learned, (k, V), and in which a student's `scores` (n, k) are lower for
    every absent class than for those that are there (or else the first of whatever scores)."""
    shown, (_, visible) = (sample.strengths > 0).numpy(), shown_classes(sample)
    seen = visible & (shown & learned).any(axis=-1)
    fits = (visible.sum(axis=1) == 3) & (seen.sum(axis=1) == 1) & ~sample.single_view.numpy()
    at = int((fits * (2 - absent_ahead(sample, scores))).argmax())
    return Example(
        at=at,
        label=int(sample.labels[at]),
        visible={
            j: "view " + " and ".join(str(v + 1) for v in shown[at, j].nonzero()[0].tolist())
            for j in visible[at].nonzero()[0].tolist()
        },
        unseen=(visible & ~seen)[at].nonzero()[0].tolist(),
    )


def soft_labels(
    at: int, taught: DistillationStudy, single: Arrays, hard: Arrays, distilled: Arrays
) -> list[tuple[str, np.ndarray]]:
    """Who -> soft label (4.2) of training input `at`, of one network, of the average that teaches
    the first student, and of that student on hard labels and from the average; students' scores
    are turned down."""
    c, members = taught.teacher_scale, taught.base.ensemble_size or None
    scores = {
        "one network": c * single["train_outputs"][0, at],
        "the average: the teacher": c * single["train_outputs"][:members, at].mean(axis=0),
        "student on hard labels": QUIET * hard["train_outputs"][0, at],
        "distilled student": QUIET * distilled["train_outputs"][0, at],
    }
    return [
        (who, truncated_logit(torch.as_tensor(F), tau=taught.tau).numpy())
        for who, F in scores.items()
    ]


def example_values(example: Example, sample: Sample, distilled: Arrays) -> Record:
    """The example in the text; the median score of distilled students for absent classes, also of
    those classes one view of which came late (`UNEVEN`); and in how many multi-view inputs some
    absent class is louder than one that is there."""
    shown, F = shown_classes(sample)[0], distilled["train_outputs"]
    absent, correlations = ~shown, distilled["correlations"]
    late = (correlations < UNEVEN * correlations.max(axis=-1, keepdims=True)).any(axis=-1)
    floors = F[absent & late[:, None]]
    ahead = absent_ahead(sample, F)
    return {
        "floor-late": number(np.median(floors), 1) if floors.size else "none",
        "absent-ahead": percent(ahead[:, ~sample.single_view.numpy()], 0),
        "example-label": example.label,
        "example-unseen": ", ".join(map(str, example.unseen)),
        "quiet": QUIET,
        "floor": number(np.median(F[:, absent]), 1),
    }


def errors_over_time(of: Draws) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, float]]:
    """Error on watched single-view inputs over training: steps (records,), those of the students
    that are taught; kind -> errors (records, students of all draws), the last one of those that
    have stopped; kind -> mean first recorded step with training error 0, NaN if a student never
    gets there."""
    steps = next(draws[0]["steps"] for name, draws in of.items() if name != "hard-labels")
    watched = {
        KINDS[name][0]: np.concatenate([_at(steps, a, "watched_single_error") for a in draws], 1)
        for name, draws in of.items()
    }
    fitted = {KINDS[n][0]: mean_of_draws([*map(fitted_at, draws)]) for n, draws in of.items()}
    return steps, watched, fitted


def _at(steps: np.ndarray, arrays: Arrays, name: str) -> np.ndarray:
    """What was recorded last at each of some steps."""
    return arrays[name][np.searchsorted(arrays["steps"], steps, side="right") - 1]


def student_table(study: SingleModelStudy, of: Draws, found: Mapping[str, Finding]) -> list[Record]:
    """A row a kind of student."""
    return [
        {
            "students of": KINDS[name][0],
            "n": sum(len(a["fitted"]) for a in draws),
            "fit the training set": int(sum(a["fitted"].sum() for a in draws)),
            "multi-view error": mean_of_draws([a["multi_error"] for a in draws]),
            "test error / μ [95% interval]": found[KINDS[name][1]].summary(),
            "classes with both views": share_with_all_views(draws),
            "average of the students": mean(ensemble_errors(study, draws)),
        }
        for name, draws in of.items()
    ]


def remaining_values(study: SingleModelStudy, of: Draws) -> Record:
    """What distilled students still get wrong: single-view inputs that show the view whose
    correlation is the smaller one by far (`UNEVEN`), and all others."""
    hard, distilled = of["hard-labels"], of["distilled"]
    correlations = np.concatenate([a["correlations"] for a in distilled])
    uneven = _uneven(correlations)
    error = np.concatenate([a["class_error"] for a in distilled])
    return {
        "gain": with_interval(less_than_hard(study, hard, distilled)),
        "n-students": len(correlations),
        "n-draws": len(distilled),
        "both": number(share_with_all_views(distilled)),
        "hard-both": number(share_with_all_views(hard)),
        "uneven-mark": UNEVEN,
        "uneven-share": number(uneven, 2),
        "uneven-error": number(error[uneven]),
        "even-error": number(error[~uneven]),
    }


def long_run(study: SingleModelStudy, arrays: Arrays) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Students in a long training: steps (records,), test error over mu and largest correlation
    of a neuron with a view, (records, students)."""
    (error,) = network_errors(study, [arrays], "watched_")
    return arrays["steps"], error, arrays["view_correlations"].max(axis=(2, 3))


def long_run_values(
    study: SingleModelStudy, capped: Arrays, printed: Arrays, printed_one_hot: Arrays
) -> Record:
    """How the capped form (4.3) and the printed one end."""
    steps, error, largest = long_run(study, capped)
    printed_steps, printed_error, printed_largest = long_run(study, printed)
    holds = (capped["train_error"] == 0) & (error <= SOLVED)
    return {
        "holds": percent(holds, 0),
        "long-solved": SOLVED,
        "holds-from": int(steps[holds.any(axis=1).argmax()]),
        "long-steps": int(steps[-1]),
        "capped-end": number(error[-1]),
        "capped-weight": number(largest[-1], 0),
        "printed-steps": int(printed_steps[-1]),
        "printed-end": number(printed_error[-1]),
        "printed-weight": f"{printed_largest[-1].mean():.2g}",
        "printed-train": number(printed["train_error"][-1], 4),
        "printed-one-hot": number(network_errors(study, [printed_one_hot])),
    }


def pull_table(rates: Pulls) -> list[Record]:
    """The rates that compete."""
    return [
        {"pull towards": towards, "seen in": where, "rate g r₀^(q-2)": getattr(rates, name)}
        for name, (towards, where) in PULLS.items()
    ]


def pull_values(rates: Pulls) -> Record:
    """Those of the rates that the text names."""
    names = ("leftover", "noise", "weak", "confusion")
    return {f"rate-{name}": f"{getattr(rates, name):.2g}" for name in names}


def room_table(
    study: SingleModelStudy, single: Arrays, distilled: Arrays, crowded: Family
) -> list[Record]:
    """Networks and students of their average at the book's setting, on one draw, and where there is
    less room for distillation: `crowded` are networks, their students, ..."""
    settings = [("the book's setting", study, single, distilled)]
    for (teacher, networks), (e, students) in zip(crowded[::2], crowded[1::2], strict=True):
        settings.append((e.label, teacher.study, networks, students))
    return [
        {
            "setting": label,
            "weak": rate.weak,
            "noise": rate.noise,
            "confusion": rate.confusion,
            "networks: single-view error": mean(networks["single_error"]),
            "their ensemble": float(networks["ensemble_single_error"]),
            "distilled students: single-view error": mean(students["single_error"]),
            "multi-view error": mean(students["multi_error"]),
            "fitted": of_all(students["fitted"]),
        }
        for label, at, networks, students in settings
        for rate in [pulls(at.data, at.learner, at.n_train)]
    ]


def hinton_table(study: SingleModelStudy, hinton: Family, of: Draws) -> list[Record]:
    """Hinton's form on one draw beside the same students by the capped (4.3)."""
    return [
        {
            "teacher": {"each": "one network each"}.get(e.study.target, e.study.target),
            "Hinton: test error / μ": mean(network_errors(study, [arrays])),
            "multi-view error": mean(arrays["multi_error"]),
            "capped form, same students": mean(capped[: len(arrays["single_error"])]),
        }
        for e, arrays in hinton
        for capped in network_errors(study, of[SAME_TARGET[e.study.target]][:1])
    ]


# ---------------------------------------------------------------- the length of a step


class Stride(NamedTuple):
    """Students of the ensemble and their one-hot control in steps of one length.

    Attributes:
        length: share by which a step may change what a class has learned.
        ours: whether it is the book's.
        n: students of each kind.
        steps: how many were taken.
        taught, control: test error over mu, with its interval.
        gap: the control's error less that of the same students of the ensemble, paired.
        faint: share of views that end below `UNEVEN` of their rival in students of the ensemble.
        spare: share of classes of which the control's students know all views.
        taught_views, control_views: readings over varrho of a class's strongest and of its weakest
            view at the end, mean.
    """

    length: float
    ours: bool
    n: int
    steps: int
    taught: Estimate
    control: Estimate
    gap: Estimate
    faint: float
    spare: float
    taught_views: tuple[float, float]
    control_views: tuple[float, float]


def frontier(study: SingleModelStudy, tried: Family, book: Family) -> list[Stride]:
    """Both goals of distillation, the shortest steps first: students in steps that were `tried`,
    and in the `book`'s own as many on the same draws."""
    n, by_length = tried[0][0].study.n_students, dict[float, dict[str, list[Arrays]]]()
    draws = {e.study.base.draw for e, _ in tried}
    ours = {e.study.schedule.step_rule.relative_change for e, _ in book}
    for e, arrays in [*tried, *(entry for entry in book if entry[0].study.base.draw in draws)]:
        sides = by_length.setdefault(e.study.schedule.step_rule.relative_change, {})
        wanted = ("single_error", "multi_error", "correlations", "stop_step")
        sides.setdefault(e.study.target, []).append({name: arrays[name][:n] for name in wanted})
    return [
        _stride(study, length, length in ours, sides["average"], sides["one-hot"])
        for length, sides in sorted(by_length.items())
    ]


def _stride(
    study: SingleModelStudy,
    length: float,
    ours: bool,
    taught: list[Arrays],
    control: list[Arrays],
) -> Stride:
    return Stride(
        length=length,
        ours=ours,
        n=sum(len(a["single_error"]) for a in taught),
        steps=int(taught[0]["stop_step"].max()),
        taught=with_ends(network_errors(study, taught)),
        control=with_ends(network_errors(study, control)),
        gap=less_than_hard(study, control, taught),
        faint=mean_of_draws([_uneven(a["correlations"]) for a in taught]),
        spare=share_with_all_views(control),
        taught_views=_strongest_and_weakest(study, taught),
        control_views=_strongest_and_weakest(study, control),
    )


def _strongest_and_weakest(study: SingleModelStudy, draws: Sequence[Arrays]) -> tuple[float, float]:
    readings = [a["correlations"] / study.learner.threshold for a in draws]
    strongest, weakest = ([pick(r, axis=-1) for r in readings] for pick in (np.max, np.min))
    return mean_of_draws(strongest), mean_of_draws(weakest)


def _uneven(correlations: np.ndarray) -> np.ndarray:
    return correlations < UNEVEN * correlations.max(axis=-1, keepdims=True)


def in_corner(stride: Stride) -> bool:
    """Whether both goals are met."""
    return stride.taught[0] <= GOAL and stride.gap[0] >= GOAL_GAP


def may_be_in_corner(stride: Stride) -> bool:
    """Whether neither interval excludes its goal."""
    return stride.taught[1] <= GOAL and stride.gap[2] >= GOAL_GAP


def frontier_table(strides: Sequence[Stride]) -> list[Record]:
    """A row a length of steps."""
    return [
        {
            "step": f"{s.length:g}" + " (the book's)" * s.ours,
            "steps": s.steps,
            "students of each kind": s.n,
            "distilled": with_interval(s.taught),
            "one-hot": with_interval(s.control),
            "one-hot above distilled": with_interval(s.gap),
            "distilled: views left faint": number(s.faint),
            "one-hot: classes with both views": number(s.spare),
        }
        for s in strides
    ]


def frontier_values(strides: Sequence[Stride], tried: Family) -> Record:
    """What the text says of it: both ends, and which lengths meet both goals."""
    shown = [e.study for e, _ in tried]
    said: dict[str, object] = {
        "goal": f"{GOAL:g}",
        "goal-gap": f"{GOAL_GAP:g}",
        "network-lacks": f"{missed(shown[0].base.data.n_views):g}",
        "lengths-n": len(strides),
        "lengths-students": shown[0].n_students,
        "lengths-draws": len({study.base.draw for study in shown}),
    }
    for word, met in (("both", in_corner), ("open", may_be_in_corner)):
        said[f"lengths-{word}"] = ", ".join(f"{s.length:g}" for s in strides if met(s)) or "none"
    for word, stride in (("short", strides[0]), ("long", strides[-1])):
        said[f"{word}-length"] = f"{stride.length:g}"
        said[f"{word}-taught"] = number(stride.taught[0])
        said[f"{word}-control"] = number(stride.control[0])
        said[f"{word}-gap"] = number(stride.gap[0])
        said[f"{word}-spare"] = number(stride.spare, 2)
        for side, views in (("taught", stride.taught_views), ("control", stride.control_views)):
            said[f"{word}-{side}-strong"], said[f"{word}-{side}-weak"] = (
                number(view, 1) for view in views
            )
    return said


# ---------------------------------------------------------------- self-distillation


def self_distillation_values(
    study: SingleModelStudy, taught: DistillationStudy, of: Draws, found: Mapping[str, Finding]
) -> Record:
    """What the text on self-distillation says of the setting and of the measurement."""
    students, claim = of["self-distilled"], found["self-distillation"]
    gain = less_than_hard(study, of["hard-labels"], students)
    beyond = less_than_hard(study, of["self-control"], students)
    predicted = implicit_ensemble_prediction(study, of["single-model"], students)
    return {
        "self": claim.summary(),
        "self-n": claim.n,
        "self-bound": f"{claim.predicted:g}",
        "self-measured-is": _beside_bound(claim.measured, claim),
        "self-high-is": _beside_bound(claim.high, claim),
        "self-verdict": claim.verdict,
        "n-draws": len(students),
        "steps": taught.schedule.stop_rule.limit,
        "students-a-draw": taught.n_students,
        "self-tau": taught.tau,
        "tau": TAU,
        "self-cap": number(1 / taught.tau**2, 1),
        "cap": number(1 / TAU**2, 2),
        "gain": with_interval(gain),
        "beyond": with_interval(beyond),
        "beside-control": beside(beyond),
        "predicted": number(predicted),
        "hard": found["hard-label-student"].summary(),
        "one-hot": found["self-control"].summary(),
        "one-hot-sharper": found["control-one-hot"].summary(),
    }


def _beside_bound(value: float, claim: Finding) -> str:
    return "within" if value <= claim.predicted else "above"


def beside(less: tuple[float, float, float]) -> str:
    """What the interval of a paired difference says of an error beside its control's."""
    _, low, high = less
    told = "lower than" if low > 0 else "higher than" if high < 0 else "not to be told from"
    return f"{told} the control's"


def lottery_counts(teachers: Sequence[Arrays], taught: Sequence[Arrays]) -> np.ndarray:
    """Numbers of (student, class) pairs, (2, 3): whether the student's own start and its teacher
    name the same view or different ones, by the views that the student ends with: the own one
    alone, the other one alone, both."""
    views = own_and_teachers_view(teachers, taught)
    same, both = views["own"] == views["teacher"], views["has"].all(axis=-1)
    has_own = np.take_along_axis(views["has"], views["own"][..., None], axis=-1)[..., 0]
    ends = (has_own & ~both, ~has_own, both)
    return np.array([[(group & end).sum() for end in ends] for group in (same, ~same)])


def lottery_values(counts: np.ndarray, control: np.ndarray) -> Record:
    """What the text says of `lottery_counts`, of taught students and of their control's."""
    (n_same, n_differ), shares = counts.sum(axis=1), counts / counts.sum(axis=1, keepdims=True)
    return {
        "n-same": int(n_same),
        "n-differ": int(n_differ),
        "both-same": number(shares[0, 2], 2),
        "both-differ": number(shares[1, 2], 2),
        "teacher-only": number(shares[1, 1], 2),
        "control-same": number(control[0, 2] / control[0].sum(), 2),
        "control-differ": number(control[1, 2] / control[1].sum(), 2),
    }


def chain_curves(
    study: SingleModelStudy, single: Arrays, chain: Family
) -> tuple[list[int], list[np.ndarray], list[float]]:
    """Generations of students, 0 being the networks that teach the first: their numbers, test
    errors over mu, (students,) each, and shares of classes with both views."""
    n = chain[0][0].study.n_students
    first = {name: single[name][:n] for name in ("single_error", "multi_error", "correlations")}
    every = [first, *(arrays for _, arrays in chain)]
    generations = [0, *(e.study.generation for e, _ in chain)]
    return generations, network_errors(study, every), [share_with_all_views([a]) for a in every]


def chain_table(chain: Family, errors: Sequence[np.ndarray], both: Sequence[float]) -> list[Record]:
    """A row a generation of students; errors and shares as from `chain_curves`."""
    return [
        {
            "generation": e.study.generation,
            "test error / μ": mean(error),
            "implicit ensemble, 2^-(g+1)": 0.5 ** (e.study.generation + 1),
            "multi-view error": mean(arrays["multi_error"]),
            "classes with both views": share,
            "training error of its teacher": float(arrays["teacher_train_error"].max()),
        }
        for (e, arrays), error, share in zip(chain, errors[1:], both[1:], strict=True)
    ]


def loud_table(sample: Sample, single: Arrays, chain: Family) -> list[Record]:
    """How often teachers of each generation put classes of training inputs at the cap: those that
    an input shows faintly, and those that it does not show."""
    (shown, faint), study = shown_classes(sample), chain[0][0].study
    teachers = [("generation 0, a network", single["train_outputs"][: study.n_students])]
    teachers += [(e.label, arrays["train_outputs"]) for e, arrays in chain[:-1]]
    return [
        {
            "teacher": who,
            "classes faintly visible: at the cap": mean(at_cap[:, faint]),
            "classes absent: at the cap": mean(at_cap[:, ~shown]),
        }
        for who, F in teachers
        for at_cap in [study.teacher_scale * F > 1 / study.tau**2]
    ]


def chain_values(
    generations: Sequence[int], errors: Sequence[np.ndarray], loud: Sequence[Record]
) -> Record:
    """What the text says of chains of students, and of who puts absent classes at the cap."""
    network, student = (record["classes absent: at the cap"] for record in loud[:2])
    means = [mean(error) for error in errors[1:]]
    apart = [float(np.ptp(error)) for error in errors[1:]]
    return {
        "chain-means-apart": number(np.ptp(means)),
        "chain-students-apart": f"{min(apart):.3f} to {max(apart):.3f}",
        "chain-n": len(errors[0]),
        "chain-first": number(errors[1]),
        "chain-last": number(errors[-1]),
        "chain-generations": generations[-1],
        "absent-networks": percent(network),
        "absent-students": percent(student),
    }


def findings_tables(found: Sequence[Finding]) -> tuple[list[Record], list[Record]]:
    """Every claim beside its measurement, and how each was measured."""
    beside = {
        "claim": "heading",
        "predicted": "predicted",
        "measured [95% interval]": "summary",
        "unit": "unit",
        "n": "n",
    }
    how = {"claim": "claim", "how it was measured": "caveat"}
    return records(found, beside), records(found, how)
