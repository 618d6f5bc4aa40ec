"""Regions at random, those first that are foreground in truth: an upper baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bal.selection.selectors._basket import Basket
from bal.selection.selectors._foreground import foreground_first
from bal.selection.selectors.base import NOTHING, Offer, Query
from bal.types import BadInput, Key


@dataclass(frozen=True)
class OracleForegroundRandom:
    """Uniform draws from the regions that touch the foreground in truth, then from the others: an upper baseline.

    It reads the masks of regions that nobody has labelled yet. Nobody could do that in practice: it shows how far
    knowing where the foreground is would go, and must never be reported as a method. Otherwise as `foreground_random`.

    Reference:
        nnActive (TMLR 2025), "oracle foreground random".
    """

    least: float = 0.0
    """A region of a larger true foreground share is drawn first; 0: one pixel is enough."""
    needs = ("truth",)

    def __post_init__(self) -> None:
        if not 0 <= self.least < 1:
            raise BadInput(f"oracle_foreground_random needs 0 ≤ least < 1, got {self.least}")

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        return foreground_first(key, Basket(scores, offer), about["truth"], self.least)
