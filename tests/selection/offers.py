"""Random pools, and what selectors read of them, for the files that test selectors."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import strategies as st

from bal.selection.selectors import SELECTORS, BatchBALD
from bal.selection.selectors.base import Offer, Query, Selector

M, C = 24, 3  # candidates and classes, always as many, so that nothing is compiled twice
KEY = jax.random.key(0)
SMALL: dict[str, Selector] = {name: cls() for name, cls in SELECTORS.items()} | {
    "batch_bald": BatchBALD(shortlist=12, exact=12, most=5)
}
SHAPES = {
    "predicted": (C,),
    "truth": (C,),
    "by_predicted": (C,),
    "embedding": (4,),
    "gradient": (6,),
    "joint": (4, C),
    "labelled": (),
    "style": (),
    "error": (C,),
    "audited": (C,),
    "appearance": (5,),
}


@st.composite
def pools(draw, equal_costs: bool = False, ties: bool = True):
    """Scores, costs, what is eligible, and a budget, with all that can be odd about them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.standard_normal(M).astype(np.float32)
    if ties and draw(st.booleans()):
        scores = np.round(scores)
    odd = rng.random(M) < draw(st.sampled_from([0.0, 0.3, 1.0]))
    scores = np.where(odd & ties, rng.choice(np.float32([np.nan, np.inf, -np.inf, 0.0]), M), scores)
    kind = "equal" if equal_costs else draw(st.sampled_from(["equal", "whole", "fractions", "odd"]))
    costs = {
        "equal": np.full(M, draw(st.sampled_from([1.0, 0.1, 256.0]))),
        "whole": rng.integers(1, 300, M),
        "fractions": rng.random(M) + 0.01,
        "odd": rng.choice([1.0, 2.5, 0.0, -1.0, np.nan, np.inf], M),
    }[kind].astype(np.float32)
    eligible = rng.random(M) < draw(st.sampled_from([0.0, 0.5, 1.0]))
    whole = float(np.nansum(np.where(np.isfinite(costs) & (costs > 0), costs, 0.0), dtype=np.float64))
    share = draw(st.sampled_from([-0.1, 0.0, 0.01, 0.3, 0.5, 1.0, 2.0, np.inf]) | st.floats(0, 1))
    return scores, costs, eligible, share * whole if whole else 1.0


def readings(name: str, seed: int = 0, size: int = M, unseen: float = 0.0, alike: bool = False) -> dict:
    """What a selector reads, at random.

    Args:
        name: of the selector.
        seed: of the numbers.
        size: regions.
        unseen: share of them that has no reading.
        alike: whether many readings are equal to others, and some all zero.
    """
    rng, about = np.random.default_rng(seed), {}
    missing = rng.random(size) < unseen
    for need in SMALL[name].needs:
        shape = (size, *SHAPES[need])
        if need == "labelled":
            about[need] = rng.random(size) < 0.3
            continue
        if need == "style":
            about[need] = rng.integers(0, 4, size)
            continue
        values = np.abs(rng.standard_normal(shape)) if need in ("embedding", "gradient") else rng.random(shape)
        if need in ("predicted", "truth"):
            values[rng.random(size) < 0.5, 1:] = 0
        if alike:
            values = np.round(values)
        if need in ("predicted", "truth", "joint"):
            values = (values + 1e-9 * (values.sum(-1, keepdims=True) == 0)) / (values.sum(-1, keepdims=True) + 1e-9)
        values[missing | (rng.random(size) < 0.6 * (need == "audited"))] = np.nan
        about[need] = values.astype(np.float32)
    return about


def ask(name: str, pool, key=KEY, about: dict | None = None, **offer) -> Query:
    about = readings(name, size=len(pool[0])) if about is None else about
    return SMALL[name](key, pool[0], Offer(*pool[1:], **offer), about)


def bought(query: Query) -> np.ndarray:
    return np.asarray(query.index)[np.asarray(query.valid)]
