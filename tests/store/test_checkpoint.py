"""Checkpoints in files: what comes back, and what is said when nothing can."""

import errno
import os
import stat
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mvlib.paper.gradient_descent import Checkpoint
from mvlib.store import checkpoint
from mvlib.store.checkpoint import TrainingCheckpoint

STATE = {
    "weights": torch.arange(12.0).reshape(3, 4) / 7,
    "fine": torch.tensor([1 / 3, float("nan")], dtype=torch.float64),
    "step": torch.tensor(5),
    "active": torch.tensor([True, False]),
    "none": torch.zeros(0, 3),
    "turned": torch.arange(6.0).reshape(2, 3).T,
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / ".checkpoints" / "toy-0123.npz"


def test_what_is_saved_is_loaded(path: Path) -> None:
    first = TrainingCheckpoint(path)
    assert isinstance(first, Checkpoint)
    assert first.load() is None and not first.resumed
    first.save({"weights": torch.zeros(1)})
    first.save(STATE)
    again = TrainingCheckpoint(path)
    found = again.load()
    assert found is not None and again.resumed and not first.resumed
    assert found.keys() == STATE.keys()
    for name, value in STATE.items():
        assert found[name].dtype == value.dtype and found[name].shape == value.shape
        assert torch.equal(found[name].nan_to_num(), value.nan_to_num()), name
    found["weights"] += 1  # may be gone on with
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_when_it_is_due(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now)
    kept = TrainingCheckpoint(path, every_seconds=60)
    assert not kept.due()
    now = 160.0
    assert kept.due() and kept.due()
    kept.save(STATE)
    assert not kept.due()
    now = 219.0
    assert not kept.due()
    now = 220.0
    assert kept.due()
    assert TrainingCheckpoint(path, every_seconds=0).due()


def test_removing(path: Path) -> None:
    kept = TrainingCheckpoint(path)
    kept.remove()  # nothing there
    kept.save(STATE)
    litter = path.with_name(f".{path.stem}-abc.tmp")  # of a writer that was killed
    other = path.with_name(".other-abc.tmp")
    litter.touch()
    other.touch()
    kept.remove()
    assert list(path.parent.iterdir()) == [other]
    assert TrainingCheckpoint(path).load() is None


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[content.index(np.float32(1 / 7).tobytes())] ^= 1
    path.write_bytes(content)


def exchange_a_value(path: Path) -> None:
    """A sound zip with other numbers: only the checksum tells."""
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | {"weights": arrays["weights"] + 1}))


def forget_the_checksum(path: Path) -> None:
    np.savez(path, weights=np.zeros(3))


def pickle_it(path: Path) -> None:
    np.savez(path, weights=np.array([{}], dtype=object), sha256=np.zeros(32, np.uint8))


DAMAGE = [truncate, flip_a_bit, exchange_a_value, forget_the_checksum, pickle_it]


@pytest.mark.parametrize("damage", DAMAGE, ids=lambda f: f.__name__)
def test_a_damaged_one_is_not_used(path: Path, damage: object) -> None:
    TrainingCheckpoint(path).save(STATE)
    assert callable(damage)
    damage(path)
    again = TrainingCheckpoint(path)
    with pytest.warns(UserWarning, match=f"checkpoint .*{path.name} is damaged .*starts over"):
        assert again.load() is None
    assert not again.resumed
    again.save(STATE)
    assert TrainingCheckpoint(path).load() is not None


@pytest.mark.parametrize("content", [b"", b"PK", b"\x00" * 500])
def test_a_file_of_something_else(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.warns(UserWarning, match="is damaged"):
        assert TrainingCheckpoint(path).load() is None


def test_a_full_disk_is_said_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = TrainingCheckpoint(path, every_seconds=0)
    kept.save({"step": torch.tensor(1)})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(UserWarning, match="cannot be written .No space left.*goes on"):
        kept.save(STATE)
    assert not kept.due()  # warnings are errors here: a second attempt would be one
    monkeypatch.undo()
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    found = TrainingCheckpoint(path).load()
    assert found is not None and found.keys() == {"step"}, "the last good one"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    kept = TrainingCheckpoint(tmp_path / "file" / "below.npz", every_seconds=0)
    with pytest.warns(UserWarning, match="cannot be written"):
        kept.save(STATE)


def test_gradients_stay_behind(path: Path) -> None:
    W: Tensor = torch.ones(2, requires_grad=True)
    TrainingCheckpoint(path).save({"W": W * 2})
    found = TrainingCheckpoint(path).load()
    assert found is not None and found["W"].tolist() == [2, 2] and not found["W"].requires_grad
