r"""The growth rates behind Theorems 1 and 3: pulls towards the missing view and towards noise.

Theorem 1 needs memorising to be faster than learning the missing view from the few single-view
samples that show it, Theorem 3 slower than learning it from its weak appearances in samples of
other classes.  At finite size there may be no room between the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist, fmean

from mvlib.core.checks import require_int
from mvlib.paper.activation import takeoff
from mvlib.paper.multi_view_data import MultiViewParams
from mvlib.paper.network import LearnerParams


@dataclass(frozen=True, kw_only=True, slots=True)
class Pulls:
    r"""Growth rates of an untrained neuron's readings, all in the same unit: that of
    $dc/dt = (\text{pull}/\sigma_0^2)\, c\,(\dots)$ at the start, per unit of residual.

    A reading r grows as $\dot r = g r^{q-1}$; its take-off takes $1/((q-2)\, g\, r_0^{q-2})$, so
    $g r_0^{q-2}$ is what competes.

    Attributes:
        own: a class's own view in all of its multi-view samples: starts the race.
        leftover: the missing view in the single-view samples that show it.
        noise: the noise of one sample.
        weak: the missing view in samples of other classes that show it and not the known one.
        confusion: another class's view, in its samples where this class's soft label is high, too:
            learning it would raise the score on all of them.
    """

    own: float
    leftover: float
    noise: float
    weak: float
    confusion: float


def pulls(data: MultiViewParams, learner: LearnerParams, n_train: int) -> Pulls:
    r"""The rates $g\, r_0^{q-2}$ in units of $\sigma_0^{q-2}/(N\varrho^{q-1})$, typical classes.

    With $n_v$ samples that show the view in C patches at strength $z = Z/C$,
    $g = n_v\, C\, \mathbb E z^q$ and $r_0$ is the largest of m standard normals (the winner) or the
    mean of V such without the largest (a missing view); for the noise of one sample
    $g = \nu^2$, $r_0 = \nu \times$ (the largest of P m standard normals), $\nu = \sigma_p\sqrt d$.

    Raises:
        BadInput: if q < 3 (growth is exponential, nothing takes off), m < 2 (a lone reading is as
            often below 0) or N < 1.
    """
    q, _ = takeoff(learner.nonlinearity)
    require_int("n_neurons", "m", learner.n_neurons, 2, "a class needs neurons to choose from")
    require_int("n_train", "N", n_train, 1, "train on at least one sample")
    k, V, s, m = data.n_classes, data.n_views, data.sparsity, learner.n_neurons
    C_p, C_o = data.patches_per_view, data.patches_per_other_view
    own = C_p * _mean_power(data.own_strength, q) / C_p**q
    weak = C_o * _mean_power(data.multi_other_strength, q) / C_o**q
    first, second = _largest(m), _largest(m) - _behind(V) * _spread(m)
    return Pulls(
        own=n_train / k * own * first ** (q - 2),
        leftover=data.single_view_fraction * n_train / (V * k) * own * second ** (q - 2),
        noise=data.noise_norm**q * _largest(data.n_patches * m) ** (q - 2),
        weak=n_train * (s / k) * (1 - s / k) * weak * second ** (q - 2),
        confusion=n_train / k * (1 - (1 - s / k) ** V) * own * first ** (q - 2),
    )


def _mean_power(interval: tuple[float, float], q: int) -> float:
    """E Z^q for Z uniform on the interval."""
    low, high = interval
    return low**q if high == low else (high ** (q + 1) - low ** (q + 1)) / ((q + 1) * (high - low))


def _largest(n: int) -> float:
    """Typical largest of n standard normals: the quantile at n / (n + 1), about."""
    return NormalDist().inv_cdf((n - 0.375) / (n + 0.25))


def _behind(n: int) -> float:
    """How far the mean of n standard normals without the largest lies below 0: their expected
    largest over n - 1, to two digits, as good as the rest of the rule.  1/sqrt(pi) at n = 2."""
    quantiles = ((j + 0.5) / 1000 for j in range(1000))
    return round(fmean(NormalDist().inv_cdf(u ** (1 / n)) for u in quantiles) / (n - 1), 2)


def _spread(n: int) -> float:
    """Spread of the largest of n standard normals: half its middle two thirds."""
    return (NormalDist().inv_cdf(0.84 ** (1 / n)) - NormalDist().inv_cdf(0.16 ** (1 / n))) / 2
