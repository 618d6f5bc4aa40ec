"""What whoever watches a run is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from bal.posterior.model import Model


class Event(NamedTuple):
    """What is going on."""

    round: int
    stage: str  # read, pretrain, fit, evaluate or score; or a note
    done: int = 0
    total: int = 0
    loss: float | None = None
    note: str = ""  # what a person should know although nothing has failed


Watch = Callable[[Event], None]


class Record(NamedTuple):
    """One round: the model trained on everything bought so far, and what was bought next because of it."""

    row: dict[str, Any]  # the line of curve.csv, which never changes: where a run is given more, what its last model
    # then asks for is in the record alone
    queries: list[dict[str, Any]]  # the new lines of queries.jsonl, bought after this model had been asked
    model: Model
    unspent: float  # of that purchase: allowed, but no region was left to buy
    start: Sequence[dict[str, Any]] = ()  # in the first record of a run, the lines of queries.jsonl of the start set
    styles: Mapping[str, Mapping[str, float]] = MappingProxyType(
        {}
    )  # every metric of each, where the source knows them
