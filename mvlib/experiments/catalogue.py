"""Every configuration the book uses.

Settings were chosen on draws that no chapter reports (see `settings.FIRST_DRAW`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mvlib.core.checks import BadInput
from mvlib.experiments.gaussian import gaussian_grid, gaussian_samples, gaussian_widths
from mvlib.experiments.images import IMAGE_FAMILIES
from mvlib.experiments.settings import (
    FIRST_DRAW,
    SINGLE_VIEW_PER_CLASS,
    SIZES,
    STEP_RULE,
    Experiment,
    Scale,
    base_study,
    check_scale,
    single_model,
)
from mvlib.experiments.students import (
    STUDENTS,
    chain,
    contrast,
    joint,
    joint_sizes,
    room,
    student_time,
    students,
)
from mvlib.paper.step_rules import FixedSteps, Schedule
from mvlib.studies.single_model import SingleModelStudy


def experiments(scale: Scale, name: str | None = None) -> list[Experiment]:
    """All experiments of a scale in the order in which they are run, or those called `name`.

    Raises:
        BadInput: if the scale or the name is unknown.
    """
    check_scale(scale)
    families = {
        "single-model": single_model,
        "race": _race,
        **{f"sweep-{field.replace('_', '-')}": _sweep(field) for field in SWEEPS},
        "nearer": _nearer,
        "class-count": _class_count,
        **{name: students(name) for name in STUDENTS},
        "student-time": student_time,
        "room": room,
        "chain": chain,
        "joint": joint,
        "joint-size": joint_sizes,
        "contrast": contrast,
        "gaussian": gaussian_grid,
        "gaussian-samples": gaussian_samples,
        "gaussian-width": gaussian_widths,
        **IMAGE_FAMILIES,
    }
    if name is None:
        return [e for make in families.values() for e in make(scale)]
    if name not in families:
        raise BadInput(f"experiment = {name!r} must be one of {sorted(families)}; pick one.")
    return families[name](scale)


def _race(scale: Scale) -> list[Experiment]:
    """The same setting watched closely and trained well past the point where it fits."""
    size = SIZES[scale]
    schedule = Schedule(step_rule=STEP_RULE, stop_rule=FixedSteps(steps=size.watched_steps))
    study = replace(
        base_study(scale),
        schedule=schedule,
        n_networks=min(3, size.n_networks),
        record_every=4,
        n_watch=min(500, size.n_test),
    )
    return [Experiment(name="race", scale=scale, label=f"draw {FIRST_DRAW}, watched", study=study)]


# What each sweep varies, beside the base setting's own value (which "single-model" holds).
SWEEPS: dict[str, tuple[Any, ...]] = {
    "init_std": (0.02, 0.3),
    "threshold": (0.25, 2.0),
    "sparsity": (0.5, 1.0, 5.0),  # or k where k is less
    "multi_other_strength": ((0.1, 0.15), (0.2, 0.4)),
}


def _sweep(field: str) -> Callable[[Scale], list[Experiment]]:
    def make(scale: Scale) -> list[Experiment]:
        base = replace(base_study(scale), n_networks=SIZES[scale].sweep_networks)
        name = f"sweep-{field.replace('_', '-')}"
        studies = [_vary(base, field, value) for value in SWEEPS[field]]
        return [
            Experiment(name=name, scale=scale, label=f"{field} = {setting(s, field)}", study=s)
            for s in studies
        ]

    return make


def setting(study: SingleModelStudy, field: str) -> Any:
    """One parameter of a study, of its learner or of its data."""
    return getattr(study.learner if hasattr(study.learner, field) else study.data, field)


def _vary(study: SingleModelStudy, field: str, value: Any) -> SingleModelStudy:
    """The study with another value of one parameter (s: at most k)."""
    if field == "sparsity":
        value = min(value, study.data.n_classes)
    changed: dict[str, Any] = {field: value}
    if hasattr(study.learner, field):
        return replace(study, learner=replace(study.learner, **changed))
    return replace(study, data=replace(study.data, **changed))


def _nearer(scale: Scale) -> list[Experiment]:
    """Both levers of the sweeps at once: more views of other classes, a higher threshold."""
    base = replace(base_study(scale), n_networks=SIZES[scale].sweep_networks)
    study = _vary(_vary(base, "sparsity", 5.0), "threshold", 2.0)
    return [Experiment(name="nearer", scale=scale, label="s = 5, threshold = 2", study=study)]


# k, networks, samples a class, neurons a class.  Fewer samples as k grows, for time; mu keeps
# N_s / k the same.  More neurons, as m = polylog(k): of many classes one would else start with
# both views nearly unread, and all others wait for it.
CLASS_COUNTS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "smoke": ((4, 2, 40, 5), (6, 2, 40, 5)),
    "book": ((10, 5, 40, 5), (20, 3, 40, 7), (50, 2, 25, 9)),
    "paper": ((10, 10, 100, 5), (20, 10, 100, 7), (50, 10, 100, 9), (100, 10, 100, 10)),
}


def _class_count(scale: Scale) -> list[Experiment]:
    """Theorem 1 as k grows, with s, varrho, d and N_s / k held; see `CLASS_COUNTS` for m, N / k."""
    made = []
    for k, networks, per_class, m in CLASS_COUNTS[scale]:
        base = base_study(scale)
        N = per_class * k
        # 24 patches hold the views of all but one sample in a thousand at s = 3.
        data = replace(
            base.data,
            n_classes=k,
            n_patches=min(24, 4 * k),
            overflow="thin",
            single_view_fraction=SINGLE_VIEW_PER_CLASS * k / N,
        )
        learner = replace(base.learner, n_neurons=m)
        # A class's share of the gradient is 1 / k: the step that suits ten classes grows with k.
        rule = replace(STEP_RULE, max_step=STEP_RULE.max_step * k / 10)
        study = replace(
            base,
            data=data,
            learner=learner,
            schedule=replace(base.schedule, step_rule=rule),
            n_train=N,
            n_networks=networks,
        )
        made.append(Experiment(name="class-count", scale=scale, label=f"k = {k}", study=study))
    return made
