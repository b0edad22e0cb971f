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
    """Every module's text by its name below mvlib ("store.entries"; mvlib itself has the empty
    name), as it was when this process began: what is running, even if someone edits a file."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        *folders, name = path.relative_to(package).with_suffix("").parts
        if _MODULE.fullmatch(path.name) and all(map(str.isidentifier, folders)):
            parts = folders if name == "__init__" else [*folders, name]
            found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


sources(PACKAGE)


@functools.cache  # asked for again with every kind of study
def bare_source(source: str) -> str:
    """Python source without comments, docstrings (those below a field, too) and blank lines: what
    decides a result."""
    lines = source.splitlines()
    tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
    unsaid = (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT)
    code = [t for t in tokens if t.type not in unsaid]
    ends = [tokenize.NEWLINE] + [t.type for t in code]  # what comes before each
    words = [
        t for i, t in enumerate(code)
        if t.type == tokenize.STRING and ends[i] == ends[i + 2] == tokenize.NEWLINE
    ]  # fmt: skip
    words += [t for t in tokens if t.type == tokenize.COMMENT]
    for token in sorted(words, key=lambda t: t.start, reverse=True):
        (first, column), (last, end) = token.start, token.end
        rest = lines[last - 1][end:]
        lines[first - 1 : last] = [lines[first - 1][:column] + rest] + [""] * (last - first)
    return "\n".join(line.rstrip() for line in lines if line.strip())


def modules_reached(module: str) -> list[str]:
    """Names below mvlib of the modules that `module` imports, itself included, directly or not."""
    return _closure([module] if module in sources(PACKAGE) else [])


def modules_imported(text: str) -> list[str]:
    """The same for Python source that is not a module of mvlib's: a notebook's or a reader's own.
    Of ``import mvlib`` only the names count that the text takes from it."""
    return _closure(_imports(text))


def _closure(names: Iterable[str]) -> list[str]:
    waiting, found = list(names), set()
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _imports(sources(PACKAGE)[name])
    return sorted(found)


@functools.cache  # a reader's own kind asks with every entry
def _imports(text: str) -> tuple[str, ...]:
    """The mvlib modules that a text names, those behind ``mvlib.name`` among them."""
    nodes = list(ast.walk(ast.parse(text)))
    named, aliases = set(), set()  # dotted names below mvlib; what mvlib is called
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and not node.level:
            named |= {f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            named |= {a.name for a in node.names}
            aliases |= {a.asname or a.name for a in node.names if a.name == "mvlib"}
    for node in nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            named |= {f"mvlib.{node.attr}"} if node.value.id in aliases else set()
    modules, catalogue = sources(PACKAGE), _catalogue(PACKAGE)
    found = []
    for below in (name.removeprefix("mvlib.") for name in named if name.startswith("mvlib.")):
        module, _, name = below.rpartition(".")
        # A module; a name in one; a name of the catalogue, for which its import alone counts.
        candidates = (below, module or catalogue.get(name, ""))
        found += [next((c for c in candidates if c and c in modules), "")]
    return tuple(sorted({*found} - {""}))


@functools.cache
def _catalogue(package: Path) -> dict[str, str]:
    """Which module each of ``mvlib``'s own names comes from."""
    return {
        a.asname or a.name: (node.module or "").removeprefix("mvlib.")
        for node in ast.parse(sources(package).get("", "")).body
        if isinstance(node, ast.ImportFrom)
        for a in node.names
    }


def digest_of(modules: Iterable[str]) -> str:
    """Hash of the bare source of some of mvlib's modules."""
    texts = (f"\n# {name}\n{bare_source(sources(PACKAGE)[name])}" for name in modules)
    return hashlib.sha256("".join(texts).encode()).hexdigest()


@functools.cache
def fingerprint(module: str | None = None) -> str:
    """Hash of the bare source of `module` and all it reaches; of the whole library by default."""
    return digest_of(modules_reached(module) if module else sorted(sources(PACKAGE)))
