"""The first purchase from the predicted foreground at random, every later one by a power of the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket
from bal.selection.selectors._draw import between, draw, for_money, share_of_top
from bal.selection.selectors._foreground import foreground_first
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class Handover:
    """`foreground_random` for the first purchase after the start set, `power` for all that follow.

        purchase 1:   uniform draws from the regions predicted to touch the foreground, then from the others
        purchase m:   rank by  log s + ε,   ε ~ Gumbel(0, 1/β)

    The score of a model that has seen a start set alone says little; later it says more than where the foreground is.
    The noise of a region is that of both rules, so the first purchase is that of `foreground_random` to the region, and
    a later one that of `power`. `hand_over` of a run, which lets contrast and the foreground steer until the score has
    been judged, comes before any selector: with `--no-hand-over` this rule has the first purchase to itself.

    Reference:
        This project's own, of nnActive's "improved random" (TMLR 2025) and power acquisition (Kirsch et al. 2021,
        arXiv:2106.12059): in its comparison of acquisitions power lost the first purchase and gained in later ones.
    """

    beta: float = 1.0
    """β of the first purchase, were it drawn by the score; of all purchases unless β rises."""
    beta_end: float | None = None
    """β of the last purchase, geometric in between; None keeps it."""
    least: float = 0.0
    """A region of a larger predicted foreground share is drawn first; 0: one pixel is enough."""
    per_cost: bool = False
    """Draw by (score / expected price)^β; where all prices are equal nothing changes, to the bit."""
    needs = ("predicted",)

    def __post_init__(self) -> None:
        if not (0 < self.beta < float("inf") and 0 < (self.beta_end or self.beta) < float("inf")):
            raise BadInput(f"handover needs β > 0, got {self.beta} and {self.beta_end}")
        if not 0 <= self.least < 1:
            raise BadInput(f"handover needs 0 ≤ least < 1, got {self.least}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        if offer.progress <= 0:
            return foreground_first(key, basket, about["predicted"], self.least)
        beta = between(self.beta, self.beta_end, offer.progress)
        worth = for_money(basket, scores, self.per_cost)
        return draw(key, basket, beta * np.log(share_of_top(worth, basket.open)))
