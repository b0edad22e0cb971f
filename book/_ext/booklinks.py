"""From names to code: what the book says of `mvlib` leads to its reference, and from there on.

A Sphinx extension, named in `_config.yml`.  A public name in code font becomes a link to its entry
in the API reference, in prose and in the code cells of chapters; Sphinx's own viewcode links each
entry to its source, which this module finds without importing it.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer

# What links already, and titles.
NOT_PROSE = (nodes.reference, nodes.title, addnodes.desc_signature)
# `a.b.c` as Pygments writes it, but for the name of an argument.
NAME = r'<span class="n">\w+</span>'
DOTTED = re.compile(rf'{NAME}(?:<span class="o">\.</span>{NAME})*(?!<span class="o">=</span>)')
CELL = re.compile(r'<div class="highlight-ipython3.*?</pre>', re.DOTALL)
TAG = re.compile("<[^>]*>")
# Marks that change nothing one sees: most of a page of source, and much of the reference.
PLAIN = re.compile(r'<span class="[npw]">([^<]*)</span>')
PARAMETER = re.compile(
    r'<span class="(?:n|o|default_value)"><span class="pre">([^<]*)</span></span>'
)


def find_source(app: Sphinx, module: str) -> tuple[str, dict[str, tuple[str, int, int]]]:
    """A module's source, and the lines of what it defines."""
    stem = _library(app).joinpath(*module.split("."))
    path = next(p for p in (stem.with_suffix(".py"), stem / "__init__.py") if p.exists())
    text = path.read_text(encoding="utf-8")
    analyzer = ModuleAnalyzer.for_string(text, module)
    return text, analyzer.find_tags()


def _library(app: Sphinx) -> Path:
    """Where the package stands: beside the book or, of a book that was copied, where it is
    installed."""
    beside = Path(app.srcdir).parent
    spec = importlib.util.find_spec("mvlib")
    if (beside / "mvlib").is_dir() or spec is None or spec.origin is None:
        return beside
    return Path(spec.origin).parent.parent


def entries(app: Sphinx) -> dict[str, str]:
    """`called`, of the entries of the reference."""
    paths = tuple(app.env.domaindata["py"]["objects"])
    library = _library(app) / "mvlib" / "__init__.py"
    return called(paths, library.read_text(encoding="utf-8") if paths else "")


@functools.lru_cache(maxsize=1)  # the same for every page
def called(paths: tuple[str, ...], library: str) -> dict[str, str]:
    """What a public name is called -> its path: the path itself, each end of it that nothing else
    in the library has and that is no plain word, and what `import mvlib`, by its source, passes on.
    """
    parts = [path.split(".") for path in paths]
    modules = {tuple(p[:n]) for p in parts for n in range(1, len(p))}
    ends = Counter(".".join(p[i:]) for p in [*parts, *modules] for i in range(len(p)))
    known = {
        end: ".".join(p)
        for p in parts
        for i in range(len(p))
        if ends[end := ".".join(p[i:])] == 1 and re.search("[._A-Z]", end)
    }
    for module, name in re.findall(r"from ([\w.]+) import \w+ as (\w+)", library):
        known |= {name: f"{module}.{name}", f"mvlib.{name}": f"{module}.{name}"}
    return known


def address(app: Sphinx, docname: str, path: str) -> str:
    """Where the entry of a public name stands, from a page."""
    entry = app.env.domaindata["py"]["objects"][path]
    return f"{app.builder.get_relative_uri(docname, entry.docname)}#{entry.node_id}"


def link_prose(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Names in code font; a field or method leads to its class."""
    known = entries(app)
    for literal in list(doctree.findall(nodes.literal)):
        said = literal.astext()
        path = known.get(said) or _of_a_class(known.get(said.rpartition(".")[0], ""))
        around = list(_around(literal))
        if not path or any(isinstance(node, NOT_PROSE) for node in around):
            continue
        # An argument may be called as a function is; and an entry does not lead to itself.
        if isinstance(literal.parent, nodes.term) and "." not in said:
            continue
        if any(path in node[0]["ids"] for node in around if isinstance(node, addnodes.desc)):
            continue
        at = address(app, docname, path)
        literal.replace_self(nodes.reference("", "", literal.deepcopy(), refuri=at, internal=True))


def _of_a_class(path: str) -> str:
    return path if path.rpartition(".")[2][:1].isupper() else ""


def _around(node: nodes.Node) -> Iterator[nodes.Element]:
    while (parent := node.parent) is not None:
        yield parent
        node = parent


def link_cells(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """Names in a chapter's code cells that the notebook imports, as they are called there."""
    if not doctree or not pagename.startswith("chapters/"):
        return
    notebook = nbformat.read(app.env.doc2path(pagename), as_version=4)
    imports = imported(cell["source"] for cell in notebook["cells"] if cell["cell_type"] == "code")
    known = entries(app)

    def linked(found: re.Match[str]) -> str:
        first, *rest = TAG.sub("", found[0]).split(".")
        said = ".".join([imports.get(first, ""), *rest])
        path = known.get(said) or _of_a_class(known.get(said.rpartition(".")[0], ""))
        if not path:
            return found[0]
        return f'<a class="mv-code" href="{address(app, pagename, path)}">{found[0]}</a>'

    context["body"] = CELL.sub(lambda cell: DOTTED.sub(linked, cell[0]), context["body"])


def imported(cells: Iterable[str]) -> dict[str, str]:
    """What a notebook calls the things of `mvlib` -> what they are."""
    found = {"mvlib": "mvlib"}
    for cell in cells:
        try:
            nodes_of = list(ast.walk(ast.parse(cell)))
        except SyntaxError:  # a command to the shell
            continue
        for node in nodes_of:
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "mvlib":
                found |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
    return found


def lighten(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    """The pages with most code, without marks that change nothing."""
    if pagename.startswith("_modules/"):
        context["body"] = PLAIN.sub(r"\1", context["body"])
    if pagename == "api":
        context["body"] = PARAMETER.sub(r"\1", context["body"])


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.viewcode")
    app.connect("viewcode-find-source", find_source)
    app.connect("doctree-resolved", link_prose)
    app.connect("html-page-context", link_cells)
    app.connect("html-page-context", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
