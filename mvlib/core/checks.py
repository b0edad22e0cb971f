"""One way to refuse a bad value: a sentence with field, symbol, value, bound and remedy."""

from __future__ import annotations

import dataclasses
import math


class BadInput(ValueError):
    """A value outside its allowed range; its message names field, value, bound and remedy."""


def require(holds: bool, field: str, symbol: str, value: object, bound: str, remedy: str) -> None:
    """Raise `BadInput` unless `holds`.

    Raises:
        BadInput: one sentence, e.g. ``single_view_fraction (mu) = 1.5 must lie in [0, 1]; ...``.
    """
    if not holds:
        raise BadInput(f"{field} ({symbol}) = {value!r} must {bound}; {remedy}.")


def require_int(field: str, symbol: str, value: object, low: int, remedy: str) -> None:
    """Raise `BadInput` unless `value` is a plain integer of at least `low`."""
    fits = isinstance(value, int) and not isinstance(value, bool) and value >= low
    require(fits, field, symbol, value, f"be an integer >= {low}", remedy)


def require_number(
    field: str,
    symbol: str,
    value: object,
    low: float,
    high: float,
    remedy: str,
    *,
    open_low: bool = False,
) -> None:
    """Raise `BadInput` unless `value` is finite and in [low, high] (or (low, high])."""
    fits = False
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        fits = low < value <= high if open_low else low <= value <= high
    bracket = "(" if open_low else "["
    close = ")" if math.isinf(high) else "]"
    require(fits, field, symbol, value, f"lie in {bracket}{low:g}, {high:g}{close}", remedy)


def require_interval(
    field: str, symbol: str, value: object, low: float, high: float, remedy: str
) -> None:
    """Raise `BadInput` unless `value` is a pair (a, b) of numbers with low <= a <= b <= high."""
    fits = (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(v, (int, float)) and math.isfinite(v) for v in value)
        and low <= value[0] <= value[1] <= high
    )
    bound = f"be a pair (a, b) with {low:g} <= a <= b <= {high:g}"
    require(fits, field, symbol, value, bound, remedy)


def require_plain(field: str, symbol: str, value: object) -> None:
    """Raise `BadInput` unless `value` is a frozen dataclass of numbers, words and more of these:
    what a stored result can be found by."""
    made = getattr(type(value), "__dataclass_params__", None)
    fits = made is not None and made.frozen and _is_plain(value)
    require(fits, field, symbol, value, "be a frozen dataclass of numbers and words",
            "write @dataclass(frozen=True) above the class and keep arrays out of it")  # fmt: skip


def _is_plain(value: object) -> bool:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return all(_is_plain(getattr(value, f.name)) for f in dataclasses.fields(value))
    if isinstance(value, tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))
