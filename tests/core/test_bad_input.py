"""Every configuration field out of its range: one sentence with field, symbol, value, bound."""

import math
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import pytest
import torch
from shapes import unchecked

from mvlib.core.checks import BadInput
from mvlib.core.randomness import stream
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import base_study
from mvlib.paper.multi_view_data import MultiViewParams, sample
from mvlib.paper.network import LearnerParams, init_weights
from mvlib.paper.step_rules import (
    BoundedRelativeStep,
    ConstantStep,
    FixedSteps,
    Schedule,
    WhenFitted,
)
from mvlib.studies.single_model import SingleModelStudy

NAN, INF = math.nan, math.inf
# field, symbol, values out of range, bound as it is said
DATA: list[tuple[str, str, list[Any], str]] = [
    ("n_classes", "k", [1, 0, -3, 2.0, True], "be an integer >= 2"),
    ("n_views", "V", [1, 0, 1.5, 2.0, True], "be an integer >= 2"),
    ("dim", "d", [19, 0, 20.0], "be an integer >= 20"),  # 2k = 20
    ("n_patches", "P", [19, 0], "be an integer >= 20"),  # 2 C_p + (2 k - 2) C_o = 20
    ("patches_per_view", "C_p", [0, 1.0], "be an integer >= 1"),
    ("patches_per_other_view", "C_o", [0, 1.0, True], "be an integer >= 1"),
    ("patches_per_other_view", "C_o", [2, 20], "be <= C_p = 1; raise patches_per_view"),
    ("sparsity", "s", [-0.1, 10.1, NAN], "lie in [0, 10]"),
    ("single_view_fraction", "mu", [-0.1, 1.1, NAN, "half"], "lie in [0, 1]"),
    ("own_strength", "z own", [(0.9, 2.0), (2.0, 1.0), (1.0,), 1.0, (1.0, NAN)], "1 <= a <= b"),
    (
        "view_scale",
        "z own",
        [(0.5, 1.0), (1.0, 0.5), (1.0, NAN), (1.0,) * 3, 1.5],
        "be at most V = 2 factors >= 1",
    ),
    ("multi_other_strength", "z other", [(0.0, 0.4), (0.2, 0.5), (0.3, 0.2)], "a <= b <= 0.4"),
    ("weak_view_strength", "rho", [0, 1.0, -0.1, NAN], "lie in (0, "),
    ("weak_view_spread", "O(rho)/rho", [0.9, INF], "lie in [1, inf)"),
    ("single_other_strength", "Gamma", [0, 0.6], "lie in (0, 0.5]"),
    ("single_other_floor", "Omega(Gamma)/Gamma", [0, 1.1], "lie in (0, 1]"),
    ("feature_noise", "gamma", [-0.1, INF], "lie in [0, inf)"),
    ("noise_std", "sigma_p", [-0.1, NAN], "lie in [0, inf)"),
    ("features", "choice", ["round", ""], "be one of"),
    ("overflow", "choice", ["drop"], "be one of"),
    ("balanced", "choice", [1, "yes"], "be True or False"),
    ("overlap", "<v, v'>", [-0.1, NAN], "lie in [0, inf)"),
    ("overlap", "<v, v'>", [1.0, 2], "be < 1; at 1 all views are the same direction"),
]
LEARNER: list[tuple[str, str, list[Any], str]] = [
    ("n_neurons", "m", [0, 1.0], "be an integer >= 1"),
    ("power", "q", [1, 2.5], "be an integer >= 2"),
    ("threshold", "varrho", [0, -1.0, INF], "lie in (0, inf)"),
    ("init_std", "sigma_0", [0, NAN], "lie in (0, inf)"),
    ("precision", "", ["float16", "", None], "be one of ('float32', 'bfloat16', 'split')"),
]
STUDY: list[tuple[str, str, list[Any], str]] = [
    ("n_train", "N", [0, 7, 10.0], ">= "),
    ("n_networks", "L", [0, -1], "be an integer >= 1"),
    ("draw", "seed", [-1, 0.5], "be an integer >= 0"),
    ("n_test_single", "n", [0], "be an integer >= 1"),
    ("n_test_multi", "n", [0], "be an integer >= 1"),
    ("record_every", "", [-1], "be an integer >= 0"),
    ("n_watch", "n", [-1], "be an integer >= 0"),
    ("ensemble_size", "L", [-1], "be an integer >= 0"),
    ("ensemble_size", "L", [1], "be 0 or >= 2"),
]
STEPS: list[tuple[type, dict[str, Any], str, str, list[Any], str]] = [
    (ConstantStep, {}, "eta", "eta", [0, -1.0, INF, NAN], "lie in (0, inf)"),
    (BoundedRelativeStep, {"relative_change": 0.3}, "max_step", "eta_max", [0, NAN], "(0, inf)"),
    (BoundedRelativeStep, {"max_step": 1.0}, "relative_change", "r", [0, 1.1], "lie in (0, 1]"),
    (BoundedRelativeStep, {"max_step": 1.0, "relative_change": 0.3}, "floor", "", [-0.1, 1.1],
     "lie in [0, 1]"),
    (FixedSteps, {}, "steps", "T", [0, 1.5], "be an integer >= 1"),
    (WhenFitted, {}, "limit", "T", [0, -1], "be an integer >= 1"),
    (Schedule, {"step_rule": ConstantStep(1.0), "stop_rule": FixedSteps(steps=1)},
     "weight_decay", "lambda", [-0.1, INF], "lie in [0, inf)"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def nobody_checks_types() -> Iterator[None]:
    """As outside the tests: a value of the wrong type is the library's to refuse."""
    with unchecked():
        yield


def cases(table: list[tuple[str, str, list[Any], str]]) -> list[Any]:
    return [
        pytest.param(field, symbol, value, bound, id=f"{field}-{value}")
        for field, symbol, values, bound in table
        for value in values
    ]


def assert_sentence(error: BadInput, field: str, symbol: str, value: object, bound: str) -> None:
    said = str(error)
    assert said.startswith(f"{field} ({symbol}) = {value!r} must "), said
    assert bound in said
    remedy = said.partition("; ")[2]
    assert remedy and said.endswith(".") and "\n" not in said, "a remedy, in the same sentence"


@pytest.mark.parametrize(("field", "symbol", "value", "bound"), cases(DATA))
def test_data(field: str, symbol: str, value: object, bound: str) -> None:
    with pytest.raises(BadInput) as caught:
        MultiViewParams(**{field: value})
    assert_sentence(caught.value, field, symbol, value, bound)


@pytest.mark.parametrize(("field", "symbol", "value", "bound"), cases(LEARNER))
def test_learner(field: str, symbol: str, value: object, bound: str) -> None:
    with pytest.raises(BadInput) as caught:
        LearnerParams(**{field: value})
    assert_sentence(caught.value, field, symbol, value, bound)


@pytest.mark.parametrize(("field", "symbol", "value", "bound"), cases(STUDY))
def test_study(field: str, symbol: str, value: object, bound: str) -> None:
    with pytest.raises(BadInput) as caught:
        replace(base_study("smoke"), **{field: value})
    assert_sentence(caught.value, field, symbol, value, bound)


@pytest.mark.parametrize(
    ("rule", "others", "field", "symbol", "value", "bound"),
    [
        pytest.param(rule, others, field, symbol, value, bound, id=f"{field}-{value}")
        for rule, others, field, symbol, values, bound in STEPS
        for value in values
    ],
)
def test_schedule(
    rule: type, others: dict[str, Any], field: str, symbol: str, value: object, bound: str
) -> None:
    with pytest.raises(BadInput) as caught:
        rule(**others, **{field: value})
    assert_sentence(caught.value, field, symbol, value, bound)


def test_no_field_is_forgotten() -> None:
    # Those that are objects have tests of their own.
    objects = {"activation", "appearance", "data", "learner", "schedule", "objective", "batches"}
    assert {row[0] for row in DATA} == {f.name for f in fields(MultiViewParams)} - objects
    assert {row[0] for row in LEARNER} == {f.name for f in fields(LearnerParams)} - objects
    assert {row[0] for row in STUDY} == {f.name for f in fields(SingleModelStudy)} - objects


def test_too_few_dimensions_or_patches_name_the_remedy() -> None:
    with pytest.raises(BadInput, match=r"dim \(d\) = 30 .* 40; raise dim to k V = 40"):
        MultiViewParams(n_classes=20, dim=30, n_patches=40)
    with pytest.raises(BadInput, match=r"n_patches \(P\) = 39 .* 40; .*overflow=\"thin\""):
        MultiViewParams(n_classes=10, n_patches=39, patches_per_view=2, patches_per_other_view=2)
    with pytest.raises(BadInput, match=r"dim \(d\) = 29 .* 30; raise dim to k V = 30"):
        MultiViewParams(n_classes=10, n_views=3, dim=29)
    # Own views take C_p patches each, the 2k - 2 others C_o: 2 * 3 + 18 = 24.
    with pytest.raises(BadInput, match=r"n_patches \(P\) = 23 .* 24; .*overflow=\"thin\""):
        MultiViewParams(n_classes=10, n_patches=23, patches_per_view=3)
    assert MultiViewParams(n_classes=10, n_patches=24, patches_per_view=3).n_patches == 24
    with pytest.raises(BadInput, match=r"n_patches \(P\) = 3 .* 4;"):
        MultiViewParams(n_patches=3, patches_per_view=2, overflow="thin")
    assert MultiViewParams(n_patches=4, patches_per_view=2, overflow="thin").n_patches == 4
    # Three own views of two patches each, and 27 others.
    with pytest.raises(BadInput, match=r"n_patches \(P\) = 32 .* 33;"):
        MultiViewParams(n_views=3, n_patches=32, patches_per_view=2)
    with pytest.raises(BadInput, match=r"n_patches \(P\) = 5 .* 6;"):
        MultiViewParams(n_views=3, n_patches=5, patches_per_view=2, overflow="thin")


def test_faint_views_of_one_wrong_class_stay_below_an_own_view() -> None:
    sizes = {"n_views": 3, "n_patches": 30}
    with pytest.raises(BadInput, match=r"^single_other_strength \(Gamma\) = 0.4 .*\(0, 0.333333\]"):
        MultiViewParams(**sizes)
    assert MultiViewParams(**sizes, single_other_strength=1 / 3).n_views == 3


def test_a_study_that_cannot_be_measured_is_refused_before_training() -> None:
    # Take-off times do not exist at q = 2: that must not come out after the training.
    study = base_study("smoke")
    with pytest.raises(BadInput, match=r"power \(q\) = 2 "):
        replace(study, learner=replace(study.learner, power=2))


@pytest.mark.parametrize(
    ("n", "kind", "words"),
    [(0, "multi", "n (N) = 0"), (1.5, "multi", "n (N) = 1.5"), (3, "both", "kind (D) = 'both'")],
)
def test_sample(n: Any, kind: Any, words: str) -> None:
    params = MultiViewParams(n_classes=3, dim=6, n_patches=6, sparsity=1.0)
    with pytest.raises(BadInput) as caught:
        sample(params, n, seed=0, name="train", kind=kind)
    assert str(caught.value).startswith(words)


def test_two_classes_with_two_views_are_warned_of() -> None:
    """And nothing else is refused of them."""
    few: dict[str, Any] = {"n_classes": 2, "dim": 6, "n_patches": 6, "sparsity": 1.0}
    with pytest.warns(UserWarning, match=r"^n_classes \(k\) = 2 with n_views \(V\) = 2 is too"):
        params = MultiViewParams(**few)
    assert len(sample(params, 4, seed=0, name="train")) == 4
    MultiViewParams(**few, n_views=3, single_other_strength=0.3)  # warnings are errors


def test_unknown_scale_and_name() -> None:
    with pytest.raises(BadInput, match="scale = 'huge' must be one of"):
        base_study("huge")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="experiment = 'nothing' must be one of"):
        experiments("smoke", "nothing")


def test_seeds() -> None:
    with pytest.raises(ValueError, match="seed must be an integer >= 0, got -1"):
        stream(-1, "train")
    with pytest.raises(ValueError, match="at least one name"):
        stream(0)
    with pytest.raises(BadInput, match="seeds"):
        init_weights([], LearnerParams(), n_classes=2, dim=4)
    assert isinstance(stream(0, "a", 1), torch.Generator)
