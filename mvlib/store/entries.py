"""The store of computed results: small, committed with the repository.

An entry is one file, ``<root>/<name>/<key>.npz``: arrays, and ``record.json``, which says what made
them.  The key is a hash of the experiment's name, of its configuration without the fields that
have their default, and of the version of its kind.  The source that computed an entry is written
down, and no part of the key: `mvlib.store.stamps` says which sources give the same numbers.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
import platform
import struct
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from filelock import FileLock, Timeout

from mvlib.core.arithmetic import product_rates
from mvlib.core.checks import BadInput
from mvlib.core.files import Arrays, npz_bytes, sha256_of, write_whole
from mvlib.store.kinds import Kind, kind_of
from mvlib.store.stamps import is_same_source

REBUILD = "python -m mvlib run --recompute"
MIGRATE = "python -m mvlib migrate"
FORMAT = 2  # of an entry; the first had its record in a file of its own
RECORD = "record.json"
T = TypeVar("T")
# All that zipfile, zlib, json and numpy raise at bytes they did not write.
_DAMAGE = (ValueError, KeyError, TypeError, OSError, EOFError, RuntimeError, struct.error,
           zipfile.BadZipFile, zlib.error)  # fmt: skip


class CorruptEntry(BadInput):
    """A stored result that cannot be trusted; the message says which file and how to rebuild it."""


class OtherSource(UserWarning):
    """A stored result was computed by code that no stamp calls equal to the code that runs."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A stored result: arrays by name; configuration, source, versions, device, wall time in
    seconds, and the sha256 of every array."""

    arrays: dict[str, np.ndarray]
    provenance: dict[str, Any]


def canonical_json(config: object) -> str:
    """A configuration as JSON with sorted keys, without fields at their default; dataclasses carry
    their class name, so that two kinds of step rule with equal numbers differ."""
    return canonical(plain(config, full=False))


def canonical(plain: object) -> str:
    """JSON that is the same for equal content."""
    return json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)


def hash_of(*texts: str) -> str:
    """A key: 32 hex digits of SHA-256."""
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:32]


def plain(value: object, *, full: bool) -> object:
    """A configuration as JSON has it; fields at their default only if `full`."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # A class that is renamed keeps its entries by saying what it was called.
        name = getattr(type(value), "STORED_AS", type(value).__name__)
        chosen = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)
                  if full or not _at_default(f, getattr(value, f.name))}  # fmt: skip
        return {"": name} | {n: plain(v, full=full) for n, v in chosen.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v, full=full) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v, full=full) for k, v in value.items()}
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"a configuration cannot hold {value!r}; use numbers, words and dataclasses.")


def default_of(f: dataclasses.Field[Any]) -> Any:
    """A field's default, `dataclasses.MISSING` if it has none."""
    return f.default_factory() if callable(f.default_factory) else f.default


def _at_default(f: dataclasses.Field[Any], value: object) -> bool:
    default = default_of(f)
    # 1 and 1.0 and True are equal, and give different numbers in places.
    return type(value) is type(default) and value == default


def _covers(now: object, stored: object) -> bool:
    """Whether a full configuration says all that a stored one said; fields it has beside that are
    newer, and at their default if the keys agree."""
    if isinstance(now, dict) and isinstance(stored, dict):
        return all(n in now and _covers(now[n], value) for n, value in stored.items())
    if isinstance(now, list) and isinstance(stored, list):
        return len(now) == len(stored) and all(map(_covers, now, stored))
    return type(now) is type(stored) and now == stored


@dataclasses.dataclass(frozen=True, slots=True)
class Receipts:
    """What an executed chapter read; shown as application/json."""

    content: dict[str, object]

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict:
        del include, exclude
        return {"application/json": self.content, "text/plain": json.dumps(self.content)}


