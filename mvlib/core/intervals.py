r"""Intervals: one resampler for whatever is resampled, and Wilson's interval for a single count.

What the book measures is nested: data draws, in each of them networks or students, under them test
inputs.  A resample takes draws with replacement, in each draw taken its learners, and its inputs
(scipy.stats.bootstrap knows one level of at least two units).  The average of some networks is
*one* learner: resampled networks would give averages of fewer, which know fewer views.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from mvlib.core.checks import require, require_int

LEVEL = 0.95
MIDDLE = (0.025, 0.975)
RESAMPLES = 4000
AT_ONCE = 100  # resamples of inputs in memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """Test inputs of which only the number of each kind is known."""

    inputs: np.ndarray  # how many there are of each kind, integers (kinds,)
    values: Mapping[str, np.ndarray]  # name -> what an input of each kind adds, (kinds,)


# Learners that are resampled together: name -> (learners,), or (learners, inputs) where the inputs,
# which are the same for all of a draw's learners, are resampled, too.
Learners = Mapping[str, np.ndarray]
Draw = Sequence[Learners | Counts]


def errors(name: str, rate: float, n: int, *, weight: float = 1.0) -> Counts:
    """A rate of errors on n inputs, each of which counts `weight`-fold."""
    wrong = round(rate * n)
    return Counts(inputs=np.array([wrong, n - wrong]), values={name: np.array([weight, 0.0])})


def resample(
    draws: Sequence[Draw], *, n_resamples: int = RESAMPLES, seed: int = 0,
    same_inputs: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
    """What every named quantity comes to in resamples: mean over draws of the sum over a draw's
    groups of the mean over learners and inputs.

    Each group is resampled by itself, so quantities that belong together (a student on two kinds
    of labels) are put into one.  Inputs are resampled anew for each draw in a resample; where all
    draws are tested on the `same_inputs`, once for all of them.

    Returns:
        name -> (resamples,); resample b is the same draws, learners and inputs for all names.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(draws), (n_resamples, len(draws)))
    every = [group for groups in draws for group in groups if not isinstance(group, Counts)]
    heavy = any(values.ndim == 2 for group in every for values in group.values())
    parts = np.split(chosen, range(AT_ONCE, n_resamples, AT_ONCE)) if heavy else [chosen]
    found = [_resampled(rng, draws, part, same_inputs) for part in parts]
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _resampled(
    rng: np.random.Generator, draws: Sequence[Draw], chosen: np.ndarray, same_inputs: bool
) -> dict[str, np.ndarray]:
    """Every quantity in resamples of the `chosen` draws, (resamples, draws)."""
    found: dict[str, np.ndarray] = {}
    share: np.ndarray | None = None  # of each input, (resamples, inputs)
    for i, groups in enumerate(draws):
        at = chosen == i
        m, share = int(at.sum()), share if same_inputs else None
        for group in groups:
            if isinstance(group, Counts):
                n = group.inputs.sum()
                drawn = rng.multinomial(n, group.inputs / n, size=m)
                means = {name: drawn @ values / n for name, values in group.values.items()}
            else:
                learners = len(next(iter(group.values())))
                rows, means = rng.integers(0, learners, (m, learners)), {}
                for name, values in group.items():
                    if values.ndim == 2:
                        if share is None:
                            many = len(chosen) if same_inputs else m
                            share = _input_shares(rng, many, values.shape[1])
                        values = share @ values.T.astype(float)
                        values = values[at.nonzero()[0]] if same_inputs else values
                    of_all = np.broadcast_to(values, rows.shape)
                    means[name] = np.take_along_axis(of_all, rows, axis=1).mean(axis=1)
            for name, mean in means.items():
                found.setdefault(name, np.zeros(chosen.shape))[at] += mean
    return {name: means.mean(axis=1) for name, means in found.items()}


def _input_shares(rng: np.random.Generator, m: int, n: int) -> np.ndarray:
    """The share that each of n inputs has in m resamples of them, (m, n)."""
    drawn = rng.integers(0, n, (m, n))
    return np.reshape([np.bincount(inputs, minlength=n) for inputs in drawn], (m, n)) / n


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """The middle 95% of resamples, by the percentile rule that copes with infinite ones.  It is
    never moved: a biased resample may leave the estimate outside, and `Finding` says so."""
    low, high = np.quantile(resampled, MIDDLE, method="inverted_cdf")
    return float(low), float(high)


def mean_interval(values_by_draw: Sequence[np.ndarray]) -> tuple[float, float]:
    """95% interval of the mean over draws of the mean over a draw's learners."""
    return interval(resample([[{"mean": values}] for values in values_by_draw])["mean"])


def ratio(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """top / bottom, infinite where nothing is below the line."""
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), np.inf)


def wilson_interval(count: int, n: int, *, level: float = LEVEL) -> tuple[float, float]:
    """Interval of a rate seen `count` times in n independent trials.

    Raises:
        BadInput: if n < 1 or count is not an integer in [0, n].
    """
    from scipy.stats import binomtest  # a second of start that most of the library never needs

    require_int("n", "n", n, 1, "an interval needs a trial")
    require_int("count", "", count, 0, f"count between 0 and {n}")
    require(count <= n, "count", "", count, f"be <= {n}", "count among the trials")
    low, high = binomtest(count, n).proportion_ci(confidence_level=level, method="wilson")
    return float(low), float(high)


def upper_end(count: int, n: int) -> float:
    """One-sided 95% upper end of a rate seen `count` times in n >= 1 independent trials, exact
    (Clopper and Pearson): about 3 / n where it was never seen."""
    from scipy.stats import binomtest

    return float(binomtest(count, n, alternative="less").proportion_ci(LEVEL).high)
