"""What the book shows of networks and their averages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from mvlib.core.intervals import upper_end, wilson_interval
from mvlib.experiments.catalogue import SWEEPS, setting
from mvlib.experiments.settings import Scale
from mvlib.findings import theorems
from mvlib.findings.finding import Finding
from mvlib.findings.formatting import Family, Record, mean, mean_and_spread, number, of_all
from mvlib.findings.report_data import with_small_dim
from mvlib.paper.activation import SmoothedReLU
from mvlib.paper.ensemble import disjoint_ensembles
from mvlib.paper.evaluation import error_in_units_of_mu, predicted_single_error
from mvlib.paper.multi_view_data import sample
from mvlib.run.sweep import load_family
from mvlib.store.entries import Arrays, Store
from mvlib.studies.single_model import SingleModelStudy

Points = Mapping[str, Sequence[tuple[Any, Arrays]]]  # of sweeps, in order of the parameter's value

SHOWN = 20  # networks drawn one by one: those of the first ensemble


def finding_values(name: str, finding: Finding, digits: int = 3) -> Record:
    """A finding's ``name-measured``, ``name-interval`` and ``name-n``."""
    low, high = number(finding.low, digits), number(finding.high, digits)
    said = {"measured": number(finding.measured, digits), "interval": f"[{low}, {high}]"}
    return {f"{name}-{what}": value for what, value in (said | {"n": finding.n}).items()}


# ---------------------------------------------------------------- one network


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


def fitted_at(run: Arrays) -> np.ndarray:
    """Step of each network's first recorded training error of 0, NaN where there is none."""
    first, fits = first_fit(run["train_error"])
    return np.where(fits, run["steps"][first], np.nan)


