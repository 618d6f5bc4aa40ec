"""What a selector is offered, what it answers, and what it must be."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from bal.types import Array, Key

NOTHING: Mapping[str, np.ndarray] = MappingProxyType({})


class Query(NamedTuple):
    """A purchase: indices into the M candidate regions, padded at the end to a static K."""

    index: Array  # [K] int32
    score: Array  # [K] float32
    cost: Array  # [K] float32
    valid: Array  # [K] bool; False marks padding: fewer candidates fitted than there was room for
    # [K] float64, q(m-th pick | those before it), in the order of picking; None from a selector that draws nothing.
    # What it makes possible is in `bal.metrics.lure`.
    probability: np.ndarray | None = None


class Offer(NamedTuple):
    """What can be bought, at what price, with how much money."""

    cost: np.ndarray  # [M] positive and finite where there is something to buy
    eligible: np.ndarray  # [M] bool
    budget: float  # in the unit of `cost`
    id: np.ndarray | None = None  # [M] uint32 names, which random draws follow; the index unless given
    image: np.ndarray | None = None  # [M] the image of each candidate
    cap: int | None = None  # the most regions of one image; None for any number
    progress: float = 0.0  # 0 at the first purchase of a run, 1 at its last; for schedules


class Selector(Protocol):
    """Scores and an offer → a Query; set-aware methods live here. An entry of `bal.selection.selectors.SELECTORS`.

    One that needs `truth` or `error` reads the masks of what nobody has labelled yet: no method, but an upper baseline.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """What it reads in `about`: names of `scoring.descriptors`, and `labelled` [M], `style` [M], `appearance`
        [M, F], `audited` [M, C], `truth` [M, C] and `error` [M, C], of which `experiment.offered` says what they are.
        """
        ...

    def __call__(self, key: Key, scores: np.ndarray, offer: Offer, about: Mapping[str, np.ndarray] = NOTHING) -> Query:
        """[M] scores, what is offered, and [M, ...] of each name in `needs` → Query.

        The purchase is unique, eligible, never NaN and never over budget, whatever the scores; random draws follow
        `offer.id` and not the order of candidates.
        """
        ...
