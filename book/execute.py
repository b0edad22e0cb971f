"""Run the notebooks by papermill and keep the executed chapters.

    python book/execute.py [--scale smoke|book|paper] [--jobs N] [--force] [--stamp] [--strict]
                           [--output DIR] [--results DIR] [--data DIR] [NOTEBOOK ...]

Each ``notebooks/NN-name.ipynb`` becomes ``book/chapters/NN-name.ipynb``, several at a time.  A
chapter that is current (same cells, same scale, same library, same store entries) is left alone.
A chapter appears only when it is complete: a failing or interrupted run leaves the old one.  Equal
inputs give equal bytes: what papermill records about the run (times, paths) is taken out again, and
the settings of whoever runs it (matplotlib, IPython, Jupyter, language) are left out of it.

What libraries write to stderr is shown here and not in the chapter; with --strict it fails it.
With --stamp a chapter is replaced only if every cell shows what it showed before: after a change of
code that must not change the book.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import functools
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
    NotANotebook,
    Notebook,
    code_of,
    normalise,
    notebooks_in,
    read,
    receipts,
    renew,
    said_aside,
    tags,
    why_stale,
)

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this clone's mvlib, installed or not

from mvlib.core.checks import BadInput, require, require_int  # noqa: E402
from mvlib.core.folders import choose_data_folder, results_folder  # noqa: E402
from mvlib.core.source import digest_of, modules_imported  # noqa: E402
from mvlib.experiments.settings import check_scale  # noqa: E402
from mvlib.store.entries import digest, read_record  # noqa: E402


class ChapterFailed(Exception):
    """A notebook that gave no chapter to keep; the message names the cell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What all chapters of one run share; `running` holds the papermill processes at work."""

    notebooks: Path
    output: Path
    results: Path
    scale: str
    environment: Mapping[str, str]
    stamp: bool
    strict: bool
    running: set[subprocess.Popen[str]] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)


def execute(name: str, job: Job) -> str:
    """Run one notebook and put the executed chapter in its place; returns what it said on stderr.

    Raises:
        ChapterFailed: if a cell fails, the kernel dies or no receipts are shown.
        NotANotebook: if the notebook cannot be read.
    """
    source = read(job.notebooks / f"{name}.ipynb")
    target = job.output / f"{name}.ipynb"
    standing = _standing(target, job.scale) if job.stamp else None
    folder = job.results.resolve()
    inside = folder.is_relative_to(job.notebooks.resolve().parent)
    shown = os.path.relpath(folder, job.notebooks.resolve()) if inside else str(folder)
    parameters = {"scale": job.scale, "results": Path(shown).as_posix()}
    sources = sources_now(source)  # before: it may be edited meanwhile
    with tempfile.TemporaryDirectory(prefix="mvlib-") as scratch:
        # A copy, in which every cell has an id to be recognised by.
        prepared, raw = Path(scratch) / "prepared.ipynb", Path(scratch) / f"{name}.ipynb"
        prepared.write_text(json.dumps(source), encoding="utf-8")
        complaint = _papermill(prepared, raw, parameters, job)
        if complaint is not None:
            raise ChapterFailed(_failed_cell(raw, source) or complaint)
        executed = read(raw)
    aside = "\n".join(f"{_place(cell, source)}: {text}" for cell, text in said_aside(executed))
    if aside and job.strict:
        raise ChapterFailed(f"it wrote to stderr: {aside}")
    chapter = normalise(executed, source, job.scale, parameters, sources)
    if receipts(chapter) is None:
        raise ChapterFailed(
            f"its last cell, tagged {RECEIPTS!r}, must display the store's receipts"
        )
    if standing is not None and (reason := renew(chapter, standing)):
        raise ChapterFailed(f"not stamped: {reason}")
    text = json.dumps(chapter, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    temporary = job.output / f".{name}.{os.getpid()}.tmp"
    try:
        temporary.write_text(text, encoding="utf-8", newline="\n")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return aside


def _standing(target: Path, scale: str) -> Notebook:
    """The chapter to compare a new one with."""
    try:
        chapter = read(target)
    except (OSError, NotANotebook) as error:
        raise ChapterFailed(
            f"not stamped: there is no chapter to compare with ({error})"
        ) from error
    before = chapter["metadata"].get("mvlib", {}).get("scale")
    if before != scale:
        raise ChapterFailed(f"not stamped: it stands at scale {before!r}")
    return chapter


def environment(private: Path, threads: int) -> dict[str, str]:
    """Of a kernel whose chapter shall be the same on every desk: settings of the user, which would
    colour figures or be complained of on stderr, are replaced by those in the empty folder
    `private`."""
    (private / "matplotlibrc").touch()
    own = {
        name: value
        for name, value in os.environ.items()
        # An empty number of threads is none, and the libraries complain of it.
        if value or not name.endswith("_NUM_THREADS")
    }
    for name in ("PYTHONSTARTUP", "JUPYTER_PATH"):
        own.pop(name, None)
    folders = ("MPLCONFIGDIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR",
               "JUPYTER_RUNTIME_DIR")  # fmt: skip
    return (
        {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        | own
        | {name: str(private / name.lower()) for name in folders}
        | {
            "MATPLOTLIBRC": str(private / "matplotlibrc"),
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "JUPYTER_PREFER_ENV_PATH": "1",
            "LC_ALL": "C.UTF-8",
            "PYTHONUTF8": "1",
            "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), own.get("PYTHONPATH")])),
            "PYTHONHASHSEED": "0",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
    )


def _papermill(source: Path, raw: Path, parameters: Mapping[str, str], job: Job) -> str | None:
    """Run papermill's own command; returns the last line of its complaint, or None."""
    command = [sys.executable, "-m", "papermill", str(source), str(raw)]
    command += ["-k", "python3", "-l", "python", "--cwd", str(job.notebooks)]
    command += ["--no-progress-bar", "--log-level", "ERROR", "--start-timeout", "300"]
    for key, value in parameters.items():
        command += ["-r", key, value]
    if job.stopped.is_set():
        return "interrupted"
    # A session of its own: Ctrl-C reaches this program alone, which then ends each of them.
    with subprocess.Popen(
        command,
        env=job.environment,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        job.running.add(process)
        complaint = process.communicate()[1].strip()
        job.running.discard(process)
    return None if process.returncode == 0 else (complaint.splitlines() or ["no message"])[-1]


def _place(cell: str, source: Notebook) -> str:
    """Where a cell stands, by its id."""
    ids = [c["id"] for c in source["cells"]]
    return f"cell {ids.index(cell) + 1 if cell in ids else '?'} of {len(ids)}"


def _failed_cell(raw: Path, source: Notebook) -> str | None:
    """Which cell failed, at which line, and with what."""
    if not raw.exists():
        return None
    for cell in read(raw)["cells"]:
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" and INJECTED not in tags(cell):
                where = _place(cell["id"], source)
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
                    if aside := done.result():
                        tqdm.write(f"{name}: on stderr, not kept, {aside}", file=sys.stderr)
                except (ChapterFailed, NotANotebook, OSError) as error:
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
    known = [path.stem for path in notebooks_in(folder)]
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
    parser.add_argument(
        "--stamp", action="store_true", help="keep a chapter only if it shows what it showed before"
    )
    parser.add_argument("--strict", action="store_true", help="nothing may be said on stderr")
    parser.add_argument("--output", type=Path, default=ROOT / "book" / "chapters")
    parser.add_argument("--results", help="the store (default: MVLIB_RESULTS, or the clone's)")
    parser.add_argument(
        "--data", help="folder of photographs (default: MVLIB_DATA, or the clone's)"
    )
    parser.add_argument("--notebooks", type=Path, default=ROOT / "notebooks")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> int:
    """Check the options, execute what is stale; returns 1 if a chapter failed."""
    scale = check_scale(options.scale)
    options.results = results_folder(options.results)
    if options.data:
        choose_data_folder(options.data)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs = str(options.jobs or cores)
    require(jobs.isdecimal(), "jobs", "--jobs", options.jobs, "be an integer", "e.g. --jobs 2")
    require_int("jobs", "--jobs", int(jobs), 1, "leave it out for one per core")
    names = chosen_notebooks(options.wanted, options.notebooks)
    # matplotlib reads this one first, whatever the environment says.
    stray = options.notebooks / "matplotlibrc"
    remedy = "move it away: it would change every figure"
    require(not stray.exists(), "notebooks", "--notebooks", str(stray), "not be there", remedy)
    todo = [name for name in names if options.force or _stale(name, options, scale)]
    for name in names:
        if name not in todo:
            print(f"{name}: skipped, it is current", flush=True)
    if not todo:
        return 0
    require_writable("output", "--output", options.output)
    stored = options.results.is_dir()
    require_writable("results", "--results", options.results)
    if not stored:
        print(f"execute: {options.results} was not there; what chapters need is computed into it.",
              file=sys.stderr)  # fmt: skip
    at_once = min(int(jobs), len(todo))
    with tempfile.TemporaryDirectory(prefix="mvlib-") as private:
        job = Job(
            notebooks=options.notebooks,
            output=options.output,
            results=options.results,
            scale=scale,
            environment=environment(Path(private), max(1, (cores or 1) // at_once)),
            stamp=options.stamp,
            strict=options.strict,
        )
        return 1 if execute_all(todo, job, at_once) else 0


def _stale(name: str, options: argparse.Namespace, scale: str) -> bool:
    chapter, source = options.output / f"{name}.ipynb", options.notebooks / f"{name}.ipynb"
    try:
        entry = functools.partial(stored_sha256, options.results)
        return why_stale(chapter, source, sources_now, entry, scale) is not None
    except NotANotebook:
        return True  # said when its turn comes, and the others run


def sources_now(notebook: Notebook) -> dict[str, str]:
    """The hash of each module of the library that a notebook uses."""
    code = "\n".join(code_of(notebook))
    return {f"mvlib.{name}": digest_of([name]) for name in modules_imported(code)}


def stored_sha256(results: Path, entry: str) -> str | None:
    """The hash of a stored result, "name/key", or None if there is none."""
    path = results / f"{entry}.npz"
    return digest(read_record(path)) if path.is_file() else None


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; 0 done, 1 a chapter failed, 2 bad input, 130 interrupted."""
    try:
        return run(_options(arguments))
    except BadInput as error:
        print(f"execute: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        with contextlib.suppress(OSError):  # the terminal may be gone
            print("execute: interrupted; finished chapters are kept, run again to go on.",
                  file=sys.stderr)  # fmt: skip
        return 130


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A closed terminal; under nohup it is ignored, and stays so.
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_DFL:
        signal.signal(signal.SIGHUP, signal.default_int_handler)
    sys.exit(main())
