"""The step size eta of (3.1) or another optimiser's step, its number of steps T, weight decay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.core.checks import BadInput, require, require_int, require_number, require_plain

Option = bool | float | tuple[float, ...]  # of an optimiser
Weights = Float[Tensor, "seeds k m d"]
StepSizes = Float[Tensor, " seeds"]
State = dict[str, Tensor]  # of an update rule: networks on the first axis, {} before the first step


@runtime_checkable
class StepRule(Protocol):
    """How far to go along the ascent direction, per network."""

    def __call__(self, W: Weights, ascent: Weights) -> StepSizes:
        """The step size of each network."""


@dataclass(frozen=True, slots=True)
class ConstantStep:
    r"""$\eta$ as printed in (3.1), > 0."""

    eta: float

    def __post_init__(self) -> None:
        require_number("eta", "eta", self.eta, 0, inf, "try 1.0", open_low=True)

    def __call__(self, W: Weights, ascent: Weights) -> StepSizes:
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
    steps, nearly all of them while nothing has grown and a correlation grows in proportion to its
    own power q-1: a bounded relative change follows the same path in logarithmically few.  It must
    hold for every class: one that starts late would otherwise take off, both views at once, within
    a step that is small for the others.  The rule sees weights and gradients, never features.

    Attributes:
        max_step: $\eta_{\max} > 0$, in force once weights are large.
        relative_change: r in (0, 1].
        floor: in [0, 1]; keeps a class pulled at right angles to its weights from stopping all.
    """

    max_step: float
    relative_change: float
    floor: float = 0.1

    def __post_init__(self) -> None:
        require_number("max_step", "eta_max", self.max_step, 0, inf, "try 400", open_low=True)
        share = self.relative_change
        require_number("relative_change", "r", share, 0, 1, "try 0.3", open_low=True)
        require_number("floor", "", self.floor, 0, 1, "try 0.1")

    def __call__(self, W: Weights, ascent: Weights) -> StepSizes:
        """The step size of each network."""
        norm = ascent.norm(dim=-1).clamp_min(torch.finfo(W.dtype).tiny)
        learned = ((W * ascent).sum(dim=-1).abs() / norm).amax(dim=2)
        learned = torch.maximum(learned, self.floor * learned.amax(dim=1, keepdim=True))
        step = self.relative_change * learned / norm.amax(dim=2)
        return step.amin(dim=1).clamp_max(self.max_step)


@dataclass(frozen=True, slots=True)
class SharedStep:
    """For networks trained together: the smallest step size that `rule` gives any of them."""

    rule: ConstantStep | BoundedRelativeStep

    def __call__(self, W: Weights, ascent: Weights) -> StepSizes:
        """The same step size for every network."""
        return self.rule(W, ascent).amin().expand(W.shape[0])


@runtime_checkable
class UpdateRule(Protocol):
    """Where each network goes, direction and size, from its gradient and what it remembers."""

    def update(self, W: Weights, ascent: Weights, state: State) -> tuple[Weights, State]:
        """New weights and new state of the networks still training; `ascent` is minus the
        gradient.  A network that stops loses its row of the state."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Optimiser:
    r"""An optimiser of torch.optim; each network is a parameter with a state of its own.

    Attributes:
        name: its class, e.g. "AdamW"; one that takes a gradient of any shape and no closure.
        lr: $\eta > 0$.
        options: its other keywords, e.g. ``{"momentum": 0.9}``; kept as sorted pairs.

    Raises:
        BadInput: if lr is out of range or torch.optim refuses name or options.
    """

    name: str
    lr: float
    options: Mapping[str, Option] | tuple[tuple[str, Option], ...] = ()

    def __post_init__(self) -> None:
        require_number("lr", "eta", self.lr, 0, inf, "try 0.001", open_low=True)
        try:
            object.__setattr__(self, "options", tuple(sorted(dict(self.options).items())))
            self.update(torch.zeros(1, 2, 2, 3), torch.ones(1, 2, 2, 3), {})
        except (AttributeError, RuntimeError, TypeError, ValueError) as error:
            tried, why = (self.name, self.options), str(error).partition("\n")[0]
            raise BadInput(
                f"name, options = {tried!r} must suit an optimiser of torch.optim that takes "
                f"{{'lr': {self.lr}}} and a gradient ({why}); try 'Adam'."
            ) from error

    def update(self, W: Weights, ascent: Weights, state: State) -> tuple[Weights, State]:
        """One step of the optimiser on the gradient -ascent."""
        weights = [w.clone() for w in W]
        make: Any = getattr(torch.optim, self.name)
        optimiser = make(weights, lr=self.lr, **dict(self.options))
        for s, w in enumerate(weights):
            w.grad = -ascent[s]
            own = {name: rows[s].clone() for name, rows in state.items()}
            # Counters stay on the CPU, where torch.optim wants them.
            optimiser.state[w] = {n: v.cpu() if v.ndim == 0 else v for n, v in own.items()}
        optimiser.step()
        states = [optimiser.state[w] for w in weights]
        kept = [n for n, value in states[0].items() if isinstance(value, Tensor)]
        return torch.stack(weights), {n: torch.stack([own[n] for own in states]) for n in kept}


@dataclass(frozen=True, kw_only=True, slots=True)
class DecayingStep:
    r"""Another rule's step size $\eta(W)$, in the end halved again and again:
    $\eta_t = 2^{-\max(0,\, t - t_0) / h}\, \eta(W_t)$.  With it weights come to rest where the
    residual does not.

    Attributes:
        rule: $\eta(W)$.
        after: t_0 >= 0, the last step of full size.
        half_life: h >= 1, steps.

    Raises:
        BadInput: if after or half_life is out of range.
    """

    rule: ConstantStep | BoundedRelativeStep
    after: int
    half_life: int

    def __post_init__(self) -> None:
        require_int("after", "t_0", self.after, 0, "0 makes steps smaller from the first one on")
        require_int("half_life", "h", self.half_life, 1, "try 20")

    def update(self, W: Weights, ascent: Weights, state: State) -> tuple[Weights, State]:
        """One step along the gradient; the state counts them."""
        t = state.get("t", W.new_zeros(len(W)))
        eta = self.rule(W, ascent) * 0.5 ** ((t - self.after).clamp_min(0) / self.half_life)
        return W + eta[:, None, None, None] * ascent, {"t": t + 1}


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
    """Stop each network once it classifies its whole training set correctly, or after `limit`."""

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
        step_rule: how far to go along the gradient (`ConstantStep`, `BoundedRelativeStep`,
            `SharedStep`: (3.1)), or where to go (`Optimiser`, `DecayingStep`, or an `UpdateRule` of
            one's own).
        stop_rule: `FixedSteps` or `WhenFitted`.
        weight_decay: lambda >= 0; each update first shrinks W by (1 - eta lambda) (footnote 9);
            0 where an `UpdateRule` has the word.
    """

    step_rule: StepRule | UpdateRule
    stop_rule: StopRule
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        require_number("weight_decay", "lambda", self.weight_decay, 0, inf, "try 0.0")
        require_plain("step_rule", "eta", self.step_rule)
        decay, need = self.weight_decay, "be 0 beside an update rule"
        fits = decay == 0 or not isinstance(self.step_rule, UpdateRule)
        require(fits, "weight_decay", "lambda", decay, need, "give it to the rule")
