"""The regions of a pool: what can be bought, under stable names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from bal.pool.units.base import Unit
from bal.types import BadInput, Region


class Regions(NamedTuple):
    """Every region of a pool, in the order of its images: candidate m is region `region[m]` of image `image[m]`."""

    ids: tuple[str, ...]  # [N] image ids
    image: np.ndarray  # [M] int32, index into `ids`
    region: np.ndarray  # [M] int32, counted within its image
    box: np.ndarray  # [M, 4] int32 top, left, height, width
    start: np.ndarray  # [N + 1] int64: image n owns candidates start[n] to start[n + 1]
    pixels: np.ndarray  # [M] int64, of each region
    cut: Callable[[str], np.ndarray] | None = None  # the region of every pixel of an image; None if regions fill boxes

    def __len__(self) -> int:
        raise TypeError("count the regions with `regions.image.size`")

    def describe(self, m: int) -> Region:
        """The m-th candidate as a person would be asked about it."""
        top, left, height, width = (int(v) for v in self.box[m])
        id, region, mask = self.ids[self.image[m]], int(self.region[m]), None
        if self.cut is not None:
            mask = self.cut(id)[top : top + height, left : left + width] == region
        return Region(id, region, (top, left, height, width), mask)

    def find(self, image: str, region: int) -> int:
        """The candidate's index from its image id and region number; the inverse of `describe`."""
        if image not in self.ids:
            raise BadInput(f"the pool has no image {image!r}")
        n = self.ids.index(image)
        m = int(self.start[n]) + region
        if not self.start[n] <= m < self.start[n + 1]:
            raise BadInput(f"image {image!r} has regions 0 to {self.start[n + 1] - self.start[n] - 1}, not {region}")
        return m


def lay_out(
    unit: Unit,
    ids: Sequence[str],
    shapes: Sequence[tuple[int, int]],
    image: Callable[[str], np.ndarray] | None = None,
) -> Regions:
    """Cuts every image of a pool into regions.

    Args:
        unit: the query unit.
        ids: [N] image ids.
        shapes: [N] heights and widths in pixels.
        image: float32 [H, W, Cin] by id; only read by a unit that looks.

    Raises:
        BadInput: the unit looks and there is nothing to look at.
    """
    if unit.looks and image is None:
        raise BadInput("these units follow what an image shows: give lay_out the images")

    @lru_cache(maxsize=8)
    def cut(id: str) -> np.ndarray:
        assert image is not None
        pixels = image(id)
        return unit.cut((pixels.shape[0], pixels.shape[1]), pixels)

    boxes, pixels = [], []
    for id, shape in zip(ids, shapes, strict=True):
        seen = cut(id) if unit.looks else None
        boxes.append(unit.boxes(shape, seen))
        pixels.append(boxes[-1][:, 2:].prod(1, dtype=np.int64) if seen is None else np.bincount(seen.ravel()))
    counts = np.array([len(b) for b in boxes], np.int64)
    start = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Regions(
        ids=tuple(ids),
        image=np.repeat(np.arange(len(boxes), dtype=np.int32), counts),
        region=(np.arange(start[-1]) - np.repeat(start[:-1], counts)).astype(np.int32),
        box=np.concatenate([np.zeros((0, 4), np.int32), *boxes]),
        start=start,
        pixels=np.concatenate([np.zeros(0, np.int64), *pixels]).astype(np.int64),
        cut=cut if unit.looks else None,
    )
