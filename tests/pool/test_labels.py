"""What is labelled, who may use it, and what it has cost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from bal.pool.cost import price
from bal.pool.labels import AUDIT, TRAINING, UNLABELLED, add, empty, label_map, pack, unpack
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.types import IGNORE

SHAPES = [(20, 30), (7, 16), (16, 16)]
REGIONS = lay_out(Tile(8), ("a", "b", "c"), SHAPES)
COSTS = price(REGIONS, "pixels")
M = COSTS.size


def answer(m: int, value: int | None = None) -> np.ndarray:
    """A label of the m-th region: noise, or all one value."""
    height, width = REGIONS.box[m, 2:]
    if value is not None:
        return np.full((height, width), value, np.int32)
    return np.random.default_rng(m).choice([0, 1, 2, IGNORE], (height, width)).astype(np.int32)


@st.composite
def histories(draw):
    """A pool after a few purchases, and those purchases."""
    pool = empty(M)
    made = []
    for _ in range(draw(st.integers(0, 4))):
        open_ = np.flatnonzero(pool.eligible)
        if not open_.size:
            break
        index = np.array(draw(st.lists(st.sampled_from(open_.tolist()), unique=True, max_size=6)), np.int64)
        splits = np.array([draw(st.sampled_from([TRAINING, AUDIT])) for _ in index], np.uint8)
        pool = add(pool, index, COSTS[index], splits, [answer(m) for m in index])
        made.append((index, splits))
    return pool, made


@given(histories())
@settings(max_examples=100)
def test_a_pool_remembers_its_purchases(history):
    pool, made = history
    index = np.concatenate([np.zeros(0, int), *(i for i, _ in made)])
    splits = np.concatenate([np.zeros(0, np.uint8), *(l for _, l in made)])
    assert sorted(np.flatnonzero(~pool.eligible)) == sorted(index)
    assert pool.spent == COSTS[index].sum(dtype=np.float64)
    assert pool.audited == COSTS[index[splits == AUDIT]].sum(dtype=np.float64)
    for split in (TRAINING, AUDIT):
        assert list(pool.bought(split)) == sorted(index[splits == split])
    assert set(pool.answers) == set(index.tolist())


@given(histories())
@settings(max_examples=100)
def test_packing_loses_nothing(history):
    pool, _ = history
    back = unpack(pack(pool), REGIONS)
    np.testing.assert_array_equal(back.split, pool.split)
    assert back.split.dtype == pool.split.dtype
    assert (back.spent, back.audited) == (pool.spent, pool.audited)
    assert set(back.answers) == set(pool.answers)
    for m, label in pool.answers.items():
        np.testing.assert_array_equal(back.answers[m], label)
        assert back.answers[m].dtype == np.int32


@given(histories())
@settings(max_examples=50)
def test_what_is_known_of_one_lot_stays_in_it(history):
    pool, _ = history
    for n, shape in enumerate(SHAPES):
        maps = {split: label_map(pool, REGIONS, n, shape, split) for split in (TRAINING, AUDIT)}
        for split, other in ((TRAINING, AUDIT), (AUDIT, TRAINING)):
            expected = np.full(shape, IGNORE, np.int32)
            for m, label in pool.bought(split).items():
                if REGIONS.image[m] == n:
                    top, left, height, width = REGIONS.box[m]
                    expected[top : top + height, left : left + width] = label
            np.testing.assert_array_equal(maps[split], expected)
            assert not ((maps[split] != IGNORE) & (maps[other] != IGNORE)).any()


def test_audit_labels_never_reach_training():
    index = np.arange(M)
    splits = np.where(index % 2, AUDIT, TRAINING).astype(np.uint8)
    pool = add(empty(M), index, COSTS, splits, [answer(m, 1 if splits[m] == TRAINING else 2) for m in index])
    for n, shape in enumerate(SHAPES):
        assert set(np.unique(label_map(pool, REGIONS, n, shape, TRAINING))) <= {1, IGNORE}
        assert set(np.unique(label_map(pool, REGIONS, n, shape, AUDIT))) <= {2, IGNORE}


def test_buying_twice_is_refused():
    index = np.array([3, 4])
    splits = np.array([TRAINING, AUDIT], np.uint8)
    pool = add(empty(M), index, COSTS[index], splits, [answer(3), answer(4)])
    for again in ([4, 5], [5, 5]):
        i = np.array(again)
        with pytest.raises(ValueError, match="bought twice"):
            add(pool, i, COSTS[i], splits, [answer(m) for m in again])


@pytest.mark.parametrize("wrong", [-1, M])
def test_padding_of_a_query_is_not_a_region(wrong):
    i = np.array([wrong])
    with pytest.raises(ValueError, match=f"region {wrong}"):
        add(empty(M), i, np.ones(1), np.array([TRAINING], np.uint8), [answer(0)])


def test_an_answer_must_fit():
    with pytest.raises(ValueError, match=r"shorter|longer"):
        add(empty(M), np.array([0, 1]), COSTS[:2], np.array([TRAINING] * 2, np.uint8), [answer(0)])


def test_a_pool_is_never_changed_in_place():
    before = empty(M)
    after = add(before, np.array([0]), COSTS[:1], np.array([TRAINING], np.uint8), [answer(0)])
    assert before.eligible.all()
    assert not before.answers
    assert (before.split[0], after.split[0]) == (UNLABELLED, TRAINING)
