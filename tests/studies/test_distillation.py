"""Students on a toy: what they start from, what they are taught, and what is reported."""

import math
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from shapes import unchecked
from torch import Tensor
from toys import TEACHER, student

from mvlib.core.checks import BadInput
from mvlib.paper.multi_view_data import feature_vectors, sample
from mvlib.paper.network import init_weights
from mvlib.paper.objectives import (
    CrossEntropy,
    Objective,
    TemperatureDistillation,
    TruncatedDistillation,
    truncated_logit,
)
from mvlib.paper.step_rules import ConstantStep
from mvlib.store.kinds import kind_of
from mvlib.studies.distillation import (
    TARGETS,
    DistillationStudy,
    Target,
    averages,
    run_distillation,
    student_objective,
    target_outputs,
    teacher_train_error,
)
from mvlib.studies.one_draw import seeds_of
from mvlib.studies.single_model import run_single_model
from mvlib.studies.teachers import CERTAIN

K, N, L, DRAW = 3, TEACHER.n_train, TEACHER.n_networks, TEACHER.draw
TRAIN = sample(TEACHER.data, N, seed=DRAW, name="train")
Y = TRAIN.labels
# Scores of three made-up networks: network l gives class i of sample n the score 100 l + n + i/10.
OUTPUTS = (
    100.0 * torch.arange(L)[:, None, None]
    + torch.arange(N)[None, :, None]
    + torch.arange(K)[None, None, :] / 10
)
Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def teacher() -> Arrays:
    return run_single_model(TEACHER)


@pytest.fixture(scope="module")
def distilled(teacher: Arrays) -> Arrays:
    return run_distillation(student(record_every=5, n_watch=15), teacher["train_outputs"])


# ------------------------------------------------------------------------------------- pairing


class Began(Exception):
    """Carries what training was about to begin with."""


def beginning(
    study: DistillationStudy, monkeypatch: pytest.MonkeyPatch
) -> tuple[Tensor, Sequence[int], Objective]:
    """Initial weights, seeds and objective of the students; nothing is trained."""

    def begin(W0: Tensor, X: Tensor, labels: Tensor, objective: Objective, **other: Any) -> None:
        assert torch.equal(X, TRAIN.patches) and torch.equal(labels, Y)
        raise Began(W0, other["seeds"], objective)

    with monkeypatch.context() as patch, pytest.raises(Began) as caught:
        patch.setattr("mvlib.studies.one_draw.train", begin)
        run_distillation(study, OUTPUTS.repeat(study.n_teachers, 1, 1)[: study.n_teachers].numpy())
    return caught.value.args  # type: ignore[return-value]


def test_students_start_alike_whatever_they_are_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    W0, seeds, _ = beginning(student(target="labels"), monkeypatch)
    assert seeds == seeds_of(DRAW, 2) == [1000 * DRAW, 1000 * DRAW + 1]
    assert W0.shape == (2, K, TEACHER.learner.n_neurons, TEACHER.data.dim)
    studies = [student(target=target) for target in TARGETS]
    studies += [student(form=form) for form in ("printed", "temperature")]
    studies += [student(teacher_scale=2.0), student(steps=3), student(n_students=3)]
    for study in studies:
        assert torch.equal(beginning(study, monkeypatch)[0][:2], W0)
    # They share nothing with the networks that teach, though these have the same seeds.
    networks = init_weights(seeds, TEACHER.learner, n_classes=K, dim=TEACHER.data.dim)
    assert not torch.isclose(networks, W0).any()
    other_draw = student(teacher=replace(TEACHER, draw=DRAW + 1))
    assert not set(seeds_of(other_draw.base.draw, 2)) & set(seeds)


def test_pairing_shows_in_what_is_stored(teacher: Arrays, distilled: Arrays) -> None:
    for changes in ({"target": "labels"}, {"n_students": 1}, {"target": "each"}):
        other = run_distillation(student(steps=1, **changes), teacher["train_outputs"])
        assert other["predicted_winner"][0].tolist() == distilled["predicted_winner"][0].tolist()
        # One student or two in a matrix product: rounding of float32.
        assert other["winner_margin"][0] == pytest.approx(distilled["winner_margin"][0], rel=1e-5)


