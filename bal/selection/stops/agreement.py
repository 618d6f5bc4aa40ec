"""Stops where a purchase no longer changes what the model says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bal.selection.gain import change
from bal.types import BadInput


@dataclass(frozen=True)
class Agreement:
    """Once a model labels as the one before it did.

    Agreement is the Jaccard index of what the two predict, mean over the classes of the foreground.

    Reference:
        Bloodgood & Vijay-Shanker 2009, "A method for stopping active learning based on stabilizing predictions and the
        need for user-adjustable stopping", arXiv:1409.5165, with Cohen's kappa in its place.
    """

    least: float = 0.9
    """Agreement from which on nothing more is bought."""

    def __post_init__(self) -> None:
        if not 0 < self.least <= 1:
            raise BadInput(f"stop.least: expected 0 < least ≤ 1, got {self.least}")

    def why(self, row: Mapping[str, Any], classes: Sequence[str]) -> str:
        same = 1 - change(row, classes)
        return f"this model labels the foreground as the one before, to {same:.3f}" * (same >= self.least)
