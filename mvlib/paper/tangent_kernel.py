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

from mvlib.core.arithmetic import inner_products
from mvlib.core.checks import BadInput, require, require_int, require_number
from mvlib.paper.network import LearnerParams, logits

Network = Float[Tensor, "k m d"]
Inputs = Float[Tensor, "n P d"]
MEMORY_LIMIT = 1 << 30  # bytes that a kernel and its working blocks may take by default
BLOCK_FLOATS = 1 << 21  # features made at a time (8 MB), to be used while the cache holds them
STRIPE = 250  # rows of a symmetric product taken at a time
# Spectral norm of a kernel's rounding, in units of sqrt(n) eps times its mean diagonal, as measured
# on the paper's data (1.7 to 3.8) less what the bound on its effect has in hand.
ROUNDING = 2.0
MOVED = 0.01  # share of its targets by which a kernel's rounding may move a fit


def tangent_features(W0: Network, X: Inputs, learner: LearnerParams) -> Float[Tensor, "n k md"]:
    r"""$\phi_{i,r}(X)$ for every output i, its m neurons side by side.  Inputs held in another
    precision, e.g. bfloat16, are first taken to that of the weights."""
    X = X.to(W0.dtype)
    slope = learner.nonlinearity.slope(X @ W0.flatten(0, 1).T)  # (n, P, k m)
    return torch.bmm(slope.transpose(1, 2), X).view(len(X), len(W0), -1)


