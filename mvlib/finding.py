"""What a claim of the paper looks like once it is measured.

A finding is an observation at finite size, not a proof.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

UNIT_MU = "test error / mu"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One claim beside its measurement.

    Attributes:
        claim: short name, as on the command line.
        statement: the claim in our words.
        predicted: what the paper (or the derivation named in the statement) says.
        measured: the value found.
        low, high: 95% interval of `measured`.
        n: how many observations it rests on; `caveat` says of what.
        unit: of predicted, measured, low and high.
        caveat: how it was measured and what a reader should hold against it.
    """

    claim: str
    statement: str
    predicted: float
    measured: float
    low: float
    high: float
    n: int
    unit: str
    caveat: str

    def as_dict(self) -> dict[str, object]:
        """The finding as plain JSON values, exactly the fields above."""
        return asdict(self)

    @property
    def title(self) -> str:
        """The claim as one writes it: "Theorem 1", "Lottery winners"."""
        return self.claim.replace("-", " ").capitalize().replace("Ntk", "NTK")

    def summary(self) -> str:
        """measured [low, high] for people."""
        return f"{self.measured:.3f} [{self.low:.3f}, {self.high:.3f}]"
