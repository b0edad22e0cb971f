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
from mvlib.paper.multi_view_data import (
    MultiViewParams,
    Sample,
    SampleKind,
    feature_vectors,
    sample,
)
from mvlib.paper.network import LearnerParams, init_weights
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
            other classes in several patches, feature noise.
    """
    require(data.n_views == 2, "n_views", "V", data.n_views, "be 2",
            "the reduction and its page in the browser know two views a class")  # fmt: skip
    C_o = data.patches_per_other_view
    require(C_o == 1, "patches_per_other_view", "C_o", C_o, "be 1", "the reduction has no other")
    gamma = data.feature_noise
    require(gamma == 0, "feature_noise", "gamma", gamma, "be 0", "the reduction has none")
    own, scale = float(np.mean(data.own_strength)), (*data.view_scale, 1.0, 1.0)
    other = learner.activation
    require(other is None, "activation", "sigma", other, "be None", "the reduction has no other")
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
        own_strengths=(own * scale[0], own * scale[1]),
        other_strength=float(np.mean(data.multi_other_strength)),
        weak_strength=data.weak_view_strength * (1 + data.weak_view_spread) / 2,
        faint_strength=data.single_other_strength * (1 + data.single_other_floor) / 2,
    )


def points_of(sample: Sample) -> Points:
    """What a sample's latent record leaves for the reduction."""
    return points_from_record(
        sample.labels.numpy(),
        sample.single_view.numpy(),
        sample.dominant_view.numpy(),
        (sample.strengths > 0).flatten(1).numpy(),
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


def _record(study: SingleModelStudy, name: str, kind: SampleKind, n: int) -> Points:
    drawn = sample(study.data, n, seed=study.draw, name=name, kind=kind, streamed=True)
    return points_of(drawn)


def _errors(
    study: SingleModelStudy, params: RaceParams, cs: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    single = _record(study, "test", "single", study.n_test_single)
    multi = _record(study, "test", "multi", study.n_test_multi)
    return game_errors(params, cs, [], single), game_errors(params, cs, [], multi)


def reduce_study(study: SingleModelStudy) -> Reduced:
    """Run the networks of a study in the reduced dynamics, each stopped when it fits.

    Raises:
        BadInput: as `race_params`.
    """
    params = race_params(study.data, study.learner, study.n_train)
    points = _record(study, "train", "mixture", study.n_train)
    limit = study.schedule.stop_rule.limit
    runs = [
        train(params, *reduced_start(study, params, seed), points, max_steps=limit)
        for seed in seeds_of(study.draw, study.n_networks)
    ]
    single, multi = _errors(study, params, [run.correlations for run in runs])
    return Reduced(params=params, points=points, runs=runs, single_error=single, multi_error=multi)


def reduced_students(
    study: SingleModelStudy, teachers: Reduced, n: int, *, each: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Single-view and multi-view errors of n students of the average of a study's networks or, if
    `each`, of one network each; they start where the full simulation's students do."""
    params, points = teachers.params, teachers.points
    mean = np.mean([run.train_scores for run in teachers.runs], axis=0)
    students = [
        taught(
            params,
            *reduced_start(study, params, seed, name="student"),
            teachers.runs[r].train_scores if each else mean,
            points,
        )
        for r, seed in enumerate(seeds_of(study.draw, n))
    ]
    single, multi = _errors(study, params, [run.correlations for run in students])
    return single[:n], multi[:n]


def same_winner(
    ours: Float[np.ndarray, "seeds k 2"], theirs: Float[np.ndarray, "seeds k 2"]
) -> np.ndarray:
    """Whether the larger correlation of a class is with the same view in both, (seeds, k)."""
    return ours.argmax(axis=-1) == theirs.argmax(axis=-1)
