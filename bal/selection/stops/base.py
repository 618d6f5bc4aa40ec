"""What a rule for stopping must be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol


class Stop(Protocol):
    """When a run ends before its budget is spent; an entry of `bal.selection.stops.STOPS`."""

    def why(self, row: Mapping[str, Any], classes: Sequence[str]) -> str:
        """Why nothing more should be bought, in half a sentence; empty where it should.

        Args:
            row: of curve.csv, of the newest model, before anything is bought on its advice.
            classes: names, the background first.
        """
        ...
