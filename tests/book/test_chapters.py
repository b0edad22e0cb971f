"""Executed chapters match their notebooks and the store; `book/execute.py` keeps its promises."""

import ast
import base64
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import Config

import execute
from executed import (
    OPENING,
    NotANotebook,
    code_of,
    notebooks_in,
    read,
    renew,
    sources_sha256,
    tags,
    why_stale,
)
from mvlib.store.entries import Store

ROOT = Path(execute.__file__).parent.parent
NOTEBOOKS = notebooks_in(ROOT / "notebooks")
PARAMETERS = 'scale = "book"\nresults = "../results"'


# -- the chapters of this repository ---------------------------------------------------------


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_source_only(notebook: Path) -> None:
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        assert not cell.get("outputs"), "clear the outputs"
        assert cell.get("execution_count") is None, "clear the execution counts"
        assert cell["id"], "cells need ids (nbformat 4.5)"


# What a reader may change or an exercise computes is the reader's; all else comes from mvlib.
TRIED = {
    ("01-data-model", "data.n_classes / 2"),
    ("01-data-model", "5 * data.noise_std"),
    ("08-real-images", "agreement.mean()"),
}
REDUCTIONS = {
    "mean",
    "sum",
    "std",
    "var",
    "min",
    "max",
    "any",
    "all",
    "argmax",
    "argmin",
    "quantile",
}
COMPUTING = {"numpy", "torch", "scipy", "pandas", "math", "statistics"}


