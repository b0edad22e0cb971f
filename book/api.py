"""Write the reference of the library's public names from their docstrings.

What `mvlib/__init__.py` passes on is the catalogue and stands in full, in its order; of whatever
else has no leading underscore there is the call and the first paragraph, package by package.
Every name is an entry of Sphinx's Python domain: its anchor is its path, and a link leads to its
source.  griffe reads the source, without importing it, and the page is written to `api.md`:

    python book/api.py

Docstrings here are Markdown with formulas in dollars and with sections as Google's style has
them, which Sphinx's own autodoc does not read.
"""

from __future__ import annotations

import ast
import logging
from collections.abc import Iterator
from pathlib import Path

import griffe

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "api.md"
TITLES = {
    "parameters": "Arguments",
    "attributes": "Fields",
    "returns": "Returns",
    "raises": "Raises",
}
# Where the numbered objects of the paper are stated in the book.
STATED = {
    "Definition 3.1": "{prf:ref}`def-data`",
    "Definition 3.3": "{prf:ref}`def-mixture`",
    "Definition 3.4": "{prf:ref}`def-learner`",
    "eq. (3.1)": "{eq}`eq-gd`",
    "eq. (4.1)": "{eq}`eq-ensemble`",
    "eq. (4.2)": "{eq}`eq-truncated`",
    "eq. (4.3)": "{eq}`eq-distill`",
    "eq. (4.3) as printed": "{numref}`fig-long-run` and {numref}`fig-printed`",
    "Theorem 1": "{prf:ref}`thm-single`",
    "Theorem 2": "{prf:ref}`thm-ensemble`",
    "Theorem 3": "{prf:ref}`thm-distill`",
    "Theorem 4 (self-distillation)": "{prf:ref}`prop-self`",
}

HEAD = """\
# API reference

First what a notebook of one's own needs: every name of `import mvlib`, in full.
Below that all other public names, by package and module, each with its call and what it is; they
are imported from the module they stand under.
Words stand for the paper's symbols: {doc}`notation` translates, {doc}`paper-to-code` goes from
the paper to the code.
Shapes of arrays are part of the signatures, as `Float[Tensor, "n P d"]`.
Each "[source]" opens the code, in this site; `#` is the entry's own address.
"""

TAIL = """
This page is written by `python book/api.py` from the docstrings of `mvlib`, and a test fails when
the two disagree.
"""


Public = griffe.Class | griffe.Function


def catalogue(package: Path) -> tuple[list[Public], dict[str, list[Public]]]:
    """What a package passes on, where it is defined; and what else its modules define for others,
    by module.

    Raises:
        LookupError: if a name that its `__init__.py` passes on is defined nowhere.
    """
    logging.getLogger("griffe").setLevel(logging.ERROR)  # it asks for types in docstrings
    loaded = griffe.load(
        package.name,
        search_paths=[package.parent],
        allow_inspection=False,
        docstring_parser="google",
        docstring_options={"warnings": False},
    )
    assert isinstance(loaded, griffe.Module)
    first = [_defined(loaded, path) for path in _passed_on(package)]
    shown = {public.path for public in first}
    others = {}
    for module in _modules(loaded):
        own = [m for m in module.members.values() if isinstance(m, Public) and m.is_public]
        if left := [public for public in own if public.path not in shown]:
            others[module.path] = left
    return first, others


