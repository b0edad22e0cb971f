"""Theorems 1 and 2 as findings: what is claimed, what was measured, with an interval."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch

from mvlib.finding import UNIT_MU, Finding
from mvlib.measurement import (
    bootstrap_interval,
    error_in_units_of_mu,
    learned_views,
    predicted_single_error,
    wilson_interval,
)
from mvlib.results import Arrays
from mvlib.single_model import SingleModelStudy


def missed(n_views: int, known: int = 1) -> float:
    r"""$(1 - 1/V)^K$: share of a class's views that `known` views, drawn at random, leave out."""
    return (1 - 1 / n_views) ** known


def network_errors(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[np.ndarray]:
    """Total test error over mu of each network (or student), one array a data draw."""
    mu = study.data.single_view_fraction
    return [error_in_units_of_mu(a["single_error"], a["multi_error"], mu) for a in draws]


def theorem_1(study: SingleModelStudy, draws: Sequence[Arrays]) -> Finding:
    r"""A single network fits its training set and errs on $0.49\mu$ to $0.51\mu$ of the test data:
    it knows one of V = 2 views of each class.  With V views it is $(1 - 1/V)\mu$.

    Paper: Theorem 1.
    """
    by_draw, V = network_errors(study, draws), study.data.n_views
    share = "half" if V == 2 else f"{V - 1}/{V}"
    low, high = bootstrap_interval(by_draw)
    fitted = np.concatenate([a["fitted"] for a in draws])
    return Finding(
        claim="theorem-1",
        statement=f"A single network that fits its training set errs on {share} of mu.",
        predicted=missed(V),
        measured=float(np.mean([v.mean() for v in by_draw])),
        low=low,
        high=high,
        n=len(fitted),
        unit=UNIT_MU,
        caveat=(
            f"{len(fitted)} networks on {len(draws)} data draws, each stopped at its first step "
            f"with training error 0 ({int(fitted.sum())} got there); bootstrap over draws, then "
            f"networks; finite-size prediction {finite_size_prediction(study, draws):.3f}."
        ),
    )


def finite_size_prediction(study: SingleModelStudy, draws: Sequence[Arrays]) -> float:
    """Theorem 1's 1 - 1/V corrected for classes that learned more than one view and for
    single-view inputs that show no learned view of another class (`predicted_single_error`)."""
    learned = np.mean([_learned(a["correlations"]).mean() for a in draws])
    return predicted_single_error(
        float(1 - learned), n_classes=study.data.n_classes, sparsity=study.data.sparsity
    )


def one_view_share(draws: Sequence[Arrays]) -> float:
    """Share of (network, class) pairs in which no more than one view was learned."""
    several = [(_learned(a["correlations"]).sum(axis=-1) > 1).mean() for a in draws]
    return float(1 - np.mean(several))


def all_learned(correlations: np.ndarray) -> np.ndarray:
    """Whether all V views of a class count as learned (`learned_views`), (..., k)."""
    return learned_views(torch.as_tensor(correlations)).all(dim=-1).numpy()


def _learned(correlations: np.ndarray) -> np.ndarray:
    return learned_views(torch.as_tensor(correlations)).numpy()


def foretold(arrays: Arrays) -> np.ndarray:
    """Whether the largest final correlation of a class is the view foretold, (seeds, k)."""
    return arrays["predicted_winner"] == arrays["correlations"].argmax(axis=-1)


def ensemble_errors(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[float]:
    """Total test error over mu of the average of each draw's networks."""
    mu = study.data.single_view_fraction
    return [
        float(error_in_units_of_mu(a["ensemble_single_error"], a["ensemble_multi_error"], mu))
        for a in draws
    ]


def theorem_2(study: SingleModelStudy, draws: Sequence[Arrays]) -> Finding:
    r"""The average of a few networks errs on at most $0.001\mu$ of the test data.

    The introduction says $0.01\mu$; the theorem $0.001\mu$.

    Paper: Theorem 2.
    """
    mu = study.data.single_view_fraction
    errors = ensemble_errors(study, draws)
    resampled = np.mean(
        [error_in_units_of_mu(a["ensemble_bootstrap"], a["bootstrap_multi"], mu) for a in draws],
        axis=0,
    )
    low, high = (float(q) for q in np.quantile(resampled, [0.025, 0.975]))
    measured = float(np.mean(errors))
    n = study.n_test_single * len(draws)
    return Finding(
        claim="theorem-2",
        statement=f"The average of {study.n_networks} networks errs on almost nothing.",
        predicted=0.001,
        measured=measured,
        low=min(low, measured),
        high=max(high, measured),
        n=n,
        unit=UNIT_MU,
        caveat=(
            f"{len(draws)} ensembles of {study.n_networks}, {n} single-view test inputs in all; "
            "networks and inputs resampled together, which is conservative upwards: a resample "
            "holds fewer different networks."
        ),
    )


def lottery_finding(study: SingleModelStudy, draws: Sequence[Arrays]) -> Finding:
    """How often the initialisation foretells which view of a class is learned."""
    del study
    right = np.concatenate([foretold(a).ravel() for a in draws])
    low, high = wilson_interval(float(right.sum()), right.size)
    return Finding(
        claim="lottery-winners",
        statement="Which view a network learns is decided by its initialisation.",
        predicted=1.0,
        measured=float(right.mean()),
        low=low,
        high=high,
        n=right.size,
        unit="share of classes predicted right",
        caveat=(
            "classes of all networks, taken as independent (Wilson); the winner is the view with "
            "the largest correlation at the end, also where others were learned."
        ),
    )


Claim = Callable[[SingleModelStudy, Sequence[Arrays]], Finding]
CLAIMS: Mapping[str, Claim] = {
    "theorem-1": theorem_1,
    "theorem-2": theorem_2,
    "lottery-winners": lottery_finding,
}
