"""From the store's first form (arrays and record in two files, keys by source) to the present one;
no array is computed or changed."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import sys
from typing import Any

from mvlib.core.checks import BadInput
from mvlib.core.files import arrays_of
from mvlib.store.entries import FORMAT, Store, canonical, default_of, hash_of, plain
from mvlib.store.kinds import Kind, own_kinds
from mvlib.store.stamps import stamped_sources


def migrate(store: Store) -> int:
    """Convert every entry of the first form; returns how many.  Each old pair of files goes when
    its new file is complete: an interruption loses nothing, run again to go on.

    Raises:
        BadInput: if a record cannot be read, its arrays are damaged, or its kind is not known.
    """
    records = sorted(store.root.glob("*/*.json"))
    for path in records:
        arrays_path = path.with_suffix(".npz")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            content = arrays_path.read_bytes()
            if hashlib.sha256(content).hexdigest() != record["sha256"]:
                raise ValueError("its arrays do not match their checksum")
            new = _converted(record)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInput(
                f"stored result {path} cannot be converted ({error}); remove it and compute it "
                "again with `python -m mvlib run`."
            ) from error
        store.write(path.parent / f"{new['key']}.npz", arrays_of(content), new)
        path.unlink()
        arrays_path.unlink()
    return len(records)


def _converted(record: dict[str, Any]) -> dict[str, Any]:
    config = record["config"]
    kind = next(k for k in own_kinds() if k.configuration.__name__ == config[""])
    key = hash_of(record["name"], canonical(_without_defaults(config)), str(kind.version))
    kept = {n: v for n, v in record.items() if n not in ("module", "sha256")}
    return kept | {
        "format": FORMAT, "key": key, "kind": kind.name, "version": kind.version,
        "source": _source(record, kind),
    }  # fmt: skip


def _source(record: dict[str, Any], kind: Kind) -> str:
    """The source that computed an entry, if it is one we know: it was a part of the old key."""
    for source in (*stamped_sources(kind), kind.source):
        if hash_of(record["name"], canonical(record["config"]), source) == record["key"]:
            return source
    return "unknown"


def _without_defaults(value: Any) -> Any:
    """A stored configuration without fields at their default, as in keys."""
    if isinstance(value, list):
        return [_without_defaults(v) for v in value]
    if not isinstance(value, dict):
        return value
    defaults = {f.name: default_of(f) for f in dataclasses.fields(_classes()[value[""]])}
    return {n: _without_defaults(v) for n, v in value.items()
            if not n or defaults[n] is dataclasses.MISSING
            or canonical(plain(defaults[n], full=True)) != canonical(v)}  # fmt: skip


@functools.cache
def _classes() -> dict[str, type]:
    """Every dataclass that a configuration can hold, by the name that it is stored under."""
    loaded = [vars(m) for name, m in list(sys.modules.items()) if name.startswith("mvlib.")]
    every = [v for names in loaded for v in names.values() if isinstance(v, type)]
    return {getattr(c, "STORED_AS", c.__name__): c for c in every if dataclasses.is_dataclass(c)}
