"""Pages made from docstrings, from the store and from lists say what their sources say."""

import ast
import importlib
import re
import textwrap
from pathlib import Path
from types import SimpleNamespace

import booklinks
import pytest

import api
import trust_lists
from mvlib.core.source import sources
from mvlib.findings.claims import CONTROLS
from mvlib.findings.finding import Finding

BOOK = api.ROOT / "book"
PACKAGE = api.ROOT / "mvlib"

SOURCE = '''
"""A room.

More of it.
"""

from lib.other import Elsewhere as Elsewhere


class Thing(ValueError):
    """What it is; see `act` and `private`.

    Choice: the first one.

    Attributes:
        size: $n > 0$, over
            two lines.
        kind: one.  Choice: of two.

    Paper: Definition 3.1.
    """

    size: int = 3
    kind: str

    @property
    def twice(self) -> int:
        """Twice."""

    def double(self, *, by: int = 2) -> int:
        """Twice, or more."""


def act(
    x: "Float[Tensor, \\"n d\\"]", *, scale: float = 1.0
) -> None:
    """Do it.

    Returns:
        ``a``: one; and no list.
    """
'''


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "lib"
    folder.mkdir()
    (folder / "room.py").write_text(SOURCE)
    (folder / "other.py").write_text('"""Other."""\nclass Elsewhere:\n    """There."""\n')
    names = ("Thing", "act", "Elsewhere")
    imports = "".join(f"from lib.room import {name} as {name}\n" for name in names)
    (folder / "__init__.py").write_text(imports)
    return folder


# -- the reference ----------------------------------------------------------------------------


def test_reference_is_current() -> None:
    assert api.PAGE.read_text(encoding="utf-8") == api.page(PACKAGE), "run `make pages`"


def test_reference_has_every_public_name() -> None:
    text = api.PAGE.read_text(encoding="utf-8")
    imported = re.findall(r"import \w+ as (\w+)", (PACKAGE / "__init__.py").read_text())
    assert imported
    for name in imported:
        assert text.count(f"\n### `{name}`\n") == 1, name


def test_reference_reads_docstrings(package: Path) -> None:
    text = api.page(package)
    entry = ":::{py:class} Thing\n:module: lib.room\n:no-index-entry:\n\n```python\n"
    assert f"### `Thing`\n\n{entry}" in text
    assert (
        "class Thing(ValueError):\n    size: int = 3\n    kind: str\n"
        "    twice: int  # property\n    def double(self, *, by: int = 2) -> int: ...\n" in text
    )
    assert "see `act` and `private`." in text
    assert "**Fields**\n\n`size`\n: $n > 0$, over two lines.\n" in text
    assert "**Choice** the first one.\n" in text
    assert "**Paper** Definition 3.1; in this book {prf:ref}`def-data`.\n" in text
    head = 'def act(\n    x: "Float[Tensor, \\"n d\\"]", *, scale: float = 1.0\n) -> None\n```'
    assert head in text
    # A name that the module only passes on is found where it is defined.
    assert ":::{py:class} Elsewhere\n:module: lib.other\n" in text


def test_reference_refuses_a_name_without_a_home(package: Path) -> None:
    (package / "__init__.py").write_text("from lib.room import lost as lost\n")
    with pytest.raises(LookupError, match="lost is not defined in lib.room"):
        api.page(package)


def test_reference_shows_the_rest_in_short(package: Path) -> None:
    for name in ("", "paper", "paper/inner"):
        (package / name).mkdir(exist_ok=True)
    (package / "paper" / "__init__.py").write_text('"""The paper.\n\nMore."""\n')
    (package / "paper" / "inner" / "__init__.py").write_text("")
    for path in ("files.py", "inner/deep.py"):
        (package / "paper" / path).write_text(
            '"""A room."""\nfrom dataclasses import dataclass\n'
            'def act(x: int, *more: int, y: float = 1.0) -> None:\n    """Do `act`\n    to it.'
            '\n\n    More."""\n'
            '@dataclass\nclass Kept:\n    """Stays."""\n    size: int\n    kind: str = "a"\n'
            'def _hide() -> None:\n    """No."""\n'
        )
    # Not Python's: what editors and systems leave.
    (package / "._room.py").write_bytes(b"\0\5\x16\7\xff")
    (package / "paper" / "files (copy).py").write_text("(")
    (package / ".#room.py").symlink_to("nobody@nowhere.1:2")
    first, others = api.catalogue(package)
    assert [p.path for p in first] == ["lib.room.Thing", "lib.room.act", "lib.other.Elsewhere"]
    assert {module: [p.name for p in left] for module, left in others.items()} == {
        "lib.paper.files": ["act", "Kept"], "lib.paper.inner.deep": ["act", "Kept"]
    }  # fmt: skip
    below = ":module: lib.paper.files\n:no-index-entry:\n\n"
    short = (
        "\n## `lib.paper`\n\nThe paper.\n\n### `lib.paper.files`\n\nA room.\n"
        f"\n:::{{py:function}} act(x, *more, y=1.0)\n{below}Do `act` to it.\n:::\n"
        f"\n:::{{py:class}} Kept(size, kind='a')\n{below}Stays.\n:::\n"
    )
    assert short in api.page(package)


