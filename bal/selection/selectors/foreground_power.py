"""Draws by a power of the score, from the regions believed to be foreground first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket
from bal.selection.selectors._draw import between, for_money, share_of_top
from bal.selection.selectors._foreground import foreground_first
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class ForegroundPower:
    """Draws ∝ score^β from the regions predicted to touch the foreground, then from the others.

        rank by  [touches the foreground],  then by  log s + ε,   ε ~ Gumbel(0, 1/β)

    With β near 0 this is `foreground_random`, without the foreground it is `power`; a β that rises over the rounds lets
    the score in by and by. In the project's comparison of acquisitions it was no better than `power`. Scores that are
    not positive are treated as in `power`, probabilities as in `foreground_random`.

    Reference:
        This project's own, of nnActive's "improved random" (TMLR 2025) and power acquisition (Kirsch et al. 2021,
        arXiv:2106.12059); benchmarks/README.md has what led to it.
    """

    beta: float = 0.1
    """β of the first purchase."""
    beta_end: float | None = 2.0
    """β of the last purchase, geometric in between; None keeps it."""
    least: float = 0.0
    """A region of a larger predicted foreground share is drawn first; 0: one pixel is enough."""
    per_cost: bool = False
    """Draw by (score / expected price)^β; where all prices are equal nothing changes, to the bit."""
    needs = ("predicted",)

    def __post_init__(self) -> None:
        if not (0 < self.beta < float("inf") and 0 < (self.beta_end or self.beta) < float("inf")):
            raise BadInput(f"foreground_power needs β > 0, got {self.beta} and {self.beta_end}")
        if not 0 <= self.least < 1:
            raise BadInput(f"foreground_power needs 0 ≤ least < 1, got {self.least}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        beta = between(self.beta, self.beta_end, offer.progress)
        worth = for_money(basket, scores, self.per_cost)
        log_weight = beta * np.log(share_of_top(worth, basket.open))
        return foreground_first(key, basket, about["predicted"], self.least, log_weight)
