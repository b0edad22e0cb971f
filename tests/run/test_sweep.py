"""Computing experiments into a store: teachers first, each kind of study by its own function."""

import errno
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shapes import unchecked
from sweeps import failing
from toys import TEACHER, student

from mvlib.core.arithmetic import product_rates
from mvlib.core.checks import BadInput
from mvlib.core.files import Arrays
from mvlib.core.threads import environment, threads_each, wait_asleep
from mvlib.experiments.catalogue import experiments
from mvlib.experiments.settings import SCALES, Experiment, Scale
from mvlib.paper.step_rules import SharedStep
from mvlib.run import computing, dispatch, progress, sweep
from mvlib.run.computing import check_device, work
from mvlib.run.dispatch import ExperimentFailed, Task, entry_of, is_stored, plan
from mvlib.run.progress import ProgressBar
from mvlib.run.sweep import fill, load_family, run_all, run_experiment
from mvlib.store import kinds
from mvlib.store.entries import CorruptEntry, Store, circumstances
from mvlib.store.kinds import Kind, kind_of
from mvlib.studies.classifiers import ClassifierStudy
from mvlib.studies.distillation import DistillationStudy, run_distillation
from mvlib.studies.gaussian import GaussianStudy
from mvlib.studies.gaussian_kernels import GaussianKernelStudy
from mvlib.studies.image_inside import InsideStudy
from mvlib.studies.image_kernels import ImageKernelStudy
from mvlib.studies.image_views import ViewStudy
from mvlib.studies.images import ImageStudy
from mvlib.studies.joint_training import JointStudy
from mvlib.studies.kernel_contrast import ContrastStudy
from mvlib.studies.many_classes import ManyClassesStudy
from mvlib.studies.picture_views import PictureStudy
from mvlib.studies.single_model import SingleModelStudy, run_single_model

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

    compute = Kind.compute

    def counted(kind: Kind, study: object, **given: object) -> Arrays:
        arrays = compute(kind, study, **given)
        done.append(study)
        return arrays

    monkeypatch.setattr(Kind, "compute", counted)
    return done


def forget(experiment: Experiment, store: Store) -> None:
    for path in (store.root / experiment.name).iterdir():
        if path.stem == store.key(experiment.name, experiment.study):
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
    by_hand = run_distillation(FIRST.study, networks["train_outputs"])
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


def test_what_must_be_computed(store: Store) -> None:
    def planned(*chosen: Experiment, recompute: bool = False) -> list[Experiment]:
        return [task.experiment for task in plan(chosen, store, recompute=recompute)]

    assert planned(SECOND, FIRST, NETWORKS) == [NETWORKS, FIRST, SECOND]
    assert planned(FIRST) == [NETWORKS, FIRST], "a teacher that nobody chose"
    # The same work under another label is the same work.
    assert planned(FIRST, replace(NETWORKS, label="again")) == [NETWORKS, FIRST]
    run_experiment(NETWORKS, store)
    assert planned(FIRST, NETWORKS) == [FIRST]
    assert planned(FIRST, recompute=True) == [FIRST], "only what was chosen"
    assert planned(FIRST, NETWORKS, recompute=True) == [NETWORKS, FIRST]


def test_the_longest_line_of_students_comes_first(store: Store) -> None:
    larger = replace(TEACHER, n_networks=4)
    alone = Experiment(name="networks", scale="smoke", label="larger", study=larger)
    assert work(NETWORKS.study) < work(alone.study) < work(NETWORKS.study) + work(FIRST.study)
    by_label = {t.experiment.label: t for t in plan([alone, SECOND], store)}
    line = [work(e.study) for e in (NETWORKS, FIRST, SECOND)]
    assert by_label["toy"].priority == pytest.approx(sum(line))
    assert by_label["first"].priority == pytest.approx(line[1] + line[2])
    assert by_label["larger"].priority == work(alone.study) < sum(line)
    assert by_label["second"].teacher is by_label["first"] and isinstance(by_label["toy"], Task)


def test_a_sweep_does_not_wait_for_what_another_computes(
    store: Store, computed: list[object]
) -> None:
    larger = replace(TEACHER, n_networks=4)
    alone = Experiment(name="networks", scale="smoke", label="larger", study=larger)
    claim = store.claim(store.key("networks", TEACHER))
    assert claim is not None
    with ThreadPoolExecutor(1) as thread:
        sweeping = thread.submit(fill, [FIRST, alone], store, show=False)
        while not computed:
            time.sleep(0.01)
        assert computed == [larger] and not is_stored(FIRST, store)
        # The other finishes.
        arrays = run_single_model(TEACHER)
        store.save("networks", TEACHER, arrays, 1.0)
        claim.release()
        assert sweeping.result(120) == [alone, FIRST]
    assert computed == [larger, TAUGHT]


