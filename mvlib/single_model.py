r"""The study behind Theorems 1 and 2: train a few networks on one data draw, test each and their
average.

One call is one unit of stored work: one data draw, all its networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import Tensor

from mvlib.activation import takeoff
from mvlib.checks import require, require_int
from mvlib.distribution import (
    MultiViewParams,
    Sample,
    feature_vectors,
    sample,
    streamed_sample,
)
from mvlib.ensemble import bootstrap_ensembles, ensemble_outputs, size_curve
from mvlib.learner import LearnerParams, Streamed, init_weights, logits
from mvlib.measurement import lottery_winners, test_scores, view_correlations
from mvlib.objectives import CrossEntropy
from mvlib.training import (
    Checkpoint,
    FixedSteps,
    Progress,
    Schedule,
    StopRule,
    Trajectory,
    classification_error,
    train,
)

BOOTSTRAP_RESAMPLES = 400
SEEDS_A_DRAW = 1000
N_EXAMPLES = 60  # single-view test inputs whose scores are kept, to look at
TYPICAL_STEPS = 70  # to fit the training set at book scale; for time estimates only
STORED_BYTES = 4 << 30  # training inputs beyond this size are streamed; decides rounding, no more


@dataclass(frozen=True, kw_only=True, slots=True)
class SingleModelStudy:
    """Everything that decides one data draw's numbers.

    Attributes:
        data, learner, schedule: the setting.
        n_train: N >= 1.
        n_networks: L >= 1; network r of draw D is the same whatever L.
        draw: which data draw, >= 0: features, training set, test sets and networks depend on it.
        n_test_single, n_test_multi: fresh test inputs of each kind, >= 1.
        record_every: record the trajectory every so many steps; 0: only at the end.
        n_watch: single-view inputs, of a third stream, on which errors are watched during
            training; 0: none.
    """

    data: MultiViewParams
    learner: LearnerParams
    schedule: Schedule
    n_train: int
    n_networks: int
    draw: int
    n_test_single: int
    n_test_multi: int
    record_every: int = 0
    n_watch: int = 0

    def __post_init__(self) -> None:
        require_int("n_train", "N", self.n_train, 1, "train on at least one sample")
        require_int("n_networks", "L", self.n_networks, 1, "train at least one network")
        seeds_left = "networks of different draws would share seeds"
        require(self.n_networks <= SEEDS_A_DRAW, "n_networks", "L", self.n_networks,
                f"be <= {SEEDS_A_DRAW}", seeds_left)  # fmt: skip
        require_int("draw", "seed", self.draw, 0, "number the draws from 0")
        require_int("n_test_single", "n", self.n_test_single, 1, "test on at least one input")
        require_int("n_test_multi", "n", self.n_test_multi, 1, "test on at least one input")
        require_int("record_every", "", self.record_every, 0, "0 records the end only")
        require_int("n_watch", "n", self.n_watch, 0, "0 watches no test error")
        takeoff(self.learner.nonlinearity)  # or no winner could be foretold
        least = 2 * self.data.n_classes
        few = "every class needs multi-view training data"
        require(self.n_train >= least, "n_train", "N", self.n_train, f"be >= 2k = {least}", few)


def expected_steps(rule: StopRule) -> int:
    """How many steps a network will take, about; exact where the number is fixed."""
    return rule.limit if isinstance(rule, FixedSteps) else min(rule.limit, TYPICAL_STEPS)


def expected_flops(
    study: SingleModelStudy, *, steps: int | None = None, networks: int | None = None
) -> float:
    """Floating-point operations of training and testing, about: 2 N P d k m a network for each
    matrix product, two products a step and one a test input; for so many steps and networks, by
    default the study's own."""
    data = study.data
    steps = expected_steps(study.schedule.stop_rule) if steps is None else steps
    networks = study.n_networks if networks is None else networks
    per_input = 2.0 * data.n_patches * data.dim * data.n_classes * study.learner.n_neurons
    passes = 2 * study.n_train * steps + study.n_test_single + study.n_test_multi
    return per_input * passes * networks


def training_set(study: SingleModelStudy, *, device: str = "cpu") -> Sample:
    """The N training samples of a study's draw; streamed where they take more than
    `STORED_BYTES`, whatever the machine, so that results do not depend on it."""
    data = study.data
    size = 4 * study.n_train * data.n_patches * data.dim
    draw = streamed_sample if size > STORED_BYTES else sample
    return draw(data, study.n_train, seed=study.draw, name="train", device=device)


def network_seeds(study: SingleModelStudy) -> list[int]:
    """Seeds of the study's networks: disjoint between draws."""
    return [SEEDS_A_DRAW * study.draw + r for r in range(study.n_networks)]