def test_a_chain_has_one_root(monkeypatch: pytest.MonkeyPatch) -> None:
    first = student()
    second = student(teacher=first, generation=2, target="each")
    third = student(teacher=second, generation=3, n_students=1)
    assert (first.n_teachers, second.n_teachers, third.n_teachers) == (3, 2, 2)
    for study in (first, second, third):
        assert study.base is TEACHER
        assert study.base.n_test_single == TEACHER.n_test_single
    starts = [beginning(study, monkeypatch)[0][0] for study in (first, second, third)]
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert not torch.isclose(starts[one], starts[other]).any()
    again = beginning(student(teacher=first, generation=2), monkeypatch)[0]
    assert torch.equal(again[0], starts[1])


def test_students_that_keep_no_outputs_teach_nobody(teacher: Arrays, distilled: Arrays) -> None:
    mute = student(record_every=5, n_watch=15, keep_outputs=False)
    kept = run_distillation(mute, teacher["train_outputs"])
    assert distilled.keys() - kept.keys() == {"train_outputs"}
    for name, array in kept.items():
        assert np.array_equal(array, distilled[name], equal_nan=True), name
    with pytest.raises(BadInput, match=r"teacher\.keep_outputs .* must be True; students learn"):
        student(teacher=mute, generation=2)


def test_a_chain_is_taught_by_the_students_before(teacher: Arrays, distilled: Arrays) -> None:
    study = student(teacher=student(), generation=2, target="each", steps=2)
    taught = run_distillation(study, distilled["train_outputs"])
    assert taught["single_error"].shape == (2,)
    with pytest.raises(BadInput, match=r"outputs \(G\) = \(3, 36, 3\) must be \(2, 36, 3\)"):
        run_distillation(study, teacher["train_outputs"])


# -------------------------------------------------------------------------------- what is taught


def test_the_average_is_the_ensemble() -> None:
    G = target_outputs(student(teacher_scale=2.0), OUTPUTS, Y)
    assert G.shape == (1, N, K)
    # The mean of 0, 100 and 200 is 100; twice that, and twice the rest.
    assert G[0, 0].tolist() == pytest.approx([200.0, 200.2, 200.4])
    assert G[0, 7].tolist() == pytest.approx([214.0, 214.2, 214.4])
    torch.testing.assert_close(G[0], 2.0 * (OUTPUTS[0] + OUTPUTS[1] + OUTPUTS[2]) / 3)


def test_students_take_disjoint_ensembles_in_turn() -> None:
    five = replace(TEACHER, n_networks=5, ensemble_size=2)
    outputs = 100.0 * torch.arange(5)[:, None, None] + OUTPUTS[:1]
    # Of networks 0 and 1, of 2 and 3, and again; the fifth is in no ensemble.
    for target, scale in (("average", 2.0), ("shuffled", 1.0)):
        study = student(teacher=five, n_students=3, target=target, teacher_scale=scale)
        G = target_outputs(study, outputs, Y) / scale
        for r, mean in enumerate((50.0, 250.0, 50.0)):
            of_r = G[r].sort(dim=0).values  # OUTPUTS grows with the sample
            torch.testing.assert_close(of_r, mean + OUTPUTS[0])
    assert averages(student(teacher=five, n_students=1), outputs).shape == (1, N, K)
    # Without a second ensemble all networks teach, and so do all students down a chain.
    for teacher in (replace(five, ensemble_size=0), replace(five, ensemble_size=5)):
        everybody = averages(student(teacher=teacher), outputs)
        torch.testing.assert_close(everybody, 200.0 + OUTPUTS[:1])
    chain = student(teacher=student(teacher=five, n_students=4), generation=2)
    torch.testing.assert_close(averages(chain, outputs[:4]), 150.0 + OUTPUTS[:1])


@pytest.mark.parametrize("n_students", [1, 2, 3])
def test_each_student_has_its_own_network(n_students: int) -> None:
    study = student(target="each", n_students=n_students, teacher_scale=2.0)
    G = target_outputs(study, OUTPUTS, Y)
    assert G.shape == (n_students, N, K)
    for r in range(n_students):
        assert torch.equal(G[r], 2.0 * OUTPUTS[r])


