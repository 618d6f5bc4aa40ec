"""Square tiles on a fixed grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bal.pool.units.base import Reduction, check_top, reduce_last
from bal.types import Array, BadInput


@dataclass(frozen=True)
class Tile:
    """Square tiles on a fixed grid; those at the right and the bottom edge may be smaller."""

    size: int = 16
    """Side of a tile in pixels."""
    reduction: Reduction = "mean"
    """How the pixels of a tile become its score; `top` is the mean of its highest."""
    top: float = 0.1
    """Share of the pixels that `top` counts."""
    looks = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise BadInput(f"a tile needs a size of at least one pixel, got {self.size}")
        check_top(self.top)

    @property
    def multiple(self) -> int:
        return self.size

    def cut(self, shape: tuple[int, int], image: np.ndarray | None = None) -> np.ndarray:
        rows, columns = (np.arange(length, dtype=np.int32) // self.size for length in shape)
        return rows[:, None] * self.grid(shape, 0)[1] + columns[None, :]

    def boxes(self, shape: tuple[int, int], cut: np.ndarray | None = None) -> np.ndarray:
        tops, lefts = (np.arange(0, length, self.size, dtype=np.int32) for length in shape)
        heights = np.minimum(self.size, shape[0] - tops)
        widths = np.minimum(self.size, shape[1] - lefts)
        top, left = np.meshgrid(tops, lefts, indexing="ij")
        height, width = np.meshgrid(heights, widths, indexing="ij")
        return np.stack([top, left, height, width], -1).reshape(-1, 4).astype(np.int32)  # [R, 4]

    def grid(self, shape: tuple[int, int], count: int) -> tuple[int, int]:
        return -(-shape[0] // self.size), -(-shape[1] // self.size)

    def reduce(
        self, score: Array, valid: Array, cut: Array | None = None, room: int = 0, by: Reduction | None = None
    ) -> Array:
        b, h, w = score.shape
        rows, columns = h // self.size, w // self.size

        def pixels_last(x: Array) -> Array:
            x = x.reshape(b, rows, self.size, columns, self.size).transpose(0, 1, 3, 2, 4)
            return x.reshape(b, rows, columns, -1)  # [B, rows, columns, t²]

        return reduce_last(pixels_last(score), pixels_last(valid), by or self.reduction, self.top)
