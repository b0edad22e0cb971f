"""What chapters 3 and 4 show of networks and their averages, from the store's arrays.

Tables are lists of records, column -> cell (`figures.Table.of`); what ends in `_values` gives the
numbers that a chapter's text names, by their name there; the rest is what figures draw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mvlib.core.intervals import wilson_interval
from mvlib.experiments.catalogue import SWEEPS, setting
from mvlib.experiments.settings import Scale
from mvlib.findings.finding import Finding
from mvlib.findings.theorems import (
    all_learned,
    finite_size_prediction,
    foretold,
    lottery_finding,
    one_view_share,
    theorem_1,
    theorem_2,
)
from mvlib.paper.activation import SmoothedReLU
from mvlib.paper.evaluation import error_in_units_of_mu, learned_views
from mvlib.run.sweep import load_family
from mvlib.store.entries import Arrays, Store
from mvlib.studies.single_model import SingleModelStudy

Record = Mapping[str, object]  # a row of a table, or numbers by name
Family = Sequence[tuple[Any, Arrays]]  # experiments of one kind, as `load_family` gives them
Points = Mapping[str, Sequence[tuple[Any, Arrays]]]  # of sweeps, in order of the parameter's value


def finding_values(name: str, finding: Finding, *, digits: int = 3) -> Record:
    """A finding's ``name-measured``, ``name-interval`` and ``name-n``."""
    measured, low, high = (f"{v:.{digits}f}" for v in (finding.measured, finding.low, finding.high))
    interval = f"[{low}, {high}]"
    return {f"{name}-measured": measured, f"{name}-interval": interval, f"{name}-n": finding.n}


def mean_and_spread(errors: np.ndarray) -> str:
    """Mean and standard deviation over networks."""
    return f"{errors.mean():.3f} ± {errors.std(ddof=1):.3f}"


def learned(arrays: Arrays) -> np.ndarray:
    """Which views each network or student has (`learned_views`), (networks, k, V)."""
    return learned_views(torch.as_tensor(arrays["correlations"])).numpy()


# ---------------------------------------------------------------- chapter 3: one network


