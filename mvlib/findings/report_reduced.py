"""What the book shows of the reduced dynamics: games, and the full simulation beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from mvlib.experiments.catalogue import setting
from mvlib.experiments.settings import Experiment
from mvlib.findings.formatting import Family, Record, number, percent
from mvlib.findings.report_networks import knowledge_table, lottery
from mvlib.findings.theorems import all_learned
from mvlib.paper.evaluation import inputs_by_knowledge
from mvlib.reduced.check import Reduced, reduce_study, reduced_students, same_winner
from mvlib.reduced.data import FAINT, RaceParams, test_points, training_points
from mvlib.reduced.dynamics import averaged_scores, learned, misclassified, train
from mvlib.reduced.race import Game, initial_state, play
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy

N_NETWORKS, SEED = 6, 1  # where the explorable starts
MEMBERS, SEEDS = 10, (1, 2, 3)  # of `heard_table`: the book's ensembles
TRIED: Mapping[str, Mapping[str, Any]] = {
    "the book's setting": {},
    "start too large": {"init_std": 0.5},
    "threshold too small": {"threshold": 0.25},
    "no race: q = 2": {"power": 2},
    "view 1 stronger": {"own_strengths": (1.5, 1.3)},
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


def heard_table(faint_strengths: Sequence[float]) -> list[Record]:
    r"""Errors of averages of ten reduced networks by how many of them know the view shown
    (`report_networks.knowledge_table`), over three games for each \Gamma."""
    return [
        {"faint views": strength, **row}
        for strength in faint_strengths
        for params in [RaceParams(faint_strength=strength)]
        for row in knowledge_table(
            [{"disjoint_by_knowledge": _by_knowledge(params, seed)} for seed in SEEDS]
        )
    ]


def _by_knowledge(params: RaceParams, seed: int) -> np.ndarray:
    """`inputs_by_knowledge` of one average, on a game's single-view inputs."""
    points, (fresh, _) = training_points(params, seed), test_points(params, seed)
    runs = [train(params, *initial_state(params, seed, n), points) for n in range(MEMBERS)]
    scores = np.mean([averaged_scores(r.correlations, fresh, params)[0] for r in runs], axis=0)
    known = learned(np.stack([r.curve[-1] for r in runs])).sum(axis=0)
    faint = fresh.sights[:, 2 * params.n_classes * FAINT :].reshape(len(fresh), -1, 2)
    return inputs_by_knowledge(
        torch.as_tensor(misclassified(scores, fresh.labels)),
        torch.as_tensor(known[fresh.labels, fresh.dominant_view]),
        torch.as_tensor(faint.sum(axis=2).max(axis=1)).long(),
        members=MEMBERS,
        n_views=2,
    ).numpy()


def reduced_race(
    study: SingleModelStudy, race: Arrays
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, correlations and foretold views of a watched study's first network, reduced."""
    run = reduce_study(study).runs[0]
    return np.arange(run.steps + 1), run.curve, race["predicted_winner"][0]


def reduced_pairs(family: Family) -> Pairs:
    """The first ensemble of each study of a family, reduced, with its arrays."""
    return [(reduce_study(study), a) for study, a in (_first_ensemble(*pair) for pair in family)]


def _first_ensemble(e: Experiment, arrays: Arrays) -> tuple[SingleModelStudy, Arrays]:
    size, study = e.study.ensemble_size, e.study
    if not 0 < size < study.n_networks:
        return study, arrays
    own = ("single_error", "multi_error", "correlations", "predicted_winner", "winner_margin")
    cut = {name: arrays[name][:size] for name in (*own, "stop_step")}
    together = {"ensemble_single_error": arrays["disjoint_single_error"][0]}
    return replace(study, n_networks=size), {**arrays, **cut, **together}


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
