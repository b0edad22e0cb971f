"""Section 5 as findings: what ensembles, students and averages gain on photographs.

Every number is a mean over learners and test images, and both are resampled for its interval.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from mvlib.core.intervals import interval, ratio, resample
from mvlib.findings.finding import Finding, estimate
from mvlib.findings.formatting import with_interval
from mvlib.store.entries import Arrays

RESAMPLES = 2000
UNIT_SHARE = "share of the ensemble's gain"
UNIT_ERROR = "test error"

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
Rows = Mapping[str, np.ndarray]  # name -> whether each learner errs on each image, (learners, n)


def mean_errors(rows: Rows) -> dict[str, float]:
    """Test error of each row, mean over its learners."""
    return {name: float(wrong.mean()) for name, wrong in rows.items()}


def resampled_errors(rows: Rows) -> dict[str, np.ndarray]:
    """Test error of each row in bootstrap resamples, (resamples,).

    A resample draws images, the same for all rows, and learners: the l-th of every row with as
    many learners together, so that students are compared with their own teachers.  A row of one
    learner (an ensemble) has nothing to draw: it stays the learner it is.
    """
    sizes = sorted({len(wrong) for wrong in rows.values()})
    groups = [{name: w for name, w in rows.items() if len(w) == size} for size in sizes]
    return resample([groups], n_resamples=RESAMPLES)


def _measure(
    rows: Rows, formula: Callable[[Mapping[str, np.ndarray]], np.ndarray]
) -> tuple[float, float, float]:
    """A formula of the rows' errors, with its 95% interval."""
    exact = {name: np.array([error]) for name, error in mean_errors(rows).items()}
    return float(formula(exact)[0]), *interval(formula(resampled_errors(rows)))


def share_of_gain(rows: Rows, other: str, *, base: str = "single") -> tuple[float, float, float]:
    """(base - other) / (single - ensemble) with its 95% interval: 1 where `other` gains as much as
    the ensemble, 0 where it gains nothing.  Resamples in which the ensemble gains nothing count
    as infinite."""
    return _measure(rows, lambda e: ratio(e[base] - e[other], e["single"] - e["ensemble"]))


def gain(rows: Rows, other: str, *, base: str = "single") -> tuple[float, float, float]:
    """How much lower the error of `other` is than that of `base`, with its 95% interval."""
    return _measure(rows, lambda e: e[base] - e[other])


def gain_in_standard_errors(rows: Rows) -> tuple[float, float, float]:
    """The ensemble's gain over its standard error, networks and images resampled; plus and minus
    1.96 standard errors."""
    mean, _, _ = gain(rows, "ensemble")
    e = resampled_errors(rows)
    spread = float((e["single"] - e["ensemble"]).std(ddof=1))
    found = mean / spread if spread > 0 else float("inf") if mean > 0 else 0.0
    return found, found - 1.96, found + 1.96


def network_rows(
    single: Arrays, average: Arrays, distilled: Arrays, self_distilled: Arrays
) -> dict[str, np.ndarray]:
    """The rows of Figure 6 for networks: whether each learner errs on each test image."""
    return {
        "single": single["wrong"],
        "ensemble": single["ensemble_wrong"][None],
        "average": average["wrong"],
        "distilled": distilled["wrong"],
        "self_distilled": self_distilled["wrong"],
        "ensemble_of_distilled": distilled["ensemble_wrong"][None],
    }


def kernel_rows(kernels: Arrays) -> dict[str, np.ndarray]:
    """The same rows for frozen features, and students on hard labels."""
    return {name.removesuffix("_wrong"): a for name, a in kernels.items() if a.ndim == 2}


def _finding(
    claim: str, rows: Rows, row: str, found: tuple[float, float, float], caveat: str, **said: Any
) -> Finding:
    n, images = rows[row].shape
    return Finding(
        **{"claim": f"images-{claim}", "unit": UNIT_SHARE, "source": "ours", **said},
        **estimate(*found),
        n=n,
        caveat=(
            f"{caveat} One training set, {images} test images; learners and images resampled "
            "together, an ensemble is one learner and stays: nothing is said of others."
        ),
    )


def image_claims(
    single: Arrays, average: Arrays, distilled: Arrays, self_distilled: Arrays, ntk: Arrays
) -> list[Finding]:
    """The claims of the paper's experiments on images."""
    rows, frozen = network_rows(single, average, distilled, self_distilled), kernel_rows(ntk)
    said = {name: f"{error:.4f}" for name, error in mean_errors(rows).items()}
    students = {"single": distilled["wrong"], "ensemble": rows["ensemble_of_distilled"]}
    again = with_interval(gain(students, "ensemble"), ".4f")
    return [
        _finding(
            "ensemble-gain-in-standard-errors", rows, "single", gain_in_standard_errors(rows),
            f"A single network errs on {said['single']}, the ensemble on {said['ensemble']}.",
            statement="On photographs the ensemble gains more than 3 standard errors.",
            direction="at least", predicted=3.0, turn=0.0, unit="gain over its standard error",
        ),
        _finding(
            "distilled-share-of-gain", rows, "distilled", share_of_gain(rows, "distilled"),
            f"A student errs on {said['distilled']}; averaging the students gains {again} more.",
            statement="A distilled student has at least half of the ensemble's gain.",
            direction="at least", predicted=0.5, turn=0.0,
        ),
        _finding(
            "self-distilled-gain", rows, "self_distilled", gain(rows, "self_distilled"),
            "Each student against its own teacher, paired.",
            statement="A self-distilled student errs less than its teacher.",
            direction="at least", predicted=0.0, turn=0.0, unit=UNIT_ERROR,
            source="the paper's words",
        ),
        _finding(
            "train-average-share-of-gain", rows, "average", share_of_gain(rows, "average"),
            "Each average is as many networks as the ensemble, and errs on "
            f"{said['average']}.",
            statement="Training the average has at most a quarter of the ensemble's gain.",
            direction="at most", predicted=0.25, turn=0.5,
        ),
        _finding(
            "ntk-distilled-share-of-gain", frozen, "distilled",
            share_of_gain(frozen, "distilled", base="hard_student"),
            "Against the same students on hard labels, paired; the gain is that of the ensemble of "
            "tangent kernels.",
            statement="Distilling into the network's tangent kernel gains nothing.",
            predicted=0.0, turn=0.5, source="the paper's words",
        ),
    ]  # fmt: skip
