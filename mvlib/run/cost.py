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
from mvlib.studies.single_model import SingleModelStudy


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """What decides the cost of a training step: sizes (>= 1) alone, never values.

    Raises:
        BadInput: for the first size that is not a positive integer.
    """

    n_train: int  # N
    n_patches: int  # P
    dim: int  # d
    n_classes: int  # k
    n_neurons: int  # m
    n_networks: int  # S, trained at once

    def __post_init__(self) -> None:
        symbols = ("N", "P", "d", "k", "m", "S")
        for field, symbol in zip(self.__dataclass_fields__, symbols, strict=True):
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


def shape_of(study: SingleModelStudy) -> Shape:
    """The sizes of a study's training step."""
    return Shape(
        n_train=study.n_train,
        n_patches=study.data.n_patches,
        dim=study.data.dim,
        n_classes=study.data.n_classes,
        n_neurons=study.learner.n_neurons,
        n_networks=study.n_networks,
    )


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
    """A price for each kind of work, with how well the prices explain what was measured."""

    prices: dict[str, float]  # kind of work -> seconds (or bytes) for one unit, >= 0; 0: left out
    worst_error: float  # largest |predicted / measured - 1| over the points of the fit
    median_error: float  # its median
    n: int  # number of those points


def predict_seconds(shape: Shape, model: CostModel) -> float:
    """Seconds per training step, on the machine `model` was fitted on."""
    work = shape.work()
    return sum(price * work[kind] for kind, price in model.prices.items())


def predict_extra_bytes(shape: Shape, model: CostModel) -> float:
    """Peak memory of training over the data and the weights it starts from, in bytes."""
    return predict_seconds(shape, model)


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

    require(len(shapes) == len(measured), "measured", "y", len(measured),
            f"have one value a shape, {len(shapes)}", "measure every shape once")  # fmt: skip
    require_number("floor", "", floor, 0, math.inf, "0 for relative errors throughout")
    scale = np.maximum(np.asarray(measured, dtype=float), floor)
    require(bool((scale > 0).all()), "measured", "y", list(measured), "be positive",
            "measure again, or set a floor")  # fmt: skip
    work = [shape.work() for shape in shapes]
    A = np.array([[w[term] for term in terms] for w in work]) / scale[:, None]
    y = np.asarray(measured, dtype=float) / scale
    rank = int(np.linalg.matrix_rank(A / np.linalg.norm(A, axis=0)))
    require(rank == len(terms), "shapes", "rank", rank, f"tell {len(terms)} prices apart",
            "vary several sizes together")  # fmt: skip
    size = np.linalg.norm(A, axis=0)  # flops and seconds are 10 orders of magnitude apart
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
    r"""$y \approx c\, x^e$ along one axis, with the 95% interval of e from the residuals: it is as
    wide as the points are far from any power law, be it noise or curvature."""

    exponent: float  # e
    low: float
    high: float
    factor: float  # c


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
    # scipy.stats.linregress gives NaN for the interval where y is constant.
    u, v = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    centred = u - u.mean()
    exponent = float(centred @ v / (centred @ centred))
    intercept = float(v.mean() - exponent * u.mean())
    freedom = len(u) - 2
    residual = v - intercept - exponent * u
    error = math.sqrt(float(residual @ residual) / freedom / float(centred @ centred))
    half = float(t.ppf(0.975, freedom)) * error
    return PowerLaw(
        exponent=exponent, low=exponent - half, high=exponent + half, factor=math.exp(intercept)
    )
