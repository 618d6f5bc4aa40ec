"""A batch of gradients that are long and point different ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import jax
import numpy as np

from bal.selection.selectors._basket import Basket, best_first, reading
from bal.selection.selectors._distances import drawn, spread
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import Key


@dataclass(frozen=True)
class Badge:
    """Regions drawn by the squared distance of their gradients to those bought before, as k-means++ draws its seeds.

        q(m) ∝ min_{b bought} ‖g_m − g_b‖²,   the first uniform

    g is the mean last-layer gradient that the region would cause if the model were right, (p − e_ŷ) ⊗ (features, 1):
    short where the model is sure, so that uncertainty and diversity count in one distance. The score is read only for
    regions without a gradient, and such as are like one that was bought, once no others are left. The draws are by
    design impossible for those, so no probabilities are reported.

    Reference:
        Ash, Zhang, Krishnamurthy, Langford & Agarwal (2020), "Deep Batch Active Learning by Diverse, Uncertain Gradient
        Lower Bounds", arXiv:1906.03671, algorithm 1.
    """

    needs = ("gradient",)

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        basket = Basket(scores, offer)
        gradient, known = reading(about, "gradient")

        def by_distance(distance: np.ndarray, among: np.ndarray) -> int:
            weight = np.where(np.isinf(distance), 1.0, distance)
            return drawn(jax.random.fold_in(key, basket.taken.size), offer, weight, among)

        spread(basket, gradient, known, np.zeros(0, np.int64), by_distance)
        best_first(basket, scores)
        return basket.query()
