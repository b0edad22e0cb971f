"""Numbers of chapters, figures, tables, statements and equations.

A Sphinx extension, named in `_config.yml`.  A code cell shows a numbered figure or table where its
metadata say so, in myst-nb's own words:

    {"mystnb": {"figure": {"name": "fig-race", "caption": "One race, class by class."}}}

Text refers to it by ``{numref}`fig-race` ``, from any page.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.writers.html5 import HTML5Translator
from sphinx_proof.nodes import NODE_TYPES

BY_CHAPTER = {"figure", "table"}


class shown_table(nodes.figure):
    """What a code cell shows, where that is a table: laid out as a figure, counted as a table."""


class TablesOfCells(SphinxTransform):
    """Tell tables from figures; before Sphinx collects what can be referred to."""

    default_priority = 500

    def apply(self, **kwargs: Any) -> None:
        del kwargs
        for figure in list(self.document.findall(nodes.figure)):
            if any(raw.astext().startswith("<table") for raw in figure.findall(nodes.raw)):
                table = shown_table("", *figure.children)
                figure.replace_self(table)
                self.document.ids.update(dict.fromkeys(table["ids"], table))


def count_through(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Figures and tables are counted by chapter.  Statements and equations are counted through the
    book: so its Theorems 1 to 3 are the paper's."""
    del app
    seen: Counter[str] = Counter()
    for page in env.toc_fignumbers.values():  # in the order of the table of contents
        for kind in page.keys() - BY_CHAPTER:
            for label in page[kind]:
                seen[kind] += 1
                page[kind][label] = (seen[kind],)
    return []


def enter_statements(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Put "Theorem 1" and the like into the index of their page: there the search looks first."""
    numbers = app.env.toc_fignumbers.get(docname, {})
    for kind, node_type in NODE_TYPES.items():
        for statement in list(doctree.findall(node_type)):
            [label, *_] = statement["ids"]
            [number] = numbers[kind][label]
            entry = ("single", f"{kind.title()} {number}", label, "main", None)
            statement.parent.insert(
                statement.parent.index(statement), addnodes.index(entries=[entry])
            )


def cite_chapters(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Say a chapter's number where a link names it by its title."""
    here = app.builder.get_target_uri(docname)
    for link in doctree.findall(nodes.reference):
        words = link.children[0] if link.get("internal") and link.children else None
        if isinstance(words, nodes.inline) and "doc" in words["classes"]:
            place = unquote(urlsplit(urljoin(here, link["refuri"])).path)
            page = posixpath.splitext(place)[0]
            number = (app.env.toc_secnumbers.get(page, {}).get("") or [""])[0]
            if number and words.astext() == app.env.titles[page].astext():
                kind = "Chapter" if isinstance(number, int) else "Appendix"
                words.insert(0, nodes.Text(f"{kind} {number}, "))


def setup(app: Sphinx) -> dict[str, bool]:
    as_figure = (HTML5Translator.visit_figure, HTML5Translator.depart_figure)
    app.add_enumerable_node(shown_table, "table", html=as_figure)
    app.add_transform(TablesOfCells)
    app.connect("env-get-updated", count_through, priority=900)
    app.connect("doctree-resolved", enter_statements)
    app.connect("doctree-resolved", cite_chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
