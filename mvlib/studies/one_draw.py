r"""What every study of networks on one data draw does: training set, networks, training, test.

A study is one unit of stored work and says what differs: who starts where, and what is learned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mvlib.core.checks import require
from mvlib.paper.batches import Batches
from mvlib.paper.ensemble import bootstrap_ensembles, ensemble_outputs, size_curve
from mvlib.paper.evaluation import test_scores, view_correlations
from mvlib.paper.gradient_descent import (
    Checkpoint,
    Progress,
    Trajectory,
    classification_error,
    train,
)
from mvlib.paper.lottery import lottery_winners
from mvlib.paper.multi_view_data import (
    MultiViewParams,
    Sample,
    feature_vectors,
    sample,
)
from mvlib.paper.network import LearnerParams, Streamed, init_weights, logits
from mvlib.paper.objectives import Objective
from mvlib.paper.step_rules import FixedSteps, Schedule, StopRule

BOOTSTRAP_RESAMPLES = 400
SEEDS_A_DRAW = 1000
N_EXAMPLES = 60  # single-view test inputs whose scores are kept, to look at
TYPICAL_STEPS = 70  # to fit the training set at book scale; for time estimates only
STORED_BYTES = 4 << 30  # training inputs beyond this size are streamed; decides rounding, no more


@runtime_checkable
class Setting(Protocol):
    """What a study on one data draw must say, see `SingleModelStudy`."""

    @property
    def data(self) -> MultiViewParams: ...
    @property
    def learner(self) -> LearnerParams: ...
    @property
    def n_train(self) -> int: ...
    @property
    def draw(self) -> int: ...
    @property
    def n_test_single(self) -> int: ...
    @property
    def n_test_multi(self) -> int: ...


def check_seeds(field: str, networks: int) -> None:
    """Refuse more networks than a draw has seeds for."""
    left = "networks of different draws would share seeds"
    require(networks <= SEEDS_A_DRAW, field, "L", networks, f"be <= {SEEDS_A_DRAW}", left)


def seeds_of(draw: int, networks: int) -> list[int]:
    """Seeds of the first so many networks of a draw: disjoint between draws."""
    return [SEEDS_A_DRAW * draw + r for r in range(networks)]


def expected_steps(rule: StopRule) -> int:
    """How many steps a network will take, about; exact where the number is fixed."""
    return rule.limit if isinstance(rule, FixedSteps) else min(rule.limit, TYPICAL_STEPS)


def training_flops(
    setting: Setting, schedule: Schedule, *, networks: int, batches: Batches | None = None
) -> float:
    """Floating-point operations of training and testing, about: 2 N P d k m a network for each
    matrix product, two products a step and one for every input that is only looked at."""
    data, n = setting.data, setting.n_train
    per_input = 2.0 * data.n_patches * data.dim * data.n_classes * setting.learner.n_neurons
    steps = expected_steps(schedule.stop_rule)
    # With batches, a pass and a look at all take about this many steps.
    trained = 2 * n * steps if batches is None else 3 * n * steps // batches.looks_every(n)
    return per_input * (trained + setting.n_test_single + setting.n_test_multi) * networks


def training_set(setting: Setting, *, device: str = "cpu") -> Sample:
    """The N training samples of a setting's draw; streamed where they take more than
    `STORED_BYTES`, whatever the machine, so that results do not depend on it."""
    data = setting.data
    large = 4 * setting.n_train * data.n_patches * data.dim > STORED_BYTES
    return sample(data, setting.n_train, seed=setting.draw, name="train", streamed=large,
                  device=device)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """Networks trained on one draw.

    Attributes:
        setting: what they were trained in.
        features, data: of the draw.
        W0: where they started.
        trajectory: what training left behind.
    """

    setting: Setting
    features: Tensor
    data: Sample
    W0: Tensor
    trajectory: Trajectory

    def lottery(self) -> dict[str, Tensor]:
        """predicted_winner and winner_margin, (seeds, k), from the start."""
        found = lottery_winners(self.W0, self.features, self.data, self.setting.learner)
        return {"predicted_winner": found.winner, "winner_margin": found.margin}

    def results(self) -> dict[str, Tensor]:
        """What every such study stores: correlations (seeds, k, V) at the end, all of the
        trajectory but the weights, and `tested`."""
        end = self.trajectory
        return {
            "correlations": view_correlations(end.weights, self.features),
            "stop_step": end.stop_step,
            "fitted": end.fitted,
            "train_outputs": end.train_outputs,
            "steps": end.recorded_steps,
            "loss": end.loss,
            "train_error": end.train_error,
            **end.probes,
            **tested(self.setting, end.weights),
        }


def train_networks(
    setting: Setting,
    objective: Objective | Callable[[Tensor], Objective],
    schedule: Schedule,
    *,
    networks: int,
    name: str = "init",
    watch: bool = True,
    record_every: int = 0,
    n_watch: int = 0,
    batches: Batches | None = None,
    progress: Progress | None = None,
    device: str = "cpu",
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train so many networks on the training set of a setting's draw.

    Args:
        objective: what they are trained on, or a function that makes it of the training labels.
        networks: they have the draw's first seeds.
        name: the stream of their initial weights; students have others than networks.
        watch: record what `probes` gives.
        record_every, progress, checkpoint, batches: as in `train`; batches draw from the draw's
            own seed.
        n_watch: as in `probes`.
        device: where tensors live; random numbers are drawn on the CPU, the same for all devices.
    """
    data, learner = setting.data, setting.learner
    features = feature_vectors(data, setting.draw, device=device)
    drawn = training_set(setting, device=device)
    seeds = seeds_of(setting.draw, networks)
    W0 = init_weights(seeds, learner, n_classes=data.n_classes, dim=data.dim, name=name,
                      device=device)  # fmt: skip
    trajectory = train(
        W0,
        drawn.patches,
        drawn.labels,
        objective if isinstance(objective, Objective) else objective(drawn.labels),
        learner=learner,
        schedule=schedule,
        seeds=seeds,
        record_every=record_every,
        probes=probes(setting, features, drawn, n_watch=n_watch) if watch else None,
        progress=progress,
        checkpoint=checkpoint,
        batches=batches,
        batch_seed=setting.draw,
    )
    return Trained(setting=setting, features=features, data=drawn, W0=W0, trajectory=trajectory)


