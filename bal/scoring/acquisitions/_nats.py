"""p log p with its limit at zero."""

from __future__ import annotations

import jax.numpy as jnp

from bal.types import Array


def plogp(p: Array) -> Array:
    """p log p in nats, 0 at p = 0; finite everywhere."""
    return p * jnp.log(jnp.maximum(p, jnp.finfo(p.dtype).tiny))