def one_race(
    race: Arrays, network: int = 0, *, until_fitted: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Steps, correlations (records, k, V) and foretold views (k,) of one watched network, over
    all records or only `until_fitted`."""
    first, fits = first_fit(race["train_error"])
    shown = slice(first[network] + 1 if until_fitted and fits[network] else None)
    correlations = race["view_correlations"][shown, network]
    return race["steps"][shown], correlations, race["predicted_winner"][network]


def rising_losers(race: Arrays, network: int = 0) -> Record:
    """Of one watched network: in how many classes the loser counts as learned when the network
    first fits and at the last record, and the median margin of the lottery in the latter classes
    and in all others."""
    first, fits = first_fit(race["train_error"])
    correlations = race["view_correlations"][:, network]
    at_fit, end = (theorems.all_learned(correlations[at]) for at in (first[network], -1))
    margin = race["winner_margin"][network]
    late = end & ~at_fit if fits[network] else end
    return {
        "rising": int(end.sum()),
        "rising-at-fit": int(end.sum() - late.sum()),
        "rising-classes": ", ".join(map(str, end.nonzero()[0])) or "none",
        "rising-margin": number(np.median(margin[end]), 2) if end.any() else "none",
        "other-margin": number(np.median(margin[~end]), 2) if not end.all() else "none",
    }


def over_time(study: SingleModelStudy, race: Arrays) -> dict[str, Any]:
    """What `figures.errors_over_time` draws of watched networks."""
    return {
        "steps": race["steps"],
        "train_error": race["train_error"],
        "test_error": theorems.network_errors(study, [race], "watched_")[0],
        "residuals": {f"{kind}-view": race[f"{kind}_residual"] for kind in ("multi", "single")},
        "fitted_at": fitted_at(race),
    }


def race_values(study: SingleModelStudy, race: Arrays) -> Record:
    """How those of the watched networks that fit their training set stand when they first do, and
    at the end; if none does, all of them, and as they start."""
    first, fits = first_fit(race["train_error"])
    told = fits.nonzero()[0] if fits.any() else np.arange(len(fits))
    at_fit = (first[told], told)
    return {
        "race-networks": len(first),
        "race-fitted": int(fits.sum()),
        "race-watched": study.n_watch,
        "race-last": int(race["steps"][-1]),
        "race-at-fit": number(race["watched_single_error"][at_fit]),
        "race-at-end": number(race["watched_single_error"][-1, told]),
        "multi-residual": number(race["multi_residual"][at_fit], 4),
        "single-residual": number(race["single_residual"][at_fit]),
    }


def network_values(study: SingleModelStudy, draws: Sequence[Arrays]) -> Record:
    """Theorem 1 and the lottery at the book's setting, and what the errors are made of."""
    multi = np.concatenate([a["multi_error"] for a in draws])
    worst = round(float(multi.max()) * study.n_test_multi)
    return {
        **finding_values("one", theorems.theorem_1(study, draws)),
        **finding_values("lottery", theorems.lottery_finding(draws)),
        "n-draws": len(draws),
        "n-test": study.n_test_single,
        "n-multi": study.n_test_multi,
        "single-error": mean_and_spread(np.concatenate([a["single_error"] for a in draws])),
        "multi-error": number(multi, 5),
        "multi-worst": worst,
        "multi-bound": number(wilson_interval(worst, study.n_test_multi)[1], 4),
        "one-view-share": number(theorems.one_view_share(draws)),
        "finite-size": number(theorems.finite_size_prediction(study, draws)),
        # One view a class, the shown one unknown: lost unless no other class attracts the input.
        "not-by-default": number(
            2
            * predicted_single_error(
                0.5, n_classes=study.data.n_classes, sparsity=study.data.sparsity
            )
        ),
        "base-networks": study.n_networks,
        "base-single-error": number(draws[0]["single_error"]),
    }


def lottery(draws: Sequence[Arrays]) -> tuple[np.ndarray, np.ndarray]:
    """Margin of the prediction and whether the foretold view won, (networks, k) of all draws."""
    margin = np.concatenate([a["winner_margin"] for a in draws])
    return margin, np.concatenate([theorems.foretold(a) for a in draws])


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
    curves = {
        "single-view error": lambda a: a["single_error"],
        "all views learned": lambda a: theorems.all_learned(a["correlations"]).mean(),
        "winner foretold": lambda a: theorems.foretold(a).mean(),
    }
    return {
        field: (
            [str(value) for value, _ in pairs],
            {name: [of(a) for _, a in pairs] for name, of in curves.items()},
        )
        for field, pairs in points.items()
    }


def sweep_table(points: Points) -> list[Record]:
    """A row a value of a parameter."""
    return [
        {
            "parameter": field.replace("_", " "),
            "value": str(value),
            "networks that fit": of_all(a["fitted"]),
            "steps": int(a["stop_step"].mean()),
            **_errors_and_views(a),
        }
        for field, pairs in points.items()
        for value, a in pairs
    ]


def _errors_and_views(a: Arrays) -> Record:
    return {
        "single-view error": mean(a["single_error"]),
        "multi-view error": mean(a["multi_error"]),
        "classes with both views": mean(theorems.all_learned(a["correlations"])),
    }


def sweep_values(points: Points) -> Record:
    """The smallest and the largest value of each parameter, and the single-view errors there."""
    said = {}
    for field, pairs in points.items():
        for which, (value, a) in (("least", pairs[0]), ("most", pairs[-1])):
            said[f"{which}-{field}"] = str(value)
            said[f"{which}-{field}-error"] = number(a["single_error"])
    return said


def class_counts(family: Family) -> dict[int, tuple[np.ndarray, float]]:
    """Single-view errors of the networks and the finite-size prediction, by k."""
    return {
        e.study.data.n_classes: (a["single_error"], theorems.finite_size_prediction(e.study, [a]))
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
            "finite-size prediction": theorems.finite_size_prediction(e.study, [a]),
            "winner foretold": mean(theorems.foretold(a)),
        }
        for e, a in family
    ]


# ---------------------------------------------------------------- ensembles


def setting_values(study: SingleModelStudy) -> Record:
    """What decides networks and their training, by its symbol; `data_values` has the data's."""
    learner, schedule = study.learner, study.schedule
    rule: Any = schedule.step_rule
    return {
        "m": learner.n_neurons,
        "q": learner.power,
        "varrho": learner.threshold,
        "sigma-0": learner.init_std,
        "relative-change": rule.relative_change,
        "step-floor": rule.floor,
        "max-step": f"{rule.max_step:g}",
        "limit": schedule.stop_rule.limit,
        "networks-a-draw": study.n_networks,
        "an-ensemble": study.ensemble_size or study.n_networks,
    }


def training_misread(family: Family) -> tuple[int, int]:
    """How many training samples the disjoint ensembles of a family misread, and of how many, all
    ensembles together."""
    wrong = n = 0
    for e, arrays in family:
        study, outputs = e.study, torch.as_tensor(arrays["train_outputs"])
        drawn = sample(with_small_dim(study.data), study.n_train, seed=study.draw, name="train")
        said = disjoint_ensembles(outputs, study.ensemble_size or study.n_networks).argmax(dim=-1)
        wrong += int((said != drawn.labels).sum())
        n += said.numel()
    return wrong, n


