"""The streamed ranking is a stable sort, whatever the ties, the gaps, the chunks and their order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bal.scoring import ranking
from bal.scoring.ranking import BLOCK, Best, highest, merge, nothing, top

M = 1000  # always as many, so that nothing is compiled twice; no multiple of a block
CHUNKS = (M, 333, 2 * BLOCK)
KS = (1, 30, M + 7)
many = settings(max_examples=150)


@st.composite
def pools(draw):
    """Scores and what is eligible, from all different to all equal, with what may not be ranked among them."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = rng.standard_normal(M).astype(np.float32)
    kind = draw(st.sampled_from(["apart", "ties", "zeros", "rising", "falling"]))
    scores = {
        "apart": scores,
        "ties": np.round(2 * scores),
        "zeros": rng.choice(np.float32([0.0, -0.0]), M),
        "rising": np.sort(scores),
        "falling": -np.sort(scores),
    }[kind]
    odd = rng.random(M) < draw(st.sampled_from([0.0, 0.3, 0.999]))
    scores = np.where(odd, rng.choice(np.float32([np.nan, np.inf, -np.inf]), M), scores)
    return scores, rng.random(M) < draw(st.sampled_from([0.0, 0.02, 0.5, 1.0]))


def naive(scores: np.ndarray, eligible: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    usable = np.flatnonzero(eligible & np.isfinite(scores))
    ranked = usable[np.argsort(-scores[usable], kind="stable")][:k]
    pad = (0, k - ranked.size)
    return np.pad(scores[ranked], pad, constant_values=-np.inf), np.pad(ranked, pad, constant_values=-1)


def check(found: Best, scores: np.ndarray, eligible: np.ndarray, k: int) -> None:
    score, index = naive(scores, eligible, k)
    assert found.index.dtype == np.int32
    assert found.score.dtype == np.float32
    np.testing.assert_array_equal(found.index, index)
    np.testing.assert_array_equal(found.score, score)


@given(pools(), st.sampled_from(KS), st.sampled_from(CHUNKS))
@many
def test_a_stream_is_a_stable_sort(pool, k, chunk):
    check(top(*pool, k, chunk), *pool, k)


@given(pools(), st.sampled_from(KS))
@many
def test_everything_is_eligible_unless_told(pool, k):
    check(top(pool[0], None, k, CHUNKS[1]), pool[0], np.ones(M, bool), k)


@given(pools(), st.sampled_from([1, 30, M]))
@many
def test_at_once_is_a_stable_sort(pool, k):
    check(highest(*pool, k), *pool, k)


@given(pools(), st.sampled_from(KS), st.permutations(range(4)), st.integers(0, 2**32 - 1))
@many
def test_neither_the_order_of_chunks_nor_how_they_are_cut_matters(pool, k, order, seed):
    scores, eligible = pool
    parts = np.sort(np.random.default_rng(seed).permutation(M).reshape(4, -1))  # [4, M / 4], ascending indices
    best = nothing(k)
    for part in order:
        at = parts[part].astype(np.int32)
        best = merge(best, scores[at], eligible[at], at)
    check(best, *pool, k)


def test_nothing_changes_nothing():
    best = top(np.float32([3, 1, 2]), None, 2, 3)
    again = merge(best, np.float32([np.nan, 9, -np.inf]), np.array([True, False, True]), 3)
    np.testing.assert_array_equal(again.index, [0, 2])
    empty = top(np.zeros(0, np.float32), None, 2)
    np.testing.assert_array_equal(empty.index, [-1, -1])
    np.testing.assert_array_equal(empty.score, [-np.inf, -np.inf])


def test_the_array_is_left_alone_and_may_be_float64():
    scores = np.linspace(0, 1, M)
    scores.flags.writeable = False
    np.testing.assert_array_equal(top(scores, None, 3, 333).index, [M - 1, M - 2, M - 3])


def test_more_than_an_index_can_count(monkeypatch):
    monkeypatch.setattr(ranking, "LARGEST", 10)
    with pytest.raises(ValueError, match="at most 10 scores can be ranked, got 11"):
        top(np.zeros(11, np.float32), None, 1)
