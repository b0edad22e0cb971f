"""What an experiment is, and the setting of every chapter, at three scales.

`smoke` shows in seconds that everything runs; `book` is what the chapters print; `paper` goes as
far towards the theorems' own regime as one is willing to pay for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Literal

from mvlib.core.arithmetic import Precision
from mvlib.core.checks import BadInput
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.network import LearnerParams
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    FixedSteps,
    Schedule,
    SharedStep,
    StopRule,
    WhenFitted,
)
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.joint_training import JointStudy
from mvlib.studies.single_model import SingleModelStudy

Scale = Literal["smoke", "book", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "book", "paper")
Families = dict[str, dict[str, Any]]  # name -> label -> study
EXPLORED = 900  # first of the draws that settings were chosen on
FIRST_DRAW = 10  # the book reports draws 10, 11, ...; settings were chosen on 0 to 5 and 900 to 903


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """One unit of stored work.

    Attributes:
        name: folder in the store.
        scale: smoke, book or paper.
        label: what sets it apart from others of that name, for people.
        study: the configuration, of a registered kind (`mvlib.store.kinds`).
        teacher: the experiment whose networks' training outputs `study` needs, if any.
    """

    name: str
    scale: Scale
    label: str
    study: Any
    teacher: Experiment | None = None


def check_scale(scale: str) -> Scale:
    """The scale itself.

    Raises:
        BadInput: if it is not one of `SCALES`.
    """
    if scale not in SCALES:
        raise BadInput(f"scale = {scale!r} must be one of {SCALES}; pick one.")
    return scale


@dataclass(frozen=True, kw_only=True, slots=True)
class Size:
    """What a scale changes; everything else is shared."""

    n_classes: int
    dim: int
    noise_norm: float
    n_train: int
    n_networks: int
    ensemble_size: int
    n_students: int
    n_draws: int
    n_test: int
    n_test_many: int
    sweep_networks: int
    max_steps: int
    watched_steps: int
    student_steps: int
    long_steps: int
    generations: int
    joint_members: int
    joint_sizes: tuple[int, ...]


SIZES: dict[str, Size] = {
    "smoke": Size(n_classes=4, dim=300, noise_norm=0.6, n_train=600, n_networks=4, ensemble_size=2,
                  n_students=2, n_draws=2, n_test=250, n_test_many=10000, sweep_networks=2,
                  max_steps=400, watched_steps=160, student_steps=120, long_steps=240,
                  generations=2, joint_members=4, joint_sizes=(2,)),
    "book": Size(n_classes=10, dim=1000, noise_norm=0.6, n_train=2000, n_networks=60,
                 ensemble_size=20, n_students=8, n_draws=3, n_test=2000, n_test_many=300000,
                 sweep_networks=2, max_steps=800, watched_steps=400, student_steps=150,
                 long_steps=600, generations=5, joint_members=5, joint_sizes=(2, 5)),
    "paper": Size(n_classes=50, dim=4000, noise_norm=0.6, n_train=25000, n_networks=60,
                  ensemble_size=20, n_students=10, n_draws=5, n_test=10000,
                  n_test_many=1000000, sweep_networks=10, max_steps=2000, watched_steps=1000,
                  student_steps=200, long_steps=2000, generations=5, joint_members=20,
                  joint_sizes=(1, 2, 5, 10)),
}  # fmt: skip

# Relative changes of .15, .2 and .3 end in the same place (single-network error within .01 mu on
# the exploration draws); larger ones let losing views catch up within a step.
STEP_RULE = BoundedRelativeStep(max_step=3e4, relative_change=0.3)
# Length and number of the steps of students, in those of networks: see `student_study`.
LONGER, FEWER = 2, 2 / 3
SINGLE_VIEW_PER_CLASS = 1.0  # N_s / k; the paper's k^.2 is 1.6 at k = 10
# tau of self-distillation, where (4.2) has .4 elsewhere: at .4 the teacher's views, which other
# classes' samples ask for from the first step on, displace many that the student's own start names.
SELF_TAU = 0.55


def base_study(scale: Scale, *, draw: int = FIRST_DRAW) -> SingleModelStudy:
    r"""The setting of every chapter.

    Theorems 1 and 3 need room between growth rates (`mvlib.paper.growth_rates`), which k alone
    gives in the limit and these choices give at k = 10.  Many samples (N) and faint views at the
    upper end of the definition's interval make the weak appearances of a view worth learning; a
    class's own views are spread over C_p = 5 patches (Remark 3.2), so that they are not learned
    from other classes' samples by mistake, and so that the left-over single-view samples, one a
    class, teach little.  The noise is weak enough not to be memorised before the weak views are
    learned, and strong enough to memorise the left-over samples.  A class's score is then the sum
    of several patches', and passes a few log k soon after its winner crosses varrho = 1.5; chapter
    3 shows what other thresholds do.  s = 4 views of other classes are enough for most single-view
    inputs to show one that attracts a network without the right view; Gamma is small enough that
    two of one wrong class do not outshout a view that half of an ensemble knows.

    Choice: products in bfloat16, which learn the same views in a quarter of the time; the chapter
    on costs has the comparison with float32.
    """
    size = SIZES[check_scale(scale)]
    k, d, N = size.n_classes, size.dim, size.n_train
    data = MultiViewParams(
        n_classes=k,
        dim=d,
        n_patches=4 * k,
        patches_per_view=5,
        sparsity=min(4.0, 0.5 * k),
        single_view_fraction=SINGLE_VIEW_PER_CLASS * k / N,
        own_strength=(1.2, 1.4),
        multi_other_strength=(0.39, 0.4),
        single_other_strength=0.2,
        single_other_floor=0.8,
        noise_std=size.noise_norm / math.sqrt(d),
    )
    return SingleModelStudy(
        data=data,
        learner=LearnerParams(
            n_neurons=5, power=4, threshold=1.5, init_std=0.08, precision="bfloat16"
        ),
        schedule=Schedule(step_rule=STEP_RULE, stop_rule=WhenFitted(limit=size.max_steps)),
        n_train=N,
        n_networks=size.n_networks,
        ensemble_size=size.ensemble_size,
        draw=draw,
        n_test_single=size.n_test,
        n_test_multi=size.n_test,
    )


def precision_of(study: Any) -> Precision | None:
    """Of the networks that a study trains on multi-view data; None for studies of other data."""
    learner = getattr(getattr(study, "base", study), "learner", None)
    return None if learner is None else learner.precision


def all_draws(scale: Scale) -> list[SingleModelStudy]:
    """The setting of every chapter on each draw that the book reports."""
    last = FIRST_DRAW + SIZES[check_scale(scale)].n_draws
    return [base_study(scale, draw=draw) for draw in range(FIRST_DRAW, last)]


def vary(study: SingleModelStudy, **changes: Any) -> SingleModelStudy:
    """The study with other parameters of its learner or of its data (s: at most k)."""
    if "sparsity" in changes:
        changes["sparsity"] = min(changes["sparsity"], study.data.n_classes)
    learner = {field: changes.pop(field) for field in [*changes] if hasattr(study.learner, field)}
    return replace(
        study, learner=replace(study.learner, **learner), data=replace(study.data, **changes)
    )


def with_samples(study: SingleModelStudy, N: int) -> SingleModelStudy:
    """The study with N training samples and as many single-view ones a class as ever."""
    mu = SINGLE_VIEW_PER_CLASS * study.data.n_classes / N
    return replace(vary(study, single_view_fraction=mu), n_train=N)


def student_study(
    scale: Scale,
    teacher: SingleModelStudy | DistillationStudy,
    *,
    n_students: int,
    steps: int | None = None,
    **changes: Any,
) -> DistillationStudy:
    """Students of a study's networks in the setting of every chapter, trained for so many steps, by
    default as many as all others of their form or, without a teacher, until they fit.

    Choice: students that are taught by (4.3), capped, and those on hard labels beside them take
    steps twice as long as networks, and fewer of them.  To catch up with the winner within a step
    is what networks' losing views must not do and students' should: a view that comes late is
    learned by the winner's own neuron, grown so large that it reads the views of all other classes,
    too.  Once they have brought every output to the cap, nothing in (4.3) pulls at the late view
    any more, however faint it still is.
    """
    size = SIZES[scale]
    longer, fewer = (LONGER, FEWER) if changes.get("form", "capped") == "capped" else (1, 1)
    stop_rule: StopRule = FixedSteps(steps=steps or round(size.student_steps * fewer))
    if steps is None and changes.get("target") == "labels":
        stop_rule = WhenFitted(limit=size.max_steps)
    root = teacher if isinstance(teacher, SingleModelStudy) else teacher.base
    rule = root.schedule.step_rule
    assert isinstance(rule, BoundedRelativeStep)
    rule = replace(rule, relative_change=longer * rule.relative_change)
    return DistillationStudy(
        teacher=teacher,
        schedule=Schedule(step_rule=rule, stop_rule=stop_rule),
        n_students=n_students,
        **{"record_every": 10, "n_watch": 300, **changes},
    )


def joint_study(base: SingleModelStudy, members: int, *, mean: bool) -> tuple[str, JointStudy]:
    """A study's networks trained as one, with what to call them."""
    rule = base.schedule.step_rule
    assert isinstance(rule, BoundedRelativeStep)
    schedule = replace(base.schedule, step_rule=SharedStep(rule))
    study = JointStudy(base=replace(base, schedule=schedule), n_members=members, mean=mean)
    return f"{'mean' if mean else 'sum'} of {members}, draw {base.draw}", study
