"""Regions at random, those first that the model believes to be foreground."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket
from bal.selection.selectors._foreground import foreground_first
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class ForegroundRandom:
    """Uniform draws from the regions predicted to touch the foreground, then from the others.

    The baseline that few query methods beat, and usable in practice: it reads predictions, never the truth, and of the
    score only that there is one. While the predicted foreground lasts, the other regions have no chance, so R_LURE of
    such draws would be biased and no probabilities are reported; `selectors/_foreground.py` says when there
    are some.

    Reference:
        nnActive (TMLR 2025), "improved random".
    """

    least: float = 0.0
    """A region of a larger predicted foreground share is drawn first; 0: one pixel is enough."""
    needs = ("predicted",)

    def __post_init__(self) -> None:
        if not 0 <= self.least < 1:
            raise BadInput(f"foreground_random needs 0 ≤ least < 1, got {self.least}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        return foreground_first(key, Basket(scores, offer), about["predicted"], self.least)
