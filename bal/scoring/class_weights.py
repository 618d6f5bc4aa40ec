"""Class routing: how much each class counts in a score that is a sum over classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from bal.types import BadInput

Route = Literal["uniform", "gap", "rarity", "weights"]


@dataclass(frozen=True)
class Routing:
    """What `--route` needs to know, by class, background first."""

    weights: tuple[float, ...] = ()
    """How much each class counts, for `--route weights`."""
    ceiling: tuple[float, ...] = ()
    """IoU that each class can reach, for `--route gap`; 1 for all unless given."""

    def __post_init__(self) -> None:
        if any(not 0 <= w < float("inf") for w in self.weights) or (self.weights and not any(self.weights)):
            raise BadInput(f"routing.weights: expected numbers from 0 on, not all 0, got {list(self.weights)}")
        if any(not 0 < c <= 1 for c in self.ceiling):
            raise BadInput(f"routing.ceiling: expected IoUs, 0 < ceiling ≤ 1, got {list(self.ceiling)}")

    def check(self, route: Route, classes: Sequence[str]) -> None:
        """Raises BadInput unless there is a number for each class."""
        for name, given in (("weights", self.weights), ("ceiling", self.ceiling)):
            if given and len(given) != len(classes):
                raise BadInput(
                    f"routing.{name} has {len(given)} numbers for the {len(classes)} classes {list(classes)}"
                )
        if route == "weights" and not self.weights:
            raise BadInput(f"--route weights needs --routing.weights, a number for each of {list(classes)}")


def gap(iou: np.ndarray, ceiling: Sequence[float] = ()) -> np.ndarray:
    """Weights that follow what is lacking:  w_c ∝ max(ceiling_c − IoU_c, 0),  their mean 1.

    Args:
        iou: [C] on regions that nobody was trained on; NaN (a class that was neither seen nor predicted) counts as 0.
        ceiling: [C]; 1 for all unless given.

    Returns:
        [C]; 1 for all where no class is behind its ceiling.
    """
    return _mean_one(np.maximum((np.asarray(ceiling) if len(ceiling) else 1.0) - np.nan_to_num(iou), 0.0))


def rarity(frequency: np.ndarray, least: float = 1e-3) -> np.ndarray:
    """Weights that follow how rarely a class is predicted:  w_c ∝ 1 / max(f_c, least),  their mean 1.

    Args:
        frequency: [C] mean predicted probability over the pool.
        least: so that a class that is hardly ever predicted is not all that counts.
    """
    return _mean_one(1 / np.maximum(frequency, least))


def _mean_one(weight: np.ndarray) -> np.ndarray:
    total = weight.sum()
    return weight * len(weight) / total if total > 0 else np.ones_like(weight)
