"""Most of the money split evenly over the foreground classes, each by its own part of the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np

from bal.selection.selectors._basket import Basket, reading
from bal.selection.selectors._draw import between, for_money, order, share_of_top
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class Stratified:
    """A share of the money split evenly over the foreground classes, the rest by the plain score; power noise on all.

        class c:   rank by  log mean(score · p_c) + ε
        the rest:  rank by  log score + ε,             ε ~ Gumbel(0, 1/β)

    With entropy as the score this is ClaSP PE. The foreground classes take turns in an order that is drawn; what is
    left of a class's money because it is less than a region costs goes to the next class, and what a class cannot spend
    for want of regions goes to the rest. Values that are not positive are treated as in `power`. Regions without a
    reading are bought by the plain score alone. A region that two classes want is drawn from two rankings, so no
    probabilities are reported.

    Reference:
        ClaSP PE, arXiv:2601.13677: 66 % of a batch over the classes, β from 1 to 100. It counts regions; here money is
        shared, which is the same where costs are equal.
    """

    share: float = 0.66
    """Share of the money that is split over the foreground classes."""
    beta: float = 1.0
    """β of the first purchase."""
    beta_end: float | None = 100.0
    """β of the last purchase, geometric in between; None keeps it."""
    per_cost: bool = False
    """Draw by (score / expected price)^β; where all prices are equal nothing changes, to the bit."""
    needs = ("by_predicted",)

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise BadInput(f"stratified needs a share from 0 to 1, got {self.share}")
        if not (0 < self.beta < float("inf") and 0 < (self.beta_end or self.beta) < float("inf")):
            raise BadInput(f"stratified needs β > 0, got {self.beta} and {self.beta_end}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        by_class, known = reading(about, "by_predicted")
        beta = between(self.beta, self.beta_end, offer.progress)
        turn, noise = jax.random.split(key)

        def buy(stream: int, values: np.ndarray, able: np.ndarray, money: float) -> None:
            log_weight = beta * np.log(share_of_top(for_money(basket, values, self.per_cost), able))
            basket.fill(order(jax.random.fold_in(noise, stream), offer, log_weight, able), money)

        foreground = by_class.shape[1] - 1 if self.share > 0 else 0
        carried = 0.0
        each = self.share * offer.budget / max(foreground, 1)
        for c in 1 + np.asarray(jax.random.permutation(turn, foreground)):
            before = basket.spent
            buy(int(c), by_class[:, c], basket.open & known, each + carried)
            ran_out = not (basket.open & known).any()
            carried = 0.0 if ran_out else each + carried - (basket.spent - before)
        buy(0, scores, basket.open, basket.left)
        return basket.query()
