"""Classifiers that learn no features, on a toy."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from shapes import unchecked
from sklearn.svm import SVC
from toys import TEACHER

from mvlib.core.checks import BadInput
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.paper.multi_view_data import Sample, feature_vectors, sample, stored
from mvlib.store.kinds import kind_of
from mvlib.studies import classifiers
from mvlib.studies.classifiers import FORMS, ClassifierStudy, run_classifiers
from mvlib.studies.single_model import run_single_model

STUDY = ClassifierStudy(base=TEACHER, degrees=(1, 3), penalties=(0.03, 3.0), n_validation=40)
DRAW, MU = TEACHER.draw, TEACHER.data.single_view_fraction
Found = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def found() -> Found:
    return run_classifiers(STUDY)


def inputs(drawn: Sample, form: str) -> np.ndarray:
    X = stored(drawn).double().numpy()
    return X.reshape(len(X), -1) if form == "flattened" else X.sum(axis=1)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("degree", STUDY.degrees)
def test_each_is_scikit_learns_own_on_explicit_inputs(found: Found, form: str, degree: int) -> None:
    train = sample(TEACHER.data, TEACHER.n_train, seed=DRAW, name="train")
    X = inputs(train, form)
    scale = float((X**2).sum(axis=1).mean())
    at = FORMS.index(form), STUDY.degrees.index(degree)

    def error(machine: SVC, name: str, kind: Any, n: int) -> float:
        drawn = sample(TEACHER.data, n, seed=DRAW, name=name, kind=kind)
        return float((machine.predict(inputs(drawn, form)) != drawn.labels.numpy()).mean())

    validated = {}
    for penalty in STUDY.penalties:
        # scikit-learn's polynomial kernel is (gamma <x, x'> + coef0)^degree.
        machine = SVC(C=penalty, kernel="poly", gamma=1 / scale, coef0=1, degree=degree)
        machine.fit(X, train.labels.numpy())
        kinds = [error(machine, "validation", kind, 40) for kind in ("single", "multi")]
        validated[penalty] = error_in_units_of_mu(*kinds, MU)
        if penalty == found["penalty"][at]:
            tests = {"single": TEACHER.n_test_single, "multi": TEACHER.n_test_multi}
            # Products in float32: an input next to a border may fall on its other side.
            for kind, n in tests.items():
                assert found[f"{kind}_error"][at] == pytest.approx(
                    error(machine, "test", kind, n), abs=1.5 / n
                )
            train_error = float((machine.predict(X) != train.labels.numpy()).mean())
            assert found["train_error"][at] == pytest.approx(train_error, abs=1.5 / len(X))
    # One validation input of either kind.
    assert found["validation_error"][at] == pytest.approx(
        min(validated.values()), abs=1.1 / MU / 40
    )


def test_every_documented_array_is_there(found: Found) -> None:
    names = {"penalty", "validation_error", "train_error", "single_error", "multi_error"}
    of_networks = {f"network_{kind}_error" for kind in ("train", "single", "multi")}
    assert found.keys() == names | of_networks
    assert all(found[name].shape == (0,) for name in of_networks)
    assert all(found[name].shape == (len(FORMS), 2) and np.isfinite(found[name]).all()
               for name in names)  # fmt: skip


def test_of_equal_penalties_the_smaller_is_kept() -> None:
    # Beyond some C no training error is left to allow for: the machine no longer changes.
    large = replace(STUDY, penalties=(1e6, 1e4, 1e5))
    assert (run_classifiers(large)["penalty"] == 1e4).all()


def test_networks_are_trained_on_the_same_inputs() -> None:
    few = replace(STUDY, degrees=(1,), penalties=(1.0,), n_validation=1)
    found = run_classifiers(replace(few, n_networks=2))
    single = run_single_model(replace(TEACHER, n_networks=2))
    for kind, n in {"single": TEACHER.n_test_single, "multi": TEACHER.n_test_multi}.items():
        # The same sums in other blocks: an input next to a tie may fall on its other side.
        expected = single[f"{kind}_error"]
        assert found[f"network_{kind}_error"] == pytest.approx(expected, abs=1.1 / n)
    assert found["network_train_error"].tolist() == [0.0, 0.0]


def test_common_noise_is_the_same_in_all_patches() -> None:
    gamma, data = 0.2, TEACHER.data
    noisy = replace(STUDY, common_noise=gamma)
    [(X, labels)] = classifiers._drawn(noisy, "test", "multi", 60)
    [(plain, same)] = classifiers._drawn(STUDY, "test", "multi", 60)
    added = X - plain
    assert torch.equal(labels, same)
    # Rounding of float32 numbers of order 1.
    assert torch.allclose(added, added[:, :1].expand_as(added), atol=1e-6)
    views = feature_vectors(data, DRAW).flatten(0, 1)
    alpha = added[:, 0] @ views.T
    assert torch.allclose(alpha @ views, added[:, 0], atol=1e-6), "nothing beside the views"
    assert -1e-6 < float(alpha.min()) < 0.1 * gamma and 0.9 * gamma < float(alpha.max()) < gamma
    assert float(alpha.std(dim=0).min()) > 0.5 * gamma / 12**0.5, "another one an input"


def test_a_sum_of_patches_drowns_in_common_noise() -> None:
    few = replace(STUDY, degrees=(1,))
    errors = [
        float(run_classifiers(replace(few, common_noise=gamma))["multi_error"][1, 0])
        for gamma in (0.0, 0.8)
    ]
    # Eight patches' worth of .8 u, with u in [0, 1], in every view; strengths are 1 to 2.
    assert errors[0] < 0.1 and errors[1] > errors[0] + 0.2


def test_progress_and_work() -> None:
    steps: list[int] = []
    run_classifiers(STUDY, lambda step, share: steps.append(step))
    assert steps[-1] == kind_of(STUDY).steps(STUDY) == 1 + 2 * 2 * 2
    more = replace(STUDY, penalties=(0.03, 0.3, 3.0))
    beside = replace(STUDY, n_networks=1)
    assert kind_of(STUDY).work(more) > kind_of(STUDY).work(STUDY) > 0
    assert kind_of(STUDY).work(beside) > kind_of(STUDY).work(STUDY)


def test_kernels_beyond_the_bound_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    N = TEACHER.n_train
    inputs = N + 2 * 40 + TEACHER.n_test_single + TEACHER.n_test_multi
    size = 8 * N * inputs * 3  # products in two forms and one kernel, in float64
    monkeypatch.setattr(classifiers, "MEMORY_LIMIT", size)
    replace(STUDY)
    monkeypatch.setattr(classifiers, "MEMORY_LIMIT", size - 1)
    with pytest.raises(BadInput) as caught:
        replace(STUDY)
    assert str(caught.value) == (
        f"n_train (N) = {N} must leave kernels of {size} bytes within the {size - 1} that they may "
        "take; take fewer inputs."
    )


BAD: list[tuple[str, Any, str]] = [
    ("degrees", (), "D) = () must be a tuple of one value at least"),
    ("degrees", (1, 0), "D) = 0 must be an integer >= 1"),
    ("degrees", (1.5,), "D) = 1.5 must be an integer >= 1"),
    ("penalties", (), "C) = () must be a tuple of one value at least"),
    ("penalties", (0.0,), "C) = 0.0 must lie in (0, inf)"),
    ("penalties", (math.nan,), "C) = nan must lie in (0, inf)"),
    ("n_validation", 0, "n) = 0 must be an integer >= 1"),
    ("common_noise", -0.1, "gamma) = -0.1 must lie in [0, inf)"),
    ("n_networks", -1, "L) = -1 must be an integer >= 0"),
    ("n_networks", 1001, "L) = 1001 must be <= 1000"),
]


@pytest.mark.parametrize(("field", "value", "said"), BAD)
def test_bad_fields(field: str, value: Any, said: str) -> None:
    with unchecked(), pytest.raises(BadInput) as caught:
        replace(STUDY, **{field: value})
    assert str(caught.value).startswith(f"{field} ({said}")


def test_data_without_single_view_samples_are_refused() -> None:
    plain = replace(TEACHER, data=replace(TEACHER.data, single_view_fraction=0.0))
    with pytest.raises(BadInput, match=r"single_view_fraction \(mu\) = 0.0 must be > 0"):
        replace(STUDY, base=plain)


def test_every_field_is_checked() -> None:
    assert {field for field, *_ in BAD} | {"base"} == {f.name for f in fields(ClassifierStudy)}
