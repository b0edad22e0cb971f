"""How long an experiment takes, as the store has it and as it foretells others."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import TEACHER, student

from mvlib.experiments.settings import Experiment, vary
from mvlib.run import hours
from mvlib.run.computing import work
from mvlib.store.entries import Store

NETWORKS = Experiment(name="networks", scale="smoke", label="draw 2", study=TEACHER)
# Three times the test inputs, to have other work.
LARGER = replace(
    NETWORKS, study=replace(TEACHER, n_test_single=3 * 70, n_test_multi=3 * 65, n_train=3 * 36)
)
STUDENTS = Experiment(name="students", scale="smoke", label="draw 2", study=student())


def save(
    store: Store, e: Experiment, seconds: float, *, threads: int = 1, device: str = "cpu",
    resumed: bool = False,
) -> Path:  # fmt: skip
    made_by = {"device": device, "threads": threads, "versions": {}}
    store.save(e.name, e.study, {"x": np.arange(3)}, seconds, made_by=made_by, resumed=resumed)
    return store.path(e.name, e.study)


def test_two_threads_take_two_cores(tmp_path: Path) -> None:
    store = Store(tmp_path)
    assert hours.core_seconds(NETWORKS, store) is None
    save(store, NETWORKS, 6.0, threads=2)
    assert hours.core_seconds(NETWORKS, store) == 12.0


def test_what_says_nothing_of_a_core(tmp_path: Path) -> None:
    store = Store(tmp_path)
    save(store, NETWORKS, 6.0, resumed=True)  # an earlier process did a part of it
    assert hours.core_seconds(NETWORKS, store) is None
    save(store, NETWORKS, 6.0, device="cuda")
    assert hours.core_seconds(NETWORKS, store) is None
    path = save(store, NETWORKS, 6.0)
    assert hours.core_seconds(NETWORKS, store) == 6.0
    path.write_bytes(path.read_bytes()[:-30])
    assert hours.core_seconds(NETWORKS, store) is None


def test_others_of_a_kind_take_as_long_for_as_much_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = replace(NETWORKS, study=replace(TEACHER, draw=3))
    narrow = replace(NETWORKS, study=vary(TEACHER, precision="bfloat16"))
    by_scale = {"smoke": [NETWORKS, STUDENTS], "book": [LARGER], "paper": [other]}
    monkeypatch.setattr(hours, "experiments", by_scale.__getitem__)
    store = Store(tmp_path)
    assert hours.rates(store) == {}
    save(store, NETWORKS, 2.0)
    save(store, LARGER, 4.0, threads=2)
    # Of both scales together: work by core seconds, 2 + 2 * 4 of them.
    rate = (work(TEACHER) + work(LARGER.study)) / 10
    assert hours.rates(store) == pytest.approx({"networks in float32": rate})
    found = hours.rates(store)
    assert hours.foretold_seconds(other, found) == pytest.approx(work(TEACHER) / rate)
    larger = hours.foretold_seconds(LARGER, found)
    assert larger == pytest.approx(10 - work(TEACHER) / rate)
    assert hours.foretold_seconds(STUDENTS, found) is None
    assert hours.foretold_seconds(narrow, found) is None
