"""What the book shows of midpoint mixup and of classifiers that learn no features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mvlib.findings.finding import Finding, records
from mvlib.findings.formatting import Family, Record, mean, number, percent, with_interval
from mvlib.findings.other_learners import all_errors, best_classifier, by_kind, networks_beside
from mvlib.findings.report_networks import fitted_at
from mvlib.findings.report_proofs import shown_views
from mvlib.findings.students import share_with_all_views
from mvlib.findings.theorems import ensemble_prefix, mean_of_draws, with_ends
from mvlib.paper.evaluation import learned_views
from mvlib.paper.multi_view_data import SampleKind
from mvlib.store.entries import Arrays, Store
from mvlib.studies.classifiers import FORMS, KINDS, ClassifierStudy
from mvlib.studies.single_model import SingleModelStudy

# Families of single networks, as the chapter calls them; all but the first share threshold, number
# of steps and weights at the start, and all but the first and the last the data.
ALONE = {
    "single-model": "network",
    "hard-labels-as-long": "hard labels, as long",
    "label-smoothing": "hard labels, smoothed",
    "mixup": "mixup",
    "mixup-narrow": "mixup, narrow strengths",
    "mixup-decayed": "mixup, longer, steps decay",
}
OWN, RIVALS = "own views at their weakest: score", "faint views of one wrong class: score"
NOT_LEARNED = "class not learned"
ENSEMBLE, STUDENT = "ensemble", "distilled student"
Families = Mapping[str, Family]  # by name


def draws(family: Family) -> list[Arrays]:
    """The arrays of a family, one a data draw."""
    return [arrays for _, arrays in family]


def errors(of: Families, test: SampleKind = "single") -> dict[str, list[np.ndarray]]:
    """Kind of learner, in words -> errors on one kind of test data, one array a data draw."""
    single, name = draws(of["single-model"]), f"{test}_error"
    found = {kind: [a[name] for a in draws(of[family])] for family, kind in ALONE.items()}
    together = f"{ensemble_prefix(single)}{name}"
    found[ENSEMBLE] = [np.array([a[together].mean()]) for a in single]
    return found | {STUDENT: [a[name] for a in draws(of["distilled"])]}


def numbers(of: Families) -> dict[str, int]:
    """Kind of learner, in words -> how many of it `errors` are of, on all its data draws."""
    found = {kind: sum(map(len, by_draw)) for kind, by_draw in errors(of).items()}
    ensembles = [len(a["fitted"]) // _members(of) for a in draws(of["single-model"])]
    return found | {ENSEMBLE: sum(ensembles)}


def views_known(of: Families) -> dict[str, float]:
    """Kind of learner, in words -> share of classes of which one of them knows all views; of an
    ensemble, its networks together."""
    shares = {kind: share_with_all_views(draws(of[name])) for name, kind in ALONE.items()}
    L = _members(of)
    # A view counts for an ensemble if one of its networks has learned it.
    together = [
        {"correlations": c[: len(c) // L * L].reshape(-1, L, *c.shape[1:]).max(axis=1)}
        for c in (a["correlations"] for a in draws(of["single-model"]))
    ]
    shares[ENSEMBLE] = share_with_all_views(together)
    return shares | {STUDENT: share_with_all_views(draws(of["distilled"]))}


def network_steps(of: Families) -> dict[str, float]:
    """Kind of learner, in words -> steps of single networks that making one takes: of an ensemble
    those of all its networks, of a student its teachers' besides its own."""
    steps = {kind: _steps(of[name]) for name, kind in ALONE.items()}
    steps[ENSEMBLE] = _members(of) * steps[ALONE["single-model"]]
    return steps | {STUDENT: steps[ENSEMBLE] + _steps(of["distilled"])}


def seconds(store: Store, of: Families) -> dict[str, float]:
    """Kind of learner, in words -> the seconds that making and testing one took where the store's
    entries were computed, beside others of its study."""
    each = {}
    for name, family in of.items():
        records = [(store.record(e.name, e.study), a) for e, a in family]
        each[name] = mean([r["seconds"] / len(a["fitted"]) for r, a in records if r])
    found = {kind: each[name] for name, kind in ALONE.items()}
    found[ENSEMBLE] = _members(of) * each["single-model"]
    return found | {STUDENT: found[ENSEMBLE] + each["distilled"]}


def _steps(family: Family) -> float:
    return mean_of_draws([a["stop_step"] for a in draws(family)])


def _members(of: Families) -> int:
    """How many networks an ensemble has: all of a draw, or so many as its disjoint ones have."""
    [(experiment, arrays), *_] = of["single-model"]
    return experiment.study.ensemble_size or len(arrays["fitted"])


