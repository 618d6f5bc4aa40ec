"""The formulas of a reliability diagram: how far it is from the diagonal, and the parts of a Brier score."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from bal.metrics.histograms import ratio


class Reliability(NamedTuple):
    """A reliability diagram: per bin, how many pixels, what was promised and what happened."""

    count: np.ndarray  # [..., K]
    confidence: np.ndarray  # [..., K] mean predicted probability, NaN in an empty bin
    frequency: np.ndarray  # [..., K] share of pixels where the event happened, NaN in an empty bin

    @property
    def ece(self) -> np.ndarray:
        """[...] `Σ_k n_k / N |frequency_k − confidence_k|`; NaN when N = 0."""
        gap = np.nansum(self.count * np.abs(self.frequency - self.confidence), -1)
        return ratio(gap, self.count.sum(-1))


class Murphy(NamedTuple):
    """The parts of a binary Brier score: `Brier = reliability − resolution + uncertainty` when p is constant in a bin.

    Otherwise the difference is what p varies and co-varies with the event inside bins, small for 15 of them.

    Reference:
        Murphy 1973, "A new vector partition of the probability score", Journal of Applied Meteorology 12.
    """

    reliability: np.ndarray  # [...] Σ_k n_k/N (confidence_k − frequency_k)², 0 is calibrated
    resolution: np.ndarray  # [...] Σ_k n_k/N (frequency_k − base rate)², larger is better
    uncertainty: np.ndarray  # [...] base rate (1 − base rate), of the data alone


def decompose(diagram: Reliability) -> Murphy:
    """Splits the Brier score of one event, from its diagram; NaN without pixels."""
    share = ratio(diagram.count, diagram.count.sum(-1, keepdims=True))  # [..., K]
    nothing = np.isnan(share[..., 0])
    base = np.where(nothing, np.nan, np.nansum(share * diagram.frequency, -1))
    squares = (diagram.confidence - diagram.frequency) ** 2, (diagram.frequency - base[..., None]) ** 2
    reliability, resolution = (np.where(nothing, np.nan, np.nansum(share * x, -1)) for x in squares)
    return Murphy(reliability, resolution, base * (1 - base))
