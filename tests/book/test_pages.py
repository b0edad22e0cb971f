"""Pages made from docstrings, from the store and from lists say what their sources say."""

import re
from pathlib import Path

import pytest

import api
import modules
import trust_lists
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
    assert "## `lib.room`\n\nA room.\n" in text
    assert "(api-class-Thing)=\n### `Thing`\n" in text
    assert (
        "class Thing(ValueError):\n    size: int = 3\n    kind: str\n"
        "    twice: int  # property\n    def double(self, *, by: int = 2) -> int: ...\n" in text
    )
    assert "see [`act`](#api-function-act) and `private`." in text
    assert "**Fields**\n\n`size`\n: $n > 0$, over two lines.\n" in text
    assert "**Choice** the first one.\n" in text
    assert "**Paper** Definition 3.1; in this book {prf:ref}`def-data`.\n" in text
    head = 'def act(\n    x: "Float[Tensor, \\"n d\\"]", *, scale: float = 1.0\n) -> None\n```'
    assert head in text
    # A name that the module only passes on is found where it is defined.
    assert "*class* `lib.other.Elsewhere`" in text


def test_reference_refuses_a_name_without_a_home(package: Path) -> None:
    (package / "__init__.py").write_text("from lib.room import lost as lost\n")
    with pytest.raises(LookupError, match="lost is not defined in lib.room"):
        api.page(package)


def test_reference_shows_what_is_public_in_each_package(package: Path) -> None:
    for name, passed_on in (("paper", ""), ("store", "from lib.store.files import act as act\n")):
        (package / name / "inner").mkdir(parents=True)
        (package / name / "__init__.py").write_text(f'"""The {name}.\n\nMore."""\n{passed_on}')
        (package / name / "inner" / "__init__.py").write_text("")
        for path in ("files.py", "inner/deep.py"):
            (package / name / path).write_text(
                '"""A room."""\ndef act() -> None:\n    """Do."""\n'
                'def stay() -> None:\n    """Stay."""\ndef _hide() -> None:\n    """No."""\n'
            )
    # Not Python's: what editors and systems leave.
    (package / "._room.py").write_bytes(b"\0\5\x16\7\xff")
    (package / "paper" / "files (copy).py").write_text("(")
    (package / ".#room.py").symlink_to("nobody@nowhere.1:2")
    found = [public.path for public in api.catalogue(package)]
    assert found == [
        "lib.room.Thing",
        "lib.room.act",
        "lib.other.Elsewhere",
        *("lib.paper.files.act", "lib.paper.files.stay"),
        *("lib.paper.inner.deep.act", "lib.paper.inner.deep.stay"),
        "lib.store.files.act",
        *("lib.store.inner.deep.act", "lib.store.inner.deep.stay"),
    ]
    text = api.page(package)
    assert "## `lib.paper`\n\nThe paper.\n\n## `lib.paper.files`\n\nA room.\n" in text
    labels = re.findall(r"^\((.*)\)=$", text, re.MULTILINE)
    assert len(set(labels)) == len(labels) == len(found)
    # A name that means several things is linked to none of them.
    assert "see `act` and" in text


# -- the modules behind chapters and pages ----------------------------------------------------


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A package of packages: what is imported where stands in each name."""
    files = {
        "__init__.py": "from lib.paper import network as network\n"
        "from lib.paper.network import train as train\nversion = 1\n",
        "__main__.py": "from lib.figures import draw\n",
        "checks.py": "",
        "paper/__init__.py": "from .network import train\n"
        "from lib.paper.data import sample as draw\n",
        "paper/network.py": "from lib.checks import require\nfrom . import steps\n",
        "paper/steps.py": "import math\n",
        "paper/data.py": "import lib.checks as c\ndef sample(): return c.x\n",
        "figures/__init__.py": "",
        "figures/one.py": "import lib\ndef f(): return lib.paper.draw()\n",
        "._checks.py": "(",
        "paper/data (copy).py": "(",
    }
    for name, text in files.items():
        path = tmp_path / "lib" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "lib" / ".#checks.py").symlink_to("nobody@nowhere.1:2")
    return tmp_path / "lib"


def test_modules_are_found_in_packages_and_nothing_else_is(house: Path) -> None:
    assert list(modules.modules(house)) == [
        *("lib", "lib.__main__", "lib.checks", "lib.figures", "lib.figures.one"),
        *("lib.paper", "lib.paper.data", "lib.paper.network", "lib.paper.steps"),
    ]


@pytest.mark.parametrize(
    ("code", "reached"),
    [
        ("import lib", []),
        ("import math\nmath.lib.train", []),
        ("from lib.paper import draw", ["checks", "paper.data"]),
        ("import lib.paper as p\np.draw(1)", ["checks", "paper.data"]),
        ("import lib\nlib.train()", ["checks", "paper.network", "paper.steps"]),
        ("from lib import network as n\nn.f", ["checks", "paper.network", "paper.steps"]),
        ("from lib.figures.one import f", ["checks", "figures.one", "paper.data"]),
        ("from lib import version", ["", "checks", "paper.network", "paper.steps"]),
        ("from lib.paper import lost",
         ["checks", "paper", "paper.data", "paper.network", "paper.steps"]),
    ],
)  # fmt: skip
def test_a_name_leads_to_the_modules_behind_it(house: Path, code: str, reached: list[str]) -> None:
    assert modules.reached(["x = 1", code], house) == [f"lib.{m}".rstrip(".") for m in reached]


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
