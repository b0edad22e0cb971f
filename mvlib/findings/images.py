"""Section 5 as findings: what ensembles, students and averages gain on photographs.

Every number is a mean over training sets, learners and test images, and all are resampled for its
interval.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mvlib.findings import worlds
from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import with_interval
from mvlib.findings.theorems import rough
from mvlib.findings.worlds import UNIT_SHARE, Measured, World, mean_error, share_of_gain
from mvlib.store.entries import Arrays

UNIT_ERROR = "test error"
UNIT_REMOVED = "share of a single network's test errors that the ensemble removes"

# The paper's Figure 1, test accuracy in percent as a public summary gives it (second-hand; the
# ICLR text prints none): row -> CIFAR-10, CIFAR-100, by wide residual networks.  Nothing was found
# for its kernels, nor for Figures 5 to 9.
REPORTED = {
    "single": (96.70, 81.51),
    "ensemble": (97.20, 84.69),
    "average": (96.46, 81.83),
    "distilled": (97.22, 83.81),
    "self_distilled": (97.13, 83.56),
}

# Family of experiments -> whose claims these are, at the end of a statement.
OF = {"images": "", "residual": ", with normalisation and augmentation"}


def gain_in_standard_errors(world: World) -> Measured:
    """The ensemble's gain over its standard error, training sets, networks and images resampled;
    plus and minus 1.96 standard errors."""
    mean, _, _ = worlds.gain(world, "ensemble")
    e = worlds.resampled_errors(world, "single", "ensemble")
    spread = float((e["single"] - e["ensemble"]).std(ddof=1))
    found = mean / spread if spread > 0 else float("inf") if mean > 0 else 0.0
    return found, found - 1.96, found + 1.96


def _finding(
    claim: str, world: World, row: str, found: Measured, caveat: str, *, beside: str = "single",
    **said: Any,
) -> Finding:  # fmt: skip
    draws = world.has(row, beside)
    sets = "1 training set" if len(draws) == 1 else f"{len(draws)} training sets"
    return Finding(
        **{"claim": claim, "unit": UNIT_SHARE, "source": "ours", **said},
        **estimate(*found),
        n=sum(len(draw[row]) for draw in draws),
        caveat=(
            f"{caveat} {sets}, {draws[0][row].shape[1]} test images; training sets, learners and "
            f"images resampled together, an ensemble is one learner and stays."
        ),
        few=rough(draws),
    )


def _distilled(kind: str, world: World) -> Finding:
    first = replace(world, draws=world.draws[:1])
    again = with_interval(worlds.gain(first, "ensemble_of_distilled", base="distilled"), ".4f")
    return _finding(
        f"{kind}-distilled-share-of-gain", world, "distilled", share_of_gain(world, "distilled"),
        f"A student errs on {mean_error(world, 'distilled'):.4f}; averaging those of the first "
        f"training set gains {again} more. "
        f"The same students without its knowledge: {worlds.beside(world)}.",
        statement=f"On photographs a distilled student has at least half of the gain{OF[kind]}.",
        direction="at least", predicted=0.5, turn=0.0,
    )  # fmt: skip


def _averages(kind: str, world: World) -> list[Finding]:
    size_alone = with_interval(share_of_gain(world, "wide"), ".2f")
    return [
        _finding(
            f"{kind}-train-average-share-of-gain", world, "average",
            share_of_gain(world, "average"),
            f"At equal width: each average is as many networks as the ensemble, and errs on "
            f"{mean_error(world, 'average'):.4f}. One network with as many weights has "
            f"{size_alone} of the gain.",
            statement="On photographs training the average has at most a quarter of the gain, at "
            f"equal width{OF[kind]}.",
            direction="at most", predicted=0.25, turn=0.5,
        ),
        _finding(
            f"{kind}-train-average-at-equal-weights", world, "average",
            share_of_gain(world, "average", base="wide"),
            "Against single networks with about as many weights as all members of an average, "
            f"which err on {mean_error(world, 'wide'):.4f}.",
            beside="wide",
            statement="On photographs training the average has at most a quarter of the gain, at "
            f"equal weights{OF[kind]}.",
            direction="at most", predicted=0.25, turn=0.5,
        ),
    ]  # fmt: skip


def residual_claims(world: World) -> list[Finding]:
    """The claims whose numbers depend on how large and how trained networks are, of networks with
    batch normalisation and augmentation."""
    return [_distilled("residual", world), *_averages("residual", world)]


def image_claims(world: World, ntk: Arrays, on_views: float) -> list[Finding]:
    """The claims of the paper's experiments on images; `on_views`: share of errors that an ensemble
    removes on multi-view data."""
    frozen = worlds.frozen_features("frozen features", [ntk])
    said = {name: f"{mean_error(world, name):.4f}" for name in ("single", "ensemble")}
    return [
        _finding(
            "images-ensemble-gain", world, "single", worlds.removed(world),
            f"A single network errs on {said['single']}, the ensemble on {said['ensemble']}. "
            f"Predicted: what the ensemble removes on multi-view data.",
            statement="An ensemble removes errors on photographs as it does where there are views.",
            predicted=round(on_views, 3), turn=on_views / 2, unit=UNIT_REMOVED,
        ),
        _finding(
            "images-ensemble-gain-in-standard-errors", world, "single",
            gain_in_standard_errors(world),
            f"A single network errs on {said['single']}, the ensemble on {said['ensemble']}.",
            statement="On photographs the ensemble gains more than 3 standard errors.",
            direction="at least", predicted=3.0, turn=0.0, unit="gain over its standard error",
        ),
        _distilled("images", world),
        _finding(
            "images-self-distilled-gain", world, "self_distilled",
            worlds.gain(world, "self_distilled"),
            "Each student against its own teacher, paired.",
            statement="On photographs a self-distilled student errs less than its teacher.",
            direction="at least", predicted=0.0, turn=0.0, unit=UNIT_ERROR,
            source="the paper's words",
        ),
        *_averages("images", world),
        _finding(
            "images-ntk-distilled-share-of-gain", frozen, "distilled",
            share_of_gain(frozen, "distilled", base="hard_student"),
            "Against the same students on hard labels, paired; the gain is that of the ensemble of "
            "tangent kernels.",
            statement="On photographs distilling into the network's tangent kernel gains nothing.",
            predicted=0.0, turn=0.5, source="the paper's words",
        ),
    ]  # fmt: skip
