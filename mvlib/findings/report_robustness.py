"""What the book shows of how far the story holds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mvlib.findings import robustness, theorems
from mvlib.findings.formatting import Family, Record, mean, number, of_all, with_interval
from mvlib.findings.report_networks import finding_values
from mvlib.paper.multi_view_data import sample
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy

STUDENTS = {"labels": "a student on hard labels", "average": "a student of the average"}


def arrays_of(family: Family, word: str) -> tuple[SingleModelStudy, list[Arrays]]:
    """The first study and all arrays of the experiments whose label begins so."""
    chosen = robustness.labelled(family, word)
    return getattr(chosen[0][0].study, "base", chosen[0][0].study), [a for _, a in chosen]


# ---------------------------------------------------------------- four features


def four_table(networks: Family, students: Family) -> list[Record]:
    """A row a learner: errors on both kinds of inputs and on the mixture, features learned."""
    rows = []
    for word, name in (("one rival", "one network"), ("both rivals", "one network, both rivals")):
        study, draws = arrays_of(networks, word)
        rows += [
            _four_row(name, study, draws),
            _four_row(name.replace("one network", "the average"), study, draws, "ensemble_"),
        ]
    for word, name in STUDENTS.items():
        rows.append(_four_row(name, *arrays_of(students, word)))
    return rows


def _four_row(
    name: str, study: SingleModelStudy, draws: Sequence[Arrays], prefix: str = ""
) -> Record:
    errors = [np.atleast_1d(e) for e in robustness.error_rates(study, draws, prefix)]
    views = [theorems.learned(a["correlations"]) for a in draws]
    known = [v.any(axis=0).sum() if prefix else v.sum(axis=(1, 2)).mean() for v in views]
    return {
        "learner": name,
        "features of 4": mean(known),
        "single-view error": mean([a[f"{prefix}single_error"].mean() for a in draws]),
        "multi-view error": mean([a[f"{prefix}multi_error"].mean() for a in draws]),
        "test error [95%]": with_interval(theorems.with_ends(errors), ".4f"),
    }


def four_outputs(family: Family) -> list[Record]:
    """Mean scores on multi-view training inputs that show one feature of the other class, scaled so
    that the own class has 2: of networks that have learned that feature or not, and of the average;
    last of networks where no such feature is shown, which is what noise alone gives."""
    pairs: dict[str, list[np.ndarray]] = {}
    for e, a in robustness.labelled(family, "one rival"):
        N, draw = e.study.n_train, e.study.draw
        drawn = sample(e.study.data, N, seed=draw, name="train", streamed=True)
        own, rows = drawn.labels.numpy(), np.arange(N)
        there = drawn.strengths.numpy()[rows, 1 - own] > 0  # (N, V)
        F = a["train_outputs"]
        scores = np.stack([F[:, rows, own], F[:, rows, 1 - own]], axis=-1)  # (seeds, N, 2)
        knows = theorems.learned(a["correlations"])[:, 1 - own, there.argmax(axis=1)]
        multi, shown = ~drawn.single_view.numpy(), there.sum(axis=1)
        one = multi & (shown == 1)
        for word, chosen in {
            "a network that knows the rival": scores[knows & one],
            "a network that does not": scores[~knows & one],
            "the average": scores.mean(axis=0)[one],
            "a network, no rival shown": scores[:, multi & (shown == 0)].reshape(-1, 2),
        }.items():
            pairs.setdefault(word, []).append(chosen)
    means = {word: np.concatenate(found).mean(axis=0) for word, found in pairs.items()}
    return [
        {"scores of": word, "own class": 2.0, "other class": float(2 * other / own)}
        for word, (own, other) in means.items()
    ]


# ---------------------------------------------------------------- V views


def views_curves(family: Family) -> dict[int, tuple[list[np.ndarray], list[float], float]]:
    """V -> single networks' errors over mu, one array a draw; their averages'; and the finite-size
    prediction."""
    found = {}
    for V in sorted({e.study.data.n_views for e, _ in family}):
        study, draws = arrays_of(family, f"V = {V}")
        ensemble = theorems.ensemble_errors(study, draws)
        predicted = theorems.finite_size_prediction(study, draws)
        found[V] = theorems.network_errors(study, draws), ensemble, predicted
    return found


def nobody_knows(draws: Sequence[Arrays]) -> float:
    """Share of the views that none of a draw's networks has learned: what their average lacks."""
    return 1 - mean([theorems.learned(a["correlations"]).any(axis=0).mean() for a in draws])


