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

from mvlib.checks import BadInput, require, require_int
from mvlib.learner import LearnerParams, Streamed, ascent_direction
from mvlib.objectives import Objective
from mvlib.schedule import (
    BoundedRelativeStep,
    ConstantStep,
    FixedSteps,
    Schedule,
    SharedStep,
    StepRule,
    StopRule,
    WhenFitted,
)

Probe = Callable[[Tensor], Tensor]  # weights (seeds k m d) -> one row a network
Progress = Callable[[int, float], None]  # (step, share of networks still training)


@runtime_checkable
class Checkpoint(Protocol):
    """Where the state of an interrupted training is kept."""

    def load(self) -> dict[str, Tensor] | None:
        """The state saved last, or None."""
        ...

    def due(self) -> bool:
        """Whether it is time to save again."""
        ...

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Replace the state saved last."""
        ...


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


def misclassified(
    F: Float[Tensor, "seeds n k"], labels: Int[Tensor, " n"]
) -> Bool[Tensor, "seeds n"]:
    r"""Inputs for which some other class scores at least as high as the label's:
    $\exists i \ne y: F_y \le F_i$.  Ties count as errors, so an untrained network that answers 0
    everywhere is wrong everywhere, not right on class 0."""
    own = F.gather(2, labels[None, :, None].expand(F.shape[0], -1, 1))
    return (F >= own).sum(dim=2) != 1


def classification_error(
    F: Float[Tensor, "seeds n k"], labels: Int[Tensor, " n"]
) -> Float[Tensor, " seeds"]:
    """Share of inputs that are `misclassified`."""
    return misclassified(F, labels).to(F.dtype).mean(dim=1)


def train(
    W0: Float[Tensor, "seeds k m d"],
    X: Float[Tensor, "n P d"] | Streamed,
    labels: Int[Tensor, " n"],
    objective: Objective,
    *,
    learner: LearnerParams,
    schedule: Schedule,
    seeds: Sequence[int] | None = None,
    record_every: int = 0,
    probes: Mapping[str, Probe] | None = None,
    progress: Progress | None = None,
    checkpoint: Checkpoint | None = None,
) -> Trajectory:
    r"""$w^{(t+1)}_{i,r} = w^{(t)}_{i,r} + \eta_t\, \mathbb E_{\mathcal Z}[a_i(X)\,
    \nabla_{w_{i,r}} F_i(X)] - \eta_t\lambda w^{(t)}_{i,r}$, full batch, every network at once.

    Args:
        W0: initial weights; not changed.
        X, labels: the training set, stored or streamed.
        objective: gives the residuals a_i and the loss; for (3.1) `CrossEntropy()`.
        seeds: names of the networks, for error messages (default 0, 1, ...).
        record_every: record loss, error and probes every so many steps and at the end; 0: only
            at the end.  A network that has stopped repeats its last state in later records.
        probes: functions of the weights, evaluated at each record.
        progress: called after every step with (step, share of networks still training).
        checkpoint: where the state is saved from time to time; a state found there is continued,
            to the very weights that an uninterrupted run gives on the same machine.

    Raises:
        BadInput: if shapes do not fit together, or a state found does not fit them.
        FloatingPointError: at the first non-finite loss, naming step, network and step size.

    Paper: eq. (3.1).
    """
    _check_shapes(W0, X, labels)
    require_int("record_every", "", record_every, 0, "0 records the end only")
    objective.check((X.shape[0], *W0.shape[:2]))
    seeds = list(range(len(W0))) if seeds is None else list(seeds)
    probes = probes or {}
    state = _resumed(checkpoint, W0, X.shape[0]) or _State.at_start(W0, X.shape[0])
    objective = objective if bool(state.active.all()) else objective.keep(state.active)
    rule, limit = schedule.stop_rule, schedule.stop_rule.limit
    for t in range(state.step, limit + 1):
        ascent = _look(state, X, labels, objective, learner)
        _check_finite(state.loss, t, seeds, state.eta)
        moving = ~rule.stops(state.error[state.active])
        last = t == limit or not bool(moving.any())
        if last or (record_every and t % record_every == 0):
            state.record(t, probes)
        if progress:
            progress(t, float(moving.sum()) / len(W0))
        if last:
            break
        objective = objective.keep(moving)
        state.stop(moving)
        _move(state, ascent[moving], schedule)
        if checkpoint and checkpoint.due():
            checkpoint.save(state.tensors())
    return Trajectory(
        weights=state.W,
        stop_step=state.stop_step,
        fitted=state.error == 0,
        train_outputs=state.outputs,
        recorded_steps=torch.tensor(state.steps),
        loss=torch.stack(state.records["loss"]),
        train_error=torch.stack(state.records["train_error"]),
        probes={name: torch.stack(state.records[name]) for name in probes},
    )


@dataclass(slots=True)
class _State:
    """All that training knows between two steps; networks on the first axis."""

    W: Tensor
    active: Tensor  # still training
    stop_step: Tensor
    outputs: Tensor
    loss: Tensor
    error: Tensor
    eta: Tensor
    step: int = 0
    steps: list[int] = field(default_factory=list)  # those recorded
    records: dict[str, list[Tensor]] = field(default_factory=dict)

    @classmethod
    def at_start(cls, W0: Tensor, n: int) -> _State:
        S, k = W0.shape[:2]
        return cls(
            W=W0.clone(),
            active=torch.ones(S, dtype=torch.bool, device=W0.device),
            stop_step=torch.zeros(S, dtype=torch.long, device=W0.device),
            outputs=W0.new_zeros(S, n, k),
            loss=W0.new_zeros(S),
            error=W0.new_zeros(S),
            eta=W0.new_zeros(S),
        )

    def record(self, step: int, probes: Mapping[str, Probe]) -> None:
        self.steps.append(step)
        rows = {"loss": self.loss.clone(), "train_error": self.error.clone()}
        for name, row in (rows | {name: probe(self.W) for name, probe in probes.items()}).items():
            self.records.setdefault(name, []).append(row)

    def stop(self, moving: Tensor) -> None:
        """Of the active networks those that are not moving stop here."""
        self.active[self.active.nonzero().squeeze(1)[~moving]] = False
        self.step += 1
        self.stop_step[self.active] = self.step

    def tensors(self) -> dict[str, Tensor]:
        rows = {f"record {name}": torch.stack(rows) for name, rows in self.records.items()}
        state = {name: getattr(self, name) for name in _TENSORS}
        return state | rows | {"step": torch.tensor(self.step), "steps": torch.tensor(self.steps)}

    @classmethod
    def from_tensors(cls, found: Mapping[str, Tensor], like: Tensor) -> _State:
        on = {name: tensor.to(like.device) for name, tensor in found.items()}
        records = {
            name.removeprefix("record "): list(rows.unbind(0))
            for name, rows in on.items()
            if name.startswith("record ")
        }
        steps = [int(t) for t in found["steps"]]
        state = {name: on[name] for name in _TENSORS}
        return cls(**state, step=int(found["step"]), steps=steps, records=records)


_TENSORS = ("W", "active", "stop_step", "outputs", "loss", "error", "eta")


def _resumed(checkpoint: Checkpoint | None, W0: Tensor, n: int) -> _State | None:
    found = checkpoint.load() if checkpoint else None
    if found is None:
        return None
    shape, need = tuple(found["outputs"].shape), (len(W0), n, W0.shape[1])
    remedy = "it is of another training: remove it"
    fits = found["W"].shape == W0.shape and shape == need and found["W"].dtype == W0.dtype
    require(fits, "checkpoint", "W", tuple(found["W"].shape), f"hold {tuple(W0.shape)}", remedy)
    return _State.from_tensors(found, like=W0)


def _look(
    state: _State,
    X: Tensor | Streamed,
    labels: Tensor,
    objective: Objective,
    learner: LearnerParams,
) -> Tensor:
    """One pass over the data: the active networks' ascent direction; their outputs, loss and error
    are noted in the state."""
    active = state.active.nonzero().squeeze(1)
    loss = state.loss.new_zeros(len(active))
    wrong = torch.zeros_like(active)

    def residual(F: Tensor, rows: slice) -> Tensor:
        y = labels[rows]
        state.outputs[active, rows] = F.transpose(0, 1)
        loss.add_(objective.loss(F, y).sum(dim=0))
        wrong.add_(misclassified(objective.scores(F).transpose(0, 1), y).sum(dim=1))
        return objective.residual(F, y, rows)

    ascent = ascent_direction(state.W[active], X, residual, learner)
    state.loss[active] = loss / X.shape[0]
    state.error[active] = wrong.to(loss.dtype) / X.shape[0]
    return ascent


def _move(state: _State, ascent: Tensor, schedule: Schedule) -> None:
    """One update of the active networks."""
    current = state.W[state.active]
    state.eta[state.active] = schedule.step_rule(current, ascent)
    step = state.eta[state.active][:, None, None, None]
    state.W[state.active] = current * (1 - step * schedule.weight_decay) + step * ascent


def _check_shapes(W: Tensor, X: Tensor | Streamed, labels: Tensor) -> None:
    require(W.ndim == 4, "W0", "W", tuple(W.shape), "have axes (seeds, k, m, d)", "add an axis")
    d, shape = W.shape[3], tuple(X.shape)
    fits = len(shape) == 3 and shape[2] == d and shape[0] > 0
    require(fits, "X", "X", shape, f"have axes (n, P, {d}) with n >= 1", "match the weights' d")
    same = labels.shape == shape[:1]
    require(same, "labels", "y", tuple(labels.shape), f"have shape {shape[:1]}", "one a sample")
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


__all__ = [
    "BoundedRelativeStep",
    "Checkpoint",
    "ConstantStep",
    "FixedSteps",
    "Probe",
    "Progress",
    "Schedule",
    "SharedStep",
    "StepRule",
    "StopRule",
    "Trajectory",
    "WhenFitted",
    "classification_error",
    "misclassified",
    "train",
]
