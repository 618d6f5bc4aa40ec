"""What a region costs, in regions, pixels or an annotator's seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from bal.pool.regions import Regions
from bal.pool.tracing import trace
from bal.types import IGNORE, BadInput

Currency = Literal["regions", "pixels", "effort"]
STRETCH = 8  # pixels of the boundary of errors that one anchor mends, before an audit has shown it
COUNTED = {"regions": "regions", "pixels": "pixels", "effort": "seconds"}  # what each is counted in


Assist = Literal["none", "correct", "trace"]


@dataclass(frozen=True)
class Effort:
    """What an annotator's time is made of, for `--cost effort`: seconds = open + the least of

        edge · length               to draw a region from nothing
        edge · length of the errors to correct what the model has drawn (`assist: correct`, or `trace`)
        click · anchors             to trace its curves along the model's probabilities (`assist: trace`)

    The length of a region is that of the boundaries between classes in it, in pixels: pairs of neighbouring pixels that
    differ. A curve one stroke wide has two. Before buying, it is predicted from the calibrated p,

        length = ½ Σ_{neighbours i, j} Σ_c |p_ic − p_jc|

    the total variation, which is the mean length over the level sets of p (coarea formula) and exact where p is a mask.
    So is the length of the errors, of the map 1 − p(ŷ) instead of p; and as many clicks are expected as there are
    pixels of it, over STRETCH. Each of the three is scaled to what the audit has shown (`bal.experiment.prices`).
    Nothing is drawn beforehand in a start set or in an audit.

    Reference:
        Mackowiak, Lenz, Ghori, Diego, Lange & Rother (2018), "CEREALS: Cost-Effective REgion-based Active Learning for
        Semantic Segmentation", arXiv:1810.09726, predict annotation cost too.
    """

    open: float = 1.0
    """Seconds to open a region and understand it."""
    edge: float = 0.05
    """Seconds to draw a pixel of boundary between two classes."""
    assist: Assist = "none"
    """What an annotator starts from: nothing, the model's prediction, or that and a tool to trace curves along it."""
    click: float = 0.7
    """Seconds to set an anchor of the trace tool."""

    def __post_init__(self) -> None:
        if not (0 < self.open < float("inf") and 0 <= self.edge < float("inf")):
            raise BadInput(f"effort needs open > 0 and edge ≥ 0 seconds, got {self.open} and {self.edge}")
        if self.assist not in get_args(Assist) or not 0 <= self.click < float("inf"):
            raise BadInput(
                f"effort needs assist {', '.join(get_args(Assist))} and click ≥ 0 seconds, got {self.assist!r} and "
                f"{self.click}"
            )

    def seconds(
        self, length: np.ndarray, errors: np.ndarray | None = None, clicks: np.ndarray | None = None
    ) -> np.ndarray:
        """float64 seconds for regions with so many pixels of boundary, to a millisecond.

        Args:
            length: pixels of boundary. errors: of the errors of what is drawn beforehand; None where nothing is.
            clicks: anchors of the trace tool; None where there is none.
        """
        ways = [self.edge * np.asarray(length, np.float64)]
        if errors is not None and self.assist != "none":
            ways.append(self.edge * np.asarray(errors, np.float64))
        if clicks is not None and self.assist == "trace":
            ways.append(self.click * np.asarray(clicks, np.float64))
        return np.round(self.open + np.min(ways, axis=0), 3)

    def work(self, label: np.ndarray, probability: np.ndarray | None = None) -> float:
        """Seconds that a region took by its label [height, width].

        Args:
            probability: [height, width, C] that was shown; None where nothing was drawn beforehand.
        """
        length = np.array(boundary(label))
        if probability is None or self.assist == "none":
            return float(self.seconds(length))
        clicks = None
        if self.assist == "trace":
            traced = trace(label, np.moveaxis(probability, -1, 0))
            brush = self.edge * boundary(traced.left.astype(np.int32)) / self.click if self.click else 0.0
            clicks = np.array(traced.clicks + brush)
        return float(self.seconds(length, np.array(error_boundary(label, probability)), clicks))


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


def error_boundary(label: np.ndarray, probability: np.ndarray) -> int:
    """Pixels of boundary of where a prediction [height, width, C] is wrong: what somebody who corrects it draws."""
    wrong = (probability.argmax(-1) != label).astype(np.int32)
    return boundary(np.where(label == IGNORE, IGNORE, wrong))
