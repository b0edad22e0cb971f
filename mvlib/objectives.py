r"""What a network is trained on, as a residual: how hard each output is pulled, and which way.

Every update of the paper has the form $\mathbb E[a_i(X)\,\nabla_{w_{i,r}} F_i(X)]$.  An objective
is the function that returns $a_i(X)$; nothing else distinguishes training from distillation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Objective(Protocol):
    """Residuals and loss of every network on a block of training samples."""

    def residual(
        self, F: Float[Tensor, "n seeds k"], labels: Int[Tensor, " n"], rows: slice
    ) -> Float[Tensor, "n seeds k"]:
        """a_i(X) for the samples `rows` of the training set."""
        ...

    def loss(
        self, F: Float[Tensor, "n seeds k"], labels: Int[Tensor, " n"]
    ) -> Float[Tensor, "n seeds"]:
        """The loss of each network on each sample, in nats."""
        ...


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    r"""$L = -\log \mathrm{softmax}_y(F(X))$, residual $1_{i=y} - \mathrm{softmax}_i(F(X))$.

    The gradient printed at the end of Section 3.2 has $1_{i \ne y}$; minus the gradient of this
    loss is $(1_{i=y} - \mathrm{logit}_i)\nabla F_i$, which is what is used here.
    """

    def residual(
        self, F: Float[Tensor, "n seeds k"], labels: Int[Tensor, " n"], rows: slice
    ) -> Float[Tensor, "n seeds k"]:
        """$1_{i=y} - \\mathrm{softmax}_i(F(X))$; `rows` is not needed: no teacher."""
        del rows
        a = -F.softmax(dim=-1)
        a[torch.arange(len(labels), device=F.device), :, labels] += 1
        return a

    def loss(
        self, F: Float[Tensor, "n seeds k"], labels: Int[Tensor, " n"]
    ) -> Float[Tensor, "n seeds"]:
        """$-\\log \\mathrm{softmax}_y(F(X))$, in nats."""
        log_probability = F.log_softmax(dim=-1)
        index = labels[:, None, None].expand(-1, F.shape[1], 1)
        return -log_probability.gather(2, index).squeeze(2)
