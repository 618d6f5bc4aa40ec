"""The regions of a pool: what can be bought, under stable names."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bal.pool.units.base import Unit
from bal.types import BadInput, Region

Images = Callable[[str], np.ndarray]  # float32 [H, W, Cin] by id: `source.image`, say


@dataclass(frozen=True, eq=False)
class Regions:
    """Regions of a pool in the order of its images: candidate m is region `region[m]` of image `image[m]`.

    Plain data, which pickles and holds no source: what depends on what an image shows takes the images anew.
    """

    unit: Unit
    ids: tuple[str, ...]  # [N] image ids of the whole pool
    image: np.ndarray  # [M] int32, index into `ids`
    region: np.ndarray  # [M] int32, counted within its image
    box: np.ndarray  # [M, 4] int32 top, left, height, width
    pixels: np.ndarray  # [M] int64, of each region
    start: np.ndarray  # [N + 1] int64: image n owns candidates start[n] to start[n + 1]; none outside a part
    whole: np.ndarray  # [N + 1] int64: the same of the whole pool

    @property
    def index(self) -> np.ndarray:
        """[M] int64: which candidates of the whole pool these are."""
        return self.whole[self.image] + self.region

    def subset(self, images: Sequence[int] | np.ndarray) -> Regions:
        """The regions of some images, under the names that they have in the whole pool.

        A part knows the images of the whole pool, so that `bal.scoring.score` computes its own in the batches, and at
        the rows, of the whole, and gives its regions the same bits. A batch of which one image is wanted costs as much
        as a full one, so a pool is best divided between batches (`bal.sources.batches.arrange`).

        Args:
            images: positions in `ids`, in any order.

        Raises:
            BadInput: there is no such image.
        """
        chosen = np.asarray(images, np.int64)
        wrong = chosen[(chosen < 0) | (chosen >= len(self.ids))]
        if wrong.size:
            raise BadInput(f"the pool has images 0 to {len(self.ids) - 1}, not {wrong[0]}")
        wanted = np.zeros(len(self.ids), bool)
        wanted[chosen] = True
        kept = wanted[self.image]
        return dataclasses.replace(
            self,
            image=self.image[kept],
            region=self.region[kept],
            box=self.box[kept],
            pixels=self.pixels[kept],
            start=_starts(np.where(wanted, np.diff(self.start), 0)),
        )

    def describe(self, index: Sequence[int] | np.ndarray, images: Images | None = None) -> list[Region]:
        """Some candidates as a person would be asked about them.

        Args:
            index: [K] which ones.
            images: read by a unit that looks, each once.
        """
        index = np.asarray(index, np.int64)
        described: dict[int, Region] = {}
        for n in np.unique(self.image[index]).tolist():
            cut = self.cut(n, images) if self.unit.looks else None
            described |= {m: self._describe(m, cut) for m in index[self.image[index] == n].tolist()}
        return [described[m] for m in index.tolist()]

    def _describe(self, m: int, cut: np.ndarray | None) -> Region:
        top, left, height, width = (int(v) for v in self.box[m])
        region = int(self.region[m])
        mask = None if cut is None else cut[top : top + height, left : left + width] == region
        return Region(self.ids[self.image[m]], region, (top, left, height, width), mask)

    def cut(self, n: int, images: Images | None = None) -> np.ndarray:
        """int32 [H, W]: the region of every pixel of the n-th image, which is read by a unit that looks.

        Raises:
            BadInput: the unit looks and there is nothing to look at.
        """
        if self.unit.looks:
            return _look(self.unit, self.ids[n], images)
        boxes = self.box[self.start[n] : self.start[n + 1]]
        height, width = (boxes[:, :2] + boxes[:, 2:]).max(0)
        return self.unit.cut((int(height), int(width)))

    def find(self, image: str, region: int) -> int:
        """The candidate's index from its image id and region number; the inverse of `describe`."""
        n = self._number.get(image)
        if n is None:
            raise BadInput(f"the pool has no image {image!r}")
        first, last = (int(m) for m in self.start[n : n + 2])
        if first == last:
            raise BadInput(f"this part of the pool has no image {image!r}")
        if not 0 <= region < last - first:
            raise BadInput(f"image {image!r} has regions 0 to {last - first - 1}, not {region}")
        return first + region

    @cached_property
    def _number(self) -> dict[str, int]:
        return {id: n for n, id in enumerate(self.ids)}


def lay_out(unit: Unit, ids: Sequence[str], shapes: Sequence[tuple[int, int]], images: Images | None = None) -> Regions:
    """Cuts every image of a pool into regions.

    Args:
        unit: the query unit.
        ids: [N] image ids.
        shapes: [N] heights and widths in pixels.
        images: only read by a unit that looks.

    Raises:
        BadInput: the unit looks and there is nothing to look at.
    """
    boxes = [np.zeros((0, 4), np.int32)]
    pixels = [np.zeros(0, np.int64)]
    for id, shape in zip(ids, shapes, strict=True):
        cut = _look(unit, id, images) if unit.looks else None
        boxes.append(unit.boxes(shape, cut))
        pixels.append(boxes[-1][:, 2:].prod(1, dtype=np.int64) if cut is None else np.bincount(cut.ravel()))
    counts = np.array([len(b) for b in boxes[1:]], np.int64)
    start = _starts(counts)
    return Regions(
        unit=unit,
        ids=tuple(ids),
        image=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        region=(np.arange(start[-1]) - np.repeat(start[:-1], counts)).astype(np.int32),
        box=np.concatenate(boxes),
        pixels=np.concatenate(pixels).astype(np.int64),
        start=start,
        whole=start,
    )


def _starts(counts: np.ndarray) -> np.ndarray:
    """[N] regions of each image → [N + 1] where each begins, and where the last one ends."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])


def _look(unit: Unit, id: str, images: Images | None) -> np.ndarray:
    if images is None:
        raise BadInput("these units follow what an image shows, and no images were given to look at")
    pixels = images(id)
    return unit.cut((pixels.shape[0], pixels.shape[1]), pixels)
