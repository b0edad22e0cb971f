r"""What a training step costs, in seconds and in memory, as a function of its shape.

The shape says how much work there is; how fast a machine does each kind of work is measured
(`benchmarks/scaling.py`) and fitted here.  A step has two matrix products, a pointwise pass over
their N P x S k m results, and bookkeeping; each kind of work has one price, and the prices add up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mvlib.core.checks import require, require_int, require_number


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What decides the cost of a training step: N, P, d, k, m and S networks trained at once.

    Raises:
        BadInput: for the first size that is not a positive integer.
    """

    n_train: int
    n_patches: int
    dim: int
    n_classes: int
    n_neurons: int
    n_networks: int

    def __post_init__(self) -> None:
        for field, symbol in zip(self.__dataclass_fields__, "NPdkmS", strict=True):
            require_int(field, symbol, getattr(self, field), 1, "every size is at least one")

    @property
    def columns(self) -> int:
        """S k m, the neurons of all networks: columns of the matrix of correlations."""
        return self.n_networks * self.n_classes * self.n_neurons

    @property
    def rows(self) -> int:
        """N P, the patches of all samples: its rows."""
        return self.n_train * self.n_patches

    def work(self) -> dict[str, float]:
        """How much of each kind of work a step does.

        Returns:
            flops: 4 N P d S k m, of the two products; correlations: N P S k m, what the
            pointwise pass touches; patch_floats: N P d, read (and repacked) by both products
            however many networks there are; weight_floats: S k m d, what an update touches;
            outputs: S N k scores; once: 1, whatever the shape.
        """
        correlations = self.rows * self.columns
        return {
            "flops": 4.0 * correlations * self.dim,
            "correlations": float(correlations),
            "patch_floats": float(self.rows * self.dim),
            "weight_floats": float(self.columns * self.dim),
            "outputs": float(self.n_networks * self.n_train * self.n_classes),
            "once": 1.0,
        }


def theory_shape(n_classes: int, *, n_networks: int = 10) -> Shape:
    """A training step as the theorems have it at this k: $P = k^2$.

    Choice: N = 200 k, d = 100 k and m = 5, which keeps N/k, d/k and m of the book's setting; the
    paper has N and d at polynomials of k and m at a power of its logarithm.
    """
    k = n_classes
    require_int("n_classes", "k", k, 2, "a classification needs two classes")
    return Shape(n_train=200 * k, n_patches=k**2, dim=100 * k, n_classes=k, n_neurons=5,
                 n_networks=n_networks)  # fmt: skip


TIME_TERMS = ("flops", "correlations", "patch_floats", "weight_floats", "once")
MEMORY_TERMS = ("patch_floats", "weight_floats", "outputs", "once")


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """A price for each kind of work, with how well the prices explain what was measured.

    Attributes:
        prices: kind of work -> seconds (or bytes) for one unit of it, >= 0; an unlisted kind
            costs nothing.
        worst_error: largest |predicted / measured - 1| over the points of the fit.
        median_error: its median.
        n: number of those points.
    """

    prices: dict[str, float]
    worst_error: float
    median_error: float
    n: int


def predict(shape: Shape, model: CostModel) -> float:
    """The cost of one training step of this shape, in the model's unit."""
    work = shape.work()
    return sum(price * work[kind] for kind, price in model.prices.items())


def predict_seconds(shape: Shape, model: CostModel) -> float:
    """Seconds per training step, on the machine `model` was fitted on."""
    return predict(shape, model)


def predict_extra_bytes(shape: Shape, model: CostModel) -> float:
    """Peak memory of training over the data and the weights it starts from, in bytes."""
    return predict(shape, model)


def fit_cost(
    shapes: Sequence[Shape],
    measured: Sequence[float],
    terms: Sequence[str] = TIME_TERMS,
    *,
    floor: float = 0.0,
) -> CostModel:
    r"""Prices $c \ge 0$ that minimise $\sum_i (\hat y_i - y_i)^2 / \max(y_i, floor)^2$ with
    $\hat y_i = \sum_j c_j\, \mathrm{work}_j(\mathrm{shape}_i)$.

    Errors are relative, so that a step of milliseconds counts as much as one of seconds; below
    `floor` they are absolute, for measurements that come with noise of that size.

    Shapes that differ from one of them in one size each cannot tell the prices apart, however
    many they are: three slopes and a centre are four numbers.  Sizes must vary together, too.

    Raises:
        BadInput: if the shapes do not tell the prices apart, or a measurement is not positive.
    """
    from scipy.optimize import nnls  # costs a start that only fits need

    y = np.asarray(measured, dtype=float)
    require(len(shapes) == len(y), "measured", "y", len(y),
            f"have one value a shape, {len(shapes)}", "measure every shape once")  # fmt: skip
    require_number("floor", "", floor, 0, math.inf, "0 for relative errors throughout")
    scale = np.maximum(y, floor)
    require(bool((scale > 0).all()), "measured", "y", list(measured), "be positive",
            "measure again, or set a floor")  # fmt: skip
    work = np.array([[shape.work()[term] for term in terms] for shape in shapes])
    A, y = work / scale[:, None], y / scale
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


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerLaw:
    r"""$y \approx c\, x^e$ along one axis.

    Attributes:
        exponent: e.
        low, high: its 95% interval from the regression's residuals: it is as wide as the points
            are far from any power law, be it noise or curvature.
        factor: c.
    """

    exponent: float
    low: float
    high: float
    factor: float


def fit_power_law(x: Sequence[float], y: Sequence[float]) -> PowerLaw:
    r"""Least squares of $\log y = \log c + e \log x$.

    Raises:
        BadInput: if there are fewer than 3 points, or one is not positive.
    """
    from scipy.stats import t

    fits = len(x) == len(y) and len(x) >= 3
    require(fits, "x", "x", len(x), "have 3 points or more, as many as y", "measure 5 sizes")
    positive = min(*x, *y) > 0 and len(set(x)) > 1
    require(positive, "x, y", "x, y", (list(x), list(y)), "be positive and not all alike",
            "leave such points out")  # fmt: skip
    # Not scipy.stats.linregress: no interval where y is constant.
    (exponent, intercept), covariance = np.polyfit(np.log(x), np.log(y), 1, cov=True)
    half = t.ppf(0.975, len(x) - 2) * math.sqrt(covariance[0, 0])
    return PowerLaw(
        exponent=float(exponent),
        low=float(exponent - half),
        high=float(exponent + half),
        factor=math.exp(intercept),
    )