class Store:
    """Results under one folder.  Two processes may use it at once: an entry is written to a
    temporary file and renamed, and whoever comes second writes the same content again."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)  # made on the first save
        self.read: dict[str, str] = {}  # `digest` of every entry loaded or saved, by "name/key"

    def key(self, name: str, study: object) -> str:
        """The entry's key: 32 hex digits of SHA-256 over name, configuration and version."""
        return _key(name, study, kind_of(study).version)

    def path(self, name: str, study: object) -> Path:
        """The entry's file, be it there or not."""
        return self.root / name / f"{self.key(name, study)}.npz"

    def has(self, name: str, study: object) -> bool:
        """Whether the entry is there, computed with the defaults of today (its content is checked
        on loading)."""
        try:
            return self.record(name, study) is not None
        except CorruptEntry:
            return True

    def record(self, name: str, study: object) -> dict[str, Any] | None:
        """What the entry says of itself, or None if it was never computed; its arrays are not
        checked.

        Raises:
            CorruptEntry: if it is damaged.
            BadInput: if a newer mvlib wrote it.
        """
        record = _sound(self.path(name, study), read_record, REBUILD)
        return record if record and _says(record, study) else None

    def load(self, name: str, study: object, *, rebuild: str = REBUILD) -> Entry | None:
        """The entry, or None if it was never computed; `rebuild` is the command to recommend.
        Warns (`OtherSource`) if code computed it that no stamp calls equal to this one.

        Raises:
            CorruptEntry: if its file is damaged, or holds another key.
            BadInput: if a newer mvlib wrote it.
        """
        path = self.path(name, study)
        entry = _sound(path, read_entry, rebuild)
        if entry is None or not _says(entry.provenance, study):
            return None
        kind, source = kind_of(study), entry.provenance["source"]
        if not is_same_source(kind, source):
            warnings.warn(
                f"stored result {path} was computed by other code ({source[:8]}, now "
                f"{kind.source[:8]}); if the numbers are the same, `python -m mvlib stamp` says "
                f"so, else compute it again: `{rebuild}`.", OtherSource, stacklevel=3,
            )  # fmt: skip
        self.read[f"{name}/{path.stem}"] = digest(entry.provenance)
        return entry

    def save(
        self,
        name: str,
        study: object,
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
        path, kind = self.path(name, study), kind_of(study)
        record: dict[str, Any] = {
            "format": FORMAT, "name": name, "key": path.stem, "kind": kind.name,
            "version": kind.version, "config": plain(study, full=True), "source": kind.source,
            "seconds": round(seconds, 2), **(circumstances() if made_by is None else made_by),
            **({"resumed": True} if resumed else {}),
        }  # fmt: skip
        return self.write(path, arrays, record)

    def write(self, path: Path, arrays: Arrays, record: dict[str, Any]) -> Entry:
        """Write one entry's file as it is to be; `save` says what belongs into its record."""
        record = record | {"sha256": {n: sha256_of(arrays[n]) for n in sorted(arrays)}}
        text = json.dumps(record, indent=1, sort_keys=True) + "\n"
        content = npz_bytes(arrays, more={RECORD: text.encode()})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, content)
        except OSError as error:
            raise self._unwritable(error) from error
        self.read[f"{path.parent.name}/{path.stem}"] = digest(record)
        return Entry(arrays=dict(arrays), provenance=record)

    def state(self, name: str, study: object) -> tuple[str, str]:
        """What the store holds of an experiment, in a word and with the reason: "current"
        (computed by the code that runs), "stamped" (by code of which a stamp says that it gives
        the same numbers), "needs computing", "damaged"."""
        path, kind = self.path(name, study), kind_of(study)
        try:
            record = read_record(path) if path.exists() else None
        except BadInput as error:
            return "needs computing", str(error)
        except _DAMAGE as error:
            return "damaged", f"{path} ({error})"
        if record is None:
            return "needs computing", self._why_missing(name, study, kind)
        if not _says(record, study):
            return "needs computing", "a default has another value than when it was computed"
        if record["source"] == kind.source:
            return "current", ""
        if is_same_source(kind, record["source"]):
            return "stamped", f"computed by {record['source'][:8]}, the code is {kind.source[:8]}"
        return "needs computing", (
            f"computed by other code ({record['source'][:8]}, now {kind.source[:8]}), and no "
            "stamp says that it gives the same numbers"
        )

    def _why_missing(self, name: str, study: object, kind: Kind) -> str:
        for version in (v for v in range(1, kind.version + 10) if v != kind.version):
            if (self.root / name / f"{_key(name, study, version)}.npz").exists():
                newer = " by a newer mvlib: update it" if version > kind.version else ""
                return f"computed at version {version}{newer}; this one is {kind.version}"
        old = any((self.root / name).glob("*.json"))
        return f"the store has the old form; convert it: {MIGRATE}" if old else "never computed"

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
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "have room and its disk is full" if full else "be writable"
        way = "free some, or " if full else ""
        return BadInput(
            f"results folder (store) = {str(self.root)!r} must {why} ({error.strerror}); {way}name "
            "another with --results."
        )

    def claim(self, key: str) -> FileLock | None:
        """The sole right to compute an entry, to be released, or None while another process has
        it; the system frees it if its holder dies.

        Raises:
            BadInput: if the folder cannot be written.
        """
        folder = self.root / ".locks"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(folder / f"{key}.lock")
            lock.acquire(blocking=False)
        except Timeout:
            return None
        except OSError as error:
            raise self._unwritable(error) from error
        return lock

    def checkpoint_path(self, name: str, study: object) -> Path:
        """Where the state of an interrupted training waits for whoever holds the claim; other
        code, which may go other ways from there, does not find it."""
        left = f"{name}-{self.key(name, study)}-{kind_of(study).source[:12]}.npz"
        return self.root / ".checkpoints" / left

    def receipts(self, *, files: Iterable[Path] = ()) -> dict[str, object]:
        """What an executed chapter read: each entry, and the sha256 of other `files`, if any."""
        made_from: dict[str, object] = {"entries": dict(sorted(self.read.items()))}
        hashes = {p.as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}
        return made_from | ({"files": hashes} if hashes else {})

    def display_receipts(self, *, files: Iterable[Path] = ()) -> Receipts:
        """`receipts` as a notebook output that a program can read back."""
        return Receipts(self.receipts(files=files))


