"""Write two lists that the page on trust includes: every liberty taken, every finding that differs.

Liberties are the paragraphs that begin with ``Choice:`` in the library's docstrings, read from the
source.  A finding differs if its verdict is not "holds"; it is read from the store at scale `book`,
and nothing is computed.

    python book/trust_lists.py
"""

from __future__ import annotations

import ast
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # this clone's mvlib, installed or not

from mvlib.core.source import sources  # noqa: E402
from mvlib.experiments.settings import Experiment  # noqa: E402
from mvlib.findings.claims import CONTROLS, findings  # noqa: E402
from mvlib.findings.finding import Finding  # noqa: E402
from mvlib.run.dispatch import entry_of  # noqa: E402
from mvlib.store.entries import Arrays, Store  # noqa: E402

CHOICES = ROOT / "book" / "_choices.md"
DIFFERENCES = ROOT / "book" / "_differences.md"
WRITTEN = "% Written by `python book/trust_lists.py`; a test fails when it is out of date.\n\n"


class NotStored(LookupError):
    """A result that the store does not hold."""


def choices(package: Path) -> Iterator[tuple[str, str]]:
    """(name, text) of every choice, e.g. ("learner.LearnerParams", "the paper takes ...")."""
    for module, text in sources(package).items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
                for part in _parts(ast.get_docstring(node) or ""):
                    _, found, choice = part.partition("Choice: ")
                    if found:
                        yield f"{module}.{node.name}", choice


def _parts(docstring: str) -> Iterator[str]:
    """Its paragraphs, each on one line; an entry of a list counts as one."""
    for block in docstring.split("\n\n"):
        first, _, rest = block.partition("\n")
        listed = re.fullmatch(r"\w+:", first) is not None
        entries = re.split(r"\n(?=\S)", textwrap.dedent(rest)) if listed else [block]
        yield from (" ".join(entry.split()) for entry in entries)


def choices_page(package: Path) -> str:
    """The list of choices, as the docstrings word them."""
    return WRITTEN + "\n".join(
        f"`mvlib.{name}`\n: {text[0].upper()}{text[1:]}\n" for name, text in choices(package)
    )


def differing(found: list[Finding]) -> list[Finding]:
    """Claims of the paper that do not hold to the letter; controls are not claims."""
    return [f for f in found if f.claim not in CONTROLS and f.verdict != "holds"]


def differences_page(found: list[Finding]) -> str:
    """The table of those findings."""
    rows = [
        f"| {f.heading} | {f.prediction} | {f.source} | {f.summary()} | {f.verdict} | {f.unit} |"
        for f in differing(found)
    ]
    head = "| claim | predicted | whose | measured, 95% interval | verdict | unit |\n"
    head += "|---|---|---|---|---|---|\n"
    return WRITTEN + head + "\n".join(rows) + "\n"


def stored_findings(results: Path) -> list[Finding]:
    """Every finding at scale `book`.

    Raises:
        NotStored: if the store lacks what one of them rests on.
    """
    store = Store(results)

    def load(experiment: Experiment) -> Arrays:
        entry = entry_of(experiment, store)
        if entry is None:
            raise NotStored(f"{experiment.name} ({experiment.label}) is not in {results}")
        return entry.arrays

    return findings("book", load)


def main() -> int:
    CHOICES.write_text(choices_page(ROOT / "mvlib"), encoding="utf-8")
    print(f"wrote {CHOICES.relative_to(ROOT)}")
    try:
        text = differences_page(stored_findings(ROOT / "results"))
    except NotStored as error:
        print(f"trust_lists: {error}; {DIFFERENCES.name} stays as it is.", file=sys.stderr)
        return 0
    DIFFERENCES.write_text(text, encoding="utf-8")
    print(f"wrote {DIFFERENCES.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
