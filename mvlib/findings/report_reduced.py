"""What chapter 0 shows of the reduced dynamics: games, and the full simulation beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mvlib.experiments.catalogue import setting
from mvlib.findings.formatting import Family, Record, number, percent
from mvlib.findings.report_networks import lottery
from mvlib.findings.theorems import all_learned
from mvlib.reduced.check import Reduced, reduce_study, reduced_students, same_winner
from mvlib.reduced.data import RaceParams
from mvlib.reduced.race import Game, play
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy

N_NETWORKS, SEED = 6, 1  # where the explorable starts
TRIED: Mapping[str, Mapping[str, Any]] = {
    "the book's setting": {},
    "start too large": {"init_std": 0.3},
    "threshold too small": {"threshold": 0.25},
    "no race: q = 2": {"power": 2},
    "view 1 stronger": {"own_strengths": (1.4, 1.2)},
    "nothing to tell": {"other_strength": 0.2},
    "easy test": {"sparsity": 0.5},
}
Pairs = Sequence[tuple[Reduced, Arrays]]  # of a study, reduced and in full
Errors = Sequence[tuple[np.ndarray, np.ndarray]]


def play_all() -> dict[str, Game]:
    """The explorable's first game in every setting that it offers."""
    return {
        name: play(RaceParams(**changes), n_networks=N_NETWORKS, seed=SEED)
        for name, changes in TRIED.items()
    }


def game_table(games: Mapping[str, Game]) -> list[Record]:
    """What games come to: shares of races, then errors on single-view inputs."""
    return [
        {
            "setting": name,
            "view 1 ahead": percent([run.curve[-1].argmax(axis=1) == 0 for run in networks], 0),
            "both learned": percent(game.learned_views()[: len(networks)].all(axis=2), 0),
            "one network": percent(game.single_error[: len(networks)]),
            "average": percent(game.single_error[-3]),
            "student of the average": percent(game.single_error[-2]),
            "student of network 1": percent(game.single_error[-1]),
        }
        for name, game in games.items()
        for networks in [game.networks]
    ]


def reduced_race(
    study: SingleModelStudy, race: Arrays
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, correlations and foretold views of a watched study's first network, reduced."""
    run = reduce_study(study).runs[0]
    return np.arange(run.steps + 1), run.curve, race["predicted_winner"][0]


def reduced_pairs(family: Family) -> Pairs:
    """Each study of a family, reduced, with its arrays."""
    return [(reduce_study(e.study), a) for e, a in family]


def student_errors(pairs: Pairs, family: Family, *, each: bool) -> Errors:
    """Single-view errors of students of reduced networks and of real ones, a pair a data draw:
    of their average or, if `each`, of one network each."""
    return [
        (reduced_students(e.study.base, r, e.study.n_students, each=each)[0], a["single_error"])
        for (r, _), (e, a) in zip(pairs, family, strict=True)
    ]


def beside_table(pairs: Pairs, students: Mapping[str, Errors]) -> list[Record]:
    """Mean single-view errors of reduced and full simulation, and their shares of classes with
    both views."""
    errors: dict[str, Errors] = {
        "one network": [(r.single_error[:-1], a["single_error"]) for r, a in pairs],
        "their average": [
            (r.single_error[-1:], a["ensemble_single_error"][None]) for r, a in pairs
        ],
        **students,
        "classes with both views": [
            (all_learned(r.correlations).ravel(), all_learned(a["correlations"]).ravel())
            for r, a in pairs
        ],
    }
    return [
        {"": name, "n": len(ours), "reduced": number(ours), "full simulation": number(theirs)}
        for name, found in errors.items()
        for ours, theirs in [map(np.concatenate, zip(*found, strict=True))]
    ]


def agreement_values(pairs: Pairs) -> Record:
    """How often the same view wins in both, in the half of races that the initialisation foretells
    with more certainty and in the other, and how many steps both take."""
    full = [a for _, a in pairs]
    agree = np.concatenate([same_winner(r.correlations, a["correlations"]) for r, a in pairs])
    margin, right = lottery(full)
    sure = margin >= np.median(margin)
    return {
        "n-draws": len(pairs),
        "n-races": agree.size,
        "agree": percent(agree),
        "agree-sure": percent(agree[sure]),
        "agree-unsure": percent(agree[~sure]),
        "foretold": percent(right),
        "steps-reduced": number([run.steps for r, _ in pairs for run in r.runs], 0),
        "steps-full": number([a["stop_step"].mean() for a in full], 0),
    }


def sweep_table(sweeps: Mapping[str, Family]) -> list[Record]:
    """Reduced / full simulation along each swept parameter."""
    return [
        {
            "parameter": field.replace("_", " "),
            "value": str(setting(e.study, field)),
            "single-view error": beside(r.single_error[:-1], a["single_error"], 3),
            "multi-view error": beside(r.multi_error[:-1], a["multi_error"], 4),
            "both views": beside(all_learned(r.correlations), all_learned(a["correlations"]), 2),
            "same winner": number(same_winner(r.correlations, a["correlations"]), 2),
        }
        for field, family in sweeps.items()
        for (e, _), (r, a) in zip(family, reduced_pairs(family), strict=True)
    ]


def beside(reduced: np.ndarray, full: np.ndarray, digits: int) -> str:
    """Both means."""
    return f"{number(reduced, digits)} / {number(full, digits)}"
