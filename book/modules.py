"""The library's modules as files: read, never imported, in packages and beside them alike."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


def modules(package: Path) -> dict[str, Path]:
    """Every module of a package and of those inside it, by dotted name in alphabetical order; a
    package goes by its own name.

    Files that Python could not import are somebody else's: an editor's lock (`.#x.py`), what macOS
    leaves on foreign disks (`._x.py`), a copy with a space in its name.
    """
    found = {}
    for path in package.rglob("*.py"):
        parts = [package.name, *path.relative_to(package).with_suffix("").parts]
        if all(part.isidentifier() for part in parts) and path.is_file():
            found[".".join(parts).removesuffix(".__init__")] = path
    return dict(sorted(found.items()))


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def reached(codes: Iterable[str], package: Path) -> list[str]:
    """Modules of the package that pieces of code use, directly or not, in alphabetical order.

    A name that an `__init__` only passes on counts as the module that defines it: importing a
    package runs everything in it, but what one name does depends on its own module.
    """
    known = modules(package)
    found: set[str] = set()
    waiting = [name for code in codes for name in _used(ast.parse(code), "", package.name)]
    while waiting:
        home = _home(waiting.pop(), known)
        if home and home not in found:
            found.add(home)
            inside = home if known[home].name == "__init__.py" else home.rpartition(".")[0]
            waiting += _used(parse(known[home]), inside, package.name)
    return sorted(found)


def _used(tree: ast.Module, inside: str, package: str) -> Iterator[str]:
    """What code in the package `inside` takes from `package`, as package.module.name."""
    bound: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                bound[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom):
            where = source_of(node, inside)
            bound |= {alias.asname or alias.name: f"{where}.{alias.name}" for alias in node.names}
    names = [*bound.values(), *map(_dotted, (n for n in ast.walk(tree) if isinstance(n, ast.expr)))]
    for name in names:
        first, dot, rest = name.partition(".")
        name = bound.get(first, first) + dot + rest
        if name.partition(".")[0] == package:
            yield name


def source_of(node: ast.ImportFrom, inside: str) -> str:
    """The module that `from ... import` names, in the package `inside`."""
    above = inside.split(".")[: inside.count(".") + 2 - node.level] if node.level else []
    return ".".join([*above, *filter(None, [node.module])])


def _dotted(node: ast.expr) -> str:
    """`a.b.c`, or what no module is called."""
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def _home(name: str, known: Mapping[str, Path]) -> str | None:
    """The module that `package.module.name` lives in; None for a package as a whole."""
    module = name
    while module not in known:
        module = module.rpartition(".")[0]
    rest = name.removeprefix(module).removeprefix(".").partition(".")[0]
    if known[module].name != "__init__.py":
        return module
    for node in parse(known[module]).body:
        if isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if rest and rest == (alias.asname or alias.name):
                    return _home(f"{source_of(node, module)}.{alias.name}", known)
    return module if rest else None