def side_by_side(of: Families, store: Store) -> list[Record]:
    """A row a kind of learner."""
    views, steps, time = views_known(of), network_steps(of), seconds(store, of)
    multi, count = errors(of, "multi"), numbers(of)
    return [
        {
            "learner": kind,
            "n": count[kind],
            "draws": len(by_draw),
            "single-view error [95% interval]": with_interval(with_ends(by_draw), ".1%"),
            "multi-view error": percent(mean_of_draws(multi[kind]), 2),
            "classes with both views": views[kind],
            "steps of networks": round(steps[kind]),
            "seconds": round(time[kind], 1),
        }
        for kind, by_draw in errors(of).items()
    ]


def values(study: SingleModelStudy, of: Families) -> Record:
    """How the networks were trained, and what the text names of the table."""
    views, steps = views_known(of), network_steps(of)
    mixed = of["mixup"][0][0].study
    words = {"network": "one", "hard labels, as long": "long", "hard labels, smoothed": "smoothed",
             "mixup": "mixup", "mixup, narrow strengths": "narrow",
             "mixup, longer, steps decay": "decayed", ENSEMBLE: "ensemble",
             STUDENT: "student"}  # fmt: skip
    said: dict[str, object] = {
        "threshold": study.learner.threshold,
        "lower-threshold": mixed.learner.threshold,
        "n-networks": len(draws(of["mixup"])[0]["fitted"]),
        "n-draws": len(of["mixup"]),
        "members": _members(of),
        # Var(z) / E(z)^2 of an own view, uniform on [a, b].
        "spread": f"{_relative_variance(*study.data.own_strength):.2g}",
        "wide-spread": f"{_relative_variance(*mixed.data.own_strength):.2g}",
        "wide-low": mixed.data.own_strength[0],
        "wide-high": mixed.data.own_strength[1],
        "pairs": mixed.n_train * (mixed.n_train - 1) // 2,
        "n-train": mixed.n_train,
    }
    multi = errors(of, "multi")
    for kind, by_draw in errors(of).items():
        word = words[kind]
        said[f"{word}-error"] = percent(mean_of_draws(by_draw))
        said[f"{word}-on-multi"] = percent(mean_of_draws(multi[kind]), 2)
        said[f"{word}-views"] = number(views[kind])
        said[f"{word}-steps"] = round(steps[kind])
    for name in ("mixup", "mixup-decayed"):
        fitted = np.concatenate([a["fitted"] for a in draws(of[name])])
        said[f"{words[ALONE[name]]}-fitted"] = f"{fitted.sum()} of {fitted.size}"
    return said


def heights(of: Families) -> list[Record]:
    r"""Whether views learned to their height c can be read in the hardest multi-view inputs: a row
    a kind of network, means over classes of which a view is learned beyond the threshold.

    Both own views at their weakest, $\sum_\ell C_p \widetilde{ReLU}(c_\ell z_{min} / C_p)$,
    against both views of one wrong class at their strongest,
    $\sum_\ell C_o \widetilde{ReLU}(c_\ell z_{max} / C_o)$; noise is left out.
    """
    rows: list[Record] = []
    for name, kind in ALONE.items():
        found, study = draws(of[name]), of[name][0][0].study
        data, activation = study.data, study.learner.nonlinearity
        c = torch.as_tensor(np.concatenate([a["correlations"] for a in found]))
        c = c[c.amax(dim=-1) > study.learner.threshold]  # (classes of all networks, V)
        own = activation.value(c * data.own_strength[0] / data.patches_per_view)
        faint = activation.value(c * data.multi_other_strength[1] / data.patches_per_other_view)
        rows.append({
            "network": kind,
            "height of learned views": mean(c[learned_views(c)].numpy()),
            OWN: mean(data.patches_per_view * own.sum(dim=-1).numpy()),
            RIVALS: mean(data.patches_per_other_view * faint.sum(dim=-1).numpy()),
            "multi-view error": percent(mean_of_draws([a["multi_error"] for a in found]), 2),
        })  # fmt: skip
    return rows


def late_values(mixed: Family) -> Record:
    """Of networks trained on midpoints: the classes of which no view is beyond the threshold at the
    end, and the largest correlation with which they started, beside the median of all; how many of
    the multi-view training inputs lost are theirs, and the multi-view test errors of the networks
    that have such a class, and of the others."""
    found, threshold = draws(mixed), mixed[0][0].study.learner.threshold
    start, end = (
        np.concatenate([a[name].max(axis=-1).ravel() for a in found])
        for name in ("initial_correlations", "correlations")
    )
    late = end < threshold
    lost: dict[object, Any] = {row["inputs"]: row["n"] for row in lost_inputs(mixed)}
    theirs, others = (int(lost.get(inputs, 0)) for inputs in (NOT_LEARNED, "wrong"))
    waits = np.concatenate([(a["correlations"].max(axis=-1) < threshold).any(1) for a in found])
    multi = np.concatenate([a["multi_error"] for a in found])
    return {
        "late-lost": f"{theirs} of {theirs + others}",
        "late-networks": f"{waits.sum()} of {waits.size}",
        "late-multi": percent(multi[waits]) if waits.any() else "none",
        "timely-multi": percent(multi[~waits]) if not waits.all() else "none",
        "late": f"{late.sum()} of {late.size}",
        "late-start": number(start[late]) if late.any() else "none",
        "late-height": number(end[late], 2) if late.any() else "none",
        "usual-start": number(np.median(start)),
    }