def test_one_hot_knows_the_label_and_nothing_else() -> None:
    study = student(target="one-hot", teacher_scale=2.0)
    G = target_outputs(study, OUTPUTS, Y)
    assert G.shape == (1, N, K) and G.dtype == OUTPUTS.dtype
    for n in range(N):
        assert G[0, n].tolist() == [2.0 * CERTAIN if i == Y[n] else 0.0 for i in range(K)]
    assert torch.equal(G, target_outputs(study, -OUTPUTS, Y)), "whatever the networks say"
    assert G.max() > 1 / study.tau**2, "beyond the cap"


def dealt(study: DistillationStudy, labels: Tensor = Y) -> list[int]:
    """Whose soft label each sample has: read off the made-up scores, c (100 + n + i/10)."""
    G = target_outputs(study, OUTPUTS, labels)
    assert G.shape == (1, N, K)
    return ((G[0, :, 0] / study.teacher_scale).round() - 100).int().tolist()


def test_shuffled_deals_soft_labels_within_classes() -> None:
    order = dealt(student(target="shuffled"))
    assert sorted(order) == list(range(N)), "every soft label is dealt once"
    assert order != list(range(N))
    assert Y[order].tolist() == Y.tolist(), "within its class"
    # One permutation a draw: all its students are taught the same.
    assert dealt(student(target="shuffled", n_students=1, teacher_scale=3.0)) == order
    assert dealt(student(target="shuffled", teacher=replace(TEACHER, draw=DRAW + 1))) != order
    average = target_outputs(student(), OUTPUTS, Y)
    assert torch.equal(target_outputs(student(target="shuffled"), OUTPUTS, Y), average[:, order])


def test_smoothed_has_two_numbers() -> None:
    cap = 101.0  # samples 0, 1, ... score 100 + n + i/10: all but the first two are beyond it
    G = target_outputs(student(target="smoothed", tau=cap**-0.5), OUTPUTS, Y)
    capped = student(tau=cap**-0.5)
    seen = target_outputs(capped, OUTPUTS, Y)[0].clamp(max=cap)
    own = [float(seen[n, Y[n]]) for n in range(N)]
    others = [float(seen[n, i]) for n in range(N) for i in range(K) if i != Y[n]]
    for n in range(N):
        for i in range(K):
            expected = np.mean(own if i == Y[n] else others)
            assert float(G[0, n, i]) == pytest.approx(expected, rel=1e-6)  # float32 sums


def test_what_students_are_trained_on() -> None:
    outputs = OUTPUTS.numpy()
    assert isinstance(student_objective(student(target="labels"), None, Y), CrossEntropy)
    assert isinstance(student_objective(student(target="labels"), outputs, Y), CrossEntropy)
    for form in ("capped", "printed"):
        study = student(form=form, tau=0.3, rate_ratio=7.0, target="each")
        objective = student_objective(study, outputs, Y)
        assert isinstance(objective, TruncatedDistillation)
        assert (objective.tau, objective.rate_ratio) == (0.3, 7.0)
        assert objective.stop_at_cap == (form == "capped")
        assert torch.equal(objective.teacher_outputs, target_outputs(study, OUTPUTS, Y))
    study = student(form="temperature", temperature=5.0, weight=0.5)
    objective = student_objective(study, outputs, Y)
    assert isinstance(objective, TemperatureDistillation)
    assert (objective.temperature, objective.weight) == (5.0, 0.5)
    assert torch.equal(objective.teacher_outputs, target_outputs(study, OUTPUTS, Y))


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "labels"])
def test_a_teacher_is_needed(target: Target) -> None:
    for ask in (student_objective, lambda *a: run_distillation(*a[:2])):
        with pytest.raises(BadInput) as caught:
            ask(student(target=target), None, Y)
        said = str(caught.value)
        assert said.startswith(
            f"teacher_outputs (G) = None must be given for target {target!r}; "
        ), said
        assert "train_outputs" in said and said.endswith(".")


