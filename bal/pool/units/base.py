"""What a query unit must be: how an image is cut into regions, and how a map becomes one number a region.

A unit is a frozen dataclass. Tiles, whole images and pixels follow from the size of an image alone; superpixels follow
what it shows, so they are cut from the image, always alike, whenever they are needed, and no map of them is kept.
"""

from __future__ import annotations

from typing import Literal, Protocol

import jax.numpy as jnp
import numpy as np

from bal.types import Array, BadInput

Reduction = Literal["mean", "max", "sum", "top"]


class Unit(Protocol):
    """What one query asks about; an entry of `UNITS`."""

    @property
    def multiple(self) -> int:
        """Maps must be padded to multiples of this."""
        ...

    @property
    def looks(self) -> bool:
        """Whether regions follow what an image shows; then `cut` reads it."""
        ...

    def cut(self, shape: tuple[int, int], image: np.ndarray | None = None) -> np.ndarray:
        """[H, W] and, where the unit looks, the image [H, W, Cin] → int32 [H, W], the region of every pixel."""
        ...

    def boxes(self, shape: tuple[int, int], cut: np.ndarray | None = None) -> np.ndarray:
        """[H, W] and, where the unit looks, what `cut` gave → int32 [R, 4]: top, left, height, width of each region."""
        ...

    def grid(self, shape: tuple[int, int], count: int) -> tuple[int, int]:
        """[H, W] and the number of its regions → rows and columns of regions, in the order of their numbers."""
        ...

    def reduce(
        self, score: Array, valid: Array, cut: Array | None = None, room: int = 0, by: Reduction | None = None
    ) -> Array:
        """One number a region.

        Args:
            score: [B, H, W]. valid: [B, H, W], 1 on the image and 0 on its padding.
            cut: [B, H, W] int32 where the unit looks. room: at least as many as the most regions of an image, there.
            by: the reduction; the unit's own unless given.

        Returns:
            [B, rows, columns], NaN where there is no region.
        """
        ...


def reduce_last(score: Array, valid: Array, by: Reduction, top: float) -> Array:
    """[..., P] scores and 0/1 valid pixels → [...], NaN without a valid pixel.

    `top` is the mean of the ⌈top · P⌉ highest of P valid ones: between the maximum and the mean, and like these two,
    and unlike the sum, independent of how many pixels there are.
    """
    pixels = valid.sum(-1)
    if by == "max":
        reduced = jnp.where(valid > 0, score, -jnp.inf).max(-1)
    elif by == "top":
        falling = -jnp.sort(jnp.where(valid > 0, -score, jnp.inf), axis=-1)
        kept = jnp.ceil(top * pixels)
        rank = jnp.arange(score.shape[-1]).reshape((1,) * pixels.ndim + (-1,))
        reduced = jnp.where(rank < kept[..., None], falling, 0.0).sum(-1) / jnp.maximum(kept, 1)
    else:
        reduced = jnp.where(valid > 0, score, 0.0).sum(-1)
        reduced = reduced / jnp.maximum(pixels, 1) if by == "mean" else reduced
    return jnp.where(pixels > 0, reduced, jnp.nan)


def check_top(top: float) -> None:
    """Raises BadInput for a share of pixels that is none."""
    if not 0 < top <= 1:
        raise BadInput(f"expected 0 < top ≤ 1, the share of a region's pixels that count, got {top}")
