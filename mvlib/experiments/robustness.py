"""How far the story holds: its smallest example, more views, a stronger view, and what
the paper says could be otherwise.

Settings were chosen on draws 900 and 901.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mvlib.experiments.settings import (
    FIRST_DRAW,
    STEP_RULE,
    Families,
    Scale,
    base_study,
    vary,
    with_samples,
)
from mvlib.paper.activation import RoundedReLU
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.network import LearnerParams
from mvlib.paper.step_rules import FixedSteps, Schedule, WhenFitted
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.single_model import SingleModelStudy


@dataclass(frozen=True, kw_only=True, slots=True)
class RobustnessSize:
    """What a scale changes.

    Attributes:
        four_networks, four_draws: of the example with four features.
        n_networks, n_draws, n_train, n_test: of everything else; n_draws of the numbers of views.
        flip_networks: where one view is stronger.
        ratios: of a class's strengths.
        levers: name -> values; "weight_decay" is of the schedule, "smoothing" a word.
    """

    four_networks: int
    four_draws: int
    n_networks: int
    n_draws: int
    n_train: int
    n_test: int
    flip_networks: int
    ratios: tuple[float, ...]
    levers: Mapping[str, tuple[Any, ...]]


_BOOK = RobustnessSize(
    four_networks=20, four_draws=3, n_networks=4, n_draws=1, n_train=2000, n_test=1000,
    flip_networks=8, ratios=(1.0, 1.05, 1.1, 1.25),
    levers={
        "overlap": (0.05, 0.1, 0.2, 0.4),
        "weight_decay": (1e-6, 1e-5),
        "n_neurons": (2, 3, 10),
        "power": (3, 5),
        "smoothing": ("rounded",),
    },
)  # fmt: skip
ROBUSTNESS_SIZES: dict[str, RobustnessSize] = {
    "smoke": replace(
        _BOOK, four_networks=6, four_draws=1, n_networks=2, n_draws=1, n_train=200, n_test=100,
        flip_networks=2, ratios=(1.0, 1.1),
        levers={"overlap": (0.1,), "weight_decay": (1e-5,), "smoothing": ("rounded",)},
    ),
    "book": _BOOK,
    "paper": replace(_BOOK, n_networks=20, n_draws=5, n_train=25000, n_test=10000,
                     flip_networks=20),
}  # fmt: skip


def four_features(scale: Scale, *, draw: int = FIRST_DRAW, rivals: int = 1) -> SingleModelStudy:
    r"""Section 2.3's example: two classes of two features; 80% of the inputs show both of their
    own at weight 1, a tenth each only one, and all of them `rivals` of the other class's at .1.

    Choice: each of the other class's two features is there with probability rivals / 2; the view
    that is not there has the least strength that Definition 3.1 allows here, rho = .001.  So few
    samples that the left-over ones are memorised before they teach a view.
    """
    size = ROBUSTNESS_SIZES[scale]
    d = 150
    with warnings.catch_warnings(action="ignore"):  # k = V = 2 is the point
        data = MultiViewParams(
            n_classes=2, dim=d, n_patches=6, sparsity=float(rivals), single_view_fraction=0.2,
            own_strength=(1.0, 1.0), multi_other_strength=(0.1, 0.1), weak_view_strength=0.001,
            weak_view_spread=1.0, single_other_strength=0.1, single_other_floor=1.0,
            noise_std=0.8 / math.sqrt(d),
        )  # fmt: skip
    learner = replace(base_study(scale).learner, threshold=1.0, init_std=0.03)
    return SingleModelStudy(
        data=data, learner=learner, n_train=40, n_networks=size.four_networks, draw=draw,
        schedule=Schedule(step_rule=STEP_RULE, stop_rule=WhenFitted(limit=400)),
        n_test_single=2000, n_test_multi=2000,
    )  # fmt: skip


def robustness_families(scale: Scale) -> Families:
    """Everything that the book shows of how far the story holds."""
    size = ROBUSTNESS_SIZES[scale]
    draws = range(FIRST_DRAW, FIRST_DRAW + size.four_draws)
    four = {
        f"{label}, draw {draw}": four_features(scale, draw=draw, rivals=rivals)
        for rivals, label in ((1, "one rival"), (2, "both rivals"))
        for draw in draws
    }
    base = small_base(scale)
    few = replace(base, n_networks=min(2, base.n_networks))
    strengths = {
        ratio: replace(vary(base, view_scale=(ratio, 1.0)), n_networks=size.flip_networks)
        for ratio in size.ratios
    }
    return {
        "four-features": four,
        "four-features-students": {
            f"{target}, draw {draw}": DistillationStudy(
                teacher=four[f"one rival, draw {draw}"], target=target,
                schedule=Schedule(step_rule=STEP_RULE, stop_rule=FixedSteps(steps=100)),
                n_students=size.four_networks // 2,
            )
            for target in ("labels", "average")
            for draw in draws
        },
        "views": {
            f"V = {V}, draw {draw}": _with_views(replace(base, draw=draw), V)
            for V in (2, 3, 4)
            for draw in range(FIRST_DRAW, FIRST_DRAW + size.n_draws)
        },
        "stronger-view": {f"ratio {ratio:g}": study for ratio, study in strengths.items()},
        "levers": {
            f"{lever} = {value}": _pull(few, lever, value)
            for lever, values in size.levers.items()
            for value in values
        },
    }  # fmt: skip


def small_base(scale: Scale) -> SingleModelStudy:
    """The setting of every chapter, with fewer networks and test inputs."""
    size, base = ROBUSTNESS_SIZES[scale], base_study(scale)
    return replace(
        base if size.n_train == base.n_train else with_samples(base, size.n_train),
        n_networks=size.n_networks,
        n_test_single=size.n_test,
        n_test_multi=size.n_test,
    )


def _with_views(base: SingleModelStudy, V: int) -> SingleModelStudy:
    """V views a class: room for their patches, and wrong classes' views that add up to as much."""
    data = base.data
    room = V * (data.patches_per_view + (data.n_classes - 1) * data.patches_per_other_view)
    return vary(
        base,
        n_views=V,
        n_patches=max(data.n_patches, room),
        single_other_strength=2 * data.single_other_strength / V,
    )


def _pull(base: SingleModelStudy, lever: str, value: Any) -> SingleModelStudy:
    if lever == "weight_decay":
        return replace(base, schedule=replace(base.schedule, weight_decay=value))
    if lever == "smoothing":
        old = base.learner
        other = RoundedReLU(old.power, old.threshold)
        plain = LearnerParams()
        learner = replace(old, power=plain.power, threshold=plain.threshold, activation=other)
        return replace(base, learner=learner)
    return vary(base, **{lever: value})
