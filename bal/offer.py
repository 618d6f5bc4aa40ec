"""What a selector is offered, and what it answers. The letters are those of `bal.types`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jax import Array

NOTHING: Mapping[str, np.ndarray] = MappingProxyType({})


class Query(NamedTuple):
    """A purchase: indices into the M candidate regions, padded at the end to a static K."""

    index: Array  # [K] int32
    score: Array  # [K] float32
    cost: Array  # [K] float32
    valid: Array  # [K] bool; False marks padding: fewer candidates fitted than there was room for
    # [K] float64, q(m-th pick | those before it), in the order of picking; None from a selector that draws nothing.
    # What it makes possible is in `bal.unbiased`.
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
