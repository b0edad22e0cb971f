"""What a claim of the paper looks like once it is measured.

A finding is an observation at finite size, not a proof.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mvlib.findings.formatting import Record, with_interval

UNIT_MU = "test error / mu"
# Claims that have a name in the paper; all others go by their statement.
NAMED = {
    "theorem-1": "Theorem 1",
    "theorem-2": "Theorem 2",
    "theorem-3": "Theorem 3",
    "self-distillation": "Self-distillation (Theorem 4)",
}

Source = Literal["the paper's number", "the paper's words", "the second paper's words", "ours"]
Direction = Literal["at", "at most", "at least"]
Verdict = Literal["holds", "right direction", "not at this size", "fails"]


def verdict(
    low: float,
    high: float,
    *,
    predicted: float,
    direction: Direction,
    turn: float,
    margin: float = 0.0,
) -> Verdict:
    """What an interval says of a claim.

    * "holds": every value of the interval is as predicted ("at most", "at least"), or the interval
      meets the predicted range, predicted +- margin ("at"), and does not hold the turn.
    * "right direction": not so, but the whole interval lies on the prediction's side of the turn.
    * "fails": the whole interval lies on the other side.
    * "not at this size": the interval holds the turn, so these sizes do not tell.

    Choice: the turn.  It is no effect where the claim is that there is one, and half of the full
    effect where the claim is that there is none.
    """
    undecided = low <= turn <= high
    as_predicted = {
        "at": low <= predicted + margin and predicted - margin <= high and not undecided,
        "at most": high <= predicted,
        "at least": low >= predicted,
    }[direction]
    if as_predicted:
        return "holds"
    if undecided:
        return "not at this size"
    upwards = direction == "at least" or (direction == "at" and predicted > turn)
    return "right direction" if (low > turn) == upwards else "fails"


def estimate(measured: float, low: float, high: float) -> dict[str, Any]:
    """Those fields of a `Finding`: a value found and the ends of its 95% interval."""
    return {"measured": measured, "low": low, "high": high}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One claim beside its measurement.

    Attributes:
        claim: short name, as on the command line.
        statement: the claim in our words.
        predicted: what the claim comes to as a number.
        source: whose number that is: the paper's, ours for a paper's words, or ours alone.
        margin: half the width of the range that is claimed, where a range is ("at" alone).
        direction: whether `measured` is claimed to lie at, at most or at least at `predicted`.
        turn: where the claim turns into its opposite, see `verdict`.
        measured: the value found.
        low, high: 95% interval of `measured`.
        n: how many observations it rests on; `caveat` says of what.
        unit: of predicted, turn, measured, low and high.
        caveat: how it was measured and what a reader should hold against it.
        few: what the number of draws says against the interval; "" if there are enough of them.
    """

    claim: str
    statement: str
    predicted: float
    margin: float = 0.0
    source: Source
    direction: Direction = "at"
    turn: float
    measured: float
    low: float
    high: float
    n: int
    unit: str = UNIT_MU
    caveat: str
    few: str = ""

    @property
    def verdict(self) -> Verdict:
        """What the interval says of the claim."""
        told = {"predicted": self.predicted, "turn": self.turn, "margin": self.margin}
        return verdict(self.low, self.high, direction=self.direction, **told)

    def as_dict(self) -> dict[str, object]:
        """The finding as plain JSON values: the fields above, then the verdict."""
        return {**asdict(self), "verdict": self.verdict}

    @property
    def heading(self) -> str:
        """The statement, after the claim's name if it has one: "Theorem 1: ..."."""
        name = NAMED.get(self.claim)
        return f"{name}: {self.statement}" if name else self.statement

    @property
    def prediction(self) -> str:
        """The prediction for people: "at most 0.001", "0.49 to 0.51"."""
        if self.margin:
            return f"{self.predicted - self.margin:g} to {self.predicted + self.margin:g}"
        words = "" if self.direction == "at" else f"{self.direction} "
        return f"{words}{self.predicted:.3g}"

    def summary(self) -> str:
        """measured [low, high] for people, and a word where the interval leaves it out."""
        ends = self.low, self.high
        # An end next to the prediction must not be rounded to it, nor something to nothing.
        marks = (self.predicted, 0.0)
        close = any(end != mark and round(end, 3) == mark for end in ends for mark in marks)
        outside = "" if self.low <= self.measured <= self.high else ", which leaves it out"
        return with_interval((self.measured, *ends), ".4f" if close else ".3f") + outside

    def report(self) -> str:
        """The finding on three lines."""
        return (
            f"{self.claim}: {self.statement}\n"
            f"  {self.verdict}: predicted {self.prediction} ({self.source}), measured "
            f"{self.summary()} ({self.unit}, n = {self.n})\n"
            f"  {self.caveat}{self.few and ' '}{self.few}"
        )


def few_draws(found: Sequence[Finding]) -> str:
    """What their numbers of draws say against the intervals of a table of findings, each once."""
    return " ".join(dict.fromkeys(f.few for f in found if f.few))


def records(found: Sequence[Finding], columns: Mapping[str, str]) -> list[Record]:
    """A row a finding: column -> name of what stands in it, a field, property or summary."""
    cells = [[(column, getattr(f, name)) for column, name in columns.items()] for f in found]
    return [{column: x() if callable(x) else x for column, x in row} for row in cells]
