"""Give every notebook the cell that lets it run where it is opened by itself, as on Colab:

    python book/opening.py

The cell names the repository of `_config.yml`, or of BOOK_REPOSITORY in the environment, which
outranks it.  It shows nothing and is no part of what makes a chapter current; a test fails where a
notebook has another one or none.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import yaml

from executed import OPENING, notebooks_in, tags

ROOT = Path(__file__).resolve().parent.parent
CODE = """\
# Only where this notebook was opened by itself, as on Colab: fetch the library and its results.
import importlib.util

if importlib.util.find_spec("mvlib") is None:
    repository = "{repository}"
    assert repository, "set `repository` to where this notebook is from: https://github.com/..."
    !git clone --quiet --depth 1 "$repository" multi-view-book
    %pip install --quiet "./multi-view-book[book]"
    %cd multi-view-book/notebooks"""


def address() -> str:
    """Where the source stands, or nothing."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    return os.environ.get("BOOK_REPOSITORY") or config["repository"]["url"]


def opened(notebook: dict[str, Any], repository: str) -> dict[str, Any]:
    """The notebook with the cell before all other code."""
    others = [cell for cell in notebook["cells"] if OPENING not in tags(cell)]
    first = next(i for i, cell in enumerate(others) if cell["cell_type"] == "code")
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": OPENING,
        "metadata": {"tags": [OPENING, "remove-cell"]},
        "outputs": [],
        "source": CODE.format(repository=repository).splitlines(keepends=True),
    }
    return notebook | {"cells": [*others[:first], cell, *others[first:]]}


def main() -> None:
    """Write the cell into all notebooks."""
    for path in notebooks_in(ROOT / "notebooks"):
        notebook = opened(json.loads(path.read_text(encoding="utf-8")), address())
        text = json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
