"""What ensembles gain on inputs without views, beside what they gain on multi-view data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from mvlib.core.intervals import Counts, interval, ratio, resample
from mvlib.experiments.gaussian import condition_name, inputs_name
from mvlib.findings.finding import Finding
from mvlib.findings.theorems import ensemble_errors, network_errors
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.store.entries import Arrays
from mvlib.studies.gaussian import GaussianStudy, gains
from mvlib.studies.single_model import SingleModelStudy

UNIT_REMOVED = "share of a single network's test errors that the ensemble removes"
Row = tuple[GaussianStudy, Arrays]  # one row of the grid: all learners on one way of making data


def single_errors(arrays: Arrays) -> np.ndarray:
    """Mean test error of a learner's networks, (learners,)."""
    return arrays["single_error"].mean(axis=1)


def error_gain(arrays: Arrays) -> np.ndarray:
    """Mean single error less the error of the average of all networks, (learners,)."""
    return single_errors(arrays) - arrays["ensemble_error"]


def loss_gain(arrays: Arrays) -> np.ndarray:
    """Mean single cross-entropy less that of the average, (learners,); never negative."""
    return arrays["single_loss"].mean(axis=1) - arrays["ensemble_loss"]


def variance_share(arrays: Arrays) -> np.ndarray:
    """Variance between networks over the mean square of their (centred) outputs, (learners,)."""
    return arrays["variance_curve"][:, 0] / arrays["output_power"]


def removed(gain: np.ndarray, single: np.ndarray) -> float:
    """Mean gain over mean single error: the share of all errors that went away.  (A mean of
    shares would be ruled by cells that hardly err.)"""
    return float(gain.mean() / single.mean())


def loss_removed(rows: Sequence[Row]) -> float:
    """Share of the cross-entropy of single networks that averaging removes, over the grid."""
    gain = np.concatenate([loss_gain(a) for _, a in rows])
    return removed(gain, np.concatenate([a["single_loss"].mean(axis=1) for _, a in rows]))


def errors_removed(rows: Sequence[Row]) -> float:
    """Share of single networks' errors that averaging removes, over the grid."""
    gain = np.concatenate([error_gain(a) for _, a in rows])
    return removed(gain, np.concatenate([single_errors(a) for _, a in rows]))


def removed_interval(rows: Sequence[Row]) -> tuple[float, float]:
    """95% interval of `errors_removed`: data draws are resampled, and within each the test inputs.

    Inputs are known by how many networks are right on them and whether the average is: so single
    networks and their average are tested on the same.  Each cell has inputs of its own here.
    """
    by_draw: dict[int, list[Counts]] = {}
    for study, arrays in rows:
        by_draw.setdefault(study.draw, []).extend(map(
            _tested, arrays["agreement"], arrays["agreement_ensemble"]
        ))  # fmt: skip
    resampled = resample(list(by_draw.values()))
    return interval(ratio(resampled["gain"], resampled["single"]))


