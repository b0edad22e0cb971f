"""Timing by turns: every contender once a round, so that a drifting machine slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from timeit import Timer
from typing import TypeVar

from tqdm import tqdm

Name = TypeVar("Name")
Seconds = Callable[[], float]  # runs a contender's step once and says how long it took

# Thread pools go on spinning for a moment after their work is done: OpenMP's for about a
# millisecond, XLA's less.  The next contender starts when they sleep.
PAUSE = 0.02


def timed(work: Callable[[], object]) -> float:
    """Seconds one call takes, garbage collection off meanwhile."""
    return Timer(work).timeit(number=1)


def interleave(contenders: Mapping[Name, Seconds], rounds: int) -> dict[Name, list[float]]:
    """Seconds by contender, one a round.  Who goes first rotates, so that nobody always follows
    the same neighbour (and finds its data in the cache)."""
    names = list(contenders)
    seconds: dict[Name, list[float]] = {name: [] for name in names}
    for turn in tqdm(range(rounds), unit="round", disable=None):  # shown on terminals only
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            time.sleep(PAUSE)
            seconds[name].append(contenders[name]())
    return seconds


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """The ratios of one pair of contenders, round by round.

    Attributes:
        median, quartiles, range: of the rounds' ratios (not a ratio of medians).
        rounds: their number.
    """

    median: float
    quartiles: tuple[float, float]
    range: tuple[float, float]
    rounds: int


def ratio(numerator: Sequence[float], denominator: Sequence[float]) -> Ratio:
    """How many times as long `numerator` took as `denominator` in the same round."""
    each = [a / b for a, b in zip(numerator, denominator, strict=True)]
    if len(each) < 2:
        return Ratio(median=each[0], quartiles=(each[0],) * 2, range=(each[0],) * 2, rounds=1)
    low, middle, high = statistics.quantiles(each, n=4, method="inclusive")
    return Ratio(
        median=middle, quartiles=(low, high), range=(min(each), max(each)), rounds=len(each)
    )
