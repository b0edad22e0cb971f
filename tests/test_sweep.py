"""Computing experiments into a store: teachers first, each kind of study by its own function."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import TEACHER, student

from mvlib import sweep
from mvlib.contrast import ContrastStudy, contrast_flops, contrast_steps
from mvlib.distillation import DistillationStudy, distillation_flops
from mvlib.experiments import experiments
from mvlib.joint_training import JointStudy, joint_flops
from mvlib.results import CorruptEntry, Store
from mvlib.settings import SCALES, Experiment, Scale
from mvlib.single_model import SingleModelStudy, expected_flops, run_single_model
from mvlib.sweep import (
    ProgressBar,
    is_stored,
    load_family,
    module_of,
    run_all,
    run_experiment,
    steps_of,
    work,
)
from mvlib.training import SharedStep

NETWORKS = Experiment(name="networks", scale="smoke", label="toy", study=TEACHER)
TAUGHT = student(target="each", steps=60)  # enough to fit: they will teach in their turn
FIRST = Experiment(name="students", scale="smoke", label="first", study=TAUGHT, teacher=NETWORKS)
SECOND = Experiment(
    name="students", scale="smoke", label="second", teacher=FIRST,
    study=student(teacher=TAUGHT, generation=2),
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "results")


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every study that is computed, in order of completion."""
    done: list[object] = []

    def counted(function: Callable) -> Callable:
        def run(study: object, *rest: object) -> dict[str, np.ndarray]:
            arrays = function(study, *rest)
            done.append(study)
            return arrays

        return run

    for name in ("run_single_model", "run_distillation"):
        monkeypatch.setattr(sweep, name, counted(getattr(sweep, name)))
    return done


def forget(experiment: Experiment, store: Store) -> None:
    for path in (store.root / experiment.name).iterdir():
        if path.stem == store.key(experiment.name, experiment.study, module_of(experiment.study)):
            path.unlink()
    assert not is_stored(experiment, store)


def test_a_student_brings_its_teacher(store: Store, computed: list[object]) -> None:
    arrays = run_experiment(FIRST, store)
    assert computed == [NETWORKS.study, FIRST.study]
    assert is_stored(NETWORKS, store) and is_stored(FIRST, store)
    again = run_experiment(FIRST, store)
    networks = run_experiment(NETWORKS, store)
    assert len(computed) == 2, "both were found"
    assert all(np.array_equal(arrays[name], again[name], equal_nan=True) for name in arrays)
    # It was these networks that taught.
    by_hand = sweep.run_distillation(FIRST.study, networks["train_outputs"])
    assert np.array_equal(arrays["train_outputs"], by_hand["train_outputs"])


def test_a_stored_student_needs_no_teacher(store: Store, computed: list[object]) -> None:
    arrays = run_experiment(FIRST, store)
    forget(NETWORKS, store)
    again = run_experiment(FIRST, store)
    assert len(computed) == 2 and not is_stored(NETWORKS, store)
    assert np.array_equal(arrays["train_outputs"], again["train_outputs"])


def test_a_stored_teacher_is_used(store: Store, computed: list[object]) -> None:
    run_experiment(NETWORKS, store)
    run_experiment(FIRST, store)
    run_experiment(FIRST, store, recompute=True)
    assert computed == [NETWORKS.study, FIRST.study, FIRST.study]


def test_a_chain_is_computed_from_its_root(store: Store, computed: list[object]) -> None:
    run_experiment(SECOND, store)
    assert computed == [NETWORKS.study, FIRST.study, SECOND.study]


def test_a_damaged_teacher_is_named(store: Store) -> None:
    run_experiment(NETWORKS, store)
    (path,) = (store.root / "networks").glob("*.npz")
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(CorruptEntry, match="--name networks"):
        run_experiment(FIRST, store)
    assert not is_stored(FIRST, store)


def test_a_teacher_that_did_not_fit_is_said(store: Store) -> None:
    hasty = replace(TEACHER, schedule=student(steps=3).schedule)
    taught = Experiment(
        name="students", scale="smoke", label="of hasty networks", study=student(teacher=hasty),
        teacher=Experiment(name="networks", scale="smoke", label="hasty", study=hasty),
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"teacher's training error is 0\.\d+ and should be 0"):
        arrays = run_experiment(taught, store)
    assert arrays["teacher_train_error"] > 0 and is_stored(taught, store)
    run_experiment(taught, store)  # from the store, and no warning: warnings are errors here


def test_students_of_labels_have_no_teacher_to_warn_of(store: Store) -> None:
    study = student(target="labels", steps=2)
    alone = Experiment(name="students", scale="smoke", label="labels", study=study)
    assert np.isnan(run_experiment(alone, store)["teacher_train_error"]).all()


def test_several_at_once(store: Store, computed: list[object]) -> None:
    chosen = [FIRST, NETWORKS, SECOND]  # teachers need not come first
    arrays = run_all(chosen, store, show=False)
    assert computed == [NETWORKS.study, FIRST.study, SECOND.study]
    assert [len(a["single_error"]) for a in arrays] == [2, 3, 2]
    assert len(run_all(chosen, store, show=False)) == 3 and len(computed) == 3


def test_the_bar_ends_where_it_should(store: Store) -> None:
    chosen = [NETWORKS, FIRST]
    with ProgressBar(chosen, show=False) as bar:
        for experiment in chosen:
            run_experiment(experiment, store, bar=bar)
        total = work(NETWORKS.study) + work(FIRST.study)
        assert bar._base == pytest.approx(total)


@pytest.mark.parametrize("scale", SCALES)
def test_every_experiment_has_its_function(scale: Scale) -> None:
    kinds = {
        SingleModelStudy: ("single_model", expected_flops),
        DistillationStudy: ("distillation", distillation_flops),
        JointStudy: ("joint_training", joint_flops),
        ContrastStudy: ("contrast", contrast_flops),
    }
    seen = set()
    for e in experiments(scale):
        module, flops = kinds[type(e.study)]
        assert module_of(e.study) == module and work(e.study) == flops(e.study) > 0
        assert steps_of(e.study) >= 1
        seen.add(type(e.study))
        # Who needs outputs has a teacher, and it is the one that the study names.
        if isinstance(e.study, DistillationStudy):
            assert e.teacher is not None and e.teacher.study == e.study.teacher
            assert e.teacher.scale == scale
        else:
            assert e.teacher is None
        if isinstance(e.study, JointStudy):
            assert isinstance(e.study.base.schedule.step_rule, SharedStep)
        if isinstance(e.study, ContrastStudy):
            assert steps_of(e.study) == contrast_steps(e.study)
    assert seen == set(kinds)


def test_a_teacher_comes_before_its_students() -> None:
    every = experiments("book")
    for place, e in enumerate(every):
        assert e.teacher is None or e.teacher in every[:place]


def test_load_family(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "experiments", lambda scale, name: [NETWORKS])
    ((experiment, arrays),) = load_family("smoke", "networks", store)
    assert experiment is NETWORKS
    assert np.array_equal(arrays["stop_step"], run_single_model(TEACHER)["stop_step"])
