r"""Intervals: one resampler for whatever is resampled, and Wilson's interval for a single count.

What the book measures is nested: data draws, in each of them networks or students, under them test
inputs.  A resample takes draws with replacement, in each draw taken its learners, and its inputs
(scipy.stats.bootstrap knows one level of at least two units).  The average of some networks is
*one* learner: resampled networks would give averages of fewer, which know fewer views.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    of labels) are put into one.  Where all draws are tested on the `same_inputs`, these are
    resampled once for all; every quantity is then (learners, inputs).

    Returns:
        name -> (resamples,); resample b is the same draws, learners and inputs for all names.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.integers(0, len(draws), (n_resamples, len(draws)))
    found: dict[str, np.ndarray] = {}
    if same_inputs:
        for part in np.split(chosen, range(AT_ONCE, n_resamples, AT_ONCE)):
            for name, means in _on_same_inputs(rng, draws, part).items():
                found[name] = np.concatenate([found.get(name, means[:0]), means])
        return found
    for i, groups in enumerate(draws):
        at = chosen == i
        for name, means in _within(rng, groups, int(at.sum())):
            found.setdefault(name, np.zeros(chosen.shape))[at] += means
    return {name: means.mean(axis=1) for name, means in found.items()}


def _within(rng: np.random.Generator, groups: Draw, m: int) -> Iterator[tuple[str, np.ndarray]]:
    """m resamples of each quantity of one draw."""
    tables = []
    for group in groups:
        if isinstance(group, Counts):
            n = group.inputs.sum()
            drawn = rng.multinomial(n, group.inputs / n, size=m)
            yield from ((name, drawn @ values / n) for name, values in group.values.items())
            continue
        learners = len(next(iter(group.values())))
        rows = rng.integers(0, learners, (m, learners))
        for name, values in group.items():
            if values.ndim == 1:
                yield name, values[rows].mean(axis=1)
            else:
                tables.append((name, values.T.astype(float), rows))
    if tables:
        yield from _on_inputs(rng, tables, m)


def _on_inputs(
    rng: np.random.Generator, tables: Sequence[tuple[str, np.ndarray, np.ndarray]], m: int
) -> Iterator[tuple[str, np.ndarray]]:
    """The same for (inputs, learners), with inputs resampled beside the learners in `rows`."""
    n = len(tables[0][1])
    for_all: dict[str, list[np.ndarray]] = {name: [] for name, _, _ in tables}
    for start in range(0, m, AT_ONCE):
        chosen = rng.integers(0, n, (min(AT_ONCE, m - start), n))
        share = np.stack([np.bincount(inputs, minlength=n) for inputs in chosen]) / n
        for name, values, rows in tables:
            means = np.take_along_axis(share @ values, rows[start : start + AT_ONCE], axis=1)
            for_all[name].append(means.mean(axis=1))
    yield from ((name, np.concatenate(parts)) for name, parts in for_all.items())


def _on_same_inputs(
    rng: np.random.Generator, draws: Sequence[Draw], chosen: np.ndarray
) -> dict[str, np.ndarray]:
    """Resamples of every quantity where they hold the `chosen` draws, (resamples, draws)."""
    found: dict[str, np.ndarray] = {}
    share = np.empty((0, 0))
    for i, group in ((i, group) for i, groups in enumerate(draws) for group in groups):
        assert not isinstance(group, Counts), "inputs that are counted are not known one by one"
        learners, n = next(iter(group.values())).shape
        if not share.size:
            drawn = rng.integers(0, n, (len(chosen), n))
            share = np.stack([np.bincount(inputs, minlength=n) for inputs in drawn]) / n
        rows = rng.integers(0, learners, (*chosen.shape, learners))
        for name, values in group.items():
            by_learner = (share @ values.T.astype(float))[:, None]
            means = np.take_along_axis(by_learner, rows, axis=2).mean(axis=2)
            added = np.where(chosen == i, means, 0).mean(axis=1)
            found[name] = found.get(name, 0) + added
    return found


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
