"""Write the page that says where each numbered object of the paper lives in the library.

Every such object has one home, whose docstring ends with a tag: ``Paper: Definition 3.1.``  This
program reads the tags from the source and writes `paper-to-code.md`:

    python book/paper_to_code.py
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this clone's mvlib, installed or not

from mvlib.core.source import sources  # noqa: E402

PAGE = ROOT / "book" / "paper-to-code.md"
TAG = re.compile(r"^Paper: (.+)\.$")

# What the book is about, in the paper's order; what has no tag yet is listed as missing.
OBJECTS = (
    "Definition 3.1",
    "Definition 3.3",
    "Definition 3.4",
    "eq. (3.1)",
    "eq. (4.1)",
    "eq. (4.2)",
    "eq. (4.3)",
    "Theorem 1",
    "Theorem 2",
    "Theorem 3",
    "Self-distillation",
)

HEAD = """\
# Paper to code

Where each numbered object of {cite:t}`allenzhu2023` lives in the library.
Each has exactly one home; everything else in the code calls it.
In Python, `help(mvlib.train)` and the like show the whole docstring: the equation, the ranges,
what is easy to get wrong, and the choices made where the paper leaves one.

| in the paper | in the code | what it is |
|---|---|---|
"""

TAIL = """
This page is written by `python book/paper_to_code.py` from the docstrings of `mvlib`, and a test
fails when the two disagree.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """A tagged docstring.

    Attributes:
        item: the object, as the paper numbers it.
        name: where it is, e.g. ``mvlib.paper.gradient_descent.train``.
        summary: the docstring's first paragraph on one line.
    """

    item: str
    name: str
    summary: str


def homes(package: Path) -> list[Home]:
    """Every tagged docstring of a package, in the order of its modules."""
    return [
        home
        for module, text in sources(package).items()
        for home in _homes_in(text, f"{package.name}.{module}".removesuffix("."))
    ]


def _homes_in(text: str, module: str) -> Iterator[Home]:
    waiting: list[tuple[str, ast.AST]] = [(module, ast.parse(text))]
    while waiting:
        name, node = waiting.pop(0)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)):
                waiting.append((f"{name}.{child.name}", child))
        assert isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        docstring = ast.get_docstring(node) or ""
        if found := TAG.match(docstring.rsplit("\n", 1)[-1]):
            summary = " ".join(docstring.split("\n\n")[0].split())
            yield Home(item=found[1], name=name, summary=summary)


def page(package: Path) -> str:
    """The text of the page; objects outside `OBJECTS` come last.

    Raises:
        ValueError: if two docstrings claim the same object.
    """
    found: dict[str, Home] = {}
    for home in homes(package):
        if home.item in found:
            raise ValueError(
                f"{home.item} has two homes, {found[home.item].name} and {home.name}; keep one tag."
            )
        found[home.item] = home
    items = [*OBJECTS, *sorted(found.keys() - set(OBJECTS))]
    return HEAD + "".join(_row(item, found.get(item)) for item in items) + TAIL


def _row(item: str, home: Home | None) -> str:
    cells = (item, f"`{home.name}`", home.summary) if home else (item, "not built yet", "")
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |\n"


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "mvlib"), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
