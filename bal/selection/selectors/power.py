"""Draws by a power of the score: the cheap cure for redundant batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket
from bal.selection.selectors._draw import between, draw, for_money, share_of_top
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class Power:
    """Regions drawn without replacement, with probabilities proportional to score^β.

        rank by  log s + ε,   ε ~ Gumbel(0, 1/β)

    β = 0 would be uniform, β → ∞ is top-k. A score below a millionth of the highest, zero and negative ones among
    them, counts as that, so that everything can be drawn and nothing is the logarithm of zero. Where all costs are
    equal the probabilities are reported, which makes R_LURE possible (`bal.metrics.lure`).

    Reference:
        Kirsch, Farquhar, Atighehchian, Jesson, Branchaud-Charron & Gal (2021), "Stochastic Batch Acquisition: A Simple
        Baseline for Deep Active Learning", arXiv:2106.12059 (power acquisition). A β that rises over the rounds:
        ClaSP PE, arXiv:2601.13677.
    """

    beta: float = 1.0
    """β of the first purchase."""
    beta_end: float | None = None
    """β of the last purchase, geometric in between; None keeps it."""
    per_cost: bool = False
    """Draw by (score / expected price)^β; where all prices are equal nothing changes, to the bit."""
    needs = ()

    def __post_init__(self) -> None:
        if not (0 < self.beta < float("inf") and 0 < (self.beta_end or self.beta) < float("inf")):
            raise BadInput(f"power needs β > 0, got {self.beta} and {self.beta_end}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        beta = between(self.beta, self.beta_end, offer.progress)
        worth = for_money(basket, scores, self.per_cost)
        return draw(key, basket, beta * np.log(share_of_top(worth, basket.open)))
