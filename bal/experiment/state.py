"""What goes on from round to round, and what is reported of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from bal.metrics.tally import Tally
from bal.pool.labels import Pool
from bal.posterior.model import Model
from bal.scoring.objective import Objective
from bal.selection.budget import Purchase


class Pending(NamedTuple):
    """A purchase that annotators have been asked about and that has not been paid yet."""

    purchase: Purchase  # K regions
    known: Sequence[dict[str, Any]] = ()  # K: what the ledger says that was known before: a score, for which class


class State(NamedTuple):
    """What goes on. Purchase 0 is the start set; the model of round r, trained on purchases 0 … r, asks for r + 1."""

    purchase: int  # the number of the one that is under way, or else comes next
    pool: Pool  # what has been answered
    pending: Pending | None = None  # the one that is under way
    model: Model | None = None  # that asked for it
    objective: Objective | None = None  # what it was asked
    done: bool = False  # whether the last model has been recorded


class Look(NamedTuple):
    """What a fit was like at one time."""

    step: int  # that had been taken
    loss: float  # mean over the steps since the look before
    iou: Mapping[str, float] = MappingProxyType({})  # on the audit, by class, before calibration; mostly not measured


class Info(NamedTuple):
    """What is reported of a round, and is in the curve and the ledger; the next row reads the newest lines again."""

    row: dict[str, Any]  # of curve.csv, and a part of it while questions are open; empty for the start set
    tally: Tally | None = None  # of the model, every test image by itself
    queries: Sequence[dict[str, Any]] = ()  # lines of queries.jsonl: what was asked and has been answered
    unspent: float = 0.0  # allowed, but no region was left to buy
    looks: Sequence[Look] = ()  # at the fit, if there has just been one