@pytest.mark.parametrize("target", [target for target in TARGETS if target != "labels"])
@pytest.mark.parametrize(
    "shape",
    [(L - 1, N, K), (L + 1, N, K), (L, N - 1, K), (L, N + 1, K), (L, N, K + 1), (N, K), (0, N, K)],
)
def test_a_teacher_of_another_shape(target: Target, shape: tuple[int, ...]) -> None:
    with unchecked(), pytest.raises(BadInput) as caught:
        student_objective(student(target=target), np.zeros(shape, dtype=np.float32), Y)
    assert str(caught.value).startswith(f"teacher_outputs (G) = {shape} must be {(L, N, K)}; ")
    assert "train_outputs" in str(caught.value)


# ----------------------------------------------------------------------------------- bad input

FIELDS: list[tuple[str, str, list[Any], str]] = [
    ("target", "G", ["teacher", "", None], "be one of ('labels', "),
    ("form", "", ["soft", ""], "be one of ('capped', "),
    ("n_students", "L", [0, -1, 1.5, True], "be an integer >= 1"),
    ("n_students", "L", [1001], "be <= 1000"),
    ("generation", "", [0, 1.5], "be an integer >= 1"),
    ("teacher_scale", "c", [0, -1.0, math.inf, math.nan], "lie in (0, inf)"),
    ("tau", "tau", [0, -0.1, math.nan], "lie in (0, inf)"),
    ("rate_ratio", "eta'/eta", [-0.1, math.inf, "4"], "lie in [0, inf)"),
    ("temperature", "T", [0, -4.0], "lie in (0, inf)"),
    ("weight", "lambda", [-1, math.nan], "lie in [0, inf)"),
    ("record_every", "", [-1, 0.5], "be an integer >= 0"),
    ("n_watch", "n", [-1, 2.0], "be an integer >= 0"),
    ("growth", "", [1, "yes"], "be True or False"),
    ("keep_outputs", "", [0, "no"], "be True or False"),
]


@pytest.mark.parametrize(
    ("field", "symbol", "value", "bound"),
    [
        pytest.param(field, symbol, value, bound, id=f"{field}-{value}")
        for field, symbol, values, bound in FIELDS
        for value in values
    ],
)
def test_bad_value(field: str, symbol: str, value: object, bound: str) -> None:
    with unchecked(), pytest.raises(BadInput) as caught:
        student(**{field: value})
    said = str(caught.value)
    assert said.startswith(f"{field} ({symbol}) = {value!r} must {bound}"), said
    remedy = said.partition("; ")[2]
    assert remedy and said.endswith(".") and "\n" not in said, "a remedy, in the same sentence"


def test_no_field_is_forgotten() -> None:
    named = {f.name for f in fields(DistillationStudy)} - {"teacher", "schedule", "batches"}
    assert {row[0] for row in FIELDS} == named


def test_each_student_needs_a_network() -> None:
    assert student(target="each", n_students=3).n_students == 3
    assert student(target="average", n_students=4).n_students == 4
    with pytest.raises(BadInput, match=r"n_students \(L\) = 4 must be <= 3; each needs a teacher"):
        student(target="each", n_students=4)
    with pytest.raises(BadInput, match=r"n_students \(L\) = 3 must be <= 2; each needs a teacher"):
        student(target="each", teacher=student(), n_students=3)


# --------------------------------------------------------------------------------- the teacher


