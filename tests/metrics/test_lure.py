"""Estimates from labels that were bought on purpose: what the weights repair, and where they say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from bal import BadInput
from bal.metrics.lure import estimates, lure_weights, population_weights
from bal.selection.selectors.base import Query

POOL, PICKS, TIMES = 300, 40, 200


def softmax_picks(rng, score, picks):
    """Picks without replacement, each with a probability proportional to exp(score), and those probabilities q_m."""
    index = np.argsort(-(score + rng.gumbel(size=score.shape)))[:picks]  # Gumbel top-k
    odds = np.exp(score)
    before = np.concatenate([[0.0], np.cumsum(odds[index])[:-1]])
    return index, odds[index] / (odds.sum() - before)


def repeated(seed=0):
    """A pool whose scores know something of the losses, and what 200 purchases say about its risk: plain and LURE."""
    rng = np.random.default_rng(seed)
    loss = rng.gamma(0.5, 1.0, POOL)
    score = 1.5 * loss / loss.max() + rng.normal(0, 0.3, POOL)
    plain, lure = [], []
    for _ in range(TIMES):
        index, q = softmax_picks(rng, score, PICKS)
        plain.append(loss[index].mean())
        lure.append((lure_weights(q, POOL) * loss[index]).mean())
    return loss.mean(), np.array(plain), np.array(lure)


def within(values, truth):
    """Whether the truth lies in the 95 % interval of the mean of the repetitions."""
    return abs(values.mean() - truth) <= 1.96 * values.std(ddof=1) / len(values) ** 0.5


def test_the_plain_mean_is_biased_and_lure_is_not():
    truth, plain, lure = repeated()
    assert plain.mean() > 1.1 * truth
    assert not within(plain, truth)
    assert within(lure, truth)


def test_exact_over_every_order():
    """All sequences of 3 picks from 5, by their probabilities: the expectation is the mean of the pool."""
    loss, odds, expected = np.array([1.0, 5.0, 2.0, 0.5, 9.0]), np.array([4.0, 1.0, 2.0, 0.5, 3.0]), 0.0

    def walk(picked, q):
        nonlocal expected
        if len(picked) == 3:
            expected += np.prod(q) * (lure_weights(np.array(q), 5) * loss[picked]).mean()
            return
        left = [i for i in range(5) if i not in picked]
        for i in left:
            walk([*picked, i], [*q, odds[i] / odds[left].sum()])

    walk([], [])
    assert expected == pytest.approx(loss.mean(), rel=1e-12)


def test_uniform_draws_weigh_alike():
    assert lure_weights(1 / (10 - np.arange(4.0)), 10) == pytest.approx(np.ones(4))
    assert lure_weights(np.array([0.7, 0.2, 1.0]), 3) == pytest.approx(np.ones(3))  # the whole pool: a plain mean
    with pytest.raises(BadInput, match="5 picks from a pool of 4"):
        lure_weights(np.full(5, 0.1), 4)
    with pytest.raises(BadInput, match="not in"):
        lure_weights(np.array([0.0]), 4)


def test_a_deterministic_part_stands_for_itself():
    """The highest 20 for certain, then 40 at random from the rest: unbiased over repetitions."""
    rng, found = np.random.default_rng(1), []
    loss = rng.gamma(0.5, 1.0, POOL)
    best = np.argsort(-loss)
    for _ in range(TIMES):
        index = np.concatenate([best[:20], rng.permutation(best[20:])[:40]])
        q = np.concatenate([np.full(20, np.nan), 1 / (POOL - 20 - np.arange(40.0))])
        weight = population_weights(q, POOL)
        assert weight.sum() == pytest.approx(POOL)
        found.append(weight @ loss[index] / POOL)
    assert within(np.array(found), loss.mean())
    assert abs(np.mean(found) / loss.mean() - 1) < 0.05


@pytest.mark.parametrize(
    "q", [[], [np.nan] * 5, [0.01, 0.01, np.nan], [np.nan, 0.02, 0.02, 0.02]], ids=["none", "steered", "last", "few"]
)
def test_withheld(q):
    weight = population_weights(np.array(q), 100)
    assert weight.shape == (len(q),)
    assert np.isnan(weight).all()


def test_all_that_was_left_is_known():
    assert population_weights(np.array([np.nan, np.nan]), 2).tolist() == [1, 1]
    assert population_weights(np.array([np.nan, 0.5, 1.0]), 3).tolist() == [1, 1, 1]


def test_risk_and_iou():
    confusion = [np.array([[6, 2], [0, 0]]), np.array([[1, 1], [2, 4]])]
    row = estimates([4.0, 2.0], confusion, np.array([3.0, 1.0]), ("a", "b"), "lure")
    assert row["risk_lure"] == pytest.approx((3 * 4 + 2) / (3 * 8 + 8))
    assert row["iou_lure_a"] == pytest.approx(19 / (19 + 7 + 2))
    assert row["iou_lure_b"] == pytest.approx(4 / (4 + 7 + 2))
    nothing = estimates([], [], np.zeros(0), ("a", "b"), "audit")
    assert list(nothing) == ["risk_audit", "iou_audit_a", "iou_audit_b"]
    assert np.isnan(list(nothing.values())).all()
    withheld = estimates([4.0], confusion[:1], np.array([np.nan]), ("a", "b"), "lure")
    assert np.isnan(list(withheld.values())).all()


def test_a_query_may_have_no_probabilities():
    assert Query._field_defaults == {"probability": None}
