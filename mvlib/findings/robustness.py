"""How far the story holds, as findings: four features, V views, one view stronger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mvlib.core.intervals import interval, resample
from mvlib.findings import theorems
from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import Family, mean, number
from mvlib.paper.lottery import winning_odds
from mvlib.store.entries import Arrays
from mvlib.studies.single_model import SingleModelStudy

INITIALISATIONS = 40_000  # of a class, for the law; errs by .0025 at most
TOLD = 1.1  # the ratio of strengths of which the finding speaks


def labelled(family: Family, word: str) -> Family:
    """Those experiments of a family whose label begins with a word."""
    return [(e, a) for e, a in family if e.label.startswith(word)]


def error_rates(study: SingleModelStudy, draws: Sequence[Arrays], prefix: str = "") -> list:
    """Test error on the mixture, not over mu, of each network, one array a data draw."""
    mu = study.data.single_view_fraction
    return [mu * errors for errors in theorems.network_errors(study, draws, prefix)]


def four_features_single(study: SingleModelStudy, draws: Sequence[Arrays]) -> Finding:
    """Section 2.3: a network picks up one feature of each class, so that 90% of the inputs are
    classified right.

    Paper: Section 2.3.
    """
    errors = error_rates(study, draws)
    known = 1 - mean([theorems.learned(a["correlations"]).mean() for a in draws])
    data = study.data
    shows = data.sparsity / data.n_classes
    return Finding(
        claim="four-features-single",
        statement="In the paper's smallest example a network learns two of four features and errs "
        "on 10% of the inputs.",
        predicted=0.10,
        source="the paper's number",
        turn=0.05,
        **theorems.averaged(errors),
        unit="test error",
        caveat=(
            f"{sum(map(len, errors))} networks on {theorems.counted(draws)}, stopped at "
            f"training error 0; {number(known)} of the features are missing, and a network that "
            f"lacks a feature errs where it sees a rival that it knows, in {shows:.0%} of the "
            f"inputs: {number(data.single_view_fraction * known * shows)}. Bootstrap over draws, "
            f"then networks."
        ),
        few=theorems.rough(draws),
    )


def four_features_ensemble(study: SingleModelStudy, draws: Sequence[Arrays]) -> Finding:
    """Section 2.3: together the networks have all four features and classify all inputs right."""
    mu = study.data.single_view_fraction
    groups = [theorems.error_counts(study, a, "ensemble", "ensemble_") for a in draws]
    found = resample(groups)["ensemble"]
    return Finding(
        claim="four-features-ensemble",
        statement=f"In the paper's smallest example the average of {study.n_networks} networks has "
        "all four and errs on nothing.",
        predicted=0.0,
        source="the paper's number",
        direction="at most",
        turn=theorems.mean_of_draws(error_rates(study, draws)) / 2,
        **estimate(mean(error_rates(study, draws, "ensemble_")), *interval(mu * found)),
        n=len(draws) * (study.n_test_single + study.n_test_multi),
        unit="test error",
        caveat=(
            f"{len(draws)} ensembles of {study.n_networks}, each on its own data draw; n counts "
            f"test inputs; bootstrap over ensembles, then inputs."
        ),
        few=theorems.rough(draws),
    )


def views_error(study: SingleModelStudy, draws: Sequence[Arrays]) -> Finding:
    r"""With V views a class a network that learns one of them errs on $(1 - 1/V)\mu$ (footnote 5).

    Paper: Footnote 5.
    """
    V, by_draw = study.data.n_views, theorems.network_errors(study, draws)
    return Finding(
        claim="views-error",
        statement=f"With {V} views a class a single network errs on {V - 1}/{V} of mu.",
        predicted=theorems.missed(V),
        source="ours",
        turn=theorems.missed(2),  # as if there were two views
        **theorems.averaged(by_draw),
        caveat=(
            f"{sum(map(len, by_draw))} networks on {theorems.counted(draws)}; finite-size "
            f"prediction {number(theorems.finite_size_prediction(study, draws))}; bootstrap over "
            f"draws, then networks."
        ),
        few=theorems.rough(draws),
    )


def flipped(a: Arrays, key: str = "correlations") -> np.ndarray:
    """Whether the weaker view, which is the second, is the one that a class has learned best, or
    of "predicted_winner", which was foretold: (seeds, k)."""
    return np.asarray((a[key].argmax(axis=-1) if key == "correlations" else a[key]) == 1)


def law_of_flips(study: SingleModelStudy, ratio: float, *, noise: bool = True) -> float:
    """How often the weaker view should win where the other is `ratio` times as strong, by
    `winning_odds`, with the study's noise or without any."""
    data = replace(study.data, view_scale=(ratio, 1.0))
    data = data if noise else replace(data, noise_std=0.0)
    return float(winning_odds(data, study.learner, n=INITIALISATIONS, seed=0)[1])


def flips(study: SingleModelStudy, arrays: Arrays) -> Finding:
    """One view is stronger in all of the data, and the other one is learned all the same where the
    initialisation favours it.

    Paper: Remark 3.2.
    """
    weaker = flipped(arrays)
    ratio = study.data.view_scale[0]
    told = number(flipped(arrays, "predicted_winner"))
    quiet = number(law_of_flips(study, ratio, noise=False))
    return Finding(
        claim="flips",
        statement=f"A view {ratio:g} times as strong as the other still loses some classes.",
        predicted=law_of_flips(study, ratio),
        source="ours",
        turn=0.0,
        **estimate(*theorems.share_of(weaker)),
        n=weaker.size,
        unit="share of classes in which the weaker view wins",
        caveat=(
            "The prediction is the law of the lottery over random initialisations, from the "
            f"parameters alone; without noise it says {quiet}, and of these networks' own starts "
            f"it foretells {told}. Classes of "
            f"{len(weaker)} networks on one data draw, taken as independent (Wilson)."
        ),
    )


def robustness_findings(four: Family, views: Family, stronger: Family) -> list[Finding]:
    """The claims of this module from their families."""
    rivals, most = labelled(four, "one rival"), max(e.study.data.n_views for e, _ in views)
    studied = [(e, a) for e, a in views if e.study.data.n_views == most]
    told = next((e, a) for e, a in stronger if e.study.data.view_scale[0] == TOLD)
    return [
        four_features_single(rivals[0][0].study, [a for _, a in rivals]),
        four_features_ensemble(rivals[0][0].study, [a for _, a in rivals]),
        views_error(studied[0][0].study, [a for _, a in studied]),
        flips(told[0].study, told[1]),
    ]
