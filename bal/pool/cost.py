"""What a region costs, in regions, pixels or an annotator's seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bal.pool.regions import Regions
from bal.types import IGNORE, BadInput

Currency = Literal["regions", "pixels", "effort"]
COUNTED = {"regions": "regions", "pixels": "pixels", "effort": "seconds"}  # what each is counted in


@dataclass(frozen=True)
class Effort:
    """What an annotator's time is made of, for `--cost effort`: seconds = open + edge · length.

    The length of a region is that of the boundaries between classes in it, in pixels: pairs of neighbouring pixels that
    differ. A curve one stroke wide has two. Before buying, it is predicted from the calibrated p,

        length = ½ Σ_{neighbours i, j} Σ_c |p_ic − p_jc|

    the total variation, which is the mean length over the level sets of p (coarea formula) and exact where p is a mask.

    Reference:
        Mackowiak, Lenz, Ghori, Diego, Lange & Rother (2018), "CEREALS: Cost-Effective REgion-based Active Learning for
        Semantic Segmentation", arXiv:1810.09726, predict annotation cost too.
    """

    open: float = 1.0
    """Seconds to open a region and understand it."""
    edge: float = 0.05
    """Seconds to draw a pixel of boundary between two classes."""

    def __post_init__(self) -> None:
        if not (0 < self.open < float("inf") and 0 <= self.edge < float("inf")):
            raise BadInput(f"effort needs open > 0 and edge ≥ 0 seconds, got {self.open} and {self.edge}")

    def seconds(self, length: np.ndarray) -> np.ndarray:
        """float64 seconds for regions with so many pixels of boundary, to a millisecond."""
        return np.round(self.open + self.edge * np.asarray(length, np.float64), 3)


def price(regions: Regions, currency: Currency, effort: Effort | None = None) -> np.ndarray:
    """[M] cost of each region before anything is known of it: one, its pixels, or seconds.

    In seconds, a boundary is taken to cross every second region once, with both its sides: √pixels of boundary a
    region.
    """
    if currency == "pixels":
        return regions.pixels.astype(np.float32)
    if currency == "effort":
        return (effort or Effort()).seconds(usual_boundary(regions))
    return np.ones(regions.image.shape, np.float32)


def usual_boundary(regions: Regions) -> np.ndarray:
    """[M] pixels of boundary that are expected in each region before anything is known of it."""
    return np.sqrt(regions.pixels)


def boundary(label: np.ndarray) -> int:
    """Pixels of boundary in a labelled region [height, width]: neighbours of two classes, neither of them IGNORE."""
    pairs = ((label[1:], label[:-1]), (label[:, 1:], label[:, :-1]))
    return sum(int(((a != b) & (a != IGNORE) & (b != IGNORE)).sum()) for a, b in pairs)
