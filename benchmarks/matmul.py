r"""The yardstick: the two matrix products of a training step and nothing else.

$C = X W^\top$ (N P x S k m) and $C^\top X$ (S k m x d), 4 N P d S k m flops.  Nobody says that one
call a product is the fastest way to do them: blocks of patches whose results stay in the cache
between the two products can be faster, and which side is transposed matters to the library below.
The fastest of these ways is what a training step is compared with.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from mvlib.core.arithmetic import ONEDNN, inner_products
from rounds import Seconds, timed

CACHE_BYTES = (1 << 20, 1 << 21, 1 << 22, 1 << 23, 1 << 24)  # of a block's correlations
CALIBRATION = 3  # runs of each blocked way, the fastest of which goes on to the rounds
CALIBRATION_ROWS = 10_000  # patches of such a run: many blocks, and the rate is the same for more


def plain(W: Tensor, X: Tensor) -> Callable[[], Tensor]:
    """Both products in one call each."""
    rows, columns = X.reshape(-1, X.shape[-1]), W.reshape(-1, W.shape[-1])
    C = X.new_empty(len(rows), len(columns))
    result = torch.empty_like(columns)

    def products() -> Tensor:
        torch.mm(rows, columns.T, out=C)
        return torch.mm(C.T, rows, out=result)

    return products


def blocked(W: Tensor, X: Tensor, size: int, *, transposed: bool) -> Callable[[], Tensor]:
    """Both products for `size` patches at a time; `transposed`: correlations stored with a row a
    neuron instead of a row a patch."""
    rows, columns = X.reshape(-1, X.shape[-1]), W.reshape(-1, W.shape[-1])
    if ONEDNN and X.dtype == torch.float32:
        return by_onednn(columns, rows, size, transposed=transposed)
    C = X.new_empty((len(columns), size) if transposed else (size, len(columns)))
    result = torch.empty_like(columns)

    def products() -> Tensor:
        result.zero_()
        for part in rows.split(size):
            if transposed:
                here = C if len(part) == size else C[:, : len(part)]
                torch.mm(columns, part.T, out=here)
                result.addmm_(here, part)
            else:
                here = C[: len(part)]
                torch.mm(part, columns.T, out=here)
                result.addmm_(here.T, part)
        return result

    return products


def by_onednn(
    columns: Tensor, rows: Tensor, size: int, *, transposed: bool
) -> Callable[[], Tensor]:
    """The blocked products by oneDNN, where torch.mm would ask MKL (`mvlib.core.arithmetic`)."""
    result = torch.empty_like(columns)

    def products() -> Tensor:
        result.zero_()
        for part in rows.split(size):
            here = inner_products(columns, part) if transposed else inner_products(part, columns).T
            result.add_(inner_products(here, part.T))
        return result

    return products


def yardsticks(W: Tensor, X: Tensor) -> dict[str, Seconds]:
    """The plain products and the fastest blocked ones of this machine and shape, warmed up, all
    in the type of X: in bfloat16 their results are rounded to it, too, which costs least.  Each
    round compares with the faster of the two in that round."""
    W = W.to(X.dtype)
    bytes_a_row = W.shape[:-1].numel() * X.element_size()
    few = X.reshape(-1, X.shape[-1])[:CALIBRATION_ROWS]
    ways = {
        f"{limit >> 20} MB blocks{', transposed' if transposed else ''}": partial(
            blocked, W, size=max(1, min(limit // bytes_a_row, len(few))), transposed=transposed
        )
        for limit in CACHE_BYTES
        for transposed in (False, True)
    }
    trials = {}
    for name, way in ways.items():
        products = way(few)
        trials[name] = min(timed(products) for _ in range(CALIBRATION))
    best = min(trials, key=trials.__getitem__)
    whole, parts = plain(W, X), ways[best](X)
    whole()
    parts()
    return {"plain products": lambda: timed(whole), best: lambda: timed(parts)}
