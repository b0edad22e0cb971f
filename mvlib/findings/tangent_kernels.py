"""Section 2.1 as findings: where frozen networks and trained ones part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from mvlib.core.intervals import Draw, interval, ratio, resample
from mvlib.findings.finding import Direction, Finding, Source, estimate
from mvlib.findings.formatting import mean, percent
from mvlib.findings.theorems import (
    counted,
    ensemble_errors,
    error_counts,
    mean_of_draws,
    network_errors,
    rough,
)
from mvlib.store.entries import Arrays
from mvlib.studies.kernel_contrast import METHODS
from mvlib.studies.single_model import SingleModelStudy

UNIT_RATIO = "ratio of test errors"
KINDS = ("single", "multi")  # of test data


def kernel_errors(
    study: SingleModelStudy, draws: Sequence[Arrays], method: str, who: str
) -> list[np.ndarray]:
    """Total test error over mu of one kind of frozen learner, one array of networks a draw."""
    errors = [
        {f"{kind}_error": a[f"{method}_{who}_{kind}_wrong"].mean(axis=1) for kind in KINDS}
        for a in draws
    ]
    return network_errors(study, errors)


def ratio_of_means(
    above: Sequence[np.ndarray], below: Sequence[np.ndarray], *, paired: bool
) -> tuple[float, float, float]:
    """(Mean over draws above the line) / (mean over draws below), with its 95% interval: from the
    same resampled draws and, if `paired`, of the same learners."""
    draws: list[Draw] = [
        [{"above": a, "below": b}] if paired else [{"above": a}, {"below": b}]
        for a, b in zip(above, below, strict=True)
    ]
    return mean_of_draws(above) / mean_of_draws(below), *_ratio_interval(draws)


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


# How kernels are fitted -> what that adds to a claim's name, and its words.
FITS = {"ridge": ("", "kernel ridge"), "descent": ("-by-descent", "descent on cross-entropy")}


def ntk_contradiction(
    study: SingleModelStudy, draws: Sequence[Arrays], claim: str, method: str = "ridge"
) -> Finding:
    """One row of the contrast, by one way of fitting kernels."""
    of, (suffix, fit) = KERNEL_CLAIMS[claim], FITS[method]
    said = of._asdict()
    above, below = said.pop("above"), said.pop("below")
    paired = above == "distilled_student"
    over, under = (kernel_errors(study, draws, method, who) for who in (above, below))
    mu = study.data.single_view_fraction
    beside = " against ".join(percent(mu * mean_of_draws(errors)) for errors in (over, under))
    return Finding(
        claim=claim + suffix,
        **said | {"statement": f"{of.statement[:-1]} ({fit})."},
        **estimate(*ratio_of_means(over, under, paired=paired)),
        n=sum(map(len, under)),
        unit=UNIT_RATIO,
        caveat=(
            f"{beside} of all inputs, mostly multi-view ones. {counted(draws)}; "
            f"bootstrap over draws, then networks{', paired' if paired else ''}, an ensemble "
            f"and an average being one."
        ),
        few=rough(draws),
    )


def ntk_contradictions(study: SingleModelStudy, draws: Sequence[Arrays]) -> list[Finding]:
    """The claims of Section 2.1 about tangent kernels: ensembles help, training the average helps
    as much, distillation does not; each by both ways of fitting, since the paper names none."""
    return [
        ntk_contradiction(study, draws, claim, method)
        for claim in KERNEL_CLAIMS
        for method in METHODS
    ]


def networks_train_average(
    study: SingleModelStudy, single: Sequence[Arrays], joint: Sequence[Arrays]
) -> Finding:
    """Training the average of real networks, against training them one by one."""
    below = network_errors(study, single)
    draws: list[Draw] = [
        [*error_counts(study, a, "above", "ensemble_"), {"below": errors}]
        for a, errors in zip(joint, below, strict=True)
    ]
    measured = mean(ensemble_errors(study, joint)) / mean_of_draws(below)
    return Finding(
        claim="networks-train-average-over-single",
        statement="Training the average of networks barely helps.",
        predicted=1.0,
        source="the paper's words",
        turn=0.5,  # half-way to an ensemble, whose ratio is next to 0
        **estimate(measured, *_ratio_interval(draws)),
        n=len(joint),
        unit=UNIT_RATIO,
        caveat=(
            f"The mean of {len(joint[0]['single_error'])} networks trained as one, on "
            f"{counted(joint)}; bootstrap over draws, then test inputs of the average and networks "
            "below the line. At this size it depends on how the average is scaled: the chapter on "
            f"frozen networks shows the mean beside the sum."
        ),
        few=rough(joint),
    )