def views_table(family: Family) -> list[Record]:
    """A row a number of views."""
    rows: list[Record] = []
    for V, (errors, ensemble, predicted) in views_curves(family).items():
        _, draws = arrays_of(family, f"V = {V}")
        rows.append({
            "views V": V,
            "1 - 1/V": theorems.missed(V),
            "finite-size prediction": predicted,
            "test error / mu [95%]": with_interval(theorems.with_ends(errors)),
            "of the average": mean(ensemble),
            "views that nobody knows": nobody_knows(draws),
            "by chance, (1 - 1/V)^L": theorems.missed(V, known=len(errors[0])),
            "networks that fit": of_all(np.concatenate([a["fitted"] for a in draws])),
            "winner foretold": mean([theorems.foretold(a).mean() for a in draws]),
        })  # fmt: skip
    return rows


# ---------------------------------------------------------------- a stronger view


def flip_rows(family: Family) -> list[dict[str, float]]:
    """By ratio of strengths: the share of classes in which the weaker view wins, with Wilson's
    interval, what the law says, and what it says of these very networks, noise included."""
    rows = []
    for e, a in family:
        weaker = robustness.flipped(a)
        measured, low, high = theorems.share_of(weaker)
        rows.append({
            "ratio": e.study.data.view_scale[0],
            "measured": measured, "low": low, "high": high,
            "law": robustness.law_of_flips(e.study, e.study.data.view_scale[0]),
            "foretold": mean(robustness.flipped(a, "predicted_winner")),
            "single": mean(a["single_error"]),
            "ensemble": float(a["ensemble_single_error"]),
        })  # fmt: skip
    return rows


def law_curves(family: Family) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Ratios, and the law's share of flips there, with noise and without."""
    ratios = np.linspace(1, max(e.study.data.view_scale[0] for e, _ in family), 9)
    study = family[0][0].study
    return ratios, {
        word: np.array([robustness.law_of_flips(study, float(r), noise=noise) for r in ratios])
        for word, noise in (("law of the lottery", True), ("the same without noise", False))
    }


def flip_table(family: Family) -> list[Record]:
    """A row a ratio."""
    return [
        {
            "strength of view 1 over view 2": f"{row['ratio']:g}",
            "weaker view wins [95%]": with_interval((row["measured"], row["low"], row["high"])),
            "by the law": row["law"],
            "foretold of these networks": row["foretold"],
            "single-view error": row["single"],
            "of the average": row["ensemble"],
        }
        for row in flip_rows(family)
    ]


# ---------------------------------------------------------------- levers


def answered(arrays: Arrays) -> np.ndarray:
    """Whether a network is right on most single-view inputs of a class whichever view they show,
    (seeds, k): what knowing all views comes to, whatever angle they stand at."""
    return np.asarray((arrays["class_error"] < 0.5).all(axis=-1))


def first_networks(arrays: Arrays, n: int) -> Arrays:
    """Of the first n networks alone what the levers are reported by.  Their average was measured
    if all sets of n were tried (`size_curve` then has theirs first); if only some were, the mean of
    those stands for it."""
    K, tried = len(arrays["fitted"]), arrays["size_curve"][n - 1]
    average = tried[0] if math.comb(K, n) <= len(tried) else np.nanmean(tried)
    keys = ("single_error", "multi_error", "fitted", "correlations", "class_error",
            "predicted_winner")  # fmt: skip
    return {key: arrays[key][:n] for key in keys} | {"ensemble_single_error": average}


