"""What a budget can still buy: every selector fills a basket, so that none can overspend or buy anything twice."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from bal.scoring.ranking import highest
from bal.selection.selectors.base import Offer, Query
from bal.types import Key


def affordable(costs: np.ndarray, budget: float, spent: float = 0.0) -> np.ndarray:
    """Goes down a ranking and buys whatever still fits, until nothing does.

    Equal to the loop `for m in ranking: if spent + cost[m] ≤ budget: buy m`, sum by sum in float64, in as many
    vectorised passes as there are places where something no longer fits: each pass buys the longest affordable run
    and drops what is too dear by then.

    Args:
        costs: [M] positive and finite, best first.
        budget: in the unit of `costs`.
        spent: what of it is gone already.

    Returns:
        Ascending positions in the ranking; `spent` and their costs, added up in that order, are at most the budget.
    """
    costs, runs = costs.astype(np.float64), []
    open_ = np.flatnonzero(spent + costs <= budget)
    while open_.size:
        running = np.cumsum(np.concatenate([[spent], costs[open_]]))[1:]
        length = int(np.searchsorted(running, budget, side="right"))  # at least 1: all that is open fits by itself
        runs.append(open_[:length])
        spent, open_ = running[length - 1], open_[length:]
        open_ = open_[spent + costs[open_] <= budget]
    return np.concatenate([np.zeros(0, np.int64), *runs])


class Basket:
    """The state of a purchase. A candidate without a finite score or a positive, finite cost is never bought."""

    def __init__(self, scores: np.ndarray, offer: Offer):
        cost, eligible = np.asarray(offer.cost), np.asarray(offer.eligible, bool)
        priced = eligible & np.isfinite(cost) & (cost > 0) & (cost.astype(np.float64) <= offer.budget)
        self.scores, self.cost, self.offer = scores, cost, offer
        self.spent, self.taken = 0.0, np.zeros(0, np.int64)
        self.open = priced & np.isfinite(scores)  # [M] what could be bought next
        image = None if offer.cap is None else offer.image
        self.capped = image is not None
        self._of_image = np.zeros(0 if image is None else int(image.max(initial=-1)) + 1, np.int64)
        self._size = _room(cost[priced], offer.budget)  # K, whatever the scores are

    @property
    def left(self) -> float:
        """Money that is not spent yet."""
        return self.offer.budget - self.spent

    @property
    def equal_costs(self) -> bool:
        """Whether everything that can be bought costs the same, so that the price has no say in what is."""
        return not self.open.any() or np.ptp(self.cost[self.open]) == 0

    def room(self, money: float | None = None) -> int:
        """How many more could be bought at most, with so much of what is left."""
        return _room(self.cost[self.open], self.left if money is None else min(self.left, money))

    def fill(self, ranking: np.ndarray, money: float | None = None) -> np.ndarray:
        """Goes down a ranking of candidates and buys whatever is open and still fits.

        Args:
            ranking: [n] distinct indices, best first.
            money: the most to spend on it; all that is left unless given.

        Returns:
            Those bought, in that order.
        """
        ranking = np.asarray(ranking, np.int64)
        ranking = ranking[self.open[ranking]]
        budget = self.offer.budget if money is None else min(self.offer.budget, self.spent + money)
        if self.capped:
            bought = self._one_by_one(ranking, budget)
        else:
            bought = ranking[affordable(self.cost[ranking], budget, self.spent)]
            self.spent = float(np.cumsum([self.spent, *self.cost[bought].astype(np.float64)])[-1])
        self.taken = np.concatenate([self.taken, bought])
        self.open[bought] = False
        self.open &= self.spent + self.cost.astype(np.float64) <= self.offer.budget
        return bought

    def take(self, m: int) -> bool:
        """Buys one candidate, if that is possible."""
        return self.fill(np.array([m])).size > 0

    def _one_by_one(self, ranking: np.ndarray, budget: float) -> np.ndarray:
        """As `affordable`, with at most `cap` regions of one image."""
        image, cap, bought = np.asarray(self.offer.image), self.offer.cap, []
        assert cap is not None
        for m in ranking.tolist():
            if self._of_image[image[m]] < cap and self.spent + float(self.cost[m]) <= budget:
                self.spent += float(self.cost[m])
                self._of_image[image[m]] += 1
                bought.append(m)
        self.open &= self._of_image[image] < cap
        return np.array(bought, np.int64)

    def query(self, probability: np.ndarray | None = None) -> Query:
        """What was bought, padded to the most that could have been.

        Args:
            probability: [K] of each pick given those before it, in the order of buying; see `bal.metrics.lure`.
        """
        taken = self.taken
        pad = (0, max(0, self._size - taken.size))
        return Query(
            index=jnp.asarray(np.pad(taken, pad, constant_values=-1), jnp.int32),
            score=jnp.asarray(np.pad(self.scores[taken].astype(np.float32), pad, constant_values=-np.inf)),
            cost=jnp.asarray(np.pad(self.cost[taken].astype(np.float32), pad)),
            valid=jnp.asarray(np.pad(np.ones(taken.size, bool), pad)),
            probability=None if probability is None else np.pad(probability, pad, constant_values=np.nan),
        )


def _room(costs: np.ndarray, money: float) -> int:
    """How many of some candidates could be bought at most."""
    return int(max(0.0, min(costs.size, money / float(costs.min(initial=np.inf)))))


def best_first(basket: Basket, values: np.ndarray, money: float | None = None) -> np.ndarray:
    """Fills a basket down the ranking of [M] values, ties to the earlier candidate; −inf and NaN are not ranked.

    The ranking is one jitted `top_k` over a shortlist, as long as the money could buy and rounded up so that few
    lengths are compiled; the money is counted on the host, in float64, where sums are exact. What a shortlist leaves
    over is spent on the next one.

    Args:
        basket: what is filled.
        values: [M] what is ranked; `basket.scores` themselves, or anything else.
        money: the most to spend; all that is left unless given.

    Returns:
        Those bought, in that order.
    """
    end = basket.spent + min(basket.left, np.inf if money is None else money)
    open_, bought = basket.open & np.isfinite(values), [np.zeros(0, np.int64)]
    while room := min(int(open_.sum()), basket.room(end - basket.spent)):
        length = min(1 << room.bit_length(), values.size)
        ranked, index = (np.asarray(a) for a in highest(jnp.asarray(values), jnp.asarray(open_), length))
        ranking = index[: np.count_nonzero(ranked > -np.inf)]
        bought.append(basket.fill(ranking, end - basket.spent))
        open_[ranking] = False
        open_ &= basket.open & (basket.spent + basket.cost <= end)
    return np.concatenate(bought)


def shortlist(basket: Basket, values: np.ndarray, length: int) -> np.ndarray:
    """[≤ length] what is open with the highest of [M] values, best first; −inf and NaN are not ranked."""
    length = min(length, values.size)
    if not length:
        return np.zeros(0, np.int64)
    ranked, index = (np.asarray(a) for a in highest(jnp.asarray(values), jnp.asarray(basket.open), length))
    return index[ranked > -np.inf].astype(np.int64)


def per_cost(basket: Basket) -> np.ndarray:
    """[M] score per cost, to rank by; NaN where nothing is open.

        s / cost where s > 0, s · cost elsewhere

    Divided by its cost, a negative score would look the better the dearer it is. This way the higher score and the
    lower cost always rank first, and what is positive ranks before what is not.
    """
    scores, cost = (np.where(basket.open, a, np.nan).astype(np.float64) for a in (basket.scores, basket.cost))
    limit = float(np.finfo(np.float32).max)
    return np.clip(np.where(scores > 0, scores / cost, scores * cost), -limit, limit).astype(np.float32)


def reading(about: Mapping[str, np.ndarray], name: str) -> tuple[np.ndarray, np.ndarray]:
    """[M, ...] float32 of one name, 0 where a region has no reading, and [M] bool, where it has one."""
    values = np.asarray(about[name], np.float32)
    known = np.asarray(np.isfinite(values).all(axis=tuple(range(1, values.ndim))))  # [M]
    return np.where(known.reshape(-1, *(1,) * (values.ndim - 1)), values, np.float32(0)), known


@jax.jit
def _bits(key: Key, names: jax.Array) -> jax.Array:
    """[M, 2] uint32, each row from its name alone."""
    return jax.vmap(lambda name: jax.random.bits(jax.random.fold_in(key, name), (2,), jnp.uint32))(names)


def noise(key: Key, offer: Offer, size: int) -> np.ndarray:
    """[M] uniform float64 in (0, 1), one for each candidate's own name: their order does not matter."""
    names = np.arange(size, dtype=np.uint32) if offer.id is None else np.asarray(offer.id, np.uint32)
    high, low = np.asarray(_bits(key, jnp.asarray(names))).astype(np.float64).T.reshape(2, -1)
    return (high * 2.0**20 + np.floor(low / 2.0**12) + 0.5) / 2.0**52


def gumbel(key: Key, offer: Offer, size: int) -> np.ndarray:
    """[M] standard Gumbel noise, float64: the k highest of log w + noise are k draws by weight w, none twice."""
    return -np.log(-np.log(noise(key, offer, size)))
