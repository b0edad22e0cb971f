r"""Networks trained together, so that their average fits the labels (Section 2.1)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mvlib.checks import require, require_int
from mvlib.distribution import feature_vectors
from mvlib.learner import init_weights
from mvlib.measurement import view_correlations
from mvlib.objectives import AverageCrossEntropy
from mvlib.single_model import (
    SEEDS_A_DRAW,
    SingleModelStudy,
    as_arrays,
    expected_flops,
    expected_steps,
    network_seeds,
    tested,
    trained,
    training_set,
)
from mvlib.training import Checkpoint, Progress, SharedStep, train


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
        rule = self.base.schedule.step_rule
        require(self.n_members == 1 or isinstance(rule, SharedStep), "step_rule", "eta", rule,
                "be a SharedStep", "members of one average take one step: wrap it")  # fmt: skip
        require(isinstance(self.mean, bool), "mean", "", self.mean, "be True or False", "pick one")

    @property
    def draw(self) -> int:
        """The data draw."""
        return self.base.draw


def joint_flops(study: JointStudy) -> float:
    """Floating-point operations of training and testing, about."""
    return expected_flops(study.base, networks=study.n_members)


def joint_steps(study: JointStudy) -> int:
    """How many steps the members will take, about."""
    return expected_steps(study.base.schedule.stop_rule)


def run_joint(
    study: JointStudy,
    progress: Progress | None = None,
    *,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> dict[str, np.ndarray]:
    """Train the members together and test each of them and their average.

    Args:
        study: the configuration.
        progress, checkpoint: as in `train`.
        device: where tensors live.

    Returns:
        what `single_model.trained` and `single_model.tested` return, networks being members (the
        average's errors are ensemble_single_error and ensemble_multi_error), and correlations
        (members, k, V) at the end.
    """
    base = study.base
    features = feature_vectors(base.data, base.draw, device=device)
    train_data = training_set(base, device=device)
    seeds = network_seeds(replace(base, n_networks=study.n_members))
    W0 = init_weights(seeds, base.learner, n_classes=base.data.n_classes, dim=base.data.dim,
                      device=device)  # fmt: skip
    trajectory = train(
        W0, train_data.patches, train_data.labels,
        AverageCrossEntropy(scale=1 / study.n_members if study.mean else 1.0),
        learner=base.learner, schedule=base.schedule, seeds=seeds, progress=progress,
        checkpoint=checkpoint,
    )  # fmt: skip
    return as_arrays({
        "correlations": view_correlations(trajectory.weights, features),
        **trained(trajectory),
        **tested(base, trajectory.weights),
    })  # fmt: skip
