"""A whole study of the book, by the code that is here and by that of an earlier commit.

    python benchmarks/whole_study.py book 950     # prints the seconds of this draw

It is computed as `python -m mvlib run` computes it, in a fresh process; what the store would write
down as its seconds is what is compared.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from report import HERE, in_fresh_process

ROOT = HERE.parent
BEFORE = "92ff987"  # the last commit at which all studies were in float32
DRAW = 950  # no chapter reports it
# The book's setting at that commit, which is what is computed now, too: ten networks.
SETTING: dict[str, Any] = {
    "sparsity": 3.0, "patches_per_view": 4, "own_strength": (1.0, 1.4),
    "multi_other_strength": (0.35, 0.4), "single_other_strength": 0.3, "threshold": 1.0,
    "noise_std": 0.8 / 1000**0.5, "single_view_fraction": 0.008,
}  # fmt: skip


def study_seconds(code: Path, scale: str = "book", draw: int = DRAW) -> float:
    """Seconds that the mvlib in the folder `code` takes for the scale's base study.

    Raises:
        subprocess.CalledProcessError: if that process fails; its words are on standard error.
    """
    return in_fresh_process(__file__, scale, str(draw), PYTHONPATH=str(code))


@contextmanager
def code_of(revision: str) -> Iterator[Path]:
    """A folder with mvlib as it was at a revision of this repository.

    Raises:
        OSError: where there is no such history.
    """
    command = ["git", "-C", str(ROOT), "archive", revision, "mvlib"]
    packed = subprocess.run(command, capture_output=True)
    if packed.returncode:
        raise OSError(f"the code of {revision} is not here ({packed.stderr.decode().strip()})")
    with tempfile.TemporaryDirectory(prefix="mvlib-") as folder:
        subprocess.run(["tar", "-x", "-C", folder], input=packed.stdout, check=True)
        yield Path(folder)


def measure(scale: Any, draw: int) -> float:
    """The same in this process."""
    # All must be there at either commit.
    from mvlib.experiments.settings import base_study, vary
    from mvlib.run.computing import Order, carry_out

    study = replace(base_study(scale, draw=draw), n_networks=10)
    if hasattr(study.learner, "precision"):
        study = replace(vary(study, **SETTING), ensemble_size=0)
    return carry_out(Order(study=study)).seconds


if __name__ == "__main__":
    print(measure(sys.argv[1], int(sys.argv[2])))