def activations(
    settings: Sequence[tuple[int, float]],
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """z, and value and slope of the smoothed ReLU for each power q and threshold."""
    z = torch.linspace(-1, 5, 301)
    named = {f"$q={q}$, $\\varrho={v:g}$": SmoothedReLU(q, v) for q, v in settings}
    values = {name: one.value(z).numpy() for name, one in named.items()}
    return z.numpy(), values, {name: one.slope(z).numpy() for name, one in named.items()}


def first_fit(train_error: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first record with training error 0 (0 if there is none) and whether there is one, for
    each network of (records, networks)."""
    fits = train_error == 0
    return fits.argmax(axis=0), fits.any(axis=0)


def one_race(
    race: Arrays, network: int = 0, *, until_fitted: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, correlations (records, k, V) and foretold views (k,) of one watched network, over
    all records or only `until_fitted`."""
    first, fits = first_fit(race["train_error"])
    records = first[network] + 1 if until_fitted and fits[network] else len(race["steps"])
    correlations = race["view_correlations"][:records, network]
    return race["steps"][:records], correlations, race["predicted_winner"][network]


def over_time(study: SingleModelStudy, race: Arrays) -> dict[str, Any]:
    """What `figures.errors_over_time` draws of watched networks."""
    first, fits = first_fit(race["train_error"])
    single, multi = race["watched_single_error"], race["watched_multi_error"]
    return {
        "steps": race["steps"],
        "train_error": race["train_error"],
        "test_error": error_in_units_of_mu(single, multi, study.data.single_view_fraction),
        "residuals": {"multi-view": race["multi_residual"], "single-view": race["single_residual"]},
        "fitted_at": np.where(fits, race["steps"][first], np.nan),
    }


def race_values(study: SingleModelStudy, race: Arrays) -> Record:
    """How the watched networks stand when they first fit their training set, and at the end."""
    first, _ = first_fit(race["train_error"])
    at_fit = (first, range(len(first)))
    return {
        "race-networks": len(first),
        "race-watched": study.n_watch,
        "race-last": int(race["steps"][-1]),
        "race-at-fit": f"{race['watched_single_error'][at_fit].mean():.3f}",
        "race-at-end": f"{race['watched_single_error'][-1].mean():.3f}",
        "multi-residual": f"{race['multi_residual'][at_fit].mean():.4f}",
        "single-residual": f"{race['single_residual'][at_fit].mean():.3f}",
    }


def network_values(study: SingleModelStudy, draws: Sequence[Arrays]) -> Record:
    """Theorem 1 and the lottery at the book's setting, and what the errors are made of."""
    single, multi = (
        np.concatenate([a[f"{kind}_error"] for a in draws]) for kind in ("single", "multi")
    )
    worst = round(float(multi.max()) * study.n_test_multi)
    return {
        **finding_values("one", theorem_1(study, draws)),
        **finding_values("lottery", lottery_finding(study, draws)),
        "n-draws": len(draws),
        "n-test": study.n_test_single,
        "n-multi": study.n_test_multi,
        "single-error": mean_and_spread(single),
        "multi-error": f"{multi.mean():.5f}",
        "multi-worst": worst,
        "multi-bound": f"{wilson_interval(worst, study.n_test_multi)[1]:.4f}",
        "one-view-share": f"{one_view_share(draws):.3f}",
        "finite-size": f"{finite_size_prediction(study, draws):.3f}",
        "base-networks": study.n_networks,
        "base-single-error": f"{draws[0]['single_error'].mean():.3f}",
    }


def lottery(draws: Sequence[Arrays]) -> tuple[np.ndarray, np.ndarray]:
    """Margin of the prediction and whether the foretold view won, (networks, k) of all draws."""
    margin = np.concatenate([a["winner_margin"] for a in draws])
    return margin, np.concatenate([foretold(a) for a in draws])


def load_sweeps(scale: Scale, store: Store) -> dict[str, Family]:
    """The family of every swept parameter."""
    return {f: load_family(scale, f"sweep-{f.replace('_', '-')}", store) for f in SWEEPS}


def sweep_points(sweeps: Mapping[str, Family], study: SingleModelStudy, base: Arrays) -> Points:
    """What each value of each parameter gave, the study's own value among them."""
    points = {
        field: [*((setting(e.study, field), a) for e, a in family), (setting(study, field), base)]
        for field, family in sweeps.items()
    }
    return {field: sorted(pairs, key=lambda pair: pair[0]) for field, pairs in points.items()}


def sweep_curves(points: Points) -> dict[str, tuple[list[str], dict[str, list]]]:
    """What `figures.sweep_panels` draws: the values and three curves over them."""
    return {
        field: (
            [str(value) for value, _ in pairs],
            {
                "test error / mu": [a["single_error"] for _, a in pairs],
                "all views learned": [all_learned(a["correlations"]).mean() for _, a in pairs],
                "winner foretold": [foretold(a).mean() for _, a in pairs],
            },
        )
        for field, pairs in points.items()
    }


def sweep_table(points: Points) -> list[Record]:
    """A row a value of a parameter."""
    return [
        {
            "parameter": field.replace("_", " "),
            "value": str(value),
            "networks that fit": f"{int(a['fitted'].sum())} of {len(a['fitted'])}",
            "steps": int(a["stop_step"].mean()),
            **_errors_and_views(a),
        }
        for field, pairs in points.items()
        for value, a in pairs
    ]


def _errors_and_views(a: Arrays) -> Record:
    return {
        "single-view error": float(a["single_error"].mean()),
        "multi-view error": float(a["multi_error"].mean()),
        "classes with both views": float(all_learned(a["correlations"]).mean()),
    }


def sweep_values(points: Points) -> Record:
    """The largest value of each parameter, and the single-view error there."""
    values: dict[str, object] = {}
    for field, pairs in points.items():
        largest, a = pairs[-1]
        values[f"most-{field}"] = str(largest)
        values[f"most-{field}-error"] = f"{a['single_error'].mean():.3f}"
    return values


def class_counts(family: Family) -> dict[int, tuple[np.ndarray, float]]:
    """Single-view errors of the networks and the finite-size prediction, by k."""
    return {
        e.study.data.n_classes: (a["single_error"], finite_size_prediction(e.study, [a]))
        for e, a in family
    }


def class_count_table(family: Family) -> list[Record]:
    """A row a number of classes."""
    return [
        {
            "k": e.study.data.n_classes,
            "N": e.study.n_train,
            "m": e.study.learner.n_neurons,
            "networks": len(a["fitted"]),
            "that fit": int(a["fitted"].sum()),
            **_errors_and_views(a),
            "finite-size prediction": finite_size_prediction(e.study, [a]),
            "winner foretold": float(foretold(a).mean()),
        }
        for e, a in family
    ]


def nearer_values(study: SingleModelStudy, arrays: Arrays) -> Record:
    """Networks in a setting nearer to the theorem's."""
    return {
        "nearer-error": mean_and_spread(arrays["single_error"]),
        "nearer-n": len(arrays["single_error"]),
        "nearer-multi": f"{arrays['multi_error'].mean():.4f}",
        "nearer-predicted": f"{finite_size_prediction(study, [arrays]):.3f}",
    }


# ---------------------------------------------------------------- chapter 4: ensembles


def ensemble_values(study: SingleModelStudy, draws: Sequence[Arrays]) -> Record:
    """Theorem 2 beside Theorem 1, and who knows how many views."""
    views = [learned(a) for a in draws]
    return {
        "members": study.n_networks,
        "n-draws": len(draws),
        "one-measured": f"{theorem_1(study, draws).measured:.3f}",
        **finding_values("two", theorem_2(study, draws), digits=4),
        "views-each": f"{np.mean([v.sum(axis=(1, 2)).mean() for v in views]):.1f}",
        "views-all": views[0][0].size,
        "views-together": ", ".join(str(v.any(axis=0).sum()) for v in views),
    }


def most_disputed(arrays: Arrays) -> tuple[np.ndarray, int, str]:
    """The first stored example on which half of the networks err, or as nearly half as can be:
    scores (networks, k), label and a title."""
    outputs, labels = arrays["example_outputs"], arrays["example_labels"]
    right = (outputs.argmax(axis=-1) == labels).mean(axis=0)
    example = int(np.abs(right - 0.5).argmin())
    label = int(labels[example])
    return outputs[:, example], label, f"single-view input of class {label}"


def view_table(arrays: Arrays) -> list[Record]:
    """Errors on single-view inputs, by class and view shown, beside how many networks know it."""
    known = learned(arrays).mean(axis=0)
    return [
        {
            "single-view inputs that show": f"class {j}, view {view + 1}",
            "error of one network": float(arrays["class_error"][:, j, view].mean()),
            "networks that know the view": float(known[j, view]),
            "error of the average": float(arrays["ensemble_class_error"][j, view]),
        }
        for j, view in np.ndindex(known.shape)
    ]


def size_curves(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[np.ndarray]:
    """Test error over mu of averages of K networks, (K, subsets) a draw, NaN where none is."""
    mu = study.data.single_view_fraction
    return [error_in_units_of_mu(a["size_curve"], a["size_curve_multi"], mu) for a in draws]


def size_table(curves: Sequence[np.ndarray]) -> list[Record]:
    """Mean error of averages of K networks beside fair coins'."""
    mean = np.mean([np.nanmean(c, axis=1) for c in curves], axis=0)
    return [
        {
            "networks K": K,
            "test error / mu": float(error),
            "fair coins, 2^-K": 0.5**K,
            "ensembles tried a draw": int(np.isfinite(curves[0][K - 1]).sum()),
        }
        for K, error in enumerate(mean, start=1)
    ]
