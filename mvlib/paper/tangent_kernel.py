r"""The neural tangent kernel of Section 2.1: networks frozen at their initialisation.

Linearised at $W_0$, the network is a linear function of the features
$\Phi_{W_0}(X) = \nabla_W F(W_0, X)$, whose block for neuron (i, r) is
$\phi_{i,r}(X) = \sum_p \widetilde{ReLU}'(\langle w_{i,r}, x_p\rangle)\, x_p \in \mathbb R^d$ and
acts on output i alone: one kernel for each class.  Names follow the NTK literature.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

import torch
from jaxtyping import Float
from torch import Tensor

from mvlib.core.checks import BadInput, require, require_int, require_number
from mvlib.paper.network import LearnerParams, logits

Network = Float[Tensor, "k m d"]
Inputs = Float[Tensor, "n P d"]
MEMORY_LIMIT = 1 << 30  # bytes that a kernel and its working blocks may take by default


def tangent_features(
    W0: Network, X: Inputs, learner: LearnerParams, *, output: int
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

    `x2` None means `x1`.  The features of all of `x2` for one class are held at a time; blocks of
    inputs keep everything allocated here within `memory_limit` bytes.

    Raises:
        BadInput: if the result with the features of `x2` does not fit; the message says the size.
    """
    alone, x2 = x2 is None, x1 if x2 is None else x2
    k, m, d = W0.shape
    size, slopes = W0.element_size(), 3 * x1.shape[1] * m  # a row's slopes and two temporaries
    fixed, per_row = size * len(x2) * (k * len(x1) + m * d), size * (m * d + slopes)
    if fixed + per_row > memory_limit:
        raise BadInput(
            f"memory_limit = {memory_limit} bytes must be at least {fixed + per_row} for kernels "
            f"of {len(x1)} x {len(x2)} inputs, k = {k} classes and m d = {m * d} features; use "
            "fewer inputs, or raise memory_limit."
        )
    rows = (memory_limit - fixed) // per_row
    kernel, right = W0.new_empty(k, len(x1), len(x2)), W0.new_empty(len(x2), m * d)

    def blocks(x: Tensor, output: int) -> Iterator[tuple[slice, Tensor]]:
        """Features in blocks, none of which outlives its use."""
        for start in range(0, len(x), rows):
            part = slice(start, start + rows)
            yield part, tangent_features(W0, x[part], learner, output=output)

    for i in range(k):  # products go straight to their place
        for part, features in blocks(x2, i):
            right[part] = features
            del features
        if alone:
            torch.mm(right, right.T, out=kernel[i])
            continue
        for part, features in blocks(x1, i):
            torch.mm(features, right.T, out=kernel[i, part])
            del features
    return kernel


def linearize(W0: Network, W: Network, X: Inputs, learner: LearnerParams) -> Float[Tensor, "n k"]:
    r"""$F(W_0, X) + \langle W - W_0, \nabla_W F(W_0, X)\rangle$."""
    return logits(W0[None], X, learner)[0] + tangent_outputs(W0, W - W0, X, learner)


def tangent_outputs(
    W0: Network, weights: Float[Tensor, "*fits k m d"], X: Inputs, learner: LearnerParams
) -> Float[Tensor, "*fits n k"]:
    r"""$f_i(X) = \langle \theta_i, \phi_i(X) \rangle$ for weights theta on the features, e.g. of
    `tangent_weights`; without the features themselves, as
    $\sum_{r,p} \widetilde{ReLU}'(\langle w_{i,r}, x_p\rangle) \langle \theta_{i,r}, x_p\rangle$."""
    k, m, d = W0.shape
    slope = learner.nonlinearity.slope(X @ W0.reshape(-1, d).T)  # (n, P, k m)
    outputs = [
        (slope * (X @ theta.T)).view(len(X), -1, k, m).sum(dim=(1, 3))
        for theta in weights.reshape(-1, k * m, d)
    ]
    return torch.stack(outputs).view(*weights.shape[:-3], len(X), k)


