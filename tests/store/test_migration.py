"""From the store's first form to the present one."""

import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
from toys import TEACHER

from mvlib.__main__ import main
from mvlib.core.checks import BadInput
from mvlib.store.entries import Store, plain
from mvlib.store.kinds import kind_of
from mvlib.store.migration import migrate
from mvlib.studies.single_model import SingleModelStudy

ARRAYS = {"single_error": np.array([0.25, 0.5]), "fitted": np.array([True, False])}


def first_form(root: Path, study: SingleModelStudy, *, source: str | None = None) -> Path:
    """An entry as the store wrote it at first; returns its record."""
    config = plain(study, full=True)
    text = json.dumps(config, sort_keys=True, separators=(",", ":"))
    source = source or kind_of(study).source
    key = hashlib.sha256(f"networks\n{text}\n{source}".encode()).hexdigest()[:32]
    content = io.BytesIO()
    np.savez_compressed(content, **ARRAYS)
    folder = root / "networks"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{key}.npz").write_bytes(content.getvalue())
    record = {
        "name": "networks", "key": key, "config": config, "module": "single_model",
        "sha256": hashlib.sha256(content.getvalue()).hexdigest(), "seconds": 7.5,
        "device": "cpu", "threads": 2, "versions": {"torch": "2.13.0"},
    }  # fmt: skip
    path = folder / f"{key}.json"
    path.write_text(json.dumps(record))
    return path


def test_entries_are_found_again_with_the_same_arrays(tmp_path: Path) -> None:
    first_form(tmp_path, TEACHER)
    store = Store(tmp_path)
    state, why = store.state("networks", TEACHER)
    assert state == "needs computing" and "convert it: python -m mvlib migrate" in why
    assert main(["migrate", "--results", str(tmp_path)]) == 0
    assert store.state("networks", TEACHER) == ("current", "")
    entry = store.load("networks", TEACHER)
    assert entry is not None and entry.provenance["seconds"] == 7.5
    for name, array in ARRAYS.items():
        assert np.array_equal(entry.arrays[name], array)
        assert entry.arrays[name].dtype == array.dtype
    assert [p.name for p in (tmp_path / "networks").iterdir()] == [
        store.path("networks", TEACHER).name
    ]
    assert migrate(store) == 0


def test_an_entry_of_unknown_source_is_kept_and_not_trusted(tmp_path: Path) -> None:
    first_form(tmp_path, TEACHER, source="0" * 64)
    assert migrate(Store(tmp_path)) == 1
    state, why = Store(tmp_path).state("networks", TEACHER)
    assert state == "needs computing" and "computed by other code (unknown" in why


def test_a_damaged_entry_stops_it_and_loses_nothing(tmp_path: Path) -> None:
    record = first_form(tmp_path, TEACHER)
    record.with_suffix(".npz").write_bytes(b"short")
    with pytest.raises(BadInput, match="cannot be converted .its arrays do not match.*remove it"):
        migrate(Store(tmp_path))
    assert record.exists()
    record.write_text("5")
    with pytest.raises(BadInput, match="cannot be converted"):
        migrate(Store(tmp_path))
