"""The store of computed results: content-addressed, small, committed with the repository.

An entry is ``<root>/<name>/<key>.npz`` (arrays) beside ``<key>.json`` (what made them).  The key
is a hash of the configuration and of the source, without comments and docstrings, of every mvlib
module the computation can reach: change either and the entry is no longer found.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from mvlib.checks import BadInput
from mvlib.files import Arrays, arrays_of, is_full, npz_bytes, write_together
from mvlib.source import fingerprint

REBUILD = "python -m mvlib run --recompute"
_DAMAGE = (ValueError, KeyError, TypeError, OSError, zipfile.BadZipFile)


class CorruptEntry(BadInput):
    """A stored result that cannot be trusted; the message says which file and how to rebuild it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A stored result.

    Attributes:
        arrays: what was computed, by name.
        provenance: configuration, versions, device, wall time in seconds, and sha256 of the npz.
    """

    arrays: dict[str, np.ndarray]
    provenance: dict[str, Any]


def canonical_json(config: object) -> str:
    """A configuration as JSON with sorted keys; dataclasses carry their class name, so that two
    kinds of step rule with equal numbers differ."""
    return json.dumps(_plain(config), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        return {"": type(value).__name__} | {n: _plain(getattr(value, n)) for n in names}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"a configuration cannot hold {value!r}; use numbers, words and dataclasses.")


@dataclasses.dataclass(frozen=True, slots=True)
class Receipts:
    """What an executed chapter depends on; shown as application/json."""

    content: dict[str, object]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        del include, exclude
        return {"application/json": self.content, "text/plain": json.dumps(self.content)}


class Store:
    """Results under one folder.  Two processes may use it at once: an entry is written to a
    temporary file and renamed, and whoever comes second writes the same content again.

    Attributes:
        root: the folder; made on the first save.
        read: sha256 of every entry loaded or saved so far, by "name/key" (for `receipts`).
    """

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.read: dict[str, str] = {}

    def key(self, name: str, config: object, module: str) -> str:
        """The entry's key: 32 hex digits of SHA-256 over name, configuration and source."""
        text = "\n".join([name, canonical_json(config), fingerprint(module)])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def has(self, name: str, config: object, module: str) -> bool:
        """Whether the entry is there (its content is checked on loading)."""
        return self._paths(name, self.key(name, config, module))[1].exists()

    def load(
        self, name: str, config: object, module: str, *, rebuild: str = REBUILD
    ) -> Entry | None:
        """The entry, or None if it was never computed; `rebuild` is the command to recommend.

        Raises:
            CorruptEntry: if its files are truncated, do not match each other or hold another key.
        """
        key = self.key(name, config, module)
        arrays_path, record_path = self._paths(name, key)
        if not record_path.exists():
            return None
        try:
            entry = _read_entry(arrays_path, record_path, key, config)
        except _DAMAGE:
            # Another process may be between its two renames: look again once before complaining.
            time.sleep(0.2)
            try:
                entry = _read_entry(arrays_path, record_path, key, config)
            except _DAMAGE as error:
                raise CorruptEntry(
                    f"stored result {record_path} is damaged ({error}); rebuild it with "
                    f"`{rebuild}`."
                ) from error
        self.read[f"{name}/{key}"] = entry.provenance["sha256"]
        return entry

    def save(
        self,
        name: str,
        config: object,
        module: str,
        arrays: Arrays,
        seconds: float,
        *,
        made_by: Mapping[str, object] | None = None,
        resumed: bool = False,
    ) -> Entry:
        """Write an entry, replacing one of the same key.

        Args:
            seconds: wall time of the computation.
            made_by: `circumstances()` of the process that computed (default: of this one).
            resumed: an earlier, interrupted process did a part; `seconds` leaves that out.

        Raises:
            BadInput: if the folder cannot be written or its disk is full.
            ValueError: if an array holds objects.
        """
        key = self.key(name, config, module)
        arrays_path, record_path = self._paths(name, key)
        content = npz_bytes(arrays)
        record: dict[str, Any] = {
            "name": name,
            "key": key,
            "config": _plain(config),
            "sha256": hashlib.sha256(content).hexdigest(),
            "module": module,
            "seconds": round(seconds, 2),
            **(circumstances() if made_by is None else made_by),
            **({"resumed": True} if resumed else {}),
        }
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        try:
            arrays_path.parent.mkdir(parents=True, exist_ok=True)
            # One writer at a time, or the record of one could end beside the arrays of another.
            with self._lock("write"):
                # The record comes last: an entry exists only once both files are complete.
                write_together([(arrays_path, content), (record_path, text.encode())])
        except OSError as error:
            raise self._unwritable(error) from error
        self.read[f"{name}/{key}"] = record["sha256"]
        return Entry(arrays=dict(arrays), provenance=record)

    def load_or_run(
        self,
        name: str,
        config: object,
        module: str,
        compute: Callable[[], Arrays],
        *,
        recompute: bool = False,
        rebuild: str = REBUILD,
    ) -> Entry:
        """The stored entry, or the result of `compute()`, stored as soon as it is there.

        Raises:
            CorruptEntry: if the stored entry is damaged (unless `recompute`).
            BadInput: if the folder cannot be written, before anything is computed.
        """
        stored = None if recompute else self.load(name, config, module, rebuild=rebuild)
        if stored is not None:
            return stored
        self.check_writable()
        # Whoever else wants the same entry waits for it instead of computing it again.
        with self._lock(self.key(name, config, module)):
            stored = None if recompute else self.load(name, config, module, rebuild=rebuild)
            if stored is not None:
                return stored
            start = time.perf_counter()
            arrays = compute()
            return self.save(name, config, module, arrays, time.perf_counter() - start)

    def check_writable(self) -> None:
        """Fail now rather than after a long computation.

        Raises:
            BadInput: if the folder cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise self._unwritable(error) from error

    def _unwritable(self, error: OSError) -> BadInput:
        where = f"results folder (store) = {str(self.root)!r}"
        if is_full(error):
            return BadInput(
                f"{where} must have room and its disk is full ({error.strerror}); free some, or "
                "name another with --results."
            )
        return BadInput(
            f"{where} must be writable ({error.strerror}); name another with --results."
        )

    def claim(self, key: str) -> FileLock | None:
        """The sole right to compute an entry, to be released, or None while another process has
        it; the system frees it if its holder dies.

        Raises:
            BadInput: if the folder cannot be written.
        """
        try:
            lock = self._lock(key)
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except OSError as error:
            raise self._unwritable(error) from error
        return lock

    def checkpoint_path(self, name: str, key: str) -> Path:
        """Where the state of an interrupted training waits for whoever holds the claim."""
        return self.root / ".checkpoints" / f"{name}-{key}.npz"

    def receipts(self, *, files: Iterable[Path] = ()) -> dict[str, object]:
        """What an executed chapter depends on: the library's fingerprint, each entry read, and the
        sha256 of other `files` it read, if any."""
        made_from: dict[str, object] = {
            "library": fingerprint(), "entries": dict(sorted(self.read.items()))
        }  # fmt: skip
        hashes = {p.as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
        return made_from | ({"files": hashes} if hashes else {})

    def display_receipts(self, *, files: Iterable[Path] = ()) -> Receipts:
        """`receipts` as a notebook output that a program can read back."""
        return Receipts(self.receipts(files=files))

    def _lock(self, name: str) -> FileLock:
        """A lock between processes; the system frees it if its holder dies."""
        folder = self.root / ".locks"
        folder.mkdir(parents=True, exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def _paths(self, name: str, key: str) -> tuple[Path, Path]:
        folder = self.root / name
        return folder / f"{key}.npz", folder / f"{key}.json"


def circumstances(device: str = "cpu") -> dict[str, object]:
    """What of this process a number may depend on in its last digits: device, torch threads,
    versions."""
    return {
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch.__version__,
        },
    }


def _read_entry(arrays_path: Path, record_path: Path, key: str, config: object) -> Entry:
    record = json.loads(record_path.read_text())
    content = arrays_path.read_bytes()
    if record["key"] != key or record["config"] != _plain(config):
        raise ValueError("its configuration is not the one in its name")
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError("its arrays do not match their checksum")
    return Entry(arrays=arrays_of(content), provenance=record)
