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

from mvlib.core.checks import BadInput, require, require_int, require_number
from mvlib.paper.network import LearnerParams, logits

MEMORY_LIMIT = 1 << 30  # bytes that a kernel and its working blocks may take by default


def tangent_features(
    W0: Float[Tensor, "k m d"], X: Float[Tensor, "n P d"], learner: LearnerParams, *, output: int
) -> Float[Tensor, "n md"]:
    r"""$\phi_{i,r}(X)$ for the m neurons of one output i, side by side."""
    slope = learner.nonlinearity.slope(X @ W0[output].T)  # (n, P, m)
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

    `x2` None means `x1`.  The features of all of `x2` for one class are held at a time; they, and
    those of `x1`, are computed in blocks that keep everything allocated here within
    `memory_limit` bytes.

    Raises:
        BadInput: if the result with the features of `x2` does not fit; the message says the size.
    """
    alone = x2 is None
    x2 = x1 if x2 is None else x2
    rows = _rows_at_a_time(W0, x1, x2, memory_limit)
    k, m, d = W0.shape
    kernel = W0.new_empty(k, len(x1), len(x2))
    right = W0.new_empty(len(x2), m * d)
    # Products go straight to their place and no block outlives its use.
    for i in range(k):
        for part in _blocks(len(x2), rows):
            right[part] = tangent_features(W0, x2[part], learner, output=i)
        if alone:
            torch.mm(right, right.T, out=kernel[i])
            continue
        for part in _blocks(len(x1), rows):
            left = tangent_features(W0, x1[part], learner, output=i)
            torch.mm(left, right.T, out=kernel[i, part])
            del left
    return kernel


def _rows_at_a_time(W0: Tensor, x1: Tensor, x2: Tensor, memory_limit: int) -> int:
    """Inputs in a block of features beside the kernel and the features of x2 for one class."""
    k, m, d = W0.shape
    size = W0.element_size()
    fixed = size * (k * len(x1) * len(x2) + len(x2) * m * d)
    # A row's features, and its slopes with two temporaries on the way to them.
    per_row = size * (m * d + 3 * x1.shape[1] * m)
    if fixed + per_row > memory_limit:
        raise BadInput(
            f"memory_limit = {memory_limit} bytes must be at least {fixed + per_row} for kernels "
            f"of {len(x1)} x {len(x2)} inputs, k = {k} classes and m d = {m * d} features; use "
            "fewer inputs, or raise memory_limit."
        )
    return (memory_limit - fixed) // per_row


def _blocks(n: int, rows: int) -> list[slice]:
    return [slice(start, start + rows) for start in range(0, n, rows)]


def linearize(
    W0: Float[Tensor, "k m d"],
    W: Float[Tensor, "k m d"],
    X: Float[Tensor, "n P d"],
    learner: LearnerParams,
) -> Float[Tensor, "n k"]:
    r"""$F(W_0, X) + \langle W - W_0, \nabla_W F(W_0, X)\rangle$."""
    return logits(W0[None], X, learner)[0] + tangent_outputs(W0, W - W0, X, learner)


def tangent_outputs(
    W0: Float[Tensor, "k m d"],
    weights: Float[Tensor, "*fits k m d"],
    X: Float[Tensor, "n P d"],
    learner: LearnerParams,
) -> Float[Tensor, "*fits n k"]:
    r"""$f_i(X) = \langle \theta_i, \phi_i(X) \rangle$ for weights theta on the features, e.g. of
    `tangent_weights`; without the features themselves, as
    $\sum_{r,p} \widetilde{ReLU}'(\langle w_{i,r}, x_p\rangle) \langle \theta_{i,r}, x_p\rangle$."""
    k, m, d = W0.shape
    slope = learner.nonlinearity.slope(X @ W0.reshape(-1, d).T)  # (n, P, k m)
    outputs = [
        (slope * (X @ theta.reshape(-1, d).T)).view(len(X), -1, k, m).sum(dim=(1, 3))
        for theta in weights.reshape(-1, k, m, d)
    ]
    return torch.stack(outputs).view(*weights.shape[:-3], len(X), k)


def tangent_weights(
    W0: Float[Tensor, "k m d"],
    X: Float[Tensor, "n P d"],
    dual: Float[Tensor, "*fits k n"],
    learner: LearnerParams,
) -> Float[Tensor, "*fits k m d"]:
    r"""$\theta_i = \sum_j \alpha_{i,j}\, \phi_i(X_j)$: a dual solution as weights on the features,
    which answer new inputs without a kernel of theirs."""
    k, m, d = W0.shape
    weights = [
        dual[..., i, :] @ tangent_features(W0, X, learner, output=i) for i in range(k)
    ]  # (*fits, m d) each
    return torch.stack(weights, dim=-2).view(*dual.shape[:-2], k, m, d)


def linearisation_error(
    W: Float[Tensor, "1 k m d"],
    *,
    W0: Float[Tensor, "1 k m d"],
    X: Float[Tensor, "n P d"],
    learner: LearnerParams,
) -> Float[Tensor, " 1"]:
    r"""$\|F - F_{lin}\| / \|F\|$ over the inputs X, for a network on its way from W_0 to W."""
    F = logits(W, X, learner)[0]
    return ((F - linearize(W0[0], W[0], X, learner)).norm() / F.norm())[None]


def kernel_drift(
    W: Float[Tensor, "1 k m d"],
    *,
    start: Float[Tensor, "k n n"],
    X: Float[Tensor, "n P d"],
    learner: LearnerParams,
) -> Float[Tensor, " 1"]:
    r"""$1 - \langle K_t, K_0\rangle / (\|K_t\| \|K_0\|)$, mean over classes: 0 while the kernel on
    the inputs X only changes its scale from `start`."""
    now, then = (K.double().flatten(1) for K in (ntk(W[0], X, None, learner), start))
    return 1 - ((now * then).sum(dim=1) / (now.norm(dim=1) * then.norm(dim=1))).mean()[None]


