"""Arrays as bytes, and files that appear whole or not at all: what the store and checkpoints rest
on."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]
_SUFFIX = ".tmp"


def npz_bytes(
    arrays: Arrays, *, compress: bool = True, more: Mapping[str, bytes] | None = None
) -> bytes:
    """An npz without time stamps, with `more` files in it by name: equal content gives equal
    bytes.  No pickle: an array of objects raises ValueError."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in (more or {}).items():
            archive.writestr(zipfile.ZipInfo(name), content, compress_type=method)
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            content = member.getvalue()
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), content, compress_type=method)
    return buffer.getvalue()


def arrays_of(content: bytes) -> dict[str, np.ndarray]:
    """The arrays that `npz_bytes` wrote."""
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def content_of(path: Path) -> bytes | None:
    """A file's bytes, or None if there is no such file."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def sha256_of(array: np.ndarray) -> str:
    """Hash of an array's type, shape and values."""
    array = np.asarray(array)
    hashed = hashlib.sha256(f"{array.dtype.str} {array.shape}\n".encode())
    hashed.update(np.ascontiguousarray(array).tobytes())
    return hashed.hexdigest()


def write_whole(path: Path, content: bytes) -> None:
    """Write a file under a temporary name and rename it: on a full disk nothing has changed, and
    nothing is left behind.

    Raises:
        OSError: if that cannot be done.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_prefix(path), suffix=_SUFFIX)
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


def remove(path: Path) -> None:
    """Delete a file, and what a writer killed in the middle of `write_whole` left of it; for
    its only writer."""
    for left in (path, *path.parent.glob(f"{_prefix(path)}*{_SUFFIX}")):
        with suppress(OSError):
            left.unlink(missing_ok=True)


def _prefix(path: Path) -> str:
    return f".{path.stem}-"