def _passed_on(package: Path) -> Iterator[str]:
    """What a package imports as a name of its own, as ``from a.b import c as c``."""
    for node in ast.parse((package / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.asname)


def _defined(package: griffe.Module, path: str) -> Public:
    """What is called `package.module.name`, through modules that only import it."""
    try:
        target = package.modules_collection[path]
        if isinstance(target, griffe.Alias):
            target = target.final_target
    except (KeyError, griffe.AliasResolutionError) as error:
        module, _, name = path.rpartition(".")
        raise LookupError(f"{name} is not defined in {module}; is the catalogue right?") from error
    assert isinstance(target, Public), f"{path} is no class and no function"
    return target


def _modules(package: griffe.Module) -> Iterator[griffe.Module]:
    """The modules of a package and of those inside it."""
    for _, module in sorted(package.modules.items()):
        yield module
        yield from _modules(module)


def page(package: Path) -> str:
    """The text of the page."""
    first, others = catalogue(package)
    parts = [HEAD, f"\n## `{package.name}`\n"]
    for public in first:
        text = f"```python\n{_signature(public)}\n```\n\n" + "\n".join(_text(public))
        parts.append(f"\n### `{public.name}`\n\n{_entry(public, public.name, text)}\n")
    shown = {package.name}
    for left in others.values():
        for room, head in ((left[0].module.parent, "##"), (left[0].module, "###")):
            if room is not None and room.path not in shown:
                shown.add(room.path)
                parts.append(f"\n{head} `{room.path}`\n\n{_about(room)}\n")
        parts += (f"\n{_entry(public, _call(public), _about(public))}\n" for public in left)
    return "".join(parts) + TAIL


def _entry(public: Public, call: str, text: str) -> str:
    """A name as an object of Sphinx's; the index of the book is for other words."""
    return (
        f":::{{py:{public.kind.value}}} {call}\n:module: {public.module.path}\n:no-index-entry:\n\n"
        f"{text.strip()}\n:::"
    )


def _about(thing: griffe.Object) -> str:
    """The first paragraph of a docstring on one line."""
    first = thing.docstring.value.split("\n\n")[0] if thing.docstring else ""
    return _plain(" ".join(first.split()))


def _call(public: Public) -> str:
    """A name with its arguments, or with the fields of a dataclass; those to be named after `*`."""
    stars = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
    names: list[str] = []
    for p in (p for p in public.parameters if p.name != "self"):
        named = p.kind is griffe.ParameterKind.keyword_only
        if named and not any(name.startswith("*") for name in names):
            names.append("*")
        star = stars.get(p.kind, "") if p.kind else ""
        default = f"={p.default}" if p.default is not None and not star else ""
        names.append(f"{star}{p.name}{default}")
    return f"{public.name}({', '.join(names)})"


def _signature(public: Public) -> str:
    """A function's head as it is written; a class's fields with their defaults."""
    lines = public.source.splitlines()
    assert public.lineno is not None and public.docstring is not None
    if isinstance(public, griffe.Function):
        assert public.docstring.lineno is not None
        head = "\n".join(lines[: public.docstring.lineno - public.lineno])
        return head[head.index("def ") :].rstrip().removesuffix(":")
    bases = ", ".join(map(str, public.bases))
    lines = [f"class {public.name}({bases}):" if bases else f"class {public.name}:"]
    made = public.members.get("__init__")
    inside = range(made.lineno or 0, (made.endlineno or 0) + 1) if made else ()
    for part in public.members.values():
        if isinstance(part, griffe.Attribute) and part.annotation and part.lineno not in inside:
            default = f" = {part.value}" if part.value is not None else ""
            kind = "  # property" if "property" in part.labels else ""
            lines.append(f"    {part.name}: {part.annotation}{default}{kind}")
    for part in public.members.values():
        if isinstance(part, griffe.Function) and not part.name.startswith("_"):
            head = part.signature().replace("(", "(self, ", 1).replace("(self, )", "(self)", 1)
            lines.append(f"    def {head}: ...")
    return "\n".join(lines if len(lines) > 1 else [*lines, "    ..."])


def _text(public: Public) -> Iterator[str]:
    """A docstring as Markdown: paragraphs as they are, sections as lists of terms."""
    assert public.docstring is not None
    for section in public.docstring.parsed:
        if section.kind.value in TITLES:
            yield f"**{TITLES[section.kind.value]}**\n"
            yield from _section(section.value)
        else:
            assert isinstance(section.value, str), f"{public.path}: {section.kind.value}"
            yield from (_paragraph(block) for block in section.value.split("\n\n"))


def _paragraph(block: str) -> str:
    word, _, rest = block.partition(": ")
    if word == "Paper":
        item = rest.removesuffix(".")
        where = f"; in this book {STATED[item]}" if item in STATED else ""
        return f"**Paper** {item}{where}.\n"
    return f"**Choice** {_plain(rest)}\n" if word == "Choice" else _plain(block) + "\n"


def _section(items: list[griffe.DocstringElement]) -> Iterator[str]:
    """A list of terms with their meanings; or, if not all have a name, what is written."""
    terms = [_term(item) for item in items]
    if all(terms):
        for term, item in zip(terms, items, strict=True):
            yield f"`{term}`\n: {_plain(' '.join(item.description.split()))}\n"
    else:
        said = (
            f"{t}: {i.description}" if t else i.description
            for t, i in zip(terms, items, strict=True)
        )
        yield _plain("\n".join(said)) + "\n"


def _term(item: griffe.DocstringElement) -> str:
    name = str(getattr(item, "name", item.annotation) or "")
    # griffe takes the second of "low, high" for the type of the first.
    return f"{name} {str(item.annotation).strip('()')}" if name.endswith(",") else name


def _plain(text: str) -> str:
    """Code as Markdown has it."""
    return text.replace("``", "`")


if __name__ == "__main__":
    PAGE.write_text(page(ROOT / "mvlib"), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(ROOT)}")
