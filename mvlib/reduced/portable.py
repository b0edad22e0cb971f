r"""Random numbers that a browser draws as well: the same seed gives the same draws in Python and
in JavaScript (`book/_explorable/explorable/reduced.js`).

Counter-based, so that no state is passed around: number n of the stream `words` is
$h(\mathrm{key} + (n + 1)\,\mathtt{0x9E3779B9} \bmod 2^{32})$, where h is Chris Wellons' 32-bit
mixer `lowbias32` and the key folds the words in by the same h.  This is splitmix32 started at the
key: all streams lie on one cycle of length $2^{32}$, so two of length n share numbers with
probability about $2n/2^{32}$; fine for a picture, and no more than that is asked of it.
Experiments draw from `mvlib.core.randomness`.
"""

from __future__ import annotations

import math

import numpy as np

from mvlib.core.checks import require, require_int

GOLDEN = 0x9E3779B9
WORD = 1 << 32


def mix(x: np.ndarray) -> np.ndarray:
    """lowbias32: a bijection of 32-bit integers in which every bit depends on every other.

    Args:
        x: uint64 numbers below $2^{32}$ (64 bits hold the products).
    """
    x = x ^ (x >> np.uint64(16))
    x = (x * np.uint64(0x7FEB352D)) % np.uint64(WORD)
    x = x ^ (x >> np.uint64(15))
    x = (x * np.uint64(0x846CA68B)) % np.uint64(WORD)
    return x ^ (x >> np.uint64(16))


def uniforms(n: int, *words: int) -> np.ndarray:
    """The first n numbers of a stream, uniform on the $2^{32}$ midpoints $(j + 1/2)/2^{32}$.

    Args:
        n: how many, >= 0.
        words: integers in $[0, 2^{32})$ that name the stream, e.g. a seed, what for, which one.

    Raises:
        BadInput: if n < 0, no word is given or a word is out of range.
    """
    require_int("n", "n", n, 0, "ask for no fewer than none")
    require(len(words) > 0, "words", "", words, "hold at least one integer", "name the stream")
    key = np.zeros(1, dtype=np.uint64)
    for word in words:
        require_int("word", "", word, 0, "use integers from 0 on")
        require(word < WORD, "word", "", word, "be below 2^32", "use a smaller one")
        key = mix((key + np.uint64(GOLDEN + word)) % np.uint64(WORD))
    counter = np.arange(1, n + 1, dtype=np.uint64)
    drawn = mix((key + counter * np.uint64(GOLDEN)) % np.uint64(WORD))
    return (drawn + 0.5) / WORD


def normals(n: int, *words: int) -> np.ndarray:
    r"""The first n standard normals of a stream, by Box and Muller:
    $\sqrt{-2\ln u_1}\cos 2\pi u_2$ of two uniforms each.  None exceeds 6.8.

    Raises:
        BadInput: as `uniforms`.
    """
    u = uniforms(2 * n, *words)
    return np.sqrt(-2 * np.log(u[::2])) * np.cos(2 * math.pi * u[1::2])
