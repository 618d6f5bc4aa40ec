"""Pools for measuring: rendered well logs, held in memory and repeated under as many ids as are asked for."""

from __future__ import annotations

import numpy as np

from bal.sources import WellLog


class Cycle:
    """A `bal.Source` of `images` ids that share a few rendered images, so that its memory does not grow."""

    def __init__(self, images: int, distinct: int = 32, side: int = 128, seed: int = 0):
        """Renders min(images, distinct) well logs of side × side pixels; id n shows rendered image n mod distinct."""
        logs = WellLog(height=side, width=side, pool=min(images, distinct), test=1, seed=seed).open()
        self.classes, self.channels = logs.classes, logs.channels
        self.pool = tuple(f"image-{n:06d}" for n in range(images))
        self.test: tuple[str, ...] = ()
        self._images = [logs.image(id) for id in logs.pool]
        self._masks = [logs.mask(id) for id in logs.pool]

    def shape(self, id: str) -> tuple[int, int]:
        """Height and width."""
        height, width = self._masks[self._number(id)].shape
        return height, width

    def image(self, id: str) -> np.ndarray:
        """float32 [H, W, 1] in [0, 1]; shared, so not to be written to."""
        return self._images[self._number(id)]

    def mask(self, id: str) -> np.ndarray:
        """int32 [H, W] of class ids; shared, so not to be written to."""
        return self._masks[self._number(id)]

    def _number(self, id: str) -> int:
        return int(id.removeprefix("image-")) % len(self._images)
