"""Uniform draws from the foreground first: what the two foreground baselines share."""

from __future__ import annotations

import numpy as np

from bal.selectors.basket import Basket, noise
from bal.types import Key, Query


def foreground_first(key: Key, basket: Basket, share: np.ndarray, least: float) -> Query:
    """Fills a basket by uniform draws from what touches the foreground, then by uniform draws from the others.

    As long as the foreground lasts, the others have no chance at all: picks from it cannot stand for the pool
    (`bal.unbiased`), and have no probability in that sense. Once all of it is bought, it is known and stands for itself
    alone, and draws from the others stand for all that is left, each with q = 1/(others left). So

        others drawn from:  NaN for the foreground, 1/n, 1/(n − 1), … after it
        no others at all:   1/n, 1/(n − 1), …
        anything else:      none

    and none where costs or a cap have a say in what is bought.

    Args:
        key: of the draws.
        basket: what is filled.
        share: [M, C] of each class in a region, class 0 the background; NaN where nobody knows.
        least: a region of more foreground than this touches it.
    """
    touches = np.asarray(share, np.float64)[:, 1:].sum(1) > least
    inside, outside = basket.open & touches, basket.open & ~touches
    known = basket.equal_costs and not basket.capped
    among = np.flatnonzero(basket.open)
    drawn = basket.fill(among[np.lexsort((noise(key, basket.offer, touches.size)[among], ~touches[among]))])
    certain = int(inside.sum()) if outside.any() else 0  # these would be bought for sure before any draw that counts
    if not known or drawn.size <= certain:
        return basket.query()
    left = among.size - np.arange(drawn.size, dtype=np.float64)
    return basket.query(np.where(np.arange(drawn.size) < certain, np.nan, 1 / left))
