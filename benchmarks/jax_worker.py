"""The JAX contender, in a process of its own: two thread pools in one process would share its
cores, and JAX holds the memory it once took.

Imports JAX only when it serves, so that whoever has none can import this module.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from rounds import timed


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrays:
    """A problem in numpy: weights (seeds, k, m, d), patches (n, P, d), labels (n,); whether the
    products take their operands in bfloat16."""

    W: np.ndarray
    X: np.ndarray
    labels: np.ndarray
    bfloat16: bool
    power: int
    threshold: float
    eta: float


def serve(connection: Connection, threads: int) -> None:
    """Receive `Arrays`, send the weights after one step; then for every True received run one
    step more and send its seconds; end at False."""
    if threads < len(os.sched_getaffinity(0)):
        # XLA starts a thread for every processor it may run on, and has no argument for that.
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    arrays: Arrays = connection.recv()
    step = compiled_step(arrays)
    connection.send(np.asarray(step()))
    with suppress(EOFError):  # whoever asked is gone
        while connection.recv():
            connection.send(timed(step))


def compiled_step(arrays: Arrays) -> Any:
    """A function without arguments that does one update of all networks from the same weights
    and waits for the result; compiled, its data on the device."""
    import jax
    import jax.numpy as jnp

    if arrays.X.dtype == np.float64:
        jax.config.update("jax_enable_x64", True)
    q, varrho, eta = arrays.power, arrays.threshold, arrays.eta
    W, X, labels = (jnp.asarray(a) for a in (arrays.W, arrays.X, arrays.labels))
    if arrays.bfloat16:
        X = X.astype(jnp.bfloat16)

    def product(a: Any, b: Any) -> Any:
        """a b, of operands like X, summed and returned as the weights are."""
        return jnp.matmul(a.astype(X.dtype), b.astype(X.dtype), preferred_element_type=W.dtype)

    correlations: Any = lambda patches, neurons: product(patches, neurons.T)  # noqa: E731
    if arrays.bfloat16:
        # The derivative that JAX takes by itself multiplies float32 by bfloat16, and XLA does that
        # in float32: with both operands in bfloat16 a step took .6 of the time.
        correlations = jax.custom_vjp(correlations)
        correlations.defvjp(
            lambda patches, neurons: (product(patches, neurons.T), patches),
            lambda patches, slopes: (None, product(slopes.T, patches)),
        )

    def loss(weights: Any, X: Any, labels: Any) -> Any:
        k, m, d = weights.shape
        z = correlations(X.reshape(-1, d), weights.reshape(-1, d))
        # XLA turns the integer power into products and fuses the whole pointwise pass.
        active = jnp.clip(z, 0, varrho) ** q / (q * varrho ** (q - 1)) + jax.nn.relu(z - varrho)
        F = active.reshape(len(X), -1, k, m).sum(axis=(1, 3))
        return -jnp.take_along_axis(jax.nn.log_softmax(F), labels[:, None], axis=1).mean()

    @jax.jit
    def update(W: Any, X: Any, labels: Any) -> Any:
        # vmap makes one product of the ten networks' ten: their weights become its columns.
        return W - eta * jax.vmap(jax.grad(loss), in_axes=(0, None, None))(W, X, labels)

    def step() -> Any:
        return update(W, X, labels).block_until_ready()

    step()
    return step
