"""A round's money: what is audited, what follows the score, what is spread at random, and never more than there is."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bal.pool.cost import price
from bal.pool.labels import AUDIT, TRAINING, Pool, add, empty
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.selection.budget import Plan, Purchase, Shares, compose
from bal.selection.selectors import TopK
from bal.selection.selectors.base import Offer

REGIONS = lay_out(Tile(16), [f"{n}" for n in range(6)], [(60, 70)] * 6)  # partial tiles at both edges
PRICES = {currency: price(REGIONS, currency) for currency in ("regions", "pixels")}
M = REGIONS.image.size


def buy(key, pool, costs, allowed, audit, steer=0.0, selector=None, scores=None, rest="random") -> Purchase:
    """A purchase after which `allowed` may have been spent in all, a share of it for the audit."""
    offer, shares = (
        Offer(costs, pool.eligible, allowed - pool.spent),
        Shares(audit * allowed - pool.audited, steer, rest),
    )
    return compose(key, offer, shares, selector, scores)


def pay(pool: Pool, purchase: Purchase) -> Pool:
    answers = [np.zeros(REGIONS.box[m, 2:], np.int32) for m in purchase.index]
    return add(pool, purchase.index, purchase.cost, purchase.splits, answers)


def whole_run(currency: str, seed: int, start: float, budget: float, rounds: int, audit: float, steer: float):
    """The pool after each round, and each purchase; higher candidates have higher scores."""
    costs, scores = PRICES[currency], np.arange(M, dtype=np.float32)
    key = jax.random.key(seed)
    pool = empty(M)
    history = []
    for round in range(rounds + 1):
        allowed = Plan(start, [(rounds, budget)]).allowance(round)
        own = jax.random.fold_in(key, round)
        if round == 0:
            purchase = buy(own, pool, costs, allowed, audit, rest="start")
        else:
            purchase = buy(own, pool, costs, allowed, audit, steer, TopK(), scores)
        pool = pay(pool, purchase)
        history.append((allowed, purchase, pool))
    return history


@given(
    st.sampled_from(["regions", "pixels"]),
    st.integers(0, 100),
    st.floats(0.05, 0.4),
    st.floats(0.4, 1.0),
    st.integers(1, 7),
    st.sampled_from([0.0, 0.1, 0.25, 1 / 3]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
@settings(max_examples=60)
def test_a_whole_run_keeps_to_its_allowances(currency, seed, start, budget, rounds, audit, steer):
    costs = PRICES[currency]
    whole = float(costs.sum(dtype=np.float64))
    history = whole_run(currency, seed, start * whole, budget * whole, rounds, audit, steer)
    bought = np.concatenate([p.index for _, p, _ in history])
    assert len(set(bought.tolist())) == bought.size
    for allowed, purchase, pool in history:
        assert pool.spent <= allowed
        assert pool.spent + purchase.unspent == pytest.approx(allowed)
        assert pool.audited <= audit * allowed + 1e-9
        assert purchase.unspent < float(costs.max()) or pool.eligible.sum() == 0
        if audit:
            assert pool.audited > audit * allowed - float(costs.max()) - 1e-9, "the audit keeps up with the spending"
    assert history[-1][0] == pytest.approx(budget * whole)


def test_shares_of_the_money():
    history = whole_run("regions", 0, 20, 100, 4, audit=0.2, steer=0.5)
    for allowed, purchase, pool in history[1:]:
        assert (purchase.policy == "audit").sum() == 4
        assert (purchase.policy == "steered").sum() == 8
        assert (purchase.policy == "random").sum() == 8
        assert purchase.steered_share == pytest.approx(0.4)
        assert (pool.spent, pool.audited, purchase.unspent) == (allowed, 0.2 * allowed, 0.0)
    first = history[0][1]
    assert set(first.policy) == {"audit", "start"}
    assert first.steered_share == 0.0


def test_fractions_are_carried_over():
    """Ten regions in four rounds with a third audited: no region is lost to rounding."""
    history = whole_run("regions", 0, 3, 13, 4, audit=1 / 3, steer=1.0)
    assert [pool.spent for *_, pool in history] == [3, 5, 8, 10, 13]
    assert [pool.audited for *_, pool in history] == [1, 1, 2, 3, 4]
    assert [purchase.unspent for _, purchase, _ in history] == [0, 0.5, 0, 0.5, 0]


def test_a_region_a_round_is_a_region_a_round():
    for n in range(1, 200):
        assert [Plan(5, [(n, 5 + n)]).allowance(round) for round in range(n + 1)] == [
            5 + round for round in range(n + 1)
        ]


def test_a_run_without_rounds_spends_its_start():
    assert Plan(7, [(0, 30)]).allowance(0) == 7


def test_lots_follow_policies():
    for _, purchase, pool in whole_run("pixels", 1, 3000, 12000, 3, audit=0.3, steer=0.6):
        np.testing.assert_array_equal(purchase.splits == AUDIT, purchase.policy == "audit")
        np.testing.assert_array_equal(purchase.splits == TRAINING, purchase.policy != "audit")
        np.testing.assert_array_equal(pool.split[purchase.index], purchase.splits)
        np.testing.assert_array_equal(purchase.cost, PRICES["pixels"][purchase.index])


def test_the_score_steers_only_its_share():
    scores = np.arange(M, dtype=np.float32)
    costs = PRICES["regions"]
    purchase = buy(jax.random.key(0), empty(M), costs, 40, 0.25, 0.5, TopK(), scores)
    audit, steered, random = (purchase.index[purchase.policy == p] for p in ("audit", "steered", "random"))
    best = [m for m in reversed(range(M)) if m not in audit][: steered.size]
    assert steered.tolist() == best
    other = buy(jax.random.key(0), empty(M), costs, 40, 0.25, 0.5, TopK(), -scores)
    np.testing.assert_array_equal(other.index[other.policy == "audit"], audit)
    assert random.size == 15


def test_the_audit_stands_for_the_pool():
    """Drawn uniformly, whatever the scores: every candidate about as often as any other."""
    times = np.zeros(M)
    scores = np.arange(M, dtype=np.float32)
    for seed in range(300):
        purchase = buy(jax.random.key(seed), empty(M), PRICES["regions"], 30, 0.5, 1.0, TopK(), scores)
        times[purchase.index[purchase.policy == "audit"]] += 1
    expected = 300 * 15 / M
    assert ((times - expected) ** 2 / (expected * (1 - 15 / M))).sum() < M + 5 * np.sqrt(2 * M)


def test_uniform_draws_report_their_probabilities():
    scores, costs = np.arange(M, dtype=np.float32), PRICES["regions"]
    purchase = buy(jax.random.key(0), empty(M), costs, 40, 0.25, 0.5, TopK(), scores)
    expected = 1 / (M - np.arange(40.0))
    expected[purchase.policy == "steered"] = np.nan
    np.testing.assert_allclose(purchase.probability, expected)
    mixed = buy(jax.random.key(0), empty(M), PRICES["pixels"], 5000, 0.2)
    assert np.isnan(mixed.probability).all()  # what is drawn last must fit the money that is left


def test_a_selector_reports_its_probabilities():
    def chooser(key, scores, offer, about):
        query = TopK()(key, scores, offer)
        return query._replace(probability=np.linspace(0.1, 0.2, query.index.size))

    scores = np.arange(M, dtype=np.float32)
    purchase = buy(jax.random.key(0), empty(M), PRICES["regions"], 10, 0.0, 1.0, chooser, scores)
    np.testing.assert_allclose(purchase.probability, np.linspace(0.1, 0.2, 10))


def test_scores_that_are_not_finite_leave_the_money_to_chance():
    scores = np.full(M, np.nan, np.float32)
    purchase = buy(jax.random.key(0), empty(M), PRICES["regions"], 20, 0.0, 1.0, TopK(), scores)
    assert (purchase.policy == "random").sum() == 20


def test_a_pool_that_runs_out():
    purchase = buy(jax.random.key(0), empty(M), PRICES["regions"], M + 7, 0.1)
    assert purchase.index.size == M
    assert purchase.unspent == 7
    after = buy(jax.random.key(1), pay(empty(M), purchase), PRICES["regions"], M + 7, 0.1)
    assert after.index.size == 0
    assert after.steered_share == 0.0
    assert after.splits.shape == (0,)


def test_a_purchase_follows_from_the_key():
    one, same, other = (buy(jax.random.key(k), empty(M), PRICES["pixels"], 5000, 0.2) for k in (0, 0, 1))
    np.testing.assert_array_equal(one.index, same.index)
    assert one.index.tolist() != other.index.tolist()
