"""What every selector promises, over a thousand random pools each."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers import check_protocol, check_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from bal.selectors import SELECTORS, Power, Softmax, TopK
from bal.selectors.basket import affordable
from bal.types import BadInput, Offer, Query, Selector

M = 24  # candidates, always as many, so that nothing is compiled twice
KEY = jax.random.key(0)
everyone = pytest.mark.parametrize("name", SELECTORS)
thousand = settings(max_examples=1000)


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


def ask(name: str, pool, key=KEY) -> Query:
    return SELECTORS[name]()(key, pool[0], Offer(*pool[1:]))


def bought(query: Query) -> np.ndarray:
    return np.asarray(query.index)[np.asarray(query.valid)]


def greedy(scores, costs, eligible, budget) -> list[int]:
    """Down the ranking, whatever still fits; ties to the earlier candidate."""
    spent, chosen = 0.0, []
    for m in sorted(range(M), key=lambda m: (-scores[m] if np.isfinite(scores[m]) else np.inf, m)):
        usable = eligible[m] and np.isfinite(scores[m]) and np.isfinite(costs[m]) and costs[m] > 0
        if usable and spent + float(costs[m]) <= budget:
            spent += float(costs[m])
            chosen.append(m)
    return chosen


@everyone
def test_settings_and_signature(name):
    check_settings(SELECTORS[name])
    check_protocol(SELECTORS[name], Selector)


@everyone
def test_a_purchase_is_unique_eligible_finite_and_within_budget(name):
    @given(pools())
    @thousand
    def check(pool):
        scores, costs, eligible, budget = pool
        query = ask(name, pool)
        index, valid = bought(query), np.asarray(query.valid)
        assert len(set(index.tolist())) == index.size
        assert ((index >= 0) & (index < M)).all()
        assert eligible[index].all()
        assert np.isfinite(scores[index]).all()
        assert np.isfinite(costs[index]).all()
        assert (costs[index] > 0).all()
        assert costs[index].sum(dtype=np.float64) <= max(budget, 0.0)
        assert (np.diff(valid.astype(int)) <= 0).all(), "what is not valid comes last"
        assert query.index.shape == query.score.shape == query.cost.shape == query.valid.shape
        np.testing.assert_array_equal(np.asarray(query.cost)[valid], costs[index])

    check()


@everyone
def test_a_purchase_follows_from_the_key(name):
    @given(pools())
    @settings(max_examples=100)
    def check(pool):
        jax.tree.map(np.testing.assert_array_equal, ask(name, pool), ask(name, pool))

    check()


@everyone
def test_money_is_not_left_over_that_could_buy_another(name):
    @given(pools())
    @thousand
    def check(pool):
        scores, costs, eligible, budget = pool
        index = bought(ask(name, pool))
        left = eligible & np.isfinite(scores) & np.isfinite(costs) & (costs > 0)
        left[index] = False
        spare = budget - costs[index].sum(dtype=np.float64)
        assert not (costs[left].astype(np.float64) < spare - 1e-9).any()

    check()


@everyone
def test_callers_arrays_are_left_alone(name):
    arrays = np.arange(M, dtype=np.float32), np.ones(M, np.float32), np.ones(M, bool)
    before = [a.copy() for a in arrays]
    for a in arrays:
        a.flags.writeable = False
    ask(name, (*arrays, 5.0))
    for a, b in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(a, b)


@everyone
@pytest.mark.parametrize(
    ("eligible", "budget"), [(False, 10.0), (True, 0.0), (True, 0.99), (True, -3.0)], ids=["none", "0", "low", "minus"]
)
def test_nothing_can_be_bought(name, eligible, budget):
    pool = np.arange(M, dtype=np.float32), np.ones(M, np.float32), np.full(M, eligible), budget
    assert bought(ask(name, pool)).size == 0
    empty = np.zeros(0, np.float32), np.zeros(0, np.float32), np.zeros(0, bool), 3.0
    assert bought(ask(name, empty)).size == 0


@everyone
def test_an_endless_budget_buys_all_that_is_eligible(name):
    pool = np.arange(M, dtype=np.float32), np.ones(M, np.float32), np.arange(M) % 2 == 0, float("inf")
    assert sorted(bought(ask(name, pool))) == list(range(0, M, 2))


@given(pools())
@thousand
def test_top_k_is_the_greedy_loop(pool):
    query = TopK()(KEY, pool[0], Offer(*pool[1:]))
    index = bought(query)
    assert index.tolist() == greedy(*pool)
    np.testing.assert_array_equal(np.asarray(query.score)[: index.size], pool[0][index])


@given(pools(equal_costs=True))
@thousand
def test_top_k_of_equal_costs_is_a_sort(pool):
    scores, costs, eligible, budget = pool
    ranked = np.argsort(np.where(eligible & np.isfinite(scores), -scores, np.inf), kind="stable")
    ranked = ranked[: int((eligible & np.isfinite(scores)).sum())]
    affordable_ = (np.cumsum(np.full(M, costs[0], np.float64)) <= budget).sum()
    assert bought(TopK()(KEY, pool[0], Offer(*pool[1:]))).tolist() == ranked[:affordable_].tolist()


@given(pools(ties=False), st.integers(0, 2**32 - 1))
@thousand
def test_top_k_does_not_depend_on_the_order_of_candidates(pool, seed):
    scores, costs, eligible, budget = pool
    order = np.random.default_rng(seed).permutation(M)
    shuffled = bought(TopK()(KEY, scores[order], Offer(costs[order], eligible[order], budget)))
    assert order[shuffled].tolist() == bought(TopK()(KEY, pool[0], Offer(*pool[1:]))).tolist()


def test_top_k_leaves_room_for_what_did_not_fit():
    scores = np.float32([5, 4, np.nan, 2, 1, 0])
    query = TopK()(KEY, scores, Offer(np.ones(6, np.float32), np.array([1, 1, 1, 0, 1, 1], bool), 5.0))
    assert np.asarray(query.valid).tolist() == [True] * 4 + [False]
    assert np.asarray(query.index).tolist() == [0, 1, 4, 5, -1]


def test_a_long_ranking_is_followed_exactly():
    """More than float32 could add up: 100,000 regions of a few hundred pixels, one pixel short of them all."""
    costs = np.random.default_rng(0).integers(1, 1000, 100_000).astype(np.float32)
    whole = float(costs.sum(dtype=np.float64))
    assert affordable(costs, whole).size == costs.size
    taken = affordable(costs, whole - 1)
    spent, naive = 0.0, []
    for m, cost in enumerate(costs.tolist()):
        if spent + cost <= whole - 1:
            spent += cost
            naive.append(m)
    assert taken.tolist() == naive


@everyone
def test_a_purchase_does_not_depend_on_the_order_of_candidates(name):
    @given(pools(ties=False), st.integers(0, 2**32 - 1))
    @thousand
    def check(pool, seed):
        scores, costs, eligible, budget = pool
        order, id = np.random.default_rng(seed).permutation(M), np.arange(M, dtype=np.uint32)
        shuffled = SELECTORS[name]()(KEY, scores[order], Offer(costs[order], eligible[order], budget, id=id[order]))
        assert order[bought(shuffled)].tolist() == bought(ask(name, pool)).tolist()

    check()


@everyone
def test_at_most_so_many_regions_of_one_image(name):
    @given(pools(), st.integers(0, 3), st.integers(1, 5))
    @thousand
    def check(pool, cap, images):
        scores, costs, eligible, budget = pool
        image = np.arange(M) % images
        query = SELECTORS[name]()(KEY, scores, Offer(costs, eligible, budget, image=image, cap=cap))
        index = bought(query)
        assert np.bincount(image[index], minlength=images).max(initial=0) <= cap
        assert costs[index].sum(dtype=np.float64) <= max(budget, 0.0)
        left = eligible & np.isfinite(scores) & np.isfinite(costs) & (costs > 0)
        left &= (np.bincount(image[index], minlength=images) < cap)[image]
        left[index] = False
        assert not (costs[left] < budget - costs[index].sum(dtype=np.float64) - 1e-9).any()
        assert query.probability is None

    check()


@pytest.mark.parametrize(
    ("selector", "weight"),
    [
        (Power(2.0), lambda s: np.maximum(s / s.max(), 1e-6) ** 2),
        (Softmax(0.5), lambda s: np.exp(0.5 * s / s.std())),
    ],
    ids=["power", "softmax"],
)
def test_draws_have_the_probabilities_they_report(selector, weight):
    """Against a formula written out, and the first draw against how often it happens."""
    scores, count = np.float32([0.1, 0.2, 0.4, 0.0, 0.3]), 2000
    w = weight(scores.astype(np.float64))
    offer = Offer(np.ones(5, np.float32), np.ones(5, bool), 3.0)
    first = np.zeros(5)
    for seed in range(count):
        query = selector(jax.random.key(seed), scores, offer)
        index, left = bought(query), w.sum()
        first[index[0]] += 1
        for m, q in zip(index, np.asarray(query.probability), strict=True):
            np.testing.assert_allclose(q, w[m] / left, rtol=1e-6)
            left -= w[m]
    expected = count * w / w.sum()
    deviation = (first - expected) / np.sqrt(np.maximum(expected * (1 - w / w.sum()), 1.0))
    assert np.abs(deviation).max() < 4


def test_a_schedule_ends_in_top_k():
    scores = np.random.default_rng(0).random(M).astype(np.float32)
    offer = Offer(np.ones(M, np.float32), np.ones(M, bool), 5.0, progress=1.0)
    late = bought(Power(1.0, 1e6)(KEY, scores, offer))
    assert late.tolist() == bought(TopK()(KEY, scores, offer)).tolist()
    early = [bought(Power(1.0, 1e6)(jax.random.key(k), scores, offer._replace(progress=0.0))) for k in range(9)]
    assert len({tuple(e) for e in early}) > 5


@pytest.mark.parametrize("cls", [Power, Softmax])
def test_a_beta_must_be_positive(cls):
    with pytest.raises(BadInput, match="β > 0"):
        cls(0.0)
    with pytest.raises(BadInput, match="β > 0"):
        cls(1.0, -1.0)
