"""Write the reference of the library's public names from their docstrings.

What a package's `__init__.py` passes on is public, in its order; in a package inside `mvlib` whose
`__init__.py` passes on nothing, all that has no leading underscore is.  griffe reads the source,
without importing it, and the page is written to `api.md`:

    python book/api.py

Docstrings here are Markdown with formulas in dollars and with sections as Google's style has
them, which Sphinx's own autodoc does not read.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator
from itertools import groupby
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


Public = griffe.Class | griffe.Function


def catalogue(package: Path) -> list[Public]:
    """The public names of a package and of those inside it, each once, where it is defined.

    Raises:
        LookupError: if a name that an `__init__.py` passes on is defined nowhere.
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
    found: dict[str, Public] = {}
    for inside in _packages(loaded):
        passed_on = [p for p in inside.imports.values() if p.startswith(f"{loaded.name}.")]
        for path in passed_on or ([] if inside is loaded else _own(inside)):
            target = _defined(loaded, path)
            found.setdefault(target.path, target)
    return list(found.values())


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


def _packages(package: griffe.Module) -> Iterator[griffe.Module]:
    """A package and those inside it."""
    yield package
    for _, module in sorted(package.modules.items()):
        if module.is_subpackage:
            yield from _packages(module)


def _own(package: griffe.Module) -> Iterator[str]:
    """What a package's modules define for others."""
    for _, module in sorted(package.modules.items()):
        for member in module.members.values():
            if isinstance(member, Public) and member.is_public and not module.is_subpackage:
                yield member.path


def page(package: Path) -> str:
    """The text of the page."""
    names = catalogue(package)
    rooms = list(dict.fromkeys(public.module.path for public in names))
    names.sort(key=lambda public: rooms.index(public.module.path))
    twice = {name for name, n in Counter(public.name for public in names).items() if n > 1}
    labels = {public.path: _label(public, twice) for public in names}
    links = {public.name: labels[public.path] for public in names if public.name not in twice}
    parts, shown = [HEAD], {package.name}
    for _, group in groupby(names, key=lambda public: public.module.path):
        entries = list(group)
        module = entries[0].module
        for room in (module.parent, module):
            if isinstance(room, griffe.Module) and room.path not in shown:
                shown.add(room.path)
                about = room.docstring.value.split("\n\n")[0] if room.docstring else ""
                parts.append(f"\n## `{room.path}`\n\n{_linked(about, links)}\n")
        for public in entries:
            others = {name: label for name, label in links.items() if name != public.name}
            text = "\n".join(_text(public, others))
            parts.append(
                f"\n({labels[public.path]})=\n### `{public.name}`\n\n"
                f"*{public.kind.value}* `{public.path}`\n\n"
                f"```python\n{_signature(public)}\n```\n\n{text}\n"
            )
    return "".join(parts) + TAIL


def _label(public: Public, twice: set[str]) -> str:
    """Of an entry; labels do not tell `Sample` from `sample`, hence the kind."""
    name = public.path.replace(".", "-") if public.name in twice else public.name
    return f"api-{public.kind.value}-{name}"


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


def _text(public: Public, links: dict[str, str]) -> Iterator[str]:
    """A docstring as Markdown: paragraphs as they are, sections as lists of terms."""
    assert public.docstring is not None
    for section in public.docstring.parsed:
        if section.kind.value in TITLES:
            yield f"**{TITLES[section.kind.value]}**\n"
            yield from _section(section.value, links)
        else:
            assert isinstance(section.value, str), f"{public.path}: {section.kind.value}"
            yield from (_paragraph(block, links) for block in section.value.split("\n\n"))


def _paragraph(block: str, links: dict[str, str]) -> str:
    word, _, rest = block.partition(": ")
    if word == "Paper":
        item = rest.removesuffix(".")
        where = f"; in this book {STATED[item]}" if item in STATED else ""
        return f"**Paper** {item}{where}.\n"
    return (
        f"**Choice** {_linked(rest, links)}\n" if word == "Choice" else _linked(block, links) + "\n"
    )


def _section(items: list[griffe.DocstringElement], links: dict[str, str]) -> Iterator[str]:
    """A list of terms with their meanings; or, if not all have a name, what is written."""
    terms = [_term(item) for item in items]
    if all(terms):
        for term, item in zip(terms, items, strict=True):
            yield f"`{term}`\n: {_linked(' '.join(item.description.split()), links)}\n"
    else:
        said = (
            f"{t}: {i.description}" if t else i.description
            for t, i in zip(terms, items, strict=True)
        )
        yield _linked("\n".join(said), links) + "\n"


def _term(item: griffe.DocstringElement) -> str:
    name = str(getattr(item, "name", item.annotation) or "")
    # griffe takes the second of "low, high" for the type of the first.
    return f"{name} {str(item.annotation).strip('()')}" if name.endswith(",") else name


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
