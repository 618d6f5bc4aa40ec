"""The most score for the money, where regions cost different amounts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket, best_first, per_cost
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import Key


@dataclass(frozen=True)
class Knapsack:
    """The largest sum of positive scores that the budget can pay, to within half of it or one region.

        max Σ_{m bought} max(s_m, 0)   subject to   Σ_{m bought} cost_m ≤ budget

    Score per cost, highest first, passing over what no longer fits; or the single highest score, and score per cost
    after it: whichever is worth more. That is at least half of the best possible sum, and at most one region's score
    below it (Dantzig's bound): what the first region that does not fit would have added. With a cap on the regions of
    one image neither is promised. What is left of the money buys what has no positive score, highest first. Where costs
    are equal this is `top_k`, which is exact.

    Reference:
        Dantzig (1957), "Discrete-Variable Extremum Problems"; Kellerer, Pferschy & Pisinger (2004), "Knapsack
        Problems", section 2.1 (the extended greedy algorithm).
    """

    needs = ()

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        by_ratio, by_score = Basket(scores, offer), Basket(scores, offer)
        ratio = np.where(scores > 0, per_cost(by_ratio), np.nan)
        if by_score.open.any():
            by_score.take(int(np.argmax(np.where(by_score.open, scores, -np.inf))))
        for basket in (by_ratio, by_score):
            best_first(basket, ratio)
        worth = [np.maximum(scores[basket.taken], 0).sum(dtype=np.float64) for basket in (by_ratio, by_score)]
        basket = by_ratio if worth[0] >= worth[1] else by_score
        best_first(basket, scores)
        return basket.query()
