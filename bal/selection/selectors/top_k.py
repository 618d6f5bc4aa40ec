"""The highest scores that the budget can pay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket, best_first, per_cost
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import Key


@dataclass(frozen=True)
class TopK:
    """The highest scores first, as long as the budget pays; ties go to the earlier candidate.

    Where costs differ, a region that no longer fits is passed over for the next one that does. Draws nothing, so it
    reports no probabilities.
    """

    per_cost: bool = False
    """Rank by score per cost; a score that is not positive ranks after all that are, the cheaper one first."""

    needs = ()

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        best_first(basket, per_cost(basket) if self.per_cost else scores)
        return basket.query()
