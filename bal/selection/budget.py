"""One round's purchase: which share of the money is audited, steered by the score, or spread at random."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from bal.pool.labels import AUDIT, TRAINING
from bal.selection.selectors import Power, TopK
from bal.selection.selectors.base import NOTHING, Offer, Selector
from bal.types import BadInput, Key


class Purchase(NamedTuple):
    """K regions to buy, in the order of buying."""

    index: np.ndarray  # [K] candidates
    policy: np.ndarray  # [K] str: start, steered, foreground, random or audit
    cost: np.ndarray  # [K]
    unspent: float  # what was allowed but found no region to buy; carried over to the next round
    probability: np.ndarray  # [K] q(m-th pick | those before it), NaN where the selector gives none

    @property
    def splits(self) -> np.ndarray:
        """[K] what each region may be used for."""
        return np.where(self.policy == "audit", AUDIT, TRAINING).astype(np.uint8)

    @property
    def steered_share(self) -> float:
        """Share of the cost that followed the score."""
        total = float(self.cost.sum())
        return float(self.cost[self.policy == "steered"].sum()) / total if total else 0.0


def nothing() -> Purchase:
    """The purchase of no region."""
    none = np.zeros(0)
    return Purchase(none.astype(np.int64), none.astype(str), none, 0.0, none)


class Plan(NamedTuple):
    """How much is bought in which round: equal shares from one stage to the next."""

    start: float  # before the first round
    stages: Sequence[tuple[int, float]]  # (rounds, money in all by then); the last is what the run is to come to

    @property
    def rounds(self) -> int:
        """In all."""
        return self.stages[-1][0]

    def allowance(self, round: int) -> float:
        """What may have been spent in all once round `round` is bought: start + (budget − start) · round / rounds."""
        done, spent = 0, self.start
        for rounds, budget in self.stages:
            if round < rounds:
                return spent + (budget - spent) * (round - done) / (rounds - done)
            done, spent = rounds, budget
        return spent if done else self.start


class Shares(NamedTuple):
    """How the money of one purchase is shared out."""

    audit: float  # what is due to the audit, in units of cost
    steer: float = 0.0  # share of the remainder that follows the score
    rest: str = "random"  # the policy that is noted for what is spread at random
    by: str = "steered"  # the policy that is noted for what follows the score, or, where it has weights, follows these


def _check(index: np.ndarray, costs: np.ndarray, open_: np.ndarray, budget: float, chooser: Selector) -> None:
    """Raises BadInput for a purchase that is none: before anybody is asked about it."""
    what, there = f"{type(chooser).__name__} chose", (index >= 0) & (index < costs.size)
    if not there.all():
        raise BadInput(f"{what} region {index[~there][0]} of {costs.size}")
    if len(set(index.tolist())) < len(index) or not open_[index].all():
        raise BadInput(f"{what} a region twice, or one that is not for sale")
    spent = float(costs[index].sum(dtype=np.float64))
    if spent > max(budget, 0) * (1 + 1e-6):
        raise BadInput(f"{what} regions for {spent:g}, and had {max(budget, 0):g}")


def compose(
    key: Key,
    offer: Offer,
    shares: Shares,
    selector: Selector | None = None,
    scores: np.ndarray | None = None,
    about: Mapping[str, np.ndarray] = NOTHING,
    weights: Mapping[str, np.ndarray] = NOTHING,
    audit_cost: np.ndarray | None = None,
) -> Purchase:
    """Chooses a round's regions: first the audit, then what follows the score, then what is spread at random.

    The audit is drawn before the score has its say, uniformly from everything still unlabelled, so that it stands for
    the pool as it is. Fractions of a region that a share cannot buy go to the next share, and from the last to the
    next round.

    A uniform draw from n regions has the probability 1/n; where costs differ it has none, since what is drawn last must
    fit the money that is left.

    Args:
        key: of every draw.
        offer: what can be bought, at what price, with how much money in all; names, images and caps for the part that
            is steered.
        shares: who gets how much of it.
        selector, scores: how the steered part is chosen, and [M]; not needed when `shares.steer` is 0.
        about: what the selector reads of the regions besides their scores.
        weights: [M] by policy, of what is drawn in proportion to weights instead of uniformly; where all costs are
            equal, with known probabilities.
        audit_cost: [M] price of each region in the audit; as elsewhere unless given.
    """
    draws, keys = TopK(), jax.random.split(key, 3)
    open_ = offer.eligible.copy()
    bought: list[tuple[np.ndarray, str, np.ndarray, np.ndarray]] = []

    def buy(policy: str, budget: float, chooser: Selector, by: np.ndarray, key: Key) -> float:
        steered, costs = policy == "steered", offer.cost
        if policy == "audit" and audit_cost is not None:
            costs = audit_cost
        money = offer._replace(eligible=open_, budget=budget) if steered else Offer(costs, open_, budget)
        query = chooser(key, by, money, about if steered else {})
        valid = np.asarray(query.valid)
        index, odds = np.asarray(query.index)[valid], np.full(valid.sum(), np.nan)
        _check(index, costs, open_, budget, chooser)
        if query.probability is not None:
            odds = np.asarray(query.probability, np.float64)[valid]
        elif chooser is draws and len(set(costs[open_].tolist())) == 1:
            odds = 1 / (open_.sum() - np.arange(len(index), dtype=np.float64))
        open_[index] = False
        bought.append((index, policy, odds, costs[index]))
        return float(costs[index].sum(dtype=np.float64))

    def drawn(policy: str, budget: float, key: Key) -> float:
        if policy in weights:
            return buy(policy, budget, Power(), np.asarray(weights[policy]), key)
        return buy(policy, budget, draws, np.asarray(jax.random.uniform(key, offer.cost.shape)), key)

    left = offer.budget
    left -= drawn("audit", min(left, shares.audit), keys[0])
    if shares.by in weights:
        left -= drawn(shares.by, shares.steer * left, keys[1])
    elif shares.steer > 0 and selector is not None and scores is not None:
        left -= buy("steered", shares.steer * left, selector, scores, keys[1])
    left -= drawn(shares.rest, left, keys[2])
    index = np.concatenate([i for i, *_ in bought]).astype(np.int64)
    policy = np.concatenate([np.full(i.shape, p) for i, p, *_ in bought])
    odds, cost = (np.concatenate([part[k] for part in bought]) for k in (2, 3))
    return Purchase(index, policy, cost, left, odds)
