"""What a run of the benchmarks leaves: one JSON file, and its comparison with the goals."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
GOALS_PATH = HERE / "goals.json"
LATEST_PATH = HERE / "latest.json"


def goals() -> dict[str, dict[str, Any]]:
    """Each measure's bound, "at_least" or "at_most", what it counts, and whether it is "optional":
    compares with something that need not be installed.  The only place."""
    return json.loads(GOALS_PATH.read_text(encoding="utf-8"))


def missed(record: Mapping[str, Any]) -> list[str]:
    """A sentence for each goal the record does not reach, or does not speak about though it
    should."""
    sentences = []
    for key, goal in goals().items():
        value = record[key]
        if value is None:
            if not goal.get("optional"):
                sentences.append(f"{key} was not measured: {record['details']['reasons'][key]}.")
            continue
        if value < goal.get("at_least", value) or value > goal.get("at_most", value):
            bound = f">= {goal['at_least']:g}" if "at_least" in goal else f"<= {goal['at_most']:g}"
            sentences.append(f"{key} = {value:.3g} must be {bound} ({goal['unit']}).")
    return sentences


def provenance(note: str = "") -> dict[str, Any]:
    """What made the numbers: machine, threads, versions, commit, date, and how busy the machine
    was."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "cpu": _cpu(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "threads": torch.get_num_threads(),
        "load_average": list(os.getloadavg()),
        "versions": {"python": platform.python_version()}
        | {name: _version(name) for name in ("torch", "numpy", "jax", "jaxlib")},
        "note": note,
    }


def write_atomically(path: Path, record: Mapping[str, Any]) -> None:
    """The record as JSON, in one piece or not at all.  A number that is not finite is refused."""
    text = json.dumps(record, indent=2, allow_nan=False) + "\n"
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)  # mkstemp's files are private
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit, with "+" if code has changed since; None outside of a clone."""
    git = ["git", "-C", str(HERE)]
    try:
        head = subprocess.run(
            [*git, "rev-parse", "--short=12", "HEAD"],
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout.strip()
        changed = subprocess.run(
            [*git, "status", "--porcelain", "--", "../mvlib", "*.py"],
            check=True,
            capture_output=True,
            encoding="utf-8",
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
