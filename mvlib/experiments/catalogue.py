"""Every configuration the book uses.

Settings were chosen on draws that no chapter reports (see `settings.FIRST_DRAW`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mvlib.core.checks import BadInput
from mvlib.experiments.gaussian import gaussian_families
from mvlib.experiments.images import image_families
from mvlib.experiments.settings import (
    FIRST_DRAW,
    SINGLE_VIEW_PER_CLASS,
    SIZES,
    STEP_RULE,
    Experiment,
    Families,
    Scale,
    all_draws,
    base_study,
    check_scale,
    vary,
)
from mvlib.experiments.students import joint_families, student_families
from mvlib.paper.step_rules import FixedSteps
from mvlib.studies.single_model import SingleModelStudy

# What each sweep varies, beside the base setting's own value (which "single-model" holds).
SWEEPS: dict[str, tuple[Any, ...]] = {
    "init_std": (0.02, 0.3),
    "threshold": (0.25, 2.0),
    "sparsity": (0.5, 1.0, 5.0),  # or k where k is less
    "multi_other_strength": ((0.1, 0.15), (0.2, 0.4)),
}
# k, networks, samples a class, neurons a class.  Fewer samples as k grows, for time; mu keeps
# N_s / k the same.  More neurons, as m = polylog(k): of many classes one would else start with
# both views nearly unread, and all others wait for it.
CLASS_COUNTS: dict[str, tuple[tuple[int, int, int, int], ...]] = {
    "smoke": ((4, 2, 40, 5), (6, 2, 40, 5)),
    "book": ((10, 5, 40, 5), (20, 3, 40, 7), (50, 2, 25, 9)),
    "paper": ((10, 10, 100, 5), (20, 10, 100, 7), (50, 10, 100, 9), (100, 10, 100, 10)),
}


def experiments(scale: Scale, name: str | None = None) -> list[Experiment]:
    """All experiments of a scale in the order in which they are run, or those called `name`.

    Raises:
        BadInput: if the scale or the name is unknown.
    """
    check_scale(scale)
    families = {
        **network_families(scale),
        **student_families(scale),
        **joint_families(scale),
        **gaussian_families(scale),
        **image_families(scale),
    }
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
    # Both levers of the sweeps at once: more views of other classes, a higher threshold.
    made["nearer"] = {"s = 5, threshold = 2": vary(few, sparsity=5.0, threshold=2.0)}
    made["class-count"] = {
        f"k = {row[0]}": _with_classes(first, *row) for row in CLASS_COUNTS[scale]
    }
    return made


def _with_classes(
    base: SingleModelStudy, k: int, networks: int, per_class: int, m: int
) -> SingleModelStudy:
    """Theorem 1 as k grows, with s, varrho, d and N_s / k held; see `CLASS_COUNTS` for m, N / k."""
    N = per_class * k
    study = vary(
        base,
        n_classes=k,
        # 24 patches hold the views of all but one sample in a thousand at s = 3.
        n_patches=min(24, 4 * k),
        overflow="thin",
        single_view_fraction=SINGLE_VIEW_PER_CLASS * k / N,
        n_neurons=m,
    )
    # A class's share of the gradient is 1 / k: the step that suits ten classes grows with k.
    rule = replace(STEP_RULE, max_step=STEP_RULE.max_step * k / 10)
    schedule = replace(base.schedule, step_rule=rule)
    return replace(study, schedule=schedule, n_train=N, n_networks=networks)
