"""Prices and exponents fitted to what was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import nnls
from scipy.stats import t

from mvlib.core.checks import require
from mvlib.run.cost import CostModel, PowerLaw, Shape

TIME_TERMS = ("flops", "correlations", "patch_floats", "weight_floats", "once")
MEMORY_TERMS = ("patch_floats", "weight_floats", "outputs", "once")


def fit_cost(
    shapes: Sequence[Shape],
    measured: Sequence[float],
    terms: Sequence[str] = TIME_TERMS,
    *,
    floor: float = 0.0,
) -> CostModel:
    r"""Prices $c \ge 0$ that minimise $\sum_i (\hat y_i - y_i)^2 / \max(y_i, floor)^2$ with
    $\hat y_i = \sum_j c_j\, \mathrm{work}_j(\mathrm{shape}_i)$, of measurements y > 0.

    Errors are relative, so that a step of milliseconds counts as much as one of seconds; below
    `floor` they are absolute, for measurements that come with noise of that size.

    Shapes that differ from one of them in one size each cannot tell the prices apart, however
    many they are: three slopes and a centre are four numbers.  Sizes must vary together, too.

    Raises:
        BadInput: if the shapes do not tell the prices apart.
    """
    scale = np.maximum(np.asarray(measured, dtype=float), floor)
    work = [shape.work() for shape in shapes]
    A = np.array([[w[term] for term in terms] for w in work]) / scale[:, None]
    y = np.asarray(measured, dtype=float) / scale
    size = np.linalg.norm(A, axis=0)  # flops and seconds are 10 orders of magnitude apart
    rank = int(np.linalg.matrix_rank(A / size))
    require(rank == len(terms), "shapes", "rank", rank, f"tell {len(terms)} prices apart",
            "vary several sizes together")  # fmt: skip
    c = nnls(A / size, y)[0] / size
    error = np.abs(A @ c - y)
    return CostModel(
        prices={term: float(price) for term, price in zip(terms, c, strict=True) if price > 0},
        worst_error=float(error.max()),
        median_error=float(np.median(error)),
        n=len(y),
    )


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    r"""Least squares of $\log y = \log c + e \log x$ over three points or more, all positive."""
    # scipy.stats.linregress gives NaN for the interval where y is constant.
    (exponent, intercept), spread = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = float(t.ppf(0.975, len(x) - 2) * np.sqrt(spread[0, 0]))
    e = float(exponent)
    return PowerLaw(exponent=e, low=e - half, high=e + half, factor=math.exp(intercept))