def worth_a_test(code: str) -> Iterator[str]:
    """What a cell defines or computes by itself: functions, branches, arithmetic (a `|` joins
    mappings, a `/` after `Path(...)` paths) and means of arrays."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(
            node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.While, ast.If)
        ):
            yield ast.unparse(node).splitlines()[0]
        elif isinstance(node, ast.Compare):
            yield ast.unparse(node)
        elif isinstance(node, (ast.BinOp, ast.AugAssign)) and not isinstance(node.op, ast.BitOr):
            if not ast.unparse(node).startswith("Path("):
                yield ast.unparse(node)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr in REDUCTIONS:
                yield ast.unparse(node)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [getattr(node, "module", None) or "", *(a.name for a in node.names)]
            if COMPUTING & {name.partition(".")[0] for name in names}:
                yield ast.unparse(node)


def own_code(notebook: Path) -> list[dict[str, Any]]:
    """Its code cells, without the one that all have and that has tests of its own."""
    cells = read(notebook)["cells"]
    return [c for c in cells if c["cell_type"] == "code" and OPENING not in tags(c)]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_defines_nothing_worth_a_test(notebook: Path) -> None:
    for cell in own_code(notebook):
        code = "".join(cell["source"])
        if not code.startswith("# Exercise"):
            found = {(notebook.stem, said) for said in worth_a_test(code)} - TRIED
            assert not found, "this belongs in mvlib"


def test_what_is_worth_a_test_is_seen() -> None:
    seen = ["def f(): pass", "x - 1", "x @ y", "x += 1", "x > 0", "(x > 0).sum()", "x.mean()",
            "import numpy as np", "from scipy import stats"]  # fmt: skip
    for code in seen:
        assert list(worth_a_test(code)), code
    unseen = ["x[0, :, 1]", "a | b", "a |= b", "Path(p) / 'x'", "f(x)", "[f(x) for x in y]"]
    assert not list(worth_a_test("\n".join(unseen)))


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_exercises_define_no_long_function(notebook: Path) -> None:
    for cell in own_code(notebook):
        for node in ast.walk(ast.parse("".join(cell["source"]))):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                assert node.end_lineno - node.lineno < 3, f"{node.name} belongs in mvlib"


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_chapter_is_current(notebook: Path) -> None:
    chapter = ROOT / "book" / "chapters" / notebook.name
    stored = functools.partial(execute.stored_sha256, ROOT / "results")
    reason = why_stale(chapter, notebook, execute.sources_now, stored, scale="book")
    assert reason is None, f"{notebook.stem}: {reason}; run `make book`"


def test_every_chapter_has_a_notebook() -> None:
    chapters = [path.name for path in notebooks_in(ROOT / "book" / "chapters")]
    assert chapters == [path.name for path in NOTEBOOKS]


# -- execute.py on tiny notebooks ------------------------------------------------------------


class Desk:
    """A folder with notebooks, a store and chapters; the library is in the state "first"."""

    def __init__(self, root: Path) -> None:
        self.notebooks, self.output = root / "notebooks", root / "book" / "chapters"
        self.results = root / "results"
        self.notebooks.mkdir(parents=True)
        self.store = Store(self.results)
        self.entry = self.store.path("toy", Config())
        self.save(1.0)

    def save(self, value: float) -> None:
        self.store.save("toy", Config(), {"a": np.array([value])}, 1.0)

    def write(self, name: str, *codes: str, receipts: bool = True) -> Path:
        shown = self.store.receipts()
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

    def why(self, name: str, scale: str | None = None, library: str = "first") -> str | None:
        return why_stale(
            self.chapter(name),
            self.notebooks / f"{name}.ipynb",
            lambda notebook: {"mvlib.room": library},
            functools.partial(execute.stored_sha256, self.results),
            scale,
        )


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(execute, "sources_now", lambda notebook: {"mvlib.room": "first"})
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
        "sources": {"mvlib.room": "first"},
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
    assert desk.why("01-a", library="second") == "the source of mvlib.room has changed"
    desk.save(2.0)
    assert desk.why("01-a") == f"store entry toy/{desk.entry.stem} has changed"
    desk.entry.unlink()
    assert desk.why("01-a") == f"the store no longer holds toy/{desk.entry.stem}"
    desk.save(1.0)
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
    shown = {"sources": {"mvlib.room": "first"}, "entries": {}, "files": files}
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


# -- noise, foreign files, other programs' notebooks -------------------------------------------


def test_what_is_said_on_stderr_is_shown_and_not_kept(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    warn = (
        "import sys, warnings\nwarnings.warn('slow cache')\nprint('odd\\nlocale', file=sys.stderr)"
    )
    desk.write("01-a", warn, "2")
    assert desk.run() == 0
    said = capsys.readouterr().err
    assert "01-a: on stderr, not kept, cell 2 of 4: " in said
    assert "UserWarning: slow cache" in said and "odd\nlocale" in said
    assert "stderr" not in json.dumps(
        [c.get("outputs") for c in read(desk.chapter("01-a"))["cells"]]
    )
    assert desk.why("01-a") is None
    before = desk.chapter("01-a").read_bytes()
    assert desk.run("--force", "--strict") == 1
    assert "01-a: FAILED, it wrote to stderr: cell 2 of 4" in capsys.readouterr().err
    assert desk.chapter("01-a").read_bytes() == before


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ({"name": "stderr", "output_type": "stream", "text": "font cache"}, "text from stderr"),
        ({"output_type": "error", "ename": "E", "evalue": "", "traceback": []}, "an error"),
    ],
)
def test_a_spoiled_chapter_is_not_current(desk: Desk, output: object, words: str) -> None:
    desk.write("01-a", "1")
    assert desk.run() == 0
    chapter = read(desk.chapter("01-a"))
    assert desk.why("01-a") is None
    # Papermill's own cell stands before it, and is not counted.
    chapter["cells"][2]["outputs"].append(output)
    desk.chapter("01-a").write_text(json.dumps(chapter), encoding="utf-8")
    assert desk.why("01-a") == f"its cell 2 shows {words}"


def test_settings_of_the_user_stay_out_of_chapters(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    draw = "import matplotlib.pyplot as plt\n_ = plt.subplots(figsize=(1, 1))"
    words = "import locale, os\nprint(open('mu.txt').read(), locale.getlocale()[1], set('abcd'))"
    threads = "import torch\ntorch.ones(300, 300).sum()"
    (desk.notebooks / "mu.txt").write_text("\u03bc", encoding="utf-8")
    desk.write("01-a", draw, words, threads)
    assert desk.run() == 0
    plain = desk.chapter("01-a").read_bytes()
    assert b"image/png" in plain
    home = tmp_path / "home"
    profile = home / ".ipython" / "profile_default"
    profile.mkdir(parents=True)
    (profile / "ipython_config.py").write_text("c.InlineBackend.figure_formats = {'svg'}\n")
    (home / "matplotlibrc").write_text("figure.facecolor: red\nno.such.key: 1\n")
    (home / "hello.py").write_text("print('hello')\n")
    # Beside it ipykernel does not see what compiled code writes.
    monkeypatch.delenv("PYTEST_CURRENT_TEST")
    for name, value in {
        "HOME": str(home),
        "IPYTHONDIR": str(home / ".ipython"),
        "MATPLOTLIBRC": str(home / "matplotlibrc"),
        "MPLCONFIGDIR": str(desk.entry),  # a file: nothing can be written there
        "JUPYTER_RUNTIME_DIR": str(desk.entry / "below"),
        "PYTHONSTARTUP": str(home / "hello.py"),
        "PYTHONHASHSEED": "7",
        "OMP_NUM_THREADS": "",
        "MKL_NUM_THREADS": "",
        "LC_ALL": "de_DE.ISO-8859-1",
        "PYTHONUTF8": "0",
    }.items():
        monkeypatch.setenv(name, value)
    capsys.readouterr()
    assert desk.run("--force", "--strict") == 0, capsys.readouterr().err
    assert desk.chapter("01-a").read_bytes() == plain
    # The one file of settings that no variable outranks.
    (desk.notebooks / "matplotlibrc").write_text("figure.facecolor: red\n")
    assert desk.run("--force") == 2
    said = capsys.readouterr().err
    assert "matplotlibrc" in said and "move it away" in said and said.count("\n") == 1


def test_notebooks_of_other_programs_and_foreign_files(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.write("01-good", "1")
    # As Colab saves it: no ids, format 4.0; and one whose ids somebody has copied.
    for name, change in (("02-colab", None), ("03-twice", "same")):
        path = desk.write(name, "1", "raise SystemError('here')" if change else "2")
        notebook = json.loads(path.read_text())
        for cell in notebook["cells"]:
            del cell["id"]
            cell |= {"id": change} if change else {}
        notebook["nbformat_minor"] = 5 if change else 0
        path.write_text(json.dumps(notebook))
    (desk.notebooks / "04-text.ipynb").write_text("# not a notebook")
    (desk.notebooks / "05-old.ipynb").write_text('{"worksheets": [], "nbformat": 3}')
    (desk.notebooks / "._01-good.ipynb").write_bytes(b"\0\x05\x16\x07\xff")
    (desk.notebooks / "01-good (copy).ipynb").write_text("{}")
    (desk.notebooks / ".#01-good.ipynb").symlink_to("nobody@nowhere.1:2")
    assert desk.run() == 1
    said = capsys.readouterr().err
    failed = [line for line in said.splitlines() if "FAILED" in line]
    assert len(failed) == 3, said
    assert any("03-twice: FAILED, cell 3 of 4, line 1" in line for line in failed), said
    for name in ("04-text", "05-old"):
        assert any(f"'{name}.ipynb' must be a Jupyter notebook" in line for line in failed), said
    assert [p.stem for p in sorted(desk.output.iterdir())] == ["01-good", "02-colab"]
    with pytest.raises(NotANotebook):
        read(desk.notebooks / "04-text.ipynb")
    assert desk.why("02-colab") is None
    before = desk.chapter("02-colab").read_bytes()
    assert [cell["id"] for cell in read(desk.chapter("02-colab"))["cells"]] == [
        "cell-1", "injected-parameters", "cell-2", "cell-3", "cell-4"
    ]  # fmt: skip
    assert desk.run("02-colab", "--force") == 0
    assert desk.chapter("02-colab").read_bytes() == before


# -- stamps ------------------------------------------------------------------------------------


def test_a_stamp_renews_receipts_and_nothing_else(
    desk: Desk, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The notebooks show what a file says: the library, to them."""
    library = desk.notebooks / "library.txt"
    show = "from IPython.display import HTML\nHTML(open('library.txt').read())"
    for name, code in (("01-shows", show), ("02-blind", "1")):
        desk.write(name, code)
    library.write_text("old")
    assert desk.run("--stamp") == 1, "there is nothing to compare with"
    assert capsys.readouterr().err.count("no chapter to compare with") == 2
    assert desk.run() == 0
    old = {name: desk.chapter(name).read_text() for name in ("01-shows", "02-blind")}

    # The source has another hash; what is shown stays.
    monkeypatch.setattr(execute, "sources_now", lambda notebook: {"mvlib.room": "second"})
    assert desk.run("--stamp") == 0
    for name, text in old.items():
        assert desk.chapter(name).read_text() == text.replace("first", "second")
    capsys.readouterr()

    # The same with an effect.
    library.write_text("new")
    kept = {name: desk.chapter(name).read_text() for name in old}
    assert desk.run("--stamp", "--force") == 1
    said = capsys.readouterr().err
    assert "01-shows: FAILED, not stamped: cell 2 of 3, `from IPython" in said
    assert "02-blind" not in said
    assert {name: desk.chapter(name).read_text() for name in old} == kept
    assert desk.run("--stamp", "--force", "--scale", "smoke") == 1
    assert "not stamped: it stands at scale 'book'" in capsys.readouterr().err


