"""What whoever watches a run is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from bal.posterior.model import Model


class Event(NamedTuple):
    """What is going on, for whoever watches."""

    round: int
    stage: str  # fit, evaluate or score
    done: int
    total: int
    loss: float | None = None


Watch = Callable[[Event], None]


class Record(NamedTuple):
    """One round: the model trained on everything bought so far, and what was bought next because of it."""

    row: dict[str, Any]  # the line of curve.csv
    queries: list[dict[str, Any]]  # the new lines of queries.jsonl, bought after this model had been asked
    model: Model
    unspent: float  # of that purchase: allowed, but no region was left to buy
