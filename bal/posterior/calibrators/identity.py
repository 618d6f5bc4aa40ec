"""No calibration: the baseline that every calibrator must beat."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import jax

from bal.types import Array


class IdentityState(NamedTuple):
    """Nothing to remember."""


@dataclass(frozen=True)
class Identity:
    """`log p = log_softmax(logits)`."""

    on: Literal["pooled", "members"] = "pooled"
    """What is calibrated; changes nothing here."""

    def init(self, classes: int) -> IdentityState:
        """The only state there is."""
        return IdentityState()

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> IdentityState:
        """[P, C], [P], [P] → the only state there is; looks at nothing."""
        return IdentityState()

    def log_probs(self, state: IdentityState, logits: Array) -> Array:
        """[..., C] → log-softmax, [..., C]."""
        return jax.nn.log_softmax(logits)

    def summary(self, state: IdentityState) -> Mapping[str, float]:
        """The temperature that this amounts to."""
        return {"temperature": 1.0}
