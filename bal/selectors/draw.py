"""Draws without replacement by weight: what the stochastic selectors share."""

from __future__ import annotations

import numpy as np

from bal.selectors.basket import Basket, gumbel
from bal.types import Key, Query


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
    able, known = np.flatnonzero(basket.open), basket.equal_costs and not basket.capped
    noisy = log_weight[able] + gumbel(key, basket.offer, log_weight.size)[able]
    drawn = basket.fill(able[np.argsort(-noisy, kind="stable")])
    rest = np.setdiff1d(able, drawn)
    return basket.query(probabilities(log_weight[drawn], log_weight[rest]) if known else None)


def probabilities(drawn: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """[K] q of each draw given those before it, from the log-weights of the drawn, in that order, and of the rest."""
    never = np.logaddexp.reduce(rest) if rest.size else -np.inf
    left = np.logaddexp.accumulate([never, *drawn[::-1]])[:0:-1]  # what could be drawn at each draw
    return np.exp(drawn - left)


def between(first: float, last: float | None, progress: float) -> float:
    """A schedule: `first` at the first purchase of a run, `last` at its last, geometric between the two."""
    return first if last is None else first * (last / first) ** progress
