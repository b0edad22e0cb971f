"""Frozen networks side by side, on a toy: each learner against its own definition."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as nnf
from shapes import unchecked
from torch import Tensor

from mvlib.core.checks import BadInput
from mvlib.paper.gradient_descent import classification_error
from mvlib.paper.multi_view_data import MultiViewParams, Sample, sample
from mvlib.paper.network import LearnerParams, init_weights
from mvlib.paper.step_rules import BoundedRelativeStep, FixedSteps, Schedule
from mvlib.paper.tangent_kernel import kernel_descent, kernel_ridge, ntk, predict, tangent_features
from mvlib.store.kinds import kind_of
from mvlib.studies.kernel_contrast import (
    METHODS,
    SLOWNESS,
    WHO,
    ContrastStudy,
    contrast_flops,
    run_contrast,
)
from mvlib.studies.single_model import SingleModelStudy

K, D, M, N, L, STUDENTS, DRAW = 3, 24, 3, 48, 3, 2, 2
BASE = SingleModelStudy(
    data=MultiViewParams(n_classes=K, dim=D, n_patches=8, sparsity=1.5, noise_std=0.15,
                         single_view_fraction=0.1),
    learner=LearnerParams(n_neurons=M, power=3, threshold=1.0, init_std=0.3),
    schedule=Schedule(step_rule=BoundedRelativeStep(max_step=100.0, relative_change=0.3),
                      stop_rule=FixedSteps(steps=7), weight_decay=1e-4),
    n_train=N, n_networks=1, draw=DRAW, n_test_single=270, n_test_multi=60,
)  # fmt: skip
TOY = ContrastStudy(base=BASE, n_seeds=L, n_students=STUDENTS, diag_reg=0.1, descent_steps=12,
                    watch_steps=30, n_watch=20)  # fmt: skip
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def toy() -> Arrays:
    return run_contrast(TOY)


# ------------------------------------------------- each learner once more, in float64 and slowly

TRAIN = sample(BASE.data, N, seed=DRAW, name="train").to(device="cpu", dtype=torch.float64)
HARD = nnf.one_hot(TRAIN.labels, K).double()


def test_set(kind: Any) -> Sample:
    n = BASE.n_test_single if kind == "single" else BASE.n_test_multi
    drawn = sample(BASE.data, n, seed=DRAW, name="test", kind=kind)
    return drawn.to(device="cpu", dtype=torch.float64)


test_set.__test__ = False  # type: ignore[attr-defined]


def starts(n: int, name: str) -> Tensor:
    seeds = [1000 * DRAW + r for r in range(n)]
    return init_weights(seeds, BASE.learner, n_classes=K, dim=D, name=name).double()


def features(W0: Tensor, X: Tensor) -> Tensor:
    """(k, n, m d)."""
    return tangent_features(W0, X, BASE.learner).transpose(0, 1)


def by_kernel(W0: Tensor, X: Tensor, targets: Tensor, method: str, study: ContrastStudy) -> Tensor:
    """Outputs (n, k) on X of one network fitted to `targets`, through the kernel of X."""
    kernel = ntk(W0, TRAIN.patches, None, BASE.learner)
    if method == "ridge":
        dual = kernel_ridge(kernel, targets, diag_reg=study.diag_reg)
    else:
        dual = kernel_descent(kernel, targets, steps=study.descent_steps)
    return predict(ntk(W0, X, TRAIN.patches, BASE.learner), dual)


def average_by_weights(X: Tensor, method: str, study: ContrastStudy) -> Tensor:
    """Outputs on X of F = (1/L) sum f_l trained as one linear model on all features, scaled by
    1/L: ridge from the normal equations, descent on the weights, step by step."""
    nets = starts(L, "init")
    phi, phi_new = (
        torch.cat([features(W0, x) for W0 in nets], dim=2) / L for x in (TRAIN.patches, X)
    )  # (k, n, L m d)
    theta = phi.new_zeros(K, L * M * D)
    if method == "ridge":
        for i in range(K):
            ridge = study.diag_reg * phi[i].square().sum(dim=1).mean()
            normal_matrix = phi[i].T @ phi[i] + ridge * torch.eye(L * M * D, dtype=phi.dtype)
            theta[i] = torch.linalg.solve(normal_matrix, phi[i].T @ HARD[:, i])
    else:
        eta = N / max(float(torch.linalg.matrix_norm(part, 2)) ** 2 for part in phi)
        for _ in range(study.descent_steps):
            F = torch.einsum("inf,if->ni", phi, theta)
            theta += eta / N * torch.einsum("inf,ni->if", phi, HARD - F.softmax(dim=1))
    return torch.einsum("inf,if->ni", phi_new, theta)


def reference(X: Tensor, method: str, study: ContrastStudy) -> dict[str, Tensor]:
    """Outputs of every learner on X by its definition, (networks, n, k)."""

    def members(x: Tensor) -> Tensor:
        return torch.stack([by_kernel(W, x, HARD, method, study) for W in starts(L, "init")])

    G = members(TRAIN.patches).mean(dim=0)
    soft = G if method == "ridge" else G.softmax(dim=1)
    fresh = starts(STUDENTS, "student")
    return {
        "single": members(X),
        "ensemble": members(X).mean(dim=0, keepdim=True),
        "average": average_by_weights(X, method, study)[None],
        "hard_student": torch.stack([by_kernel(W, X, HARD, method, study) for W in fresh]),
        "distilled_student": torch.stack([by_kernel(W, X, soft, method, study) for W in fresh]),
    }


def assert_same_errors(wrong: np.ndarray, F: Tensor, labels: Tensor) -> None:
    """The study computes in float32: inputs closer to a tie than its rounding may differ."""
    own = F.gather(2, labels[None, :, None].expand(len(F), -1, 1)).squeeze(2)
    lead = own - F.masked_fill(nnf.one_hot(labels, K).bool(), -torch.inf).amax(dim=2)
    # Rounding of 48 terms of order 1, ridge .1: far below 1e-4 of the outputs' size.
    clear = lead.abs() > 1e-4 * F.abs().amax()
    assert float(clear.double().mean()) > 0.98
    assert wrong.shape == lead.shape and wrong.dtype == bool
    assert np.array_equal(wrong[clear.numpy()], (lead <= 0)[clear].numpy())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", ["single", "multi"])
def test_every_learner_is_what_it_says(toy: Arrays, method: str, kind: str) -> None:
    test = test_set(kind)
    for who, F in reference(test.patches, method, TOY).items():
        assert_same_errors(toy[f"{method}_{who}_{kind}_wrong"], F, test.labels)


@pytest.mark.parametrize("method", METHODS)
def test_training_errors_and_the_gap(method: str) -> None:
    # A ridge and a number of steps at which not everything is fitted.
    study = replace(TOY, diag_reg=30.0, descent_steps=1)
    found = run_contrast(study)
    outputs = reference(TRAIN.patches, method, study)
    for who, F in outputs.items():
        error = found[f"{method}_{who}_train_error"]
        # One of 48 inputs may be too close to call in float32.
        assert error == pytest.approx(classification_error(F, TRAIN.labels).numpy(), abs=1.1 / N)
        assert error.shape == (len(F),)
    assert found[f"{method}_single_train_error"].min() > 0
    G = outputs["ensemble"][0]
    target = G if method == "ridge" else G.softmax(dim=1)
    gap = float((target - HARD).abs().mean())
    # Means of numbers below 1 in float32.
    assert float(found[f"{method}_ensemble_train_gap"]) == pytest.approx(gap, abs=1e-5)
    assert gap > 0.2


def test_ties_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(W0: Tensor, weights: Tensor, X: Tensor, learner: LearnerParams) -> Tensor:
        return torch.zeros(*weights.shape[:-3], len(X), K)

    def nothing_fitted(kernel: Tensor, dual: Tensor) -> Tensor:
        return torch.zeros(*dual.shape[:-2], N, K)

    monkeypatch.setattr("mvlib.studies.kernel_contrast.tangent_outputs", nothing)
    monkeypatch.setattr("mvlib.studies.kernel_contrast.predict", nothing_fitted)
    found = run_contrast(replace(TOY, watch_steps=1))
    assert all(found[name].all() for name in found if name.endswith("_wrong"))
    assert all(
        (found[f"{method}_{who}_train_error"] == 1).all() for method in METHODS for who in WHO
    )


def test_every_documented_array_is_there(toy: Arrays) -> None:
    networks = dict(zip(WHO, (L, 1, 1, STUDENTS, STUDENTS), strict=True))
    shapes: dict[str, tuple[int, ...]] = {}
    for method in METHODS:
        shapes[f"{method}_ensemble_train_gap"] = ()
        for who, count in networks.items():
            shapes[f"{method}_{who}_train_error"] = (count,)
            shapes[f"{method}_{who}_single_wrong"] = (count, 270)
            shapes[f"{method}_{who}_multi_wrong"] = (count, 60)
    records = ("steps", "watched_train_error", "linearisation_error", "kernel_drift")
    shapes |= dict.fromkeys(records, (31,))
    assert {name: array.shape for name, array in toy.items()} == shapes


# ---------------------------------------------------------------------- what Section 2.1 argues


def test_an_interpolating_ensemble_has_nothing_to_teach() -> None:
    # 48 inputs, 72 features a class: kernels of full rank, well above float32's rounding.
    found = run_contrast(replace(TOY, diag_reg=1e-5))
    assert found["ridge_ensemble_train_gap"] < 1e-3
    for kind in ("single", "multi"):
        hard, distilled = (
            found[f"ridge_{who}_student_{kind}_wrong"] for who in ("hard", "distilled")
        )
        # The targets differ by less than 1e-3, and so do the outputs, but for a factor of order
        # one: few inputs lie so close to a tie.
        assert (hard != distilled).mean() < 0.02
        assert not np.array_equal(hard[0], hard[1])  # other features do differ
    loose = run_contrast(replace(TOY, diag_reg=1.0))
    assert loose["ridge_ensemble_train_gap"] > 0.1
    hard, distilled = (loose[f"ridge_{who}_student_single_wrong"] for who in ("hard", "distilled"))
    assert (hard != distilled).mean() > 0.03


def test_students_come_in_pairs_whatever_their_number(toy: Arrays) -> None:
    more = run_contrast(replace(TOY, n_students=STUDENTS + 1))
    for method in METHODS:
        for who in ("hard", "distilled"):
            name = f"{method}_{who}_student_single_wrong"
            assert np.array_equal(more[name][:STUDENTS], toy[name])
        for who in ("single", "ensemble", "average"):
            name = f"{method}_{who}_single_wrong"
            assert np.array_equal(more[name], toy[name])


def test_the_trained_network_leaves_its_linearisation(toy: Arrays) -> None:
    assert toy["steps"].tolist() == list(range(31))
    for name in ("linearisation_error", "kernel_drift"):
        assert toy[name][0] == pytest.approx(0, abs=1e-6)  # float32
        assert toy[name][-1] > 0.05
    assert toy["watched_train_error"][-1] < toy["watched_train_error"][0]
    # About 40 records, however long it is.
    longer = run_contrast(replace(TOY, watch_steps=85))
    assert longer["steps"].tolist() == [*range(0, 85, 2), 85]


# ----------------------------------------------------------------------------- work and progress


def test_progress_ends_when_the_work_does() -> None:
    calls: list[tuple[int, float]] = []
    run_contrast(replace(TOY, watch_steps=1), lambda step, left: calls.append((step, left)))
    total = L + 1 + STUDENTS + 1
    assert kind_of(TOY).steps(TOY) == total
    assert [step for step, _ in calls] == list(range(1, total + 1))
    assert [left for _, left in calls] == pytest.approx(
        [1 - s / total for s in range(1, total + 1)]
    )


def test_work_is_foreseen() -> None:
    def more(**change: Any) -> float:
        return contrast_flops(replace(TOY, **change)) - contrast_flops(TOY)

    fits = L + 1 + 2 * STUDENTS
    assert more(descent_steps=20) == pytest.approx(SLOWNESS * 8 * fits * 2 * K * N**2)
    # Two products of 2 N P d k m a step of the network trained for real.
    assert more(watch_steps=31) == pytest.approx(2 * 2 * N * 8 * D * K * M)
    assert more(n_students=3) > more(n_seeds=4) > 0


def test_running_twice_gives_the_same_numbers(toy: Arrays) -> None:
    again = run_contrast(TOY)
    for name, array in toy.items():
        assert np.array_equal(array, again[name]), name


# -------------------------------------------------------------------------------------- bad input

BAD: list[tuple[str, str, list[Any], str]] = [
    ("n_seeds", "L", [1, 0, 2.0], "be an integer >= 2"),
    ("n_seeds", "L", [1001], "be <= 1000"),
    ("n_students", "L", [0, -1, 1.0], "be an integer >= 1"),
    ("n_students", "L", [1001], "be <= 1000"),
    ("diag_reg", "lambda", [0, -0.1, math.nan, math.inf], "lie in (0, inf)"),
    ("descent_steps", "T", [0, 1.5], "be an integer >= 1"),
    ("watch_steps", "T", [0, -3], "be an integer >= 1"),
    ("n_watch", "n", [0, True], "be an integer >= 1"),
    ("n_watch", "n", [49], "be <= N = 48"),
]


@pytest.mark.parametrize(("field", "symbol", "values", "bound"), BAD)
def test_bad_fields(field: str, symbol: str, values: list[Any], bound: str) -> None:
    for value in values:
        with unchecked(), pytest.raises(BadInput) as caught:
            replace(TOY, **{field: value})
        assert str(caught.value).startswith(f"{field} ({symbol}) = {value!r} must {bound}; ")


def test_every_field_is_checked() -> None:
    assert {field for field, *_ in BAD} | {"base"} == {f.name for f in fields(ContrastStudy)}
