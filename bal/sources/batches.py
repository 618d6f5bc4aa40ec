"""Images in batches of one padded shape, on the devices.

Images are padded to a few common shapes, so that one program serves many of them; the next batch is read and decoded
while the last one is computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

import numpy as np

from bal.sources.base import Source, pixels, truth
from bal.system import devices
from bal.types import IGNORE, Array

T = TypeVar("T")
PIXELS = 2**17  # of a batch, so that small images share a program call and large ones do not exhaust memory
ImagesDone = Callable[[int, int], None]  # images done, images in all


class Loaded(NamedTuple):
    """A batch of images of one padded shape, on the devices."""

    rows: list[int]  # positions in the list of ids that was asked for; the batch may have padding rows after them
    image: Array  # [B, H, W, Cin]
    size: Array  # [B, 2]
    label: Array | None  # [B, H, W] int32, IGNORE on padding


class Group(NamedTuple):
    """Images that are computed together."""

    shape: tuple[int, int]  # padded height and width
    length: int  # B, the rows of the batch
    rows: list[int]  # positions in the list of ids, at most B


def bucket(length: int, multiple: int) -> int:
    """The common length that an image side is padded to: 4, 5, 6, 7 × a power of two, times `multiple`.

    At most a quarter is padding, and sides from 1 to 16,384 pixels share a few dozen lengths.
    """
    units = -(-length // multiple)
    step = 2 ** max(0, math.ceil(math.log2(units)) - 3) if units > 1 else 1
    return -(-units // step) * step * multiple


def arrange(source: Source, ids: Sequence[str], multiple: int) -> Iterator[Group]:
    """Which images [N] are computed together, in a fixed order; padded sides are multiples of `multiple`."""
    of_shape: dict[tuple[int, int], list[int]] = {}
    for row, id in enumerate(ids):
        height, width = source.shape(id)
        of_shape.setdefault((bucket(height, multiple), bucket(width, multiple)), []).append(row)
    for shape, rows in of_shape.items():
        length = devices.round_up(max(1, min(PIXELS // (shape[0] * shape[1]), len(rows))))
        for first in range(0, len(rows), length):
            yield Group(shape, length, rows[first : first + length])


def first_shape(source: Source, ids: Sequence[str], multiple: int) -> tuple[int, int, int] | None:
    """[B, H, W] of the first batch of images, as `load` gives them; None where there are no ids."""
    return next(((group.length, *group.shape) for group in arrange(source, ids, multiple)), None)


def load(
    source: Source, ids: Sequence[str], multiple: int, labels: bool = False, only: np.ndarray | None = None
) -> Iterator[Loaded]:
    """Reads images in batches of one padded shape, in a fixed order.

    Args:
        source: where images come from.
        ids: [N] which ones.
        multiple: padded sides are multiples of this.
        labels: read the masks too.
        only: [N] bool, the images that are wanted; None for all. They come in the batches, and at the rows, where they
            come among all N, for the last bits of a matrix product depend on both; the other rows are left blank, and
            batches without a wanted image are left out.

    Raises:
        BadInput: a pixel is NaN or infinite.
    """
    for group in arrange(source, ids, multiple):
        if only is None or only[group.rows].any():
            yield _read(source, ids, group, labels, only)


def _read(source: Source, ids: Sequence[str], group: Group, labels: bool, only: np.ndarray | None) -> Loaded:
    image = np.zeros((group.length, *group.shape, source.channels), np.float32)
    label = np.full((group.length, *group.shape), IGNORE, np.int32) if labels else None
    size = np.ones((group.length, 2), np.int32)
    for b, row in enumerate(group.rows):
        if only is not None and not only[row]:
            continue
        x = pixels(source, ids[row])
        size[b] = x.shape[:2]
        image[b, : x.shape[0], : x.shape[1]] = x
        if label is not None:
            label[b, : x.shape[0], : x.shape[1]] = truth(source, ids[row])
    return Loaded(group.rows, *devices.spread((image, size, label)))


def one_behind(items: Iterable[T]) -> Iterator[T]:
    """The same items, each handed over once the next one is under way: reading overlaps with computing."""
    waiting: list[T] = []
    for item in items:
        yield from waiting
        waiting = [item]
    yield from waiting
