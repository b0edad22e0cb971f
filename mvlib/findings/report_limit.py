"""What the book shows of many classes, many steps and averages trained as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mvlib.core.intervals import interval, resample
from mvlib.experiments.limit import student_at
from mvlib.findings.finding import Finding
from mvlib.findings.formatting import Family, Record, mean, number, percent, with_interval
from mvlib.findings.limit import Average, averages, total_error
from mvlib.findings.report_networks import first_fit
from mvlib.findings.report_students import GOAL, GOAL_GAP, Estimate
from mvlib.findings.students import share_with_all_views
from mvlib.findings.theorems import all_learned, error_counts, foretold, learned, network_errors
from mvlib.paper.growth_rates import pulls
from mvlib.run.computing import work
from mvlib.run.hours import core_seconds
from mvlib.store.entries import Arrays, Store
from mvlib.studies.many_classes import ManyClassesStudy
from mvlib.studies.single_model import SingleModelStudy

SOLVED = 0.05  # test error over mu below which a student counts as having learned both views
# What is shown against k: the curves' names, and where the theorems put them.
CURVES = {"test error / mu": 0.5, "winner foretold": 1.0, "classes with one view": 1.0}
Counts = Mapping[int, Mapping[str, float]]  # k -> curve -> value


def base_of(study: SingleModelStudy | ManyClassesStudy) -> SingleModelStudy:
    """The networks' own setting."""
    return study.base if isinstance(study, ManyClassesStudy) else study


def by_classes(family: Family) -> Counts:
    """The three curves at every k of a family."""
    return {
        base.data.n_classes: dict(
            zip(
                CURVES,
                (
                    total_error(base, a),
                    mean(foretold(a)),
                    1 - mean(all_learned(a["correlations"])),
                ),
                strict=True,
            )
        )
        for e, a in family
        for base in [base_of(e.study)]
    }


def full_table(full: Family, reduced: Family) -> list[Record]:
    """A row a number of classes: what was trained in full, and the same setting reduced."""
    return [
        {
            "k": base.data.n_classes,
            "d": base.data.dim,
            "networks": base.n_networks,
            "that fit": int(a["fitted"].sum()),
            "single network": total_error(base, a),
            "single network, reduced": total_error(base, r),
            "winners right": mean(foretold(a)),
            "winners right, reduced": mean(foretold(r)),
            "one view": 1 - mean(all_learned(a["correlations"])),
            "one view, reduced": 1 - mean(all_learned(r["correlations"])),
            "their average": total_error(base, a, "ensemble_"),
            "views that none has": missing_from_all(a),
        }
        for (e, a), (_, r) in zip(full, reduced, strict=True)
        for base in [e.study]
    ]


