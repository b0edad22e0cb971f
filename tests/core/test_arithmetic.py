"""Products in each precision, against float64 products of numbers rounded by hand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mvlib.core import arithmetic
from mvlib.core.arithmetic import (
    PRECISIONS,
    Precision,
    describe,
    inner_products,
    is_native,
    multiply,
    product_rates,
    rounded,
)

ULP = 2.0**-7  # distance of neighbouring bfloat16 numbers at 1: half of it is lost by rounding


def by_hand(a: Tensor) -> np.ndarray:
    """Float32 numbers rounded to the nearest that have 7 bits after the leading one, to the even of
    two: bfloat16, done on their bits."""
    bits = a.numpy().view(np.uint32)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return bits.astype(np.uint32).view(np.float32)


def operands() -> tuple[Tensor, Tensor]:
    """Of a pass: weights (k m, d) and the transpose of inputs (n P, d), not rounded."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(37, 500, generator=generator), torch.randn(91, 500, generator=generator)
    return a, b.T


def product(precision: Precision, native: bool, dtype: torch.dtype = torch.float32) -> Tensor:
    a, b = operands()
    out = torch.full((37, 91), torch.nan, dtype=dtype)  # what was there must not matter
    spare = torch.full_like(out, torch.nan, dtype=torch.bfloat16)
    first = rounded(a.to(dtype), precision)
    return multiply(first, b, out, native=native, spare=spare)


def test_rounding_is_to_the_nearest() -> None:
    ties = 1 + ULP * (torch.arange(8) + 0.5)
    a = torch.cat([torch.randn(1000, generator=torch.Generator().manual_seed(1)), ties, -ties])
    (hi,) = rounded(a, "bfloat16")
    assert hi.dtype == torch.bfloat16 and np.array_equal(hi.float().numpy(), by_hand(a))
    first, rest = rounded(a, "split")
    assert torch.equal(first, hi)
    assert np.array_equal(rest.float().numpy(), by_hand(a - torch.from_numpy(by_hand(a))))
    (same,) = rounded(a, "float32")
    assert same is a


