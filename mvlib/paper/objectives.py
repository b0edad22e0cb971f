r"""The residuals a_i(X) of (3.1), of distillation (4.3) and of others.

Every update of the paper has the form $\mathbb E[a_i(X)\,\nabla_{w_{i,r}} F_i(X)]$.  An objective
is the function that returns $a_i(X)$; nothing else distinguishes training from distillation.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from math import inf
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mvlib.core.checks import require, require_number

Scores = Float[Tensor, "n seeds k"]  # F, and what has one number for each of its
Labels = Int[Tensor, " n"] | Float[Tensor, "n k"]  # y, or soft labels: each class's probability
Rows = slice | Tensor | None  # where in the training set samples stand; None: they are not of it

# In book and explorable: c of (4.1), tau of (4.2), eta'/eta of (4.3).
TEACHER_SCALE, TAU, RATE_RATIO = 8.0, 0.4, 4.0


@runtime_checkable
class Objective(Protocol):
    """How hard each output of each network is pulled.

    A class that inherits from this one says its `residual`; the rest holds for networks trained on
    the labels, each by itself.  A study holds a frozen dataclass of numbers and words: they and its
    name enter the key of what is stored, its code does not.
    """

    __slots__ = ()

    @abstractmethod
    def residual(self, F: Scores, labels: Labels, rows: Rows) -> Scores:
        """a_i(X) for the samples `rows` of the training set, or for others (rows None)."""

    def scores(self, F: Scores) -> Scores:
        """Those whose loss is reported and whose training error decides when to stop."""
        return F

    def loss(self, F: Scores, labels: Labels) -> Float[Tensor, "n seeds"]:
        """The cross-entropy of `scores`, in nats; not always what the residual descends."""
        return cross_entropy(self.scores(F), labels)

    def check(self, shape: tuple[int, int, int]) -> None:
        """Refuse a training run whose scores have this shape, (n, seeds, k), if it does not fit."""
        return

    def keep(self, networks: Bool[Tensor, " seeds"]) -> Objective:
        """The objective of these networks alone, once the others have stopped."""
        return self


def cross_entropy_residual(F: Scores, labels: Labels) -> Scores:
    r"""$1_{i=y} - \mathrm{softmax}_i(F(X))$: minus the derivative of the cross-entropy by F_i; for
    soft labels t, $t_i - \mathrm{softmax}_i(F(X))$."""
    a = -F.softmax(dim=-1)
    if labels.ndim == 2:
        return a.add_(labels[:, None])
    a[torch.arange(len(labels), device=F.device), :, labels] += 1
    return a


def cross_entropy(F: Scores, labels: Labels) -> Float[Tensor, "n seeds"]:
    r"""$-\log \mathrm{softmax}_y(F(X))$, in nats; for soft labels t,
    $-\sum_i t_i \log \mathrm{softmax}_i(F(X))$."""
    if labels.ndim == 2:
        return -(labels[:, None] * F.log_softmax(dim=-1)).sum(dim=-1)
    index = labels[:, None, None].expand(-1, F.shape[1], 1)
    return -F.log_softmax(dim=-1).gather(2, index).squeeze(2)


@dataclass(frozen=True, slots=True)
class CrossEntropy(Objective):
    r"""Training on the labels: residual $1_{i=y} - \mathrm{softmax}_i(F(X))$.

    The gradient printed at the end of Section 3.2 has $1_{i \ne y}$ in its place.
    """

    def residual(self, F: Scores, labels: Labels, rows: Rows) -> Scores:
        """See `cross_entropy_residual`."""
        return cross_entropy_residual(F, labels)


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelSmoothing(Objective):
    r"""Hard labels with a share of their probability spread over all classes: residual
    $(1 - \epsilon) 1_{i=y} + \epsilon / k - \mathrm{softmax}_i(F(X))$.

    Attributes:
        share: $\epsilon$ in [0, 1); 0 is `CrossEntropy`.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        require_number("share", "epsilon", self.share, 0, 0.999, "try 0.1")

    def residual(self, F: Scores, labels: Labels, rows: Rows) -> Scores:
        """That of the cross-entropy, a share of it against the uniform label."""
        a = cross_entropy_residual(F, labels).mul_(1 - self.share)
        return a.sub_(self.share * (F.softmax(dim=-1) - 1 / F.shape[-1]))


@dataclass(frozen=True, kw_only=True, slots=True)
class AverageCrossEntropy(Objective):
    r"""Hard labels for the average of all networks trained together,
    $\bar F = c \sum_{\ell} F_\ell$: every member is pulled by the average's residual, times c.

    Attributes:
        scale: c > 0; 1/L trains the mean of L networks, 1 their sum, which is one network L
            times as wide.
    """

    scale: float

    def __post_init__(self) -> None:
        tip = "1 / L for the mean of L networks"
        require_number("scale", "c", self.scale, 0, inf, tip, open_low=True)

    def residual(self, F: Scores, labels: Labels, rows: Rows) -> Scores:
        """c times the residual of the average, the same for every member."""
        return self.scale * cross_entropy_residual(self.scores(F), labels)

    def scores(self, F: Scores) -> Scores:
        """The average, repeated for every member."""
        return self.scale * F.sum(dim=1, keepdim=True).expand_as(F)


