"""Selectors that draw: how often, with which probabilities, and from what."""

from __future__ import annotations

import itertools

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from offers import KEY, M, bought, pools, readings

from bal.metrics.lure import population_weights
from bal.selection.selectors import (
    SELECTORS,
    Allocation,
    ForegroundPower,
    ForegroundRandom,
    Handover,
    OracleForegroundRandom,
    Power,
    Softmax,
    Stratified,
    TopK,
)
from bal.selection.selectors.base import Offer
from bal.types import BadInput


def deviation(count: np.ndarray, p: np.ndarray) -> float:
    """The largest of counts from their expectation, in standard deviations."""
    expected = count.sum() * p
    return float(np.abs((count - expected) / np.sqrt(np.maximum(expected * (1 - p), 1.0))).max())


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
    scores, first = np.float32([0.1, 0.2, 0.4, 0.0, 0.3]), np.zeros(5)
    w = weight(scores.astype(np.float64))
    offer = Offer(np.ones(5, np.float32), np.ones(5, bool), 3.0)
    for seed in range(2000):
        query = selector(jax.random.key(seed), scores, offer)
        index, left = bought(query), w.sum()
        first[index[0]] += 1
        for m, q in zip(index, np.asarray(query.probability), strict=True):
            np.testing.assert_allclose(q, w[m] / left, rtol=1e-6)
            left -= w[m]
    assert deviation(first, w / w.sum()) < 4


def test_a_schedule_ends_in_top_k():
    scores = np.random.default_rng(0).random(M).astype(np.float32)
    offer = Offer(np.ones(M, np.float32), np.ones(M, bool), 5.0, progress=1.0)
    late = bought(Power(1.0, 1e6)(KEY, scores, offer))
    assert late.tolist() == bought(TopK()(KEY, scores, offer)).tolist()
    early = [bought(Power(1.0, 1e6)(jax.random.key(k), scores, offer._replace(progress=0.0))) for k in range(9)]
    assert len({tuple(e) for e in early}) > 5


@pytest.mark.parametrize("cls", [Power, Softmax, ForegroundPower, Handover, lambda *beta: Stratified(0.5, *beta)])
def test_a_beta_must_be_positive(cls):
    with pytest.raises(BadInput, match="β > 0"):
        cls(0.0)
    with pytest.raises(BadInput, match="β > 0"):
        cls(1.0, -1.0)


def by_money(values, costs, money: float, chosen: list[int], spent: float) -> float:
    """Goes down a ranking with so much money, adds to what is chosen; what is spent in all afterwards."""
    end = spent + money
    for m in np.argsort(-values, kind="stable").tolist():
        if m not in chosen and spent + float(costs[m]) <= end:
            spent += float(costs[m])
            chosen.append(m)
    return spent


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5, 0.66, 1.0]), st.booleans())
@settings(max_examples=200)
def test_stratified_splits_the_money_over_the_classes(seed, share, equal):
    """Without noise, against the rule written out for the six orders in which three classes can take turns."""
    rng, budget = np.random.default_rng(seed), 12.0
    scores, by_class = rng.random(M), rng.random((M, 4))
    costs = np.ones(M) if equal else rng.choice([0.5, 1.0, 2.5], M)
    possible = []
    for order in itertools.permutations([1, 2, 3]):
        chosen, spent, carried = [], 0.0, 0.0
        for c in order:
            money = share * budget / 3 + carried
            after = by_money(by_class[:, c], costs, money, chosen, spent)
            carried, spent = money - (after - spent), after
        by_money(scores, costs, budget - spent, chosen, spent)
        possible.append(chosen)
    offer = Offer(costs.astype(np.float32), np.ones(M, bool), budget, progress=1.0)
    about = {"by_predicted": by_class.astype(np.float32)}
    selector = Stratified(share, 1.0, 1e9)
    assert bought(selector(jax.random.key(seed), scores.astype(np.float32), offer, about)).tolist() in possible


def test_stratified_draws_by_a_power_of_each_class_and_of_the_score():
    """The first of 0.66 · 3 regions by its class, the last two by what is left; and the β of ClaSP PE at both ends."""
    assert (Stratified().share, Stratified().beta, Stratified().beta_end) == (0.66, 1.0, 100.0)
    scores, of_class = np.float32([0.1, 0.2, 0.4, 0.3]), np.float64([0.4, 0.0, 0.1, 0.2])
    about = {"by_predicted": np.stack([np.ones(4), of_class], 1).astype(np.float32)}
    offer = Offer(np.ones(4, np.float32), np.ones(4, bool), 2.0)
    pairs = np.zeros((4, 4))
    for seed in range(1500):
        first, second = bought(Stratified(0.5, 2.0)(jax.random.key(seed), scores, offer, about))
        pairs[first, second] += 1
    w, s = np.maximum(of_class / 0.4, 1e-6) ** 2, np.float64(scores) ** 2
    p = np.array([[0 if a == b else w[a] / w.sum() * s[b] / (s.sum() - s[a]) for b in range(4)] for a in range(4)])
    assert deviation(pairs, p) < 4