def as_arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """What a study returns, wherever it was computed."""
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def probes(
    setting: Setting, features: Tensor, train_data: Sample, *, n_watch: int
) -> dict[str, Callable[[Tensor], Tensor]]:
    """What is recorded during training: view correlations and, where `n_watch` > 0, errors on
    that many fresh inputs of each kind and residuals of the training data of each kind."""
    chosen: dict[str, Callable[[Tensor], Tensor]] = {
        "view_correlations": partial(view_correlations, features=features)
    }
    for kind in ("single", "multi") if n_watch else ():
        watched = sample(setting.data, n_watch, seed=setting.draw, name="watch", kind=kind,
                         device=str(features.device))  # fmt: skip
        chosen[f"watched_{kind}_error"] = partial(
            _error_on, X=watched.patches, labels=watched.labels, learner=setting.learner
        )
        of_kind = train_data.single_view == (kind == "single")
        part = train_data[of_kind.nonzero().squeeze(1)[:n_watch]]
        if len(part):
            chosen[f"{kind}_residual"] = partial(
                _residual_on, X=part.patches, labels=part.labels, learner=setting.learner
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


def tested(setting: Setting, W: Tensor) -> dict[str, Tensor]:
    """Errors of each network and of their average, on fresh single- and multi-view inputs."""
    scores = partial(test_scores, W, setting.data, setting.learner, seed=setting.draw)
    single = scores(kind="single", n=setting.n_test_single)
    multi = scores(kind="multi", n=setting.n_test_multi)
    mean_single = ensemble_outputs(single.outputs)[None]
    mean_multi = ensemble_outputs(multi.outputs)[None]
    by_class = partial(_error_by_class_and_view, labels=single.labels, shown=single.dominant_view,
                       n_views=setting.data.n_views)  # fmt: skip
    return {
        "single_error": classification_error(single.outputs, single.labels),
        "multi_error": classification_error(multi.outputs, multi.labels),
        "ensemble_single_error": classification_error(mean_single, single.labels)[0],
        "ensemble_multi_error": classification_error(mean_multi, multi.labels)[0],
        "ensemble_bootstrap": bootstrap_ensembles(
            single.outputs, single.labels, n_resamples=BOOTSTRAP_RESAMPLES, seed=setting.draw
        ),
        "bootstrap_multi": bootstrap_ensembles(
            multi.outputs, multi.labels, n_resamples=BOOTSTRAP_RESAMPLES, seed=setting.draw
        ),
        "size_curve": size_curve(single.outputs, single.labels, seed=setting.draw),
        "size_curve_multi": size_curve(multi.outputs, multi.labels, seed=setting.draw),
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
