"""The study behind Theorems 1 and 2, on a toy."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch

from mvlib.paper.evaluation import learned_views
from mvlib.paper.multi_view_data import MultiViewParams, sample
from mvlib.paper.network import LearnerParams
from mvlib.paper.step_rules import BoundedRelativeStep, FixedSteps, Schedule, WhenFitted
from mvlib.store.kinds import kind_of
from mvlib.studies.one_draw import expected_steps, seeds_of
from mvlib.studies.single_model import SingleModelStudy, run_single_model

TOY = SingleModelStudy(
    data=MultiViewParams(n_classes=3, dim=12, n_patches=6, sparsity=1.5, noise_std=0.1,
                         single_view_fraction=0.1),
    learner=LearnerParams(n_neurons=2, power=4, threshold=1.0, init_std=0.05),
    schedule=Schedule(step_rule=BoundedRelativeStep(max_step=100.0, relative_change=0.3),
                      stop_rule=FixedSteps(steps=40)),
    n_train=30, n_networks=3, draw=1, n_test_single=120, n_test_multi=90, record_every=20,
    n_watch=15,
)  # fmt: skip


@pytest.fixture(scope="module")
def toy() -> dict[str, np.ndarray]:
    return run_single_model(TOY)


def test_every_documented_array_is_there(toy: dict[str, np.ndarray]) -> None:
    shapes = {
        "stop_step": (3,), "fitted": (3,), "single_error": (3,), "multi_error": (3,),
        "correlations": (3, 3, 2), "predicted_winner": (3, 3), "winner_margin": (3, 3),
        "train_outputs": (3, 30, 3), "ensemble_single_error": (), "ensemble_multi_error": (),
        "class_error": (3, 3, 2), "ensemble_class_error": (3, 2), "example_outputs": (3, 60, 3),
        "example_labels": (60,), "steps": (3,), "loss": (3, 3), "train_error": (3, 3),
        "view_correlations": (3, 3, 3, 2), "single_residual": (3, 3), "multi_residual": (3, 3),
        "watched_single_error": (3, 3), "watched_multi_error": (3, 3),
    }  # fmt: skip
    for name, shape in shapes.items():
        assert toy[name].shape == shape, name
    assert toy["steps"].tolist() == [0, 20, 40]


def test_a_network_is_the_same_whatever_the_others(toy: dict[str, np.ndarray]) -> None:
    fewer = run_single_model(replace(TOY, n_networks=1))
    # float32, 40 steps through the take-off: 1e-7 a step, grown at most a hundredfold.
    assert fewer["correlations"][0] == pytest.approx(toy["correlations"][0], rel=1e-3, abs=1e-5)
    assert seeds_of(TOY.draw, 3) == [1000, 1001, 1002]
    assert seeds_of(TOY.draw, 1) == [1000]
    assert not set(seeds_of(TOY.draw, 3)) & set(seeds_of(0, 1000))


def test_running_twice_gives_the_same_numbers(toy: dict[str, np.ndarray]) -> None:
    again = run_single_model(TOY)
    for name, array in toy.items():
        assert np.array_equal(array, again[name], equal_nan=True), name


def test_class_errors_by_loop(toy: dict[str, np.ndarray]) -> None:
    whole = sample(TOY.data, 120, seed=1, name="test", kind="single")
    assert toy["example_labels"].tolist() == whole.labels[:60].tolist()
    # Weighted back together, errors by class and view are the error.
    total = np.zeros(3)
    for i, view in product(range(3), (0, 1)):
        count = int(((whole.labels == i) & (whole.dominant_view == view)).sum())
        total += count * toy["class_error"][:, i, view] / 120
    # Shares stored in float32.
    assert total == pytest.approx(toy["single_error"], abs=1e-6)


def test_disjoint_ensembles_by_loop(toy: dict[str, np.ndarray]) -> None:
    n = 60  # as many as have their scores stored
    study = replace(TOY, n_networks=5, ensemble_size=2, n_test_single=n)
    found = run_single_model(study)
    whole = sample(study.data, n, seed=1, name="test", kind="single")
    labels, shown = whole.labels.tolist(), (whole.strengths > 0).tolist()
    known = learned_views(torch.as_tensor(found["correlations"])).tolist()
    counts, errors = np.zeros((3, 3, 2), dtype=int), []
    for members in ((0, 1), (2, 3)):
        wrong = found["example_outputs"][[*members]].mean(axis=0).argmax(axis=1) != labels
        errors.append(wrong.mean())
        for i, y in enumerate(labels):
            who = sum(known[m][y][int(whole.dominant_view[i])] for m in members)
            rivals = max(sum(shown[i][j]) for j in range(3) if j != y)
            counts[who, rivals] += (1, wrong[i])
    # Shares stored in float32.
    assert found["disjoint_single_error"] == pytest.approx(errors, abs=1e-6)
    assert found["disjoint_by_knowledge"].tolist() == counts.tolist()
    assert (counts.sum(axis=1)[:, 0] > 0).sum() > 1 and 0 < counts[..., 1].sum() < 2 * n
    # The first two networks alone: the same but for rounding, which may turn one input over.
    pair = run_single_model(replace(study, n_networks=2))
    assert pair["disjoint_multi_error"].shape == (1,)
    assert pair["disjoint_multi_error"][0] == pair["ensemble_multi_error"]
    assert found["disjoint_multi_error"][0] == pytest.approx(
        float(pair["ensemble_multi_error"]), abs=1.5 / study.n_test_multi
    )


def test_no_disjoint_ensembles_where_there_is_not_a_whole_one(toy: dict[str, np.ndarray]) -> None:
    few = run_single_model(replace(TOY, n_networks=1, ensemble_size=2))
    for found in (toy, few):
        assert not [name for name in found if name.startswith("disjoint")]


def test_residuals_are_probabilities(toy: dict[str, np.ndarray]) -> None:
    for kind in ("single", "multi"):
        residual = toy[f"{kind}_residual"]
        assert ((0 <= residual) & (residual <= 1)).all()
        # Before the first step all outputs are nearly 0: softmax is 1/3.
        assert residual[0] == pytest.approx(2 / 3, abs=0.01)


def test_watched_inputs_are_not_the_test_set() -> None:
    watched = sample(TOY.data, 15, seed=1, name="watch", kind="single")
    tested = sample(TOY.data, 15, seed=1, name="test", kind="single")
    assert not np.isin(watched.patches.numpy(), tested.patches.numpy()).any()


def test_work_is_foreseen() -> None:
    assert kind_of(TOY).steps(TOY) == 40
    # Networks that stop by themselves take about 70, unless they must stop before.
    assert (
        expected_steps(WhenFitted(limit=50)) == 50 and expected_steps(WhenFitted(limit=800)) == 70
    )
    assert expected_steps(FixedSteps(steps=800)) == 800
    # 2 N P d k m a product, two products a step and one a test input, three networks.
    per_input = 2 * 6 * 12 * 3 * 2
    assert kind_of(TOY).work(TOY) == 3 * per_input * (2 * 30 * 40 + 120 + 90)
