"""What each scene of the story shows at each position of its control, in numbers.

The browser computes the same (`book/_explorable/explorable/scenes.js`, under the same names);
`book/story.py` draws it.  A scene gives values by name: a number, a word or a list of numbers.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from mvlib.experiments.robustness import four_features
from mvlib.experiments.settings import SELF_TAU
from mvlib.paper.objectives import TAU, TEACHER_SCALE
from mvlib.reduced.check import race_params
from mvlib.reduced.data import FAINT, Points, RaceParams, test_points, training_points
from mvlib.reduced.dynamics import Run, averaged_scores, learned, misclassified, softmax, train
from mvlib.reduced.race import initial_state, taught

Values = dict[str, float | str | list[float]]

CLASSES = (
    *("car", "cat", "dog", "ship", "bird"),
    *("frog", "horse", "plane", "truck", "train"),
)
VIEWS = ("wheels", "headlights")  # of a car
MEMBERS, FEW = 10, 6  # networks of the book's setting, and of the example with four features
DRAWS = 6  # how often the reader can draw anew
HEADS = 5  # positions of the head start to either side
LEAD = 0.1  # of one position
RACE_SEED, RACE_NUMBER = 6, 3  # the network whose race is watched: its views start abreast
# A quarter of the book's training points: the same happens, and a browser trains ten networks while
# one waits.
PARAMS = RaceParams(n_train=500)
STUDENT_STEPS = 200  # of the book's 150 some students would still be learning a last view


def four_params() -> RaceParams:
    """Section 2.3's example, reduced."""
    study = four_features("book")
    return race_params(study.data, study.learner, study.n_train)


# ---------------------------------------------------------------- by hand

# Of Section 2.3's example: the weights of wheels, headlights, ears and whiskers in a picture.
FULL, TRACE = 1.0, 0.1
# What a network may know, one feature of each class; the last position averages all of them.
HANDS = tuple(itertools.product((0, 1), (2, 3)))


def _weights(shows: int, cat: int) -> list[float]:
    """Of the four features in a car that shows both views (0), wheels alone (1) or headlights
    alone (2), and faintly a feature of a cat."""
    traces = [TRACE * (cat == feature) for feature in (2, 3)]
    return [FULL * (shows != 2), FULL * (shows != 1), *traces]


def views(shows: int) -> Values:
    """One car with a faint ear."""
    weights = _weights(shows, cat=2)
    return {
        "weights": weights,
        "hidden": [1 - weights[0], 1 - weights[1]],
        "seen": ("both of its views", *VIEWS)[shows],
    }


def hand(knows: int) -> Values:
    """A hundred cars as Section 2.3 has them, judged by a network that adds up what it knows."""
    shown = 80 * [0] + 10 * [1] + 10 * [2]
    hundred = np.array([_weights(shows, cat=2 + i % 2) for i, shows in enumerate(shown)])
    pairs = HANDS[knows : knows + 1] or HANDS
    known = np.mean([np.isin(np.arange(4), pair) for pair in pairs], axis=0)
    heard = hundred * known
    car, cat = heard[:, :2].sum(axis=1), heard[:, 2:].sum(axis=1)
    wrong = cat >= car
    return {
        "known": (known > 0).astype(float).tolist(),
        "wrong": wrong.astype(float).tolist(),
        "right": float((~wrong).sum()),
        "answer": [2.0, float(2 * cat[0] / car[0])],
    }


# ---------------------------------------------------------------- trained


def squares(run: Run) -> list[float]:
    """Whether each view of each class is learned, 1 or 0, 2k of them."""
    return learned(run.curve[-1]).ravel().astype(float).tolist()


def four(draw: int) -> Values:
    """The example with four features, trained: who has learned which, and who errs how often."""
    p = four_params()
    points, fresh = training_points(p, draw), test_points(p, draw)
    runs = [train(p, *initial_state(p, draw, n), points) for n in range(FEW)]
    single = p.n_single / p.n_train
    wrong = [_wrong(runs, test, p) for test in fresh]
    return {
        "knows": [known for run in runs for known in squares(run)],
        "wrong": ((1 - single) * wrong[1] + single * wrong[0]).tolist(),
    }


def _wrong(runs: Sequence[Run], test: Points, p: RaceParams) -> np.ndarray:
    """Errors of each network, then of their average."""
    F = [averaged_scores(run.correlations, test, p)[0] for run in runs]
    rows = [*F, np.mean(F, axis=0)]
    return np.array([misclassified(scores, test.labels).mean() for scores in rows])


def race(head: int) -> Values:
    """Correlations of one class with its two views along training, when view 2 starts with
    `head` LEADs more than it drew, and view 1 with as many less."""
    points = training_points(PARAMS, RACE_SEED)
    c, noise = initial_state(PARAMS, RACE_SEED, RACE_NUMBER)
    c[0, :, 0] *= 1 - LEAD * head
    c[0, :, 1] *= 1 + LEAD * head
    curve = train(PARAMS, c, noise, points).curve[:, 0]
    ahead = int(curve[-1].argmax())
    return {
        "first": curve[:, 0].tolist(),
        "second": curve[:, 1].tolist(),
        "steps": float(len(curve) - 1),
        "start": curve[0].tolist(),
        "end": curve[-1].tolist(),
        "winner": VIEWS[ahead],
        "loser": VIEWS[1 - ahead],
    }


