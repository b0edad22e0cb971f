"""The library's own source as it was when this process began: the provenance of stored results,
and how two processes know that they run the same code."""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import re
import tokenize
from collections.abc import Iterable
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
# Not the lock and resource files that editors and macOS put beside a module.
_MODULE = re.compile(r"[A-Za-z_]\w*\.py")


@functools.cache
def sources(package: Path) -> dict[str, str]:
    """Every module's text by its name below mvlib ("store.entries"; a package has its own name,
    mvlib itself the empty one), as it was when this process began: what is running, even if
    someone edits a file meanwhile."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        below = path.relative_to(package)
        if _MODULE.fullmatch(path.name) and all(part.isidentifier() for part in below.parts[:-1]):
            parts = below.with_suffix("").parts
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = path.read_text(encoding="utf-8")
    return found


sources(PACKAGE)


@functools.cache  # asked for again with every kind of study
def bare_source(source: str) -> str:
    """Python source without comments, docstrings and blank lines: what decides a result."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(node, body[0]):
            _blank(lines, body[0])
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    return "\n".join(line.rstrip() for line in lines if line.strip())


def _blank(lines: list[str], node: ast.stmt) -> None:
    """Take a statement out of its lines; what shares a line with it stays."""
    first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
    # Columns of the syntax tree count bytes.
    before = lines[first].encode()[: node.col_offset].decode()
    after = lines[last].encode()[node.end_col_offset :].decode()
    lines[first : last + 1] = [before + after] + [""] * (last - first)


def _is_docstring(parent: ast.AST, node: ast.AST) -> bool:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    return (
        isinstance(parent, documented)
        and isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def modules_reached(module: str) -> list[str]:
    """Names below mvlib of the modules that `module` imports, itself included, directly or not."""
    return _closure([module] if module in sources(PACKAGE) else [])


def modules_imported(text: str) -> list[str]:
    """The same for Python source that is not a module of mvlib's: a notebook's or a reader's own.
    Of ``import mvlib`` only the names count that the text takes from it."""
    return _closure(_imports(text))


def _closure(waiting: list[str]) -> list[str]:
    texts, found = sources(PACKAGE), set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imports(texts[name])
    return sorted(found)


def _imports(text: str) -> list[str]:
    """The mvlib modules that a text names, those behind ``mvlib.name`` among them."""
    modules = sources(PACKAGE)
    named: list[tuple[str, str]] = []  # (module below mvlib, name taken from it)
    aliases: set[str] = set()
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and not node.level:
            package, _, below = (node.module or "").partition(".")
            named += [(below, a.name) for a in node.names if package == "mvlib"]
        elif isinstance(node, ast.Import):
            for a in node.names:
                package, _, below = a.name.partition(".")
                if package == "mvlib" and below:
                    named.append((below, ""))
                elif package == "mvlib":
                    aliases.add(a.asname or "mvlib")
    for node in ast.walk(tree) if aliases else ():
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named += [("", node.attr)] if node.value.id in aliases else []
    found = []
    for below, name in named:
        inside = f"{below}.{name}".strip(".")
        if inside in modules:
            found.append(inside)
        elif below:
            found += [below] if below in modules else []
        else:  # of the catalogue's imports that one alone
            found += _behind(name)
    return found


@functools.cache
def _catalogue(package: Path) -> dict[str, str]:
    """Which module each of ``mvlib``'s own names comes from."""
    tree = ast.parse(sources(package).get("", ""))
    return {
        a.asname or a.name: (node.module or "").removeprefix("mvlib.")
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for a in node.names
    }


def _behind(name: str) -> list[str]:
    module = _catalogue(PACKAGE).get(name)
    return [] if module is None else [module]


def digest_of(modules: Iterable[str]) -> str:
    """Hash of the bare source of some of mvlib's modules."""
    texts, digest = sources(PACKAGE), hashlib.sha256()
    for name in modules:
        digest.update(f"\n# {name}\n".encode())
        digest.update(bare_source(texts[name]).encode())
    return digest.hexdigest()


@functools.cache
def fingerprint(module: str | None = None) -> str:
    """Hash of the bare source of `module` and all it reaches; of the whole library by default."""
    return digest_of(modules_reached(module) if module else sorted(sources(PACKAGE)))