def test_training_error_of_the_teacher(teacher: Arrays) -> None:
    assert teacher["fitted"].all()
    good = teacher["train_outputs"]
    for target, count in (
        ("average", 1), ("one-hot", 1), ("shuffled", 1), ("smoothed", 1), ("each", 2),
    ):  # fmt: skip
        error = teacher_train_error(student(target=target), good, Y)
        assert error.tolist() == [0.0] * count
    nothing = teacher_train_error(student(target="labels"), None, Y)
    assert nothing.shape == (1,) and bool(nothing.isnan().all())
    assert bool(teacher_train_error(student(target="labels"), good, Y).isnan().all())
    # Network 1 is certain of a wrong class for three samples, and the average with it.
    bad = good.copy()
    for n in (0, 5, 9):
        bad[1, n] = 0
        bad[1, n, (int(Y[n]) + 1) % K] = 1e4
    assert teacher_train_error(student(), bad, Y).tolist() == pytest.approx([3 / N])
    each = teacher_train_error(student(target="each"), bad, Y)
    assert each.tolist() == pytest.approx([0, 3 / N])
    # Of four networks in pairs, the second pair is the bad one: of every second student.
    four = replace(TEACHER, n_networks=4, ensemble_size=2)
    paired = teacher_train_error(
        student(teacher=four, n_students=3), np.concatenate([good[[0, 2]], bad[[0, 1]]]), Y
    )
    assert paired.tolist() == pytest.approx([0, 3 / N, 0])


# ----------------------------------------------------------------------------------- one study


def test_every_documented_array_is_there(distilled: Arrays) -> None:
    shapes = {
        "correlations": (2, K, 2), "predicted_winner": (2, K), "winner_margin": (2, K),
        "teacher_train_error": (1,),
        # trained
        "stop_step": (2,), "fitted": (2,), "train_outputs": (2, N, K), "steps": (4,),
        "loss": (4, 2), "train_error": (4, 2), "view_correlations": (4, 2, K, 2),
        "single_residual": (4, 2), "multi_residual": (4, 2), "watched_single_error": (4, 2),
        "watched_multi_error": (4, 2),
        # tested
        "single_error": (2,), "multi_error": (2,), "ensemble_single_error": (),
        "ensemble_multi_error": (), "ensemble_bootstrap": (400,), "bootstrap_multi": (400,),
        "size_curve": (2, 60), "size_curve_multi": (2, 60), "class_error": (2, K, 2),
        "ensemble_class_error": (K, 2), "example_outputs": (2, 60, K), "example_labels": (60,),
    }  # fmt: skip
    assert {name: array.shape for name, array in distilled.items()} == shapes
    assert distilled["steps"].tolist() == [0, 5, 10, 12]
    assert distilled["stop_step"].tolist() == [12, 12]


def test_without_watching_there_is_less(teacher: Arrays) -> None:
    bare = run_distillation(student(steps=2), teacher["train_outputs"])
    assert bare["steps"].tolist() == [2] and "watched_single_error" not in bare


def test_what_the_proofs_bound_is_recorded_and_changes_nothing(
    teacher: Arrays, distilled: Arrays
) -> None:
    told = run_distillation(
        student(record_every=5, n_watch=15, growth=True), teacher["train_outputs"]
    )
    more = {name: array.shape for name, array in told.items() if name not in distilled}
    n_single = int(TRAIN.single_view.sum())
    assert more == {
        "growth": (4, 2, K, 2, 4, 2), "single_scores": (4, 2, n_single, 3),
        "fresh_scores": (4, 2, 100, 3), "single_shown": (n_single, 2), "fresh_shown": (100, 2),
    }  # fmt: skip
    for name, array in distilled.items():
        assert np.array_equal(array, told[name], equal_nan=True), name
    # What a student reads in the training set is its score there.
    rows = TRAIN.single_view.numpy()
    own = told["train_outputs"][:, rows, Y.numpy()[rows]]
    np.testing.assert_allclose(told["single_scores"][-1].sum(axis=-1), own, rtol=1e-4, atol=1e-5)
    assert told["single_shown"][:, 0].tolist() == Y[rows].tolist()


def test_residuals_by_role_are_those_of_distillation(teacher: Arrays) -> None:
    """Before the first step every score is all but 0: the formula of (4.3) is left."""
    study = student(steps=1, record_every=1, growth=True)
    told = run_distillation(study, teacher["train_outputs"])["growth"][0, ..., 0]
    mean = study.teacher_scale * torch.as_tensor(teacher["train_outputs"]).mean(dim=0)
    short = truncated_logit(mean, tau=study.tau) - 1 / K
    a = torch.nn.functional.one_hot(Y, K) - 1 / K + study.rate_ratio * short.clamp_min(0)
    for j, v in np.ndindex(K, 2):
        rows = (TRAIN.strengths[:, j, v] > 0) & (j != Y)
        # Scores are below .01 at this start, and so is what they change.
        assert told[:, j, v, 2] == pytest.approx(float(a[rows, j].mean()), abs=0.02)


