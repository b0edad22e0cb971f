"""Experiments on students, on networks trained together, and on frozen networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mvlib.experiments.settings import (
    FIRST_DRAW,
    SINGLE_VIEW_PER_CLASS,
    SIZES,
    STEP_RULE,
    Experiment,
    Scale,
    base_study,
    single_model,
)
from mvlib.paper.step_rules import FixedSteps, Schedule, SharedStep
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.joint_training import JointStudy
from mvlib.studies.kernel_contrast import ContrastStudy
from mvlib.studies.single_model import SingleModelStudy

# What students are taught, by experiment name.  All start from the same weights and take the same
# number of steps; "hard-labels" has no teacher, and the two controls have one that knows nothing
# but the labels (see `DistillationStudy`).
STUDENTS: dict[str, dict[str, Any]] = {
    "hard-labels": {"target": "labels"},
    "distilled": {"target": "average"},
    "self-distilled": {"target": "each"},
    "control-one-hot": {"target": "one-hot"},
    "control-shuffled": {"target": "shuffled"},
    "printed": {"target": "average", "form": "printed"},
    "printed-one-hot": {"target": "one-hot", "form": "printed"},
    "temperature": {"target": "average", "form": "temperature"},
    "temperature-each": {"target": "each", "form": "temperature"},
    "temperature-one-hot": {"target": "one-hot", "form": "temperature"},
}
# Not what the claims rest on: two students of the first draw, or all of its students.
COMPARED = ("printed", "printed-one-hot", "temperature", "temperature-each", "temperature-one-hot")
ON_ONE_DRAW = (*COMPARED, "control-shuffled")


def student_study(teacher: Experiment, *, n_students: int, **changes: Any) -> DistillationStudy:
    """Students of one experiment's networks in the setting of every chapter."""
    assert isinstance(teacher.study, (SingleModelStudy, DistillationStudy))
    steps = changes.pop("steps", SIZES[teacher.scale].student_steps)
    return DistillationStudy(
        teacher=teacher.study,
        schedule=Schedule(step_rule=STEP_RULE, stop_rule=FixedSteps(steps=steps)),
        n_students=n_students,
        **{"record_every": 4, "n_watch": 300, **changes},
    )


def students(name: str) -> Callable[[Scale], list[Experiment]]:
    """Makes one family of `STUDENTS` at a scale: one experiment a data draw, or the first alone."""

    def make(scale: Scale) -> list[Experiment]:
        size = SIZES[scale]
        teachers = single_model(scale)[: 1 if name in ON_ONE_DRAW else None]
        made = []
        for teacher in teachers:
            n = min(size.n_students, 2) if name in COMPARED else size.n_students
            study = student_study(teacher, n_students=n, **STUDENTS[name])
            made.append(
                Experiment(
                    name=name, scale=scale, label=teacher.label, study=study, teacher=teacher
                )
            )
        return made

    return make


def student_time(scale: Scale) -> list[Experiment]:
    """One student of each kind trained for long: what holds for most steps t <= T, what does not.

    The distilled one longest: it is the one of which Theorem 3 speaks.
    """
    longest = SIZES[scale].long_steps
    teacher = single_model(scale)[0]
    made = []
    for name in ("distilled", "hard-labels", "self-distilled", "control-one-hot"):
        steps = longest if name == "distilled" else longest // 4
        study = student_study(teacher, n_students=1, steps=steps, record_every=5, **STUDENTS[name])
        made.append(
            Experiment(name="student-time", scale=scale, label=name, study=study, teacher=teacher)
        )
    return made


# Settings in which distillation has less room: (what changes, label).
CROWDED: tuple[tuple[dict[str, Any], str], ...] = (
    ({"share_of_samples": 0.5}, "half the samples"),
    ({"patches_per_view": 1}, "own views in one patch"),
)


def _with_samples(study: SingleModelStudy, N: int) -> SingleModelStudy:
    """The study with N training samples and as many single-view ones a class as ever."""
    mu = SINGLE_VIEW_PER_CLASS * study.data.n_classes / N
    return replace(study, n_train=N, data=replace(study.data, single_view_fraction=mu))


def room(scale: Scale) -> list[Experiment]:
    """Networks, and students of their average, where soft labels can be memorised."""
    made = []
    for changes, label in CROWDED:
        base = replace(base_study(scale), n_networks=min(5, SIZES[scale].n_networks))
        study = _with_samples(base, round(base.n_train * changes.get("share_of_samples", 1)))
        C_p = changes.get("patches_per_view", base.data.patches_per_view)
        study = replace(study, data=replace(study.data, patches_per_view=C_p))
        teacher = Experiment(name="room", scale=scale, label=f"{label}: networks", study=study)
        taught = student_study(teacher, n_students=min(2, SIZES[scale].n_students))
        made += [
            teacher,
            Experiment(name="room", scale=scale, label=label, study=taught, teacher=teacher),
        ]
    return made


def chain(scale: Scale) -> list[Experiment]:
    """Born-again networks: each generation is taught by the one before."""
    before = single_model(scale)[0]
    made = []
    for generation in range(1, SIZES[scale].generations + 1):
        study = student_study(
            before, n_students=min(3, SIZES[scale].n_students), target="each", generation=generation
        )
        before = Experiment(
            name="chain", scale=scale, label=f"generation {generation}", study=study, teacher=before
        )
        made.append(before)
    return made


def _joint_experiment(name: str, scale: Scale, draw: int, members: int, mean: bool) -> Experiment:
    base = base_study(scale, draw=draw)
    shared = replace(base.schedule, step_rule=SharedStep(STEP_RULE))
    study = JointStudy(base=replace(base, schedule=shared), n_members=members, mean=mean)
    form = "mean" if mean else "sum"
    return Experiment(
        name=name, scale=scale, label=f"{form} of {members}, draw {draw}", study=study
    )


def joint(scale: Scale) -> list[Experiment]:
    """Training the average of networks on every draw."""
    size = SIZES[scale]
    return [
        _joint_experiment("joint", scale, draw, size.joint_members, True)
        for draw in range(FIRST_DRAW, FIRST_DRAW + size.n_draws)
    ]


def joint_sizes(scale: Scale) -> list[Experiment]:
    """Training the mean and the sum of L networks, over L."""
    return [
        _joint_experiment("joint-size", scale, FIRST_DRAW, members, mean)
        for members in SIZES[scale].joint_sizes
        for mean in (True, False)
        # The mean of that many is in "joint" already.
        if not (mean and members == SIZES[scale].joint_members)
    ]


def contrast(scale: Scale) -> list[Experiment]:
    """Networks frozen at their initialisation, on the same draws."""
    size = SIZES[scale]
    return [
        Experiment(
            name="contrast",
            scale=scale,
            label=f"draw {base.draw}",
            study=ContrastStudy(
                # k kernels have N^2 entries each.
                base=_with_samples(base, min(base.n_train, 2000)),
                n_seeds=size.n_networks,
                n_students=size.n_students,
                diag_reg=0.01,
                descent_steps=300,
                watch_steps=60,
                n_watch=100,
            ),
        )
        for base in (
            base_study(scale, draw=draw) for draw in range(FIRST_DRAW, FIRST_DRAW + size.n_draws)
        )
    ]
