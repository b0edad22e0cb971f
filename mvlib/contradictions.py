"""Section 2.1 as findings: where frozen networks and trained ones part."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mvlib.contrast import METHODS
from mvlib.finding import Finding
from mvlib.measurement import bootstrap_ratio, error_in_units_of_mu
from mvlib.results import Arrays
from mvlib.single_model import SingleModelStudy
from mvlib.theorems import ensemble_errors, network_errors

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


def _ratio(
    above: list[np.ndarray], below: list[np.ndarray], *, paired: bool
) -> tuple[float, float, float]:
    mean = float(np.mean([e.mean() for e in above]) / np.mean([e.mean() for e in below]))
    return mean, *bootstrap_ratio(above, below, paired=paired)


# claim: numerator, denominator, statement, what the paper says of the ratio
KERNEL_CLAIMS: dict[str, tuple[str, str, str, float]] = {
    "ntk-ensemble-over-single": (
        "ensemble", "single", "An ensemble of tangent kernels helps.", 0.5),
    "ntk-train-average-over-single": (
        "average", "single", "Training the average of tangent models helps as much or more.", 0.5),
    "ntk-distilled-over-hard": (
        "distilled_student", "hard_student", "Distilling into kernels gains nothing.", 1.0),
}  # fmt: skip


def ntk_contradiction(study: SingleModelStudy, draws: Sequence[Arrays], claim: str) -> Finding:
    """One row of the contrast, by kernel ridge; descent on cross-entropy stands in the caveat.

    The paper gives no numbers here: `predicted` is the goal this book set itself.
    """
    top, bottom, statement, predicted = KERNEL_CLAIMS[claim]
    paired = top == "distilled_student"
    below = {method: kernel_errors(study, draws, method, bottom) for method in METHODS}
    ratios = {
        method: _ratio(kernel_errors(study, draws, method, top), errors, paired=paired)
        for method, errors in below.items()
    }
    measured, low, high = ratios["ridge"]
    n = sum(len(e) for e in below["ridge"])
    mean = np.mean([e.mean() for e in below["ridge"]])
    other = "{:.3f} [{:.3f}, {:.3f}]".format(*ratios["descent"])
    return Finding(
        claim=claim,
        statement=statement,
        predicted=predicted,
        measured=measured,
        low=low,
        high=high,
        n=n,
        unit=UNIT_RATIO,
        caveat=(
            f"Kernel ridge; the error below the line is {mean:.2f} mu, mostly multi-view inputs. "
            f"By gradient descent on cross-entropy: {other}. {len(draws)} data draws; bootstrap "
            f"over draws, then networks{', paired' if paired else ''}; `predicted` is a goal, the "
            "paper prints no number."
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
    together = [np.array([e]) for e in ensemble_errors(study, joint)]
    measured, low, high = _ratio(together, network_errors(study, single), paired=False)
    return Finding(
        claim="networks-train-average-over-single",
        statement="Training the average of networks barely helps.",
        predicted=1.0,
        measured=measured,
        low=low,
        high=high,
        n=len(joint),
        unit=UNIT_RATIO,
        caveat=(
            f"The mean of {members} networks trained as one, on {len(joint)} data draws; "
            "bootstrap over draws and, below the line, networks. At this size it depends on how "
            "the average is scaled: chapter 2 shows the mean beside the sum."
        ),
    )
