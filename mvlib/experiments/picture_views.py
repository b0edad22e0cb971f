"""Experiments on views made by hand of photographs, at three scales."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from mvlib.deep.picture_views import PictureViews
from mvlib.experiments.images import of_this_machine
from mvlib.experiments.other_learners import WIDE
from mvlib.experiments.settings import FIRST_DRAW, SELF_TAU, Families, Scale, base_study, vary
from mvlib.paper.batches import MidpointMixup
from mvlib.paper.step_rules import FixedSteps, WhenFitted
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.picture_views import PictureStudy
from mvlib.studies.single_model import SingleModelStudy

# What each class shows in orange.  Fashion-MNIST's kinds by how much their photographs differ, in
# pairs (trousers, sneaker; T-shirt, coat; pullover, boot; dress, sandal; bag, shirt): views whose
# looks differ more are learned sooner, and the lottery should be fair.
SECOND = (4, 7, 9, 5, 0, 3, 8, 1, 6, 2)
# What students are taught, by experiment name; all start from the same weights and take as many
# steps.
TAUGHT: dict[str, dict[str, Any]] = {
    "handmade-distilled": {"target": "average"},
    "handmade-one-hot": {"target": "one-hot"},
    "handmade-self-distilled": {"target": "each", "tau": SELF_TAU},
}
# Of networks on midpoints and of the same networks without: half-way to the lower threshold that
# midpoints of vectors want, because photographs vary by themselves.
LOWER = 1.25
MIXED = 2  # networks on each training set


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureSize:
    """What a scale changes."""

    dataset: str
    typical: float
    side: int
    n_train: int
    n_networks: int
    n_students: int
    n_draws: int
    n_test: int
    student_steps: int
    mixup_steps: int


_BOOK = PictureSize(
    dataset="fashion-mnist", typical=0.1, side=16, n_train=2000, n_networks=20, n_students=4,
    n_draws=3, n_test=2000, student_steps=200, mixup_steps=300,
)  # fmt: skip
PICTURE_SIZES: dict[str, PictureSize] = {
    # Fashion-MNIST where it is on this machine, else digits, of which there are few.
    "smoke": replace(_BOOK, dataset="digits", typical=0.2, side=8, n_train=200, n_networks=3,
                     n_students=2, n_draws=1, n_test=100, student_steps=50, mixup_steps=60),
    "book": _BOOK,
    "paper": replace(_BOOK, n_train=10000, n_students=10, n_draws=5, n_test=10000),
}  # fmt: skip


def picture_size(scale: Scale) -> PictureSize:
    """The scale's sizes; at smoke scale the images that are on this machine."""
    return of_this_machine(PICTURE_SIZES[scale], scale)


def picture_study(
    scale: Scale, *, draw: int = FIRST_DRAW, explore: bool = False
) -> SingleModelStudy:
    r"""The network of Definition 3.4 on inputs of Definition 3.1 whose views are photographs.

    An own view stands in C_p = 4 patches, as four photographs, each fainter than one of another
    class may be (why: `settings.base_study`); s = 4 views of other classes make most single-view
    inputs show one that attracts a network without the right view.  One training input a class,
    and no more, shows one view alone, as in other chapters.
    """
    size = picture_size(scale)
    look = PictureViews(dataset=size.dataset, typical=size.typical, second=SECOND, side=size.side,
                        explore=explore)  # fmt: skip
    k = len(look.things())
    base = vary(
        base_study(scale, draw=draw),
        n_classes=k,
        dim=look.dim,
        n_patches=16,
        patches_per_view=4,
        sparsity=4.0,
        single_view_fraction=k / size.n_train,
        noise_std=0.6 / math.sqrt(look.dim),
        overflow="thin",
        appearance=look,
    )
    return replace(
        base,
        schedule=replace(base.schedule, stop_rule=WhenFitted(limit=400)),
        n_train=size.n_train,
        n_networks=size.n_networks,
        ensemble_size=0,
        n_test_single=size.n_test,
        n_test_multi=size.n_test,
    )


def picture_families(scale: Scale) -> Families:
    """Networks and their students, and networks on midpoints, on every training set."""
    size = picture_size(scale)
    names = ("handmade-single", *TAUGHT, "handmade-mixup", "handmade-as-long")
    made: Families = {name: {} for name in names}
    for draw in range(FIRST_DRAW, FIRST_DRAW + size.n_draws):
        networks, label = picture_study(scale, draw=draw), f"draw {draw}"
        made["handmade-single"][label] = PictureStudy(base=networks)
        steps = replace(networks.schedule, stop_rule=FixedSteps(steps=size.student_steps))
        for name, taught in TAUGHT.items():
            students = DistillationStudy(
                teacher=networks, schedule=steps, n_students=size.n_students, **taught
            )
            made[name][label] = PictureStudy(base=students)
        steps = replace(steps, stop_rule=FixedSteps(steps=size.mixup_steps))
        plain = replace(vary(networks, threshold=LOWER, own_strength=WIDE), schedule=steps,
                        n_networks=min(MIXED, size.n_networks))  # fmt: skip
        mixed = replace(plain, batches=MidpointMixup())
        made["handmade-mixup"][label] = PictureStudy(base=mixed)
        made["handmade-as-long"][label] = PictureStudy(base=plain)
    made["handmade-broken"] = {
        label: PictureStudy(base=study) for label, study in broken(scale).items()
    }
    return made


def broken(scale: Scale) -> dict[str, SingleModelStudy | DistillationStudy]:
    """A few networks where one thing is otherwise, and students where that is what matters."""
    size = picture_size(scale)
    few = replace(picture_study(scale), n_networks=min(4, size.n_networks))
    look = few.data.appearance
    assert isinstance(look, PictureViews)
    larger = vary(few, patches_per_view=2)
    steps = replace(few.schedule, stop_rule=FixedSteps(steps=size.student_steps))
    return {
        "as above": few,
        "three times as many photographs": vary(
            few, appearance=replace(look, typical=min(1.0, round(3 * look.typical, 3)))
        ),
        "four single-view inputs a class": vary(
            few, single_view_fraction=4 * few.data.single_view_fraction
        ),
        "threshold 1": vary(few, threshold=1.0),
        "two pictures a view": larger,
        "two pictures a view, distilled": DistillationStudy(
            teacher=larger, schedule=steps, n_students=2
        ),
    }
