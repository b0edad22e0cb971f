r"""Networks frozen at their initialisation: the neural tangent kernel of the learner (Section 2.1).

Linearised at $W_0$, the network is a linear function of the features
$\Phi_{W_0}(X) = \nabla_W F(W_0, X)$, whose block for neuron (i, r) is
$\phi_{i,r}(X) = \sum_p \widetilde{ReLU}'(\langle w_{i,r}, x_p\rangle)\, x_p \in \mathbb R^d$ and
acts on output i alone.  Hence one kernel for each class and no interaction between outputs except
through the loss.  Names follow the NTK literature: `ntk`, `linearize`, `k_train_train`.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.checks import BadInput, require_int, require_number
from mvlib.learner import LearnerParams, logits, smoothed_relu_slope

MEMORY_LIMIT = 1 << 30  # bytes that a kernel and its working blocks may take by default


def tangent_features(
    W0: Float[Tensor, "k m d"], X: Float[Tensor, "n P d"], learner: LearnerParams, *, output: int
) -> Float[Tensor, "n md"]:
    r"""$\phi_{i,r}(X)$ for the m neurons of one output i, side by side."""
    slope = smoothed_relu_slope(
        X @ W0[output].T, power=learner.power, threshold=learner.threshold
    )  # (n, P, m)
    return torch.bmm(slope.transpose(1, 2), X).reshape(len(X), -1)


def ntk(
    W0: Float[Tensor, "k m d"],
    x1: Float[Tensor, "n1 P d"],
    x2: Float[Tensor, "n2 P d"] | None,
    learner: LearnerParams,
    *,
    memory_limit: int = MEMORY_LIMIT,
) -> Float[Tensor, "k n1 n2"]:
    r"""$K_i(X, X') = \langle \nabla_W F_i(W_0, X), \nabla_W F_i(W_0, X') \rangle$ for each class.

    `x2` None means `x1`.  Features of all of `x2` for one class, and of a block of `x1`, are held
    at a time; the block is chosen to stay within `memory_limit` bytes.

    Raises:
        BadInput: if the result with the features of `x2` does not fit; the message says the size.
    """
    x2 = x1 if x2 is None else x2
    k, m, d = W0.shape
    size = W0.element_size()
    fixed = size * (k * len(x1) * len(x2) + len(x2) * m * d)
    per_row = size * (m * d + x1.shape[1] * m)
    if fixed + per_row > memory_limit:
        raise BadInput(
            f"memory_limit = {memory_limit} bytes must be at least {fixed + per_row} for kernels "
            f"of {len(x1)} x {len(x2)} inputs, k = {k} classes and m d = {m * d} features; use "
            "fewer inputs, or raise memory_limit."
        )
    rows = max(1, min(len(x1), (memory_limit - fixed) // per_row))
    kernel = W0.new_empty(k, len(x1), len(x2))
    for i in range(k):
        right = tangent_features(W0, x2, learner, output=i)
        for start in range(0, len(x1), rows):
            part = slice(start, start + rows)
            left = tangent_features(W0, x1[part], learner, output=i)
            kernel[i, part] = left @ right.T
    return kernel


def linearize(
    W0: Float[Tensor, "k m d"],
    W: Float[Tensor, "k m d"],
    X: Float[Tensor, "n P d"],
    learner: LearnerParams,
) -> Float[Tensor, "n k"]:
    r"""$F(W_0, X) + \langle W - W_0, \nabla_W F(W_0, X)\rangle$."""
    change = [
        tangent_features(W0, X, learner, output=i) @ (W[i] - W0[i]).reshape(-1)
        for i in range(W0.shape[0])
    ]
    return logits(W0[None], X, learner)[0] + torch.stack(change, dim=1)


def kernel_ridge(
    k_train_train: Float[Tensor, "k n n"], y_train: Float[Tensor, "n k"], *, diag_reg: float
) -> Float[Tensor, "k n"]:
    r"""Dual weights $(K_i + \lambda \bar K_i I)^{-1} y_i$, with $\bar K_i$ the mean of the
    diagonal, so that lambda does not depend on the kernel's scale.  Solved in float64.

    Raises:
        BadInput: if diag_reg <= 0.
    """
    require_number("diag_reg", "lambda", diag_reg, 0, math.inf, "try 0.01", open_low=True)
    K = k_train_train.double()
    n = K.shape[1]
    ridge = diag_reg * K.diagonal(dim1=1, dim2=2).mean(dim=1)
    factor = torch.linalg.cholesky(K + ridge[:, None, None] * torch.eye(n, dtype=K.dtype))
    solved = torch.cholesky_solve(y_train.double().T[:, :, None], factor)
    return solved.squeeze(2).to(k_train_train.dtype)


def predict(
    k_test_train: Float[Tensor, "k t n"], dual: Float[Tensor, "k n"]
) -> Float[Tensor, "t k"]:
    r"""$f_i(X) = \sum_j K_i(X, X_j)\, \alpha_{i,j}$."""
    return torch.einsum("ktn,kn->tk", k_test_train, dual)


def kernel_descent(
    k_train_train: Float[Tensor, "k n n"],
    targets: Float[Tensor, "n k"],
    *,
    steps: int,
    relative_step: float = 1.0,
    temperature: float = 1.0,
) -> Float[Tensor, "k n"]:
    r"""Gradient descent on the cross-entropy of a linear model on tangent features, in its dual
    form: $\alpha_i \leftarrow \alpha_i + \frac{\eta}{n}(t_i - \mathrm{softmax}_i(f / T))$.

    Args:
        k_train_train: kernels of the training set.
        targets: probabilities, one-hot for hard labels or a teacher's softmax(G / T).
        steps: T >= 1 updates from zero.
        relative_step: eta in units of $n \min(1, T)$ over the largest eigenvalue of any kernel,
            in (0, 2]: the loss then falls at every step, as the curvature of the softmax of f / T
            is at most 1 / (2T).
        temperature: T > 0 of the student's softmax.

    Raises:
        BadInput: if an argument is out of range.
    """
    require_int("steps", "T", steps, 1, "train for at least one step")
    require_number("relative_step", "eta", relative_step, 0, 2, "try 1.0", open_low=True)
    require_number("temperature", "T", temperature, 0, math.inf, "try 1.0", open_low=True)
    n = len(targets)
    largest = max(float(torch.linalg.eigvalsh(K.double())[-1]) for K in k_train_train)
    rate = relative_step * min(temperature, 1.0) / largest
    dual = k_train_train.new_zeros(k_train_train.shape[0], n)
    outputs = k_train_train.new_zeros(n, k_train_train.shape[0])
    for _ in range(steps):
        pull = targets - (outputs / temperature).softmax(dim=1)
        dual += rate * pull.T
        outputs += rate * torch.einsum("kab,bk->ak", k_train_train, pull)
    return dual
