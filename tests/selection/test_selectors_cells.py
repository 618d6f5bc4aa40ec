"""Selectors that share money out over styles and classes, against the same rules written out."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from offers import KEY, M, bought

from bal.selection.selectors import Allocation, ForegroundRandom, StyleStratified
from bal.selection.selectors._basket import Basket, gumbel
from bal.selection.selectors._cells import find_styles, share_out
from bal.selection.selectors.allocation import weights
from bal.selection.selectors.base import Offer
from bal.types import BadInput

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


def naive_weights(style, audited, alpha: float, strength: float) -> dict:
    """(w r)^(1/(1 + α)) by style and class, region by region."""
    classes = range(1, audited.shape[1])
    regions = [m for m in range(len(style)) if style[m] >= 0]
    seen = [m for m in range(len(style)) if not np.isnan(audited[m]).any()]
    errors = {c: sum(float(audited[m, c]) for m in seen) for c in classes}
    overall = sum(errors.values()) / max(1, len(seen) * len(classes))
    found = {}
    for s in {int(style[m]) for m in regions}:
        mine = [m for m in seen if style[m] == s]
        share = len([m for m in regions if style[m] == s]) / len(regions)
        for c in classes:
            pooled = (errors[c] + strength * overall) / (len(seen) + strength)
            rate = (sum(float(audited[m, c]) for m in mine) + strength * pooled) / (len(mine) + strength)
            found[s, c] = (share * (rate if overall > 0 else 1.0)) ** (1 / (1 + alpha))
    return found


@given(seeds, st.floats(0, 2), st.floats(0.1, 10), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=100)
def test_a_cell_weighs_what_its_errors_and_its_share_say(seed, alpha, strength, unseen):
    rng = np.random.default_rng(seed)
    style, audited = rng.integers(-1, 4, M), rng.integers(0, 9, (M, 3)).astype(np.float32)
    audited[rng.random(M) < unseen] = np.nan
    found = weights(style, audited, alpha, strength)
    flat = {(s, c): w for s, shares in found.items() for c, w in enumerate(shares, 1)}
    assert flat == pytest.approx(naive_weights(style, audited, alpha, strength), rel=1e-12)


def test_a_style_that_was_not_audited_is_as_the_pool_and_one_that_was_is_itself():
    style = np.repeat([0, 1, 2], [8, 8, 8])
    audited = np.full((M, 2), np.nan)
    audited[:4, 1], audited[8:12, 1] = 0.0, 6.0
    audited[[*range(4), *range(8, 12)], 0] = 0.0
    strong, weak = (weights(style, audited, 0.0, strength) for strength in (1e9, 1e-9))
    rates = [3 * strong[s][0] for s in range(3)]
    np.testing.assert_allclose(rates, 3.0, rtol=1e-6, err_msg="the mean of the pool for all")
    np.testing.assert_allclose([3 * weak[s][0] for s in range(3)], [0.0, 6.0, 3.0], atol=1e-6)


def test_the_split_leaves_the_least_error():
    """Of Σ w r n^(−α) at a given Σ n, against many other splits."""
    rng, alpha = np.random.default_rng(0), 0.7
    style = np.repeat([0, 1, 2], [2, 6, 16])
    audited = np.where(rng.random((M, 1)) < 0.5, rng.integers(0, 9, (M, 2)), np.nan)
    w, r = np.bincount(style) / M, np.array([weights(style, audited, 0.0, 2.0)[s][0] for s in range(3)])
    r = r / w
    share = np.array([weights(style, audited, alpha, 2.0)[s][0] for s in range(3)])

    def left(n) -> np.ndarray:
        return (w * r * (n / n.sum(-1, keepdims=True)) ** -alpha).sum(-1)

    assert (left(share[None]) <= left(rng.dirichlet(np.ones(3), 2000))).all()


@given(seeds)
@settings(max_examples=50)
def test_allocation_fills_cells_by_a_power_of_their_class(seed):
    """Cell by cell without a draw: the highest of each, as many as its money pays, to within one."""
    rng, count = np.random.default_rng(seed), 60
    style, by_class = rng.integers(0, 2, 200), rng.random((200, 3)).astype(np.float32)
    audited = np.where(rng.random((200, 1)) < 0.3, rng.integers(0, 9, (200, 3)), np.nan)
    about = {"by_predicted": by_class, "audited": audited, "style": style}
    offer = Offer(np.ones(200, np.float32), np.ones(200, bool), float(count), progress=1.0)
    rule = Allocation(styles="given", beta_end=1e9)
    index = bought(rule(jax.random.key(seed), np.ones(200, np.float32), offer, about))
    expected = naive_weights(style, audited, rule.alpha, rule.strength)
    whole = sum(expected.values())
    for s in range(2):
        mine = sum(w for (of, _), w in expected.items() if of == s) / whole * count
        assert abs((style[index] == s).sum() - mine) < 2
        best = {c: sorted(np.flatnonzero(style == s), key=lambda m: -by_class[m, c]) for c in (1, 2)}
        most = int((style[index] == s).sum())
        assert all(m in best[1][:most] or m in best[2][:most] for m in index[style[index] == s])


def test_styles_are_found_by_what_images_look_like():
    rng = np.random.default_rng(0)
    kind = np.repeat([0, 1, 2], [40, 15, 5])
    looks = (20 * np.eye(3)[kind] + rng.standard_normal((60, 3))).astype(np.float32)
    image = rng.integers(0, 60, 500)
    unseen = np.arange(500) < 10
    found = find_styles(np.where(unseen[:, None], np.nan, looks[image]), 3)
    assert (found[unseen] == -1).all()
    pairs = {(int(kind[n]), int(f)) for n, f in zip(image[~unseen], found[~unseen], strict=True)}
    assert len(pairs) == 3, "one style for each kind"
    assert len({s for _, s in pairs}) == 3
    assert find_styles(np.full((4, 2), np.nan), 3).tolist() == [-1] * 4


def test_settings_of_allocation_out_of_range_are_refused():
    for wrong in ({"alpha": -0.1}, {"strength": 0.0}, {"kinds": 0}, {"beta": 0.0}, {"styles": "guessed"}):
        with pytest.raises(BadInput, match="allocation"):
            Allocation(**wrong)
    assert Allocation().needs == ("by_predicted", "audited", "appearance")
    assert Allocation(styles="given").needs == ("by_predicted", "audited", "style")