def _says(record: Mapping[str, Any], study: object) -> bool:
    return _covers(json.loads(json.dumps(plain(study, full=True))), record["config"])


def _sound(path: Path, read: Callable[[Path], T], rebuild: str) -> T | None:
    """What a file holds, or None if there is none; `CorruptEntry` if it is damaged."""
    try:
        return read(path) if path.exists() else None
    except BadInput:
        raise
    except _DAMAGE as error:
        said = f"stored result {path} is damaged ({error}); rebuild it with `{rebuild}`."
        raise CorruptEntry(said) from error


def circumstances(device: str = "cpu") -> dict[str, object]:
    """What of this process a number may depend on in its last digits: device, torch threads,
    versions, and the GFLOP/s of products in float32 and bfloat16, which decide how the latter are
    done (`mvlib.core.arithmetic.is_native`)."""
    versions = {"python": platform.python_version(), "numpy": np.__version__,
                "torch": torch.__version__}  # fmt: skip
    rates = {name: round(rate) for name, rate in product_rates(device).items()}
    return {"device": device, "threads": torch.get_num_threads(), "versions": versions,
            "gflops": rates}  # fmt: skip


def digest(record: Mapping[str, Any]) -> str:
    """What an entry's arrays are, in one hash: times, versions and sources left out."""
    return hashlib.sha256(json.dumps(record["sha256"], sort_keys=True).encode()).hexdigest()


def read_record(path: Path) -> dict[str, Any]:
    """An entry's record alone; its arrays are not checked.

    Raises:
        BadInput: if a newer mvlib wrote it.
        ValueError: if it is not the record of the key that the file is named by.
    """
    with zipfile.ZipFile(path) as archive:
        return _checked_record(archive, path)


def _checked_record(archive: zipfile.ZipFile, path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(archive.read(RECORD))
    if record["format"] > FORMAT:
        raise BadInput(
            f"stored result {path} has format {record['format']} and this mvlib reads up to "
            f"{FORMAT}; update mvlib."
        )
    if record["key"] != path.stem:
        raise ValueError("its key is not the one in its name")
    return record


def read_entry(path: Path) -> Entry:
    """Arrays and record of a file, checked against each other.

    Raises:
        BadInput: if a newer mvlib wrote it.
        ValueError, KeyError, OSError, BadZipFile: if it is damaged.
    """
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        record = _checked_record(archive, path)
        arrays = {
            name.removesuffix(".npy"): np.lib.format.read_array(
                io.BytesIO(archive.read(name)), allow_pickle=False
            )
            for name in archive.namelist()
            if name != RECORD
        }
    if {name: sha256_of(array) for name, array in arrays.items()} != record["sha256"]:
        raise ValueError("its arrays do not match their checksums")
    return Entry(arrays=arrays, provenance=record)


def _key(name: str, study: object, version: int) -> str:
    return hash_of(name, canonical_json(study), str(version))
