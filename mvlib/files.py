"""Arrays as bytes, and files that appear whole or not at all: what the store and checkpoints rest
on."""

from __future__ import annotations

import errno
import io
import os
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

Arrays = Mapping[str, np.ndarray]


def npz_bytes(arrays: Arrays, *, compress: bool = True) -> bytes:
    """An npz without time stamps: equal arrays give equal bytes.  No pickle: an array of objects
    raises ValueError."""
    method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name in sorted(arrays):
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asarray(arrays[name]), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy"), member.getvalue(),
                             compress_type=method)  # fmt: skip
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


def write_together(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files of one folder under temporary names, then rename them in this order: on a full
    disk not even the first has changed, and nothing is left behind.

    Raises:
        OSError: if that cannot be done.
    """
    written: list[tuple[str, Path]] = []
    try:
        for path, content in files:
            handle, temporary = tempfile.mkstemp(
                dir=path.parent, prefix=_prefix(path), suffix=_SUFFIX
            )
            written.append((temporary, path))
            with os.fdopen(handle, "wb") as file:
                os.chmod(temporary, 0o644)  # mkstemp's 0600 would keep other users from reading
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        for temporary, path in written:
            os.replace(temporary, path)
    except BaseException:
        for temporary, _ in written:
            Path(temporary).unlink(missing_ok=True)
        raise


def remove(path: Path) -> None:
    """Delete a file, and what a writer killed in the middle of `write_together` left of it; for
    its only writer."""
    for left in (path, *path.parent.glob(f"{_prefix(path)}*{_SUFFIX}")):
        with suppress(OSError):
            left.unlink(missing_ok=True)


def is_full(error: OSError) -> bool:
    """Whether an error says that there is no room for more."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


_SUFFIX = ".tmp"


def _prefix(path: Path) -> str:
    return f".{path.stem}-"