def run_single_model(
    study: SingleModelStudy,
    progress: Progress | None = None,
    *,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> dict[str, np.ndarray]:
    """Train, test and describe; all arrays have networks on the first axis unless said.

    Args:
        study: the configuration.
        progress, checkpoint: as in `train`.
        device: where tensors live; random numbers are drawn on the CPU, the same for all devices.

    Returns:
        stop_step, fitted; single_error, multi_error (shares); correlations (seeds, k, V) at the
        end and predicted_winner, winner_margin (seeds, k) from the start; train_outputs
        (seeds, N, k); ensemble_single_error, ensemble_multi_error (scalars); ensemble_bootstrap
        (resamples,) single-view errors; size_curve (K, subsets) single-view errors;
        size_curve_multi likewise; class_error (seeds, k, V): errors by class and by the view
        shown at full strength; ensemble_class_error (k, V); example_outputs (seeds, n, k) and
        example_labels of the first single-view test inputs; and, records first: steps, loss,
        train_error, view_correlations and, where watched, single_ and multi_residual of the
        training data, watched_single_error, watched_multi_error.
    """
    data, learner = study.data, study.learner
    features = feature_vectors(data, study.draw, device=device)
    train_data = training_set(study, device=device)
    seeds = network_seeds(study)
    W0 = init_weights(seeds, learner, n_classes=data.n_classes, dim=data.dim, device=device)
    trajectory = train(
        W0,
        train_data.patches,
        train_data.labels,
        CrossEntropy(),
        learner=learner,
        schedule=study.schedule,
        seeds=seeds,
        record_every=study.record_every,
        probes=probes(study, features, train_data, n_watch=study.n_watch),
        progress=progress,
        checkpoint=checkpoint,
    )
    prediction = lottery_winners(W0, features, train_data, learner)
    return as_arrays({
        "correlations": view_correlations(trajectory.weights, features),
        "predicted_winner": prediction.winner,
        "winner_margin": prediction.margin,
        "initial_correlations": view_correlations(W0, features),
        **trained(trajectory),
        **tested(study, trajectory.weights),
    })  # fmt: skip


def as_arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """What a study returns, wherever it was computed."""
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def probes(
    study: SingleModelStudy, features: Tensor, train_data: Sample, *, n_watch: int
) -> dict[str, Callable[[Tensor], Tensor]]:
    """What is recorded during training: view correlations and, where `n_watch` > 0, errors on
    that many fresh inputs of each kind and residuals of the training data of each kind."""
    chosen: dict[str, Callable[[Tensor], Tensor]] = {
        "view_correlations": partial(view_correlations, features=features)
    }
    for kind in ("single", "multi") if n_watch else ():
        watched = sample(study.data, n_watch, seed=study.draw, name="watch", kind=kind,
                         device=str(features.device))  # fmt: skip
        chosen[f"watched_{kind}_error"] = partial(
            _error_on, X=watched.patches, labels=watched.labels, learner=study.learner
        )
        of_kind = train_data.single_view == (kind == "single")
        part = train_data[of_kind.nonzero().squeeze(1)[:n_watch]]
        if len(part):
            chosen[f"{kind}_residual"] = partial(
                _residual_on, X=part.patches, labels=part.labels, learner=study.learner
            )
    return chosen


def _error_on(W: Tensor, *, X: Tensor | Streamed, labels: Tensor, learner: LearnerParams) -> Tensor:
    return classification_error(logits(W, X, learner), labels)


def _residual_on(
    W: Tensor, *, X: Tensor | Streamed, labels: Tensor, learner: LearnerParams
) -> Tensor:
    """Mean of 1 - softmax_y(F(X)): how hard these samples still pull, (seeds,)."""
    probability = logits(W, X, learner).softmax(dim=-1)
    return 1 - probability[:, torch.arange(len(labels)), labels].mean(dim=1)


def trained(trajectory: Trajectory) -> dict[str, Tensor]:
    """What a trajectory leaves in the store: everything but the weights."""
    return {
        "stop_step": trajectory.stop_step,
        "fitted": trajectory.fitted,
        "train_outputs": trajectory.train_outputs,
        "steps": trajectory.recorded_steps,
        "loss": trajectory.loss,
        "train_error": trajectory.train_error,
        **trajectory.probes,
    }


def tested(study: SingleModelStudy, W: Tensor) -> dict[str, Tensor]:
    """Errors of each network and of their average, on fresh single- and multi-view inputs."""
    scores = partial(test_scores, W, study.data, study.learner, seed=study.draw)
    single = scores(kind="single", n=study.n_test_single)
    multi = scores(kind="multi", n=study.n_test_multi)
    mean_single = ensemble_outputs(single.outputs)[None]
    mean_multi = ensemble_outputs(multi.outputs)[None]
    by_class = partial(_error_by_class_and_view, labels=single.labels, shown=single.dominant_view,
                       n_views=study.data.n_views)  # fmt: skip
    return {
        "single_error": classification_error(single.outputs, single.labels),
        "multi_error": classification_error(multi.outputs, multi.labels),
        "ensemble_single_error": classification_error(mean_single, single.labels)[0],
        "ensemble_multi_error": classification_error(mean_multi, multi.labels)[0],
        "ensemble_bootstrap": bootstrap_ensembles(
            single.outputs, single.labels, n_resamples=BOOTSTRAP_RESAMPLES, seed=study.draw
        ),
        "bootstrap_multi": bootstrap_ensembles(
            multi.outputs, multi.labels, n_resamples=BOOTSTRAP_RESAMPLES, seed=study.draw
        ),
        "size_curve": size_curve(single.outputs, single.labels, seed=study.draw),
        "size_curve_multi": size_curve(multi.outputs, multi.labels, seed=study.draw),
        "class_error": by_class(single.outputs),
        "example_outputs": single.outputs[:, :N_EXAMPLES],
        "example_labels": single.labels[:N_EXAMPLES],
        "ensemble_class_error": by_class(mean_single)[0],
    }


def _error_by_class_and_view(
    outputs: Tensor, *, labels: Tensor, shown: Tensor, n_views: int
) -> Tensor:
    """Error on single-view inputs of class i that show view l at full strength, (seeds, k, V)."""
    k = outputs.shape[-1]
    errors = outputs.new_full((outputs.shape[0], k, n_views), torch.nan)
    for i in range(k):
        for view in range(n_views):
            rows = (labels == i) & (shown == view)
            if bool(rows.any()):
                errors[:, i, view] = classification_error(outputs[:, rows], labels[rows])
    return errors
