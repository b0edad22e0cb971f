r"""Training by gradient descent (3.1), or another rule, all networks at once.

Networks do not interact: each has its own step size and stops by itself, so its weights do not
depend on who is trained beside it (up to rounding of the shared matrix product).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.core.arithmetic import PRECISIONS
from mvlib.core.checks import BadInput, require, require_int
from mvlib.paper.batches import Batch, Batches, check_batches, checked
from mvlib.paper.network import LearnerParams, Streamed, ascent_direction, logits
from mvlib.paper.objectives import Objective
from mvlib.paper.step_rules import Schedule, UpdateRule

Outputs = Float[Tensor, "seeds n k"]
Probe = Callable[[Tensor], Tensor]  # weights (seeds k m d) -> one row a network
Progress = Callable[[int, float], None]  # (step, share of networks still training)


@runtime_checkable
class Checkpoint(Protocol):
    """Where the state of an interrupted training is kept."""

    def load(self) -> dict[str, Tensor] | None:
        """The state saved last, or None."""

    def due(self) -> bool:
        """Whether it is time to save again."""

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Replace the state saved last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trajectory:
    """What training left behind.

    Attributes:
        weights: final W, one network a row.
        stop_step: updates each network received.
        fitted: whether its training error was exactly 0 when it stopped.
        train_outputs: F on the training set at the end.
        recorded_steps: steps t at which the following were recorded (state after t updates).
        loss: mean training loss, nats.
        train_error: share of training samples not classified correctly.
        probes: whatever was asked for, each of shape (records, seeds, ...).
    """

    weights: Float[Tensor, "seeds k m d"]
    stop_step: Int[Tensor, " seeds"]
    fitted: Bool[Tensor, " seeds"]
    train_outputs: Outputs
    recorded_steps: Int[Tensor, " records"]
    loss: Float[Tensor, "records seeds"]
    train_error: Float[Tensor, "records seeds"]
    probes: dict[str, Tensor] = field(default_factory=dict)


def misclassified(F: Outputs, labels: Int[Tensor, " n"]) -> Bool[Tensor, "seeds n"]:
    r"""Inputs for which some other class scores at least as high as the label's:
    $\exists i \ne y: F_y \le F_i$.  Ties count as errors, so an untrained network that answers 0
    everywhere is wrong everywhere, not right on class 0."""
    own = F.gather(2, labels[None, :, None].expand(F.shape[0], -1, 1))
    return (F >= own).sum(dim=2) != 1


def classification_error(F: Outputs, labels: Int[Tensor, " n"]) -> Float[Tensor, " seeds"]:
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
    batches: Batches | None = None,
    batch_seed: int = 0,
) -> Trajectory:
    r"""$w^{(t+1)}_{i,r} = w^{(t)}_{i,r} + \eta_t\, \mathbb E_{\mathcal Z}[a_i(X)\,
    \nabla_{w_{i,r}} F_i(X)] - \eta_t\lambda w^{(t)}_{i,r}$, every network at once; full batch,
    unless `batches` says what each step is trained on.

    Loss, training error and outputs are always those of the whole training set with its hard
    labels.  With `batches` that takes a pass of its own, every `batches.looks_every(N)` steps, at
    every record and at the last step; `WhenFitted` stops a network at the first of these looks,
    records aside, that finds no error.

    Args:
        W0: initial weights; not changed.
        X, labels: the training set, stored or streamed.
        objective: gives the residuals a_i and the loss; for (3.1) `CrossEntropy()`.
        seeds: names of the networks, for error messages (default 0, 1, ...).
        record_every: steps from one record of loss, error and probes to the next; 0: only at the
            end.  A network that has stopped repeats its last state in later records.
        probes: functions of the weights, evaluated at each record.
        progress: called after every step.
        checkpoint: where the state is saved from time to time; a state found there is continued,
            to the very weights that an uninterrupted run gives on the same machine.
        batches: e.g. `MiniBatches(64)`; None: the whole training set.
        batch_seed: of the streams that batches draw from.

    Raises:
        BadInput: if shapes, precision or a state found do not fit together, inputs are beyond the
            range of bfloat16 where they are to be rounded, or batches are larger than N or
            of streamed inputs.
        FloatingPointError: at the first non-finite loss that is looked at, naming step, network
            and step size (of an update rule, the length of the step).

    Paper: eq. (3.1).
    """
    _check_shapes(W0, X, labels)
    _check_range(X, learner)
    stored = batches is None or isinstance(X, Tensor)
    require(stored, "X", "X", tuple(X.shape), "be held in memory to draw batches of", "take fewer")
    require_int("record_every", "", record_every, 0, "0 records the end only")
    n, k = X.shape[0], W0.shape[1]
    objective.check((n, len(W0), k))
    check_batches(batches, n)
    seeds = list(range(len(W0))) if seeds is None else list(seeds)
    probes = probes or {}
    state = _State.resumed(checkpoint, W0, n, learner) or _State.at_start(W0, n)
    objective = objective if bool(state.active.all()) else objective.keep(state.active)
    rule, limit = schedule.stop_rule, schedule.stop_rule.limit
    looks_every = batches.looks_every(n) if batches else 1
    for t in range(state.step, limit + 1):
        recorded = record_every > 0 and t % record_every == 0
        in_turn = t % looks_every == 0 or t == limit
        ascent = None
        if in_turn or recorded:
            ascent = _look(state, X, labels, objective, learner, ascend=batches is None)
            _check_finite(state.loss, t, seeds, state.eta)
        error = state.error[state.active]
        moving = ~rule.stops(error) if in_turn else torch.ones_like(error, dtype=torch.bool)
        last = t == limit or not bool(moving.any())
        if last or recorded:
            state.record(t, probes)
        if progress:
            progress(t, float(moving.sum()) / len(W0))
        if last:
            break
        objective = objective.keep(moving)
        state.stop(moving)
        if batches:
            assert isinstance(X, Tensor)
            batch = checked(batches.batch(t, X, labels, k, batch_seed), t, tuple(X.shape), k)
            _move(state, _ascent_on(batch, state, objective, learner), schedule)
        elif ascent is not None:
            _move(state, ascent[moving], schedule)
        if checkpoint and checkpoint.due():
            precision = torch.tensor(PRECISIONS.index(learner.precision))
            checkpoint.save(state.tensors() | {"precision": precision})
    recorded_rows = {name: torch.stack(rows) for name, rows in state.records.items()}
    return Trajectory(
        weights=state.W,
        stop_step=state.stop_step,
        fitted=state.error == 0,
        train_outputs=state.outputs,
        recorded_steps=torch.tensor(state.steps),
        loss=recorded_rows["loss"],
        train_error=recorded_rows["train_error"],
        probes={name: recorded_rows[name] for name in probes},
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
    memory: dict[str, Tensor] = field(default_factory=dict)  # of an update rule; active networks
    steps: list[int] = field(default_factory=list)  # those recorded
    records: dict[str, list[Tensor]] = field(default_factory=dict)

    @classmethod
    def at_start(cls, W0: Tensor, n: int) -> _State:
        S, k = W0.shape[:2]
        active = torch.ones(S, dtype=torch.bool, device=W0.device)
        loss, error, eta = W0.new_zeros(3, S)
        stop_step, F = torch.zeros_like(active, dtype=torch.long), W0.new_zeros(S, n, k)
        return cls(W0.clone(), active, stop_step, F, loss, error, eta)

    @classmethod
    def resumed(
        cls, checkpoint: Checkpoint | None, W0: Tensor, n: int, learner: LearnerParams
    ) -> _State | None:
        found = checkpoint.load() if checkpoint else None
        if found is None:
            return None
        W, shape = found["W"], tuple(found["outputs"].shape)
        fits = W.shape == W0.shape and W.dtype == W0.dtype and shape == (len(W0), n, W0.shape[1])
        remedy = "it is of another training: remove it"
        require(fits, "checkpoint", "W", tuple(W.shape), f"hold {tuple(W0.shape)}", remedy)
        other = PRECISIONS[int(found["precision"])]
        need = f"be {learner.precision!r}, in which this training goes on"
        require(other == learner.precision, "checkpoint", "precision", other, need, remedy)
        kept: dict[str, Any] = {name: found[name].to(W0.device) for name in _TENSORS}
        state = cls(**kept)
        state.step, state.steps = int(found["step"]), found["steps"].tolist()
        for name, rows in found.items():
            word, _, rest = name.partition(" ")
            if word == "record":
                state.records[rest] = list(rows.to(W0.device))
            elif word == "memory":
                state.memory[rest] = rows.to(W0.device)
        return state

    def tensors(self) -> dict[str, Tensor]:
        """What `resumed` goes on from."""
        state = {name: getattr(self, name) for name in _TENSORS}
        state |= {f"record {name}": torch.stack(rows) for name, rows in self.records.items()}
        state |= {f"memory {name}": value for name, value in self.memory.items()}
        return state | {"step": torch.tensor(self.step), "steps": torch.tensor(self.steps)}

    def record(self, step: int, probes: Mapping[str, Probe]) -> None:
        self.steps.append(step)
        rows = {"loss": self.loss.clone(), "train_error": self.error.clone()}
        for name, row in (rows | {name: probe(self.W) for name, probe in probes.items()}).items():
            self.records.setdefault(name, []).append(row)

    def stop(self, moving: Tensor) -> None:
        """Of the active networks those that are not moving stop here."""
        if not bool(moving.all()):
            self.active[self.active.nonzero().squeeze(1)[~moving]] = False
            self.memory = {n: rows[moving.to(rows.device)] for n, rows in self.memory.items()}
        self.step += 1
        self.stop_step[self.active] = self.step


_TENSORS = ("W", "active", "stop_step", "outputs", "loss", "error", "eta")


def _look(
    state: _State, X: Tensor | Streamed, labels: Tensor, objective: Objective,
    learner: LearnerParams, *, ascend: bool,
) -> Tensor | None:  # fmt: skip
    """One pass over the data: the active networks' outputs, loss and error are noted in the state;
    their ascent direction, if wanted, comes from the same pass."""
    active = state.active.nonzero().squeeze(1)
    loss, wrong, ascent = state.loss.new_zeros(len(active)), torch.zeros_like(active), None

    def note(F: Tensor, rows: slice) -> None:
        y = labels[rows]
        state.outputs[active, rows] = F.transpose(0, 1)
        loss.add_(objective.loss(F, y).sum(dim=0))
        wrong.add_(misclassified(objective.scores(F).transpose(0, 1), y).sum(dim=1))

    def residual(F: Tensor, rows: slice) -> Tensor:
        note(F, rows)
        return objective.residual(F, labels[rows], rows)

    if ascend:
        ascent = ascent_direction(state.W[active], X, residual, learner)
    else:
        note(logits(state.W[active], X, learner).transpose(0, 1), slice(0, X.shape[0]))
    state.loss[active] = loss / X.shape[0]
    state.error[active] = wrong.to(loss.dtype) / X.shape[0]
    return ascent


def _ascent_on(batch: Batch, state: _State, objective: Objective, learner: LearnerParams) -> Tensor:
    def residual(F: Tensor, rows: slice) -> Tensor:
        places = None if batch.rows is None else batch.rows[rows]
        return objective.residual(F, batch.labels[rows], places)

    return ascent_direction(state.W[state.active], batch.X, residual, learner)


def _move(state: _State, ascent: Tensor, schedule: Schedule) -> None:
    """One update of the active networks."""
    current, rule = state.W[state.active], schedule.step_rule
    if isinstance(rule, UpdateRule):
        moved, state.memory = rule.update(current, ascent, state.memory)
        state.eta[state.active] = (moved - current).flatten(1).norm(dim=1)
        state.W[state.active] = moved
        return
    state.eta[state.active] = rule(current, ascent)
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


def _check_range(X: Tensor | Streamed, learner: LearnerParams) -> None:
    """Inputs held in a wider type are rounded block by block: none may leave the range."""
    if isinstance(X, Tensor) and learner.rounds_inputs and X.dtype != torch.bfloat16:
        largest = max(abs(float(end)) for end in X.aminmax())  # without a copy of X
        bound = torch.finfo(torch.bfloat16).max
        need = f"be <= {bound:.3g} in size to be rounded to bfloat16"
        require(largest <= bound, "X", "X", largest, need, "scale the inputs, or keep float32")


def _check_finite(loss: Tensor, step: int, seeds: Sequence[int], eta: Tensor) -> None:
    bad = ~loss.isfinite()
    if bool(bad.any()):
        i = int(bad.nonzero()[0, 0])
        raise FloatingPointError(
            f"loss of network {seeds[i]} is {float(loss[i])} at step {step}, after a step of size "
            f"{float(eta[i]):.3g}; lower the step size."
        )
