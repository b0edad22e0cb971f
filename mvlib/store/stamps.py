"""Which versions of the source give the same numbers.

Code changes for reasons that move no number.  Then the kind's probes (`mvlib.studies.probes`) are
run under the old and the new source on one machine; where all their arrays agree, the new source is
*stamped* equal to the old one, and what the old one computed stays good.  The stamps are part of
the library.
"""

from __future__ import annotations

import functools
import json
import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mvlib.core.checks import BadInput
from mvlib.core.files import Arrays, arrays_of, npz_bytes, sha256_of, write_whole
from mvlib.core.source import PACKAGE
from mvlib.store.kinds import Kind, own_kinds

STAMPS = PACKAGE / "store" / "stamps.json"
ABOUT = "about"  # the member of a file of probes that says where and from what it was made


@functools.cache
def _stamps(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def stamped_sources(kind: Kind) -> list[str]:
    """The sources that give the numbers of this version of a kind, oldest first."""
    found = _stamps(STAMPS).get(kind.name, {})
    return found["sources"] if found.get("version") == kind.version else []


def is_same_source(kind: Kind, source: str) -> bool:
    """Whether what a source computed is what the code that runs would compute."""
    return source == kind.source or {source, kind.source} <= set(stamped_sources(kind))


def differences(old: Arrays, new: Arrays, kinds: Sequence[Kind]) -> dict[str, list[str]]:
    """By kind, the arrays of its probes ("kind/probe/array") that differ by a bit or more.

    A probe that only the new source has proves nothing and is passed over; one that the new
    source has lost counts as different.
    """
    found: dict[str, list[str]] = {}
    for kind in kinds:
        mine = [name for name in old if name.startswith(f"{kind.name}/")]
        probes = {name.rpartition("/")[0] for name in mine}
        added = [n for n in new if n.rpartition("/")[0] in probes and n not in old]
        moved = [n for n in mine if n not in new or sha256_of(old[n]) != sha256_of(new[n])]
        found[kind.name] = added + moved
    return found


def machine() -> str:
    """What two runs must share to be compared to the last bit."""
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{platform.node()}, {cpu}, torch {torch.__version__}, numpy {np.__version__}"


@dataclass(frozen=True, slots=True)
class Probed:
    """What probes gave: arrays by "kind/probe/array", and the source of each kind by name."""

    arrays: Arrays
    sources: dict[str, str]


def save_probes(path: Path, probed: Probed) -> None:
    """Keep what probes gave, with the machine that ran them."""
    about = json.dumps({"machine": machine(), "sources": probed.sources})
    write_whole(path, npz_bytes({**probed.arrays, ABOUT: np.array(about)}))


def load_probes(path: Path) -> Probed:
    """What `save_probes` kept.

    Raises:
        BadInput: if it is no such file, or was made on another machine: last digits differ there.
    """
    try:
        arrays = arrays_of(path.read_bytes())
        about = json.loads(str(arrays.pop(ABOUT)))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise BadInput(
            f"against (--against) = {str(path)!r} must be a file of `probe --save` ({error}); "
            "name one, or a revision."
        ) from error
    if about["machine"] != machine():
        raise BadInput(
            f"against (--against) = {str(path)!r} must be made on this machine ({machine()}) and "
            f"was made on {about['machine']}; run the old source's probes here: --against REVISION."
        )
    return Probed(arrays, about["sources"])


def probes_of(revision: str, kinds: Sequence[Kind]) -> Probed:
    """What the probes of these kinds give at another revision of this repository, run here and
    now.

    Raises:
        BadInput: if there is no such revision, or it cannot run its probes.
    """
    root = PACKAGE.parent
    with tempfile.TemporaryDirectory(prefix="mvlib-") as scratch:
        tree, kept = Path(scratch) / "tree", Path(scratch) / "probes.npz"
        _extract(revision, tree)
        environment = os.environ | {"PYTHONPATH": str(tree)}
        command = [sys.executable, "-m", "mvlib", "probe", "--save", str(kept)]
        command += [word for kind in kinds for word in ("--kind", kind.name)]
        done = subprocess.run(
            command, env=environment, cwd=tree, encoding="utf-8", stderr=subprocess.PIPE
        )
        if done.returncode or not kept.exists():
            said = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise BadInput(
                f"against (--against) = {revision!r} must be a revision that can run its probes "
                f"and stopped with: {said}; name a later one (git log {root})."
            )
        return load_probes(kept)


def _extract(revision: str, tree: Path) -> None:
    """The package of a revision into a folder of its own."""
    tree.mkdir()
    command = ["git", "-C", str(PACKAGE.parent), "archive", revision, PACKAGE.name]
    try:
        packed = subprocess.run(command, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=packed, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error).encode()
        raise BadInput(
            f"against (--against) = {revision!r} must be a revision of this repository "
            f"({said.decode().strip()}); see git log."
        ) from error


def write_stamps(kinds: Sequence[Kind]) -> None:
    """Put the source that runs beside those stamped before; a new version begins a new list."""
    stamps = dict(_stamps(STAMPS))
    for kind in kinds:
        sources = [*dict.fromkeys([*stamped_sources(kind), kind.source])]
        stamps[kind.name] = {"version": kind.version, "sources": sources}
    text = json.dumps(dict(sorted(stamps.items())), indent=1) + "\n"
    write_whole(STAMPS, text.encode())
    _stamps.cache_clear()


def unstamped() -> list[Kind]:
    """Those whose source is not stamped: their stored results count as computed by other code."""
    return [kind for kind in own_kinds() if kind.source not in stamped_sources(kind)]


def refused(old: Probed, new: Arrays, kinds: Sequence[Kind]) -> dict[str, str]:
    """By kind, why the source that runs may not be stamped equal to another; {} if it may.

    A kind whose version has been raised, or that is new, has nothing to be equal to.  Where the
    arrays of one kind differ all others wait: the change may reach them too, on lines that their
    own probes pass by.
    """
    differ = differences(old.arrays, new, kinds)
    found = {}
    moved = [kind.name for kind in kinds if stamped_sources(kind) and differ[kind.name]]
    for kind in kinds:
        known, source, wrong = stamped_sources(kind), old.sources.get(kind.name), differ[kind.name]
        if known and source not in known:
            found[kind.name] = "the source to compare with is not stamped itself"
        elif known and wrong:
            more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
            found[kind.name] = f"these arrays differ: {', '.join(wrong[:5])}{more}"
        elif known and moved:
            found[kind.name] = f"the change moves numbers of other kinds ({', '.join(moved)})"
    return found
