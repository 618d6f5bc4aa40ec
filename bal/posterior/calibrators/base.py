"""What a calibrator must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from bal.types import Array


class Calibrator(Protocol):
    """A map of logits to better log-probabilities; an entry of `bal.posterior.calibrators.CALIBRATORS`.

    `on` says what is calibrated: each posterior sample ("members") or their pooled mean ("pooled").
    """

    @property
    def on(self) -> str: ...

    def init(self, classes: int) -> Any:
        """The state that changes nothing; also what `fit` returns when there is nothing to learn from."""
        ...

    def fit(self, logits: Array, label: Array, weight: Array | None = None) -> Any:
        """[P, C], or on members [P, S, C]; [P]; [P] → state. IGNORE counts for nothing. Never diverges."""
        ...

    def log_probs(self, state: Any, logits: Array) -> Array:
        """[..., C] → normalised [..., C]. Logits may be −inf: a class that is impossible; NaN stops whoever scores."""
        ...

    def summary(self, state: Any) -> Mapping[str, float]:
        """What goes to the curve, by column name."""
        ...
