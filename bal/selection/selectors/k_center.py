"""A batch that leaves no region far from a labelled one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket, best_first, reading
from bal.selection.selectors._distances import spread
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import Key


@dataclass(frozen=True)
class KCenter:
    """Farthest first: each purchase is the region whose features are farthest from all that is labelled or bought.

        m = argmax_m min_{c labelled or bought} ‖x_m − x_c‖

    A greedy core-set: the largest distance that it leaves is at most twice the least possible. The score decides
    between regions that are equally far, which they all are while nothing is labelled. Regions without features, and
    such as are like a centre, are bought by the plain score, once no others are left.

    Reference:
        Sener & Savarese (2018), "Active Learning for Convolutional Neural Networks: A Core-Set Approach",
        arXiv:1708.00489, algorithm 1. The factor of two: Gonzalez (1985), for equal costs.
    """

    needs = ("embedding", "labelled")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        x, known = reading(about, "embedding")

        def farthest(distance: np.ndarray, among: np.ndarray) -> int:
            far = among[distance[among] == distance[among].max()]
            return int(far[np.argmax(scores[far])])

        spread(basket, x, known, np.flatnonzero(np.asarray(about["labelled"], bool) & known), farthest)
        best_first(basket, scores)
        return basket.query()
