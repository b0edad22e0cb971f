"""What the book says of the reduced dynamics."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import TEACHER, student

from mvlib.experiments.settings import Experiment
from mvlib.findings import report_reduced
from mvlib.reduced.check import Reduced, reduce_study, reduced_students
from mvlib.reduced.data import RaceParams, training_points
from mvlib.reduced.dynamics import Run
from mvlib.reduced.race import Game
from mvlib.store.entries import Arrays

RACE_JS = Path(__file__).parents[2] / "book" / "_explorable" / "explorable" / "race.js"


def run(end: list[list[float]], steps: int) -> Run:
    """A network that ends with these correlations, (k, 2)."""
    curve = np.array([end] * (steps + 1), dtype=float)
    k = len(end)
    return Run(correlations=np.zeros((k, 1, 2 * k)), curve=curve, fitted=True,
               train_scores=np.zeros((4, k)))  # fmt: skip


ONE, BOTH = run([[1, 0], [0, 1]], steps=4), run([[2, 1], [2, 1]], steps=8)
GAME = Game(networks=[ONE, BOTH], students=[BOTH, BOTH], multi_error=np.zeros(5),
            single_error=np.array([0.5, 0.3, 0.1, 0.05, 0.25]))  # fmt: skip


@pytest.fixture
def pairs() -> report_reduced.Pairs:
    params = RaceParams(n_classes=3, n_train=30, n_single=3, sparsity=2.0)
    reduced = Reduced(
        params=params, points=training_points(params, 0), runs=[ONE, BOTH],
        single_error=np.array([0.5, 0.3, 0.1]), multi_error=np.array([0.02, 0.0, 0.0]),
    )  # fmt: skip
    # Network 0 as reduced; network 1 with view 2 of class 0, and with both of class 1.
    full: Arrays = {
        "correlations": np.array([[[1, 0], [0, 1]], [[0, 2], [2, 0.7]]]),
        "predicted_winner": np.array([[0, 1], [0, 0]]),
        "winner_margin": np.array([[0.9, 0.8], [0.1, 0.2]]),
        "single_error": np.array([0.6, 0.4]), "multi_error": np.array([0.0, 0.02]),
        "ensemble_single_error": np.array(0.05), "stop_step": np.array([7, 12]),
    }  # fmt: skip
    return [(reduced, full)]


def test_games_are_those_that_the_explorable_offers(monkeypatch: pytest.MonkeyPatch) -> None:
    page = RACE_JS.read_text(encoding="utf-8")
    controls = page[page.index("const CONTROLS") : page.index("for (const c of CONTROLS)")]
    start = re.findall(r'key: "(?:L|seed)"[^}]*value: (\d+)', controls)
    assert (report_reduced.N_NETWORKS, report_reduced.SEED) == tuple(map(int, start))
    fields = {
        key: (at, index)
        for key, at, index in re.findall(
            r'key: "(\w+)"[^}]*?at: "(\w+)"(?:, index: (\d))?', controls
        )
    }
    offered: dict[str, dict[str, Any]] = {}
    for name, key, text in re.findall(r'\["([^"]+)", \{ ?(?:(\w+): ([\d.]+))? ?\}\]', page):
        at, index = fields.get(key, ("", ""))
        value = float(text) if "." in text else int(text or 0)
        # A pair of strengths has a slider each.
        changed = {at: (value, RaceParams().own_strengths[1]) if index == "0" else value}
        offered[name] = changed if key else {}
    asked: list[Any] = []
    monkeypatch.setattr(report_reduced, "play", lambda *a, **how: asked.append((*a, how)) or GAME)
    names = [name[0].upper() + name[1:].replace("'", "’") for name in report_reduced.TRIED]
    assert names == list(offered)
    report_reduced.play_all()
    assert [params for params, _ in asked] == [RaceParams(**c) for c in offered.values()]
    assert all(how == {"n_networks": 6, "seed": 1} for _, how in asked)


def test_game_table() -> None:
    [row] = report_reduced.game_table({"by hand": GAME})
    assert list(row.values()) == ["by hand", "75%", "50%", "40.0%", "10.0%", "5.0%", "25.0%"]


def test_heard_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three of ten networks know view 2 of each class, seven know view 1, at correlation 8.

    By hand, Gamma = .35: a view shown (five patches, each read as 8 x .26 = 2.08) scores
    5 (2.08 - 1.5 + 1.5 / 4) = 4.8 in a network that knows it, 1.4 in the average if three do; a
    faint view (2.8) scores 1.7, so 1.2 if seven know it and 1.7 where both are shown.
    """
    k, m, asked = RaceParams().n_classes, RaceParams().n_neurons, 0

    def trained(*_: Any) -> Run:
        nonlocal asked
        view, asked = int(asked % 10 < 3), asked + 1
        c = np.zeros((k, m, 2 * k))
        c[np.arange(k), 0, 2 * np.arange(k) + view] = 8
        curve = c.max(axis=1).reshape(k, k, 2)[np.arange(k), np.arange(k)][None]
        return Run(correlations=c, curve=curve, fitted=True, train_scores=np.zeros((1, k)))

    monkeypatch.setattr(report_reduced, "train", trained)
    rows: list[Any] = report_reduced.heard_table([0.35])
    few, many = rows
    assert list(few.values())[-2:] == [1.0, 0.0] and list(many.values())[-3:] == [0.0, 0.0, 0.0]
    keys = ("faint views", "members that know the view")
    assert [[row[key] for key in keys] for row in (few, many)] == [[0.35, 3], [0.35, 7]]
    assert few["inputs"] + many["inputs"] == 3 * RaceParams().n_test
    # Some other class shows both views with probability 1 - (1 - .4^2)^9 = .79; the standard error
    # of 1500 inputs is .011, five of them are allowed.
    assert abs(few["error"] - 0.792) < 0.055