def lost_inputs(mixed: Family) -> list[Record]:
    """Multi-view training inputs of networks trained on midpoints, by whether their class has been
    learned beyond the threshold and whether they are right: how many, what they show, and the
    scores of their class and of the best wrong one."""
    cells: dict[str, list[np.ndarray]] = {NOT_LEARNED: [], "wrong": [], "right": []}
    for experiment, a in mixed:
        study = experiment.study
        shown = shown_views(study)
        y, rows = shown.labels.numpy(), np.arange(len(shown))
        z, multi = shown.strengths.numpy(), ~shown.single_view.numpy()
        for F, c in zip(a["train_outputs"], a["correlations"], strict=True):
            own, others = F[rows, y], F.copy()
            others[rows, y] = -np.inf
            rival = others.argmax(axis=1)
            both = (z[rows, rival] > 0).all(axis=1)
            told = np.stack([z[rows, y].sum(axis=1), both, own, others[rows, rival]], axis=1)
            begun = (c.max(axis=1) > study.learner.threshold)[y]
            right = own > others[rows, rival]
            for name, chosen in zip(cells, (~begun, begun & ~right, begun & right), strict=True):
                cells[name].append(told[multi & chosen])
    columns = ("strength of own views", "rival shows all views", "own score", "best wrong score")
    return [
        {"inputs": name, "n": len(told)} | dict(zip(columns, map(mean, told.T), strict=True))
        for name, told in ((name, np.concatenate(parts)) for name, parts in cells.items())
        if len(told)
    ]


def _relative_variance(a: float, b: float) -> float:
    return (b - a) ** 2 / 12 / ((a + b) / 2) ** 2


def over_time(of: Families) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, float]]:
    """What `figures.students_over_time` draws of the networks that are trained equally long."""
    other = ("single-model", "mixup-decayed")
    watched = {name: draws(of[name]) for name in ALONE if name not in other}
    curves = {
        ALONE[name]: np.concatenate([a["watched_single_error"] for a in of_kind], axis=1)
        for name, of_kind in watched.items()
    }
    fits = {ALONE[name]: mean_of_draws([*map(fitted_at, a)]) for name, a in watched.items()}
    return next(iter(watched.values()))[0]["steps"], curves, fits


def classifier_table(
    study: ClassifierStudy, found: Sequence[Arrays], single: Sequence[Arrays]
) -> list[Record]:
    """A row a classifier: mean errors; and one for the networks on the same inputs, or for those
    of the same draws (`single`) if there are none."""
    rows: list[tuple[str, str, Sequence[Arrays]]] = []
    for i, form in enumerate(FORMS):
        for j, degree in enumerate(study.degrees):
            name = "linear" if degree == 1 else f"polynomial of degree {degree}"
            tested = [
                {f"{kind}_error": a[f"{kind}_error"][i, j : j + 1] for kind in KINDS} for a in found
            ]
            rows.append((name, form, tested))
    beside = networks_beside(found) if study.n_networks else single
    rows.append(("single network", "patches", beside))
    return [
        {"classifier": name, "input": form}
        | {
            f"{kind}-view error": percent(mean_of_draws([a[f"{kind}_error"] for a in tested]), 2)
            for kind in KINDS
        }
        | {"error on all inputs": percent(mean_of_draws(all_errors(study, tested)), 2)}
        for name, form, tested in rows
    ]


def classifier_values(study: ClassifierStudy, found: Sequence[Arrays]) -> Record:
    """What the text says of classifiers beside networks on inputs with common noise."""
    said: dict[str, object] = {
        "common-gamma": number(study.common_noise),
        "max-degree": max(study.degrees),
        "mu-classified": percent(study.base.data.single_view_fraction),
    }
    chosen = {
        word: [best_classifier(study, a, linear=word == "linear")[1] for a in found]
        for word in ("linear", "polynomial")
    }
    for word, tested in {**chosen, "network": networks_beside(found)}.items():
        said[f"{word}-noisy"] = percent(mean_of_draws(all_errors(study, tested)), 2)
        said[f"{word}-noisy-by-kind"] = by_kind(tested)
    return said


def finding_table(found: Sequence[Finding]) -> list[Record]:
    """A row a claim."""
    columns = {
        "claim": "heading",
        "expected": "prediction",
        "measured [95% interval]": "summary",
        "verdict": "verdict",
        "how": "caveat",
    }
    return records(found, columns)
