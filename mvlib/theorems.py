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


def network_errors(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[np.ndarray]:
    """Total test error over mu of each network (or student), one array a data draw."""
    mu = study.data.single_view_fraction
    return [error_in_units_of_mu(a["single_error"], a["multi_error"], mu) for a in draws]


def theorem_1(study: SingleModelStudy, draws: Sequence[Arrays]) -> Finding:
    r"""A single network fits its training set and errs on $0.49\mu$ to $0.51\mu$ of the test data.

    Paper: Theorem 1.
    """
    by_draw = network_errors(study, draws)
    low, high = bootstrap_interval(by_draw)
    fitted = np.concatenate([a["fitted"] for a in draws])
    return Finding(
        claim="theorem-1",
        statement="A single network that fits its training set errs on half of mu.",
        predicted=0.5,
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
    """Theorem 1's .5 corrected for classes that learned both views and for single-view inputs
    that show no learned view of another class (`predicted_single_error`)."""
    return predicted_single_error(
        one_view_share(draws), n_classes=study.data.n_classes, sparsity=study.data.sparsity
    )


def one_view_share(draws: Sequence[Arrays]) -> float:
    """Share of (network, class) pairs in which only one view was learned."""
    return float(np.mean([1 - both_learned(a["correlations"]).mean() for a in draws]))


def both_learned(correlations: np.ndarray) -> np.ndarray:
    """Whether both views of a class count as learned (`learned_views`), (..., k)."""
    return learned_views(torch.as_tensor(correlations)).all(dim=-1).numpy()


def foretold(arrays: Arrays) -> np.ndarray:
    """Whether the larger final correlation of a class is the view foretold, (seeds, k)."""
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
            "the larger correlation at the end, also where both were learned."
        ),
    )


Claim = Callable[[SingleModelStudy, Sequence[Arrays]], Finding]
CLAIMS: Mapping[str, Claim] = {
    "theorem-1": theorem_1,
    "theorem-2": theorem_2,
    "lottery-winners": lottery_finding,
}
