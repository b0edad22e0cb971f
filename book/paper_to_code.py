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

from api import STATED  # noqa: E402
from mvlib.core.source import sources  # noqa: E402
from places import measured_by  # noqa: E402

PAGE = ROOT / "book" / "paper-to-code.md"
BAR = r"\|"
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
    "eq. (4.3) as printed",
    "Theorem 1",
    "Theorem 2",
    "Theorem 3",
    "Theorem 4 (self-distillation)",
)

HEAD = """\
# Paper to code

Where each numbered object of {cite:t}`allenzhu2023` lives in the library, and below that where this
book states or measures it.
Each has exactly one home; everything else in the code calls it.
A name leads to its entry in the reference, which says its module, and "[source]" there to the
code itself.
In Python, `help(mvlib.train)` and the like show the whole docstring: the equation, the ranges,
what is easy to get wrong, and the choices made where the paper leaves one.

| where | what it is |
|---|---|
"""

TAIL = """
## Every claim

What the book measured: a claim leads to its figure or table, a verdict to the prediction and the
interval that it compares, and the last column to the function that computes it.

```{include} _claims.md
```

The first table is written by `python book/paper_to_code.py` from the docstrings of `mvlib`, the
second by `python book/answer.py` from the stored results; a test fails when they disagree.
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

    @property
    def link(self) -> str:
        """To its entry in the reference; the build fails where there is none."""
        return f"{{py:obj}}`{self.name.rpartition('.')[2]} <{self.name}>`"


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
    name, what = (home.link, home.summary) if home else ("not built yet", "")
    book = [STATED.get(item, ""), measured_by(home.name) if home else ""]
    where = "<br>".join([item, name, ", ".join(filter(None, book))])
    return f"| {where} | {what.replace('|', BAR)} |\n"


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "mvlib"), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