def ensemble_values(study: SingleModelStudy, family: Family, many: Family) -> Record:
    """Theorem 2 beside Theorem 1, and who knows how many views."""
    draws = [arrays for _, arrays in family]
    views = [theorems.learned(a["correlations"]) for a in draws]
    (wrong, n), (misread, inputs) = training_misread(family), theorems.misread(many)
    mu = study.data.single_view_fraction
    return {
        "train-misread": wrong,
        "train-samples": f"{n:,}",
        "multi-misread": misread,
        "multi-inputs": f"{inputs:,}",
        "multi-part": number((1 - mu) / mu * upper_end(misread, inputs), 5),
        "members": study.ensemble_size or study.n_networks,
        "all-networks": study.n_networks,
        "n-draws": len(draws),
        "one-measured": number(theorems.theorem_1(study, draws).measured),
        **finding_values("two", theorems.theorem_2(study, draws, many), digits=4),
        "views-each": number([v.sum(axis=(1, 2)).mean() for v in views], 1),
        "views-all": views[0][0].size,
        "views-together": ", ".join(str(v.any(axis=0).sum()) for v in views),
    }


def first_learned(arrays: Arrays) -> np.ndarray:
    """Which views each of the first `SHOWN` networks learned, (networks, k, V)."""
    return theorems.learned(arrays["correlations"])[:SHOWN]


def most_disputed(arrays: Arrays) -> tuple[np.ndarray, int, str]:
    """The first stored example on which half of the first `SHOWN` networks err, or as nearly half
    as can be: scores (networks, k), label and a title."""
    outputs, labels = arrays["example_outputs"][:SHOWN], arrays["example_labels"]
    right = (outputs.argmax(axis=-1) == labels).mean(axis=0)
    example = int(np.abs(right - 0.5).argmin())
    label = int(labels[example])
    return outputs[:, example], label, f"single-view input of class {label}"


def view_table(arrays: Arrays) -> list[Record]:
    """Errors on single-view inputs, by class and view shown, beside how many networks know it."""
    known = theorems.learned(arrays["correlations"]).mean(axis=0)
    return [
        {
            "single-view inputs that show": f"class {j}, view {view + 1}",
            "error of one network": mean(arrays["class_error"][:, j, view]),
            "networks that know the view": float(known[j, view]),
            "error of the average": float(arrays["ensemble_class_error"][j, view]),
        }
        for j, view in np.ndindex(known.shape)
    ]


def knowledge_table(draws: Sequence[Arrays]) -> list[Record]:
    """Errors of disjoint ensembles on single-view inputs, by how many members know the view shown,
    without and with two faint views (all V) of one wrong class in sight; empty cells are left."""
    counts = np.sum([a["disjoint_by_knowledge"] for a in draws], axis=0)
    few, full = counts[:, :-1].sum(axis=1), counts[:, -1]
    rows = zip(range(len(counts)), few, full, strict=True)
    return [
        {
            "members that know the view": known,
            "inputs": int(n + n_full),
            "error": float((lost + lost_full) / (n + n_full)),
            "where one wrong class shows all its views": float(lost_full / n_full)
            if n_full
            else "",
            "elsewhere": float(lost / n) if n else "",
        }
        for known, (n, lost), (n_full, lost_full) in rows
        if n + n_full
    ]


def size_curves(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[np.ndarray]:
    """Test error over mu of averages of K networks, (K, subsets) a draw, NaN where none is."""
    mu = study.data.single_view_fraction
    return [error_in_units_of_mu(a["size_curve"], a["size_curve_multi"], mu) for a in draws]


def size_table(curves: Sequence[np.ndarray]) -> list[Record]:
    """Mean error of averages of K networks, for every small K and some larger ones, beside fair
    coins'."""
    by_size = np.mean([np.nanmean(c, axis=1) for c in curves], axis=0)
    return [
        {
            "networks K": K,
            "test error / mu": float(error),
            "fair coins, 2^-K": 0.5**K,
            "ensembles tried a draw": int(np.isfinite(curves[0][K - 1]).sum()),
        }
        for K, error in enumerate(by_size, start=1)
        if K <= 10 or K % 10 == 0
    ]
