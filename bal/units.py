"""Query units: how an image is cut into regions, and how a map becomes one number a region.

A unit is a frozen dataclass. Tiles, whole images and pixels follow from the size of an image alone; superpixels follow
what it shows, so they are cut from the image, always alike, whenever they are needed, and no map of them is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

import jax
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


@dataclass(frozen=True)
class Tile:
    """Square tiles on a fixed grid; those at the right and the bottom edge may be smaller."""

    size: int = 16
    """Side of a tile in pixels."""
    reduction: Reduction = "mean"
    """How the pixels of a tile become its score; `top` is the mean of its highest."""
    top: float = 0.1
    """Share of the pixels that `top` counts."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise BadInput(f"a tile needs a size of at least one pixel, got {self.size}")
        check_top(self.top)

    @property
    def multiple(self) -> int:
        return self.size

    @property
    def looks(self) -> bool:
        return False

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


@dataclass(frozen=True)
class Pixel:
    """Single pixels; a purchase is a scatter of points."""

    @property
    def multiple(self) -> int:
        return 1

    @property
    def looks(self) -> bool:
        return False

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


@dataclass(frozen=True)
class Image:
    """Whole images."""

    reduction: Reduction = "mean"
    """How the pixels of an image become its score; `sum` grows with its size."""
    top: float = 0.1
    """Share of the pixels that `top` counts."""

    def __post_init__(self) -> None:
        check_top(self.top)

    @property
    def multiple(self) -> int:
        return 1

    @property
    def looks(self) -> bool:
        return False

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


@dataclass(frozen=True)
class Superpixel:
    """Superpixels by SLIC: regions of one brightness, so that a query follows an edge instead of cutting it.

    Reference:
        Achanta, Shaji, Smith, Lucchi, Fua & Süsstrunk (2012), "SLIC Superpixels Compared to State-of-the-Art Superpixel
        Methods", IEEE TPAMI 34(11). For active learning: Cai, Xu, Liew & Foo (2021), "Revisiting Superpixels for Active
        Learning in Semantic Segmentation with Realistic Annotation Costs".
    """

    size: int = 16
    """Side, in pixels, of a square as large as a superpixel on average."""
    compactness: float = 0.1
    """Weight of nearness against likeness in brightness, which is 0 to 1; higher is squarer."""
    reduction: Reduction = "mean"
    """How the pixels of a region become its score; `top` is the mean of its highest."""
    top: float = 0.1
    """Share of the pixels that `top` counts."""

    def __post_init__(self) -> None:
        if self.size < 2 or not self.compactness > 0:
            raise BadInput(f"superpixels need size ≥ 2 and compactness > 0, got {self.size} and {self.compactness}")
        check_top(self.top)
        try:
            import skimage  # noqa: F401  # pyright: ignore[reportMissingImports]
        except ImportError as error:
            raise BadInput("superpixels need scikit-image: pip install 'bal[superpixel]'") from error

    @property
    def multiple(self) -> int:
        return 1

    @property
    def looks(self) -> bool:
        return True

    def cut(self, shape: tuple[int, int], image: np.ndarray | None = None) -> np.ndarray:
        from skimage.segmentation import slic  # pyright: ignore[reportMissingImports]

        assert image is not None
        count = max(1, round(shape[0] * shape[1] / self.size**2))
        found = slic(image, count, compactness=self.compactness, start_label=0, channel_axis=-1, convert2lab=False)
        return np.unique(found, return_inverse=True)[1].reshape(shape).astype(np.int32)  # no number is left out

    def boxes(self, shape: tuple[int, int], cut: np.ndarray | None = None) -> np.ndarray:
        assert cut is not None
        count, (row, column) = int(cut.max()) + 1, np.indices(shape)
        first = np.full((count, 2), max(shape), np.int32)
        last = np.full((count, 2), -1, np.int32)
        for axis, place in enumerate((row, column)):
            np.minimum.at(first[:, axis], cut.ravel(), place.ravel())
            np.maximum.at(last[:, axis], cut.ravel(), place.ravel())
        return np.concatenate([first, last - first + 1], 1).astype(np.int32)

    def grid(self, shape: tuple[int, int], count: int) -> tuple[int, int]:
        return 1, count

    def reduce(
        self, score: Array, valid: Array, cut: Array | None = None, room: int = 0, by: Reduction | None = None
    ) -> Array:
        assert cut is not None

        def image(score: Array, valid: Array, cut: Array) -> Array:
            return _reduce_segments(score.ravel(), valid.ravel() > 0, cut.ravel(), room, by or self.reduction, self.top)

        return jax.vmap(image)(score, valid, cut)[:, None]  # [B, 1, room]


def _reduce_segments(score: Array, valid: Array, cut: Array, room: int, by: Reduction, top: float) -> Array:
    """[P] scores, valid pixels and region numbers → [room], as `reduce_last`."""
    segment = jnp.where(valid, cut, room)  # out of range is dropped
    pixels = jax.ops.segment_sum(jnp.ones_like(score), segment, room)
    if by == "max":
        reduced = jax.ops.segment_max(score, segment, room)
    elif by == "top":
        order = jnp.lexsort((-score, segment))
        segment, score = segment[order], score[order]
        first = jnp.concatenate([jnp.zeros(1), jnp.cumsum(pixels)])[segment]  # rank of the region's highest
        kept = jnp.ceil(top * pixels)
        counts = jnp.arange(score.size) - first < jnp.append(kept, 0.0)[segment]
        reduced = jax.ops.segment_sum(jnp.where(counts, score, 0.0), segment, room) / jnp.maximum(kept, 1)
    else:
        reduced = jax.ops.segment_sum(jnp.where(valid, score, 0.0), segment, room)
        reduced = reduced / jnp.maximum(pixels, 1) if by == "mean" else reduced
    return jnp.where(pixels > 0, reduced, jnp.nan)


UNITS = {"tile": Tile, "image": Image, "superpixel": Superpixel, "pixel": Pixel}
