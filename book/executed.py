"""What an executed chapter is: its hash, its receipts, when it is stale, its settled form."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

INJECTED = "injected-parameters"  # papermill's tag for the cell it adds
RECEIPTS = "receipts"  # our tag for the cell that says what the chapter read
Notebook = dict[str, Any]


def read(path: Path) -> Notebook:
    """A notebook as JSON, with every text joined to one string."""
    notebook: Notebook = json.loads(path.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    return notebook


def tags(cell: Mapping[str, Any]) -> list[str]:
    return sorted(cell["metadata"].get("tags", []))


def sources_sha256(notebook: Notebook) -> str:
    """Hash of what an author writes: kinds, texts and tags of the cells papermill did not add."""
    cells = [c for c in notebook["cells"] if INJECTED not in tags(c)]
    text = json.dumps([[c["cell_type"], c["source"], tags(c)] for c in cells])
    return hashlib.sha256(text.encode()).hexdigest()


def receipts(notebook: Notebook) -> dict[str, Any] | None:
    """What the chapter says it was made from: {"library": hash, "entries": {name/key: hash}}, and
    where it read others, "files": {path from the notebook's folder: hash}."""
    for cell in reversed(notebook["cells"]):
        for output in cell.get("outputs", []) if RECEIPTS in tags(cell) else []:
            found = output.get("data", {}).get("application/json")
            if isinstance(found, dict) and {"library", "entries"} <= found.keys():
                return found
    return None


def why_stale(
    chapter: Path, notebook: Path, results: Path, fingerprint: str, scale: str | None = None
) -> str | None:
    """Why an executed chapter can no longer be trusted, or None if it is current."""
    if not chapter.is_file():
        return "it has not been executed yet"
    source = read(notebook)
    try:
        executed = read(chapter)
        recorded = executed["metadata"]["mvlib"]
        made_from = receipts(executed)
    except (ValueError, KeyError, TypeError, AttributeError):
        return "the executed chapter is damaged"
    wanted = sources_sha256(source)
    if recorded.get("notebook_sha256") != wanted or sources_sha256(executed) != wanted:
        return "the notebook has changed"
    if scale is not None and recorded.get("scale") != scale:
        return f"it was executed at scale {recorded.get('scale')!r}, not {scale!r}"
    if made_from is None:
        return "it has no receipts"
    if made_from["library"] != fingerprint:
        return "the library's code has changed"
    for entry, expected in made_from["entries"].items():
        path = results / f"{entry}.npz"
        if not path.is_file():
            return f"the store no longer holds {entry}"
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            return f"store entry {entry} has changed"
    for name, expected in made_from.get("files", {}).items():
        path = notebook.parent / name
        if not path.is_file():
            return f"{name} is gone"
        if hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            return f"{name} has changed"
    return None


def normalise(executed: Notebook, source: Notebook, scale: str, parameters: object) -> Notebook:
    """The executed notebook without what differs between two equal runs.

    Cell ids and metadata are the source's.  Progress bars go; any other text on stderr stays, and
    the book's build refuses it.
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
        },
    }
    return executed


def _settled(outputs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Outputs with each stream in one piece (its pieces depend on timing), without progress."""
    streams: dict[str, dict[str, Any]] = {}
    for output in outputs:
        if output["output_type"] != "stream":
            yield output
            continue
        output["text"] = "".join(output["text"])
        if output["name"] in streams:
            streams[output["name"]]["text"] += output["text"]
        else:
            streams[output["name"]] = output
    yield from (s for s in streams.values() if s["name"] != "stderr" or "\r" not in s["text"])
