"""The budget is spent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Never:
    """Not before the budget is spent."""

    def why(self, row: Mapping[str, Any], classes: Sequence[str]) -> str:
        return ""