def kernel_ridge(
    k_train_train: Float[Tensor, "k n n"], y_train: Float[Tensor, "*fits n k"], *, diag_reg: float
) -> Float[Tensor, "*fits k n"]:
    r"""Dual weights $(K_i + \lambda \bar K_i I)^{-1} y_i$, with $\bar K_i$ the mean of the
    diagonal, so that lambda does not depend on the kernel's scale.  Solved in float64, one class
    at a time.

    Raises:
        BadInput: if diag_reg <= 0 or too small for the rounding of a singular kernel, if kernel
            and targets do not belong together, or if the kernel of a class is zero or not finite.
    """
    require_number("diag_reg", "lambda", diag_reg, 0, math.inf, "try 0.01", open_low=True)
    _check_problem(k_train_train, y_train)
    y = _by_class(y_train)
    dual = torch.empty_like(y, dtype=k_train_train.dtype)
    for i, kernel in enumerate(k_train_train):
        K = kernel.to(torch.float64, copy=True)
        K.diagonal().add_(diag_reg * K.diagonal().mean())
        factor, failed = torch.linalg.cholesky_ex(K)
        if bool(failed):
            least = _least_ridge(kernel)
            remedy = "raise it, or compute the kernel in float64 or of fewer inputs"
            require(False, "diag_reg", "lambda", diag_reg, f"be > {least:.3g} to make up for the "
                    f"rounding of class {i}'s singular kernel", remedy)  # fmt: skip
        dual[i] = torch.cholesky_solve(y[i].double().T, factor).T
    return _by_fit(dual, y_train)


def _least_ridge(kernel: Tensor) -> float:
    """The least lambda at which a Cholesky factor in float64 exists."""
    K = kernel.double()
    values = torch.linalg.eigvalsh(K)
    rounding = len(K) * torch.finfo(K.dtype).eps * values[-1]
    return float((rounding - values[0]) / K.diagonal().mean())


def predict(
    k_test_train: Float[Tensor, "k t n"], dual: Float[Tensor, "*fits k n"]
) -> Float[Tensor, "*fits t k"]:
    r"""$f_i(X) = \sum_j K_i(X, X_j)\, \alpha_{i,j}$."""
    return torch.einsum("ktn,...kn->...tk", k_test_train, dual)


def kernel_descent(
    k_train_train: Float[Tensor, "k n n"],
    targets: Float[Tensor, "*fits n k"],
    *,
    steps: int,
    relative_step: float = 1.0,
    temperature: float = 1.0,
) -> Float[Tensor, "*fits k n"]:
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
        BadInput: if an argument is out of range, if kernel and targets do not belong together, or
            if the kernel of a class is zero or not finite.
    """
    require_int("steps", "T", steps, 1, "train for at least one step")
    require_number("relative_step", "eta", relative_step, 0, 2, "try 1.0", open_low=True)
    require_number("temperature", "T", temperature, 0, math.inf, "try 1.0", open_low=True)
    _check_problem(k_train_train, targets)
    goal = _by_class(targets)
    largest = max(_largest_eigenvalue(K.double()) for K in k_train_train)
    rate = relative_step * min(temperature, 1.0) / largest
    dual, outputs = torch.zeros_like(goal), torch.zeros_like(goal)
    for _ in range(steps):
        pull = goal - (outputs / temperature).softmax(dim=0)
        dual += rate * pull
        # K is symmetric: from the left the product reads it in order, several times as fast.
        outputs += rate * torch.bmm(pull, k_train_train)
    return _by_fit(dual, targets)


def _largest_eigenvalue(K: Float[Tensor, "n n"]) -> float:
    """Of a positive semi-definite matrix, to rounding: by conjugate directions (LOBPCG), in a few
    products with K where a full decomposition takes n of them."""
    n = len(K)
    if n < 3:  # less than the method needs
        return float(torch.linalg.eigvalsh(K)[-1])
    # A kernel's leading vector is nearly constant; the start needs no random numbers.
    values, _ = torch.lobpcg(K, X=K.new_ones(n, 1), largest=True, tol=1e-9, niter=500)
    return float(values[0])


def _by_class(targets: Float[Tensor, "*fits n k"]) -> Float[Tensor, "k some n"]:
    """Classes first, as kernels come, and all fits side by side."""
    n, k = targets.shape[-2:]
    return targets.movedim(-1, 0).reshape(k, -1, n)


def _by_fit(dual: Float[Tensor, "k some n"], targets: Tensor) -> Float[Tensor, "*fits k n"]:
    """Back to the axes of the targets that were given."""
    k, _, n = dual.shape
    return dual.reshape(k, *targets.shape[:-2], n).movedim(0, -2)


def _check_problem(K: Tensor, targets: Tensor) -> None:
    n, k = targets.shape[-2:]
    need = f"have shape ({k}, {n}, {n}) for {n} targets of {k} classes"
    same = "compute both on the same training set"
    require(K.shape == (k, n, n), "k_train_train", "K", tuple(K.shape), need, same)
    for i in range(k):
        # No entry of a kernel exceeds its diagonal.
        scale = float(K[i].diagonal().mean())
        field = f"mean diagonal of k_train_train[{i}]"
        remedy = "change init_std, or compute the kernel in float64"
        require(0 < scale < math.inf, field, "K", scale, "lie in (0, inf)", remedy)
