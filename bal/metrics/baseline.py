"""What other metrics are held against: the numbers of a score and of a model that know nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bal.metrics.base import Chunk
from bal.metrics.histograms import ratio


class Sums(NamedTuple):
    """Labelled pixels, all of them and two kinds of them."""

    pixels: Any  # []
    right: Any  # [] whose most likely class after calibration is the label
    background: Any  # [] whose label is class 0


@dataclass(frozen=True)
class Baseline:
    """The AURC of a score that ranks at random, which is the error rate; the IoU of calling everything background.

    error rate = 1 − right / pixels,   IoU = background / pixels
    """

    def zeros(self, classes: int, scores: int) -> Sums:
        return Sums(*np.zeros((3,), np.int64))

    def of_chunk(self, chunk: Chunk) -> Sums:
        kinds = chunk.valid, chunk.valid & ~chunk.wrong, chunk.valid & (chunk.label == 0)
        return Sums(*(kind.sum(dtype=jnp.int32) for kind in kinds))

    def columns(self, sums: Sums, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        return [
            ("error_rate", 1 - ratio(sums.right, sums.pixels)),
            ("iou_all_background", ratio(sums.background, sums.pixels)),
        ]

    def intervals(self, classes: Sequence[str]) -> list[str]:
        return []

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        return {
            "error_rate": "Share of the labelled test pixels whose most likely class is wrong. What aurc_… would be by "
            "chance.",
            "iou_all_background": "Background IoU of a model that never predicts anything but background. "
            "A model below it is worse than nothing on that class.",
        }
