"""A batch for every step in place of the expectation over Z in (3.1): mini-batches, or whatever
makes inputs and soft labels of the training set."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_int, require_plain
from mvlib.core.randomness import stream


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """What one step is trained on.

    Attributes:
        X: inputs.
        labels: y, or soft labels: a probability for each class.
        rows: which training samples these are, in order; None: inputs made anew, of which an
            objective with a teacher knows nothing.
    """

    X: Float[Tensor, "n P d"]
    labels: Int[Tensor, " n"] | Float[Tensor, "n k"]
    rows: Int[Tensor, " n"] | None = None


@runtime_checkable
class Batches(Protocol):
    """What each step is trained on.

    One's own is a frozen dataclass that inherits from this class and gives `batch`.  All networks
    get the same batch: they share the pass over it.
    """

    __slots__ = ()

    @abstractmethod
    def batch(
        self, step: int, X: Float[Tensor, "n P d"], labels: Int[Tensor, " n"], n_classes: int,
        seed: int,
    ) -> Batch:  # fmt: skip
        """The batch of step 0, 1, ..., a function of its arguments alone: whatever needs chance
        takes it from `stream(seed, <a name>, step)`, so that an interrupted training goes on to
        the same numbers."""

    def looks_every(self, n: int) -> int:
        """Steps from one look at the whole training set to the next, n samples; see `train`."""
        return 1

    def check(self, n: int) -> None:
        """Refuse a training set of n samples that this cannot serve."""
        return


@dataclass(frozen=True, slots=True)
class MiniBatches(Batches):
    """B samples a step, each sample once in every ceil(N / B) steps, in an order drawn anew; the
    last batch of such a pass may be smaller.

    Attributes:
        size: B, in [1, N].
    """

    size: int

    def __post_init__(self) -> None:
        require_int("size", "B", self.size, 1, "take at least one sample a step")

    def batch(
        self, step: int, X: Float[Tensor, "n P d"], labels: Int[Tensor, " n"], n_classes: int,
        seed: int,
    ) -> Batch:  # fmt: skip
        """The next B samples of this pass."""
        n = len(labels)
        turn, place = divmod(step, self.looks_every(n))
        order = torch.randperm(n, generator=stream(seed, "batches", turn))
        rows = order[place * self.size : (place + 1) * self.size].to(labels.device)
        return Batch(X=X[rows], labels=labels[rows], rows=rows)

    def looks_every(self, n: int) -> int:
        """ceil(N / B): after each pass."""
        return -(-n // self.size)

    def check(self, n: int) -> None:
        """Refuse B > N."""
        few = "take fewer, or leave batches out for the whole training set"
        require(self.size <= n, "size", "B", self.size, f"be <= N = {n}", few)


MIXED = 16  # samples mixed at a time


@dataclass(frozen=True, slots=True)
class MidpointMixup(Batches):
    r"""Midpoint mixup of Chidambaram, Wang, Wu and Ge (2023): inputs $\frac12 (X + X')$ with soft
    labels $\frac12 (1_y + 1_{y'})$.

    Patches are averaged place by place, so that every view is there at half its strength.  Where
    both samples are of one class, the label is hard.

    Choice: N of the N (N - 1) / 2 pairs a step, the neighbours in an order of all samples that is
    drawn anew: each sample meets two others.
    """

    def batch(
        self, step: int, X: Float[Tensor, "n P d"], labels: Int[Tensor, " n"], n_classes: int,
        seed: int,
    ) -> Batch:  # fmt: skip
        """The midpoints of neighbours in an order of this step's own."""
        order = torch.randperm(len(labels), generator=stream(seed, "midpoints", step))
        order = order.to(labels.device)
        wide = torch.promote_types(X.dtype, torch.float32)
        soft = torch.nn.functional.one_hot(labels, n_classes).to(wide)
        midpoints = torch.empty_like(X)
        # Block by block, in a cache; the mean is rounded once, to the type of the inputs.
        for left, right, made in zip(
            order.split(MIXED), order.roll(1).split(MIXED), midpoints.split(MIXED), strict=True
        ):
            made.copy_(X[left].to(wide).add_(X[right]).mul_(0.5))
        return Batch(X=midpoints, labels=(soft[order] + soft[order.roll(1)]) / 2)

    def looks_every(self, n: int) -> int:
        """10: no look decides when to stop sooner."""
        return 10

    def check(self, n: int) -> None:
        """Refuse N < 2."""
        require(n >= 2, "n_train", "N", n, "be >= 2 to be mixed", "one sample has no partner")


def check_batches(batches: Batches | None, n: int) -> None:
    """Refuse what is no supplier of batches for n training samples, before anything is trained.

    Raises:
        BadInput: if it does not inherit from `Batches`, is no frozen dataclass of numbers and
            words, or cannot serve n samples.
    """
    if batches is not None:
        inherits = isinstance(batches, Batches)
        require(inherits, "batches", "X", batches, "be Batches", "inherit from that class")
        require_plain("batches", "X", batches)
        batches.check(n)


def checked(batch: Batch, step: int, shape: tuple[int, ...], n_classes: int) -> Batch:
    """The batch itself, if its inputs are (n, P, d) as in `shape` and its labels belong to them.

    Raises:
        BadInput: if not; the message names the step.
    """
    found, labels = tuple(batch.X.shape), batch.labels
    fits = len(found) == 3 and found[0] > 0 and found[1:] == shape[1:]
    need = f"have axes (n, {shape[1]}, {shape[2]}) with n >= 1"
    require(fits, f"batch of step {step}", "X", found, need, "as the training set")
    field, soft, given = f"labels of step {step}", (found[0], n_classes), tuple(labels.shape)
    need = f"have shape {found[:1]} or, of soft labels, {soft}"
    require(given in (found[:1], soft), field, "y", given, need, "one for each input")
    if labels.ndim == 2:
        off = float((labels.sum(dim=1) - 1).abs().max())
        need = "be probabilities that sum to 1"
        require(off < 1e-4, field, "y", f"sums off by {off:.2g}", need, "divide by their sum")
    return batch
