"""Selectors that rank: the plain greedy loop, score per cost, and the knapsack."""

from __future__ import annotations

import itertools

import numpy as np
from helpers import few_and_many
from hypothesis import given, settings, strategies as st
from offers import KEY, M, bought, pools

from bal.selection.selectors import GreedyOracle, Knapsack, TopK
from bal.selection.selectors._basket import affordable, gumbel
from bal.selection.selectors.base import Offer


def greedy(values, pool) -> list[int]:
    """Down a ranking, whatever still fits; ties to the earlier candidate."""
    scores, costs, eligible, budget = pool
    spent, chosen = 0.0, []
    for m in sorted(range(M), key=lambda m: (-values[m] if np.isfinite(scores[m]) else np.inf, m)):
        usable = eligible[m] and np.isfinite(scores[m]) and np.isfinite(costs[m]) and costs[m] > 0
        if usable and spent + float(costs[m]) <= budget:
            spent += float(costs[m])
            chosen.append(m)
    return chosen


@few_and_many
def test_top_k_is_the_greedy_loop(examples):
    @given(pools())
    @settings(max_examples=examples)
    def check(pool):
        assert bought(TopK()(KEY, pool[0], Offer(*pool[1:]))).tolist() == greedy(pool[0], pool)

    check()


@few_and_many
def test_top_k_of_equal_costs_is_a_sort(examples):
    @given(pools(equal_costs=True))
    @settings(max_examples=examples)
    def check(pool):
        scores, costs, eligible, budget = pool
        ranked = np.argsort(np.where(eligible & np.isfinite(scores), -scores, np.inf), kind="stable")
        ranked = ranked[: int((eligible & np.isfinite(scores)).sum())]
        paid = ranked[: (np.cumsum(np.full(M, costs[0], np.float64)) <= budget).sum()].tolist()
        assert bought(TopK()(KEY, pool[0], Offer(*pool[1:]))).tolist() == paid
        assert bought(TopK(per_cost=True)(KEY, pool[0], Offer(*pool[1:]))).tolist() == paid
        assert bought(Knapsack()(KEY, pool[0], Offer(*pool[1:]))).tolist() == paid

    check()


@few_and_many
def test_score_per_cost_is_the_greedy_loop_down_another_ranking(examples):
    @given(pools())
    @settings(max_examples=examples)
    def check(pool):
        scores, costs = (np.where(np.isfinite(a), a, 0.0).astype(np.float64) for a in pool[:2])
        costs = np.where(costs > 0, costs, 1.0)
        ratio = [s / c if s > 0 else s * c for s, c in zip(scores, costs, strict=True)]
        index = bought(TopK(per_cost=True)(KEY, pool[0], Offer(*pool[1:])))
        assert index.tolist() == greedy(np.float32(ratio), pool)

    check()


def test_a_dearer_region_never_ranks_higher_for_it():
    scores, costs = np.float32([2, -2, -2, 2, 0, -1]), np.float32([4, 1, 4, 1, 1, 4])
    index = bought(TopK(per_cost=True)(KEY, scores, Offer(costs, np.ones(6, bool), 100.0)))
    assert index.tolist() == [3, 0, 4, 1, 5, 2]


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


SUBSETS = np.array(list(itertools.product([False, True], repeat=10)))  # [2¹⁰, 10]


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=500)
def test_a_knapsack_is_worth_half_of_the_best_or_one_region_less(seed, share):
    """Against every subset of 10 regions."""
    rng = np.random.default_rng(seed)
    scores = (rng.standard_normal(10) * rng.choice([1.0, 30.0], 10)).astype(np.float32)
    costs = rng.choice([1, 2, 3, 50, 80], 10).astype(np.float32)
    budget = share * float(costs.sum())
    worth = SUBSETS @ np.maximum(scores, 0).astype(np.float64)
    best = worth[SUBSETS @ costs.astype(np.float64) <= budget].max()
    index = bought(Knapsack()(KEY, scores, Offer(costs, np.ones(10, bool), budget)))
    got = np.maximum(scores[index], 0).sum(dtype=np.float64)
    assert got <= best + 1e-6
    assert got >= best / 2 - 1e-6
    assert got >= best - scores[costs <= budget].max(initial=0) - 1e-6


def test_a_knapsack_where_score_per_cost_fails():
    """One small bargain keeps out what is worth ten of it."""
    scores, offer = np.float32([1, 10, -1]), Offer(np.float32([1, 10.5, 0.5]), np.ones(3, bool), 11.0)
    assert bought(TopK(per_cost=True)(KEY, scores, offer)).tolist() == [0, 2]
    assert bought(Knapsack()(KEY, scores, offer)).tolist() == [1, 2]


@given(pools(equal_costs=True) | pools(), st.integers(0, 2**32 - 1))
@settings(max_examples=100)
def test_greedy_oracle_buys_the_most_wrong_pixels_for_the_money(pool, seed):
    """Counted pixel by pixel; equal ones by the noise of their names, and what was not looked at last."""
    rng, costs = np.random.default_rng(seed), pool[1].astype(np.float64)
    label, predicted = rng.integers(0, 3, (2, M, 5))
    error, ratio = np.zeros((M, 3), np.float32), np.full(M, -1.0)
    for m in range(M):
        for truth, guess in zip(label[m], predicted[m], strict=True):
            for c in {truth, guess} if truth != guess else ():
                error[m, c] += 1
    error[rng.random(M) < 0.2] = np.nan
    for m in range(M):
        if np.isfinite(error[m]).all() and np.isfinite(costs[m]) and costs[m] > 0:
            ratio[m] = (label[m] != predicted[m]).sum() / costs[m]
    offer, noise = Offer(*pool[1:]), gumbel(KEY, Offer(*pool[1:]), M)
    spent, chosen = 0.0, []
    for m in sorted(range(M), key=lambda m: (-ratio[m], -noise[m])):
        usable = pool[2][m] and np.isfinite(pool[0][m]) and np.isfinite(costs[m]) and costs[m] > 0
        if usable and spent + costs[m] <= pool[3]:
            spent += costs[m]
            chosen.append(m)
    assert bought(GreedyOracle()(KEY, pool[0], offer, {"error": error})).tolist() == chosen
