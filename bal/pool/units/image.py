"""Whole images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bal.pool.units.base import Reduction, check_top, reduce_last
from bal.types import Array


@dataclass(frozen=True)
class Image:
    """Whole images."""

    reduction: Reduction = "mean"
    """How the pixels of an image become its score; `sum` grows with its size."""
    top: float = 0.1
    """Share of the pixels that `top` counts."""
    multiple = 1
    looks = False

    def __post_init__(self) -> None:
        check_top(self.top)

    def cut(self, shape: tuple[int, int], image: np.ndarray | None = None) -> np.ndarray:
        return np.zeros(shape, np.int32)

    def boxes(self, shape: tuple[int, int], cut: np.ndarray | None = None) -> np.ndarray:
        return np.array([[0, 0, *shape]], np.int32)

    def grid(self, shape: tuple[int, int], count: int) -> tuple[int, int]:
        return 1, 1

    def reduce(
        self, score: Array, valid: Array, cut: Array | None = None, room: int = 0, by: Reduction | None = None
    ) -> Array:
        flat = score.shape[0], 1, 1, -1
        return reduce_last(score.reshape(flat), valid.reshape(flat), by or self.reduction, self.top)
