"""Towards the limit as findings: many classes, and networks whose mean is trained as one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from mvlib.core.intervals import interval, ratio, resample, wilson_interval
from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import Family, mean
from mvlib.findings.tangent_kernels import UNIT_RATIO
from mvlib.findings.theorems import all_learned, error_counts, foretold, missed, network_errors
from mvlib.store.entries import Arrays
from mvlib.studies.many_classes import ManyClassesStudy
from mvlib.studies.single_model import SingleModelStudy

BEGINS = 0.9  # of a ratio of errors: training the average helps no more
REDUCED = (
    "reduced dynamics of own views, with the noise averaged over (`mvlib.studies.many_classes`)"
)


def total_error(base: SingleModelStudy, arrays: Arrays, prefix: str = "") -> float:
    """Mean test error over mu."""
    return mean(network_errors(base, [arrays], prefix))


def limit_findings(many: Family) -> list[Finding]:
    """Theorem 1 at the largest number of classes that the reduced dynamics are run for: the error,
    the winners, and how many classes one view is learned of."""
    e, arrays = many[-1]
    base: SingleModelStudy = e.study.base
    k, networks = base.data.n_classes, base.n_networks
    where = (
        f"k = {k}, s = {base.data.sparsity:.1f}, sigma_0 = {base.learner.init_std:.3f}, networks: "
        f"{networks}, one data draw, {REDUCED}"
    )
    low, high = interval(resample([error_counts(base, arrays, "error")])["error"])
    right, both = foretold(arrays).ravel(), all_learned(arrays["correlations"]).ravel()
    n = networks * base.n_test_single
    return [
        Finding(
            claim="limit-single-error",
            statement="With many classes, reduced, a single network errs on half of mu.",
            predicted=missed(base.data.n_views),
            source="the paper's number",
            turn=missed(base.data.n_views) / 2,
            **estimate(total_error(base, arrays), low, high),
            n=n,
            caveat=f"{where}; bootstrap over {n} single-view inputs and as many multi-view ones.",
        ),
        Finding(
            claim="limit-winners",
            statement="With many classes, reduced, the start decides which view is learned.",
            predicted=1.0,
            source="the paper's words",
            turn=1 / base.data.n_views,
            **estimate(mean(right), *wilson_interval(int(right.sum()), right.size)),
            n=right.size,
            unit="share of classes predicted right",
            caveat=f"{where}; classes taken as independent (Wilson).",
        ),
        Finding(
            claim="limit-one-view",
            statement="With many classes, reduced, a network learns one view of each.",
            predicted=1.0,
            source="the paper's words",
            turn=0.5,
            **estimate(1 - mean(both), *wilson_interval(int((~both).sum()), both.size)),
            n=both.size,
            unit="share of classes",
            caveat=f"{where}; |M| / k, a view counting as learned from three tenths of the "
            "winner's correlation on; classes taken as independent (Wilson).",
        ),
    ]


class Average(NamedTuple):
    """The mean of L networks trained as one beside networks trained one by one, on one draw.

    Attributes:
        k, start, members: k, sigma_0 over varrho, L.
        faint: mean strength of other classes' views in multi-view data.
        ratio, low, high: of test errors, and its interval over test inputs.
        alone, together: the errors over mu.
        fitted: whether all of them fit their training set.
    """

    k: int
    start: float
    members: int
    faint: float
    ratio: float
    low: float
    high: float
    alone: float
    together: float
    fitted: bool


def averages(family: Family) -> list[Average]:
    """Of a family in which studies of averages follow their networks' own."""
    found: list[Average] = []
    alone: tuple[SingleModelStudy, Arrays] | None = None
    for e, arrays in family:
        if isinstance(e.study, SingleModelStudy):
            base, members = e.study, 0
        elif isinstance(e.study, ManyClassesStudy):
            base = e.study.base
            members = base.n_networks if e.study.together else 0
        else:
            base, members = e.study.base, e.study.n_members
        if not members:
            alone = base, arrays
            continue
        assert alone is not None, "networks come before their average"
        above = error_counts(base, arrays, "above", "ensemble_")
        below = error_counts(*alone, "below")
        drawn = resample([[*above, *below]])
        errs = total_error(*alone), total_error(base, arrays, "ensemble_")
        found.append(
            Average(
                k=base.data.n_classes,
                start=base.learner.init_std / base.learner.threshold,
                members=members,
                faint=mean(base.data.multi_other_strength),
                ratio=float(ratio(np.array(errs[1]), np.array(errs[0]))),
                **dict(zip(("low", "high"), interval(ratio(drawn["above"], drawn["below"])),
                           strict=True)),
                alone=errs[0],
                together=errs[1],
                fitted=bool(alone[1]["fitted"].all() and arrays["fitted"].all()),
            )
        )  # fmt: skip
    return found


def train_average_ratio(family: Family) -> Finding:
    """Where training the mean of L networks helps least: at the largest k, where chance is least,
    and for the largest L for which the ratio reaches `BEGINS`, or else the largest ratio."""
    tried = averages(family)
    most = max(one.k for one in tried)
    fitted = [one for one in tried if one.k == most and one.fitted]
    best = {L: max((one for one in fitted if one.members == L), key=lambda one: one.ratio)
            for L in sorted({one.members for one in fitted})}  # fmt: skip
    worst = max(best.values(), key=lambda one: (min(one.ratio, BEGINS), one.members))
    alike = [one for one in fitted if one.members == worst.members]
    by_size = ", ".join(f"{one.ratio:.2f} for L = {L}" for L, one in best.items())
    return Finding(
        claim="train-average-ratio",
        statement=f"Where {worst.members} networks start small enough, training their average "
        f"barely helps (the best of {len(alike)} settings, reduced).",
        predicted=BEGINS,
        source="ours",
        direction="at least",
        turn=0.5,
        **estimate(worst.ratio, worst.low, worst.high),
        n=worst.members,
        unit=UNIT_RATIO,
        caveat=(
            f"The mean of {worst.members} networks at sigma_0 / varrho = {worst.start:g}, "
            f"k = {worst.k}, views of other classes at {worst.faint:g}, {REDUCED}: chosen as the "
            f"largest of {len(alike)} ratios at that k and L ({by_size}), so it is too high rather "
            "than too low; bootstrap over test inputs of one data draw."
        ),
    )
