"""Run the notebooks by papermill and keep the executed chapters.

    python book/execute.py [--scale smoke|book|paper] [--jobs N] [--force]
                           [--output DIR] [--results DIR] [NOTEBOOK ...]

Each ``notebooks/NN-name.ipynb`` becomes ``book/chapters/NN-name.ipynb``, several at a time.  A
chapter that is current (same cells, same scale, same library, same store entries) is left alone.
A chapter appears only when it is complete: a failing or interrupted run leaves the old one.  Equal
inputs give equal bytes: what papermill records about the run (times, paths) is taken out again.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from executed import (
    INJECTED,
    RECEIPTS,
    Notebook,
    normalise,
    read,
    receipts,
    tags,
    why_stale,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this clone's mvlib, installed or not

from mvlib import results as store  # noqa: E402
from mvlib.checks import BadInput, require, require_int  # noqa: E402
from mvlib.settings import check_scale  # noqa: E402


class ChapterFailed(Exception):
    """A notebook that did not run to its end; the message names the cell and its line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What all chapters of one run share; `running` holds the papermill processes at work."""

    notebooks: Path
    output: Path
    results: Path
    scale: str
    threads: int
    running: set[subprocess.Popen[str]] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)


def execute(name: str, job: Job) -> None:
    """Run one notebook and put the executed chapter in its place.

    Raises:
        ChapterFailed: if a cell fails, the kernel dies or no receipts are shown.
    """
    source_path = job.notebooks / f"{name}.ipynb"
    folder = job.results.resolve()
    inside = folder.is_relative_to(job.notebooks.resolve().parent)
    shown = os.path.relpath(folder, job.notebooks.resolve()) if inside else str(folder)
    parameters = {"scale": job.scale, "results": Path(shown).as_posix()}
    with tempfile.TemporaryDirectory(prefix="mvlib-") as scratch:
        raw = Path(scratch) / f"{name}.ipynb"
        complaint = _papermill(source_path, raw, parameters, job)
        source = read(source_path)
        if complaint is not None:
            raise ChapterFailed(_failed_cell(raw, source) or complaint)
        chapter = normalise(read(raw), source, job.scale, parameters)
    if receipts(chapter) is None:
        raise ChapterFailed(
            f"its last cell, tagged {RECEIPTS!r}, must display the store's receipts"
        )
    text = json.dumps(chapter, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    temporary = job.output / f".{name}.{os.getpid()}.tmp"
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, job.output / f"{name}.ipynb")
    finally:
        temporary.unlink(missing_ok=True)


def _papermill(source: Path, raw: Path, parameters: Mapping[str, str], job: Job) -> str | None:
    """Run papermill's own command; returns the last line of its complaint, or None."""
    command = [
        sys.executable,
        "-m",
        "papermill",
        str(source),
        str(raw),
        "-k",
        "python3",
        "-l",
        "python",
    ]
    command += ["--cwd", str(job.notebooks), "--no-progress-bar", "--log-level", "ERROR"]
    command += ["--start-timeout", "300"]
    for key, value in parameters.items():
        command += ["-r", key, value]
    threads = str(job.threads)
    environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads} | dict(os.environ)
    environment |= {
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        "PYTHONHASHSEED": "0",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    if job.stopped.is_set():
        return "interrupted"
    # A session of its own: Ctrl-C reaches this program alone, which then ends each of them.
    with subprocess.Popen(
        command, env=environment, text=True, start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        job.running.add(process)
        complaint = process.communicate()[1].strip()
        job.running.discard(process)
    return None if process.returncode == 0 else (complaint.splitlines() or ["no message"])[-1]


def _failed_cell(raw: Path, source: Notebook) -> str | None:
    """Which cell failed, at which line, and with what."""
    if not raw.exists():
        return None
    positions = {cell["id"]: n for n, cell in enumerate(source["cells"], start=1)}
    for cell in read(raw)["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" and INJECTED not in tags(cell):
                where = f"cell {positions.get(cell['id'], '?')} of {len(positions)}"
                trace = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(output["traceback"]))
                line = re.search(r"^-+> *(\d+) (.*)$", trace, re.MULTILINE)
                at = f", line {line[1]} `{line[2].strip()}`" if line else ""
                return f"{where}{at}: {output['ename']}: {output['evalue']}"
    return None


def execute_all(names: Sequence[str], job: Job, jobs: int) -> list[str]:
    """Execute several notebooks at once; returns the names of those that failed."""
    failed = []
    pool = concurrent.futures.ThreadPoolExecutor(jobs)
    waiting = {pool.submit(execute, name, job): name for name in names}
    try:
        with tqdm(total=len(names), unit="chapter", disable=None) as bar:
            for done in concurrent.futures.as_completed(waiting):
                name, said = waiting[done], f"executed at scale {job.scale}"
                try:
                    done.result()
                except (ChapterFailed, OSError) as error:
                    failed.append(name)
                    said = f"FAILED, {error}"
                tqdm.write(f"{name}: {said}", file=sys.stderr if name in failed else sys.stdout)
                bar.update()
    except BaseException:
        job.stopped.set()
        for process in list(job.running):
            process.terminate()  # papermill then ends its kernel
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def chosen_notebooks(wanted: Sequence[str], folder: Path) -> list[str]:
    """Names of the notebooks to run, all by default.

    Raises:
        BadInput: for a name that is not there.
    """
    known = sorted(path.stem for path in folder.glob("*.ipynb"))
    allowed = f"be one of {', '.join(known) or '(none found)'}"
    names = [Path(name).name.removesuffix(".ipynb") for name in wanted]
    for name in names:
        require(name in known, "notebook", "NOTEBOOK", name, allowed, f"see {folder}")
    return list(dict.fromkeys(names)) or known


def require_writable(field: str, option: str, folder: Path) -> None:
    """Make the folder if need be.

    Raises:
        BadInput: if nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        bound = f"be a writable folder ({error.strerror})"
        require(False, field, option, str(folder), bound, f"name another with {option}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Run the notebooks, keep the executed chapters.")
    parser.add_argument("wanted", nargs="*", metavar="NOTEBOOK", help="all by default")
    parser.add_argument("--scale", default="book", help="smoke, book or paper")
    parser.add_argument("--jobs", help="chapters at a time; the number of cores by default")
    parser.add_argument("--force", action="store_true", help="also chapters that are current")
    parser.add_argument("--output", type=Path, default=ROOT / "book" / "chapters")
    parser.add_argument("--results", type=Path, default=ROOT / "results", help="the store")
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Check the options, execute what is stale; returns 1 if a chapter failed."""
    scale = check_scale(options.scale)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs = str(options.jobs or cores)
    require(jobs.isdecimal(), "jobs", "--jobs", options.jobs, "be an integer", "e.g. --jobs 2")
    require_int("jobs", "--jobs", int(jobs), 1, "leave it out for one per core")
    names = chosen_notebooks(options.wanted, options.notebooks)
    fingerprint = store.fingerprint()
    todo = []
    for name in names:
        chapter, source = options.output / f"{name}.ipynb", options.notebooks / f"{name}.ipynb"
        reason = why_stale(chapter, source, options.results, fingerprint, scale)
        if options.force or reason:
            todo.append(name)
        else:
            print(f"{name}: skipped, it is current", flush=True)
    if not todo:
        return 0
    require_writable("output", "--output", options.output)
    require_writable("results", "--results", options.results)
    at_once = min(int(jobs), len(todo))
    job = Job(
        notebooks=options.notebooks,
        output=options.output,
        results=options.results,
        scale=scale,
        threads=max(1, (cores or 1) // at_once),
    )
    return 1 if execute_all(todo, job, at_once) else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 1 a chapter failed, 2 bad input, 130 interrupted."""
    try:
        return run(_options(arguments))
    except BadInput as error:
        print(f"execute: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("execute: interrupted; finished chapters are kept, run again to go on.",
              file=sys.stderr)  # fmt: skip
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())