@functools.lru_cache(maxsize=2)
def networks(draw: int) -> tuple[Run, ...]:
    """The networks of all scenes from here on."""
    points = training_points(PARAMS, draw)
    return tuple(train(PARAMS, *initial_state(PARAMS, draw, n), points) for n in range(MEMBERS))


def board(draw: int) -> Values:
    """Which views each of ten networks has learned, and how often it errs on inputs that show one
    view only."""
    runs = networks(draw)
    known = np.array([squares(run) for run in runs]).reshape(MEMBERS, -1, 2)
    return {
        "knows": known.ravel().tolist(),
        "wrong": _wrong(runs, test_points(PARAMS, draw)[0], PARAMS)[:-1].tolist(),
        "car": known[:, 0].sum(axis=0).tolist(),
        "mean": float(known.sum(axis=(1, 2)).mean()),
    }


def one(draw: int, shows: int) -> Values:
    """The first test input of class 0 that shows view `shows` alone: the score of its class and
    the highest other, for each network and for the average."""
    test = test_points(PARAMS, draw)[0]
    x = int(((test.labels == 0) & (test.dominant_view == shows)).argmax())
    F = [averaged_scores(run.correlations, test, PARAMS)[0][x] for run in networks(draw)]
    F.append(np.mean(F, axis=0))
    own, other = np.array(F)[:, 0], np.array(F)[:, 1:].max(axis=1)
    faint = test.sights[x, 2 * PARAMS.n_classes * FAINT :].reshape(-1, 2).any(axis=1)
    return {
        "own": own.tolist(),
        "other": other.tolist(),
        "right": (own > other).astype(float).tolist(),
        "knows": [known for run in networks(draw) for known in squares(run)[:2]],
        "count": float((own > other)[:-1].sum()),
        "hidden": [float(shows == 1), float(shows == 0)],
        "view": VIEWS[shows],
        "faint": ", ".join(np.array(CLASSES)[faint]),
    }


def average(draw: int, members: int) -> Values:
    """The average of the first networks: which share of them knows each view, and the errors of
    averages of 1 to 10 on inputs that show one view only."""
    runs, test = networks(draw), test_points(PARAMS, draw)[0]
    F = np.cumsum([averaged_scores(run.correlations, test, PARAMS)[0] for run in runs], axis=0)
    errors = [float(misclassified(scores, test.labels).mean()) for scores in F]
    known = np.mean([squares(run) for run in runs[:members]], axis=0)
    return {
        "share": known.tolist(),
        "unknown": float((known == 0).sum()),
        "errors": errors,
        "members": float(members),
        "at": float(members - 1),
        "error": errors[members - 1],
    }


def student(draw: int, teacher: int) -> Values:
    """A network taught by the labels alone (0), by network 1 (1) or by the average of ten (2):
    its soft label for one training input of class 0, relative to the largest, and what the student
    has learned."""
    points, runs = training_points(PARAMS, draw), networks(draw)
    scores = [run.train_scores for run in runs]
    start = initial_state(PARAMS, draw, 0, student=True)
    shown = PARAMS.n_single  # the first point with both views; its class is 0
    if teacher == 0:
        run, soft = train(PARAMS, *start, points), np.eye(PARAMS.n_classes)[0]
    else:
        G, tau = (scores[0], SELF_TAU) if teacher == 1 else (np.mean(scores, axis=0), TAU)
        run = taught(PARAMS, *start, G, points, steps=STUDENT_STEPS, tau=tau)
        capped = np.minimum(tau**2 * TEACHER_SCALE * G[shown], 1) / tau
        soft = softmax(capped[None])[0]
        soft /= soft.max()
    test = test_points(PARAMS, draw)[0]
    there = points.sights[shown].reshape(4, -1, 2).any(axis=(0, 2))
    wrong = _wrong(runs, test, PARAMS)
    known = squares(run)
    return {
        "says": soft.tolist(),
        "there": there.astype(float).tolist(),
        "knows": known,
        "count": float(sum(known)),
        "wrong": [
            float(wrong[:-1].mean()),
            float(wrong[-1]),
            float(_wrong([run], test, PARAMS)[0]),
        ],
        "teacher": ("the labels alone", "network 1", "the average of ten")[teacher],
    }


# ---------------------------------------------------------------- all positions

SCENES: Mapping[str, Callable[..., Values]] = {
    f.__name__: f for f in (views, hand, four, race, board, one, average, student)
}
# What decides a scene: the names of controls.
STATE = {
    "views": ("shows",),
    "hand": ("knows",),
    "four": ("few",),
    "race": ("head",),
    "board": ("draw",),
    "one": ("draw", "seen"),
    "average": ("draw", "members"),
    "student": ("draw", "teacher"),
}
# First, last and first shown position of each control.
CONTROLS = {
    "shows": (0, 2, 0),
    "knows": (0, len(HANDS), 1),
    "few": (1, DRAWS, 1),
    "head": (-HEADS, HEADS, 0),
    "draw": (1, DRAWS, 2),
    "seen": (0, 1, 1),
    "members": (1, MEMBERS, 3),
    "teacher": (0, 2, 2),
}


def positions(scene: str) -> list[tuple[int, ...]]:
    """All that a scene can be asked for."""
    ranges = [CONTROLS[name][:2] for name in STATE[scene]]
    return list(itertools.product(*(range(low, high + 1) for low, high in ranges)))


def first(scene: str) -> tuple[int, ...]:
    """What it shows before anything is moved."""
    return tuple(CONTROLS[name][2] for name in STATE[scene])
