"""What holds of the files of this repository, whatever they say: their encoding, their kind, and
that what the chapters need is declared."""

import ast
import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from executed import code_of, notebooks_in, read

ROOT = Path(__file__).resolve().parents[2]
CODE = [
    path
    for pattern in ("mvlib/**/*.py", "book/*.py", "book/_ext/*.py", "benchmarks/*.py")
    for path in sorted(ROOT.glob(pattern))
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


# -- any language, any system -----------------------------------------------------------------


def text_calls(tree: ast.Module) -> Iterator[tuple[int, set[str | None]]]:
    """(line, keywords) of every call that turns bytes to text or back."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            said = {k.arg for k in node.keywords}
            modes = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
            binary = any("b" in str(mode) for mode in modes)
            opens = name in ("open", "fdopen") and not binary and "fileobj" not in said
            owner = getattr(getattr(node.func, "value", None), "id", "")
            if name in ("read_text", "write_text") or (opens and (name, owner) != ("open", "os")):
                yield node.lineno, said
            elif "text" in said or "universal_newlines" in said:
                yield node.lineno, said


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_text_is_read_and_written_as_utf8(path: Path) -> None:
    """Or a desk with another language reads another library."""
    for line, said in text_calls(ast.parse(path.read_text(encoding="utf-8"))):
        assert "encoding" in said, f"{path.name}, line {line}"


def test_text_calls_are_seen() -> None:
    seen = "open(p)\nopen(p, 'w')\nos.fdopen(h, 'w')\np.read_text()\nsubprocess.run(c, text=True)"
    unseen = "\nopen(p, 'rb')\nos.open(p, 1)\ntarfile.open(fileobj=f)\np.read_bytes()"
    assert [line for line, _ in text_calls(ast.parse(seen + unseen))] == [1, 2, 3, 4, 5]


def test_there_are_no_links() -> None:
    """Windows and archives have none: there a link is a file that holds a path."""
    listed = subprocess.run(
        ["git", "ls-files", "-s"], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if listed.returncode:
        pytest.skip("no git, or no repository")
    assert not [line for line in listed.stdout.splitlines() if line.startswith("120000")]


@pytest.mark.parametrize("name", ["_config.yml", "_toc.yml"])
def test_the_book_holds_copies_of_its_configuration(name: str) -> None:
    own, copy = ((ROOT / folder / name).read_text(encoding="utf-8") for folder in (".", "book"))
    assert copy == own, f"edit {name}, not book/{name}; run `make pages`"


def settle(folder: Path) -> subprocess.CompletedProcess[str]:
    """What `make venv` does first in a folder that has an environment."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [script] = re.findall(r"^define SETTLE\n(.*?)^endef$", makefile, re.MULTILINE | re.DOTALL)
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_programs_of_a_moved_environment_are_told(tmp_path: Path) -> None:
    old, new, spaced = tmp_path / "old", tmp_path / "new&|", tmp_path / "a b"
    (old / ".venv" / "bin").mkdir(parents=True)
    made = f"home = /usr/bin\ncommand = /usr/bin/python3 -m venv {old}/.venv\n"
    (old / ".venv" / "pyvenv.cfg").write_text(made)
    tool, activate, compiled = (old / ".venv" / "bin" / n for n in ("tool", "activate", "ruff"))
    tool.write_text(f"#!{old}/.venv/bin/python3\nprint('μ')\n", encoding="utf-8")
    tool.chmod(0o755)
    activate.write_text(f'VIRTUAL_ENV="{old}/.venv"\n')
    compiled.write_bytes(b"\x7fELF\0" + str(old / ".venv").encode())
    (old / ".venv" / "bin" / "python").symlink_to("/usr/bin/python3")
    assert (settle(old).stderr, settle(old).returncode) == ("", 0)
    before = compiled.read_bytes()
    old.rename(new)
    moved = settle(new)
    assert moved.returncode == 0 and str(old) in moved.stderr and moved.stderr.count("\n") == 1
    folder = new / ".venv" / "bin"
    text = (folder / "tool").read_text(encoding="utf-8")
    assert text == f"#!{new}/.venv/bin/python3\nprint('μ')\n"
    assert os.access(folder / "tool", os.X_OK)
    assert (folder / "activate").read_text() == f'VIRTUAL_ENV="{new}/.venv"\n'
    assert (folder / "ruff").read_bytes() == before
    assert settle(new).stderr == ""
    new.rename(spaced)
    refused = settle(spaced)
    assert refused.returncode == 1 and "make clean" in refused.stderr


# -- what is declared -------------------------------------------------------------------------


def declared(*extras: str) -> dict[str, Requirement]:
    """Requirements of the library with some of its extras, by distribution; extras that name
    extras are followed."""
    found = {}
    lists = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][e] for e in extras)]
    for requirement in map(Requirement, (text for texts in lists for text in texts)):
        if requirement.name == "mvlib":
            found |= declared(*requirement.extras)
        else:
            found[requirement.name.lower()] = requirement
    return found


def test_the_extra_makes_a_downloaded_chapter_run() -> None:
    homes = importlib.metadata.packages_distributions()
    have = {name.replace("_", "-") for name in declared("book")}
    for path in notebooks_in(ROOT / "notebooks"):
        for code in code_of(read(path)):
            for node in ast.walk(ast.parse(code)):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
                for name in {name.partition(".")[0] for name in names} - {"mvlib"}:
                    if name not in sys.stdlib_module_names:
                        offered = {home.lower().replace("_", "-") for home in homes[name]}
                        assert offered & have, f"{path.stem} imports {name}"
    # To open and to run them, and what the chapter on photographs looks for at smoke scale.
    assert {"ipykernel", "papermill", "scikit-learn"} <= have


def test_the_page_on_rerunning_names_the_extra() -> None:
    assert '"mvlib[book] @' in (ROOT / "book" / "rerun.md").read_text(encoding="utf-8")


def test_what_the_book_was_made_with_satisfies_what_is_declared() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pinned = dict(re.fullmatch(r"(\S+)==(\S+)", line).groups() for line in lines if "==" in line)  # type: ignore[union-attr]
    for name, requirement in declared(*PROJECT["optional-dependencies"]).items():
        [bound] = requirement.specifier
        assert bound.operator == ">=", f"{name}: a lower bound and nothing else"
        assert requirement.specifier.contains(pinned[name]), name


def test_the_oldest_versions_can_be_asked_for() -> None:
    done = subprocess.run(
        [ROOT / ".ci" / "lowest", "--list"], capture_output=True, encoding="utf-8", check=True
    )
    wanted = {
        f"{name}=={next(iter(requirement.specifier)).version}"
        for name, requirement in declared(*PROJECT["optional-dependencies"]).items()
    }
    assert {word.lower() for word in shlex.split(done.stdout)} == wanted
