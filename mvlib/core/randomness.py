"""Named, independent random streams grown from one integer seed.

There is no global seed anywhere in this library.  Whatever needs chance asks for a stream by
name, so that two uses of one seed never share numbers: a larger test set does not move the
training set, and network 7 is the same alone or among a hundred.
"""

from __future__ import annotations

import hashlib
import json

import torch

Name = str | int


def stream(seed: int, *name: Name) -> torch.Generator:
    r"""A CPU generator that depends on `seed` (an integer >= 0) and `name` (words or integers that
    say what the stream is for, e.g. ``"test", "single", 3``) only.

    The state is grown from SHA-256 of the pair, so streams of neighbouring seeds are unrelated.
    torch's Mersenne twister keeps 32 bits of what it is given: among a thousand streams the chance
    that any two coincide is about 1e-4.

    Raises:
        ValueError: if `seed` is not an integer >= 0 or no name is given.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"seed must be an integer >= 0, got {seed!r}; pass a plain int.")
    if not name:
        raise ValueError("a stream needs at least one name, got none; say what it is for.")
    digest = hashlib.sha256(json.dumps([seed, *name]).encode()).digest()
    generator = torch.Generator(device="cpu")
    generator.manual_seed(int.from_bytes(digest[:4], "big"))
    return generator
