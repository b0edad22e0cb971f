"""What an executed chapter is: its hash, its receipts, when it is stale, its settled form."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

INJECTED = "injected-parameters"  # papermill's tag for the cell it adds
OPENING = "opening"  # our tag for the cell that fetches the library where it is missing
RECEIPTS = "receipts"  # our tag for the cell that says what the chapter read
Notebook = dict[str, Any]


class NotANotebook(ValueError):
    """A file that cannot be read as a notebook; the message names it."""


def notebooks_in(folder: Path) -> list[Path]:
    """The notebooks of a folder by name, without what editors and systems leave beside them
    (`._01-a.ipynb`, `.#01-a.ipynb`, `01-a (copy).ipynb`)."""
    return sorted(
        path
        for path in folder.glob("*.ipynb")
        if re.fullmatch(r"\w[\w-]*", path.stem) and path.is_file()
    )


def read(path: Path) -> Notebook:
    """A notebook as JSON, with every text joined to one string and an id for every cell.

    Where ids are missing or given twice (Colab and old programs save none), cells are numbered.

    Raises:
        NotANotebook: if it is not one, or one of an older format than 4.
    """
    try:
        notebook: Notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = notebook["cells"]
        for cell in cells:
            cell["source"] = "".join(cell["source"])
            cell.setdefault("metadata", {})
        notebook.setdefault("metadata", {})
        if len({cell.get("id") for cell in cells} - {None}) < len(cells):
            for n, cell in enumerate(cells, start=1):
                cell["id"] = f"cell-{n}"
            notebook["nbformat_minor"] = max(5, notebook["nbformat_minor"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        problem = f"{type(error).__name__}: {error}"
        raise NotANotebook(
            f"notebook = {path.name!r} must be a Jupyter notebook of format 4 ({problem}); save it "
            "again from Jupyter, or take it out of the folder."
        ) from error
    return notebook


def tags(cell: Mapping[str, Any]) -> list[str]:
    return sorted(cell["metadata"].get("tags", []))


def _authored(notebook: Notebook) -> list[dict[str, Any]]:
    """The cells of this notebook's own: neither papermill's nor the one that all have."""
    return [cell for cell in notebook["cells"] if not {INJECTED, OPENING} & {*tags(cell)}]


def sources_sha256(notebook: Notebook) -> str:
    """Hash of what an author writes: kinds, texts and tags of cells, names and captions of what
    they show."""
    text = json.dumps([
        [c["cell_type"], c["source"], tags(c), *filter(None, [c["metadata"].get("mystnb")])]
        for c in _authored(notebook)
    ])  # fmt: skip
    return hashlib.sha256(text.encode()).hexdigest()


def code_of(notebook: Notebook) -> list[str]:
    """Its code cells as Python: without IPython's own lines (`%matplotlib inline`, `!ls`)."""
    return [
        re.sub(r"^[ \t]*(%%?|!)\w.*$", "", cell["source"], flags=re.MULTILINE)
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    ]


def receipts(notebook: Notebook) -> dict[str, Any] | None:
    """What the chapter says it read: {"entries": {name/key: hash}}, and where it read others,
    "files": {path from the notebook's folder: hash}."""
    for cell in reversed(notebook["cells"]):
        for output in cell.get("outputs", []) if RECEIPTS in tags(cell) else []:
            found = output.get("data", {}).get("application/json")
            if isinstance(found, dict) and "entries" in found:
                return found
    return None


