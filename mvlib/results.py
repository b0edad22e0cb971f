"""The store of computed results: content-addressed, small, committed with the repository.

An entry is ``<root>/<name>/<key>.npz`` (arrays) beside ``<key>.json`` (what made them).  The key
is a hash of the configuration and of the source, without comments and docstrings, of every mvlib
module the computation can reach: change either and the entry is no longer found.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import io
import json
import os
import platform
import tempfile
import time
import tokenize
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock

from mvlib.checks import BadInput

PACKAGE = Path(__file__).parent
Arrays = Mapping[str, np.ndarray]
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


@functools.cache
def _sources(package: Path) -> dict[str, str]:
    """Every module's text as it was when this process began: what is running, even if someone
    edits a file meanwhile."""
    return {path.stem: path.read_text() for path in sorted(package.glob("*.py"))}


_sources(PACKAGE)


@functools.cache  # asked for again with every key
def bare_source(source: str) -> str:
    """Python source without comments, docstrings and blank lines: what decides a result."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not body or not _is_docstring(node, body[0]):
            continue
        _blank(lines, body[0])
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _blank(lines: list[str], node: ast.stmt) -> None:
    """Take a statement out of its lines; what shares a line with it stays."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    # Columns of the syntax tree count bytes.
    before = lines[first].encode()[: node.col_offset].decode()
    after = lines[last].encode()[node.end_col_offset :].decode()
    lines[first : last + 1] = [before + after] + [""] * (last - first)


def _is_docstring(parent: ast.AST, node: ast.AST) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return (
        isinstance(parent, documented)
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def modules_reached(module: str) -> list[str]:
    """Names of the mvlib modules that `module` imports, itself included, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in _sources(PACKAGE):
            continue
        found.add(name)
        for node in ast.walk(ast.parse(_sources(PACKAGE)[name])):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mvlib."):
                waiting.append(str(node.module).removeprefix("mvlib."))
    return sorted(found)


def fingerprint(module: str | None = None) -> str:
    """Hash of the bare source of `module` and all it reaches; of the whole library by default."""
    sources = _sources(PACKAGE)
    names = modules_reached(module) if module else sorted(sources)
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"\n# {name}\n".encode())
        digest.update(bare_source(sources[name]).encode())
    return digest.hexdigest()


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

    def save(self, name: str, config: object, module: str, arrays: Arrays, seconds: float) -> Entry:
        """Write an entry, replacing one of the same key.

        Raises:
            BadInput: if the folder cannot be written.
        """
        key = self.key(name, config, module)
        arrays_path, record_path = self._paths(name, key)
        content = _npz_bytes(arrays)
        record: dict[str, Any] = {
            "name": name,
            "key": key,
            "config": _plain(config),
            "sha256": hashlib.sha256(content).hexdigest(),
            "module": module,
            "seconds": round(seconds, 2),
            "device": "cpu",
            "threads": torch.get_num_threads(),
            "versions": {
                "python": platform.python_version(),
                "numpy": np.__version__,
                "torch": torch.__version__,
            },
        }
        try:
            arrays_path.parent.mkdir(parents=True, exist_ok=True)
            # One writer at a time, or the record of one could end beside the arrays of another.
            with self._lock("write"):
                # The record comes last: an entry exists only once both files are complete.
                _write_atomically(arrays_path, content)
                text = json.dumps(record, indent=1, sort_keys=True) + "\n"
                _write_atomically(record_path, text.encode())
        except OSError as error:
            raise BadInput(
                f"results folder (store) = {str(self.root)!r} must be writable ({error.strerror}); "
                "name another with --results."
            ) from error
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
            raise BadInput(
                f"results folder (store) = {str(self.root)!r} must be writable ({error.strerror}); "
                "name another with --results."
            ) from error

    def receipts(self) -> dict[str, object]:
        """What an executed chapter depends on: the library's fingerprint and each entry read."""
        return {"library": fingerprint(), "entries": dict(sorted(self.read.items()))}

    def display_receipts(self) -> Receipts:
        """`receipts` as a notebook output that a program can read back."""
        return Receipts(self.receipts())

    def _lock(self, name: str) -> FileLock:
        """A lock between processes; the system frees it if its holder dies."""
        folder = self.root / ".locks"
        folder.mkdir(exist_ok=True)
        return FileLock(folder / f"{name}.lock")

    def _paths(self, name: str, key: str) -> tuple[Path, Path]:
        folder = self.root / name
        return folder / f"{key}.npz", folder / f"{key}.json"


def _read_entry(arrays_path: Path, record_path: Path, key: str, config: object) -> Entry:
    record = json.loads(record_path.read_text())
    content = arrays_path.read_bytes()
    if record["key"] != key or record["config"] != _plain(config):
        raise ValueError("its configuration is not the one in its name")
    if hashlib.sha256(content).hexdigest() != record["sha256"]:
        raise ValueError("its arrays do not match their checksum")
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        arrays = {array: archive[array] for array in archive.files}
    return Entry(arrays=arrays, provenance=record)


def _npz_bytes(arrays: Arrays) -> bytes:
    """A compressed npz without time stamps: equal arrays give equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(),
                             compress_type=zipfile.ZIP_DEFLATED)  # fmt: skip
    return buffer.getvalue()


def _write_atomically(path: Path, content: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            os.chmod(temporary, 0o644)  # mkstemp's 0600 would keep other users from reading
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