def test_beside_the_full_simulation(pairs: report_reduced.Pairs) -> None:
    rows = report_reduced.beside_table(pairs, {"student": [(np.array([0.2]), np.array([0.4]))]})
    assert [list(row.values()) for row in rows] == [
        ["one network", 2, "0.400", "0.500"],
        ["their average", 1, "0.100", "0.050"],
        ["student", 1, "0.200", "0.400"],
        ["classes with both views", 4, "0.500", "0.250"],
    ]


def test_agreement_values(pairs: report_reduced.Pairs) -> None:
    # Only the closest race differs: 3 of 4 agree, and 3 of 4 are won by the view foretold.
    assert report_reduced.agreement_values(pairs) == {
        "n-draws": 1, "n-races": 4, "agree": "75.0%", "agree-sure": "100.0%",
        "agree-unsure": "50.0%", "foretold": "75.0%", "steps-reduced": "6", "steps-full": "10",
    }  # fmt: skip


def of(study: Any) -> Experiment:
    return Experiment(name="networks", scale="smoke", label="draw 2", study=study)


def test_sweep_table(pairs: report_reduced.Pairs, monkeypatch: pytest.MonkeyPatch) -> None:
    [(reduced, full)] = pairs
    monkeypatch.setattr(report_reduced, "reduce_study", lambda study: reduced)
    [row] = report_reduced.sweep_table({"init_std": [(of(TEACHER), full)]})
    assert list(row.values()) == [
        "init std", "0.1", "0.400 / 0.500", "0.0100 / 0.0100", "0.50 / 0.25", "0.75"
    ]  # fmt: skip


def test_studies_are_reduced_and_teach(monkeypatch: pytest.MonkeyPatch) -> None:
    study: Any = student()
    reduced = reduce_study(TEACHER)
    race: Arrays = {"predicted_winner": np.array([[1, 0, 1]])}
    steps, curve, predicted = report_reduced.reduced_race(TEACHER, race)
    assert steps.tolist() == list(range(len(reduced.runs[0].curve)))
    np.testing.assert_array_equal(curve, reduced.runs[0].curve)
    assert predicted.tolist() == [1, 0, 1]
    monkeypatch.setattr(report_reduced, "reduce_study", lambda study: reduced)
    pairs = report_reduced.reduced_pairs([(of(TEACHER), race)])
    assert pairs[0] == (reduced, race)
    family = [(of(study), {"single_error": np.array([0.3, 0.4])})]
    for each in (False, True):
        [(ours, theirs)] = report_reduced.student_errors(pairs, family, each=each)
        expected = reduced_students(TEACHER, reduced, 2, each=each)[0]
        np.testing.assert_array_equal(ours, expected)
        assert theirs.tolist() == [0.3, 0.4]