def tangent_weights(
    W0: Network, X: Inputs, dual: Float[Tensor, "*fits k n"], learner: LearnerParams
) -> Float[Tensor, "*fits k m d"]:
    r"""$\theta_i = \sum_j \alpha_{i,j}\, \phi_i(X_j)$: a dual solution as weights on the features,
    which answer new inputs without a kernel of theirs."""
    k, m, d = W0.shape
    weights = [dual[..., i, :] @ tangent_features(W0, X, learner, output=i) for i in range(k)]
    return torch.stack(weights, dim=-2).view(*dual.shape[:-2], k, m, d)


def linearisation_error(
    W: Float[Tensor, "1 k m d"], *, W0: Float[Tensor, "1 k m d"], X: Inputs, learner: LearnerParams
) -> Float[Tensor, " 1"]:
    r"""$\|F - F_{lin}\| / \|F\|$ over the inputs X, for a network on its way from W_0 to W."""
    F = logits(W, X, learner)[0]
    return ((F - linearize(W0[0], W[0], X, learner)).norm() / F.norm())[None]


def kernel_drift(
    W: Float[Tensor, "1 k m d"], *, start: Float[Tensor, "k n n"], X: Inputs, learner: LearnerParams
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
    require_number("diag_reg", "lambda", diag_reg, 0, inf, "try 0.01", open_low=True)
    y = _by_class(k_train_train, y_train)
    n = y.shape[2]
    dual = torch.empty_like(y, dtype=k_train_train.dtype)
    for i, kernel in enumerate(k_train_train):
        K = kernel.to(torch.float64, copy=True)
        K.diagonal().add_(diag_reg * K.diagonal().mean())
        factor, failed = torch.linalg.cholesky_ex(K)
        if bool(failed):
            K = kernel.double()
            values = torch.linalg.eigvalsh(K)
            rounding = n * torch.finfo(K.dtype).eps * values[-1]
            least = float((rounding - values[0]) / K.diagonal().mean())
            need = f"be > {least:.3g} to make up for the rounding of class {i}'s singular kernel"
            remedy = "raise it, or compute the kernel in float64 or of fewer inputs"
            require(False, "diag_reg", "lambda", diag_reg, need, remedy)
        dual[i] = torch.cholesky_solve(y[i].double().T, factor).T
    return _by_fit(dual, y_train)


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
            in (0, 2]: the loss then falls at every step.
        temperature: T > 0 of the student's softmax.

    Raises:
        BadInput: if an argument is out of range, kernel and targets do not belong together, or the
            kernel of a class is zero or not finite.
    """
    require_int("steps", "T", steps, 1, "train for at least one step")
    require_number("relative_step", "eta", relative_step, 0, 2, "try 1.0", open_low=True)
    require_number("temperature", "T", temperature, 0, inf, "try 1.0", open_low=True)
    goal = _by_class(k_train_train, targets)
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
    """To rounding, in a few products with K where a full decomposition takes n of them."""
    n = len(K)
    if n < 3:  # less than the method needs
        return float(torch.linalg.eigvalsh(K)[-1])
    # A kernel's leading vector is nearly constant; the start needs no random numbers.
    values, _ = torch.lobpcg(K, X=K.new_ones(n, 1), largest=True, tol=1e-9, niter=500)
    return float(values[0])


def _by_class(K: Tensor, targets: Float[Tensor, "*fits n k"]) -> Float[Tensor, "k some n"]:
    """Targets with classes first, as kernels come, and all fits side by side; checks both."""
    n, k = targets.shape[-2:]
    need = f"have shape ({k}, {n}, {n}) for {n} targets of {k} classes"
    same = "compute both on the same training set"
    require(K.shape == (k, n, n), "k_train_train", "K", tuple(K.shape), need, same)
    for i, scale in enumerate(K.diagonal(dim1=1, dim2=2).mean(dim=1).tolist()):
        # No entry of a kernel exceeds its diagonal.
        field = f"mean diagonal of k_train_train[{i}]"
        remedy = "change init_std, or compute the kernel in float64"
        require(0 < scale < inf, field, "K", scale, "lie in (0, inf)", remedy)
    return targets.movedim(-1, 0).reshape(k, -1, n)


def _by_fit(dual: Float[Tensor, "k some n"], targets: Tensor) -> Float[Tensor, "*fits k n"]:
    """Back to the axes of the targets that were given."""
    k, _, n = dual.shape
    return dual.reshape(k, *targets.shape[:-2], n).movedim(0, -2)
