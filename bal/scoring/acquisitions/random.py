"""The baseline that never looks."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp

from bal.posterior.moments import Moments
from bal.types import Array


@dataclass(frozen=True)
class Random:
    """Uniform random sampling: every pixel scores alike, and whoever ranks the regions breaks the ties by key.

    It needs no moment, so no forward pass over the pool is ever made for it.
    """

    needs = ()

    def __call__(self, moments: Moments) -> Array:
        return jnp.zeros(moments.predictive.shape[:-1])