def test_an_entry_says_how_it_was_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(*_: object, **__: object) -> dict[str, np.ndarray]:
        nonlocal now
        now += 1000
        return arrays

    now, arrays = 0.0, run_single_model(TEACHER)
    networks = replace(kind_of(TEACHER), run=slow)
    monkeypatch.setitem(kinds._KINDS, SingleModelStudy, networks)
    monkeypatch.setattr(computing.time, "perf_counter", lambda: now)
    run_experiment(FIRST, store)
    teacher, taught = (entry_of(e, store) for e in (NETWORKS, FIRST))
    assert teacher is not None and taught is not None
    assert teacher.provenance["seconds"] == 1000
    assert taught.provenance["seconds"] == 0, "without its teacher's time"
    assert taught.provenance["device"] == "cpu" and "resumed" not in taught.provenance
    assert taught.provenance["threads"] == torch.get_num_threads()
    rates = taught.provenance["gflops"]
    assert rates == {name: round(rate) for name, rate in product_rates("cpu").items()}


def test_a_key_does_not_depend_on_where(store: Store) -> None:
    key = store.key("networks", TEACHER)
    made = {**circumstances(), "device": "cuda:1", "threads": 64}
    store.save("networks", TEACHER, {"x": np.ones(1)}, 1.0, made_by=made)
    entry = entry_of(NETWORKS, store)
    assert entry is not None and entry.provenance["key"] == key
    assert (entry.provenance["device"], entry.provenance["threads"]) == ("cuda:1", 64)


BROKEN = failing()
OF_BROKEN = Experiment(
    name="students", scale="smoke", label="of failing networks", teacher=BROKEN,
    study=student(teacher=BROKEN.study),
)  # fmt: skip
OF_THOSE = Experiment(
    name="students", scale="smoke", label="second generation", teacher=OF_BROKEN,
    study=student(teacher=OF_BROKEN.study, generation=2),
)  # fmt: skip


def test_a_failing_experiment_is_named_after_all_others(store: Store) -> None:
    with pytest.raises(ExperimentFailed) as caught:
        run_all([OF_THOSE, OF_BROKEN, BROKEN, FIRST], store, show=False)
    said = str(caught.value)
    assert said.startswith("experiment failing (too large a step) failed (FloatingPointError: ")
    assert said.endswith("; 2 that it teaches left out; all others are stored."), said
    assert isinstance(caught.value.__cause__, FloatingPointError)
    assert is_stored(NETWORKS, store) and is_stored(FIRST, store)
    assert not any(is_stored(e, store) for e in (BROKEN, OF_BROKEN, OF_THOSE))


def test_a_full_disk_stops_the_sweep(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    run_experiment(NETWORKS, store)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(BadInput, match="disk is full.*--results"):
        run_all([FIRST, SECOND], store, show=False)
    monkeypatch.undo()
    assert not list((store.root).glob("*/.*.tmp"))
    assert is_stored(NETWORKS, store) and not is_stored(FIRST, store)
    assert len(run_all([FIRST, SECOND], store, show=False)) == 2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"jobs": -1}, r"jobs \(--jobs\) = -1 must be an integer >= 0; 0 takes one a core"),
        ({"jobs": "many"}, r"jobs \(--jobs\) = 'many' must be an integer"),
        ({"jobs": 2, "scheduler": "tcp://h:1"}, "jobs .* = 2 must be left out beside --scheduler"),
        ({"scheduler": "h:1"}, r"scheduler \(--scheduler\) = 'h:1' must be tcp://host:port"),
        ({"device": "gpu"}, r"device \(--device\) = 'gpu' must be cpu, cuda or cuda:N"),
        ({"device": "cuda:99"}, r"device \(--device\) = 'cuda:99' must be there and PyTorch"),
        ({"jobs": 2, "device": "cuda:99"}, "device .* must be there and PyTorch"),
        ({"checkpoint_every": -1.0}, r"checkpoint_every .* = -1.0 must lie in \[0, inf\)"),
    ],
)
def test_where_and_how_is_checked_before_anything_is_computed(
    store: Store, computed: list[object], changes: dict[str, Any], said: str
) -> None:
    with unchecked(), pytest.raises(BadInput, match=said):
        fill([NETWORKS, FIRST], store, show=False, **changes)
    assert computed == []


@pytest.mark.parametrize(
    ("count", "asked", "said"),
    [(0, "cuda", "finds no CUDA device; use cpu"), (2, "cuda:2", "finds cuda:0, cuda:1; pick one")],
)
def test_a_device_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, count: int, asked: str, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    with pytest.raises(BadInput, match=said):
        check_device(asked)
    assert [check_device(d) for d in ("cpu", "cuda", "cuda:1")[: 1 + count]]


