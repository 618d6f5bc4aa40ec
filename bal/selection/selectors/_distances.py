"""Distances to the nearest of some centres: what the selectors that spread a batch share."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from bal.selection.selectors._basket import Basket, gumbel
from bal.selection.selectors.base import Offer
from bal.types import Array, Key


@jax.jit
def nearer(nearest: Array, x: Array, centres: Array, count: Array | int) -> Array:
    """[M] squared distance of each row of x [M, F] to the nearest centre.

    Differences are squared one by one and not multiplied out, so that a row is at distance 0 from its like.

    Args:
        nearest: [M] the squared distance so far.
        x: [M, F].
        centres: [n] rows of x that become centres.
        count: how many of them, from the first on.
    """

    def step(n: Array, nearest: Array) -> Array:
        return jnp.minimum(nearest, ((x - x[centres[n]][None]) ** 2).sum(1))

    return jax.lax.fori_loop(0, count, step, nearest)


def spread(
    basket: Basket, x: np.ndarray, known: np.ndarray, centres: np.ndarray, pick: Callable[[np.ndarray, np.ndarray], int]
) -> None:
    """Fills a basket one by one, each purchase a new centre, until nothing known is away from all centres.

    Args:
        basket: what is filled.
        x: [M, F] where regions are.
        known: [M] bool, which of them are anywhere.
        centres: [n] what is a centre already.
        pick: [M] squared distance to the nearest centre, infinite where there is none, and what can be bought → which.
    """
    able = basket.open & known
    if not able.any():
        return
    place, padded = jnp.asarray(x), np.pad(centres, (0, len(x) - centres.size))
    nearest = nearer(jnp.full(len(x), jnp.inf, jnp.float32), place, jnp.asarray(padded), centres.size)
    while (among := np.flatnonzero(able & (np.asarray(nearest) > 0))).size:
        m = pick(np.asarray(nearest), among)
        if basket.take(m):
            nearest = nearer(nearest, place, jnp.array([m]), 1)
        able = basket.open & known


def drawn(key: Key, offer: Offer, weight: np.ndarray, among: np.ndarray) -> int:
    """One of some candidates, drawn by [M] weights, some of them positive."""
    with np.errstate(divide="ignore"):
        noisy = np.log(weight[among].astype(np.float64)) + gumbel(key, offer, weight.size)[among]
    return int(among[np.argmax(noisy)])
