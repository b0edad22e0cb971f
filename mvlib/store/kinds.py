"""Kinds of study: what the store, the sweep and the command line must know of one.

A kind is one module, or one file of a reader's own, that ends with ``register(Kind(...))``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvlib.core.checks import BadInput, require, require_int
from mvlib.core.files import Arrays
from mvlib.core.source import bare_source, digest_of, fingerprint, modules_imported


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of study.

    Attributes:
        name: in words, one of its own.
        configuration: the frozen dataclass of its studies.
        run: ``run(study, ...) -> arrays``; it is given those of the keywords progress, device,
            checkpoint and teacher_outputs that it takes.
        work: floating-point operations of a study, about; decides order and time estimates.
        steps: how often a study reports progress, about.
        version: >= 1, a part of every key.  Raise it when the same configuration gives other
            numbers: what is stored is then computed again.

    Raises:
        BadInput: for a field out of its range.
    """

    name: str
    configuration: type
    run: Callable[..., Arrays]
    work: Callable[[Any], float]
    steps: Callable[[Any], int] = lambda study: 1
    version: int = 1

    def __post_init__(self) -> None:
        frozen = dataclasses.is_dataclass(self.configuration) and (
            self.configuration.__dataclass_params__.frozen  # type: ignore[attr-defined]
        )
        require(frozen, "configuration", "", self.configuration, "be a frozen dataclass",
                "decorate it: @dataclass(frozen=True)")  # fmt: skip
        require_int("version", "", self.version, 1, "number the versions from 1")

    @property
    def source(self) -> str:
        """Hash of the code that a study's numbers depend on: the module of `run` and all of mvlib
        that it reaches."""
        module = self.run.__module__
        if module.startswith("mvlib."):
            return fingerprint(module.removeprefix("mvlib."))
        path = getattr(sys.modules[module], "__file__", None)
        text = Path(path).read_text(encoding="utf-8") if path else inspect.getsource(self.run)
        reached = digest_of(modules_imported(text))
        return hashlib.sha256(f"{bare_source(text)}\n{reached}".encode()).hexdigest()

    def compute(self, study: Any, **given: Any) -> Arrays:
        """`run`, given the keywords that it takes."""
        takes = inspect.signature(self.run).parameters
        return self.run(study, **{name: given[name] for name in given if name in takes})


_KINDS: dict[type, Kind] = {}


def register(kind: Kind) -> Kind:
    """Make a kind of study known; registering one of the same name again replaces it.

    Raises:
        BadInput: if its configuration is another kind's, or the other way round.
    """
    for other in list(_KINDS.values()):
        if other.name == kind.name:
            del _KINDS[other.configuration]
    free = kind.configuration not in _KINDS
    require(free, "configuration", "", kind.configuration.__name__, "be no other kind's",
            "define a class of your own")  # fmt: skip
    _KINDS[kind.configuration] = kind
    return kind


def kind_of(study: object) -> Kind:
    """The kind that a configuration belongs to.

    Raises:
        BadInput: if none is registered for it.
    """
    kind = _KINDS.get(type(study))
    if kind is None:
        known = ", ".join(sorted(c.__name__ for c in _KINDS))
        raise BadInput(
            f"study = {type(study).__name__} must be of a registered kind ({known}); "
            "register(Kind(...)) in the module that defines it."
        )
    return kind


def own_kinds() -> list[Kind]:
    """The kinds of mvlib itself, whose numbers the book prints, by name."""
    own = (kind for kind in _KINDS.values() if kind.run.__module__.startswith("mvlib."))
    return sorted(own, key=lambda kind: kind.name)