def test_rounding_into_memory_that_is_there() -> None:
    a = operands()[0]
    for precision in ("bfloat16", "split"):
        spare = torch.empty_like(a, dtype=torch.bfloat16)
        fresh, found = rounded(a, precision), rounded(a, precision, spare)
        assert found[0] is spare
        assert all(torch.equal(x, y) for x, y in zip(fresh, found, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("native", [True, False])
def test_a_bfloat16_product_is_the_rounded_product_of_rounded_numbers(
    native: bool, dtype: torch.dtype
) -> None:
    a, b = operands()
    exact = by_hand(a).astype(np.float64) @ by_hand(b.contiguous()).astype(np.float64)
    found = product("bfloat16", native, dtype)
    assert np.array_equal(found.float().numpy(), by_hand(found.float()))
    # Sums of 500 products of order one, kept in float32: a few millionths beside the rounding.
    np.testing.assert_allclose(found.numpy(), exact, rtol=ULP / 2, atol=2e-5)
    away = found.float().numpy() != by_hand(torch.from_numpy(exact).float())
    assert away.mean() < 0.005, "where a sum lies between two numbers, either"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("native", [True, False])
def test_a_split_product_is_nearly_that_of_float32(native: bool, dtype: torch.dtype) -> None:
    a, b = operands()
    exact = a.numpy().astype(np.float64) @ by_hand(b.contiguous()).astype(np.float64)
    found = product("split", native, dtype).numpy()
    assert np.abs(found - exact).max() < 1e-5 * np.abs(exact).max()
    assert np.linalg.norm(found - exact) < 1e-5 * np.linalg.norm(exact)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_float32_product_rounds_nothing(dtype: torch.dtype) -> None:
    a, b = operands()
    found = product("float32", False, dtype)
    # Another library may do it, in another order of sums: rounding of 500 terms of order one.
    atol = 0 if dtype == torch.float64 else 1e-4
    torch.testing.assert_close(found, a.to(dtype) @ b.to(dtype), rtol=0, atol=atol)


def test_both_ways_give_the_same_up_to_the_last_bit() -> None:
    one, other = product("bfloat16", True), product("bfloat16", False)
    # The order of the sums decides where they lie in the middle of two bfloat16 numbers.
    assert float((one != other).float().mean()) < 0.005
    torch.testing.assert_close(one, other, rtol=ULP, atol=0)


# -- how they are done ---------------------------------------------------------------------------

WAYS: list[tuple[float, float, dict[str, bool]]] = [
    (100, 90, {"bfloat16": False, "split": False}),
    (100, 110, {"bfloat16": True, "split": False}),
    (100, 290, {"bfloat16": True, "split": False}),  # a split product is three
    (100, 310, {"bfloat16": True, "split": True}),
    (100, 0, {"bfloat16": False, "split": False}),
    (0, 0, {"bfloat16": False, "split": False}),
]


def pretend(monkeypatch: pytest.MonkeyPatch, float32: float, bfloat16: float) -> None:
    rates = {"float32": float32, "bfloat16": bfloat16}
    monkeypatch.setattr(arithmetic, "product_rates", lambda device: rates)


@pytest.mark.parametrize(("float32", "bfloat16", "ways"), WAYS)
def test_the_faster_way_is_taken(
    monkeypatch: pytest.MonkeyPatch, float32: float, bfloat16: float, ways: dict[Any, bool]
) -> None:
    pretend(monkeypatch, float32, bfloat16)
    assert {precision: is_native(precision) for precision in PRECISIONS} == ways | {
        "float32": False
    }


@pytest.mark.parametrize(
    ("precision", "rates", "said"),
    [
        ("bfloat16", (210.4, 930.2),
         "products in bfloat16: by bfloat16 instructions (float32 210, bfloat16 930 GFLOP/s)"),
        ("split", (210.4, 630.0),
         "products in split: in float32, of numbers rounded alike: bfloat16 instructions are "
         "missing or slower here (float32 210, bfloat16 630 GFLOP/s)"),
        ("float32", (210.4, 930.2),
         "products in float32: in float32 (float32 210, bfloat16 930 GFLOP/s)"),
    ],
)  # fmt: skip
def test_the_way_is_said_with_its_rates(
    monkeypatch: pytest.MonkeyPatch,
    precision: Precision,
    rates: tuple[float, float],
    said: str,
) -> None:
    pretend(monkeypatch, *rates)
    assert describe(precision) == said


def test_rates_are_measured_once() -> None:
    rates = product_rates("cpu")
    assert rates.keys() == {"float32", "bfloat16"} and min(rates.values()) > 0
    assert product_rates("cpu") is rates


def test_the_best_turn_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = {torch.float32: iter([3e-2, 1e-2, 2e-2, 4e-2, 5e-2]),
               torch.bfloat16: iter([9e-3, 8e-3, 7e-3, 6e-3, 5e-3])}  # fmt: skip
    monkeypatch.setattr(arithmetic, "_seconds", lambda a, b: next(seconds[a.dtype]))
    rates = product_rates.__wrapped__("cpu")
    operations = 2 * arithmetic.SIZE**3  # a multiplication and an addition each
    assert rates == pytest.approx({"float32": operations / 1e7, "bfloat16": operations / 5e6})


def test_a_device_without_the_product_has_rate_0(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(a: Tensor, b: Tensor) -> float:
        if a.dtype == torch.bfloat16:
            raise RuntimeError('"addmm_impl_cpu_" not implemented for BFloat16')
        return 1.0

    monkeypatch.setattr(arithmetic, "_seconds", seconds)
    rates = product_rates.__wrapped__("cpu")
    assert rates["bfloat16"] == 0 and rates["float32"] > 0
    pretend(monkeypatch, **rates)
    assert not is_native("bfloat16") and not is_native("split")


def test_where_nothing_can_be_timed_nothing_is() -> None:
    assert set(product_rates("meta").values()) == {0.0}
    assert is_native("bfloat16", "meta") and not is_native("float32", "meta")


def test_rows_with_gaps_are_copied_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are not, oneDNN takes a thousand times as long."""
    seen: list[bool] = []

    def spy(left: Tensor, right: Tensor, *_: Any) -> Tensor:
        seen.append(left.is_contiguous() and (right.is_contiguous() or right.T.is_contiguous()))
        return left @ right.T

    monkeypatch.setattr(arithmetic, "ONEDNN", True)
    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", spy, raising=False)
    wide = torch.randn(20, 30, generator=torch.Generator().manual_seed(1))
    for left, right in ((wide[:, :10], wide[:, 10:20]), (wide[:, ::3], wide[:10].T)):
        assert torch.allclose(inner_products(left, right), left @ right.T)
    assert seen == [True, True]