def missing_from_all(arrays: Arrays) -> float:
    """Share of views that no network has."""
    return mean(~learned(arrays["correlations"]).any(axis=0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Goals:
    """Both goals of distillation at one k, by one student of the networks' average and one of
    one-hot labels; an estimate has the ends of its interval over test inputs.

    Attributes:
        k: number of classes.
        student, control: test errors over mu.
        above: the student's less that of the average.
        gap: the control's less the student's.
        both: share of classes of which the student knows all views.
    """

    k: int
    student: float
    control: float
    above: Estimate
    gap: Estimate
    both: float

    @property
    def met(self) -> tuple[bool, bool]:
        """Whether the student is as good as its teacher, which is a weaker goal than an error of at
        most `GOAL` where the teacher errs itself, and far enough below the control."""
        return self.above[0] <= GOAL, self.gap[0] >= GOAL_GAP


def goals(full: Family, students: Family, controls: Family) -> list[Goals]:
    """Of every k that has students."""
    networks = {e.study: arrays for e, arrays in full}
    return [
        _goals(e.study.base, networks[e.study.base], taught, beside)
        for (e, taught), (_, beside) in zip(students, controls, strict=True)
    ]


def _goals(base: SingleModelStudy, networks: Arrays, taught: Arrays, beside: Arrays) -> Goals:
    resampled = resample(
        [
            [
                *error_counts(base, networks, "average", "ensemble_"),
                *error_counts(base, taught, "student"),
                *error_counts(base, beside, "control"),
            ]
        ]
    )
    average = total_error(base, networks, "ensemble_")
    student, control = total_error(base, taught), total_error(base, beside)
    return Goals(
        k=base.data.n_classes,
        student=student,
        control=control,
        above=(student - average, *interval(resampled["student"] - resampled["average"])),
        gap=(control - student, *interval(resampled["control"] - resampled["student"])),
        both=share_with_all_views([taught]),
    )


def not_run(full: Family, students: Family, store: Store) -> dict[int, str]:
    """What stands for students at every k without them: how long one would take, by the time that
    the one of most classes took."""
    last, _ = students[-1]
    seconds, have = core_seconds(last, store), {e.study.base for e, _ in students}
    said = {}
    for e, _ in full:
        if e.study not in have:
            share = work(student_at(e.scale, e.study)) / work(last.study)
            about = "" if seconds is None else f": about {share * seconds / 60:.0f} core-minutes"
            said[e.study.data.n_classes] = f"not run{about}"
    return said


def goals_table(full: Family, found: Sequence[Goals], without: Mapping[int, str]) -> list[Record]:
    """A row a number of classes; `without` as from `not_run`."""
    said = {one.k: _cells(one) for one in found}
    blank = dict.fromkeys(_cells(found[0]), "")
    return [
        {
            "k": k,
            "average": total_error(e.study, a, "ensemble_"),
            **(said[k] if k in said else blank | {"student": without[k]}),
        }
        for e, a in full
        for k in [e.study.data.n_classes]
    ]


def _cells(one: Goals) -> dict[str, object]:
    words = [word for word, met in zip(("first", "second"), one.met, strict=True) if met]
    return {
        "student": one.student,
        "above its average": with_interval(one.above),
        "one-hot student": one.control,
        "above the student": with_interval(one.gap),
        "student: classes with both views": one.both,
        "goals met (first: relative to the average)": " and ".join(words) or "neither",
    }


def goals_values(found: Sequence[Goals]) -> Record:
    """What the text says of them: the k at which each goal, and both, are met."""

    def at(which: Sequence[bool]) -> str:
        counts = [f"k = {one.k}" for one, met in zip(found, which, strict=True) if met]
        return ", ".join(counts) or "none of them"

    first, second = zip(*(one.met for one in found), strict=True)
    last = max(found, key=lambda one: one.k)
    return {
        "goal": f"{GOAL:g}",
        "goal-gap": f"{GOAL_GAP:g}",
        "goal-counts": ", ".join(str(one.k) for one in found),
        "goal-first-at": at(first),
        "goal-second-at": at(second),
        "goal-both-at": at([all(one.met) for one in found]),
        "goal-itself-at": at([one.student <= GOAL for one in found]),
        "goal-k-last": last.k,
        "goal-student-last": f"{last.student:.4g}",
    }


def many_table(ways: Mapping[str, Family]) -> list[Record]:
    """A row a way to let k grow and a number of classes, reduced."""
    return [
        {
            "way": way,
            "k": base.data.n_classes,
            "m": base.learner.n_neurons,
            "networks": base.n_networks,
            "that fit": int(a["fitted"].sum()),
            "steps": mean(a["stop_step"]),
            **by_classes([(e, a)])[base.data.n_classes],
            "their average": total_error(base, a, "ensemble_"),
        }
        for way, family in ways.items()
        for e, a in family
        for base in [e.study.base]
    ]


def limit_values(full: Family, many: Family, grown: Family) -> Record:
    """What the text says of them: the curves at the smallest and the largest k."""
    base = base_of(full[0][0].study)
    said: dict[str, object] = {
        "per-class": base.n_train // base.data.n_classes,
        "s-held": f"{base.data.sparsity:g}",
        "s-grown": f"{base_of(grown[-1][0].study).data.sparsity:.1f}",
        "start-held": f"{base.learner.init_std:g}",
        "start-grown": f"{base_of(grown[-1][0].study).learner.init_std:.3f}",
    }
    for way, family in (("full", full), ("held", many), ("grown", grown)):
        counts = by_classes(family)
        for word, k in (("first", min(counts)), ("last", max(counts))):
            said[f"{way}-k-{word}"] = k
            for name, value in zip(("error", "right", "one"), counts[k].values(), strict=True):
                said[f"{way}-{name}-{word}"] = number(value)
    beside = by_classes(many)[max(by_classes(grown))]  # both ways have been gone as far as there
    said["held-error-there"] = number(next(iter(beside.values())))
    return said


# ---------------------------------------------------------------- on and on


def long_curve(base: SingleModelStudy, a: Arrays) -> tuple[np.ndarray, np.ndarray]:
    """Steps over the first step at which a network fits, and its errors on watched single-view
    inputs, both (records, networks); NaN where a network never fits."""
    first, fits = first_fit(a["train_error"])
    at = np.where(fits, np.maximum(a["steps"][first], 1), np.nan)
    return a["steps"][:, None] / at, a["watched_single_error"]


def long_values(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Record:
    """Mean errors at the first fit, ten times as late and at the end."""
    said = {}
    for name, (times, error) in curves.items():
        for word, when in (("fit", 1.0), ("ten", 10.0)):
            at = np.nanargmin(np.abs(times - when), axis=0)
            said[f"{name}-{word}"] = number(error[at, range(error.shape[1])])
        said[f"{name}-end"] = number(error[-1])
        said[f"{name}-last"] = f"{times[-1].mean():.0f}"
    return said


# ---------------------------------------------------------------- (4.3) as printed


def printed_curves(family: Family) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Students by (4.3) as printed, and their controls: kind -> steps and test errors over mu on
    watched inputs, (records, students).

    Paper: eq. (4.3) as printed.
    """
    words = {"labels": "hard labels", "average": "as printed", "one-hot": "control: one-hot"}
    return {
        words[e.label]: (a["steps"], network_errors(e.study.base, [a], "watched_")[0])
        for e, a in family[1:]
    }


def share_of_steps(steps: np.ndarray, errs: np.ndarray) -> float:
    """Of all steps up to the last, at which errors are at most `SOLVED`: a record stands for the
    steps since the one before."""
    return float(np.average(errs[1:].mean(axis=1) <= SOLVED, weights=np.diff(steps)))


def printed_values(family: Family) -> Record:
    """What (4.3) as printed comes to, and its rates beside those of the book's setting."""
    (networks, teaching), *_ = family
    base, student = networks.study, family[-1][0].study
    said: dict[str, object] = {
        "printed-one": number(total_error(base, teaching)),
        "printed-ensemble": number(total_error(base, teaching, "ensemble_")),
        "printed-steps": student.schedule.stop_rule.limit,
        "printed-tau": student.tau,
        "printed-c": f"{student.teacher_scale:g}",
        "printed-ratio": f"{student.rate_ratio:g}",
        "printed-solved": SOLVED,
        "printed-d": base.data.dim,
    }
    for word, (steps, errs) in zip(("hard", "student", "control"), _ordered(family), strict=True):
        said[f"printed-{word}-share"] = percent(share_of_steps(steps, errs), 0)
        said[f"printed-{word}-end"] = number(errs[-1])
    return said


def _ordered(family: Family) -> list[tuple[np.ndarray, np.ndarray]]:
    curves = printed_curves(family)
    return [curves[word] for word in ("hard labels", "as printed", "control: one-hot")]


def confusion_table(full: Family) -> list[Record]:
    """The rate of confusion over that of a faint view, by k (`growth_rates`)."""
    return [
        {
            "k": base.data.n_classes,
            "faint view": rates.weak,
            "confusion": rates.confusion / base.data.n_classes,
            "confusion / faint view": rates.confusion / base.data.n_classes / rates.weak,
        }
        for e, _ in full
        for base in [base_of(e.study)]
        for rates in [pulls(base.data, base.learner, base.n_train)]
    ]


# ---------------------------------------------------------------- training the average


def average_curves(family: Family) -> dict[str, dict[int, list[Average]]]:
    """The curves over sigma_0 / varrho: setting, in words -> L -> its points."""
    found: dict[str, dict[int, list[Average]]] = {}
    for one in sorted(averages(family), key=lambda a: a.start):
        name = f"k = {one.k}, faint views {one.faint:g}"
        found.setdefault(name, {}).setdefault(one.members, []).append(one)
    return found


def average_table(families: Mapping[str, Family]) -> list[Record]:
    """A row an average."""
    return [
        {
            "": how,
            "k": one.k,
            "L": one.members,
            "faint views": one.faint,
            "sigma_0 / varrho": f"{one.start:g}",
            "one network": one.alone,
            "the mean, trained": one.together,
            "ratio": f"{one.ratio:.2f} [{one.low:.2f}, {one.high:.2f}]",
            "all fit": "yes" if one.fitted else "no",
        }
        for how, family in families.items()
        for one in averages(family)
    ]


def summaries(found: Sequence[Finding]) -> Record:
    """Claims with their measurements and verdicts."""
    return {f.claim: f"{f.summary()} ({f.verdict})" for f in found}
