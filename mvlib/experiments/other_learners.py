"""A second paper's networks on the same data, and classifiers that learn no features."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mvlib.experiments.settings import Families, Scale, all_draws, vary, with_samples
from mvlib.paper.batches import MidpointMixup
from mvlib.paper.objectives import LabelSmoothing
from mvlib.paper.step_rules import FixedSteps
from mvlib.studies.classifiers import ClassifierStudy

# Networks and steps of each study.
MIXUP = {"smoke": (2, 80), "book": (3, 150), "paper": (10, 2000)}
# In a midpoint every view stands at half its strength: with a threshold this much lower a midpoint
# meets the slope that an input meets otherwise.
LOWER = 0.5
# Single networks, by experiment name: all start from the same weights and take as many steps.
ALONE: dict[str, dict[str, Any]] = {
    "mixup": {"batches": MidpointMixup()},
    "label-smoothing": {"objective": LabelSmoothing()},
    "hard-labels-as-long": {},
}


def mixup_families(scale: Scale) -> Families:
    """Midpoint mixup, and single networks that are trained as long without it."""
    networks, steps = MIXUP[scale]
    made: Families = {}
    for draw in all_draws(scale):
        longer = replace(
            draw,
            schedule=replace(draw.schedule, stop_rule=FixedSteps(steps=steps)),
            n_networks=networks, record_every=max(1, steps // 40),
            n_watch=min(300, draw.n_test_single),
        )  # fmt: skip
        lower = vary(longer, threshold=LOWER * draw.learner.threshold)
        studies = {name: replace(lower, **changes) for name, changes in ALONE.items()}
        studies["mixup-high-threshold"] = replace(longer, **ALONE["mixup"])
        for name, study in studies.items():
            made.setdefault(name, {})[f"draw {draw.draw}"] = study
    return made


def classifier_families(scale: Scale) -> Families:
    """Linear and polynomial classifiers on the training sets of the networks."""
    return {
        "classifiers": {
            f"draw {study.draw}": ClassifierStudy(
                # Kernels have N entries for every input.
                base=with_samples(study, min(study.n_train, 2000)),
                n_validation=100 if scale == "smoke" else 500,
            )
            for study in all_draws(scale)
        }
    }
