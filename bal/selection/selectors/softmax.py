"""Draws by the exponential of the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket, per_cost
from bal.selection.selectors._draw import between, draw
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class Softmax:
    """Regions drawn without replacement, with probabilities proportional to the exponential of the score.

        q ∝ exp(β s / σ);   rank by  β s / σ + ε,   ε ~ Gumbel(0, 1)

    σ is the standard deviation of the scores on offer, so that β means the same whatever the unit of the score. Where
    all costs are equal the probabilities are reported, which makes R_LURE possible (`bal.metrics.lure`).

    Reference:
        Kirsch et al. (2021), "Stochastic Batch Acquisition", arXiv:2106.12059 (softmax acquisition). Dividing by σ is
        this project's own.
    """

    beta: float = 1.0
    """β of the first purchase."""
    beta_end: float | None = None
    """β of the last purchase, geometric in between; None keeps it."""
    per_cost: bool = False
    """Draw by score per expected price, negative scores times it; where all prices are equal nothing changes."""
    needs = ()

    def __post_init__(self) -> None:
        if not (0 < self.beta < float("inf") and 0 < (self.beta_end or self.beta) < float("inf")):
            raise BadInput(f"softmax needs β > 0, got {self.beta} and {self.beta_end}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        scores = per_cost(basket) if self.per_cost and not basket.equal_costs else scores
        s = np.where(basket.open, scores, 0.0).astype(np.float64)
        spread = float(np.std(np.sort(s[basket.open]))) if basket.open.any() else 0.0
        scaled = s / spread if spread > 0 else np.zeros_like(s)
        return draw(key, basket, between(self.beta, self.beta_end, offer.progress) * scaled)
