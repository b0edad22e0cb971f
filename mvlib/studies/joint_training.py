r"""Networks trained together, so that their average fits the labels (Section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvlib.core.checks import require
from mvlib.paper.gradient_descent import Checkpoint, Progress
from mvlib.paper.objectives import AverageCrossEntropy, CrossEntropy
from mvlib.paper.step_rules import SharedStep
from mvlib.store.kinds import Kind, register
from mvlib.studies import one_draw
from mvlib.studies.single_model import SingleModelStudy


@dataclass(frozen=True, kw_only=True, slots=True)
class JointStudy:
    r"""Networks trained as one.

    Attributes:
        base: data, learner, schedule, batches, draw and test sets; all members must take the same
            step (`SharedStep`), and they have an objective of their own.
        n_members: L >= 1; they start where the first L networks of `base` do.
        mean: True trains $\frac1L\sum_\ell F_\ell$, as Section 2.1 writes; False the plain sum,
            which is one network with m L neurons a class.
    """

    base: SingleModelStudy
    n_members: int
    mean: bool

    def __post_init__(self) -> None:
        one_draw.check_networks("n_members", self.n_members, 1, "train at least one network")
        own = self.base.objective
        require(own == CrossEntropy(), "objective", "a", own, "be CrossEntropy() in the base",
                "members are trained on that of their average")  # fmt: skip
        rule = self.base.schedule.step_rule
        require(self.n_members == 1 or isinstance(rule, SharedStep), "step_rule", "eta", rule,
                "be a SharedStep", "members of one average take one step: wrap it")  # fmt: skip
        require(isinstance(self.mean, bool), "mean", "", self.mean, "be True or False", "pick one")


def run_joint(
    study: JointStudy, progress: Progress | None = None, *, device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Train the members together and test each of them and their average; progress, device,
    checkpoint as in `train_networks`.

    Returns:
        what `one_draw.Trained` gives as results, networks being members; the average's errors are
        ensemble_single_error and ensemble_multi_error.
    """
    base, scale = study.base, 1 / study.n_members if study.mean else 1.0
    found = one_draw.train_networks(
        base, AverageCrossEntropy(scale=scale), base.schedule, networks=study.n_members,
        watch=False, batches=base.batches, progress=progress, device=device, checkpoint=checkpoint,
    )  # fmt: skip
    return one_draw.as_arrays(found.results())


register(Kind(
    name="joint training", configuration=JointStudy, run=run_joint, version=2,
    work=lambda study: one_draw.training_flops(
        study.base, study.base.schedule, networks=study.n_members, batches=study.base.batches
    ),
    steps=lambda study: one_draw.expected_steps(study.base.schedule.stop_rule),
))  # fmt: skip
