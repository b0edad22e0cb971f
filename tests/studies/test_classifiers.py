"""Classifiers that learn no features, on a toy."""

import math
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from shapes import unchecked
from sklearn.svm import SVC
from toys import TEACHER

from mvlib.core.checks import BadInput
from mvlib.paper.evaluation import error_in_units_of_mu
from mvlib.paper.multi_view_data import Sample, sample, stored
from mvlib.store.kinds import kind_of
from mvlib.studies import classifiers
from mvlib.studies.classifiers import FORMS, ClassifierStudy, run_classifiers

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
    assert found.keys() == names
    assert all(array.shape == (len(FORMS), 2) and np.isfinite(array).all()
               for array in found.values())  # fmt: skip


def test_of_equal_penalties_the_smaller_is_kept() -> None:
    # Beyond some C no training error is left to allow for: the machine no longer changes.
    large = replace(STUDY, penalties=(1e6, 1e4, 1e5))
    assert (run_classifiers(large)["penalty"] == 1e4).all()


def test_progress_and_work() -> None:
    steps: list[int] = []
    run_classifiers(STUDY, lambda step, share: steps.append(step))
    assert steps[-1] == kind_of(STUDY).steps(STUDY) == 1 + 2 * 2 * 2
    more = replace(STUDY, penalties=(0.03, 0.3, 3.0))
    assert kind_of(STUDY).work(more) > kind_of(STUDY).work(STUDY) > 0


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
