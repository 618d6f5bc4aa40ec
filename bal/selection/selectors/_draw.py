"""Draws without replacement by weight: what the stochastic selectors share."""

from __future__ import annotations

import numpy as np

from bal.selection.selectors._basket import Basket, gumbel
from bal.selection.selectors.base import Offer, Query
from bal.types import Key

FLOOR = 1e-6  # of the highest value; whatever is lower, zero or negative counts as this much


def draw(key: Key, basket: Basket, log_weight: np.ndarray) -> Query:
    """Fills a basket by draws with probabilities proportional to weights, none twice.

    The k highest of log w + Gumbel noise are k such draws (Gumbel-top-k), so the m-th has the probability

        q(i_m | i_1 … i_{m−1}) = w(i_m) / Σ_{i not drawn yet} w(i)

    Where costs or a cap have a say in what is bought, these are not the probabilities any more, and none are reported.

    Args:
        key: of the noise.
        basket: what is filled.
        log_weight: [M] float64, finite where the basket is open.

    Reference:
        Kool, van Hoof & Welling (2019), "Stochastic Beams and Where to Find Them: The Gumbel-Top-k Trick".
    """
    able, known = basket.open.copy(), basket.equal_costs and not basket.capped
    drawn = basket.fill(order(key, basket.offer, log_weight, able))
    able[drawn] = False
    return basket.query(probabilities(log_weight[drawn], log_weight[able]) if known else None)


def order(key: Key, offer: Offer, log_weight: np.ndarray, able: np.ndarray) -> np.ndarray:
    """Candidates in the order in which they are drawn by [M] log-weights, none twice; `able` [M] bool says which."""
    among = np.flatnonzero(able)
    noisy = log_weight[among] + gumbel(key, offer, log_weight.size)[among]
    return among[np.argsort(-noisy, kind="stable")]


def for_money(basket: Basket, values: np.ndarray, per_cost: bool) -> np.ndarray:
    """[M] values, or, if so asked and where prices differ, values per expected price: what share_of_top is taken of.

    So that draws follow (value / price)^β: the expected gain of a second, where a price is in seconds. Where all that
    is open costs the same, values stay as they are, to the bit. Signs stay, so what is not positive counts as FLOOR.
    """
    if not per_cost or basket.equal_costs:
        return values
    price = np.where(basket.open, basket.cost, 1.0).astype(np.float64)
    return np.where(basket.open, values, 0.0).astype(np.float64) / price


def share_of_top(values: np.ndarray, able: np.ndarray) -> np.ndarray:
    """[M] float64 weights in (0, 1]: values as a share of the highest able one, no less than FLOOR.

    So that everything can be drawn and nothing is the logarithm of zero. Where no value is positive, all weigh as much.
    """
    values = np.where(able, values, 0.0).astype(np.float64)
    top = values.max(initial=0.0)
    return np.maximum(values / top, FLOOR) if top > 0 else np.ones_like(values)


def probabilities(drawn: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """[K] q of each draw given those before it, from the log-weights of the drawn, in that order, and of the rest."""
    never = np.logaddexp.reduce(rest) if rest.size else -np.inf
    left = np.logaddexp.accumulate([never, *drawn[::-1]])[:0:-1]  # what could be drawn at each draw
    return np.exp(drawn - left)


def between(first: float, last: float | None, progress: float) -> float:
    """A schedule: `first` at the first purchase of a run, `last` at its last, geometric between the two."""
    return first if last is None else first * (last / first) ** progress
