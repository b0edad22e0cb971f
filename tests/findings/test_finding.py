"""The rule by which an interval says something of a claim."""

import math
from dataclasses import replace

import pytest

from mvlib.findings.finding import Direction, Finding, Verdict, few_draws, verdict


def finding(low: float, high: float, measured: float, direction: Direction = "at") -> Finding:
    return Finding(claim="ntk-claim", statement="s.", predicted=0.5, source="ours",
                   direction=direction, turn=0.25, measured=measured, low=low, high=high, n=1,
                   unit="u", caveat="c.")  # fmt: skip


@pytest.mark.parametrize(
    ("low", "high", "predicted", "direction", "turn", "said"),
    [
        # A value: half of mu, and a quarter would be half-way to the opposite.
        (0.48, 0.52, 0.5, "at", 0.25, "holds"),
        (0.5, 0.5, 0.5, "at", 0.25, "holds"),
        (0.40, 0.45, 0.5, "at", 0.25, "right direction"),
        (0.6, 0.7, 0.5, "at", 0.25, "right direction"),
        (0.2, 0.3, 0.5, "at", 0.25, "not at this size"),
        (0.2, 0.6, 0.5, "at", 0.25, "not at this size"),  # it holds both, so it says nothing
        (0.1, 0.2, 0.5, "at", 0.25, "fails"),
        # A value below its turn: a ratio of 1 claimed to be no gain is the other way round.
        (0.1, 0.2, 0.0, "at", 0.5, "right direction"),
        (0.6, 0.9, 0.0, "at", 0.5, "fails"),
        # An upper bound.
        (0.0, 0.001, 0.001, "at most", 0.4, "holds"),
        (0.0, 0.03, 0.001, "at most", 0.4, "right direction"),
        (0.1, 0.4, 0.001, "at most", 0.4, "not at this size"),
        (0.41, 0.6, 0.001, "at most", 0.4, "fails"),
        # A lower bound, and one that is its own turn.
        (3.1, 4.0, 3.0, "at least", 0.0, "holds"),
        (2.0, 4.0, 3.0, "at least", 0.0, "right direction"),
        (-1.0, 4.0, 3.0, "at least", 0.0, "not at this size"),
        (-2.0, -1.0, 3.0, "at least", 0.0, "fails"),
        (0.0, 0.1, 0.0, "at least", 0.0, "holds"),
        (-0.1, 0.1, 0.0, "at least", 0.0, "not at this size"),
        # Resamples may be infinite.
        (0.6, math.inf, 0.5, "at least", 0.0, "holds"),
        (0.6, math.inf, 0.25, "at most", 0.5, "fails"),
    ],
)
def test_the_rule(
    low: float, high: float, predicted: float, direction: Direction, turn: float, said: Verdict
) -> None:
    assert verdict(low, high, predicted=predicted, direction=direction, turn=turn) == said
    # Turned upside down, the same claim is as true.
    mirror: Direction = {"at": "at", "at most": "at least", "at least": "at most"}[direction]  # type: ignore[assignment]
    assert verdict(-high, -low, predicted=-predicted, direction=mirror, turn=-turn) == said


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.489, 0.495, "holds"),
        (0.47, 0.49, "holds"),
        (0.47, 0.489, "right direction"),
        (0.52, 0.55, "right direction"),
        (0.24, 0.5, "not at this size"),
        (0.1, 0.2, "fails"),
    ],
)
def test_a_range_is_met_or_not(low: float, high: float, said: Verdict) -> None:
    """Where a text claims a range, the interval has to meet it."""
    made = replace(finding(low, high, (low + high) / 2), predicted=0.5, margin=0.01, turn=0.25)
    assert made.verdict == said and made.prediction == "0.49 to 0.51"


def test_a_finding_tells_its_verdict() -> None:
    made = finding(0.4, 0.45, 0.42)
    assert made.verdict == "right direction" == made.as_dict()["verdict"]
    assert made.report() == (
        "ntk-claim: s.\n"
        "  right direction: predicted 0.5 (ours), measured 0.420 [0.400, 0.450] (u, n = 1)\n"
        "  c."
    )
    assert "predicted at most 0.5 (ours)" in finding(0.4, 0.6, 0.5, "at most").report()
    assert made.heading == "s."
    assert replace(made, claim="theorem-1").heading == "Theorem 1: s."


def test_an_interval_that_leaves_the_estimate_out_says_so() -> None:
    assert finding(0.4, 0.45, 0.3).summary() == "0.300 [0.400, 0.450], which leaves it out"
    assert finding(0.4, 0.45, 0.5).summary().endswith(", which leaves it out")
    assert finding(0.4, 0.45, 0.45).summary() == "0.450 [0.400, 0.450]"


def test_an_end_is_not_rounded_to_the_prediction() -> None:
    assert finding(0.4, 0.4996, 0.45).summary() == "0.4500 [0.4000, 0.4996]"
    assert finding(0.4, 0.5, 0.45).summary() == "0.450 [0.400, 0.500]"
    assert finding(0.0, 0.0003, 0.0001).summary() == "0.0001 [0.0000, 0.0003]"
    assert finding(0.0, 0.1, 0.0).summary() == "0.000 [0.000, 0.100]"


def test_what_few_draws_say_is_said_once() -> None:
    some, others = (replace(finding(0.4, 0.6, 0.5), few=said) for said in ("Three.", "One."))
    assert few_draws([some, others, some, finding(0.4, 0.6, 0.5)]) == "Three. One."
    assert some.report().endswith("\n  c. Three.")
    assert finding(0.4, 0.6, 0.5).report().endswith("\n  c.")
