"""Regions at random, as much of every style, those first that the model believes to be foreground: a baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np

from bal.selection.selectors._basket import Basket
from bal.selection.selectors._cells import share_out
from bal.selection.selectors._draw import order
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class StyleStratified:
    """The money split evenly over the styles that have candidates; within a style as `foreground_random`.

        money of style s:   budget / number of styles with something to buy
        within s:           rank by  [touches the predicted foreground],  then by  ε,   ε ~ Gumbel(0, 1)

    The baseline to beat where styles are known: it gives a rare style as much as a common one, and reads predictions
    and styles, never the truth. The noise of a region is that of `foreground_random`, which this is where there is one
    style. What a style cannot spend for want of regions is split over the others, and what is less than a region costs
    goes to the next. Which regions had which chance depends on all styles, so no probabilities are reported.

    Reference:
        Stratified sampling with equal allocation: Cochran (1977), "Sampling Techniques", chapter 5; within styles
        nnActive (TMLR 2025), "improved random".
    """

    least: float = 0.0
    """A region of a larger predicted foreground share is drawn first; 0: one pixel is enough."""
    needs = ("predicted", "style")

    def __post_init__(self) -> None:
        if not 0 <= self.least < 1:
            raise BadInput(f"style_stratified needs 0 ≤ least < 1, got {self.least}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        style = np.asarray(about["style"])
        touches = np.asarray(about["predicted"], np.float64)[:, 1:].sum(1) > self.least
        alike, rankings = np.zeros(scores.size), []
        for s in np.unique(style[basket.open]):
            mine = basket.open & (style == s)
            parts = [order(key, offer, alike, mine & part) for part in (touches, ~touches)]
            rankings.append(np.concatenate(parts))
        share_out(jax.random.fold_in(key, 0), basket, np.ones(len(rankings)), rankings)
        basket.fill(np.concatenate([np.zeros(0, np.int64), *rankings]))  # where prices leave a rest to somebody
        return basket.query()
