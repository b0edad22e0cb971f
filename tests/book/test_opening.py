"""Every notebook opens with the cell that fetches the library where it is missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import opening
from executed import notebooks_in, sources_sha256

NOTEBOOKS = notebooks_in(opening.ROOT / "notebooks")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_have_the_cell(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOOK_REPOSITORY", raising=False)
    notebook = json.loads(path.read_text(encoding="utf-8"))
    assert opening.opened(notebook, opening.address()) == notebook, "run `make pages`"
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert code[0]["id"] == "opening"


def test_an_address_makes_no_chapter_stale() -> None:
    notebook = json.loads(NOTEBOOKS[0].read_text(encoding="utf-8"))
    moved = opening.opened(notebook, "https://github.com/owner/place")
    assert "owner/place" in json.dumps(moved)
    for told in (notebook, moved):
        for cell in told["cells"]:
            cell["source"] = "".join(cell["source"])
    assert sources_sha256(moved) == sources_sha256(notebook)


def run_cell(folder: Path, repository: str, before: str, **environment: str) -> str:
    """What a fresh IPython says when it runs the cell, and then where it stands."""
    script = folder / "opened.ipy"
    cell = opening.CODE.format(repository=repository)
    script.write_text(f"{before}\n{cell}\nimport os\nprint('now in', os.getcwd())\n")
    environment = os.environ | {"IPYTHONDIR": str(folder / "ipython")} | environment
    done = subprocess.run(
        [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(script)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_nothing_happens_where_the_library_is(tmp_path: Path) -> None:
    said = run_cell(tmp_path, "", "", PYTHONPATH=str(opening.ROOT))
    assert said.strip() == f"now in {tmp_path}"


MISSING = "import importlib.util\nimportlib.util.find_spec = lambda name: None"


def test_without_the_library_it_is_fetched(tmp_path: Path) -> None:
    """By stand-ins for git and pip that write down what they were asked for."""
    asked, tools = tmp_path / "asked", tmp_path / "tools"
    (tools / "pip").mkdir(parents=True)
    git = f'#!/bin/sh\necho git "$@" >> "{asked}"\nmkdir -p multi-view-book/notebooks\n'
    (tools / "git").write_text(git)
    (tools / "git").chmod(0o755)
    pip = f"import sys\nprint('pip', *sys.argv[1:], file=open({str(asked)!r}, 'a'))\n"
    (tools / "pip" / "__init__.py").touch()
    (tools / "pip" / "__main__.py").write_text(pip)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    said = run_cell(
        tmp_path, "https://github.com/owner/place", MISSING, PATH=path, PYTHONPATH=str(tools)
    )
    assert said.strip().endswith(f"now in {tmp_path}/multi-view-book/notebooks")
    assert asked.read_text().splitlines() == [
        "git clone --quiet --depth 1 https://github.com/owner/place multi-view-book",
        "pip install --quiet ./multi-view-book[book]",
    ]


def test_without_an_address_it_says_what_is_missing(tmp_path: Path) -> None:
    said = run_cell(tmp_path, "", MISSING)
    assert "set `repository`" in said and "now in" not in said
