"""A whole game of the explorable: networks, their average, two students, and what each gets wrong.

The browser plays the same game (`play` in `book/_explorable/explorable/reduced.js`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mvlib.core.checks import require_int
from mvlib.experiments.settings import SELF_TAU, SIZES
from mvlib.paper.objectives import RATE_RATIO, TAU, TEACHER_SCALE
from mvlib.reduced.data import Points, RaceParams, test_points, training_points
from mvlib.reduced.dynamics import Run, averaged_scores, distillation, learned, misclassified, train
from mvlib.reduced.portable import normals

START, NOISE, STUDENT_START, STUDENT_NOISE = range(4, 8)  # words of streams
STUDENT_STEPS = SIZES["book"].student_steps


@dataclass(frozen=True, kw_only=True, slots=True)
class Game:
    """What came out.

    Attributes:
        networks: each stopped when it fits its training points.
        students: of the average of the networks, and of network 1.
        single_error, multi_error: shares of fresh points of each kind that are misclassified by
            each network, by the average, and by the two students, shape (L + 3,).
    """

    networks: list[Run]
    students: list[Run]
    single_error: Float[np.ndarray, " rows"]
    multi_error: Float[np.ndarray, " rows"]

    def learned_views(self) -> np.ndarray:
        """Which views each network, then each student, has learned, (L + 2, k, 2)."""
        return learned(np.stack([run.curve[-1] for run in [*self.networks, *self.students]]))


def initial_state(
    params: RaceParams, seed: int, number: int, *, student: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    r"""Correlations $c \sim N(0, \sigma_0^2)$, shape (k, m, 2k), and the g of the single-view
    training points, shape (n1, k, m, P), of network `number`."""
    k, m = params.n_classes, params.n_neurons
    start, noise = (STUDENT_START, STUDENT_NOISE) if student else (START, NOISE)
    shape = (params.n_single, k, m, params.n_patches)
    c = params.init_std * normals(2 * k * k * m, seed, start, number).reshape(k, m, 2 * k)
    return c, normals(int(np.prod(shape)), seed, noise, number).reshape(shape)


def play(params: RaceParams, *, n_networks: int, seed: int) -> Game:
    """Train, average, distil, test.  Students take as many steps as the slowest network, and at
    least as many as the book's students.

    Raises:
        BadInput: if L < 1 or seed < 0.
    """
    require_int("n_networks", "L", n_networks, 1, "train at least one network")
    require_int("seed", "seed", seed, 0, "number the games from 0")
    points = training_points(params, seed)
    networks = [train(params, *initial_state(params, seed, n), points) for n in range(n_networks)]
    teachers = [np.mean([run.train_scores for run in networks], axis=0), networks[0].train_scores]
    start, noise = initial_state(params, seed, 0, student=True)  # one student, taught twice
    steps = max(STUDENT_STEPS, *(run.steps for run in networks))
    students = [
        taught(params, start, noise, G, points, steps=steps, tau=tau)
        for G, tau in zip(teachers, (TAU, SELF_TAU), strict=True)
    ]
    single, multi = (
        game_errors(params, networks, students, fresh) for fresh in test_points(params, seed)
    )
    return Game(networks=networks, students=students, single_error=single, multi_error=multi)


def taught(
    params: RaceParams,
    start: Float[np.ndarray, "k m views"],
    noise: Float[np.ndarray, "n1 k m P"],
    G: Float[np.ndarray, "n k"],
    points: Points,
    *,
    steps: int = STUDENT_STEPS,
    tau: float = TAU,
) -> Run:
    """A student of a teacher with these scores on the training points, after exactly `steps`."""
    push = distillation(TEACHER_SCALE * G, tau=tau, rate_ratio=RATE_RATIO)
    return train(params, start, noise, points, extra=push, steps=steps)


def game_errors(
    params: RaceParams, networks: list[Run], students: list[Run], fresh: Points
) -> Float[np.ndarray, " rows"]:
    """Errors of each network, of the average, of each student."""
    runs = [*networks, *students]
    scores = [averaged_scores(run.correlations, fresh, params)[0] for run in runs]
    L = len(networks)
    rows = [*scores[:L], np.mean(scores[:L], axis=0), *scores[L:]]
    return np.array([misclassified(F, fresh.labels).mean() for F in rows])
