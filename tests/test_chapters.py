"""Executed chapters match their notebooks and the store; `book/execute.py` keeps its promises."""

import ast
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import execute
from executed import read, sources_sha256, why_stale
from mvlib.results import fingerprint

ROOT = Path(execute.__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
PARAMETERS = 'scale = "book"\nresults = "../results"'


# -- the chapters of this repository ---------------------------------------------------------


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_source_only(notebook: Path) -> None:
    for cell in read(notebook)["cells"]:
        assert not cell.get("outputs"), "clear the outputs"
        assert cell.get("execution_count") is None, "clear the execution counts"
        assert cell["id"], "cells need ids (nbformat 4.5)"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_defines_nothing_worth_a_test(notebook: Path) -> None:
    for cell in read(notebook)["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse("".join(cell["source"]))):
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                    assert node.end_lineno - node.lineno < 3, f"{node.name} belongs in mvlib"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapter_is_current(notebook: Path) -> None:
    chapter = ROOT / "book" / "chapters" / notebook.name
    reason = why_stale(chapter, notebook, ROOT / "results", fingerprint(), scale="book")
    assert reason is None, f"{notebook.stem}: {reason}; run `make book`"


def test_every_chapter_has_a_notebook() -> None:
    chapters = {path.name for path in (ROOT / "book" / "chapters").glob("*.ipynb")}
    assert chapters == {path.name for path in NOTEBOOKS}


# -- execute.py on tiny notebooks ------------------------------------------------------------


class Desk:
    """A folder with notebooks, a store and chapters; the library's fingerprint is "f1"."""

    def __init__(self, root: Path) -> None:
        self.notebooks, self.output = root / "notebooks", root / "book" / "chapters"
        self.results = root / "results"
        self.notebooks.mkdir(parents=True)
        self.entry = self.results / "toy" / "k.npz"
        self.entry.parent.mkdir(parents=True)
        self.entry.write_bytes(b"stored")

    def write(self, name: str, *codes: str, receipts: bool = True, library: str = "f1") -> Path:
        shown = {
            "library": library,
            "entries": {"toy/k": hashlib.sha256(self.entry.read_bytes()).hexdigest()},
        }
        last = f"from IPython.display import JSON\nJSON({shown!r})"
        cells = [(PARAMETERS, ["parameters"])] + [(code, []) for code in codes]
        cells += [(last, ["receipts", "remove-cell"])] if receipts else []
        notebook = {
            "cells": [
                {
                    "cell_type": "code",
                    "execution_count": None,
                    "id": f"c{n}",
                    "metadata": {"tags": tags} if tags else {},
                    "outputs": [],
                    "source": code,
                }
                for n, (code, tags) in enumerate(cells)
            ],
            "metadata": {},
            "nbformat": 4,
            "nbformat_minor": 5,
        }
        path = self.notebooks / f"{name}.ipynb"
        path.write_text(json.dumps(notebook))
        return path

    def options(self, *more: str) -> list[str]:
        folders = ["--notebooks", self.notebooks, "--output", self.output]
        return [*map(str, [*folders, "--results", self.results]), *more]

    def run(self, *more: str) -> int:
        return execute.main(self.options(*more))

    def chapter(self, name: str) -> Path:
        return self.output / f"{name}.ipynb"

    def why(self, name: str, scale: str | None = None, fingerprint: str = "f1") -> str | None:
        notebook = self.notebooks / f"{name}.ipynb"
        return why_stale(self.chapter(name), notebook, self.results, fingerprint, scale)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(execute.store, "fingerprint", lambda: "f1")
    return Desk(tmp_path)


def test_executes_settles_and_then_skips(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    noise = "import sys, tqdm\nfor _ in tqdm.tqdm(range(3)): pass"
    prose = "print('a', flush=True)\nprint(scale, results, flush=True)"
    desk.write("01-a", noise, prose)
    assert desk.run("--scale", "smoke") == 0
    chapter = read(desk.chapter("01-a"))
    parameters, injected, bar, words, last = chapter["cells"]
    assert bar["outputs"] == []
    assert words["outputs"] == [
        {"name": "stdout", "output_type": "stream", "text": "a\nsmoke ../results\n"}
    ]
    assert injected["id"] == "injected-parameters"
    assert injected["metadata"] == {"tags": ["injected-parameters", "remove-cell"]}
    assert [c["id"] for c in (parameters, bar, words, last)] == ["c0", "c1", "c2", "c3"]
    assert chapter["metadata"]["mvlib"] == {
        "notebook_sha256": sources_sha256(read(desk.notebooks / "01-a.ipynb")),
        "scale": "smoke",
        "parameters": {"scale": "smoke", "results": "../results"},
    }
    text = desk.chapter("01-a").read_text()
    assert '"papermill"' not in text and str(desk.notebooks) not in text
    assert desk.run("--scale", "smoke") == 0
    assert "01-a: skipped" in capsys.readouterr().out
    assert desk.run("--scale", "smoke", "--force") == 0
    assert desk.chapter("01-a").read_text() == text, "equal inputs must give equal bytes"
    assert [p.name for p in desk.output.iterdir()] == ["01-a.ipynb"]


def test_failure_names_the_cell_and_spares_the_rest(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.write("01-good", "1")
    desk.write("02-bad", "x = 1", "y = 2\nraise ValueError('boom')")
    desk.write("03-dies", "import os\nos._exit(3)")
    desk.write("04-silent", "1", receipts=False)
    desk.output.mkdir(parents=True)
    desk.chapter("02-bad").write_text("the old chapter")
    assert desk.run() == 1
    said = capsys.readouterr().err
    wanted = "02-bad: FAILED, cell 3 of 4, line 2 `raise ValueError('boom')`: ValueError: boom"
    assert wanted in said
    assert "03-dies: FAILED" in said and "died" in said.lower()
    assert "04-silent: FAILED, its last cell, tagged 'receipts'" in said
    assert desk.chapter("02-bad").read_text() == "the old chapter"
    assert sorted(p.name for p in desk.output.iterdir()) == ["01-good.ipynb", "02-bad.ipynb"]
    assert desk.why("01-good") is None


def test_why_stale(desk: Desk) -> None:
    desk.write("01-a", "1")
    assert desk.why("01-a") == "it has not been executed yet"
    assert desk.run("01-a") == 0
    assert desk.why("01-a") is None
    assert desk.why("01-a", scale="book") is None
    assert desk.why("01-a", scale="smoke") == "it was executed at scale 'book', not 'smoke'"
    assert desk.why("01-a", fingerprint="f2") == "the library's code has changed"
    desk.entry.write_bytes(b"other")
    assert desk.why("01-a") == "store entry toy/k has changed"
    desk.entry.unlink()
    assert desk.why("01-a") == "the store no longer holds toy/k"
    desk.entry.write_bytes(b"stored")
    assert desk.why("01-a") is None

    # A chapter edited by hand, a notebook edited after the run, and rubbish.
    good = desk.chapter("01-a").read_text()
    desk.chapter("01-a").write_text(good.replace('"source": "1"', '"source": "2"'))
    assert desk.why("01-a") == "the notebook has changed"
    desk.chapter("01-a").write_text(good[:-40])
    assert desk.why("01-a") == "the executed chapter is damaged"
    desk.chapter("01-a").write_text(good)
    desk.write("01-a", "2")
    assert desk.why("01-a") == "the notebook has changed"


def test_a_chapter_is_stale_when_a_file_it_read_has_changed(desk: Desk) -> None:
    read_file = desk.notebooks.parent / "measured.json"
    read_file.write_text("1")
    files = {"../measured.json": hashlib.sha256(b"1").hexdigest()}
    shown = {"library": "f1", "entries": {}, "files": files}
    show = f"from IPython.display import JSON\nJSON({shown!r})"
    desk.write("01-a", receipts=False)
    notebook = read(desk.notebooks / "01-a.ipynb")
    cell = notebook["cells"][0] | {"id": "last", "metadata": {"tags": ["receipts"]}, "source": show}
    notebook["cells"].append(cell)
    (desk.notebooks / "01-a.ipynb").write_text(json.dumps(notebook))
    assert desk.run("01-a") == 0
    assert desk.why("01-a") is None
    read_file.write_text("2")
    assert desk.why("01-a") == "../measured.json has changed"
    read_file.unlink()
    assert desk.why("01-a") == "../measured.json is gone"


def test_output_text_is_not_part_of_the_hash(desk: Desk) -> None:
    notebook = read(desk.write("01-a", "1"))
    before = sources_sha256(notebook)
    notebook["cells"][1]["outputs"] = ["anything"]
    assert sources_sha256(notebook) == before
    notebook["cells"][1]["metadata"]["tags"] = ["hide-input"]
    assert sources_sha256(notebook) != before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["02-no"], ["notebook", "'02-no'", "01-a"]),
        (["--scale", "huge"], ["scale", "'huge'", "smoke", "book", "paper"]),
        (["--jobs", "0"], ["jobs", "0", ">= 1"]),
        (["--jobs", "many"], ["jobs", "'many'", "integer"]),
        (["--output", "BLOCKED"], ["output", "writable", "--output"]),
        (["--results", "BLOCKED"], ["results", "writable", "--results"]),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_sentence(
    desk: Desk, capsys: pytest.CaptureFixture[str], options: list[str], words: list[str]
) -> None:
    desk.write("01-a", "1")
    file = desk.notebooks.parent / "file"
    file.write_text("")
    # A folder below a file cannot be made, not even by root.
    assert desk.run(*[str(file / "below") if o == "BLOCKED" else o for o in options]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and all(word in said for word in words), said
    assert not list(desk.output.glob("*"))


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_interruption_leaves_nothing_half_written(desk: Desk, ending: signal.Signals) -> None:
    began = desk.notebooks.parent / "began"
    slow = f"import os, pathlib, time\npathlib.Path({str(began)!r}).write_text(str(os.getpid()))"
    desk.write("01-slow", f"{slow}\ntime.sleep(300)")
    command = [sys.executable, execute.__file__, *desk.options()]
    environment = os.environ | {"TMPDIR": str(desk.notebooks.parent)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        wait_for(lambda: began.exists() and began.read_text() != "")
        process.send_signal(ending)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert "interrupted" in said and "Traceback" not in said
    assert list(desk.output.iterdir()) == []
    assert not list(desk.notebooks.parent.glob("mvlib-*")), "scratch folders must go"
    kernel = int(began.read_text())
    wait_for(lambda: not alive(kernel))


def alive(process: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False


def wait_for(holds: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)
