"""Precisions of the large matrix products, and how fast this machine does them."""

from __future__ import annotations

import functools
import time
from typing import Literal, get_args

import torch
import torch.nn.functional as nnf
from torch import Tensor

Precision = Literal["float32", "bfloat16", "split"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
SIZE = 768  # of the products timed: their operands stay in a cache, they take milliseconds
TURNS = 5
# Without a public name in torch: where a build lacks it, torch.mm does the same.
ONEDNN = hasattr(torch.ops.mkldnn, "_linear_pointwise")


@functools.cache  # measured once a process: what it decides must not change in the middle of a run
def product_rates(device: str) -> dict[str, float]:
    """GFLOP/s of float32 and of bfloat16 products with the threads of this process, the best of a
    few short turns; 0 for a type that the device cannot multiply."""
    found = {"float32": 0.0, "bfloat16": 0.0}
    for _ in range(TURNS):  # in turns, so that both meet the same neighbours
        for name in found:
            a, b = torch.ones(2, SIZE, SIZE, device=device, dtype=getattr(torch, name))
            try:
                found[name] = max(found[name], 2e-9 * SIZE**3 / _seconds(a, b))
            except RuntimeError:  # there is no such product
                pass
    return found


def _seconds(a: Tensor, b: Tensor) -> float:
    float((a @ b)[0, 0])  # waits for a device, and warms up
    start = time.perf_counter()
    float((a @ b)[0, 0])
    return time.perf_counter() - start


def is_native(precision: Precision, device: str = "cpu") -> bool:
    """Whether products in this precision are done by bfloat16 instructions here: where they are
    slower than the float32 products that give the same numbers, up to the order of their sums,
    these are done instead.  Precision decides what is rounded, the machine only how."""
    if precision == "float32" or device == "meta":
        return precision != "float32"
    rates, products = product_rates(device), {"bfloat16": 1, "split": 3}[precision]
    return rates["bfloat16"] > products * rates["float32"]


def describe(precision: Precision, device: str = "cpu") -> str:
    """One line for people: how products in this precision are done here, with the rates."""
    rates = product_rates(device)
    said = ", ".join(f"{name} {rate:.0f}" for name, rate in rates.items())
    way = "by bfloat16 instructions" if is_native(precision, device) else "in float32"
    if precision != "float32" and way == "in float32":
        way += ", of numbers rounded alike: bfloat16 instructions are missing or slower here"
    return f"products in {precision}: {way} ({said} GFLOP/s)"


def inner_products(left: Tensor, right: Tensor) -> Tensor:
    """left right^T: of every row of one with every row of the other.

    In float32 on a CPU by oneDNN, as torch's own compiler calls it: as exact as torch.mm, which
    asks MKL, and twice as fast where the processor is not Intel's.  Only rows, or columns, that lie
    one after the other: of others oneDNN has no fast way, and is a thousand times slower.
    """
    if left.dtype == torch.float32 and left.device.type == "cpu" and ONEDNN:
        left, right = left.contiguous(), right if right.T.is_contiguous() else right.contiguous()
        return torch.ops.mkldnn._linear_pointwise(left, right, None, "none", [], "")
    return nnf.linear(left, right)


def rounded(a: Tensor, precision: Precision, spare: Tensor | None = None) -> tuple[Tensor, ...]:
    r"""A matrix as the products of a precision take it.

    - "float32": (a,), as it is.
    - "bfloat16": (hi,), rounded to the 8 bits of bfloat16.
    - "split": (hi, lo) with $a \approx hi + lo$, two such numbers: about 16 bits.

    `spare`, in bfloat16, may be written over.
    """
    if precision == "float32":
        return (a,)
    hi = a.to(torch.bfloat16) if spare is None else spare.copy_(a)
    return (hi,) if precision == "bfloat16" else (hi, (a - hi).to(torch.bfloat16))


def multiply(
    a: tuple[Tensor, ...], b: Tensor, out: Tensor, *, native: bool, spare: Tensor
) -> Tensor:
    r"""a b, of a matrix that is `rounded` and one that is rounded to bfloat16 here, unless
    it is or all is in float32; sums are kept in float32.  A bfloat16 product is rounded to
    bfloat16, a split one to about 16 bits: it is within $10^{-5}$ of float32's.

    Args:
        out: float32 (or float64), where a rounded product is put.
        native: by bfloat16 instructions (`is_native`), or as float32 products of the same numbers.
        spare: bfloat16, of the shape of out; written over.
    """
    wide, hi = out.dtype, a[0]
    if hi.dtype == wide:
        return inner_products(hi, b.to(wide).T)
    b = b.to(torch.bfloat16)
    if len(a) == 2 and not native:
        return torch.mm(hi.to(wide) + a[1].to(wide), b.to(wide), out=out)
    if native:
        torch.mm(hi, b, out=spare)
    else:
        spare.copy_(hi.to(wide) @ b.to(wide))
    out.copy_(spare)
    if len(a) == 2:
        # A product comes back in bfloat16: what that rounded away is a product of its own.
        out += torch.addmm(spare, hi, b, beta=-1)
        out += torch.mm(a[1], b)
    return out
