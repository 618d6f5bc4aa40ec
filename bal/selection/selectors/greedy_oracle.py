"""The regions that are predicted wrongly, most of it first: an upper baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket, gumbel, reading
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import Key


@dataclass(frozen=True)
class GreedyOracle:
    """The most wrong pixels for the money, by the masks: an upper baseline.

        rank by  e_m / cost_m,   e_m = ½ Σ_c error_mc = pixels of m whose class is not the one predicted

    It reads the masks of regions that nobody has labelled yet, and compares them with what the model predicts. Nobody
    could do that in practice: it shows about how much any choice could win, and must never be reported as a method.
    Greedy, and one purchase ahead: it does not see that two regions teach the same, nor that some errors cannot be
    learned, so a rule may come out above it. A wrong pixel is foreground in truth or as predicted, so e_m are the wrong
    foreground pixels. Regions with as many per cost come in the order of the noise of their names, and regions without
    a reading last.

    Reference:
        An oracle of the error reduction that expected error reduction estimates: Roy & McCallum (2001), "Toward Optimal
        Active Learning through Sampling Estimation of Error Reduction". The ranking is this project's own.
    """

    needs = ("truth", "error")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        error, known = reading(about, "error")
        among = np.flatnonzero(basket.open)
        wrong = error[among].sum(1, dtype=np.float64) / 2 / basket.cost[among].astype(np.float64)
        noise = gumbel(key, offer, scores.size)[among]
        basket.fill(among[np.lexsort((-noise, -np.where(known[among], wrong, -1.0)))])
        return basket.query()
