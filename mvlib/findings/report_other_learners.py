"""What the book shows of midpoint mixup and of classifiers that learn no features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from mvlib.findings.finding import Finding, records
from mvlib.findings.formatting import Family, Record, mean, number, with_interval
from mvlib.findings.other_learners import errors_beside
from mvlib.findings.report_networks import fitted_at
from mvlib.findings.students import share_with_all_views
from mvlib.findings.theorems import ensemble_errors, mean_of_draws, network_errors, with_ends
from mvlib.paper.evaluation import error_in_units_of_mu
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
}
ENSEMBLE, STUDENT = "ensemble", "distilled student"
Families = Mapping[str, Family]  # by name


def draws(family: Family) -> list[Arrays]:
    """The arrays of a family, one a data draw."""
    return [arrays for _, arrays in family]


def errors(study: SingleModelStudy, of: Families) -> dict[str, list[np.ndarray]]:
    """Kind of learner, in words -> test errors over mu, one array a data draw."""
    single = draws(of["single-model"])
    found = {kind: network_errors(study, draws(of[name])) for name, kind in ALONE.items()}
    found[ENSEMBLE] = [np.array([error]) for error in ensemble_errors(study, single)]
    return found | {STUDENT: network_errors(study, draws(of["distilled"]))}


def views_known(of: Families) -> dict[str, float]:
    """Kind of learner, in words -> share of classes of which one of them knows all views; of an
    ensemble, its networks together."""
    shares = {kind: share_with_all_views(draws(of[name])) for name, kind in ALONE.items()}
    # A view counts for the ensemble if one of its networks has learned it.
    together = [
        {"correlations": a["correlations"].max(axis=0, keepdims=True)}
        for a in draws(of["single-model"])
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
    return len(draws(of["single-model"])[0]["fitted"])


def side_by_side(study: SingleModelStudy, of: Families, store: Store) -> list[Record]:
    """A row a kind of learner."""
    views, steps, time = views_known(of), network_steps(of), seconds(store, of)
    return [
        {
            "learner": kind,
            "test error / μ [95% interval]": with_interval(with_ends(by_draw)),
            "classes with both views": views[kind],
            "steps of networks": round(steps[kind]),
            "seconds": round(time[kind], 1),
        }
        for kind, by_draw in errors(study, of).items()
    ]


def values(study: SingleModelStudy, of: Families) -> Record:
    """How the networks were trained, and what the text names of the table."""
    views, steps = views_known(of), network_steps(of)
    mixed = of["mixup"][0][0].study
    words = {"network": "one", "hard labels, as long": "long", "hard labels, smoothed": "smoothed",
             "mixup": "mixup", "mixup, narrow strengths": "narrow", ENSEMBLE: "ensemble",
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
    for kind, by_draw in errors(study, of).items():
        word = words[kind]
        said[f"{word}-error"] = number(mean_of_draws(by_draw))
        said[f"{word}-views"] = number(views[kind])
        said[f"{word}-steps"] = round(steps[kind])
    for name in ("mixup", "mixup-narrow"):
        found = draws(of[name])
        word = words[ALONE[name]]
        said[f"{word}-train"] = number([a["train_error"][-1].mean() for a in found], 4)
        said[f"{word}-multi"] = number([a["multi_error"].mean() for a in found], 4)
    return said


def _relative_variance(a: float, b: float) -> float:
    return (b - a) ** 2 / 12 / ((a + b) / 2) ** 2


def over_time(of: Families) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, float]]:
    """What `figures.students_over_time` draws of the networks that are trained equally long."""
    watched = {name: draws(of[name]) for name in ALONE if name != "single-model"}
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
    rows = []
    for i, form in enumerate(FORMS):
        for j, degree in enumerate(study.degrees):
            name = "linear" if degree == 1 else f"polynomial of degree {degree}"
            tested = (mean([a[f"{kind}_error"][i, j] for a in found]) for kind in KINDS)
            rows.append((name, form, *tested))
    beside, prefix = (found, "network_") if study.n_networks else (single, "")
    tested = (mean_of_draws([a[f"{prefix}{kind}_error"] for a in beside]) for kind in KINDS)
    rows.append(("single network", "patches", *tested))
    mu = study.base.data.single_view_fraction
    columns = ("classifier", "input", "single-view error", "multi-view error")
    return [
        dict(zip(columns, row, strict=True))
        | {"test error / μ": error_in_units_of_mu(row[2], row[3], mu)}
        for row in rows
    ]


def classifier_values(study: ClassifierStudy, found: Sequence[Arrays]) -> Record:
    """What the text says of classifiers beside networks on inputs with common noise."""
    return {
        "common-gamma": number(study.common_noise),
        "max-degree": max(study.degrees),
        "noisy-networks": number(mean_of_draws(errors_beside(study, found))),
    }


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
