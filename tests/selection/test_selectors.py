"""What every selector promises, over a thousand random pools each."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from helpers import check_protocol, check_settings, few_and_many
from hypothesis import given, settings, strategies as st
from offers import KEY, M, ask, bought, pools, readings

import bal
from bal.selection.selectors import (
    SELECTORS,
    Allocation,
    Badge,
    BatchBALD,
    ForegroundPower,
    ForegroundRandom,
    GreedyOracle,
    Handover,
    Herding,
    KCenter,
    KMeans,
    OracleForegroundRandom,
    Stratified,
)
from bal.selection.selectors.base import Offer, Selector
from bal.types import BadInput

everyone = pytest.mark.parametrize("name", SELECTORS)
seeds = st.integers(0, 2**32 - 1)


@everyone
def test_settings_and_signature(name):
    check_settings(SELECTORS[name])
    check_protocol(SELECTORS[name], Selector)


@everyone
@few_and_many
def test_a_purchase_is_unique_eligible_finite_within_budget_and_as_large_as_it_can_be(name, examples):
    """With and without a cap, whatever is unseen or alike."""

    @given(pools(), st.none() | st.integers(0, 3), st.integers(1, 5), seeds, st.sampled_from([0.0, 0.5, 1.0]))
    @settings(max_examples=examples)
    def check(pool, cap, images, seed, unseen):
        scores, costs, eligible, budget = pool
        image = np.arange(M) % images
        about = readings(name, seed, unseen=unseen, alike=seed % 2 == 0)
        query = ask(name, pool, about=about, image=image, cap=cap)
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
        np.testing.assert_array_equal(np.asarray(query.score)[valid], scores[index])
        left = eligible & np.isfinite(scores) & np.isfinite(costs) & (costs > 0)
        left[index] = False
        if cap is not None:
            taken = np.bincount(image[index], minlength=images)
            assert taken.max(initial=0) <= cap
            assert query.probability is None
            left &= (taken < cap)[image]
        spare = budget - costs[index].sum(dtype=np.float64)
        assert not (costs[left].astype(np.float64) < spare - 1e-9).any(), "money is left over that could buy another"

    check()


@everyone
@few_and_many
def test_a_purchase_follows_from_the_key_and_not_from_the_order_of_candidates(name, examples):
    """Random draws go by names."""

    @given(pools(ties=False), seeds)
    @settings(max_examples=examples)
    def check(pool, seed):
        scores, costs, eligible, budget = pool
        order, id = np.random.default_rng(seed).permutation(M), np.arange(M, dtype=np.uint32)
        about = readings(name, seed, unseen=0.2)
        shuffled = {need: values[order] for need, values in about.items()}
        other = ask(name, (scores[order], costs[order], eligible[order], budget), about=shuffled, id=id[order])
        assert order[bought(other)].tolist() == bought(ask(name, pool, about=about)).tolist()

    check()


@everyone
def test_a_purchase_can_be_asked_for_again(name):
    @given(pools(), seeds)
    @settings(max_examples=50)
    def check(pool, seed):
        about = readings(name, seed, alike=True)
        first, second = ask(name, pool, about=about), ask(name, pool, about=about)
        jax.tree.map(np.testing.assert_array_equal, first, second)

    check()


@everyone
def test_callers_arrays_are_left_alone(name):
    arrays = np.arange(M, dtype=np.float32), np.ones(M, np.float32), np.ones(M, bool)
    about = readings(name, unseen=0.3)
    everything = [*arrays, *about.values()]
    before = [a.copy() for a in everything]
    for a in everything:
        a.flags.writeable = False
    ask(name, (*arrays, 5.0), about=about)
    for a, b in zip(everything, before, strict=True):
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


@pytest.mark.parametrize(
    ("name", "selector"),
    [
        ("stratified", Stratified(share=1.0)),
        ("foreground_power", ForegroundPower(beta_end=1e6)),
        ("foreground_random", ForegroundRandom()),
        ("handover", Handover(beta_end=1e6)),
        ("oracle_foreground_random", OracleForegroundRandom()),
        ("allocation", Allocation(beta_end=1e6)),
        ("greedy_oracle", GreedyOracle()),
        ("k_center", KCenter()),
        ("k_means", KMeans()),
        ("badge", Badge()),
        ("herding", Herding()),
        ("batch_bald", BatchBALD(most=M)),
    ],
)
def test_what_has_no_reading_is_bought_last(name, selector):
    """Though its scores are the highest; by them, where nothing has a reading."""
    about, offer = readings(name, seed=3), Offer(np.ones(M, np.float32), np.ones(M, bool), 5.0)
    about["labelled"] = np.zeros(M, bool)
    read = about[selector.needs[-1 if name == "greedy_oracle" else 0]]
    read[:, ..., 1] += 0.01  # so that all of it is foreground
    unseen = np.arange(M) >= 10
    read[unseen] = np.nan
    index = bought(selector(KEY, np.arange(M, dtype=np.float32) + 1, offer, about))
    assert index.size == 5
    assert not unseen[index].any()
    read[:] = np.nan
    index = bought(selector(KEY, np.arange(M, dtype=np.float32) ** 25, offer._replace(progress=1.0), about))
    assert index.size == 5
    if "foreground_random" not in name and name != "greedy_oracle":
        assert index.tolist() == [M - 1, M - 2, M - 3, M - 4, M - 5]


@everyone
def test_select_takes_them_by_name(name):
    scores, costs = np.random.default_rng(0).random(M), np.ones(M)
    query = bal.select(scores, costs, 5, selector=name, about=readings(name))
    assert len(set(bought(query).tolist())) == 5
    for need in SELECTORS[name]().needs:
        if need != "labelled":  # which is what is not eligible, unless it is given
            with pytest.raises(BadInput, match=f"reads .*{need}"):
                bal.select(scores, costs, 5, selector=name)
        short = readings(name) | {need: readings(name)[need][1:]}
        with pytest.raises(BadInput, match=f"expected 24 rows of {need}"):
            bal.select(scores, costs, 5, selector=name, about=short)