def test_what_no_class_can_spend_follows_the_plain_score():
    scores = np.arange(M, dtype=np.float32) ** 4 + 1
    by_class = np.full((M, 3), np.nan, np.float32)
    by_class[:3] = 1.0
    offer = Offer(np.ones(M, np.float32), np.ones(M, bool), 12.0, progress=1.0)
    index = bought(Stratified(beta_end=1e6)(KEY, scores, offer, {"by_predicted": by_class}))
    assert set(index[:3].tolist()) == {0, 1, 2}
    assert index[3:].tolist() == list(range(M - 1, M - 10, -1))


DRAWN = {
    "power": Power,
    "softmax": Softmax,
    "foreground_power": ForegroundPower,
    "handover": Handover,
    "stratified": Stratified,
    "allocation": Allocation,
}


@pytest.mark.parametrize("name", DRAWN)
def test_where_prices_are_equal_they_have_no_say_to_the_bit(name):
    @given(pools(equal_costs=True), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.5]))
    @settings(max_examples=30)
    def check(pool, seed, progress):
        about, offer = readings(name, seed, unseen=0.2), Offer(*pool[1:], progress=progress)
        plain, priced = (DRAWN[name](per_cost=by)(KEY, pool[0], offer, about) for by in (False, True))
        jax.tree.map(np.testing.assert_array_equal, plain, priced)

    check()


@pytest.mark.parametrize("name", DRAWN)
def test_draws_follow_the_score_per_price(name):
    """The first draw, of a β of 2, against the weights written out: of the score, or of its part of the class."""
    scores, costs = np.float32([0.1, 0.2, 0.4, 0.0, 0.3]), np.float32([1.0, 0.5, 4.0, 1.0, 2.0])
    ratio = scores.astype(np.float64) / costs
    w = np.exp(2 * ratio / ratio.std()) if name == "softmax" else np.maximum(ratio / ratio.max(), 1e-6) ** 2
    about = {
        "predicted": np.tile(np.float32([[0.5, 0.5]]), (5, 1)),
        "by_predicted": np.stack([np.zeros(5), scores], 1).astype(np.float32),
        "audited": np.full((5, 2), np.nan),
        "appearance": np.zeros((5, 2)),
    }
    offer, first = Offer(costs, np.ones(5, bool), 8.0, progress=0.5), np.zeros(5)
    rule = DRAWN[name](beta=2.0, beta_end=2.0, per_cost=True)
    rule = Stratified(1.0, 2.0, 2.0, per_cost=True) if name == "stratified" else rule
    for seed in range(1500):
        query = rule(jax.random.key(seed), scores, offer, about)
        first[bought(query)[0]] += 1
        assert query.probability is None
    assert deviation(first, w / w.sum()) < 4


TOUCH = np.float32([[1, 0, 0], [0.5, 0.5, 0], [1, 0, 0], [0.9, 0, 0.1], [np.nan] * 3, [0, 0, 1], [1, 0, 0], [1, 0, 0]])
INSIDE, N = [1, 3, 5], 8


@pytest.mark.parametrize(
    ("selector", "name"),
    [(ForegroundRandom(), "predicted"), (OracleForegroundRandom(), "truth")],
    ids=["own", "oracle"],
)
def test_foreground_is_drawn_first_and_evenly(selector, name):
    offer, about = Offer(np.ones(N, np.float32), np.ones(N, bool), 4.0), {name: TOUCH}
    counts = np.zeros((4, N))
    for seed in range(1000):
        index = bought(selector(jax.random.key(seed), np.zeros(N, np.float32), offer, about))
        counts[np.arange(4), index] += 1
    inside = np.isin(np.arange(N), INSIDE)
    for n in range(3):
        assert deviation(counts[n], inside / 3) < 4
    assert deviation(counts[3], ~inside / 5) < 4


def test_foreground_is_drawn_by_a_power_of_the_score():
    """The third by what is left of the foreground, the fourth by the others; and the probability of the fourth."""
    scores, budget = np.float32([0.3, 0.1, 0.2, 0.4, 0.5, 0.2, 0.0, 0.6]), 4.0
    offer, about = Offer(np.ones(N, np.float32), np.ones(N, bool), budget, progress=0.5), {"predicted": TOUCH}
    inside, first, fourth = np.isin(np.arange(N), INSIDE), np.zeros(N), np.zeros(N)
    w = np.maximum(scores.astype(np.float64) / 0.6, 1e-6) ** 1.5  # half way from 0.5 to 4.5
    for seed in range(1500):
        query = ForegroundPower(0.5, 4.5)(jax.random.key(seed), scores, offer, about)
        index = bought(query)
        assert set(index[:3].tolist()) == set(INSIDE)
        first[index[0]] += 1
        fourth[index[3]] += 1
        np.testing.assert_allclose(
            query.probability, [np.nan] * 3 + [w[index[3]] / w[~inside].sum()], rtol=1e-6, err_msg="given those before"
        )
    assert deviation(first, inside * w / w[inside].sum()) < 4
    assert deviation(fourth, ~inside * w / w[~inside].sum()) < 4


