"""Every configuration the book uses: those on multi-view data here, with the list of all.

Settings were chosen on draws that no chapter reports (see `settings.FIRST_DRAW`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mvlib.core.arithmetic import Precision
from mvlib.core.checks import BadInput
from mvlib.experiments.gaussian import gaussian_families
from mvlib.experiments.images import image_families
from mvlib.experiments.limit import limit_families
from mvlib.experiments.other_learners import classifier_families, mixup_families
from mvlib.experiments.picture_views import picture_families
from mvlib.experiments.robustness import robustness_families
from mvlib.experiments.settings import (
    EXPLORED,
    FIRST_DRAW,
    SELF_TAU,
    SIZES,
    Experiment,
    Families,
    Scale,
    all_draws,
    base_study,
    check_scale,
    joint_study,
    student_study,
    vary,
    with_samples,
)
from mvlib.paper.step_rules import BoundedRelativeStep, FixedSteps
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.kernel_contrast import ContrastStudy
from mvlib.studies.single_model import SingleModelStudy

# What each sweep varies, beside the base setting's own value (which "single-model" holds).
SWEEPS: dict[str, tuple[Any, ...]] = {
    "init_std": (0.02, 0.3),
    "threshold": (0.5, 1.0, 2.0),
    "sparsity": (0.5, 1.0, 2.0),
    "multi_other_strength": ((0.1, 0.15), (0.2, 0.4)),
}
COMPARED: tuple[Precision, ...] = ("float32", "bfloat16")
# What students are taught, by experiment name.  All start from the same weights.  "hard-labels" has
# no teacher and stops as networks do; all others take the same number of steps, and the controls
# have a teacher that knows nothing but the labels (see `DistillationStudy`).
STUDENTS: dict[str, dict[str, Any]] = {
    "hard-labels": {"target": "labels"},
    "distilled": {"target": "average"},
    "self-distilled": {"target": "each", "tau": SELF_TAU},
    "self-control": {"target": "one-hot", "tau": SELF_TAU},
    "control-one-hot": {"target": "one-hot"},
    "control-shuffled": {"target": "shuffled"},
    "control-smoothed": {"target": "smoothed"},
    "printed": {"target": "average", "form": "printed"},
    "printed-one-hot": {"target": "one-hot", "form": "printed"},
    "temperature": {"target": "average", "form": "temperature"},
    "temperature-each": {"target": "each", "form": "temperature"},
    "temperature-one-hot": {"target": "one-hot", "form": "temperature"},
}
# What is pitted against what in steps of other lengths than the book's (`settings.LONGER`), as
# shares of what a class has learned.
LENGTHS: dict[Scale, tuple[float, ...]] = {
    "smoke": (0.9,),
    "book": (0.2, 0.3, 0.45, 0.9),
    "paper": (0.2, 0.3, 0.45, 0.9),
}
SIDES = ("distilled", "control-one-hot")
# Trained longest of one each: the distilled one, of which Theorem 3 speaks.
LONG = ("distilled", "hard-labels", "self-distilled", "control-one-hot")


def experiments(scale: Scale, name: str | None = None) -> list[Experiment]:
    """All experiments of a scale in the order in which they are run, or those called `name`.

    Raises:
        BadInput: if the scale or the name is unknown.
    """
    check_scale(scale)
    families: Families = {}
    # Teachers come in a group before their students', or in the same.
    for group in (
        network_families,
        student_families,
        joint_families,
        limit_families,
        gaussian_families,
        image_families,
        picture_families,
        mixup_families,
        classifier_families,
        robustness_families,
    ):
        families |= group(scale)
        if name in families:
            break
    if name is not None and name not in families:
        raise BadInput(f"experiment = {name!r} must be one of {sorted(families)}; pick one.")
    made: list[Experiment] = []
    for family, studies in families.items():
        for label, study in studies.items():
            # Students hold their teachers' study; the nearest before them is meant.
            teaching = getattr(study, "teacher", None)
            teacher = next((e for e in reversed(made) if e.study == teaching), None)
            made.append(
                Experiment(name=family, scale=scale, label=label, study=study, teacher=teacher)
            )
    return [e for e in made if name in (None, e.name)]


def setting(study: SingleModelStudy, field: str) -> Any:
    """One parameter of a study, of its learner or of its data."""
    return getattr(study.learner if hasattr(study.learner, field) else study.data, field)


def network_families(scale: Scale) -> Families:
    """Theorems 1 and 2, and what they depend on."""
    size, first = SIZES[scale], base_study(scale)
    few = replace(first, n_networks=size.sweep_networks)
    made: Families = {
        "single-model": {f"draw {study.draw}": study for study in all_draws(scale)},
        # One ensemble a draw on so many multi-view inputs that even an error of 0 shows Theorem 2's
        # bound: an error on one of them weighs (1 - mu) / mu times as much.
        "many-inputs": {
            f"draw {study.draw}": replace(
                study, n_networks=study.ensemble_size, n_test_multi=size.n_test_many
            )
            for study in all_draws(scale)
        },
        # Watched closely, and trained well past the point where it fits.
        "race": {
            f"draw {FIRST_DRAW}, watched": replace(
                first,
                schedule=replace(first.schedule, stop_rule=FixedSteps(steps=size.watched_steps)),
                n_networks=min(3, size.n_networks),
                record_every=4,
                n_watch=min(500, size.n_test),
            )
        },
    }
    for field, values in SWEEPS.items():
        varied = [vary(few, **{field: value}) for value in values]
        labels = [f"{field} = {setting(study, field)}" for study in varied]
        made[f"sweep-{field.replace('_', '-')}"] = dict(zip(labels, varied, strict=True))
    # The same network in both precisions, on draws that are reported and on draws that are not.
    draws = [e.draw for e in all_draws(scale)]
    made["precision"] = {
        f"draw {draw}, {precision}": vary(
            replace(base_study(scale, draw=draw), n_networks=1), precision=precision
        )
        for draw in [*draws, *(EXPLORED + i for i in range(len(draws)))]
        for precision in COMPARED
    }
    return made


def student_families(scale: Scale) -> Families:
    """Students by what they are taught, for how long, with how much room, and by whom."""
    size, first, made = SIZES[scale], base_study(scale), Families()
    for name, taught in STUDENTS.items():
        # The claims do not rest on other forms of the loss: two students of the first draw.
        compared, beside = "form" in taught, name in ("control-shuffled", "control-smoothed")
        n = min(size.n_students, 2) if compared else size.n_students
        made[name] = {
            f"draw {teacher.draw}": student_study(scale, teacher, n_students=n, **taught)
            for teacher in all_draws(scale)[: 1 if compared or beside else None]
        }
    # The same students in shorter and in longer steps.
    made["frontier"] = {
        f"draw {teacher.draw}, {name} in steps of {length}": in_steps_of(
            length,
            student_study(
                scale,
                teacher,
                n_students=min(3, size.n_students),
                keep_outputs=False,
                **STUDENTS[name],
            ),
        )
        for teacher in all_draws(scale)
        for length in LENGTHS[scale]
        for name in SIDES
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
    # The same starts on hard labels and taught, with what the proofs bound.
    made["proofs"] = {
        name: student_study(
            scale,
            first,
            n_students=min(2, size.n_students),
            steps=size.student_steps * 4 // 3,
            record_every=4 if scale == "smoke" else 2,
            growth=True,
            **STUDENTS[name],
        )
        for name in ("hard-labels", "distilled")
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
            generation=generation,
            **STUDENTS["self-distilled"],
        )
        made["chain"][f"generation {generation}"] = before
    return made


def in_steps_of(length: float, study: DistillationStudy) -> DistillationStudy:
    """The same students in steps that change a class by such a share, and more of them the shorter
    they are, so that all go equally far; recorded some thirty times."""
    rule, limit = study.schedule.step_rule, study.schedule.stop_rule.limit
    assert isinstance(rule, BoundedRelativeStep)
    steps = round(limit * rule.relative_change / length)
    return replace(
        study,
        schedule=replace(
            study.schedule,
            step_rule=replace(rule, relative_change=length),
            stop_rule=FixedSteps(steps=steps),
        ),
        record_every=max(1, steps // 30),
    )


def joint_families(scale: Scale) -> Families:
    """Networks whose mean or sum is trained, and networks frozen at their initialisation."""
    size, first, draws = SIZES[scale], base_study(scale), all_draws(scale)
    return {
        "joint": dict(joint_study(base, size.joint_members, mean=True) for base in draws),
        "joint-size": dict(
            joint_study(first, members, mean=mean)
            for members in size.joint_sizes
            for mean in (True, False)
            # The mean of that many is in "joint" already.
            if not (mean and members == size.joint_members)
        ),
        "contrast": {
            f"draw {base.draw}": ContrastStudy(
                # k kernels have N^2 entries each.
                base=with_samples(base, min(base.n_train, 2000)),
                n_seeds=min(5, size.n_networks),
                n_students=min(3, size.n_students),
                diag_reg=0.01,
                descent_steps=300,
                watch_steps=60,
                n_watch=100,
            )
            for base in draws
        },
    }
