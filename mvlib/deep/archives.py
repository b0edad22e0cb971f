"""What the files of image collections hold, from bytes to arrays: idx (MNIST and its kin), and
CIFAR's pickled batches, alone or in a tar archive.  Nothing here reads or writes files, and nothing
that is unpickled can act."""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from mvlib.core.checks import BadInput, require

AGAIN = "the file is damaged or another one: get it again"


def read_idx(content: bytes, name: str, n_dimensions: int) -> np.ndarray:
    """The array in an idx file of unsigned bytes: 00 00 08, the number of dimensions, each of them
    as a big-endian 32-bit integer, then the values.

    Raises:
        BadInput: if the header is not that, or values are missing or left over.
    """
    start = 4 + 4 * n_dimensions
    head = bytes([0, 0, 8, n_dimensions])
    well_formed = content[:4] == head and len(content) >= start
    require(well_formed, name, "idx header", content[:4], f"be {head.hex(' ')} and a shape", AGAIN)
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    size = int(np.prod(shape, dtype=object))
    bound = f"be {size}, for shape {shape}"
    require(len(content) - start == size, name, "bytes", len(content) - start, bound, AGAIN)
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def tar_members(content: bytes, name: str, wanted: Collection[str]) -> dict[str, bytes]:
    """The wanted files of a tar archive, in whatever folders they lie; `__MACOSX`, where that
    system puts its own notes under the same names, is not looked into.

    Raises:
        BadInput: if the archive is damaged or lacks one of them.
    """
    found = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
            for member in tar:
                path = PurePosixPath(member.name)
                if path.name in wanted and "__MACOSX" not in path.parts:
                    if file := tar.extractfile(member):  # folders have none
                        found[path.name] = file.read()
    except (tarfile.TarError, KeyError, OSError) as error:
        raise BadInput(f"archive = {name!r} must be readable ({error}); {AGAIN}.") from error
    missing = [part for part in wanted if part not in found]
    require(not missing, "archive", "", name, f"hold {', '.join(missing)}", AGAIN)
    return {part: found[part] for part in wanted}


class _OnlyArrays(pickle.Unpickler):
    """Unpickles numbers, words, lists, dictionaries and numpy arrays, and nothing that acts."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        # What numpy itself asks for, by the names of its modules in any version.
        made = np.zeros(1).__reduce_ex__(2), np.zeros(1).__reduce_ex__(5), np.uint8(1).__reduce__()
        for allowed in (np.ndarray, np.dtype, *(asked[0] for asked in made)):
            if module.partition(".")[0] == "numpy" and name == getattr(allowed, "__name__", ""):
                return allowed
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image needs")


def _latin1(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes for Python 2."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode("latin1")


def read_batch(content: bytes, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (n, 3, 32, 32) and labels (n,), of CIFAR-100 the fine ones, of a batch pickled by any
    Python: a dictionary with "data" and "labels" or "fine_labels", words or bytes.

    Raises:
        BadInput: if it cannot be unpickled, holds anything but arrays, or other arrays.
    """
    try:
        batch = _OnlyArrays(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # on damaged bytes pickle and numpy raise whatever they meet
        said = " ".join(str(error).split())
        raise BadInput(f"{name} must be a pickled batch ({said}); {AGAIN}.") from error
    require(isinstance(batch, dict), name, "batch", type(batch).__name__, "be a dict", AGAIN)
    batch = {k.decode("latin1") if isinstance(k, bytes) else k: v for k, v in batch.items()}
    data = _array(batch.get("data"))
    labels = _array(batch.get("labels", batch.get("fine_labels")))
    shown, bound = (data.dtype.name, data.shape), "be uint8 of shape (n, 3072): 3 x 32 x 32 pixels"
    require(data.dtype == np.uint8 and data.shape[1:] == (3072,), name, "data", shown, bound, AGAIN)
    shown, bound = (labels.dtype.name, labels.shape), f"be {len(data)} integers, one an image"
    fits = np.issubdtype(labels.dtype, np.integer) and labels.shape == (len(data),)
    require(fits, name, "labels", shown, bound, AGAIN)
    return data.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _array(value: Any) -> np.ndarray:
    try:
        return np.asarray(value)
    except ValueError:  # rows of different lengths
        return np.empty(len(value), object)