def test_without_a_say_of_the_score_it_is_foreground_random():
    scores = np.random.default_rng(0).random(N).astype(np.float32)
    offer, about = Offer(np.ones(N, np.float32), np.ones(N, bool), 5.0), {"predicted": TOUCH}
    for seed in range(20):
        key = jax.random.key(seed)
        one, other = (s(key, scores, offer, about) for s in (ForegroundPower(1e-12, None), ForegroundRandom()))
        assert bought(one).tolist() == bought(other).tolist()


@pytest.mark.parametrize("first", [ForegroundRandom(), ForegroundPower(2.0, None)], ids=["random", "power"])
def test_arms_that_know_as_much_differ_only_by_what_they_know(first):
    """Of flat scores, what power buys of the foreground, foreground-random buys as well: their noise is the same."""
    offer, shared = Offer(np.ones(M, np.float32), np.ones(M, bool), 8.0), 0
    for seed in range(20):
        key, flat = jax.random.key(seed), np.full(M, 0.3, np.float32)
        touch = np.where(np.random.default_rng(seed).random((M, 1)) < 0.75, [[0.5, 0.5]], [[1.0, 0.0]])
        one, other = bought(Power()(key, flat, offer)), bought(first(key, flat, offer, {"predicted": touch}))
        assert set(one[touch[one, 1] > 0]) <= set(other)
        shared += np.isin(one, other).sum()
    assert shared / 160 > 0.7


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_handover_is_foreground_random_once_and_power_from_then_on(rounds):
    """Of a run with so many purchases, to the region and its probability."""
    rng = np.random.default_rng(rounds)
    scores = rng.random(M).astype(np.float32)
    about = {"predicted": np.where(rng.random((M, 1)) < 0.5, [[0.5, 0.5]], [[1.0, 0.0]])}
    for number in range(1, rounds + 1):
        offer = Offer(np.ones(M, np.float32), np.ones(M, bool), 15.0, progress=(number - 1) / max(1, rounds - 1))
        key = jax.random.key(number)
        mine = Handover(0.5, 4.0)(key, scores, offer, about)
        rule = ForegroundRandom() if number == 1 else Power(0.5, 4.0)
        jax.tree.map(np.testing.assert_array_equal, mine, rule(key, scores, offer, about))


def test_a_least_share_of_foreground():
    offer = Offer(np.ones(N, np.float32), np.ones(N, bool), 2.0)
    index = bought(ForegroundRandom(least=0.2)(KEY, np.zeros(N, np.float32), offer, {"predicted": TOUCH}))
    assert set(index.tolist()) == {1, 5}
    with pytest.raises(BadInput, match="least < 1"):
        ForegroundRandom(1.0)
    with pytest.raises(BadInput, match="least < 1"):
        OracleForegroundRandom(-0.1)
    with pytest.raises(BadInput, match="least < 1"):
        ForegroundPower(least=1.0)
    with pytest.raises(BadInput, match="least < 1"):
        Handover(least=1.0)


def test_only_oracles_read_the_truth():
    of_masks = {"truth", "error"}
    assert {name for name, cls in SELECTORS.items() if of_masks & set(cls().needs)} == {
        "oracle_foreground_random",
        "greedy_oracle",
    }
    for name in ("oracle_foreground_random", "greedy_oracle"):
        assert "truth" in SELECTORS[name]().needs
        assert "upper baseline" in SELECTORS[name].__doc__
        assert "must never be reported as a method" in " ".join(SELECTORS[name].__doc__.split())


def test_probabilities_of_foreground_draws_never_pretend():
    """None while the foreground lasts; after it, an unbiased estimate of the whole pool's sum."""
    value, scores, offer = (
        np.arange(N) ** 2.0,
        np.zeros(N, np.float32),
        Offer(np.ones(N, np.float32), np.ones(N, bool), 7),
    )
    about = {"predicted": TOUCH}
    assert ForegroundRandom()(KEY, scores, offer._replace(budget=3.0), about).probability is None
    assert ForegroundRandom()(KEY, scores, offer._replace(cap=2, image=np.arange(N)), about).probability is None
    assert ForegroundRandom()(KEY, scores, offer._replace(cost=np.arange(N) + 1.0), about).probability is None
    everywhere = {"predicted": np.tile(np.float32([[0.5, 0.5]]), (N, 1))}
    query = ForegroundRandom()(KEY, scores, offer, everywhere)
    np.testing.assert_allclose(query.probability, 1 / (N - np.arange(7.0)))
    sums = []
    for seed in range(300):
        query = ForegroundRandom()(jax.random.key(seed), scores, offer, about)
        np.testing.assert_allclose(query.probability, [np.nan] * 3 + [1 / 5, 1 / 4, 1 / 3, 1 / 2], rtol=1e-15)
        sums.append(population_weights(query.probability, N) @ value[bought(query)])
    assert abs(np.mean(sums) - value.sum()) < 4 * np.std(sums) / np.sqrt(len(sums))
