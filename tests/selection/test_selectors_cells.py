"""Selectors that share money out over styles and classes, against the same rules written out."""

from __future__ import annotations

import jax
import numpy as np
from hypothesis import given, settings, strategies as st
from offers import KEY, M, bought

from bal.selection.selectors import ForegroundRandom, StyleStratified
from bal.selection.selectors._basket import Basket, gumbel
from bal.selection.selectors._cells import share_out
from bal.selection.selectors.base import Offer

seeds = st.integers(0, 2**32 - 1)


def touching(rng: np.random.Generator, share: float = 0.5) -> np.ndarray:
    """[M, 2] predicted shares of regions, so many of which touch the foreground."""
    return np.where(rng.random((M, 1)) < share, [[0.5, 0.5]], [[1.0, 0.0]]).astype(np.float32)


@given(seeds, st.integers(1, 6), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=100)
def test_every_style_gets_as_much_foreground_first_by_the_common_noise(seed, styles, share):
    """Of equal prices: as many of each to within one, as long as there are some; and which, to the region."""
    rng = np.random.default_rng(seed)
    style, predicted, key = rng.integers(0, styles, M), touching(rng, share), jax.random.key(seed)
    offer = Offer(np.full(M, 2.0, np.float32), rng.random(M) < 0.9, 2.0 * rng.integers(1, M))
    index = bought(
        StyleStratified()(key, np.zeros(M, np.float32), offer, {"predicted": predicted, "style": style})
    ).tolist()
    noise, count = gumbel(key, offer, M), np.bincount(style[index], minlength=styles)
    there = np.bincount(style[offer.eligible], minlength=styles)
    assert len(index) == min(offer.budget / 2, there.sum())
    with_more = count < there
    assert with_more.sum() < 2 or np.ptp(count[with_more]) <= 1
    assert count[~with_more].max(initial=0) <= count[with_more].min(initial=M) + 1
    for s in range(styles):
        able = np.flatnonzero(offer.eligible & (style == s))
        ranked = sorted(able, key=lambda m: (predicted[m, 1] == 0, -noise[m]))
        assert [m for m in index if style[m] == s] == ranked[: count[s]]


def test_one_style_is_foreground_random():
    rng = np.random.default_rng(0)
    about = {"predicted": touching(rng), "style": np.full(M, 7)}
    offer = Offer(rng.choice([0.5, 1.0, 2.5], M), rng.random(M) < 0.8, 9.0)
    for seed in range(5):
        key = jax.random.key(seed)
        mine, other = (
            rule(key, np.zeros(M, np.float32), offer, about) for rule in (StyleStratified(), ForegroundRandom())
        )
        assert bought(mine).tolist() == bought(other).tolist()


def test_a_rare_style_is_drawn_as_often_as_a_common_one():
    style = np.repeat([0, 1, 2], [18, 4, 2])
    offer, count = Offer(np.ones(M, np.float32), np.ones(M, bool), 8.0), np.zeros(3)
    about = {"predicted": np.full((M, 2), 0.5, np.float32), "style": style}
    for seed in range(200):
        index = bought(StyleStratified()(jax.random.key(seed), np.zeros(M, np.float32), offer, about))
        found = np.bincount(style[index], minlength=3)
        assert found[2] == 2, "all that there is, and what it leaves goes to the others"
        assert sorted(found[:2]) == [3, 3]
        count += np.bincount(style[index[:3]], minlength=3)
    assert count.min() > 0, "styles take turns in an order that is drawn"


@given(seeds, st.sampled_from([0.3, 1.0, 7.0]))
@settings(max_examples=100)
def test_money_is_shared_in_proportion_to_weights(seed, scale):
    """To within what one region costs, where no cell runs out; and all of it is spent on what a cell can buy."""
    rng = np.random.default_rng(seed)
    size, weight = 400, rng.dirichlet(np.ones(4)) * scale
    cost, cell = rng.uniform(0.5, 2.0, size).astype(np.float32), np.repeat(np.arange(4), 100)
    basket = Basket(np.zeros(size, np.float32), Offer(cost, np.ones(size, bool), 40.0))
    share_out(KEY, basket, weight, [rng.permutation(np.flatnonzero(cell == g)) for g in range(4)])
    spent = np.bincount(cell[basket.taken], cost[basket.taken].astype(np.float64), minlength=4)
    assert np.abs(spent - 40.0 * weight / weight.sum()).max() < 2 * 2.0
    assert basket.left < 2.0
    none = Basket(np.zeros(size, np.float32), Offer(cost, np.ones(size, bool), 40.0))
    share_out(KEY, none, np.array([0.0, 1.0]), [np.flatnonzero(cell == 0), np.flatnonzero(cell == 1)])
    assert set(cell[none.taken].tolist()) == {1}, "a cell of weight 0 gets nothing"
