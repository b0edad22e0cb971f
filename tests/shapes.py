"""The run-time type checker of the test run: an int is welcome where a float is annotated, as it
is for mypy (PEP 484's numeric tower; beartype leaves that off)."""

from collections.abc import Iterator
from contextlib import contextmanager

import jaxtyping
from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


@contextmanager
def unchecked() -> Iterator[None]:
    """As outside the tests, where the library itself has to notice."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
