"""One tiny data draw with three networks that fit it, and students of theirs; a checkpoint; and a
kind of study for the store alone."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from mvlib.paper.multi_view_data import MultiViewParams
from mvlib.paper.network import LearnerParams
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    ConstantStep,
    FixedSteps,
    Schedule,
    WhenFitted,
)
from mvlib.store.kinds import Kind, register
from mvlib.studies.distillation import DistillationStudy
from mvlib.studies.single_model import SingleModelStudy

TEACHER = SingleModelStudy(
    data=MultiViewParams(n_classes=3, dim=40, n_patches=8, sparsity=1.5, noise_std=0.05,
                         single_view_fraction=0.1),
    learner=LearnerParams(n_neurons=3, power=4, threshold=1.0, init_std=0.1),
    schedule=Schedule(step_rule=BoundedRelativeStep(max_step=1000.0, relative_change=0.3),
                      stop_rule=WhenFitted(limit=200)),
    n_train=36, n_networks=3, draw=2, n_test_single=70, n_test_multi=65,
)  # fmt: skip


def student(*, steps: int = 12, **changes: Any) -> DistillationStudy:
    """Two students of the three networks."""
    schedule = replace(TEACHER.schedule, stop_rule=FixedSteps(steps=steps))
    return DistillationStudy(
        **{"teacher": TEACHER, "schedule": schedule, "n_students": 2, **changes}
    )


class Kept:
    """A checkpoint in memory, due at every step."""

    def __init__(self) -> None:
        self.state: dict[str, Tensor] | None = None

    def load(self) -> dict[str, Tensor] | None:
        return self.state

    def due(self) -> bool:
        return True

    def save(self, state: Mapping[str, Tensor]) -> None:
        self.state = {name: tensor.clone() for name, tensor in state.items()}


@dataclass(frozen=True)
class Config:
    """What the store's tests keep."""

    size: int = 3
    rate: float = 0.1
    rule: object = ConstantStep(0.5)


def arrays_of_toy(study: Config) -> dict[str, np.ndarray]:
    """As many zeros."""
    return {"a": np.zeros(study.size)}


register(Kind(name="toy", configuration=Config, run=arrays_of_toy, work=lambda study: 1.0))
