"""Every configuration the book uses, at three scales.

`smoke` shows in seconds that everything runs; `book` is what the chapters print; `paper` goes as
far towards the theorems' own regime as one is willing to pay for.  Settings were chosen on draws
that no chapter reports (see `FIRST_DRAW`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from mvlib.checks import BadInput
from mvlib.distribution import MultiViewParams
from mvlib.learner import LearnerParams
from mvlib.single_model import SingleModelStudy
from mvlib.training import BoundedRelativeStep, FixedSteps, Schedule, WhenFitted

Scale = Literal["smoke", "book", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "book", "paper")
FIRST_DRAW = 10  # the book reports draws 10, 11, ...; settings were chosen on 0 to 5 and 900 to 903


@dataclass(frozen=True, kw_only=True, slots=True)
class Experiment:
    """One unit of stored work.

    Attributes:
        name: folder in the store.
        scale: smoke, book or paper.
        label: what sets it apart from others of that name, for people.
        study: the configuration.
    """

    name: str
    scale: Scale
    label: str
    study: SingleModelStudy


@dataclass(frozen=True, kw_only=True, slots=True)
class _Size:
    """What a scale changes; everything else is shared."""

    n_classes: int
    dim: int
    n_train: int
    n_networks: int
    n_draws: int
    n_test: int
    sweep_networks: int
    max_steps: int
    watched_steps: int


_SIZES: dict[str, _Size] = {
    "smoke": _Size(n_classes=4, dim=400, n_train=160, n_networks=4, n_draws=2, n_test=250,
                   sweep_networks=2, max_steps=400, watched_steps=160),
    "book": _Size(n_classes=10, dim=2000, n_train=1000, n_networks=10, n_draws=3, n_test=2000,
                  sweep_networks=3, max_steps=800, watched_steps=240),
    "paper": _Size(n_classes=50, dim=4000, n_train=5000, n_networks=20, n_draws=5,
                   n_test=10000, sweep_networks=10, max_steps=2000, watched_steps=1000),
}  # fmt: skip

# Relative changes of .15, .2 and .3 end in the same place (single-network error within .01 mu on
# the exploration draws); larger ones let losing views catch up within a step.
STEP_RULE = BoundedRelativeStep(max_step=400.0, relative_change=0.3)
NOISE_NORM = 1.35  # sigma_p sqrt(d): enough to memorise with, little per direction once d is large
SINGLE_VIEW_PER_CLASS = 1.6  # N_s / k, the paper's k^.2 at k = 10


def base_study(scale: Scale, *, draw: int = FIRST_DRAW) -> SingleModelStudy:
    r"""The setting of every chapter.

    Footnotes 7 and 8 give the strengths; rho, Gamma, s and sigma_p are ours.  The threshold
    varrho = 3 is the choice that matters most: a class is done when its score is a few times
    log k, and until then its losing view goes on growing.  With varrho of that size the winner is
    done soon after it crosses the threshold; see chapter 3 for what smaller thresholds do.
    """
    size = _SIZES[check_scale(scale)]
    k, d, N = size.n_classes, size.dim, size.n_train
    data = MultiViewParams(
        n_classes=k,
        dim=d,
        n_patches=2 * k,
        sparsity=min(3.0, 0.5 * k),
        single_view_fraction=SINGLE_VIEW_PER_CLASS * k / N,
        noise_std=NOISE_NORM / math.sqrt(d),
    )
    return SingleModelStudy(
        data=data,
        learner=LearnerParams(n_neurons=5, power=4, threshold=3.0, init_std=0.06),
        schedule=Schedule(step_rule=STEP_RULE, stop_rule=WhenFitted(limit=size.max_steps)),
        n_train=N,
        n_networks=size.n_networks,
        draw=draw,
        n_test_single=size.n_test,
        n_test_multi=size.n_test,
    )


def experiments(scale: Scale, name: str | None = None) -> list[Experiment]:
    """All experiments of a scale in the order in which they are run, or those called `name`.

    Raises:
        BadInput: if the scale or the name is unknown.
    """
    check_scale(scale)
    families = {
        "single-model": _single_model,
        "race": _race,
        **{f"sweep-{field.replace('_', '-')}": _sweep(field) for field in SWEEPS},
        "nearer": _nearer,
        "class-count": _class_count,
    }
    if name is None:
        return [e for make in families.values() for e in make(scale)]
    if name not in families:
        raise BadInput(f"experiment = {name!r} must be one of {sorted(families)}; pick one.")
    return families[name](scale)


def check_scale(scale: str) -> Scale:
    """The scale itself.

    Raises:
        BadInput: if it is not one of `SCALES`.
    """
    for known in SCALES:
        if scale == known:
            return known
    raise BadInput(f"scale = {scale!r} must be one of {SCALES}; pick one.")


def _single_model(scale: Scale) -> list[Experiment]:
    """Theorems 1 and 2: every network stopped when it fits its training set."""
    return [
        Experiment(
            name="single-model",
            scale=scale,
            label=f"draw {draw}",
            study=base_study(scale, draw=draw),
        )
        for draw in range(FIRST_DRAW, FIRST_DRAW + _SIZES[scale].n_draws)
    ]


def _race(scale: Scale) -> list[Experiment]:
    """The same setting watched closely and trained well past the point where it fits."""
    size = _SIZES[scale]
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
    "init_std": (0.03, 0.24, 0.6),
    "threshold": (0.5, 1.0, 2.0, 4.5),
    "sparsity": (0.5, 1.0, 5.0),  # or k where k is less
    "multi_other_strength": ((0.05, 0.1), (0.2, 0.4), (0.4, 0.4)),
}
# At the base setting's threshold the strength of weak views changes nothing (they stay below the
# bend of the activation), so it is varied at a smaller one.
SWEPT_AT: dict[str, dict[str, Any]] = {"multi_other_strength": {"threshold": 1.0}}


def _sweep(field: str) -> Callable[[Scale], list[Experiment]]:
    def make(scale: Scale) -> list[Experiment]:
        base = replace(base_study(scale), n_networks=_SIZES[scale].sweep_networks)
        for other, fixed in SWEPT_AT.get(field, {}).items():
            base = _vary(base, other, fixed)
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
    base = replace(base_study(scale), n_networks=_SIZES[scale].sweep_networks)
    study = _vary(_vary(base, "sparsity", 5.0), "threshold", 4.5)
    return [Experiment(name="nearer", scale=scale, label="s = 5, threshold = 4.5", study=study)]


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
        # 16 patches hold the views of all but one sample in a thousand at s = 3.
        data = replace(
            base.data,
            n_classes=k,
            n_patches=min(16, 2 * k),
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
