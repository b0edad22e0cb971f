"""A second paper's networks on the same data, and classifiers that learn no features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mvlib.experiments.settings import Families, Scale, all_draws, vary, with_samples
from mvlib.paper.batches import MidpointMixup
from mvlib.paper.objectives import LabelSmoothing
from mvlib.paper.step_rules import BoundedRelativeStep, DecayingStep, FixedSteps
from mvlib.studies.classifiers import ClassifierStudy
from mvlib.studies.single_model import SingleModelStudy

# Networks and steps of each study.
MIXUP = {"smoke": (2, 60), "book": (2, 300), "paper": (10, 2000)}
# Steps that go on at full size, for classes that are late, and then lose half of it again and
# again, five times, for weights to come to rest; in units of the steps above.
LONGER, HALF_LIFE = 4 / 3, 1 / 15
# Of the threshold of other chapters.  In a midpoint every view stands at half its strength: under
# the whole threshold classes are learned late, or not at all.  Under half of it single networks
# learn both views from hard labels, too, and there is nothing to compare.
LOWER = 2 / 3
# Strengths of own views: the pull of mixup on a missing view grows with their relative variance.
WIDE = (1.0, 3.0)
# Single networks on such data, by experiment name: all start from the same weights and take as
# many steps.
ALONE: dict[str, dict[str, Any]] = {
    "mixup": {"batches": MidpointMixup()},
    "label-smoothing": {"objective": LabelSmoothing()},
    "hard-labels-as-long": {},
}


def mixup_families(scale: Scale) -> Families:
    """Midpoint mixup, also with the strengths of the other chapters, and single networks that are
    trained as long without it."""
    networks, steps = MIXUP[scale]
    made: Families = {}
    for study in all_draws(scale)[:2]:
        narrow = replace(
            vary(study, threshold=round(LOWER * study.learner.threshold, 2)),
            schedule=replace(study.schedule, stop_rule=FixedSteps(steps=steps)),
            n_networks=networks, record_every=max(10, steps // 25),
            n_watch=min(300, study.n_test_single),
        )  # fmt: skip
        wide = vary(narrow, own_strength=WIDE)
        trained = {name: replace(wide, **changes) for name, changes in ALONE.items()}
        trained["mixup-narrow"] = replace(narrow, **ALONE["mixup"])
        trained["mixup-decayed"] = _decayed(trained["mixup"], steps)
        for name, one in trained.items():
            # The claims rest on mixup; of what stands beside it one draw is enough.
            if name in ("mixup", "mixup-decayed") or name not in made:
                made.setdefault(name, {})[f"draw {study.draw}"] = one
    return made


def _decayed(study: SingleModelStudy, steps: int) -> SingleModelStudy:
    """The same networks, which go on for longer, in the end in ever smaller steps."""
    rule = study.schedule.step_rule
    assert isinstance(rule, BoundedRelativeStep)
    after, half_life = round(LONGER * steps), max(1, round(HALF_LIFE * steps))
    decaying = DecayingStep(rule=rule, after=after, half_life=half_life)
    stop = FixedSteps(steps=after + 5 * half_life)
    return replace(study, schedule=replace(study.schedule, step_rule=decaying, stop_rule=stop))


def classifier_families(scale: Scale) -> Families:
    """Linear and polynomial classifiers: on the training set of the networks, and on inputs whose
    patches share feature noise of the paper's size, with two networks beside them."""
    made: Families = {"classifiers": {}, "classifiers-noise": {}}
    for study in all_draws(scale):
        plain = ClassifierStudy(
            # Kernels have N entries for every input.
            base=with_samples(study, min(study.n_train, 2000)),
            n_validation=50 if scale == "smoke" else 500,
        )
        gamma = round(study.data.n_classes**-1.5, 4)
        label = f"draw {study.draw}"
        noisy = replace(plain, common_noise=gamma, n_networks=2)
        made["classifiers-noise"][label] = noisy
        if not made["classifiers"]:  # the claims rest on the others
            made["classifiers"][label] = plain
    return made
