"""Money shared out over parts of the pool: what the selectors share that buy by style."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from bal.pool.coverage import strata
from bal.selection.selectors._basket import Basket
from bal.types import Key

EXACT = 1e-9  # of the money: what sums of floats may be out by


def share_out(key: Key, basket: Basket, weight: np.ndarray, rankings: Sequence[np.ndarray]) -> None:
    """Fills a basket from G cells, to each its share of the money: weight_g / Σ weight, over cells with candidates.

    Cells take turns in an order that is drawn. What is left of a cell's money because it is less than a region costs
    goes to the next in turn; what a cell cannot spend for want of regions is shared out anew over the others, until
    nothing is bought any more. A cell of weight 0 gets nothing.

    Args:
        key: of the order of turns.
        basket: what is filled.
        weight: [G] ≥ 0.
        rankings: G times [n] candidates, best first; cells may overlap.
    """
    turns = np.asarray(jax.random.permutation(key, len(rankings))).tolist() if len(rankings) else []
    spent, before = np.zeros(len(rankings)), None
    while before != basket.spent:
        live = [g for g in turns if weight[g] > 0 and basket.open[rankings[g]].any()]
        money, whole, carried = basket.left + float(spent[live].sum()), float(weight[live].sum()), 0.0
        before = basket.spent
        for g in live:
            due, start = money * float(weight[g]) / whole - float(spent[g]) + carried, basket.spent
            basket.fill(rankings[g], due * (1 + EXACT))
            spent[g] += basket.spent - start
            carried = due - (basket.spent - start) if basket.open[rankings[g]].any() else 0.0


def find_styles(appearance: np.ndarray, count: int) -> np.ndarray:
    """[M] the style of each region, 0 … count − 1, from what its image looks like [M, F]; −1 where nobody looked.

    k-means of the looks that there are, each of them once however many regions have it. The first centres are always
    drawn alike, so the same pool has the same styles in every round.
    """
    appearance = np.asarray(appearance, np.float32)
    known = np.isfinite(appearance).all(1)
    looks, which = np.unique(appearance[known], axis=0, return_inverse=True)
    found = np.full(known.size, -1)
    found[known] = strata(looks, np.ones(len(looks), bool), count, np.random.default_rng(0))[which.ravel()]
    return found
