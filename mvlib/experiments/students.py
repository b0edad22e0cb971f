"""Experiments on students, on networks trained together, and on frozen networks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mvlib.experiments.settings import (
    SIZES,
    STEP_RULE,
    Families,
    Scale,
    all_draws,
    base_study,
    vary,
    with_samples,
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
# Trained longest of one each: the distilled one, of which Theorem 3 speaks.
LONG = ("distilled", "hard-labels", "self-distilled", "control-one-hot")


def student_study(
    scale: Scale,
    teacher: SingleModelStudy | DistillationStudy,
    *,
    n_students: int,
    steps: int | None = None,
    **changes: Any,
) -> DistillationStudy:
    """Students of a study's networks in the setting of every chapter."""
    steps = SIZES[scale].student_steps if steps is None else steps
    return DistillationStudy(
        teacher=teacher,
        schedule=Schedule(step_rule=STEP_RULE, stop_rule=FixedSteps(steps=steps)),
        n_students=n_students,
        **{"record_every": 4, "n_watch": 300, **changes},
    )


def student_families(scale: Scale) -> Families:
    """Students by what they are taught, for how long, with how much room, and by whom."""
    size, first, made = SIZES[scale], base_study(scale), Families()
    for name, taught in STUDENTS.items():
        # The claims do not rest on other forms of the loss: two students of the first draw.
        compared = "form" in taught
        n = min(size.n_students, 2) if compared else size.n_students
        made[name] = {
            f"draw {teacher.draw}": student_study(scale, teacher, n_students=n, **taught)
            for teacher in all_draws(scale)[: 1 if compared or name == "control-shuffled" else None]
        }
    # What holds for most steps t <= T, and what does not.
    made["student-time"] = {
        name: student_study(
            scale,
            first,
            n_students=1,
            steps=size.long_steps if name == "distilled" else size.long_steps // 4,
            record_every=5,
            **STUDENTS[name],
        )
        for name in LONG
    }
    # Settings in which soft labels can be memorised, and distillation has less room.
    base = replace(first, n_networks=min(5, size.n_networks))
    crowded = {
        "half the samples": with_samples(base, round(base.n_train * 0.5)),
        "own views in one patch": vary(base, patches_per_view=1),
    }
    made["room"] = {}
    for label, study in crowded.items():
        made["room"][f"{label}: networks"] = study
        made["room"][label] = student_study(scale, study, n_students=min(2, size.n_students))
    # Born-again networks: each generation is taught by the one before.
    before: SingleModelStudy | DistillationStudy = first
    made["chain"] = {}
    for generation in range(1, size.generations + 1):
        before = student_study(
            scale,
            before,
            n_students=min(3, size.n_students),
            target="each",
            generation=generation,
        )
        made["chain"][f"generation {generation}"] = before
    return made


def _joint(base: SingleModelStudy, members: int, *, mean: bool) -> tuple[str, JointStudy]:
    schedule = replace(base.schedule, step_rule=SharedStep(STEP_RULE))
    study = JointStudy(base=replace(base, schedule=schedule), n_members=members, mean=mean)
    return f"{'mean' if mean else 'sum'} of {members}, draw {base.draw}", study


def joint_families(scale: Scale) -> Families:
    """Networks whose mean or sum is trained, and networks frozen at their initialisation."""
    size, first, draws = SIZES[scale], base_study(scale), all_draws(scale)
    return {
        "joint": dict(_joint(base, size.joint_members, mean=True) for base in draws),
        "joint-size": dict(
            _joint(first, members, mean=mean)
            for members in size.joint_sizes
            for mean in (True, False)
            # The mean of that many is in "joint" already.
            if not (mean and members == size.joint_members)
        ),
        "contrast": {
            f"draw {base.draw}": ContrastStudy(
                # k kernels have N^2 entries each.
                base=with_samples(base, min(base.n_train, 2000)),
                n_seeds=size.n_networks,
                n_students=size.n_students,
                diag_reg=0.01,
                descent_steps=300,
                watch_steps=60,
                n_watch=100,
            )
            for base in draws
        },
    }
