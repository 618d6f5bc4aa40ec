"""Single pixels."""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

from bal.pool.units.base import Reduction
from bal.types import Array


@dataclass(frozen=True)
class Pixel:
    """Single pixels; a purchase is a scatter of points."""

    multiple = 1
    looks = False

    def cut(self, shape: tuple[int, int], image: np.ndarray | None = None) -> np.ndarray:
        return np.arange(shape[0] * shape[1], dtype=np.int32).reshape(shape)

    def boxes(self, shape: tuple[int, int], cut: np.ndarray | None = None) -> np.ndarray:
        place = np.indices(shape, np.int32).reshape(2, -1).T  # [R, 2]
        return np.concatenate([place, np.ones_like(place)], 1)

    def grid(self, shape: tuple[int, int], count: int) -> tuple[int, int]:
        return shape

    def reduce(
        self, score: Array, valid: Array, cut: Array | None = None, room: int = 0, by: Reduction | None = None
    ) -> Array:
        return jnp.where(valid > 0, score, jnp.nan)
