"""Selectors that look at a batch as a whole, against the same algorithms written out in float64."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import softmax
from hypothesis import given, settings, strategies as st
from offers import KEY, M, bought

from bal.selection.selectors import Badge, BatchBALD, KCenter, KMeans, TopK
from bal.selection.selectors.base import Offer
from bal.selection.selectors.batch_bald import information, learn, prior
from bal.selection.selectors.k_means import lloyd, seed as starts
from bal.types import BadInput

seeds = st.integers(0, 2**32 - 1)


def offer_of(size: int, budget: float) -> Offer:
    return Offer(np.ones(size, np.float32), np.ones(size, bool), budget)


def distances(x) -> np.ndarray:
    """[M, M] squared, float64."""
    x = np.asarray(x, np.float64)
    return ((x[:, None] - x[None]) ** 2).sum(-1)


@given(seeds, st.integers(0, 8))
@settings(max_examples=100)
def test_k_center_is_farthest_first(seed, labels):
    rng = np.random.default_rng(seed)
    x, scores = rng.standard_normal((M, 3)).astype(np.float32), rng.random(M).astype(np.float32)
    labelled, between = np.arange(M) < labels, distances(x)
    offer = offer_of(M, 6.0)._replace(eligible=~labelled)
    centres = np.flatnonzero(labelled).tolist() or [int(scores.argmax())]
    chosen = [] if labels else centres.copy()
    while len(chosen) < 6:
        nearest = between[:, centres].min(1)
        nearest[centres] = -1
        chosen.append(int(nearest.argmax()))
        centres.append(chosen[-1])
    assert bought(KCenter()(KEY, scores, offer, {"embedding": x, "labelled": labelled})).tolist() == chosen


@given(seeds, st.integers(1, 3))
@settings(max_examples=50)
def test_k_center_covers_half_as_well_as_the_best(seed, count):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((9, 2)).astype(np.float32)
    about, between = {"embedding": x, "labelled": np.zeros(9, bool)}, np.sqrt(distances(x))
    best = min(between[:, list(some)].min(1).max() for some in itertools.combinations(range(9), count))
    index = bought(KCenter()(KEY, np.zeros(9, np.float32), offer_of(9, count), about))
    assert between[:, index].min(1).max() <= 2 * best + 1e-6


def test_k_center_leaves_what_is_like_a_labelled_region_to_the_score():
    x = np.zeros((M, 2), np.float32)
    x[3] = 1.0
    about = {"embedding": x, "labelled": np.arange(M) == 0}
    index = bought(KCenter()(KEY, np.arange(M, dtype=np.float32), offer_of(M, 3.0), about))
    assert index.tolist() == [3, M - 1, M - 2]


def test_badge_draws_by_squared_distance():
    gradient = np.float32([[0, 0], [1, 0], [0, 2], [3, 3], [np.nan, 0]])
    between, pairs = distances(gradient[:4]), np.zeros((4, 4))
    for seed in range(2000):
        first, second = bought(
            Badge()(jax.random.key(seed), np.ones(5, np.float32), offer_of(5, 2.0), {"gradient": gradient})
        )
        pairs[first, second] += 1
    expected = 2000 * between / between.sum(1, keepdims=True) / 4
    assert (np.abs(pairs - expected) < 4.5 * np.sqrt(np.maximum(expected, 1))).all()
    assert (np.diag(pairs) == 0).all()


@given(seeds, st.integers(1, 5), st.sampled_from([0, 1, 5]))
@settings(max_examples=50)
def test_lloyd_is_weighted_k_means(seed, count, iterations):
    rng = np.random.default_rng(seed)
    x, weight = rng.standard_normal((M, 3)), rng.random(M) * (rng.random(M) < 0.8)
    centres, live = np.zeros((5, 3)), np.arange(5) < count
    centres[:count] = x[:count]
    given_ = (jnp.asarray(a, jnp.float32) for a in (x, weight, centres))
    nearest, distance = lloyd(*given_, jnp.asarray(live), iterations)
    for _ in range(iterations):
        member = ((x[:, None] - centres[None, :count]) ** 2).sum(-1).argmin(1)
        for k in range(count):
            if weight[member == k].sum() > 0:
                centres[k] = np.average(x[member == k], axis=0, weights=weight[member == k])
    away = ((x[:, None] - centres[None, :count]) ** 2).sum(-1)
    np.testing.assert_array_equal(nearest, away.argmin(1))
    np.testing.assert_allclose(distance, away.min(1), rtol=1e-4, atol=1e-5)


def test_k_means_starts_by_weight_and_squared_distance():
    x, weight = np.float32([[0, 0], [1, 0], [0, 2], [3, 3]]), np.float64([1.0, 0.5, 0.25, 0.0])
    pairs = np.zeros((4, 4))
    for k in range(2000):
        first, second = starts(jax.random.key(k), x, weight, np.arange(4), 2)
        pairs[first, second] += 1
    pull = weight[None] * distances(x)
    expected = 2000 * (weight / weight.sum())[:, None] * pull / pull.sum(1, keepdims=True)
    assert (np.abs(pairs - expected) < 4.5 * np.sqrt(np.maximum(expected, 1))).all()
    assert starts(KEY, np.zeros((4, 2), np.float32), np.ones(4), np.arange(4), 3).size == 1, "all are alike"


def test_k_means_buys_the_region_nearest_to_each_centre():
    """Four clusters far apart among the 24 highest of 40 scores, whatever lies below them."""
    rng = np.random.default_rng(0)
    blob = np.arange(40) % 4
    x = (100 * np.eye(4)[blob] + rng.standard_normal((40, 4))).astype(np.float32)
    scores = np.where(np.arange(40) < 24, 1 + rng.random(40), -1.0).astype(np.float32)
    expected = []
    for b in range(4):
        own = np.flatnonzero((blob == b) & (scores > 0))
        centre = np.average(x[own].astype(np.float64), axis=0, weights=scores[own])
        expected.append(int(own[((x[own] - centre) ** 2).sum(1).argmin()]))
    expected.sort(key=lambda m: -scores[m])
    for k in range(5):
        index = bought(KMeans(prefilter=6)(jax.random.key(k), scores, offer_of(40, 4.0), {"embedding": x}))
        assert index.tolist() == expected
    with pytest.raises(BadInput, match="prefilter ≥ 1"):
        KMeans(0)


def joint(seed: int, regions: int, samples: int, classes: int = 3, sharp: float = 2.0) -> np.ndarray:
    """[M, S, C] class probabilities by sample."""
    return softmax(sharp * np.random.default_rng(seed).standard_normal((regions, samples, classes)))


def mutual_information(p: np.ndarray) -> float:
    """I(y_1 … y_k; ω) of [k, S, C], by every configuration of labels."""
    k, samples, classes = p.shape
    entropy = 0.0
    for labels in itertools.product(range(classes), repeat=k):
        q = np.prod([p[i, :, y] for i, y in enumerate(labels)], axis=0).mean()
        entropy -= q * np.log(q)
    return entropy + (p * np.log(p)).sum() / samples


@given(seeds)
@settings(max_examples=50)
def test_batch_bald_is_greedy_in_the_joint_mutual_information(seed):
    p, regions = joint(seed, 6, 4), range(6)
    chosen: list[int] = []
    for _ in range(4):
        worth = {m: mutual_information(p[[*chosen, m]]) for m in regions if m not in chosen}
        chosen.append(max(worth, key=lambda m: worth[m]))
    query = BatchBALD(shortlist=6, exact=27)(KEY, np.ones(6, np.float32), offer_of(6, 4.0), {"joint": p})
    assert bought(query).tolist() == chosen


@pytest.mark.parametrize("some", list(itertools.combinations(range(5), 3)))
def test_gains_add_up_to_the_joint_mutual_information(some):
    p, belief, total = joint(1, 5, 4), prior(27, 4), 0.0
    for m in some:
        total += float(information(belief, jnp.asarray(p[[m]], jnp.float32))[0])
        belief = learn(belief, jnp.asarray(p[m], jnp.float32), jnp.full(27, 0.5))
    np.testing.assert_allclose(total, mutual_information(p[list(some)]), atol=1e-5)
    np.testing.assert_allclose(belief.weight.sum(), 1.0, atol=1e-5)


def test_sampled_configurations_agree_with_all_of_them():
    """Six purchases of three classes are 729 configurations; with 200 drawn the gains are those of all, on average."""
    p = jnp.asarray(joint(2, 8, 8, sharp=1.0), jnp.float32)

    def gains(configurations: int, key) -> np.ndarray:
        belief = prior(configurations, 8)
        for m in range(6):
            belief = learn(belief, p[m], jax.random.uniform(jax.random.fold_in(key, m), (configurations,)))
        return np.asarray(information(belief, p))

    exact = gains(729, KEY)
    drawn = np.array([gains(200, jax.random.key(k)) for k in range(30)])
    assert np.abs(drawn - exact[None]).max() < 0.15 * exact.max()
    error = drawn.std(0) / np.sqrt(30)
    assert (np.abs(drawn.mean(0) - exact) < 4 * error + 1e-4).all()
    assert drawn.std(0).max() > 0, "nothing was drawn"


def test_labels_without_a_chance_take_no_room():
    """Regions that all samples agree on, with certainty, leave one configuration each, however many they are."""
    sure = jnp.asarray(np.tile(np.float32([[1, 0, 0]]), (4, 1)))
    belief = prior(2, 4)
    for _ in range(5):
        belief = learn(belief, sure, jnp.full(2, 0.3))
    np.testing.assert_array_equal(belief.weight, [1, 0])
    p = joint(3, 2, 4)
    gain = information(belief, jnp.asarray(p, jnp.float32))
    np.testing.assert_allclose(gain, [mutual_information(p[[m]]) for m in range(2)], atol=1e-5)


def test_batch_bald_avoids_what_bald_buys_twice():
    """Two pairs of samples that disagree on all regions alike: one label tells them apart, a second like it nothing."""
    kinds = np.float64(
        [[[0.9, 0.1], [0.9, 0.1], [0.1, 0.9], [0.1, 0.9]], [[0.8, 0.2], [0.2, 0.8], [0.8, 0.2], [0.2, 0.8]]]
    )
    p = kinds[[0, 0, 0, 1, 1, 1]]
    scores = np.float32([mutual_information(p[[m]]) for m in range(6)])
    assert bought(TopK()(KEY, scores, offer_of(6, 2.0))).tolist() == [0, 1]
    assert bought(BatchBALD()(KEY, scores, offer_of(6, 2.0), {"joint": p})).tolist() == [0, 3]


def test_the_plain_score_takes_over_when_the_samples_have_nothing_more_to_say():
    """Two samples that one label tells apart; then samples that never differ; then after `most` purchases."""
    certain = np.tile(np.float32([[1, 0], [0, 1]]), (M, 1, 1))
    scores = np.arange(M, dtype=np.float32)
    index = bought(BatchBALD()(KEY, scores, offer_of(M, 4.0), {"joint": certain}))
    assert index.tolist() == [M - 1, M - 2, M - 3, M - 4]
    alike = np.repeat(joint(4, M, 1), 4, axis=1)
    assert bought(BatchBALD()(KEY, scores, offer_of(M, 4.0), {"joint": alike})).tolist() == [23, 22, 21, 20]
    p = joint(5, M, 6)
    by_information = bought(BatchBALD(exact=30)(KEY, scores, offer_of(M, 6.0), {"joint": p})).tolist()
    index = bought(BatchBALD(exact=30, most=2)(KEY, scores, offer_of(M, 6.0), {"joint": p})).tolist()
    rest = [m for m in range(M - 1, -1, -1) if m not in by_information[:2]]
    assert index == by_information[:2] + rest[:4]
    assert index != by_information


def test_batch_bald_looks_at_its_shortlist_alone():
    p, scores = joint(6, M, 4), np.random.default_rng(0).random(M).astype(np.float32)
    index = bought(BatchBALD(shortlist=5)(KEY, scores, offer_of(M, 5.0), {"joint": p}))
    assert set(index.tolist()) == set(np.argsort(-scores)[:5].tolist())
    with pytest.raises(BadInput, match="1 ≤ shortlist"):
        BatchBALD(shortlist=0)