def by_formulas(study: DistillationStudy, G: np.ndarray | None, eta: float) -> np.ndarray:
    """Weights of the students after `steps` updates (4.3), capped, or (3.1) without a teacher; in
    float64 and written from the paper's formulas alone."""
    learner, q = TEACHER.learner, TEACHER.learner.power
    X, hot, cap = TRAIN.patches.double().numpy(), np.eye(K)[Y.numpy()], 1 / study.tau**2

    def soft(F: np.ndarray) -> np.ndarray:
        return np.exp(F) / np.exp(F).sum(axis=-1, keepdims=True)

    # Seeds of draw 2 begin at 2000.
    W = init_weights([2000, 2001], learner, n_classes=K, dim=TEACHER.data.dim, name="student")
    W = W.double().numpy()
    for _ in range(study.schedule.stop_rule.limit):
        z = np.einsum("skmd,npd->snkmp", W, X) / learner.threshold
        curved, straight = (0 < z) & (z <= 1), z > 1
        value = np.where(curved, z.clip(0) ** q / q, np.where(straight, z - 1 + 1 / q, 0))
        slope = np.where(curved, z.clip(0) ** (q - 1), straight)
        F = learner.threshold * value.sum(axis=(3, 4))
        pull = hot - soft(F)
        if G is not None:
            short = soft(np.minimum(F / cap, 1) / study.tau) - soft(
                np.minimum(G / cap, 1) / study.tau
            )
            pull = pull + study.rate_ratio * np.where(F <= cap, (-short).clip(0), 0)
        W = W + eta * np.einsum("snk,snkmp,npd->skmd", pull, slope, X) / N
    return W


@pytest.mark.parametrize("target", ["average", "each", "labels"])
def test_students_take_the_printed_steps(target: Target, teacher: Arrays) -> None:
    # Large steps: three of them take students through the bend, some beyond the cap.
    study, eta = student(target=target, steps=3, record_every=1), 40.0
    study = replace(study, schedule=replace(study.schedule, step_rule=ConstantStep(eta)))
    outputs = teacher["train_outputs"].astype(float)
    G = {"average": outputs.mean(axis=0), "each": outputs[:2], "labels": None}[target]
    W = by_formulas(study, None if G is None else study.teacher_scale * G, eta)
    found = run_distillation(study, None if G is None else teacher["train_outputs"])
    views = feature_vectors(TEACHER.data, DRAW).double().numpy().reshape(K, 2, -1)
    expected = np.einsum("skmd,kvd->skmv", W, views).max(axis=2)
    # Three steps in float32, whose sums of 36 x 8 x 40 terms are good to about 1e-6 each.
    assert found["correlations"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    # There is something to see: the classes moved, and by the teacher's word further than without.
    assert np.abs(W - by_formulas(study, None, 0.0)).max() > 0.1
    if G is not None:
        assert np.abs(W - by_formulas(study, None, eta)).max() > 0.1
    else:
        assert np.isnan(found["teacher_train_error"]).all()


def test_students_are_tested_on_the_networks_inputs(teacher: Arrays, distilled: Arrays) -> None:
    assert np.array_equal(distilled["example_labels"], teacher["example_labels"])


def test_work_is_foreseen(teacher: Arrays) -> None:
    reported: list[tuple[int, float]] = []
    study = student(steps=3)
    run_distillation(study, teacher["train_outputs"], lambda *a: reported.append(a))
    kind = kind_of(study)
    assert kind.steps(study) == 3
    assert [step for step, _ in reported] == [0, 1, 2, 3]
    # 2 P d k m an input, two products a step and one a test input, two students.
    per_input = 2 * 8 * 40 * K * 3
    assert kind.work(study) == 2 * per_input * (2 * N * 3 + 70 + 65)
    assert kind.work(replace(study, n_students=1)) == kind.work(study) / 2
