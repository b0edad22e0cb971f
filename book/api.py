"""Write the reference of the library's public names from their docstrings.

The names, their order and their groups are those of `mvlib/__init__.py`; the text is read from
the source, without importing it, and written to `api.md`:

    python book/api.py

Docstrings here are Markdown with formulas in dollars and with sections as Google's style has
them, which Sphinx's own autodoc does not read.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "api.md"
SECTION = re.compile(r"^(Args|Attributes|Returns|Raises):$")
ENTRY = re.compile(r"^(\*{0,2}\w[\w, *]*): (.*)$", re.DOTALL)
TITLES = {"Args": "Arguments", "Attributes": "Fields", "Returns": "Returns", "Raises": "Raises"}
# Where the numbered objects of the paper are stated in the book.
STATED = {
    "Definition 3.1": "{prf:ref}`def-data`",
    "Definition 3.3": "{prf:ref}`def-mixture`",
    "Definition 3.4": "{prf:ref}`def-learner`",
    "eq. (3.1)": "{eq}`eq-gd`",
    "eq. (4.1)": "{eq}`eq-ensemble`",
    "eq. (4.2)": "{eq}`eq-truncated`",
    "eq. (4.3)": "{eq}`eq-distill`",
    "Theorem 1": "{prf:ref}`thm-single`",
    "Theorem 2": "{prf:ref}`thm-ensemble`",
    "Theorem 3": "{prf:ref}`thm-distill`",
    "Self-distillation": "{prf:ref}`prop-self`",
}

HEAD = """\
# API reference

Every public name of `mvlib`, by the module it lives in, in the order of the catalogue,
`mvlib/__init__.py`.
Each can be imported as `mvlib.NAME`; modules that are not listed serve these or the book.
Words stand for the paper's symbols: {doc}`notation` translates, {doc}`paper-to-code` goes from
the paper to the code.
Shapes of arrays are part of the signatures, as `Float[Tensor, "n P d"]`.
"""

TAIL = """
This page is written by `python book/api.py` from the docstrings of `mvlib`, and a test fails when
the two disagree.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Name:
    """A public name: the module it lives in, its definition there, and that module's source."""

    name: str
    module: str
    node: ast.ClassDef | ast.FunctionDef
    lines: list[str]

    @property
    def kind(self) -> str:
        return "class" if isinstance(self.node, ast.ClassDef) else "function"

    @property
    def label(self) -> str:
        """Of its entry; labels do not tell `Sample` from `sample`, hence the kind."""
        return f"api-{self.kind}-{self.name}"

    @property
    def docstring(self) -> str:
        return ast.get_docstring(self.node) or ""


def catalogue(package: Path) -> list[Name]:
    """The names that the package's `__init__.py` imports, each from where it is defined."""
    imports = ast.parse((package / "__init__.py").read_text(encoding="utf-8")).body
    return [
        _find(package, node.module.rpartition(".")[2], alias.name)
        for node in imports
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
    ]


def _find(package: Path, module: str, name: str) -> Name:
    """Follow a name through modules that only import it.

    Raises:
        LookupError: if it is defined nowhere on this way.
    """
    source = (package / f"{module}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name == name:
            return Name(name=name, module=module, node=node, lines=source.splitlines())
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and name in {a.name for a in node.names}
        ):
            return _find(package, node.module.rpartition(".")[2], name)
    raise LookupError(f"{name} is not defined in {module}.py; is the catalogue right?")


def page(package: Path) -> str:
    """The text of the page."""
    names = catalogue(package)
    public = {name.name: name.label for name in names}
    parts = [HEAD]
    for module, group in groupby(names, key=lambda name: name.module):
        source = (package / f"{module}.py").read_text(encoding="utf-8")
        about = (ast.get_docstring(ast.parse(source)) or "").split("\n\n")[0]
        parts.append(f"\n## `mvlib.{module}`\n\n{_linked(about, public)}\n")
        parts += [_entry(name, public) for name in group]
    return "".join(parts) + TAIL


def _entry(name: Name, public: dict[str, str]) -> str:
    """A name's heading, signature and text."""
    others = {other: label for other, label in public.items() if other != name.name}
    text = "\n".join(_text(name.docstring, others))
    return (
        f"\n({name.label})=\n### `{name.name}`\n\n"
        f"*{name.kind}* `mvlib.{name.module}.{name.name}`\n\n"
        f"```python\n{_signature(name)}\n```\n\n{text}\n"
    )


def _signature(name: Name) -> str:
    """A function's head as it is written; a class's fields with their defaults."""
    node = name.node
    if isinstance(node, ast.FunctionDef):
        head = "\n".join(name.lines[node.lineno - 1 : node.body[0].lineno - 1])
        return head.rstrip().removesuffix(":").replace("  # fmt: skip", "").rstrip(": ")
    fields = [part for part in node.body if isinstance(part, ast.AnnAssign)]
    methods = [
        part
        for part in node.body
        if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")
    ]
    bases = ", ".join(map(ast.unparse, node.bases))
    lines = [f"class {node.name}({bases}):" if bases else f"class {node.name}:"]
    lines += [f"    {ast.unparse(part)}" for part in fields]
    lines += [f"    def {part.name}({ast.unparse(part.args)}): ..." for part in methods]
    return "\n".join(lines if len(lines) > 1 else [*lines, "    ..."])


def _text(docstring: str, public: dict[str, str]) -> Iterator[str]:
    """A docstring as Markdown: paragraphs as they are, sections as lists of terms."""
    for block in docstring.split("\n\n"):
        first, _, rest = block.partition("\n")
        if found := SECTION.match(first):
            yield f"**{TITLES[found[1]]}**\n"
            yield from _section(textwrap.dedent(rest), public)
        elif block.startswith("Paper: "):
            item = block.removeprefix("Paper: ").removesuffix(".")
            where = f"; in this book {STATED[item]}" if item in STATED else ""
            yield f"**Paper** {item}{where}.\n"
        elif block.startswith("Choice: "):
            yield f"**Choice** {_linked(block.removeprefix('Choice: '), public)}\n"
        else:
            yield f"{_linked(textwrap.dedent(block), public)}\n"


def _section(text: str, public: dict[str, str]) -> Iterator[str]:
    """Entries ``term: meaning``, whose further lines are indented; else the text itself."""
    entries = re.split(r"\n(?=\S)", text)
    matches = [ENTRY.match(entry) for entry in entries]
    if not all(matches):
        yield f"{_linked(text, public)}\n"
        return
    for found in matches:
        assert found is not None
        meaning = " ".join(found[2].split())
        yield f"`{found[1]}`\n: {_linked(meaning, public)}\n"


def _linked(text: str, public: dict[str, str]) -> str:
    """Names of the catalogue in backticks become links to their entries here."""
    text = text.replace("``", "`")
    return re.sub(
        r"`(?:mvlib\.)?(\w+)`",
        lambda found: f"[{found[0]}](#{public[found[1]]})" if found[1] in public else found[0],
        text,
    )


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "mvlib"), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