def _tested(every: np.ndarray, known: np.ndarray) -> Counts:
    """A cell's test inputs, from `agreement`: those that the average knows, and the others."""
    members = len(every) - 1
    single = np.tile(1 - np.arange(members + 1) / members, 2)
    ensemble = np.repeat([0.0, 1.0], members + 1)
    inputs = np.concatenate([known, every - known])
    return Counts(inputs=inputs, values={"gain": single - ensemble, "single": single})


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One learner on one way of making data.

    Attributes:
        inputs, labels, condition, learner: what it is, in words.
        train_error: largest of any network, against the labels it was given.
        single: test error of each network.
        ensemble: of their average.
        removed, loss_removed: share of single networks' errors and cross-entropy that averaging
            removes.
        variance: between networks, over the mean square of outputs.
        disagreement: how often two networks differ.
        curve: mean error of ensembles of 1, 2, ... networks.
    """

    inputs: str
    labels: str
    condition: str
    learner: str
    train_error: float
    single: np.ndarray
    ensemble: float
    removed: float
    loss_removed: float
    variance: float
    disagreement: float
    curve: np.ndarray


def cells(rows: Sequence[Row]) -> list[Cell]:
    """Every cell of the rows, in their order."""
    return [
        Cell(
            inputs=inputs_name(study),
            labels=study.data.labels.kind,
            condition=condition_name(study),
            learner=form.kind,
            train_error=float(a["train_error"][i].max()),
            single=a["single_error"][i],
            ensemble=float(a["ensemble_error"][i]),
            removed=float(error_gain(a)[i] / single_errors(a)[i]),
            loss_removed=float(loss_gain(a)[i] / a["single_loss"][i].mean()),
            variance=float(variance_share(a)[i]),
            disagreement=float(a["disagreement"][i]),
            curve=a["size_curve"][i],
        )
        for study, a in rows
        for i, form in enumerate(study.learners)
    ]


def agreement_counts(rows: Sequence[Row]) -> tuple[np.ndarray, np.ndarray]:
    """Test inputs by the number of networks that are right, and those among them on which the
    average is, over all cells: (members + 1,) each."""
    every = sum(a["agreement"].sum(axis=0) for _, a in rows)
    return np.asarray(every), np.asarray(sum(a["agreement_ensemble"].sum(axis=0) for _, a in rows))


def beyond_a_majority(every: np.ndarray) -> float:
    """Of all errors of single networks, the share on inputs that at most half of them know."""
    members = len(every) - 1
    errors = every * (members - np.arange(members + 1))
    return float(errors[: members // 2 + 1].sum() / errors.sum())


def minority_followed(every: np.ndarray, known: np.ndarray) -> float:
    """How often the average is right where some networks are, but fewer than half."""
    few = slice(1, -(-(len(every) - 1) // 2))
    return float(known[few].sum() / max(every[few].sum(), 1))


def single_view_examples(draws: Sequence[Arrays]) -> list[dict[str, np.ndarray]]:
    """What `gains` says of the stored single-view test inputs of each draw: those on which
    networks of the multi-view data err."""
    measured = [
        gains(torch.as_tensor(a["example_outputs"]), torch.as_tensor(a["example_labels"]))
        for a in draws
    ]
    return [{key: value[None].numpy() for key, value in one.items()} for one in measured]


def multi_view_curves(study: SingleModelStudy, draws: Sequence[Arrays]) -> np.ndarray:
    """Share of a single network's errors left in ensembles of 1, 2, ..., (draws, networks)."""
    mu = study.data.single_view_fraction
    curves = [
        error_in_units_of_mu(
            np.nanmean(a["size_curve"], axis=1), np.nanmean(a["size_curve_multi"], axis=1), mu
        )
        for a in draws
    ]
    return np.array([c / c[0] for c in curves])


def multi_view_removed(study: SingleModelStudy, draws: Sequence[Arrays]) -> float:
    """Share of a single network's errors that the ensemble removes on multi-view data."""
    single = np.array([e.mean() for e in network_errors(study, draws)])
    return removed(single - np.array(ensemble_errors(study, draws)), single)


def cell_range(rows: Sequence[Row]) -> tuple[float, float]:
    """Smallest and largest share of errors removed in any cell."""
    shares = np.concatenate([error_gain(a) / single_errors(a) for _, a in rows])
    return float(shares.min()), float(shares.max())


def gaussian_ensemble_gain(
    rows: Sequence[Row], multi_view: SingleModelStudy, draws: Sequence[Arrays]
) -> Finding:
    """Averaging networks on Gaussian-like inputs hardly lowers the test error (Section 2.2)."""
    low, high = removed_interval(rows)
    gain = np.concatenate([error_gain(a) for _, a in rows])
    single = np.concatenate([single_errors(a) for _, a in rows])
    least, most = cell_range(rows)
    members, draws_here = rows[0][0].n_networks, len({study.draw for study, _ in rows})
    on_views = multi_view_removed(multi_view, draws)
    return Finding(
        claim="gaussian-ensemble-gain",
        statement="Where inputs have no views, an ensemble hardly lowers the error.",
        predicted=0.0,
        source="the paper's words",
        direction="at",
        turn=on_views / 2,
        measured=errors_removed(rows),
        low=low,
        high=high,
        n=len(gain) * members,
        unit=UNIT_REMOVED,
        caveat=(
            f"Ensembles of {members} in {len(gain)} cells; mean error {100 * single.mean():.1f}% "
            f"for one network, {100 * (single - gain).mean():.1f}% for the average; single cells "
            f"lose between {least:.2f} and {most:.2f} of their errors, the cross-entropy loses "
            f"{loss_removed(rows):.2f}. On multi-view data the share of errors is "
            f"{on_views:.3f}. Bootstrap over the {draws_here} data draws, each another kind of "
            "data, then test inputs; the ensembles are the units."
        ),
    )
