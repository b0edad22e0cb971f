"""What ensembles gain on inputs without views, beside what they gain on multi-view data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvlib.core.intervals import Counts, interval, ratio, resample
from mvlib.experiments.gaussian import condition_name, inputs_name
from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import percent
from mvlib.findings.theorems import ensemble_errors, network_errors
from mvlib.store.entries import Arrays
from mvlib.studies.gaussian import GaussianStudy
from mvlib.studies.single_model import SingleModelStudy

UNIT_REMOVED = "share of a single network's test errors that the ensemble removes"
Row = tuple[GaussianStudy, Arrays]  # one row of the grid: all learners on one way of making data


def single_mean(arrays: Arrays, what: str = "error") -> np.ndarray:
    """Mean test error (or "loss", cross-entropy) of a learner's networks, (learners,)."""
    return arrays[f"single_{what}"].mean(axis=1)


def gain(arrays: Arrays, what: str = "error") -> np.ndarray:
    """By how much the average of all networks has less of it, (learners,); a loss never grows."""
    return single_mean(arrays, what) - arrays[f"ensemble_{what}"]


def share_removed(arrays: Arrays, what: str = "error") -> np.ndarray:
    """Share of single networks' errors (or losses) that averaging removes, (learners,)."""
    return gain(arrays, what) / single_mean(arrays, what)


def removed(rows: Sequence[Row], what: str = "error") -> float:
    """The same over the grid: mean gain over mean error (or loss).  (A mean of shares would be
    ruled by cells that hardly err.)"""
    gains, single = (np.concatenate([f(a, what) for _, a in rows]) for f in (gain, single_mean))
    return float(gains.mean() / single.mean())


def variance_share(arrays: Arrays) -> np.ndarray:
    """Variance between networks over the mean square of their (centred) outputs, (learners,)."""
    return arrays["variance_curve"][:, 0] / arrays["output_power"]


def removed_interval(rows: Sequence[Row]) -> tuple[float, float]:
    """95% interval of `removed`: data draws are resampled, and within each the test inputs.

    Inputs are known by how many networks are right on them and whether the average is: so single
    networks and their average are tested on the same.  Each cell has inputs of its own here.
    """
    by_draw: dict[int, list[Counts]] = {}
    for study, a in rows:
        tested = map(_tested, a["agreement"], a["agreement_ensemble"])
        by_draw.setdefault(study.draw, []).extend(tested)
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
    """One learner on one way of making data, which its first four fields say in words."""

    inputs: str
    labels: str
    condition: str
    learner: str
    train_error: float  # largest of any network, against the labels it was given
    single: np.ndarray  # test error of each network
    ensemble: float  # test error of their average
    removed: float  # share of single networks' errors that averaging removes
    loss_removed: float  # the same of their cross-entropy
    variance: float  # between networks, over the mean square of outputs
    disagreement: float  # how often two networks differ
    scatter: float  # how often a second network is right where a first one errs
    curve: np.ndarray  # mean error of ensembles of 1, 2, ... networks


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
            removed=float(share_removed(a)[i]),
            loss_removed=float(share_removed(a, "loss")[i]),
            variance=float(variance_share(a)[i]),
            disagreement=float(a["disagreement"][i]),
            scatter=second_right(a["agreement"][i]),
            curve=a["size_curve"][i],
        )
        for study, a in rows
        for i, form in enumerate(study.learners)
    ]


def beyond_a_majority(every: np.ndarray) -> float:
    """Of all errors of single networks, the share on inputs that at most half of them know."""
    members = len(every) - 1
    errors = every * (members - np.arange(members + 1))
    return float(errors[: members // 2 + 1].sum() / errors.sum())


def second_right(every: np.ndarray) -> float:
    """How often a second network is right where a first one errs, over all pairs: the share of a
    network's errors that is its own scatter."""
    members = len(every) - 1
    right = np.arange(members + 1)
    errors = every * (members - right)
    return float((errors * right).sum() / ((members - 1) * errors.sum()))


def removed_by_votes(error: float, scatter: float) -> float:
    r"""Share of errors that a majority of many networks removes, foretold from the error e of one
    and from how often a second one is right where it errs.

    Choice: the chance q that a network errs on an input is a Beta variable over inputs, with
    $\mathbb E q = e$ and $1 - \mathbb E q^2 / \mathbb E q$ the scatter; a majority errs where
    q > 1/2.
    """
    from scipy.special import betainc  # a part of a second that most of the library never needs

    # Beta(s e, s (1 - e)); chances that are all alike have no finite s.
    s = scatter / max(1 - scatter - error, 1e-6)
    return 1 - float(betainc(s * (1 - error), s * error, 0.5)) / error


def removed_by_majority(every: np.ndarray) -> float:
    """Share of errors that a majority of all networks removes, counted; a tie is an error."""
    members = len(every) - 1
    errors = every * (members - np.arange(members + 1)) / members
    return float(1 - every[: members // 2 + 1].sum() / errors.sum())


def minority_followed(every: np.ndarray, known: np.ndarray) -> float:
    """How often the average is right where some networks are, but fewer than half."""
    few = slice(1, -(-(len(every) - 1) // 2))
    return float(known[few].sum() / max(every[few].sum(), 1))


def multi_view_removed(study: SingleModelStudy, draws: Sequence[Arrays]) -> float:
    """Share of a single network's errors that the ensemble removes on multi-view data."""
    single = np.array([errors.mean() for errors in network_errors(study, draws)])
    return float((single - np.array(ensemble_errors(study, draws))).mean() / single.mean())


def gaussian_ensemble_gain(
    rows: Sequence[Row], multi_view: SingleModelStudy, draws: Sequence[Arrays]
) -> Finding:
    """Averaging networks on Gaussian-like inputs does not remove their errors (Section 2.2)."""
    gains, single, shares = (
        np.concatenate([f(a) for _, a in rows]) for f in (gain, single_mean, share_removed)
    )
    members, draws_here = rows[0][0].n_networks, len({study.draw for study, _ in rows})
    on_views = multi_view_removed(multi_view, draws)
    return Finding(
        claim="gaussian-ensemble-gain",
        statement="Where inputs have no views, an ensemble does not remove errors.",
        predicted=0.0,
        source="the paper's words",
        turn=on_views / 2,
        **estimate(removed(rows), *removed_interval(rows)),
        n=len(gains) * members,
        unit=UNIT_REMOVED,
        caveat=(
            f"Ensembles of {members} in {len(gains)} cells; mean error {percent(single)} "
            f"for one network, {percent(single - gains)} for the average; single cells "
            f"lose between {shares.min():.2f} and {shares.max():.2f} of their errors, the "
            f"cross-entropy loses {removed(rows, 'loss'):.2f}. On multi-view data the share of "
            f"errors is {on_views:.3f}. Bootstrap over the {draws_here} data draws, each another "
            "kind of data, then test inputs; the ensembles are the units."
        ),
    )
