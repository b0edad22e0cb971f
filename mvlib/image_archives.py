"""What the files of image collections hold, from bytes to arrays: idx (MNIST and its kin) and
CIFAR's pickled batches in a tar archive.  Nothing here reads or writes files, and nothing that
is unpickled can act."""

from __future__ import annotations

import io
import pickle
import tarfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from mvlib.checks import BadInput, require

AGAIN = "the file is damaged: get it again"


def read_idx(content: bytes, name: str | Path = "idx") -> np.ndarray:
    """The array in an idx file of unsigned bytes: two zero bytes, the type 8, the number of
    dimensions, each of them as a big-endian 32-bit integer, then the values.

    Raises:
        BadInput: if the header is not that, or values are missing or left over.
    """
    n_dimensions = content[3] if content[:3] == b"\0\0\x08" and len(content) > 3 else 0
    start = 4 + 4 * n_dimensions
    well_formed = 0 < n_dimensions <= 4 and len(content) >= start
    require(well_formed, str(name), "idx header", content[:4],
            "be 00 00 08 and the number of dimensions", AGAIN)  # fmt: skip
    shape = tuple(np.frombuffer(content[4:start], ">u4").tolist())
    size = int(np.prod(shape, dtype=object))
    require(len(content) - start == size, str(name), "bytes of data", len(content) - start,
            f"be {size}, for shape {shape}", AGAIN)  # fmt: skip
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


class _OnlyArrays(pickle.Unpickler):
    """Unpickles numbers, words, lists, dictionaries and numpy arrays, and nothing that acts."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy.core", "numpy._core")
        allowed = {
            ("numpy._core.multiarray", "_reconstruct"): np._core.multiarray._reconstruct,  # type: ignore[attr-defined]
            ("numpy", "ndarray"): np.ndarray,
            ("numpy", "dtype"): np.dtype,
            ("_codecs", "encode"): _latin1,
        }
        if (module, name) in allowed:
            return allowed[module, name]
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no image needs")


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}")
    return text.encode("latin1")


def read_cifar(content: bytes, name: str, n_classes: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Pixels (n, 3, 32, 32) and labels (n,) of the training and the test part of a CIFAR archive,
    "python version"; of CIFAR-100 the fine labels.

    Raises:
        BadInput: if the archive is damaged, lacks a part, or holds anything but arrays.
    """
    train, test, key = ["train"], ["test"], b"fine_labels"
    if n_classes == 10:
        train, test, key = [f"data_batch_{i}" for i in range(1, 6)], ["test_batch"], b"labels"
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = {Path(m.name).name: m for m in tar.getmembers() if m.isfile()}
            parts = [[_batch(tar, members[part], key) for part in names] for names in (train, test)]
    except KeyError as error:
        raise BadInput(f"archive = {name!r} must hold {error}; {AGAIN}.") from error
    except (tarfile.TarError, EOFError, OSError, zlib.error, pickle.UnpicklingError) as error:
        raise BadInput(f"archive = {name!r} must be readable ({error}); {AGAIN}.") from error
    joined = [[np.concatenate(arrays) for arrays in zip(*part, strict=True)] for part in parts]
    return [(pixels, labels) for pixels, labels in joined]


def _batch(
    tar: tarfile.TarFile, member: tarfile.TarInfo, key: bytes
) -> tuple[np.ndarray, np.ndarray]:
    file = tar.extractfile(member)
    assert file is not None  # only files get here
    batch = _OnlyArrays(file, encoding="bytes").load()
    data, labels = (batch[b"data"], batch[key]) if isinstance(batch, dict) else (None, None)
    fits = isinstance(data, np.ndarray) and data.dtype == np.uint8 and data.shape[1:] == (3072,)
    shown = (data.dtype.name, data.shape) if isinstance(data, np.ndarray) else type(data).__name__
    require(fits, member.name, "data", shown, "be uint8 of shape (n, 3072): 3 x 32 x 32 pixels",
            "use the official archive")  # fmt: skip
    assert isinstance(data, np.ndarray)
    return data.reshape(-1, 3, 32, 32), np.array(labels, np.int64)
