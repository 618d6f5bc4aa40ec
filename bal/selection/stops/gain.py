"""Stops where another purchase is not worth its price."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bal.types import BadInput


@dataclass(frozen=True)
class ExpectedGain:
    """Once the next purchase is expected to raise the IoU by less than it has to.

    The expected gain, `gain_next` (`bal.selection.gain`), is of the mean IoU of the foreground. Stopping where its
    mean falls below the price is what maximises IoU − price · purchases, as long as gains keep falling.
    """

    least: float = 0.01
    """IoU that a purchase has to be expected to gain."""

    def __post_init__(self) -> None:
        if not 0 < self.least < 1:
            raise BadInput(f"stop.least: expected 0 < least < 1, got {self.least}")

    def why(self, row: Mapping[str, Any], classes: Sequence[str]) -> str:
        gain = float(row.get("gain_next", math.nan))
        return f"one more purchase is expected to gain {gain:+.3f} IoU, less than {self.least:g}" * (gain < self.least)