@pytest.mark.parametrize(
    ("n_cores", "allowed", "jobs", "each"),
    [(8, 8, 1, 8), (8, 8, 2, 4), (8, 8, 3, 2), (8, 8, 8, 1), (8, 8, 9, 1), (8, 1, 2, 1)],
)
def test_processes_share_the_cores(n_cores: int, allowed: int, jobs: int, each: int) -> None:
    assert threads_each(jobs, n_cores, allowed) == each


def test_processes_wait_asleep_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    assert environment(2)["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment(2)["OMP_NUM_THREADS"] == "2"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    wait_asleep()
    assert environment(2)["OMP_WAIT_POLICY"] == os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_a_wait_is_said_and_ends(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Somebody claims an entry and never computes it."""
    monkeypatch.setattr(progress, "SAY_AFTER", 0.3)
    monkeypatch.setattr(dispatch, "GIVE_UP", 1 / 3600)
    claim = store.claim(store.key("networks", TEACHER))
    assert claim is not None
    started = time.monotonic()
    with pytest.raises(BadInput, match=r"for another process that computes networks \(toy\) and"):
        fill([FIRST], store)
    assert 1 <= time.monotonic() - started < 30
    said = capsys.readouterr().err
    assert said.count("mvlib: waiting for another process that computes networks (toy), ") == 1
    claim.release()
    assert fill([NETWORKS], store, show=False) == [NETWORKS]


def test_other_code_than_the_orders(store: Store) -> None:
    with pytest.raises(computing.Unfit, match="must be the 12345678 .* start again"):
        computing.carry_out(computing.Order(study=TEACHER, library="1234567890"))


def test_the_bar_ends_where_it_should(store: Store) -> None:
    total = work(NETWORKS.study) + work(FIRST.study)
    with ProgressBar([NETWORKS, FIRST], show=False) as bar:
        bar.started(NETWORKS)
        bar.within(NETWORKS, 1, 1.0)
        bar.ended(NETWORKS)
        bar.ended(FIRST)  # found in the store: never started
        assert bar._base == pytest.approx(total) and not bar._under_way


@pytest.mark.parametrize("scale", SCALES)
def test_every_experiment_has_its_function(scale: Scale) -> None:
    kinds = {
        SingleModelStudy: "single_model",
        DistillationStudy: "distillation",
        JointStudy: "joint_training",
        ContrastStudy: "kernel_contrast",
        ManyClassesStudy: "many_classes",
        ClassifierStudy: "classifiers",
        GaussianStudy: "gaussian",
        GaussianKernelStudy: "gaussian_kernels",
        ImageStudy: "images",
        ImageKernelStudy: "image_kernels",
        ViewStudy: "image_views",
        InsideStudy: "image_inside",
        PictureStudy: "picture_views",
    }
    seen = set()
    for e in experiments(scale):
        module = f"mvlib.studies.{kinds[type(e.study)]}"
        assert kind_of(e.study).run.__module__ == type(e.study).__module__ == module
        assert work(e.study) > 0 and kind_of(e.study).steps(e.study) >= 1
        seen.add(type(e.study))
        # Who needs outputs has a teacher, and it is the one that the study names.
        taught = isinstance(e.study, ImageStudy) and e.study.target != "labels"
        asked = e.study.base if isinstance(e.study, PictureStudy) else e.study
        if isinstance(asked, DistillationStudy) or taught:
            assert e.teacher is not None and e.teacher.study == e.study.teacher
            assert e.teacher.scale == scale
        else:
            assert e.teacher is None
        if isinstance(e.study, JointStudy):
            assert isinstance(e.study.base.schedule.step_rule, SharedStep)
        if isinstance(e.study, ContrastStudy):
            assert kind_of(e.study).steps(e.study) == e.study.n_seeds + 1 + e.study.n_students + 1
        if isinstance(e.study, (ViewStudy, InsideStudy)):  # the networks of another study again
            assert work(e.study) == work(e.study.base)
            assert kind_of(e.study).steps(e.study) == kind_of(e.study.base).steps(e.study.base)
    assert seen == set(kinds)


def test_a_teacher_comes_before_its_students() -> None:
    every = experiments("book")
    for place, e in enumerate(every):
        assert e.teacher is None or e.teacher in every[:place]


def test_load_family(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "experiments", lambda scale, name: [NETWORKS])
    with pytest.raises(
        BadInput, match=r"results folder .* must be there and is not; .*--scale smoke"
    ):
        load_family("smoke", "networks", store)
    assert not store.root.exists()
    store.root.mkdir()
    ((experiment, arrays),) = load_family("smoke", "networks", store)
    assert experiment is NETWORKS
    assert np.array_equal(arrays["stop_step"], run_single_model(TEACHER)["stop_step"])