def truncated_logit(F: Float[Tensor, "*batch k"], *, tau: float) -> Float[Tensor, "*batch k"]:
    r"""$\mathrm{logit}^\tau_i(F) = e^{\min\{\tau^2 F_i, 1\}/\tau} / \sum_j e^{\min\{\tau^2 F_j,
    1\}/\tau}$.

    A probability, not a score.  Every output above $1/\tau^2$ counts as equally present: the soft
    label of a strong teacher is uniform over the classes whose views it sees.

    Raises:
        BadInput: if tau <= 0.

    Paper: eq. (4.2).
    """
    _require_tau(tau)
    return ((tau**2 * F).clamp(max=1) / tau).softmax(dim=-1)


def _require_tau(tau: float) -> None:
    require_number("tau", "tau", tau, 0, inf, "the paper: 1 / log(k)^2", open_low=True)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Distillation(Objective):
    """What both kinds of distillation share: one teacher for all students, or one for each."""

    teacher_outputs: Float[Tensor, "teachers n k"]

    def check(self, shape: tuple[int, int, int]) -> None:
        n, seeds, k = shape
        G = self.teacher_outputs
        fits = G.ndim == 3 and G.shape[0] in (1, seeds) and G.shape[1:] == (n, k)
        need = f"match the students' (1 or {seeds}, n, {k}) on the same training set"
        require(fits, "teacher_outputs", "G", tuple(G.shape), need, "evaluate the teacher on it")

    def keep(self, networks: Bool[Tensor, " seeds"]) -> Objective:
        G = self.teacher_outputs
        return self if len(G) == 1 else replace(self, teacher_outputs=G[networks])

    def _teacher(self, rows: Rows) -> Float[Tensor, "n teachers k"]:
        known = "be given: the teacher's outputs are known on training samples alone"
        require(rows is not None, "rows", "", None, known, "say them in each Batch")
        return self.teacher_outputs[:, rows].transpose(0, 1)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TruncatedDistillation(_Distillation):
    r"""The paper's distillation: residual
    $(1_{i=y} - \mathrm{softmax}_i(F)) - \frac{\eta'}{\eta} [\mathrm{logit}^\tau_i(F) -
    \mathrm{logit}^\tau_i(G)]^-$ with $[a]^- = \min(0, a)$.

    The second term only pushes outputs up, where the teacher's soft label exceeds the student's.
    It is not switched off beyond the cap: growth above $1/\tau^2$ leaves the student's soft label
    as it is, so the push goes on for as long as that falls short.  It is not the gradient of any
    loss; `loss` reports the cross-entropy.

    Attributes:
        teacher_outputs: G on the training set, shape (1, n, k) for one teacher or (seeds, n, k)
            for a teacher each; the scale of (4.1) is already in it.
        tau: > 0.
        rate_ratio: $\eta'/\eta$ >= 0, the paper's poly(k).
        stop_at_cap: False as printed.  Choice: True drops the push on outputs above $1/\tau^2$,
            as differentiating through the truncation would; then a student that has matched its
            teacher's visible classes is left alone.

    Paper: eq. (4.3).
    """

    tau: float
    rate_ratio: float
    stop_at_cap: bool = False

    def __post_init__(self) -> None:
        require_number("rate_ratio", "eta'/eta", self.rate_ratio, 0, inf, "try 300")
        _require_tau(self.tau)

    def residual(self, F: Scores, labels: Labels, rows: Rows) -> Scores:
        """Both terms, for the training samples `rows`."""
        G = self._teacher(rows)
        missing = truncated_logit(F, tau=self.tau) - truncated_logit(G, tau=self.tau)
        push = -self.rate_ratio * missing.clamp(max=0)
        if self.stop_at_cap:
            push = push * (self.tau**2 * F < 1)
        return cross_entropy_residual(F, labels) + push


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TemperatureDistillation(_Distillation):
    r"""Hinton, Vinyals and Dean's form: cross-entropy plus $\lambda T^2\,
    \mathrm{KL}(\mathrm{softmax}(G/T) \,\|\, \mathrm{softmax}(F/T))$, whose residual
    $\lambda T(\mathrm{softmax}_i(G/T) - \mathrm{softmax}_i(F/T))$ has both signs.

    Attributes:
        teacher_outputs: as in `TruncatedDistillation`.
        temperature: T > 0.
        weight: lambda >= 0.
    """

    temperature: float
    weight: float

    def __post_init__(self) -> None:
        require_number("temperature", "T", self.temperature, 0, inf, "try 4", open_low=True)
        require_number("weight", "lambda", self.weight, 0, inf, "try 10")

    def residual(self, F: Scores, labels: Labels, rows: Rows) -> Scores:
        """Both terms, for the training samples `rows`."""
        T, G = self.temperature, self._teacher(rows)
        soft = (G / T).softmax(dim=-1) - (F / T).softmax(dim=-1)
        return cross_entropy_residual(F, labels) + self.weight * T * soft
