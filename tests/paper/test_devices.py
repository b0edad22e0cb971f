"""Nothing is left behind on the CPU when tensors live elsewhere.

No GPU is needed: tensors on "meta" have shapes and no numbers, and refuse to be mixed with those of
the CPU.  What needs numbers (which networks have stopped, where classes are) cannot run there; it
is tested on CPU tensors by every other file, through the same arguments.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from mvlib.experiments.settings import base_study
from mvlib.paper.evaluation import view_correlations
from mvlib.paper.gradient_descent import classification_error
from mvlib.paper.multi_view_data import Sample, feature_vectors, sample
from mvlib.paper.network import LearnerParams, ascent_direction, init_weights, logits
from mvlib.paper.objectives import (
    AverageCrossEntropy,
    CrossEntropy,
    Objective,
    TemperatureDistillation,
    TruncatedDistillation,
)
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    ConstantStep,
    Optimiser,
    SharedStep,
    StepRule,
)
from mvlib.paper.tangent_kernel import ntk, tangent_outputs, tangent_weights
from mvlib.studies.distillation import DistillationStudy, student_objective
from mvlib.studies.one_draw import as_arrays
from mvlib.studies.single_model import run_single_model

STUDY = replace(base_study("smoke"), n_train=40, n_networks=2)
DATA, LEARNER = STUDY.data, STUDY.learner
S, N, k = 2, STUDY.n_train, DATA.n_classes
G = torch.empty(S, N, k, device="meta")

W = init_weights([0, 1], LEARNER, n_classes=k, dim=DATA.dim, device="meta")


def elsewhere(*, streamed: bool = False) -> Sample:
    return sample(DATA, N, seed=0, name="train", streamed=streamed, device="meta")


def on_meta(*tensors: torch.Tensor) -> bool:
    return all(tensor.device.type == "meta" for tensor in tensors)


OBJECTIVES: list[Objective] = [
    CrossEntropy(),
    AverageCrossEntropy(scale=0.5),
    TruncatedDistillation(teacher_outputs=G, tau=0.4, rate_ratio=4.0, stop_at_cap=True),
    TruncatedDistillation(teacher_outputs=G[:1], tau=0.4, rate_ratio=4.0),
    TemperatureDistillation(teacher_outputs=G, temperature=4.0, weight=1.0),
]


@pytest.mark.parametrize("objective", OBJECTIVES, ids=lambda o: type(o).__name__)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_pass_over_the_data(streamed: bool, objective: Objective) -> None:
    drawn = elsewhere(streamed=streamed)

    def residual(F: torch.Tensor, rows: slice) -> torch.Tensor:
        assert on_meta(objective.loss(F, drawn.labels[rows]))
        assert F.shape == (len(drawn.labels[rows]), S, k)
        return objective.residual(F, drawn.labels[rows], rows)

    F = logits(W, drawn.patches, LEARNER)
    ascent = ascent_direction(W, drawn.patches, residual, LEARNER)
    assert on_meta(F, ascent, classification_error(F, drawn.labels))
    assert F.shape == (S, N, k) and ascent.shape == W.shape


RULES: list[StepRule] = [
    ConstantStep(1.0),
    BoundedRelativeStep(max_step=10.0, relative_change=0.3),
    SharedStep(BoundedRelativeStep(max_step=10.0, relative_change=0.3)),
]


@pytest.mark.parametrize("rule", RULES, ids=lambda r: type(r).__name__)
def test_step_sizes(rule: StepRule) -> None:
    assert on_meta(rule(W, torch.empty_like(W)))


def test_an_optimiser_steps_where_the_weights_are() -> None:
    rule, state = Optimiser(name="Adam", lr=0.1), {}
    for _ in range(2):
        moved, state = rule.update(W, torch.empty_like(W), state)
        assert on_meta(moved, state["exp_avg"], state["exp_avg_sq"]) and moved.shape == W.shape
        # A counter a network, where torch.optim reads it without waiting for the device.
        assert state["step"].shape == (S,) and state["step"].device.type == "cpu"


def test_measurements_and_kernels() -> None:
    drawn = elsewhere()
    views = feature_vectors(DATA, 0, device="meta")
    X = drawn.patches
    assert isinstance(X, torch.Tensor)
    dual = torch.empty(k, N, device="meta")
    assert on_meta(view_correlations(W, views), logits(W, X, LEARNER), ntk(W[0], X, None, LEARNER))
    theta = tangent_weights(W[0], X, dual, LEARNER)
    assert on_meta(theta, tangent_outputs(W[0], theta, X, LEARNER))


@pytest.mark.parametrize("target", ["average", "each", "one-hot"])
def test_a_teachers_outputs_follow_the_labels(target: str) -> None:
    study = DistillationStudy(
        teacher=STUDY, schedule=STUDY.schedule, n_students=2, target=target  # type: ignore[arg-type]
    )  # fmt: skip
    outputs = torch.zeros(S, N, k).numpy()
    objective = student_objective(study, outputs, elsewhere().labels)
    assert isinstance(objective, TruncatedDistillation)
    assert on_meta(objective.teacher_outputs)


def test_the_named_device_is_the_default_one() -> None:
    tiny = replace(
        STUDY, n_test_single=8, n_test_multi=8,
        learner=LearnerParams(n_neurons=1, init_std=0.3),
        schedule=replace(STUDY.schedule, stop_rule=replace(STUDY.schedule.stop_rule, limit=2)),
    )  # fmt: skip
    named, default = run_single_model(tiny, device="cpu"), run_single_model(tiny)
    for name, values in default.items():
        np.testing.assert_array_equal(named[name], values, err_msg=name)
    assert as_arrays({"a": torch.ones(2)})["a"].sum() == 2
