r"""What a training step costs, in seconds and in memory, as a function of its shape.

The shape says how much work there is; how fast a machine does each kind of work is measured and
fitted by `benchmarks/scaling.py`.  A step has two matrix products, a pointwise pass over
their N P x S k m results, and bookkeeping; each kind of work has one price, and the prices add up.
"""

from __future__ import annotations

from dataclasses import dataclass

from mvlib.core.checks import require_int
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


@dataclass(frozen=True, kw_only=True, slots=True)
class CostModel:
    """A price for each kind of work, with how well the prices explain what was measured."""

    prices: dict[str, float]  # kind of work -> seconds (or bytes) for one unit, >= 0; 0: left out
    worst_error: float  # largest |predicted / measured - 1| over the points of the fit
    median_error: float  # its median
    n: int  # number of those points


def predict_seconds(shape: Shape, model: CostModel) -> float:
    """Seconds per training step, on the machine `model` was fitted on (bytes, if its prices are in
    bytes)."""
    work = shape.work()
    return sum(price * work[kind] for kind, price in model.prices.items())


@dataclass(frozen=True, kw_only=True, slots=True)
class PowerLaw:
    r"""$y \approx c\, x^e$ along one axis, with the 95% interval of e from the residuals: it is as
    wide as the points are far from any power law, be it noise or curvature."""

    exponent: float  # e
    low: float
    high: float
    factor: float  # c
