"""Networks trained as one, on a toy."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from shapes import unchecked
from toys import TEACHER

from mvlib.core.checks import BadInput
from mvlib.paper.gradient_descent import classification_error
from mvlib.paper.multi_view_data import sample
from mvlib.paper.network import init_weights, logits
from mvlib.paper.objectives import cross_entropy_residual
from mvlib.paper.step_rules import BoundedRelativeStep, FixedSteps, SharedStep
from mvlib.store.kinds import kind_of
from mvlib.studies.joint_training import JointStudy, run_joint
from mvlib.studies.one_draw import seeds_of
from mvlib.studies.single_model import run_single_model

RULE = TEACHER.schedule.step_rule
assert isinstance(RULE, BoundedRelativeStep)
BASE = replace(TEACHER, schedule=replace(TEACHER.schedule, step_rule=SharedStep(RULE)))
K, N = 3, BASE.n_train
LABELS = sample(BASE.data, N, seed=BASE.draw, name="train").labels
Arrays = dict[str, np.ndarray]


def joint(n_members: int = 3, *, mean: bool = True, steps: int | None = None) -> JointStudy:
    base = BASE
    if steps is not None:
        base = replace(base, schedule=replace(base.schedule, stop_rule=FixedSteps(steps=steps)))
    return JointStudy(base=base, n_members=n_members, mean=mean)


@pytest.fixture(scope="module")
def three() -> Arrays:
    return run_joint(joint())


def error_of_average(outputs: np.ndarray) -> float:
    return float(classification_error(torch.as_tensor(outputs).mean(dim=0)[None], LABELS))


@pytest.mark.parametrize("mean", [True, False])
def test_it_stops_when_the_average_fits(mean: bool) -> None:
    found = run_joint(joint(mean=mean))
    stop = int(found["stop_step"][0])
    assert found["stop_step"].tolist() == [stop] * 3 and 1 < stop < 200
    assert found["fitted"].all() and (found["train_error"][-1] == 0).all()
    assert error_of_average(found["train_outputs"]) == 0
    # Not a step later: one step earlier it did not fit.
    before = run_joint(joint(mean=mean, steps=stop - 1))
    assert error_of_average(before["train_outputs"]) > 0
    assert before["train_error"][-1].tolist() == pytest.approx(
        [error_of_average(before["train_outputs"])] * 3  # a share of 36 in float32
    )
    assert not before["fitted"].any()


def test_members_need_not_fit_by_themselves(three: Arrays) -> None:
    alone = classification_error(torch.as_tensor(three["train_outputs"]), LABELS)
    assert float(alone.max()) > 0, "or this toy would not tell the two stop rules apart"


@pytest.mark.parametrize("mean", [True, False])
def test_one_member_is_a_single_network(mean: bool) -> None:
    found = run_joint(joint(1, mean=mean))
    single = run_single_model(replace(BASE, n_networks=1))
    # The average of one is itself, and 1 times a residual is that residual: not even rounding.
    for name, array in found.items():
        assert np.array_equal(array, single[name], equal_nan=True), name
    assert found["fitted"].all()


@pytest.mark.parametrize("mean", [True, False])
def test_a_step_by_hand(mean: bool) -> None:
    """Every member: w + eta E[c (1_{i=y} - softmax_i(c sum F)) grad F_i], one eta for all."""
    X = sample(BASE.data, N, seed=BASE.draw, name="train").patches
    seeds = seeds_of(BASE.draw, 2)
    W = init_weights(seeds, BASE.learner, n_classes=K, dim=BASE.data.dim).requires_grad_()
    c = 1 / 2 if mean else 1.0
    F = logits(W, X, BASE.learner)
    a = c * cross_entropy_residual(c * F.detach().sum(dim=0)[:, None], LABELS)  # (N, 1, k)
    (ascent,) = torch.autograd.grad((a[:, 0] * F).sum() / N, W)
    with torch.no_grad():
        W1 = W + RULE(W, ascent).min() * ascent
    found = run_joint(joint(2, mean=mean, steps=1))
    expected = logits(W1, X, BASE.learner).detach().numpy()
    # One step in float32, gradients by two ways.
    assert found["train_outputs"] == pytest.approx(expected, rel=1e-3, abs=1e-7)
    assert not np.allclose(found["train_outputs"], F.detach().numpy(), rtol=1e-2)


def test_members_start_where_the_networks_do(monkeypatch: pytest.MonkeyPatch) -> None:
    class Began(Exception):
        pass

    def begin(W0: torch.Tensor, *_: object, **other: Any) -> None:
        raise Began(W0, other["seeds"])

    monkeypatch.setattr("mvlib.studies.one_draw.train", begin)
    with pytest.raises(Began) as caught:
        run_joint(joint(5))  # more than the base study has networks
    W0, seeds = caught.value.args
    assert seeds == seeds_of(BASE.draw, 5)
    assert torch.equal(
        W0, init_weights(seeds, BASE.learner, n_classes=K, dim=BASE.data.dim, name="init")
    )


def test_every_documented_array_is_there(three: Arrays) -> None:
    shapes = {
        "correlations": (3, K, 2),
        # trained
        "stop_step": (3,), "fitted": (3,), "train_outputs": (3, N, K), "steps": (1,),
        "loss": (1, 3), "train_error": (1, 3),
        # tested
        "single_error": (3,), "multi_error": (3,), "ensemble_single_error": (),
        "ensemble_multi_error": (), "ensemble_bootstrap": (400,), "bootstrap_multi": (400,),
        "size_curve": (3, 60), "size_curve_multi": (3, 60), "class_error": (3, K, 2),
        "ensemble_class_error": (K, 2), "example_outputs": (3, 60, K), "example_labels": (60,),
    }  # fmt: skip
    assert {name: array.shape for name, array in three.items()} == shapes
    assert np.array_equal(three["size_curve"][-1, :1], three["ensemble_single_error"][None])


def test_the_average_is_what_is_reported(three: Arrays) -> None:
    # Of the inputs whose scores are kept, the average gets those wrong that it should.
    kept = torch.as_tensor(three["example_outputs"]).mean(dim=0)[None]
    labels = torch.as_tensor(three["example_labels"])
    wrong = 60 * float(classification_error(kept, labels))
    n = BASE.n_test_single
    assert wrong <= n * float(three["ensemble_single_error"]) + 0.01 <= wrong + n - 60 + 0.02


@pytest.mark.parametrize(
    ("field", "symbol", "value", "bound"),
    [
        *(("n_members", "L", value, "be an integer >= 1") for value in (0, -1, 1.5, True)),
        ("n_members", "L", 1001, "be <= 1000"),
        *(("mean", "", value, "be True or False") for value in (1, "yes", None)),
    ],
)
def test_bad_value(field: str, symbol: str, value: object, bound: str) -> None:
    good: dict[str, Any] = {"base": BASE, "n_members": 2, "mean": True}
    with unchecked(), pytest.raises(BadInput) as caught:
        JointStudy(**{**good, field: value})
    said = str(caught.value)
    assert said.startswith(f"{field} ({symbol}) = {value!r} must {bound}"), said
    assert said.partition("; ")[2] and said.endswith(".") and "\n" not in said
    assert {f.name for f in fields(JointStudy)} == good.keys()


def test_work_is_foreseen() -> None:
    reported: list[int] = []
    study = joint(2, steps=3)
    run_joint(study, lambda step, _: reported.append(step))
    kind = kind_of(study)
    assert kind.steps(study) == 3 and reported == [0, 1, 2, 3]
    assert kind.steps(joint()) == 70, "the limit of 200 is not what a network needs"
    # 2 P d k m an input, two products a step and one a test input, two members.
    per_input = 2 * 8 * 40 * K * 3
    assert math.isclose(kind.work(study), 2 * per_input * (2 * N * 3 + 70 + 65))