def why_stale(
    chapter: Path,
    notebook: Path,
    sources: Callable[[Notebook], Mapping[str, str]],
    entry: Callable[[str], str | None],
    scale: str | None = None,
) -> str | None:
    """Why an executed chapter can no longer be trusted, or None if it is current.

    Args:
        sources: the hash of each module of the library that a notebook uses, as it is now.
        entry: the hash of a stored result by "name/key", None if there is no such result.
        scale: at which it must have been executed; None: at any.

    Raises:
        NotANotebook: if the notebook cannot be read.
    """
    if not chapter.is_file():
        return "it has not been executed yet"
    source = read(notebook)
    try:
        executed = read(chapter)
        recorded = executed["metadata"]["mvlib"]
        made_from = receipts(executed)
        spoiled = _spoiled(executed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "the executed chapter is damaged"
    wanted = sources_sha256(source)
    if recorded.get("notebook_sha256") != wanted or sources_sha256(executed) != wanted:
        return "the notebook has changed"
    if scale is not None and recorded.get("scale") != scale:
        return f"it was executed at scale {recorded.get('scale')!r}, not {scale!r}"
    if spoiled or made_from is None:
        return spoiled or "it has no receipts"
    for name, now in sources(source).items():
        if recorded.get("sources", {}).get(name) != now:
            return f"the source of {name} has changed"
    for name, expected in made_from["entries"].items():
        found = entry(name)
        if found is None:
            return f"the store no longer holds {name}"
        if found != expected:
            return f"store entry {name} has changed"
    for name, expected in made_from.get("files", {}).items():
        path = notebook.parent / name
        if not path.is_file():
            return f"{name} is gone"
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            return f"{name} has changed"
    return None


def _spoiled(executed: Notebook) -> str | None:
    """What no chapter may show: an error that was not asked for, or text from stderr."""
    for n, cell in enumerate(_authored(executed), start=1):
        for output in cell.get("outputs", []):
            if output["output_type"] == "error" and "raises-exception" not in tags(cell):
                return f"its cell {n} shows an error"
            if output.get("name") == "stderr":
                return f"its cell {n} shows text from stderr"
    return None


def renew(new: Notebook, old: Notebook) -> str | None:
    """Give the cells of a new chapter what they showed in the old one, and leave its receipts; or
    say which cell shows something else now, and leave the new chapter as it is."""
    now, before = _authored(new), _authored(old)
    if len(now) != len(before):
        return f"it has {len(now)} cells and had {len(before)}"
    pairs = [
        (n, cell, earlier.get("outputs", []))
        for n, (cell, earlier) in enumerate(zip(now, before, strict=True), start=1)
        if RECEIPTS not in tags(cell)
    ]
    for n, cell, shown in pairs:
        if _seen(cell.get("outputs", [])) != _seen(shown):
            first = cell["source"].partition("\n")[0]
            return f"cell {n} of {len(now)}, `{first}`, shows something else"
    for _, cell, shown in pairs:
        if "outputs" in cell:
            cell["outputs"] = shown
    return None


def _seen(outputs: Sequence[Mapping[str, Any]]) -> str:
    """Outputs as text, with ids of parts of a drawing counted: matplotlib makes them from numbers
    that are drawn to six digits, and whose last differ between machines."""
    names: dict[str, str] = {}

    def count(found: re.Match[str]) -> str:
        return names.setdefault(found[0], f"id{len(names)}")

    def drawing(found: re.Match[str]) -> str:
        text = base64.b64decode(found[1]).decode()
        return re.sub(r"(?<=[#\"])[a-z][0-9a-f]{10}(?=[)\"])", count, text)

    return re.sub(r"data:image/svg\+xml;base64,([\w+/=]+)", drawing, json.dumps(outputs))


def said_aside(executed: Notebook) -> list[tuple[str, str]]:
    """What cells wrote to stderr, by id of the cell, without progress bars."""
    said = []
    for cell in executed["cells"]:
        pieces = [o["text"] for o in cell.get("outputs", []) if o.get("name") == "stderr"]
        lines = "".join(map("".join, pieces)).split("\n")
        if text := "\n".join(line for line in lines if line.strip() and "\r" not in line):
            said.append((cell["id"], text))
    return said


def normalise(
    executed: Notebook,
    source: Notebook,
    scale: str,
    parameters: object,
    sources: Mapping[str, str],
) -> Notebook:
    """The executed notebook without what differs between two equal runs.

    Cell ids and metadata are the source's.  Text on stderr goes (`said_aside` has it): it is about
    the machine, and the book's build would refuse it.
    """
    authored = {cell["id"]: cell for cell in source["cells"]}
    for cell in executed["cells"]:
        if cell["id"] in authored:
            cell["metadata"] = authored[cell["id"]]["metadata"]
        else:
            cell["id"], cell["metadata"] = INJECTED, {"tags": [INJECTED, "remove-cell"]}
        if "outputs" in cell:
            cell["outputs"] = list(_settled(cell["outputs"]))
    python = {"display_name": "Python 3", "language": "python", "name": "python3"}
    executed["metadata"] = source["metadata"] | {
        "kernelspec": python,
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
        "mvlib": {
            "notebook_sha256": sources_sha256(source),
            "scale": scale,
            "parameters": parameters,
            "sources": dict(sources),
        },
    }
    return executed


def _settled(outputs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Outputs with stdout in one piece (its pieces depend on timing), without stderr."""
    printed = ""
    for output in outputs:
        if output["output_type"] != "stream":
            yield output
        elif output["name"] == "stdout":
            printed += "".join(output["text"])
    if printed:
        yield {"name": "stdout", "output_type": "stream", "text": printed}
