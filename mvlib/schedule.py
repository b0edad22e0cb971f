"""How far each step of gradient descent goes, and when it stops."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.checks import require_int, require_number


@runtime_checkable
class StepRule(Protocol):
    """How far to go along the ascent direction, per network."""

    def __call__(
        self, W: Float[Tensor, "seeds k m d"], ascent: Float[Tensor, "seeds k m d"]
    ) -> Float[Tensor, " seeds"]:
        """The step size of each network."""
        ...


@dataclass(frozen=True, slots=True)
class ConstantStep:
    r"""$\eta$ as printed in (3.1), > 0."""

    eta: float

    def __post_init__(self) -> None:
        big = float("inf")
        require_number("eta", "eta", self.eta, 0, big, "try 1.0", open_low=True)

    def __call__(self, W: Tensor, ascent: Tensor) -> Tensor:
        """eta for every network."""
        return W.new_full((W.shape[0],), self.eta)


@dataclass(frozen=True, kw_only=True, slots=True)
class BoundedRelativeStep:
    r"""A step that changes no class by more than a share of what it has learned.

    For class i let $g_{i,r}$ be the ascent directions of its neurons and
    $a_i = \max_r |\langle w_{i,r}, g_{i,r}\rangle| / \|g_{i,r}\|$ what they already read along
    them, or `floor` times the largest $a_j$ if that is more.  Then
    $\eta_t = \min(\eta_{\max},\ r \min_i a_i / \max_r \|g_{i,r}\|)$.

    Choice: the paper's $\eta \le 1/\mathrm{poly}(k)$ follows gradient flow and needs very many
    steps, nearly all of them while nothing has grown.  In that phase a correlation grows in
    proportion to its own power q-1, so a bounded relative change follows the same path with
    logarithmically few steps.  The bound must hold for every class: one that starts late would
    otherwise take off, both views at once, within a single step that is small for the others.
    The rule looks at weights and gradients only, never at features.

    Attributes:
        max_step: $\eta_{\max} > 0$, in force once weights are large.
        relative_change: r in (0, 1].
        floor: in [0, 1]; keeps a class whose pull happens to be at right angles to its weights
            from stopping all others.
    """

    max_step: float
    relative_change: float
    floor: float = 0.1

    def __post_init__(self) -> None:
        big = float("inf")
        require_number("max_step", "eta_max", self.max_step, 0, big, "try 400", open_low=True)
        require_number("relative_change", "r", self.relative_change, 0, 1, "try 0.3",
                       open_low=True)  # fmt: skip
        require_number("floor", "", self.floor, 0, 1, "try 0.1")

    def __call__(self, W: Tensor, ascent: Tensor) -> Tensor:
        """The step size of each network."""
        norm = ascent.norm(dim=-1).clamp_min(torch.finfo(W.dtype).tiny)
        learned = ((W * ascent).sum(dim=-1).abs() / norm).amax(dim=2)
        learned = torch.maximum(learned, self.floor * learned.amax(dim=1, keepdim=True))
        step = self.relative_change * learned / norm.amax(dim=2)
        return step.amin(dim=1).clamp_max(self.max_step)


@dataclass(frozen=True, slots=True)
class SharedStep:
    """One step size for all networks, the smallest that `rule` gives any: for networks that are
    trained together."""

    rule: ConstantStep | BoundedRelativeStep

    def __call__(self, W: Tensor, ascent: Tensor) -> Tensor:
        """The same step size for every network."""
        return self.rule(W, ascent).amin().expand(W.shape[0])


@dataclass(frozen=True, kw_only=True, slots=True)
class FixedSteps:
    """Stop after exactly `steps` updates (T >= 1)."""

    steps: int

    def __post_init__(self) -> None:
        require_int("steps", "T", self.steps, 1, "train for at least one step")

    @property
    def limit(self) -> int:
        """The number of updates."""
        return self.steps

    def stops(self, train_error: Tensor) -> Tensor:
        """Never before the limit."""
        return torch.zeros_like(train_error, dtype=torch.bool)


@dataclass(frozen=True, kw_only=True, slots=True)
class WhenFitted:
    """Stop each network at the first step at which it classifies its whole training set
    correctly, or after `limit` updates."""

    limit: int

    def __post_init__(self) -> None:
        require_int("limit", "T", self.limit, 1, "train for at least one step")

    def stops(self, train_error: Tensor) -> Tensor:
        """True where the training error is exactly 0."""
        return train_error == 0


StopRule = FixedSteps | WhenFitted


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    r"""Step sizes, when to stop, weight decay.

    Attributes:
        step_rule: `ConstantStep`, `BoundedRelativeStep` or `SharedStep`.
        stop_rule: `FixedSteps` or `WhenFitted`.
        weight_decay: lambda >= 0; each update first shrinks W by (1 - eta lambda) (footnote 9).
    """

    step_rule: ConstantStep | BoundedRelativeStep | SharedStep
    stop_rule: StopRule
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        big = float("inf")
        require_number("weight_decay", "lambda", self.weight_decay, 0, big, "try 0.0")
