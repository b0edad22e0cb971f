"""The state of an interrupted training in a file, so that the next run goes on from there."""

from __future__ import annotations

import time
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mvlib.core.files import (
    Arrays,
    arrays_of,
    content_of,
    npz_bytes,
    remove,
    sha256_of,
    write_whole,
)

_CHECKSUM = "sha256"


class TrainingCheckpoint:
    """A training's state, saved every so often, in one npz file with a checksum.

    A checkpoint only saves time: one that is damaged is not used, one that cannot be written is
    done without, and either is said in a warning.  `resumed`: whether `load` has given a state.
    """

    def __init__(self, path: Path, *, every_seconds: float = 60.0) -> None:
        self.path = path
        self.resumed = False
        self._every = every_seconds
        self._saved = time.monotonic()
        self._writable = True

    def load(self) -> dict[str, Tensor] | None:
        """The state saved last, on the CPU, or None if there is none that can be trusted."""
        try:
            content = content_of(self.path)
            if content is None:
                return None
            state = _checked(arrays_of(content))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(
                f"checkpoint {self.path} is damaged ({error}); training starts over.", stacklevel=2
            )
            return None
        self.resumed = True
        return state

    def due(self) -> bool:
        """Whether it is time to save."""
        return self._writable and time.monotonic() - self._saved >= self._every

    def save(self, state: Mapping[str, Tensor]) -> None:
        """Replace what was saved before."""
        arrays = {name: value.detach().cpu().numpy() for name, value in state.items()}
        arrays[_CHECKSUM] = _digest(arrays)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # Weights do not compress.
            write_whole(self.path, npz_bytes(arrays, compress=False))
        except OSError as error:
            self._writable = False  # said once, and not tried again
            warnings.warn(
                f"checkpoint {self.path} cannot be written ({error.strerror}); training goes on "
                "without.",
                stacklevel=2,
            )
        # From the end of saving: a slow disk must not become all the work there is.
        self._saved = time.monotonic()

    def remove(self) -> None:
        """Delete the file: the training is done."""
        remove(self.path)


def _checked(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    expected = arrays.pop(_CHECKSUM)
    if not np.array_equal(_digest(arrays), expected):
        raise ValueError("it does not match its checksum")
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _digest(arrays: Arrays) -> np.ndarray:
    """Of names and arrays, as words."""
    return np.array([f"{name} {sha256_of(arrays[name])}" for name in sorted(arrays)])
