"""What a run of the benchmarks leaves: one JSON file, and its comparison with the goals."""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from mvlib.core.files import write_whole

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
    write_whole(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())


def command_line(
    about: str | None, output: Path | None, rounds: int = 0
) -> argparse.ArgumentParser:
    """The options that programs share: where to write, what to note, how many turns if any."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    if rounds:
        parser.add_argument("--rounds", type=int, default=rounds, help=f"turns of each ({rounds})")
    parser.add_argument("--output", type=Path, default=output, help="where to write")
    parser.add_argument("--note", default="", help="kept with the numbers, e.g. who else computed")
    return parser


def in_fresh_process(program: str, *arguments: str, **environment: str) -> Any:
    """What a program prints, as JSON, for these arguments.

    Raises:
        subprocess.CalledProcessError: if it fails; its words are on standard error.
    """
    done = subprocess.run(
        [sys.executable, program, *arguments],
        check=True,
        stdout=subprocess.PIPE,
        env=os.environ | environment,
    )
    return json.loads(done.stdout)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*words: str) -> str:
    command = ["git", "-C", str(HERE), *words]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf-8").stdout.strip()


def _commit() -> str | None:
    """The commit, with "+" if code has changed since; None outside of a clone."""
    try:
        head = _git("rev-parse", "--short=12", "HEAD")
        return head + ("+" if _git("status", "--porcelain", "--", "../mvlib", "*.py") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*: (.*)$", text, re.MULTILINE)
    return found[1] if found else platform.processor()
