"""The run-time type checker of the test run: an int is welcome where a float is annotated, as it
is for mypy (PEP 484's numeric tower; beartype leaves that off)."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