# -- links to it ------------------------------------------------------------------------------


def test_names_are_known_by_each_end_that_is_theirs_alone(package: Path) -> None:
    (package / "__init__.py").write_text("from lib.room import act as act\n")
    package.rename(package.with_name("mvlib"))
    names = ("act", "go", "go_on", "Thing", "other", "other.go")
    paths = [f"mvlib.room.{name}" for name in names[:4]] + [f"mvlib.{name}" for name in names[4:]]
    env = SimpleNamespace(domaindata={"py": {"objects": dict.fromkeys(paths)}})
    app = SimpleNamespace(env=env, srcdir=str(package.parent / "book"))
    known = booklinks.entries(app)  # type: ignore[arg-type]
    for said in ("mvlib.room.go_on", "room.go_on", "go_on"):
        assert known[said] == "mvlib.room.go_on"
    assert known["act"] == known["mvlib.act"] == "lib.room.act"  # the catalogue's own name
    assert known["room.go"] == "mvlib.room.go" and known["Thing"] == "mvlib.room.Thing"
    assert "go" not in known and "other" not in known  # two of that name; a module's, too
    assert booklinks.entries(app) is known, "once for all pages"  # type: ignore[arg-type]


def test_cells_call_things_as_they_import_them() -> None:
    cells = ["!ls", "import mvlib", "from mvlib.figures import networks as draw\nimport numpy",
             "def f():\n    from mvlib.run import sweep\n    from numpy import where"]  # fmt: skip
    assert booklinks.imported(cells) == {
        "mvlib": "mvlib", "draw": "mvlib.figures.networks", "sweep": "mvlib.run.sweep"
    }  # fmt: skip


# -- the lists of the page on trust -----------------------------------------------------------


def test_choices_are_found_wherever_they_stand(package: Path) -> None:
    assert list(trust_lists.choices(package)) == [
        ("room.Thing", "the first one."),
        ("room.Thing", "of two."),
    ]


def test_choices_are_current_and_explained() -> None:
    written = trust_lists.CHOICES.read_text(encoding="utf-8")
    assert written == trust_lists.choices_page(PACKAGE), "run `make pages`"
    prose = (BOOK / "trust.md").read_text(encoding="utf-8")
    for name, _ in trust_lists.choices(PACKAGE):
        assert f"`{name.rpartition('.')[2]}`" in prose, f"trust.md does not speak of {name}"


def test_differences_are_current() -> None:
    found = trust_lists.stored_findings(api.ROOT / "results")
    written = trust_lists.DIFFERENCES.read_text(encoding="utf-8")
    assert written == trust_lists.differences_page(found), "run `make pages`"


def test_a_finding_differs_when_it_does_not_hold() -> None:
    def finding(claim: str, low: float, high: float) -> Finding:
        return Finding(claim=claim, statement="s", predicted=0.5, source="ours", direction="at",
                       turn=0.25, measured=(low + high) / 2, low=low, high=high, n=1, unit="u",
                       caveat="c")  # fmt: skip

    inside, below = finding("inside", 0.4, 0.5), finding("below", 0.4, 0.49)
    control = finding(CONTROLS[0], 0.1, 0.2)
    assert trust_lists.differing([inside, below, control]) == [below]
    assert "| 0.5 | ours | 0.445 [0.400, 0.490] | right direction | u |" in (
        trust_lists.differences_page([below])
    )


def test_without_results_nothing_is_computed(tmp_path: Path) -> None:
    with pytest.raises(trust_lists.NotStored):
        trust_lists.stored_findings(tmp_path / "results")


# -- lists written by hand --------------------------------------------------------------------


def test_every_reference_can_be_found() -> None:
    entries = re.split(r"\n(?=@)", (BOOK / "references.bib").read_text(encoding="utf-8").strip())
    assert entries
    for entry in entries:
        where = r"\b(doi|eprint) *=|arXiv:\d{4}\.\d{4,5}|\burl *= *\{https://"
        assert re.search(where, entry), entry.splitlines()[0]