def lever_rows(
    family: Family, base: tuple[SingleModelStudy, Arrays]
) -> list[tuple[str, str, Arrays]]:
    """(lever, value, arrays) in the order of the levers, the base's own value before the others or
    among them, with as many networks as they have: those from the same starts."""
    study, own = base[0], first_networks(base[1], len(family[0][1]["fitted"]))
    held = {
        "overlap": study.data.overlap,
        "weight_decay": study.schedule.weight_decay,
        "n_neurons": study.learner.n_neurons,
        "power": study.learner.power,
    }
    pairs: dict[str, list[tuple[str, Arrays]]] = {}
    for e, a in family:
        lever, value = e.label.split(" = ")
        pairs.setdefault(lever, []).append((value, a))
    for lever, found in pairs.items():
        if lever in held:
            found.append((f"{held[lever]:g}", own))
            found.sort(key=lambda pair: float(pair[0]))
        else:
            found.insert(0, ("Def. 3.4", own))
    return [(lever, value, a) for lever, found in pairs.items() for value, a in found]


def lever_curves(rows: Sequence[tuple[str, str, Arrays]]) -> dict[str, dict[str, list]]:
    """What `figures.robustness.lever_panels` draws."""
    found: dict[str, dict[str, list]] = {}
    for lever, value, a in rows:
        panel = found.setdefault(lever, {"values": [], "single": [], "both": []})
        panel["values"].append(value)
        panel["single"].append(a["single_error"])
        panel["both"].append(mean(answered(a)))
    return found


def lever_table(rows: Sequence[tuple[str, str, Arrays]]) -> list[Record]:
    """A row a value of a lever."""
    return [
        {
            "lever": lever.replace("_", " "),
            "value": value,
            "networks that fit": of_all(a["fitted"]),
            "single-view error": mean(a["single_error"]),
            "multi-view error": mean(a["multi_error"]),
            "error of the average": float(a["ensemble_single_error"]),
            "both views, by weights": mean(theorems.all_learned(a["correlations"])),
            "both views, by answers": mean(answered(a)),
            "winner foretold": mean(theorems.foretold(a)),
        }
        for lever, value, a in rows
    ]


# ---------------------------------------------------------------- numbers in the text


def limit_values(
    four: Family, students: Family, views: Family, stronger: Family, levers: Family
) -> Record:
    """Every number that the chapter's text names."""
    study, draws = arrays_of(four, "one rival")
    both = arrays_of(four, "both rivals")
    taught = {word: robustness.error_rates(*arrays_of(students, word)) for word in STUDENTS}
    most = max(e.study.data.n_views for e, _ in views)
    told = next(pair for pair in stronger if pair[0].study.data.view_scale[0] == robustness.TOLD)
    outputs = four_outputs(four)
    unchanged, n = views[0][1], len(levers[0][1]["fitted"])
    few = first_networks(unchanged, n)
    return {
        **finding_values("four", robustness.four_features_single(study, draws)),
        **finding_values("four-all", robustness.four_features_ensemble(study, draws), digits=4),
        "four-both": number(theorems.mean_of_draws(robustness.error_rates(*both))),
        "four-networks": study.n_networks,
        "four-draws": len(draws),
        "four-missing": number(
            1 - mean([theorems.learned(a["correlations"]).mean() for a in draws]), 2
        ),
        "four-labels": number(theorems.mean_of_draws(taught["labels"]), 4),
        "four-taught": number(theorems.mean_of_draws(taught["average"]), 4),
        **{
            f"four-output-{word}": number(row["other class"], 3)
            for word, row in zip(("knows", "not", "average", "none"), outputs, strict=True)
        },
        **finding_values("views", robustness.views_error(*arrays_of(views, f"V = {most}"))),
        "views-most": most,
        "flip-ratio": f"{robustness.TOLD:g}",
        "flip-law": number(robustness.law_of_flips(told[0].study, robustness.TOLD)),
        "flip-quiet": number(robustness.law_of_flips(told[0].study, robustness.TOLD, noise=False)),
        **finding_values("flip", robustness.flips(told[0].study, told[1])),
        "lever-networks": n,
        "lever-coins": f"{theorems.missed(2, known=n):g}",
        "lever-same": number(few["ensemble_single_error"], 2),
        "lever-any": number(np.nanmean(unchanged["size_curve"][n - 1]), 2),
    }
