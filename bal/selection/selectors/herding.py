"""A batch that is like as much as possible of what is uncertain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist

from bal.selection.selectors._basket import Basket, best_first, reading, shortlist
from bal.selection.selectors._draw import share_of_top
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key

LONGEST = 10**4  # regions among which all distances are held at once, 0.8 GB
NOISE = 1e-12  # of all uncertainty; sums of floats differ by as much for no reason


@dataclass(frozen=True)
class Herding:
    """Greedy purchases of the most uncertainty that becomes covered for the money.

        max_S Σ_n U(x_n) max_{x ∈ L ∪ S} k(x_n, x),   k(x, x') = exp(−‖x − x'‖² / σ²)

    U is the score, L is labelled, x are a region's features; each purchase adds the region whose gain in the sum, per
    cost, is highest. The sum is submodular, so with equal costs the greedy batch gains at least 1 − 1/e of the best
    one. It goes over the `shortlist` highest scores, and so do the purchases.

    σ is a quantile of the distances from each labelled region to the one most like it, so it shrinks as labels come in,
    and coverage turns into ranking by the score. The paper takes the least of these distances, which is quantile 0;
    where regions overlap or paper is blank it is nearly nothing from the first round on, so the median is taken here.
    Equal regions have no distance; with fewer than two labelled ones the shortlist stands in for them. The paper's
    temperature is the run's calibrator.

    Scores that are not positive weigh a millionth of the highest. Once nothing more is gained the money follows the
    plain score, and regions without features are bought by that alone. Nothing is drawn.

    Reference:
        Bae, Oliveira & Sutherland (ICLR 2025), "Uncertainty Herding: One Active Learning Method for All Label Budgets",
        arXiv:2412.20644. Gain per cost: Khuller, Moss & Naor (1999), "The Budgeted Maximum Coverage Problem".
    """

    shortlist: int = 1000
    """Highest scores, which are covered and among which is chosen; time and memory grow with its square."""
    radius: float = 0.5
    """Which quantile of distances between neighbours is σ; 0 for the least, as in the paper."""
    needs = ("embedding", "labelled")

    def __post_init__(self) -> None:
        if not (1 <= self.shortlist <= LONGEST and 0 <= self.radius <= 1):
            raise BadInput(
                f"herding needs 1 ≤ shortlist ≤ {LONGEST} and 0 ≤ radius ≤ 1, got {self.shortlist} and {self.radius}"
            )

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        x, known = reading(about, "embedding")
        short = shortlist(basket, np.where(known, scores, np.nan), self.shortlist)
        if short.size:
            labelled = x[np.asarray(about["labelled"], bool) & known].astype(np.float64)
            self._cover(basket, short, x[short].astype(np.float64), labelled)
        best_first(basket, scores)
        return basket.query()

    def _cover(self, basket: Basket, short: np.ndarray, x: np.ndarray, labelled: np.ndarray) -> None:
        """Fills a basket from [n] regions with features [n, F], given those of what is labelled, [l, F]."""
        sigma = kernel_radius(labelled, self.radius) or kernel_radius(x, self.radius) or 1.0
        alike = np.exp(-cdist(x, x, "sqeuclidean") / sigma**2)  # [n, n]
        covered = np.zeros(short.size)
        if len(labelled):
            covered = np.exp(-((np.asarray(KDTree(labelled).query(x)[0]) / sigma) ** 2))
        uncertainty = share_of_top(basket.scores, basket.open)[short]
        cost, least = basket.cost[short].astype(np.float64), NOISE * uncertainty.sum()
        while (able := basket.open[short]).any():
            gain = uncertainty @ np.maximum(alike - covered[:, None], 0.0)  # [n], of buying each
            best = int(np.where(able, gain / cost, -np.inf).argmax())
            if gain[best] <= least:
                break
            if basket.take(int(short[best])):
                covered = np.maximum(covered, alike[:, best])


def kernel_radius(x: np.ndarray, quantile: float) -> float:
    """A quantile of the distances from each row of x [n, F] to the nearest other; 0 where there is no other."""
    different = np.unique(x, axis=0)
    if len(different) < 2:
        return 0.0
    return float(np.quantile(np.asarray(KDTree(different).query(different, 2)[0])[:, 1], quantile))
