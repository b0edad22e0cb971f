r"""Gradient descent (3.1) on all networks at once.

Networks do not interact: each has its own step size and stops by itself, so a network's weights
do not depend on who is trained beside it (up to rounding of the shared matrix product).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.checks import BadInput, require, require_int, require_number
from mvlib.learner import LearnerParams, outputs_and_ascent
from mvlib.objectives import Objective

Probe = Callable[[Tensor], Tensor]  # weights (seeds k m d) -> one row a network
Progress = Callable[[int, float], None]  # (step, share of networks still training)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """What training left behind.

    Attributes:
        weights: final W, one network a row.
        stop_step: updates each network received.
        fitted: whether its training error was exactly 0 when it stopped.
        train_outputs: F on the training set at the end, shape (seeds, n, k).
        recorded_steps: steps t at which the following were recorded (state after t updates).
        loss: mean training loss, nats, shape (records, seeds).
        train_error: share of training samples not classified correctly, same shape.
        probes: whatever was asked for, each of shape (records, seeds, ...).
    """

    weights: Float[Tensor, "seeds k m d"]
    stop_step: Int[Tensor, " seeds"]
    fitted: Bool[Tensor, " seeds"]
    train_outputs: Float[Tensor, "seeds n k"]
    recorded_steps: Int[Tensor, " records"]
    loss: Float[Tensor, "records seeds"]
    train_error: Float[Tensor, "records seeds"]
    probes: dict[str, Tensor] = field(default_factory=dict)


def classification_error(
    F: Float[Tensor, "seeds n k"], labels: Int[Tensor, " n"]
) -> Float[Tensor, " seeds"]:
    r"""Share of inputs for which some other class scores at least as high as the label's:
    $\Pr[\exists i \ne y: F_y \le F_i]$.  Ties count as errors, so an untrained network that
    answers 0 everywhere is wrong everywhere, not right on class 0."""
    k = F.shape[-1]
    own = F.gather(2, labels[None, :, None].expand(F.shape[0], -1, 1)).squeeze(2)
    other = F.masked_fill(torch.arange(k, device=F.device) == labels[:, None], -torch.inf)
    return (own <= other.amax(dim=2)).to(F.dtype).mean(dim=1)


def train(
    W0: Float[Tensor, "seeds k m d"],
    X: Float[Tensor, "n P d"],
    labels: Int[Tensor, " n"],
    objective: Objective,
    *,
    learner: LearnerParams,
    schedule: Schedule,
    seeds: Sequence[int] | None = None,
    record_every: int = 0,
    probes: Mapping[str, Probe] | None = None,
    progress: Progress | None = None,
) -> Trajectory:
    r"""$w^{(t+1)}_{i,r} = w^{(t)}_{i,r} + \eta_t\, \mathbb E_{\mathcal Z}[a_i(X)\,
    \nabla_{w_{i,r}} F_i(X)] - \eta_t\lambda w^{(t)}_{i,r}$, full batch, every network at once.

    Args:
        W0: initial weights; not changed.
        X, labels: the training set.
        objective: gives the residuals a_i and the loss; for (3.1) `CrossEntropy()`.
        seeds: names of the networks, for error messages (default 0, 1, ...).
        record_every: record loss, error and probes every so many steps and at the end; 0: only
            at the end.  A network that has stopped repeats its last state in later records.
        probes: functions of the weights, evaluated at each record.
        progress: called after every step with (step, share of networks still training).

    Raises:
        BadInput: if shapes do not fit together.
        FloatingPointError: at the first non-finite loss, naming step, network and step size.

    Paper: eq. (3.1).
    """
    _check_shapes(W0, X, labels)
    require_int("record_every", "", record_every, 0, "0 records the end only")
    S, k = W0.shape[:2]
    objective.check((len(X), S, k))
    seeds = list(range(S)) if seeds is None else list(seeds)
    rule, limit = schedule.stop_rule, schedule.stop_rule.limit
    W = W0.clone()
    active = torch.arange(S, device=W.device)
    stop_step = torch.zeros(S, dtype=torch.long, device=W.device)
    outputs = W.new_zeros(S, len(X), k)
    loss, error = W.new_zeros(S), W.new_zeros(S)
    eta = W.new_zeros(S)
    book = _Records(probes or {})

    def residual(F: Tensor, rows: slice) -> Tensor:
        return objective.residual(F, labels[rows], rows)

    for t in range(limit + 1):
        F, ascent = outputs_and_ascent(W[active], X, residual, learner)
        outputs[active] = F
        loss[active] = objective.loss(F.transpose(0, 1), labels).mean(dim=0)
        counted = objective.scores(F.transpose(0, 1)).transpose(0, 1)
        error[active] = classification_error(counted, labels)
        _check_finite(loss, t, seeds, eta)
        stopping = rule.stops(error[active])
        stop_step[active] = t
        moving = ~stopping
        last = t == limit or not bool(moving.any())
        if last or (record_every and t % record_every == 0):
            book.add(t, W, loss, error)
        if progress:
            progress(t, float(moving.sum()) / S)
        if last:
            break
        active, ascent, objective = active[moving], ascent[moving], objective.keep(moving)
        current = W[active]
        eta[active] = schedule.step_rule(current, ascent)
        step = eta[active][:, None, None, None]
        W[active] = current * (1 - step * schedule.weight_decay) + step * ascent
    return Trajectory(
        weights=W,
        stop_step=stop_step,
        fitted=error == 0,
        train_outputs=outputs,
        recorded_steps=torch.tensor(book.steps),
        loss=torch.stack(book.loss),
        train_error=torch.stack(book.error),
        probes={name: torch.stack(rows) for name, rows in book.probes.items()},
    )


class _Records:
    """Rows of a trajectory as they come in."""

    def __init__(self, probes: Mapping[str, Probe]) -> None:
        self.functions = probes
        self.steps: list[int] = []
        self.loss: list[Tensor] = []
        self.error: list[Tensor] = []
        self.probes: dict[str, list[Tensor]] = {name: [] for name in probes}

    def add(self, step: int, W: Tensor, loss: Tensor, error: Tensor) -> None:
        self.steps.append(step)
        self.loss.append(loss.clone())
        self.error.append(error.clone())
        for name, function in self.functions.items():
            self.probes[name].append(function(W))


def _check_shapes(W: Tensor, X: Tensor, labels: Tensor) -> None:
    require(W.ndim == 4, "W0", "W", tuple(W.shape), "have axes (seeds, k, m, d)", "add an axis")
    d = W.shape[3]
    fits = X.ndim == 3 and X.shape[2] == d and len(X) > 0
    need = f"have axes (n, P, {d}) with n >= 1"
    require(fits, "X", "X", tuple(X.shape), need, "match the weights' d")
    same = labels.shape == (len(X),)
    require(same, "labels", "y", tuple(labels.shape), f"have shape ({len(X)},)", "one a sample")
    k = W.shape[1]
    if int(labels.min()) < 0 or int(labels.max()) >= k:
        raise BadInput(
            f"labels (y) = {int(labels.min())}..{int(labels.max())} must lie in 0..{k - 1}; "
            "number the classes from 0."
        )


def _check_finite(loss: Tensor, step: int, seeds: Sequence[int], eta: Tensor) -> None:
    bad = ~torch.isfinite(loss)
    if bool(bad.any()):
        i = int(bad.nonzero()[0, 0])
        raise FloatingPointError(
            f"loss of network {seeds[i]} is {float(loss[i])} at step {step}, after a step of size "
            f"{float(eta[i]):.3g}; lower the step size."
        )
