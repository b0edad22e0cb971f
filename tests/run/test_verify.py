"""One stored entry computed again: what counts as equal, which may be chosen, what is said."""

from pathlib import Path

import numpy as np
import pytest
from sweeps import failing, family
from toys import TEACHER

from mvlib import __main__ as command
from mvlib.core.checks import BadInput
from mvlib.experiments.settings import Experiment
from mvlib.run.dispatch import entry_of
from mvlib.run.sweep import run_all
from mvlib.run.verify import choose, compare, repeatable, verify
from mvlib.store.entries import Store

NETWORKS, STUDENTS = family()[:2]
WINNERS = np.arange(300) % 2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Networks and their students; read it, never change it."""
    store = Store(tmp_path_factory.mktemp("verify"))
    run_all([NETWORKS, STUDENTS], store, show=False)
    return store


def copy(store: Store, root: Path, chosen: list[Experiment], **arrays: np.ndarray) -> Store:
    """Some of the entries, with arrays changed and other seconds."""
    new = Store(root)
    for e in chosen:
        entry = entry_of(e, store)
        assert entry is not None
        changed = {name: array for name, array in arrays.items() if name in entry.arrays}
        new.save(e.name, e.study, entry.arrays | changed, 5.0)
    return new


@pytest.mark.parametrize("chosen", [NETWORKS, STUDENTS], ids=["networks", "their students"])
def test_what_is_stored_comes_out_again(store: Store, chosen: Experiment) -> None:
    before = {p: p.stat().st_mtime_ns for p in store.root.rglob("*")}
    assert [c.name for c in verify(chosen, store) if not c.agrees] == []
    assert {p: p.stat().st_mtime_ns for p in store.root.rglob("*")} == before


@pytest.mark.parametrize("array", ["single_error", "predicted_winner", "fitted"])
def test_a_changed_array_is_caught(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, array: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    entry = entry_of(NETWORKS, store)
    assert entry is not None
    old = entry.arrays[array]
    new = ~old if old.dtype == bool else (old + (1 if old.dtype.kind == "i" else 0.02))
    bad = copy(store, tmp_path, [NETWORKS], **{array: new.astype(old.dtype)})
    monkeypatch.setattr(command, "experiments", lambda scale, name: [NETWORKS])
    assert command.main(["verify", "--results", str(bad.root)]) == 1
    said = capsys.readouterr().out
    assert said.startswith(
        "networks (draw 2), chosen at random among 1 stored entries that took 20"
    )
    assert f"\n  {array}: DIFFERS " in said and "differs; allowed: 0.005 + 1% of" in said


def test_an_unchanged_store_agrees(
    store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "experiments", lambda scale, name: [NETWORKS])
    assert command.main(["verify", "--within", "60", "--results", str(store.root)]) == 0
    assert "agrees: " in capsys.readouterr().out
    assert command.main(["verify", "--within", "soon", "--results", str(store.root)]) == 2
    assert "within (--within) = 'soon' must lie in" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("old", "new", "agrees"),
    [
        # Real numbers: another machine's sums.
        (np.array([0.5, 20.0]), np.array([0.504, 20.15]), True),
        (np.array([0.5, 20.0]), np.array([0.515, 20.0]), False),
        (np.array([0.5, np.nan]), np.array([0.5, np.nan]) + 1e-7, True),
        (np.array([0.5, np.nan]), np.array([0.5, 0.5]), False),
        (np.array([0.5, np.inf]), np.array([0.501, np.inf]), True),
        # Labels: three of three hundred may change, four may not.
        (WINNERS, np.r_[1 - WINNERS[:3], WINNERS[3:]], True),
        (WINNERS, np.r_[1 - WINNERS[:4], WINNERS[4:]], False),
        (WINNERS > 0, np.r_[1 - WINNERS[:4], WINNERS[4:]] > 0, False),
        # A table of 1000 inputs, five of which count elsewhere; then six.
        (np.array([400, 600]), np.array([405, 595]), True),
        (np.array([400, 600]), np.array([406, 594]), False),
        # Another type or shape is another array.
        (np.zeros(3), np.zeros(3, np.float32), False),
        (np.zeros(3), np.zeros((3, 1)), False),
    ],
)
def test_what_another_machine_may_change(old: np.ndarray, new: np.ndarray, agrees: bool) -> None:
    (found,) = compare({"x": old, "same": old}, {"x": new, "same": old.copy()})
    assert found.name == "x" and found.agrees is agrees


def test_lost_and_new_arrays_differ_and_come_first() -> None:
    one, close = {"x": np.ones(1), "lost": np.ones(1)}, {"x": np.full(1, 1.001), "new": np.ones(1)}
    found = compare(one, close)
    assert [(c.name, c.agrees) for c in found] == [("lost", False), ("new", False), ("x", True)]


def test_what_may_be_chosen(store: Store, tmp_path: Path) -> None:
    both = [NETWORKS, STUDENTS]
    own = copy(store, tmp_path / "own", both)
    assert repeatable([*both, failing()], own, 5.0) == both
    assert repeatable(both, own, 4.9) == []
    assert {choose(both, own).name for _ in range(60)} == {"networks", "students"}  # 2^-59 to miss
    alone = copy(store, tmp_path / "alone", [STUDENTS])
    assert repeatable(both, alone, 5.0) == [], "its teacher is not stored"
    resumed = Store(tmp_path / "resumed")
    resumed.save("networks", TEACHER, {"x": np.ones(1)}, 5.0, resumed=True)
    assert repeatable(both, resumed, 5.0) == [], "its seconds say little"
    with pytest.raises(BadInput, match="in so short a time and holds none; raise --within"):
        choose([], resumed)
    with pytest.raises(BadInput, match=r"lost networks \(draw 2\)"):
        verify(NETWORKS, alone)
