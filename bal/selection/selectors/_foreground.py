"""Draws from the foreground first: what the foreground baselines and `foreground_power` share."""

from __future__ import annotations

import numpy as np

from bal.selection.selectors._basket import Basket
from bal.selection.selectors._draw import order, probabilities
from bal.selection.selectors.base import Query
from bal.types import Key


def foreground_first(
    key: Key, basket: Basket, share: np.ndarray, least: float, log_weight: np.ndarray | None = None
) -> Query:
    """Fills a basket by draws by weight from what touches the foreground, then by such draws from the others.

    As long as the foreground lasts, the others have no chance at all: picks from it cannot stand for the pool
    (`bal.metrics.lure`), and have no probability in that sense. Once all of it is bought, it is known and stands for
    itself alone, and draws from the others stand for all that is left, each with q = w/(the weight of others left). So

        others drawn from:  NaN for the foreground, w/Σ, w'/(Σ − w), … after it
        no others at all:   w/Σ, w'/(Σ − w), …
        anything else:      none

    and none where costs or a cap have a say in what is bought. The noise of a region is that of `draw`, so that arms
    that are compared differ by what they know, and not by their luck.

    Args:
        key: of the draws.
        basket: what is filled.
        share: [M, C] of each class in a region, class 0 the background; NaN where nobody knows.
        least: a region of more foreground than this touches it.
        log_weight: [M] float64, finite where the basket is open; all alike unless given.
    """
    touches = np.asarray(share, np.float64)[:, 1:].sum(1) > least
    inside, outside = basket.open & touches, basket.open & ~touches
    known = basket.equal_costs and not basket.capped
    log_weight = np.zeros(touches.size) if log_weight is None else log_weight
    ranking = np.concatenate([order(key, basket.offer, log_weight, part) for part in (inside, outside)])
    drawn = basket.fill(ranking)
    certain = int(inside.sum()) if outside.any() else 0  # these would be bought for sure before any draw that counts
    if not known or drawn.size <= certain:
        return basket.query()
    rest = np.setdiff1d(ranking, drawn)
    odds = probabilities(log_weight[drawn], log_weight[rest])
    return basket.query(np.where(np.arange(drawn.size) < certain, np.nan, odds))
