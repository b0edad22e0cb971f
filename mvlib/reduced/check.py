"""The reduced dynamics beside the full simulation: same start, same training and test points.

What differs is what the reduction leaves out: the noise of every single patch, the scatter of
strengths, everything at right angles to the views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mvlib.core.checks import require
from mvlib.experiments.settings import SELF_TAU
from mvlib.paper.data_parameters import MultiViewParams
from mvlib.paper.multi_view_data import SampleKind, feature_vectors, sample
from mvlib.paper.network import LearnerParams, init_weights
from mvlib.paper.objectives import TAU
from mvlib.reduced.data import Points, RaceParams, points_from_record
from mvlib.reduced.dynamics import Run, train
from mvlib.reduced.portable import normals
from mvlib.reduced.race import NOISE, STUDENT_NOISE, game_errors, taught
from mvlib.studies.one_draw import seeds_of
from mvlib.studies.single_model import SingleModelStudy


def race_params(data: MultiViewParams, learner: LearnerParams, n_train: int) -> RaceParams:
    """The reduced setting of a full one: every strength becomes its mean.

    Raises:
        BadInput: where the reduction has no such thing: more than two views a class, views of
            other classes in several patches, feature noise, views that overlap, another activation.
    """
    for field, symbol, value, only in (
        ("n_views", "V", data.n_views, 2),
        ("patches_per_other_view", "C_o", data.patches_per_other_view, 1),
        ("feature_noise", "gamma", data.feature_noise, 0),
        ("overlap", "<v, v'>", data.overlap, 0),
        ("activation", "sigma", learner.activation, None),
    ):
        require(value == only, field, symbol, value, f"be {only}", "the reduction has no other")
    own = float(np.mean(data.own_strength))
    first, second = (*data.view_scale, 1.0, 1.0)[:2]
    return RaceParams(
        n_classes=data.n_classes,
        n_neurons=learner.n_neurons,
        power=learner.power,
        threshold=learner.threshold,
        init_std=learner.init_std,
        dim=data.dim,
        noise_norm=data.noise_norm,
        n_patches=data.n_patches,
        patches_per_view=data.patches_per_view,
        n_train=n_train,
        n_single=round(data.single_view_fraction * n_train),
        sparsity=data.sparsity,
        own_strengths=(own * first, own * second),
        other_strength=float(np.mean(data.multi_other_strength)),
        weak_strength=data.weak_view_strength * (1 + data.weak_view_spread) / 2,
        faint_strength=data.single_other_strength * (1 + data.single_other_floor) / 2,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Reduced:
    """A study, reduced.

    Attributes:
        params, points: the setting and the training points.
        runs: the networks.
        single_error, multi_error: of each network, then of their average, on the study's own test
            points, shape (L + 1,).
    """

    params: RaceParams
    points: Points
    runs: list[Run]
    single_error: Float[np.ndarray, " rows"]
    multi_error: Float[np.ndarray, " rows"]

    @property
    def correlations(self) -> Float[np.ndarray, "seeds k 2"]:
        """As the full simulation stores them: the largest of each class with each of its views."""
        return np.stack([run.curve[-1] for run in self.runs])


def reduced_start(
    study: SingleModelStudy, params: RaceParams, seed: int, *, name: str = "init"
) -> tuple[np.ndarray, np.ndarray]:
    """Where a network of the study starts, as the reduction sees it: the correlations of its
    actual initial weights, and readings of noise drawn anew."""
    features = feature_vectors(study.data, study.draw)
    k, d = params.n_classes, params.dim
    W0 = init_weights([seed], study.learner, n_classes=k, dim=d, name=name)
    shape = (params.n_single, k, params.n_neurons, params.n_patches)
    word = NOISE if name == "init" else STUDENT_NOISE
    noise = normals(math.prod(shape), seed, word).reshape(shape)
    return (W0[0] @ features.flatten(0, 1).T).double().numpy(), noise


def _points(study: SingleModelStudy, name: str, kind: SampleKind, n: int) -> Points:
    """What the study's own points leave for the reduction."""
    drawn = sample(study.data, n, seed=study.draw, name=name, kind=kind, streamed=True)
    return points_from_record(
        drawn.labels.numpy(),
        drawn.single_view.numpy(),
        drawn.dominant_view.numpy(),
        (drawn.strengths > 0).flatten(1).numpy(),
    )


def _errors(
    study: SingleModelStudy, params: RaceParams, runs: list[Run]
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    single = _points(study, "test", "single", study.n_test_single)
    multi = _points(study, "test", "multi", study.n_test_multi)
    return game_errors(params, runs, [], single), game_errors(params, runs, [], multi)


def reduce_study(study: SingleModelStudy) -> Reduced:
    """Run the networks of a study in the reduced dynamics, each stopped when it fits.

    Raises:
        BadInput: as `race_params`.
    """
    params = race_params(study.data, study.learner, study.n_train)
    points = _points(study, "train", "mixture", study.n_train)
    limit = study.schedule.stop_rule.limit
    runs = [
        train(params, *reduced_start(study, params, seed), points, max_steps=limit)
        for seed in seeds_of(study.draw, study.n_networks)
    ]
    single, multi = _errors(study, params, runs)
    return Reduced(params=params, points=points, runs=runs, single_error=single, multi_error=multi)


def reduced_students(
    study: SingleModelStudy, teachers: Reduced, n: int, *, each: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Single-view and multi-view errors of n students of the average of a study's networks or, if
    `each`, of one network each; they start where the full simulation's students do."""
    params, points = teachers.params, teachers.points
    scores = [run.train_scores for run in teachers.runs]
    shown = scores[:n] if each else [np.mean(scores, axis=0)] * n
    starts = [
        reduced_start(study, params, seed, name="student") for seed in seeds_of(study.draw, n)
    ]
    tau = SELF_TAU if each else TAU
    students = [
        taught(params, *start, G, points, tau=tau) for start, G in zip(starts, shown, strict=True)
    ]
    single, multi = _errors(study, params, students)
    return single[:n], multi[:n]


def same_winner(
    ours: Float[np.ndarray, "seeds k 2"], theirs: Float[np.ndarray, "seeds k 2"]
) -> np.ndarray:
    """Whether the larger correlation of a class is with the same view in both, (seeds, k)."""
    return ours.argmax(axis=-1) == theirs.argmax(axis=-1)