def test_every_word_of_the_glossary_leads_on() -> None:
    text = (BOOK / "glossary.md").read_text(encoding="utf-8")
    body = text.split("```{glossary}\n")[1].split("```")[0].strip()
    entries = [entry.split("\n", 1) for entry in body.split("\n\n")]
    terms = [term for term, _ in entries]
    assert len(terms) >= 30
    assert terms == sorted(terms, key=str.lower)
    for term, meaning in entries:
        assert re.search(r"\{(doc|eq|prf:ref)\}`", meaning), term


# -- names in what is written by hand ----------------------------------------------------------

WRITTEN = [
    *(BOOK / f"{name}.md" for name in ("glossary", "index", "notation", "rerun", "trust")),
    *(api.ROOT / name for name in ("README.md", "CONTRIBUTING.md")),
]
written = pytest.mark.parametrize("path", WRITTEN, ids=lambda path: path.stem)
# The paper's or Python's, not the library's.
FOREIGN = {"W0", "rho", "varrho", "softmax", "clamp", "range", "mvlib"}


def is_there(dotted: str) -> bool:
    """Whether `package.module.name.field` is."""
    parts = dotted.split(".")
    for n in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:n]))
        except ModuleNotFoundError:
            continue
        for part in parts[n:]:
            fields = getattr(found, "__dataclass_fields__", {})
            if not hasattr(found, part) and part not in fields:
                return False
            found = getattr(found, part, None)
        return True
    return False


def defined() -> tuple[set[str], set[str]]:
    """Names of modules, of what they define, and of what their classes hold; and the latter as
    `Class.name`."""
    names, held = set(), set()
    for module, text in sources(PACKAGE).items():
        names.add(module.rpartition(".")[2])
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                names.add(node.name)
            elif isinstance(node, ast.AnnAssign):
                names.add(ast.unparse(node.target))
            elif isinstance(node, ast.Assign):
                names.update(map(ast.unparse, node.targets))
        module_itself = importlib.import_module(f"mvlib.{module}".removesuffix("."))
        for name, thing in vars(module_itself).items() if "__main__" not in module else ():
            if isinstance(thing, type):
                fields = getattr(thing, "__dataclass_fields__", {})
                held |= {f"{name}.{inside}" for inside in {*dir(thing), *fields}}
    return names, held


@written
def test_names_of_the_library_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    said = set(re.findall(r"(?<![\w/.-])mvlib(?:\.[A-Za-z_]\w*)+", text))
    assert not [name for name in said if not is_there(name)]
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        for node in ast.walk(ast.parse(textwrap.dedent(code))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mvlib"):
                assert all(is_there(f"{node.module}.{alias.name}") for alias in node.names), code


@pytest.mark.parametrize("name", ["notation", "trust"])
def test_words_for_symbols_and_choices_are_there(name: str) -> None:
    """Also where a page leaves out whose they are."""
    names, held = defined()
    text = re.sub(r"\{[\w:]+\}`[^`]*`", "", (BOOK / f"{name}.md").read_text(encoding="utf-8"))
    found = set(re.findall(r"`([A-Za-z_]\w*(?:\.\w+)?)(?:\[[^`]*\]|\([^`]*\))*`", text))
    assert len(found) > 15 and not found - FOREIGN - names - held


@written
def test_files_that_pages_name_are_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    said = re.findall(r"[`(]([\w.-]+(?:/[\w.-]+)+\.(?:py|md|js|json|toml|yml|cff))[`)]", text)
    home = path.parent if path.stem != "README" else api.ROOT
    assert not [name for name in said if not any((h / name).exists() for h in (api.ROOT, home))]


def test_a_name_that_is_lost_is_seen() -> None:
    assert is_there("mvlib.paper.network.LearnerParams.power") and is_there("mvlib.train")
    assert not is_there("mvlib.LearnerParams.strength") and not is_there("mvlib.learner.train")


def test_source_is_found_where_a_book_was_copied(tmp_path: Path) -> None:
    """The package is beside the book, or where it is installed."""
    for root in (api.ROOT, tmp_path):
        app = SimpleNamespace(srcdir=str(root / "book"))
        text, tags = booklinks.find_source(app, "mvlib.paper.activation")  # type: ignore[arg-type]
        assert text == (api.ROOT / "mvlib/paper/activation.py").read_text(encoding="utf-8")
        assert "SmoothedReLU" in tags