def ntk(
    W0: Float[Tensor, "k m d"],
    x1: Float[Tensor, "n1 P d"],
    x2: Float[Tensor, "n2 P d"] | None,
    learner: LearnerParams,
    *,
    memory_limit: int = MEMORY_LIMIT,
) -> Float[Tensor, "k n1 n2"]:
    r"""$K_i(X, X') = \langle \nabla_W F_i(W_0, X), \nabla_W F_i(W_0, X') \rangle$ for each class.

    `x2` None means `x1`.  The features of all of `x2` are held for as many classes at a time as
    everything allocated here then stays within `memory_limit` bytes; each group of classes is one
    more pass over the inputs.

    Raises:
        BadInput: if the result with one class's features of `x2` does not fit; the message says
            the size.
    """
    alone, x2 = x2 is None, x1 if x2 is None else x2
    k, m, d = W0.shape
    P, size = x1.shape[1], W0.element_size()
    cast = (x1.dtype != W0.dtype) * size * P * d
    held, row = size * len(x2) * m * d, size * m * (d + 3 * P)  # slopes have two temporaries
    stripe = min(len(x2), STRIPE)
    copies = alone * (held + 2 * size * stripe * (m * d + stripe))  # of `gram`
    room = memory_limit - size * k * len(x1) * len(x2) - copies
    if room < held + row + cast:
        raise BadInput(
            f"memory_limit = {memory_limit} bytes must be at least "
            f"{memory_limit - room + held + row + cast} for kernels "
            f"of {len(x1)} x {len(x2)} inputs, k = {k} classes and m d = {m * d} features; use "
            "fewer inputs, or raise memory_limit."
        )
    classes = min(k, (room - cast) // (held + row))
    rows = min(_block_rows(W0[:classes]), (room - classes * held) // (classes * row + cast))
    kernel = W0.new_empty(k, len(x1), len(x2))
    for group, out in zip(W0.split(classes), kernel.split(classes), strict=True):
        right = W0.new_empty(len(x2), len(group), m * d)
        for part, features in _in_blocks(group, x2, learner, rows):
            right[part] = features
            del features  # or it would stay beside the next
        if alone:
            for i, K in enumerate(out):
                gram(right[:, i], K)
        else:
            for part, features in _in_blocks(group, x1, learner, rows):
                for i, K in enumerate(out):
                    torch.mm(features[:, i], right[:, i].T, out=K[part])
                del features
        del right
    return kernel


def _block_rows(W0: Network) -> int:
    return max(1, BLOCK_FLOATS // W0.numel())


def _in_blocks(
    W0: Network, X: Inputs, learner: LearnerParams, rows: int
) -> Iterator[tuple[slice, Tensor]]:
    """Features of so many inputs at a time, none of which outlives its use."""
    for start in range(0, len(X), rows):
        part = slice(start, start + rows)
        yield part, tangent_features(W0, X[part], learner)


def gram(features: Float[Tensor, "n f"], out: Float[Tensor, "n n"]) -> Float[Tensor, "n n"]:
    """Products of every two rows, written to `out`: blocks up to the diagonal, and their mirror
    images.  Takes the space of the features once more, and of two blocks."""
    stripes = [part.contiguous() for part in features.split(STRIPE)]  # once, not for each product
    for i, left in enumerate(stripes):
        rows = slice(i * STRIPE, (i + 1) * STRIPE)
        for j, right in enumerate(stripes[: i + 1]):
            columns, block = slice(j * STRIPE, (j + 1) * STRIPE), inner_products(left, right)
            out[rows, columns], out[columns, rows] = block, block.T
    return out


def linearize(W0: Network, W: Network, X: Inputs, learner: LearnerParams) -> Float[Tensor, "n k"]:
    r"""$F(W_0, X) + \langle W - W_0, \nabla_W F(W_0, X)\rangle$."""
    return logits(W0[None], X, learner)[0] + tangent_outputs(W0, W - W0, X, learner)


def tangent_outputs(
    W0: Network, weights: Float[Tensor, "*fits k m d"], X: Inputs, learner: LearnerParams
) -> Float[Tensor, "*fits n k"]:
    r"""$f_i(X) = \langle \theta_i, \phi_i(X) \rangle$ for weights theta on the features, e.g. of
    `tangent_weights`; all fits in one pass over the inputs."""
    theta = weights.reshape(-1, len(W0), W0[0].numel()).permute(1, 2, 0)  # (k, m d, fits)
    blocks = _in_blocks(W0, X, learner, _block_rows(W0))
    outputs = torch.cat([torch.bmm(phi.transpose(0, 1), theta) for _, phi in blocks], dim=1)
    return outputs.permute(2, 1, 0).reshape(*weights.shape[:-3], len(X), len(W0))


def tangent_weights(
    W0: Network, X: Inputs, dual: Float[Tensor, "*fits k n"], learner: LearnerParams
) -> Float[Tensor, "*fits k m d"]:
    r"""$\theta_i = \sum_j \alpha_{i,j}\, \phi_i(X_j)$: a dual solution as weights on the features,
    which answer new inputs without a kernel of theirs."""
    by_class = dual.reshape(-1, *dual.shape[-2:]).transpose(0, 1)  # (k, fits, n)
    weights = W0.new_zeros(*by_class.shape[:2], W0[0].numel())
    for part, phi in _in_blocks(W0, X, learner, _block_rows(W0)):
        weights.baddbmm_(by_class[..., part], phi.transpose(0, 1))
    return weights.transpose(0, 1).reshape(*dual.shape[:-2], *W0.shape)


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
    r"""Dual weights $\alpha_i = (K_i + \lambda \bar K_i I)^{-1} y_i$, with $\bar K_i$ the mean of
    the diagonal, so that lambda does not depend on the kernel's scale.  Solved in the kernel's own
    precision, one class at a time: Cholesky's rounding is like that of the kernel's entries.

    That rounding, a matrix E, moves the outputs on the training set by
    $\lambda \bar K (K + \lambda \bar K I)^{-1} E \alpha$, at most $\|E\| \|\alpha\|$.  Where this
    may exceed 1% of $\|y_i\|$ the fit is refused: with equal inputs of unlike labels, say, a small
    lambda would answer with the rounding of their kernel.

    Raises:
        BadInput: if diag_reg <= 0 or too small for the kernel's rounding, if kernel and targets do
            not belong together, or if the kernel of a class is zero or not finite.
    """
    require_number("diag_reg", "lambda", diag_reg, 0, inf, "try 0.01", open_low=True)
    y = _by_class(k_train_train, y_train).to(k_train_train.dtype)
    rounding = ROUNDING * y.shape[2] ** 0.5 * torch.finfo(y.dtype).eps  # |E| over the mean diagonal
    dual = torch.empty_like(y)
    for i, kernel in enumerate(k_train_train):
        K, scale = kernel.clone(), kernel.diagonal().mean()
        K.diagonal().add_(diag_reg * scale)
        factor, failed = torch.linalg.cholesky_ex(K)
        dual[i] = torch.cholesky_solve(y[i].T, factor).T
        moved = rounding * scale * dual[i].norm(dim=1) > MOVED * y[i].norm(dim=1)
        if bool(failed) or bool(moved.any()):
            need = (
                f"be larger, e.g. {rounding / MOVED:.2g}: rounding may move the fit of class {i} "
                f"by more than {MOVED:.0%} of its targets"
            )
            remedy = "raise it, or compute the kernel in float64"
            require(False, "diag_reg", "lambda", diag_reg, need, remedy)
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
    largest = max(_largest_eigenvalue(K) for K in k_train_train)
    rate = relative_step * min(temperature, 1.0) / largest
    dual, outputs = torch.zeros_like(goal), torch.zeros_like(goal)
    for _ in range(steps):
        pull = goal - (outputs / temperature).softmax(dim=0)
        dual += rate * pull
        # Bound by the reading of K.  Of the ways to say it this one reads it once, in order.
        outputs += rate * torch.bmm(k_train_train, pull.transpose(1, 2)).transpose(1, 2)
    return _by_fit(dual, targets)


def _largest_eigenvalue(K: Float[Tensor, "n n"]) -> float:
    """To rounding, in a few products with K where a full decomposition takes n of them."""
    n = len(K)
    if n < 3:  # less than the method needs
        return float(torch.linalg.eigvalsh(K)[-1])
    # A kernel's leading vector is nearly constant; the start needs no random numbers.  lobpcg stops
    # at a residual of the root of eps; the eigenvalue is then off by about its square.
    values, _ = torch.lobpcg(K, X=K.new_ones(n, 1), largest=True, niter=500)
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
