r"""What every study of networks on one data draw does: training set, networks, training, test.
A study, one unit of stored work, says what differs: who starts where, and what is learned."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from mvlib.core.checks import require, require_int
from mvlib.paper.batches import Batches
from mvlib.paper.ensemble import (
    bootstrap_ensembles,
    disjoint_ensembles,
    ensemble_outputs,
    size_curve,
)
from mvlib.paper.evaluation import (
    TestScores,
    inputs_by_knowledge,
    learned_views,
    test_scores,
    view_correlations,
)
from mvlib.paper.gradient_descent import (
    Checkpoint,
    Progress,
    Trajectory,
    classification_error,
    misclassified,
    train,
)
from mvlib.paper.lottery import lottery_winners
from mvlib.paper.multi_view_data import (
    MultiViewParams,
    Sample,
    SampleKind,
    feature_vectors,
    sample,
)
from mvlib.paper.network import LearnerParams, init_weights, logits
from mvlib.paper.objectives import Objective
from mvlib.paper.step_rules import FixedSteps, Schedule, StopRule
from mvlib.paper.view_growth import growth_by_role, own_scores

BOOTSTRAP_RESAMPLES = 400
SEEDS_A_DRAW = 1000
N_FRESH = 100  # single-view inputs beside those of the training set, in `growth_probes`
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
    @property
    def ensemble_size(self) -> int: ...


def check_networks(field: str, networks: int, least: int, remedy: str) -> None:
    """Refuse fewer networks than wanted, or more than a draw has seeds for."""
    require_int(field, "L", networks, least, remedy)
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
    data, rounded = setting.data, setting.learner.rounds_inputs
    bytes_each = 2 if rounded else 4
    large = bytes_each * setting.n_train * data.n_patches * data.dim > STORED_BYTES
    return sample(data, setting.n_train, seed=setting.draw, name="train", streamed=large,
                  device=device, rounded=rounded)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """Networks trained on one draw: the draw's features and training set, where the networks
    started, and what training left behind."""

    setting: Setting
    features: Tensor
    data: Sample
    W0: Tensor
    trajectory: Trajectory

    def lottery(self) -> dict[str, Tensor]:
        """predicted_winner and winner_margin, (seeds, k), from the start."""
        found = lottery_winners(self.W0, self.features, self.data, self.setting.learner)
        return {"predicted_winner": found.winner, "winner_margin": found.margin}

    def shown(self) -> dict[str, Tensor]:
        """single_shown and fresh_shown, (n, 2): label and view of the inputs that `growth_probes`
        look at."""
        return {
            f"{word}_shown": torch.stack([inputs.labels, inputs.dominant_view], dim=1)
            for word, inputs in _single_view(self.setting, self.data).items()
        }

    def results(self) -> dict[str, Tensor]:
        """What every such study stores: correlations (seeds, k, V) at the end, all of the
        trajectory but the weights, and `tested`."""
        end = self.trajectory
        own = ("stop_step", "fitted", "train_outputs", "loss", "train_error")
        correlations = view_correlations(end.weights, self.features)
        return {
            "correlations": correlations,
            "steps": end.recorded_steps,
            **{name: getattr(end, name) for name in own},
            **end.probes,
            **tested(self.setting, end.weights, correlations),
        }


def train_networks(
    setting: Setting, objective: Objective | Callable[[Tensor], Objective], schedule: Schedule,
    *, networks: int, name: str = "init", watch: bool = True, record_every: int = 0,
    n_watch: int = 0, growth: bool = False, batches: Batches | None = None,
    progress: Progress | None = None, device: str = "cpu", checkpoint: Checkpoint | None = None,
) -> Trained:  # fmt: skip
    """Train so many networks on the training set of a setting's draw.

    Args:
        objective: what they are trained on, or a function that makes it of the training labels.
        networks: they have the draw's first seeds.
        name: the stream of their initial weights; students have others than networks.
        watch, n_watch: record what `probes` gives.
        growth: record what `growth_probes` gives as well.
        record_every, progress, checkpoint, batches: as in `train`; batches draw from the draw's
            own seed.
        device: where tensors live; random numbers are drawn on the CPU, the same for all devices.
    """
    data, learner, seeds = setting.data, setting.learner, seeds_of(setting.draw, networks)
    features = feature_vectors(data, setting.draw, device=device)
    drawn = training_set(setting, device=device)
    W0 = init_weights(seeds, learner, n_classes=data.n_classes, dim=data.dim, name=name,
                      device=device)  # fmt: skip
    goal = objective if isinstance(objective, Objective) else objective(drawn.labels)
    looks = probes(setting, features, drawn, n_watch=n_watch) if watch else {}
    if growth:
        looks |= growth_probes(setting, features, drawn, goal)
    trajectory = train(
        W0, drawn.patches, drawn.labels, goal,
        learner=learner, schedule=schedule, seeds=seeds, record_every=record_every, probes=looks,
        progress=progress, checkpoint=checkpoint, batches=batches, batch_seed=setting.draw,
    )  # fmt: skip
    return Trained(setting=setting, features=features, data=drawn, W0=W0, trajectory=trajectory)


def as_arrays(tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """What a study returns, wherever it was computed."""
    return {name: tensor.cpu().numpy() for name, tensor in tensors.items()}


def ticker(total: int, progress: Progress | None) -> Callable[[], None]:
    """A function to call after each of so many steps; it reports the step and the share left."""
    steps = iter(range(1, total + 1))

    def tick() -> None:
        step = next(steps)
        if progress:
            progress(step, 1 - step / total)

    return tick


def probes(
    setting: Setting, features: Tensor, train_data: Sample, *, n_watch: int
) -> dict[str, Callable[[Tensor], Tensor]]:
    """What is recorded during training: view correlations and, where `n_watch` > 0, errors on
    that many fresh inputs of each kind and residuals of the training data of each kind."""
    chosen: dict[str, Callable[[Tensor], Tensor]] = {
        "view_correlations": partial(view_correlations, features=features)
    }
    for kind in ("single", "multi") if n_watch else ():
        watched = sample(
            setting.data, n_watch, seed=setting.draw, name="watch", kind=kind,
            device=str(features.device), rounded=setting.learner.rounds_inputs,
        )  # fmt: skip
        chosen[f"watched_{kind}_error"] = partial(_error_on, watched, setting.learner)
        of_kind = train_data.single_view == (kind == "single")
        part = train_data[of_kind.nonzero().squeeze(1)[:n_watch]]
        if len(part):
            chosen[f"{kind}_residual"] = partial(_residual_on, part, setting.learner)
    return chosen


def growth_probes(
    setting: Setting, features: Tensor, train_data: Sample, objective: Objective
) -> dict[str, Callable[[Tensor], Tensor]]:
    """What the proofs bound: `growth_by_role`; and `own_scores` of the single-view samples of the
    training set, "single_scores", and of `N_FRESH` others, "fresh_scores"."""

    def residual(F: Tensor, rows: slice) -> Tensor:
        return objective.residual(F, train_data.labels[rows], rows)

    chosen: dict[str, Callable[[Tensor], Tensor]] = {
        "growth": partial(growth_by_role, features=features, data=train_data, residual=residual,
                          learner=setting.learner)
    }  # fmt: skip
    for word, inputs in _single_view(setting, train_data).items():
        chosen[f"{word}_scores"] = partial(own_scores, inputs=inputs, learner=setting.learner)
    return chosen


def _single_view(setting: Setting, train_data: Sample) -> dict[str, Sample]:
    fresh = sample(
        setting.data, N_FRESH, seed=setting.draw, name="watch", kind="single",
        device=str(train_data.labels.device), rounded=setting.learner.rounds_inputs,
    )  # fmt: skip
    return {"single": train_data[train_data.single_view.nonzero().squeeze(1)], "fresh": fresh}


def _error_on(inputs: Sample, learner: LearnerParams, W: Tensor) -> Tensor:
    return classification_error(logits(W, inputs.patches, learner), inputs.labels)


def _residual_on(inputs: Sample, learner: LearnerParams, W: Tensor) -> Tensor:
    """Mean of 1 - softmax_y(F(X)): how hard these samples still pull, (seeds,)."""
    probability = logits(W, inputs.patches, learner).softmax(dim=-1)
    return 1 - probability[:, torch.arange(len(inputs)), inputs.labels].mean(dim=1)


def tested(setting: Setting, W: Tensor, correlations: Tensor) -> dict[str, Tensor]:
    """Errors of each network and of their average, on fresh single- and multi-view inputs;
    `correlations` (seeds, k, V), theirs with the views."""
    kinds: tuple[tuple[SampleKind, int, str, str], ...] = (
        ("single", setting.n_test_single, "ensemble_bootstrap", "size_curve"),
        ("multi", setting.n_test_multi, "bootstrap_multi", "size_curve_multi"),
    )
    found: dict[str, Tensor] = {}
    for kind, n, resampled, curve in kinds:
        scores = test_scores(W, setting.data, setting.learner, seed=setting.draw, kind=kind, n=n)
        outputs, labels = scores.outputs, scores.labels
        mean = ensemble_outputs(outputs)[None]
        found[f"{kind}_error"] = classification_error(outputs, labels)
        found[f"ensemble_{kind}_error"] = classification_error(mean, labels)[0]
        if 0 < setting.ensemble_size <= len(W):
            means = disjoint_ensembles(outputs, setting.ensemble_size)
            found[f"disjoint_{kind}_error"] = classification_error(means, labels)
            if kind == "single":
                found["disjoint_by_knowledge"] = _by_knowledge(setting, correlations, means, scores)
        found[resampled] = bootstrap_ensembles(
            outputs, labels, n_resamples=BOOTSTRAP_RESAMPLES, seed=setting.draw
        )
        found[curve] = size_curve(outputs, labels, seed=setting.draw)
        if kind == "single":
            shown, views = scores.dominant_view, setting.data.n_views
            found["class_error"] = _error_by_class_and_view(outputs, labels, shown, views)
            found["ensemble_class_error"] = _error_by_class_and_view(mean, labels, shown, views)[0]
            found["example_outputs"] = outputs[:, :N_EXAMPLES]
            found["example_labels"] = labels[:N_EXAMPLES]
    return found


def _by_knowledge(
    setting: Setting, correlations: Tensor, means: Tensor, scores: TestScores
) -> Tensor:
    """`inputs_by_knowledge`, all disjoint ensembles together."""
    views = learned_views(correlations).cpu()
    wrong = misclassified(means, scores.labels)
    counts = [
        inputs_by_knowledge(
            wrong[i], part[:, scores.labels, scores.dominant_view].sum(dim=0), scores.rivals,
            members=len(part), n_views=setting.data.n_views,
        )
        for i, part in enumerate(views.split(setting.ensemble_size)[: len(means)])
    ]  # fmt: skip
    return torch.stack(counts).sum(dim=0)


def _error_by_class_and_view(outputs: Tensor, labels: Tensor, shown: Tensor, views: int) -> Tensor:
    """Error on single-view inputs of class i that show view l at full strength, (seeds, k, V)."""
    errors = outputs.new_full((len(outputs), outputs.shape[-1], views), torch.nan)
    for i, view in itertools.product(range(errors.shape[1]), range(views)):
        rows = (labels == i) & (shown == view)
        if bool(rows.any()):
            errors[:, i, view] = classification_error(outputs[:, rows], labels[rows])
    return errors
