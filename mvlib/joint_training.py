r"""Networks trained together, so that their average fits the labels (Section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from mvlib.checks import require, require_int
from mvlib.distribution import feature_vectors, sample
from mvlib.learner import init_weights
from mvlib.measurement import view_correlations
from mvlib.objectives import AverageCrossEntropy
from mvlib.single_model import (
    SEEDS_A_DRAW,
    SingleModelStudy,
    expected_steps,
    tested,
    trained,
)
from mvlib.training import Progress, train


@dataclass(frozen=True, kw_only=True, slots=True)
class JointStudy:
    r"""Networks trained as one.

    Attributes:
        base: data, learner, schedule, draw and test sets; all members must take the same step
            (`SharedStep`).
        n_members: L >= 1; they start where the first L networks of `base` do.
        mean: True trains $\frac1L\sum_\ell F_\ell$, as Section 2.1 writes; False the plain sum,
            which is one network with m L neurons a class.
    """

    base: SingleModelStudy
    n_members: int
    mean: bool

    def __post_init__(self) -> None:
        require_int("n_members", "L", self.n_members, 1, "train at least one network")
        require(self.n_members <= SEEDS_A_DRAW, "n_members", "L", self.n_members,
                f"be <= {SEEDS_A_DRAW}", "draws would share seeds")  # fmt: skip
        require(isinstance(self.mean, bool), "mean", "", self.mean, "be True or False", "pick one")

    @property
    def draw(self) -> int:
        """The data draw."""
        return self.base.draw


def joint_flops(study: JointStudy) -> float:
    """Floating-point operations of training and testing, about, as `expected_flops` counts."""
    base, data = study.base, study.base.data
    per_input = 2.0 * data.n_patches * data.dim * data.n_classes * base.learner.n_neurons
    passes = 2 * base.n_train * joint_steps(study) + base.n_test_single + base.n_test_multi
    return per_input * passes * study.n_members


def joint_steps(study: JointStudy) -> int:
    """How many steps the members will take, about."""
    return expected_steps(study.base.schedule.stop_rule)


def run_joint(study: JointStudy, progress: Progress | None = None) -> dict[str, np.ndarray]:
    """Train the members together and test each of them and their average.

    Returns:
        what `single_model.trained` and `single_model.tested` return, networks being members (the
        average's errors are ensemble_single_error and ensemble_multi_error), and correlations
        (members, k, 2) at the end.
    """
    base = study.base
    features = feature_vectors(base.data, base.draw)
    training_set = sample(base.data, base.n_train, seed=base.draw, name="train")
    seeds = [SEEDS_A_DRAW * base.draw + r for r in range(study.n_members)]
    W0 = init_weights(seeds, base.learner, n_classes=base.data.n_classes, dim=base.data.dim)
    trajectory = train(
        W0, training_set.patches, training_set.labels,
        AverageCrossEntropy(scale=1 / study.n_members if study.mean else 1.0),
        learner=base.learner, schedule=base.schedule, seeds=seeds, progress=progress,
    )  # fmt: skip
    arrays: dict[str, torch.Tensor] = {
        "correlations": view_correlations(trajectory.weights, features),
        **trained(trajectory),
        **tested(base, trajectory.weights),
    }
    return {key: value.numpy() for key, value in arrays.items()}
