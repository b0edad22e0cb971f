"""The library's own source as it was when this process began: a part of every stored result's
key, and how two processes know that they run the same code."""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import tokenize
from pathlib import Path

PACKAGE = Path(__file__).parent


@functools.cache
def _sources(package: Path) -> dict[str, str]:
    """Every module's text as it was when this process began: what is running, even if someone
    edits a file meanwhile."""
    return {path.stem: path.read_text() for path in sorted(package.glob("*.py"))}


_sources(PACKAGE)


@functools.cache  # asked for again with every key
def bare_source(source: str) -> str:
    """Python source without comments, docstrings and blank lines: what decides a result."""
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        body = getattr(node, "body", None)
        if not isinstance(body, list) or not body or not _is_docstring(node, body[0]):
            continue
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
    """Names of the mvlib modules that `module` imports, itself included, directly or not."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in _sources(PACKAGE):
            continue
        found.add(name)
        for node in ast.walk(ast.parse(_sources(PACKAGE)[name])):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mvlib."):
                waiting.append(str(node.module).removeprefix("mvlib."))
    return sorted(found)


@functools.cache
def fingerprint(module: str | None = None) -> str:
    """Hash of the bare source of `module` and all it reaches; of the whole library by default."""
    sources = _sources(PACKAGE)
    names = modules_reached(module) if module else sorted(sources)
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"\n# {name}\n".encode())
        digest.update(bare_source(sources[name]).encode())
    return digest.hexdigest()
