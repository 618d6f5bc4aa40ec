"""Query units: how an image is cut into regions, how a score map becomes one number a region, what a region costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import jax.numpy as jnp
import numpy as np

from bal.types import Array, BadInput, Region

Currency = Literal["regions", "pixels"]


class Unit(Protocol):
    """What one query asks about; an entry of `UNITS`."""

    @property
    def multiple(self) -> int:
        """Score maps must be padded to multiples of this."""
        ...

    def boxes(self, shape: tuple[int, int]) -> np.ndarray:
        """[H, W] → int32 [R, 4]: top, left, height, width of each region; disjoint, and together the whole image."""
        ...

    def grid(self, shape: tuple[int, int]) -> tuple[int, int]:
        """[H, W] → rows and columns of regions, in the order of `boxes`."""
        ...

    def reduce(self, score: Array, valid: Array) -> Array:
        """[B, H, W] scores and 0/1 valid pixels → [B, rows, columns], NaN where a region has no valid pixel."""
        ...


@dataclass(frozen=True)
class Tile:
    """Square tiles on a fixed grid; those at the right and the bottom edge may be smaller."""

    size: int = 16
    """Side of a tile in pixels."""
    reduction: Literal["mean", "max", "sum"] = "mean"
    """How the pixels of a tile become its score."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise BadInput(f"a tile needs a size of at least one pixel, got {self.size}")

    @property
    def multiple(self) -> int:
        return self.size

    def grid(self, shape: tuple[int, int]) -> tuple[int, int]:
        return -(-shape[0] // self.size), -(-shape[1] // self.size)

    def boxes(self, shape: tuple[int, int]) -> np.ndarray:
        tops, lefts = (np.arange(0, length, self.size, dtype=np.int32) for length in shape)
        heights = np.minimum(self.size, shape[0] - tops)
        widths = np.minimum(self.size, shape[1] - lefts)
        top, left = np.meshgrid(tops, lefts, indexing="ij")
        height, width = np.meshgrid(heights, widths, indexing="ij")
        return np.stack([top, left, height, width], -1).reshape(-1, 4).astype(np.int32)  # [R, 4]

    def reduce(self, score: Array, valid: Array) -> Array:
        b, h, w = score.shape
        tiles = (b, h // self.size, self.size, w // self.size, self.size)
        score, valid = score.reshape(tiles), valid.reshape(tiles)  # [B, rows, t, columns, t]
        pixels = valid.sum((2, 4))  # [B, rows, columns]
        if self.reduction == "max":
            reduced = jnp.where(valid > 0, score, -jnp.inf).max((2, 4))
        else:
            reduced = jnp.where(valid > 0, score, 0.0).sum((2, 4))
            reduced = reduced / jnp.maximum(pixels, 1) if self.reduction == "mean" else reduced
        return jnp.where(pixels > 0, reduced, jnp.nan)  # [B, rows, columns]


UNITS = {"tile": Tile}


class Regions(NamedTuple):
    """Every region of a pool, in the order of its images: candidate m is region `region[m]` of image `image[m]`."""

    ids: tuple[str, ...]  # [N] image ids
    image: np.ndarray  # [M] int32, index into `ids`
    region: np.ndarray  # [M] int32, counted within its image
    box: np.ndarray  # [M, 4] int32 top, left, height, width
    start: np.ndarray  # [N + 1] int64: image n owns candidates start[n] to start[n + 1]

    def __len__(self) -> int:
        raise TypeError("count the regions with `regions.image.size`")

    @property
    def pixels(self) -> np.ndarray:
        """[M] pixels of each region."""
        return self.box[:, 2].astype(np.int64) * self.box[:, 3]

    def describe(self, m: int) -> Region:
        """The m-th candidate as a person would be asked about it."""
        top, left, height, width = (int(v) for v in self.box[m])
        return Region(self.ids[self.image[m]], int(self.region[m]), (top, left, height, width))

    def find(self, image: str, region: int) -> int:
        """The candidate's index from its image id and region number; the inverse of `describe`."""
        if image not in self.ids:
            raise BadInput(f"the pool has no image {image!r}")
        n = self.ids.index(image)
        m = int(self.start[n]) + region
        if not self.start[n] <= m < self.start[n + 1]:
            raise BadInput(f"image {image!r} has regions 0 to {self.start[n + 1] - self.start[n] - 1}, not {region}")
        return m


def lay_out(unit: Unit, ids: Sequence[str], shapes: Sequence[tuple[int, int]]) -> Regions:
    """Cuts every image of a pool into regions.

    Args:
        unit: the query unit.
        ids: [N] image ids.
        shapes: [N] heights and widths in pixels.
    """
    boxes = [unit.boxes(shape) for shape in shapes]
    counts = np.array([len(b) for b in boxes], np.int64)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Regions(
        ids=tuple(ids),
        image=np.repeat(np.arange(len(boxes), dtype=np.int32), counts),
        region=(np.arange(start[-1]) - np.repeat(start[:-1], counts)).astype(np.int32),
        box=np.concatenate([np.zeros((0, 4), np.int32), *boxes]),
        start=start,
    )


def price(regions: Regions, currency: Currency) -> np.ndarray:
    """[M] float32 cost of each region: one each, or its pixels."""
    if currency == "pixels":
        return regions.pixels.astype(np.float32)
    return np.ones(regions.image.shape, np.float32)