def test_ids_of_a_drawing_are_not_seen_and_the_rest_is() -> None:
    def chapter(drawing: str) -> dict[str, Any]:
        inside = base64.b64encode(drawing.encode()).decode()
        page = {"text/html": f'<img src="data:image/svg+xml;base64,{inside}">'}
        cell = {"cell_type": "code", "source": "1", "metadata": {}, "outputs": [{"data": page}]}
        return {"cells": [cell]}

    first = '<clipPath id="p0123456789"/><g clip-path="url(#p0123456789)" x="1.25"/>'
    old = chapter(first)
    new = chapter(first.replace("0123456789", "abcdef0123"))
    assert renew(new, old) is None and new == old
    for moved in (first.replace("1.25", "1.26"), first.replace("(#p0", "(#p1")):
        new = chapter(moved)
        assert renew(new, old) == "cell 1 of 1, `1`, shows something else"
        assert new == chapter(moved)


def test_code_of_a_notebook_is_python(desk: Desk) -> None:
    path = desk.write("01-a", "%matplotlib inline\nx = (7\n  % 2)\n  !ls\ny = 1", receipts=False)
    assert code_of(read(path)) == [PARAMETERS, "\nx = (7\n  % 2)\n\ny = 1"]


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


@pytest.mark.skipif(shutil.which("setsid") is None, reason="no setsid")
@pytest.mark.usefixtures("heeds_hangup")
def test_a_closed_terminal_ends_what_it_started(desk: Desk) -> None:
    began = desk.notebooks.parent / "began"
    slow = f"import os, pathlib, time\npathlib.Path({str(began)!r}).write_text(str(os.getpid()))"
    desk.write("01-slow", f"{slow}\ntime.sleep(300)")
    command = [sys.executable, execute.__file__, *desk.options()]
    # setsid -c makes the terminal its own; whoever closes the master hangs up.
    master, terminal = os.openpty()
    process = subprocess.Popen(
        ["setsid", "-c", *command],
        env=os.environ | {"TMPDIR": str(desk.notebooks.parent)},
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
    )
    with process:
        os.close(terminal)
        wait_for(lambda: began.exists() and began.read_text() != "")
        os.close(master)
        process.wait(60)
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
