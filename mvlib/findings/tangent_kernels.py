"""Section 2.1 as findings: where frozen networks and trained ones part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvlib.core.intervals import Draw, interval, ratio, resample
from mvlib.findings.finding import Direction, Finding, Source, verdict
from mvlib.findings.theorems import counted, ensemble_errors, ensemble_groups, network_errors, rough
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.store.entries import Arrays
from mvlib.studies.kernel_contrast import METHODS
from mvlib.studies.single_model import SingleModelStudy

UNIT_RATIO = "ratio of test errors"


def kernel_errors(
    study: SingleModelStudy, draws: Sequence[Arrays], method: str, who: str
) -> list[np.ndarray]:
    """Total test error over mu of one kind of frozen learner, one array of networks a draw."""
    mu = study.data.single_view_fraction
    return [
        error_in_units_of_mu(
            a[f"{method}_{who}_single_wrong"].mean(axis=1),
            a[f"{method}_{who}_multi_wrong"].mean(axis=1),
            mu,
        )
        for a in draws
    ]


def ratio_of_means(
    above: Sequence[np.ndarray], below: Sequence[np.ndarray], *, paired: bool
) -> tuple[float, float, float]:
    """(Mean over draws above the line) / (mean over draws below), with its 95% interval: from the
    same resampled draws and, if `paired`, of the same learners."""
    draws: list[Draw] = [
        [{"above": a, "below": b}] if paired else [{"above": a}, {"below": b}]
        for a, b in zip(above, below, strict=True)
    ]
    mean = float(np.mean([e.mean() for e in above]) / np.mean([e.mean() for e in below]))
    return mean, *_ratio_interval(draws)


def _ratio_interval(draws: Sequence[Draw]) -> tuple[float, float]:
    resampled = resample(draws)
    return interval(ratio(resampled["above"], resampled["below"]))


class KernelClaim(NamedTuple):
    """A ratio of errors of frozen learners, and what is claimed of it."""

    above: str
    below: str
    statement: str
    predicted: float
    direction: Direction
    turn: float
    source: Source


# That an ensemble helps, and that distillation does not, are the paper's words; the marks .5 (of an
# error that is at least halved) and .75 (half-way to it) are ours.
KERNEL_CLAIMS: dict[str, KernelClaim] = {
    "ntk-ensemble-over-single": KernelClaim(
        "ensemble", "single", "An ensemble of tangent kernels helps.",
        0.5, "at most", 1.0, "ours"),
    "ntk-train-average-over-single": KernelClaim(
        "average", "single", "Training the average of tangent models helps.",
        0.5, "at most", 1.0, "ours"),
    "ntk-train-average-over-ensemble": KernelClaim(
        "average", "ensemble", "Training the average of tangent models helps as much as their "
        "ensemble, or more.", 1.0, "at most", 1.0, "the paper's words"),
    "ntk-distilled-over-hard": KernelClaim(
        "distilled_student", "hard_student", "Distilling into kernels gains nothing.",
        1.0, "at", 0.75, "the paper's words"),
}  # fmt: skip


def ntk_contradiction(study: SingleModelStudy, draws: Sequence[Arrays], claim: str) -> Finding:
    """One row of the contrast, by kernel ridge; descent on cross-entropy stands in the caveat."""
    of = KERNEL_CLAIMS[claim]
    paired = of.above == "distilled_student"
    below = {method: kernel_errors(study, draws, method, of.below) for method in METHODS}
    ratios = {
        method: ratio_of_means(kernel_errors(study, draws, method, of.above), errors, paired=paired)
        for method, errors in below.items()
    }
    measured, low, high = ratios["ridge"]
    other = ratios["descent"]
    by_descent = verdict(*other[1:], predicted=of.predicted, direction=of.direction, turn=of.turn)
    mean = np.mean([e.mean() for e in below["ridge"]])
    return Finding(
        claim=claim,
        statement=of.statement,
        predicted=of.predicted,
        source=of.source,
        direction=of.direction,
        turn=of.turn,
        measured=measured,
        low=low,
        high=high,
        n=sum(len(e) for e in below["ridge"]),
        unit=UNIT_RATIO,
        caveat=(
            f"Kernel ridge; the error below the line is {mean:.2f} mu, mostly multi-view inputs. "
            "By gradient descent on cross-entropy: {:.3f} [{:.3f}, {:.3f}], ".format(*other)
            + f"verdict: {by_descent}. {counted(draws)}; bootstrap over draws, then networks"
            f"{', paired' if paired else ''}, an ensemble and an average being one.{rough(draws)}"
        ),
    )


def ntk_contradictions(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[Finding]:
    """The claims of Section 2.1 about tangent kernels: ensembles help, training the average helps
    as much, distillation does not."""
    return [ntk_contradiction(study, draws, claim) for claim in KERNEL_CLAIMS]


def networks_train_average(
    study: SingleModelStudy, single: Sequence[Arrays], joint: Sequence[Arrays]
) -> Finding:
    """Training the average of real networks, against training them one by one."""
    members = len(joint[0]["single_error"])
    below = network_errors(study, single)
    draws: list[Draw] = [
        [*ensemble_groups(study, a, "above"), {"below": errors}]
        for a, errors in zip(joint, below, strict=True)
    ]
    low, high = _ratio_interval(draws)
    return Finding(
        claim="networks-train-average-over-single",
        statement="Training the average of networks barely helps.",
        predicted=1.0,
        source="the paper's words",
        direction="at",
        turn=0.5,  # half-way to an ensemble, whose ratio is next to 0
        measured=float(np.mean(ensemble_errors(study, joint)) / np.mean([e.mean() for e in below])),
        low=low,
        high=high,
        n=len(joint),
        unit=UNIT_RATIO,
        caveat=(
            f"The mean of {members} networks trained as one, on {counted(joint)}; bootstrap over "
            "draws, then test inputs of the average and networks below the line. At this size it "
            "depends on how the average is scaled: chapter 2 shows the mean beside the sum."
            f"{rough(joint)}"
        ),
    )
