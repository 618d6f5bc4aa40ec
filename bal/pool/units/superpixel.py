"""Superpixels, which follow what an image shows."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import jax
import jax.numpy as jnp
import numpy as np

from bal.pool.units.base import Reduction, check_top
from bal.types import Array, BadInput


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
    multiple = 1
    looks = True

    def __post_init__(self) -> None:
        if self.size < 2 or not self.compactness > 0:
            raise BadInput(f"superpixels need size ≥ 2 and compactness > 0, got {self.size} and {self.compactness}")
        check_top(self.top)
        if find_spec("skimage") is None:
            raise BadInput("superpixels need scikit-image: pip install 'bal[superpixel]'")

    def cut(self, shape: tuple[int, int], image: np.ndarray | None = None) -> np.ndarray:
        from skimage.segmentation import slic  # pyright: ignore[reportMissingImports]  (it need not be installed)

        assert image is not None
        count = max(1, round(shape[0] * shape[1] / self.size**2))
        found = slic(image, count, compactness=self.compactness, start_label=0, channel_axis=-1, convert2lab=False)
        return np.unique(found, return_inverse=True)[1].reshape(shape).astype(np.int32)  # no number is left out

    def boxes(self, shape: tuple[int, int], cut: np.ndarray | None = None) -> np.ndarray:
        assert cut is not None
        count = int(cut.max()) + 1
        row, column = np.indices(shape)
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
