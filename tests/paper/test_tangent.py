"""Frozen networks: features and kernels by autograd, dual solutions by their primal problems."""

import math
import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from mvlib.core.arithmetic import inner_products
from mvlib.core.checks import BadInput
from mvlib.paper.network import LearnerParams, init_weights, logits
from mvlib.paper.tangent_kernel import (
    gram,
    kernel_descent,
    kernel_drift,
    kernel_ridge,
    linearisation_error,
    linearize,
    ntk,
    predict,
    tangent_features,
    tangent_outputs,
    tangent_weights,
)

K, M, D, P = 3, 4, 6, 5
LEARNER = LearnerParams(n_neurons=M, power=3, threshold=1.0, init_std=0.5)
# A few float64 roundings of numbers of order 1 to 100.
EXACT = dict(rtol=1e-12, atol=1e-12)


def start(seed: int = 0) -> Tensor:
    return init_weights([seed], LEARNER, n_classes=K, dim=D, dtype=torch.float64)[0]


def normal(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


W0 = start()
N = 14  # below m d = 24: kernels have full rank and every target can be reached
X = normal(N, P, D, seed=1)
TEST = normal(9, P, D, seed=2)
HARD = nnf.one_hot(torch.arange(N) % K, K).double()


def features(X: Tensor, weights: Tensor = W0) -> Tensor:
    """(k, n, m d)."""
    return tangent_features(weights, X, LEARNER).transpose(0, 1)


def jacobian(X: Tensor) -> Tensor:
    """dF_i(X) / dw_{j,r}, shape (n, i, j, m, d), by autograd."""
    result = torch.autograd.functional.jacobian(lambda W: logits(W[None], X, LEARNER)[0], W0)
    assert isinstance(result, Tensor)
    return result


# ------------------------------------------------------------------ features and kernels


def test_tangent_features_are_the_gradient() -> None:
    z = X @ W0.reshape(-1, D).T  # every piece of the activation is visited
    assert all(bool(part.any()) for part in (z < 0, (z > 0) & (z < 1), z > 1))
    J = jacobian(X)
    got = tangent_features(W0, X, LEARNER)
    assert got.shape == (N, K, M * D)
    for i in range(K):
        torch.testing.assert_close(got[:, i], J[:, i, i].reshape(N, -1), **EXACT)
        for j in set(range(K)) - {i}:
            assert not bool(J[:, i, j].any()), "neuron (j, r) acts on output j alone"


def test_ntk_is_a_product_of_jacobians() -> None:
    left, right = jacobian(X).flatten(2), jacobian(TEST).flatten(2)
    whole = torch.einsum("aif,bif->iab", left, right)
    torch.testing.assert_close(ntk(W0, X, TEST, LEARNER), whole, **EXACT)
    square = ntk(W0, X[: len(TEST)], TEST, LEARNER)  # as many inputs, but other ones
    torch.testing.assert_close(square, whole[:, : len(TEST)], **EXACT)


def test_ntk_of_one_set_is_symmetric_and_positive() -> None:
    many = normal(40, P, D, seed=3)  # more inputs than features: rank m d
    got = ntk(W0, many, None, LEARNER)
    torch.testing.assert_close(got, ntk(W0, many, many, LEARNER), **EXACT)
    torch.testing.assert_close(got, got.transpose(1, 2), **EXACT)
    values = torch.linalg.eigvalsh(got)
    # Eigenvalues of a 40 x 40 float64 matrix: a multiple of n eps times the largest.
    zero = 40 * 2.3e-16 * values[:, -1:]
    assert bool((values > -zero).all())
    assert (values > 1e3 * zero).sum(dim=1).tolist() == [M * D] * K


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("n", [6, 7, 14, 20, 21])
def test_a_symmetric_kernel_in_stripes(
    n: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mvlib.paper.tangent_kernel.STRIPE", 7)
    many = normal(n, P, D, seed=3)
    exact = features(many) @ features(many).transpose(1, 2)
    got = ntk(W0.to(dtype), many.to(dtype), None, LEARNER)
    # A few roundings of sums of 24 products.
    torch.testing.assert_close(got.double(), exact, rtol=0, atol=30 * torch.finfo(dtype).eps
                               * float(exact.abs().max()))  # fmt: skip
    assert got.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_products_of_rows(dtype: torch.dtype) -> None:
    left, right = normal(5, 4000), normal(300, 4000, seed=1)

    def off(got: Tensor, exact: Tensor) -> float:
        return float((got.double() - exact).norm() / exact.norm())

    # Sums of 4000 products: a few roundings of each sum's terms, some of the same sign.
    few = 20 * torch.finfo(dtype).eps
    for other in (left, right):
        got = inner_products(other.to(dtype), right.to(dtype))
        assert got.dtype == dtype and got.layout == torch.strided
        assert off(got, torch.einsum("if,jf->ij", other, right)) < few
    whole = gram(right.to(dtype), torch.empty(300, 300, dtype=dtype))
    assert off(whole, torch.einsum("if,jf->ij", right, right)) < few


def test_inputs_in_bfloat16_are_taken_as_they_are() -> None:
    W = W0.float()
    rough, rough_test = X.bfloat16(), TEST.bfloat16()
    exact, exact_test = rough.float(), rough_test.float()
    dual = normal(2, K, N, seed=9).float()
    theta = tangent_weights(W, exact, dual, LEARNER)
    pairs = [
        (ntk(W, rough, None, LEARNER), ntk(W, exact, None, LEARNER)),
        (ntk(W, rough_test, rough, LEARNER), ntk(W, exact_test, exact, LEARNER)),
        (tangent_weights(W, rough, dual, LEARNER), theta),
        (tangent_outputs(W, theta, rough, LEARNER), tangent_outputs(W, theta, exact, LEARNER)),
    ]
    for got, expected in pairs:
        assert got.dtype == torch.float32 and torch.equal(got, expected)


ROW = M * D + 3 * P * M  # a row's features, and three of its size of correlations


def needed(n1: int, n2: int, size: int = 8, rows: int = 1, classes: int = 1) -> int:
    """Bytes of the result, the features of x2, and some rows' work."""
    return size * (K * n1 * n2 + classes * (n2 * M * D + rows * ROW))


# More rows of one or two classes would leave room for another class, which comes first.
@pytest.mark.parametrize(("rows", "classes"), [(1, 1), (3, 1), (1, 2), (1, K), (3, K), (5, K)])
def test_blocks_are_the_whole(rows: int, classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, alone = ntk(W0, X, TEST, LEARNER), ntk(W0, X, None, LEARNER)
    seen: list[tuple[int, int]] = []

    def spy(W: Tensor, x: Tensor, learner: LearnerParams) -> Tensor:
        seen.append((len(W), len(x)))
        return tangent_features(W, x, learner)

    monkeypatch.setattr("mvlib.paper.tangent_kernel.tangent_features", spy)
    n1, n2 = N, len(TEST)
    groups = math.ceil(K / classes)
    # A byte short of one row more.
    limit = needed(n1, n2, rows=rows, classes=classes) + 8 * classes * ROW - 1
    torch.testing.assert_close(ntk(W0, X, TEST, LEARNER, memory_limit=limit), whole, **EXACT)
    assert max(seen) == (classes, rows)
    # The last group of classes may be smaller, and its blocks are as long.
    assert len(seen) == groups * (math.ceil(n2 / rows) + math.ceil(n1 / rows))
    seen.clear()
    # A symmetric product takes the space of one class's features thrice more, and two blocks.
    limit = needed(n1, n1, rows=rows, classes=classes) + 8 * n1 * (3 * M * D + 2 * n1)
    torch.testing.assert_close(ntk(W0, X, None, LEARNER, memory_limit=limit), alone, **EXACT)
    # Of one set they are computed once.
    assert max(seen) == (classes, rows) and len(seen) == groups * math.ceil(n1 / rows)


def test_blocks_that_stay_in_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    dual = normal(K, N, seed=9)
    kernel, theta = ntk(W0, X, None, LEARNER), tangent_weights(W0, X, dual, LEARNER)
    outputs = tangent_outputs(W0, theta, TEST, LEARNER)
    monkeypatch.setattr("mvlib.paper.tangent_kernel.BLOCK_FLOATS", 4 * K * M * D)  # 4 inputs
    torch.testing.assert_close(ntk(W0, X, None, LEARNER), kernel, **EXACT)
    torch.testing.assert_close(tangent_weights(W0, X, dual, LEARNER), theta, **EXACT)
    torch.testing.assert_close(tangent_outputs(W0, theta, TEST, LEARNER), outputs, **EXACT)


def peak_bytes(work: Callable[[], object]) -> int:
    """The most that tensors made meanwhile held at a time, as torch's allocator saw it."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        work()
    assert record.profiler is not None and record.profiler.kineto_results is not None
    events = [e for e in record.profiler.kineto_results.events() if e.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


@pytest.mark.parametrize("rows", [1, 7, 60])
@pytest.mark.parametrize("classes", [1, 2])
@pytest.mark.parametrize(
    ("k", "m", "d", "n_patches", "n1", "n2"),
    [
        (3, 4, 50, 5, 60, 90),
        (3, 16, 10, 40, 60, 30),  # P m far above d: the slopes are what is large
        (2, 4, 30, 20, 20, 200),  # n2 far above n1
        (2, 4, 30, 20, 200, 20),
        (3, 4, 50, 5, 60, None),
    ],
)
def test_memory_stays_within_its_limit(
    k: int, m: int, d: int, n_patches: int, n1: int, n2: int | None, rows: int, classes: int
) -> None:
    learner = LearnerParams(n_neurons=m)
    W = init_weights([0], learner, n_classes=k, dim=d)[0]
    x1 = normal(n1, n_patches, d).float()
    x2 = None if n2 is None else normal(n2, n_patches, d).float()
    columns = n1 if n2 is None else n2
    most = min(rows, max(n1, columns))
    row = 4 * (m * d + 3 * n_patches * m)
    # For the symmetric product, its factors twice more and two blocks of the result.
    spare = 4 * n1 * (3 * m * d + 2 * n1) if n2 is None else 0
    limit = 4 * (k * n1 * columns + classes * columns * m * d) + classes * most * row + spare
    peak = peak_bytes(lambda: ntk(W, x1, x2, learner, memory_limit=limit))
    # The row's part is an upper bound (not all of its temporaries are there at once), and so is
    # what oneDNN may take for itself; the result and the features of x2 are always there.
    assert limit - classes * most * row - spare <= peak <= limit


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_too_little_memory(dtype: torch.dtype) -> None:
    W, x1, x2 = W0.to(dtype), X.to(dtype), TEST.to(dtype)
    least = needed(N, len(TEST), W.element_size())
    assert ntk(W, x1, x2, LEARNER, memory_limit=least).shape == (K, N, len(TEST))
    with pytest.raises(BadInput) as caught:
        ntk(W, x1, x2, LEARNER, memory_limit=least - 1)
    assert str(caught.value) == (
        f"memory_limit = {least - 1} bytes must be at least {least} for kernels of 14 x 9 inputs, "
        "k = 3 classes and m d = 24 features; use fewer inputs, or raise memory_limit."
    )
    for limit in (0, -1):
        with pytest.raises(BadInput, match=f"memory_limit = {limit} bytes must be at least"):
            ntk(W, x1, None, LEARNER, memory_limit=limit)


def test_linearize_is_exact_at_the_start_and_first_order_beyond() -> None:
    F = logits(W0[None], X, LEARNER)[0]
    assert torch.equal(linearize(W0, W0, X, LEARNER), F)
    U = normal(K, M, D, seed=4)

    def error(h: float) -> float:
        W = W0 + h * U
        return float((logits(W[None], X, LEARNER)[0] - linearize(W0, W, X, LEARNER)).norm())

    # O(h^2), with a relative correction of order h = 1e-3; and there is something to correct.
    assert error(1e-4) > 1e-10
    assert error(1e-3) / error(1e-4) == pytest.approx(100, rel=0.05)
    straight = linearize(W0, W0 + 2 * U, X, LEARNER) - F
    torch.testing.assert_close(straight, 2 * (linearize(W0, W0 + U, X, LEARNER) - F), **EXACT)


def test_weights_and_outputs_are_the_kernel_solution() -> None:
    k_test = ntk(W0, TEST, X, LEARNER)
    duals = normal(2, 4, K, N, seed=9)  # two axes of fits
    theta = tangent_weights(W0, X, duals, LEARNER)
    got = tangent_outputs(W0, theta, TEST, LEARNER)
    assert theta.shape == (2, 4, K, M, D) and got.shape == (2, 4, len(TEST), K)
    torch.testing.assert_close(got, predict(k_test, duals), **EXACT)
    one = tangent_outputs(W0, theta[1, 2], TEST, LEARNER)
    torch.testing.assert_close(one, got[1, 2], **EXACT)
    by_features = torch.einsum("inf,if->ni", features(TEST), theta[1, 2].flatten(1))
    torch.testing.assert_close(one, by_features, **EXACT)
    alone = tangent_weights(W0, X, duals[1, 2], LEARNER)
    torch.testing.assert_close(alone, theta[1, 2], **EXACT)


def test_distance_from_the_linearisation() -> None:
    def error(W: Tensor) -> float:
        return float(linearisation_error(W[None], W0=W0[None], X=X, learner=LEARNER))

    assert error(W0) == 0
    W = W0 + normal(K, M, D, seed=4)
    F, line = logits(W[None], X, LEARNER)[0], linearize(W0, W, X, LEARNER)
    assert error(W) == pytest.approx(float((F - line).norm() / F.norm()), rel=1e-12)
    assert error(W) > 0.1


def test_kernel_drift_is_an_angle() -> None:
    start_kernel = ntk(W0, X, None, LEARNER)

    def drift(W: Tensor) -> float:
        return float(kernel_drift(W[None], start=start_kernel, X=X, learner=LEARNER))

    assert drift(W0) == pytest.approx(0, abs=1e-14)
    # Below the threshold features are homogeneous in W: only the kernel's scale changes.
    small = 0.01 * W0
    start_kernel = ntk(small, X, None, LEARNER)
    assert drift(3 * small) == pytest.approx(0, abs=1e-12)
    other = start(5)
    now = ntk(other, X, None, LEARNER)
    cosines = [
        float((a * b).sum() / (a.norm() * b.norm())) for a, b in zip(now, start_kernel, strict=True)
    ]
    assert drift(other) == pytest.approx(1 - sum(cosines) / K, rel=1e-12)
    assert drift(other) > 0.01


# -------------------------------------------------------------------------------- ridge


@pytest.mark.parametrize("diag_reg", [1e-3, 0.1, 10.0])
def test_kernel_ridge_is_a_dense_solve_and_primal_ridge(diag_reg: float) -> None:
    k_train, k_test = ntk(W0, X, None, LEARNER), ntk(W0, TEST, X, LEARNER)
    y = normal(N, K, seed=5)
    dual = kernel_ridge(k_train, y, diag_reg=diag_reg)
    got = predict(k_test, dual)
    assert dual.shape == (K, N) and got.shape == (len(TEST), K)
    # Condition numbers up to 1e5 times eps.
    close = dict(rtol=1e-9, atol=1e-10)
    phi, phi_test = features(X), features(TEST)
    for i in range(K):
        ridge = diag_reg * float(k_train[i].diagonal().mean())
        dense = torch.linalg.inv(k_train[i] + ridge * torch.eye(N, dtype=y.dtype)) @ y[:, i]
        torch.testing.assert_close(dual[i], dense, **close)
        # min |phi theta - y|^2 + ridge |theta|^2
        normal_matrix = phi[i].T @ phi[i] + ridge * torch.eye(M * D, dtype=y.dtype)
        theta = torch.linalg.solve(normal_matrix, phi[i].T @ y[:, i])
        torch.testing.assert_close(got[:, i], phi_test[i] @ theta, **close)
        torch.testing.assert_close(phi[i].T @ dual[i], theta, **close)


def test_ridge_does_not_depend_on_the_scale_of_the_kernel() -> None:
    k_train, y = ntk(W0, X, None, LEARNER), normal(N, K, seed=5)
    dual = kernel_ridge(k_train, y, diag_reg=0.1)
    torch.testing.assert_close(kernel_ridge(1000 * k_train, y, diag_reg=0.1), dual / 1000, **EXACT)


def test_ridge_in_float32_is_as_good_as_its_kernel() -> None:
    k_train, y = ntk(W0, X, None, LEARNER).float(), normal(N, K, seed=5).float()
    for diag_reg in (1e-3, 1.0):
        dual = kernel_ridge(k_train, y, diag_reg=diag_reg)
        assert dual.dtype == torch.float32
        exact = kernel_ridge(k_train.double(), y.double(), diag_reg=diag_reg)
        fitted, wanted = predict(k_train.double(), dual.double()), predict(k_train.double(), exact)
        # A few float32 roundings of outputs of order 1, times the condition number's root.
        torch.testing.assert_close(fitted, wanted, rtol=0, atol=1e-5)


def test_fits_side_by_side_are_fits_one_by_one() -> None:
    kernel = ntk(W0, X, None, LEARNER)
    targets = torch.stack([HARD, soft_targets(1.0), soft_targets(4.0)]).expand(2, 3, N, K)
    ridge = kernel_ridge(kernel, targets, diag_reg=0.1)
    descent = kernel_descent(kernel, targets, steps=5)
    outputs = predict(kernel, descent)
    assert ridge.shape == descent.shape == (2, 3, K, N) and outputs.shape == (2, 3, N, K)
    for a in range(2):
        for b in range(3):
            alone = kernel_ridge(kernel, targets[a, b], diag_reg=0.1)
            torch.testing.assert_close(ridge[a, b], alone, **EXACT)
            alone = kernel_descent(kernel, targets[a, b], steps=5)
            torch.testing.assert_close(descent[a, b], alone, **EXACT)
            torch.testing.assert_close(outputs[a, b], predict(kernel, alone), **EXACT)


def test_predict_is_its_sum() -> None:
    k_test, dual = normal(K, 4, N, seed=6), normal(K, N, seed=7)
    got = predict(k_test, dual)
    for t in range(4):
        for i in range(K):
            total = sum(float(k_test[i, t, j]) * float(dual[i, j]) for j in range(N))
            assert float(got[t, i]) == pytest.approx(total, rel=1e-12, abs=1e-12)


def test_an_interpolating_teacher_teaches_its_labels() -> None:
    # y - K (K + lambda' I)^{-1} y = lambda' (K + lambda' I)^{-1} y: at most lambda' / lambda_min
    # of the targets, itself a few eps / diag_reg at worst; 1e-6 holds both with room.
    diag_reg = 1e-11
    teacher_kernel, student_kernel = (ntk(start(s), X, None, LEARNER) for s in (1, 2))
    for kernel in (teacher_kernel, student_kernel):
        ridge = diag_reg * kernel.diagonal(dim1=1, dim2=2).mean(dim=1)
        assert bool((ridge < 1e-7 * torch.linalg.eigvalsh(kernel)[:, 0]).all())
    soft = predict(teacher_kernel, kernel_ridge(teacher_kernel, HARD, diag_reg=diag_reg))
    torch.testing.assert_close(soft, HARD, rtol=0, atol=1e-6)
    k_test = ntk(start(2), TEST, X, LEARNER)
    taught, plain = (
        predict(k_test, kernel_ridge(student_kernel, y, diag_reg=diag_reg)) for y in (soft, HARD)
    )
    # Interpolation passes those 1e-6 on, multiplied by |k_test K^{-1}|, well below 100 here.
    torch.testing.assert_close(taught, plain, rtol=0, atol=1e-4)
    # With a ridge that does not interpolate, the teacher's outputs are other targets.
    smooth = predict(teacher_kernel, kernel_ridge(teacher_kernel, HARD, diag_reg=0.3))
    other = predict(k_test, kernel_ridge(student_kernel, smooth, diag_reg=diag_reg))
    assert float((other - plain).abs().max()) > 0.1


# ------------------------------------------------------------------------------ descent


def soft_targets(temperature: float) -> Tensor:
    return (normal(N, K, seed=8) * 3 / temperature).softmax(dim=1)


@pytest.mark.parametrize("relative_step", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_kernel_descent_is_gradient_descent_on_weights(
    temperature: float, relative_step: float
) -> None:
    kernel = ntk(W0, X, None, LEARNER)
    largest = max(float(torch.linalg.eigvalsh(part)[-1]) for part in kernel)
    eta = relative_step * N / largest
    base, base_test = (logits(W0[None], x, LEARNER)[0] for x in (X, TEST))
    for targets in (HARD, soft_targets(temperature)):
        change = torch.zeros_like(W0, requires_grad=True)
        for _ in range(6):
            F = linearize(W0, W0 + change, X, LEARNER) - base
            # T times the mean cross-entropy of softmax(F / T): its pull is t - softmax(F / T).
            loss = temperature * nnf.cross_entropy(F / temperature, targets)
            (gradient,) = torch.autograd.grad(loss, change)
            change = (change - eta * gradient).detach().requires_grad_()
        weights = change.detach()
        dual = kernel_descent(kernel, targets, steps=6, relative_step=relative_step,
                              temperature=temperature)  # fmt: skip
        got = torch.einsum("knf,kn->kf", features(X), dual).reshape(K, M, D)
        torch.testing.assert_close(got, weights, **EXACT)
        moved = linearize(W0, W0 + weights, TEST, LEARNER) - base_test
        torch.testing.assert_close(predict(ntk(W0, TEST, X, LEARNER), dual), moved, **EXACT)


@pytest.mark.parametrize(
    ("temperature", "relative_step"),
    [(1.0, 0.3), (1.0, 1.0), (1.0, 2.0), (4.0, 2.0), (0.1, 1.0)],
)
def test_the_loss_of_kernel_descent_falls(temperature: float, relative_step: float) -> None:
    # One kernel of rank 5 for all classes: the stiffest case, curvatures add up.
    phi = normal(12, 5)
    kernel = (phi @ phi.T).expand(K, 12, 12)
    for targets in (HARD[:12], soft_targets(temperature)[:12]):
        losses = [math.log(K)]
        for steps in range(1, 31):
            dual = kernel_descent(kernel, targets, steps=steps, relative_step=relative_step,
                                  temperature=temperature)  # fmt: skip
            F = predict(kernel, dual) / temperature
            losses.append(float(nnf.cross_entropy(F, targets)))
        assert all(after < before for before, after in zip(losses, losses[1:], strict=False))


def test_kernel_descent_fits_what_can_be_fitted() -> None:
    kernel = ntk(W0, X, None, LEARNER)
    dual = kernel_descent(kernel, HARD, steps=300)
    assert torch.equal(predict(kernel, dual).argmax(dim=1), HARD.argmax(dim=1))
    before = kernel.clone(), HARD.clone()
    kernel_descent(kernel, HARD, steps=2)
    assert torch.equal(kernel, before[0]) and torch.equal(HARD, before[1])


# ---------------------------------------------------------------------------- bad input


@pytest.mark.parametrize("value", [0, -0.1, math.inf, math.nan])
def test_bad_diag_reg(value: float) -> None:
    with pytest.raises(BadInput) as caught:
        kernel_ridge(ntk(W0, X, None, LEARNER), HARD, diag_reg=value)
    assert str(caught.value) == f"diag_reg (lambda) = {value} must lie in (0, inf); try 0.01."


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"steps": 0}, "steps (T) = 0 must be an integer >= 1"),
        ({"steps": 2.0}, "steps (T) = 2.0 must be an integer >= 1"),
        ({"relative_step": 0}, "relative_step (eta) = 0 must lie in (0, 2]"),
        ({"relative_step": 2.1}, "relative_step (eta) = 2.1 must lie in (0, 2]"),
        ({"relative_step": math.nan}, "relative_step (eta) = nan must lie in (0, 2]"),
        ({"temperature": 0}, "temperature (T) = 0 must lie in (0, inf)"),
        ({"temperature": -1.0}, "temperature (T) = -1.0 must lie in (0, inf)"),
    ],
)
def test_bad_descent(bad: dict[str, float], words: str) -> None:
    arguments = {"steps": 3} | bad
    with unchecked(), pytest.raises(BadInput) as caught:
        kernel_descent(ntk(W0, X, None, LEARNER), HARD, **arguments)
    assert words in str(caught.value)


def fitters() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    return {
        "ridge": lambda K, y: kernel_ridge(K, y, diag_reg=0.1),
        "descent": lambda K, y: kernel_descent(K, y, steps=2),
    }


@pytest.mark.parametrize("method", ["ridge", "descent"])
@pytest.mark.parametrize("value", [0.0, math.nan, math.inf])
def test_a_kernel_of_zeros_or_worse(method: str, value: float) -> None:
    kernel = ntk(W0, X, None, LEARNER).float()
    kernel[1] = value  # as float32 gives for weights too small or too large
    with pytest.raises(BadInput) as caught:
        fitters()[method](kernel, HARD.float())
    assert str(caught.value) == (
        f"mean diagonal of k_train_train[1] (K) = {value} must lie in (0, inf); "
        "change init_std, or compute the kernel in float64."
    )


@pytest.mark.parametrize("method", ["ridge", "descent"])
def test_a_kernel_of_other_inputs(method: str) -> None:
    kernel = ntk(W0, X, None, LEARNER)
    for targets in (HARD[:-1], HARD[:, :-1]):
        n, k = targets.shape
        with unchecked(), pytest.raises(BadInput) as caught:
            fitters()[method](kernel, targets)
        assert str(caught.value) == (
            f"k_train_train (K) = (3, 14, 14) must have shape ({k}, {n}, {n}) for {n} targets of "
            f"{k} classes; compute both on the same training set."
        )


REFUSAL = (
    r"diag_reg \(lambda\) = \S+ must be larger, e\.g\. (\S+): rounding may move the fit of "
    r"class \d by more than 1% of its targets; raise it, or compute the kernel in float64\."
)


def test_a_singular_kernel_needs_a_ridge() -> None:
    many = normal(60, P, D, seed=3).float()  # rank 24, the rest is float32's rounding
    kernel = ntk(W0.float(), many, None, LEARNER)
    y = nnf.one_hot(torch.arange(60) % K, K).float()
    with pytest.raises(BadInput) as caught:
        kernel_ridge(kernel, y, diag_reg=1e-13)
    words = re.fullmatch(REFUSAL, str(caught.value))
    assert words
    assert bool(kernel_ridge(kernel, y, diag_reg=float(words[1])).isfinite().all())


def test_equal_inputs_with_unlike_labels_are_fitted_right_or_refused() -> None:
    half = normal(20, P, 60, seed=3)
    twice = torch.cat([half, half])
    W = init_weights([0], LEARNER, n_classes=K, dim=60, dtype=torch.float64)[0]
    kernel = ntk(W, twice, None, LEARNER)
    y = nnf.one_hot(torch.arange(40) // 3 % K, K).double()
    rough = ntk(W.float(), twice.float(), None, LEARNER)
    # Both of a pair are answered alike: from the features, with the mean of their labels.
    phi, mean = features(half, W), (y[:20] + y[20:]) / 2
    right, refused = 0, 0
    for power in range(1, 13):
        diag_reg = 10.0**-power
        ridge = diag_reg * kernel.diagonal(dim1=1, dim2=2).mean(dim=1) / 2
        gram = phi @ phi.transpose(1, 2)
        dual = torch.linalg.solve(gram + ridge[:, None, None] * torch.eye(20), mean.T[..., None])
        wanted = (gram @ dual).squeeze(-1).T.repeat(2, 1)
        for K_train, targets in ((rough, y.float()), (kernel, y)):
            try:
                fitted = predict(K_train, kernel_ridge(K_train, targets, diag_reg=diag_reg))
            except BadInput as error:
                assert re.fullmatch(REFUSAL, str(error))
                refused += 1
                continue
            right += 1
            assert float((fitted - wanted).norm() / y.norm()) < 0.01
    assert right >= 10 and refused >= 5
