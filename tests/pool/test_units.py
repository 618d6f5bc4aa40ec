"""What every query unit promises: its regions are disjoint and cover the image, and its numbers are theirs."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import check_protocol, check_settings
from hypothesis import given, settings, strategies as st

from bal.pool.units import UNITS
from bal.pool.units.base import Unit
from bal.pool.units.image import Image
from bal.pool.units.pixel import Pixel
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile
from bal.types import BadInput

SMALL = {
    "tile": [Tile(1), Tile(7), Tile(16), Tile(50)],
    "image": [Image()],
    "superpixel": [Superpixel(4), Superpixel(9, compactness=1.0)],
    "pixel": [Pixel()],
}
units = pytest.mark.parametrize("unit", [u for name in UNITS for u in SMALL[name]], ids=repr)
SHAPES = [(16, 16), (17, 30), (5, 41), (1, 1)]
REDUCTIONS = ("mean", "max", "sum", "top")


def round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


def picture(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    """Blocks of brightness that superpixels can follow, under noise."""
    rng = np.random.default_rng(seed)
    blocks = np.kron(rng.random((-(-shape[0] // 6), -(-shape[1] // 6))), np.ones((6, 6)))
    return (blocks[: shape[0], : shape[1], None] + 0.05 * rng.random((*shape, 1))).astype(np.float32)


def naive(values: np.ndarray, reduction: str, share: float) -> float:
    values = np.sort(values.astype(np.float64))[::-1]
    top = values[: int(np.ceil(np.float32(share) * np.float32(len(values))))]
    return {"mean": values.mean(), "max": values.max(), "sum": values.sum(), "top": top.mean()}[reduction]


@pytest.mark.parametrize("name", UNITS)
def test_settings(name):
    check_settings(UNITS[name])
    check_protocol(UNITS[name], Unit)
    assert SMALL.get(name), f"add small instances of {name} to this test"


@units
@given(st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=40)
def test_regions_are_disjoint_and_cover_the_image(unit, height, width):
    shape = height, width
    cut = unit.cut(shape, picture(shape))
    boxes = unit.boxes(shape, cut if unit.looks else None)
    assert cut.shape == shape
    assert cut.dtype == boxes.dtype == np.int32
    assert sorted(set(cut.ravel().tolist())) == list(range(len(boxes))), "numbers without gaps"
    for region, (top, left, h, w) in enumerate(boxes):
        row, column = np.nonzero(cut == region)
        assert (top, left) == (row.min(), column.min())
        assert (top + h, left + w) == (row.max() + 1, column.max() + 1)
        assert unit.looks or (cut[top : top + h, left : left + w] == region).all()
    rows, columns = unit.grid(shape, len(boxes))
    assert len(boxes) == rows * columns


@units
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reduction_is_over_the_valid_pixels_of_a_region(unit, reduction):
    if hasattr(unit, "reduction"):
        unit = dataclasses.replace(unit, reduction=reduction, top=0.3)
    reduce = jax.jit(unit.reduce, static_argnums=3)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        padded = tuple(round_up(n + 3, unit.multiple) for n in shape)
        score = rng.standard_normal((2, *padded)).astype(np.float32)
        valid = np.zeros((2, *padded), np.float32)
        cuts = np.zeros((2, *padded), np.int32)
        valid[:, : shape[0], : shape[1]] = 1
        score[valid == 0] = np.nan
        each = [unit.cut(shape, picture(shape, seed)) for seed in range(2)]
        for b in range(2):
            cuts[b, : shape[0], : shape[1]] = each[b]
        room = max(int(cut.max()) + 1 for cut in each) + 1
        reduced = np.asarray(reduce(score, valid, cuts, room))
        for b, cut in enumerate(each):
            count = int(cut.max()) + 1
            rows, columns = unit.grid(shape, count)
            inside = score[b, : shape[0], : shape[1]]
            expected = [naive(inside[cut == region], reduction, 0.3) for region in range(count)]
            np.testing.assert_allclose(reduced[b, :rows, :columns].ravel(), expected, rtol=1e-4, atol=1e-5)
            outside = np.ones(reduced.shape[1:], bool)
            outside[:rows, :columns] = False
            assert np.isnan(reduced[b, outside]).all()


@pytest.mark.parametrize("reduction", ["mean", "max", "top"])
def test_a_score_does_not_grow_with_the_region(reduction):
    """Two copies of an image beside each other score what one scores; only the sum doubles."""
    score = np.random.default_rng(0).random((1, 10, 10), np.float32)
    twice = np.concatenate([score, score], 2)
    for values, times in ((reduction, 1), ("sum", 2)):
        one, two = (float(Image(values).reduce(jnp.asarray(x), jnp.ones(x.shape))[0, 0, 0]) for x in (score, twice))
        assert two == pytest.approx(times * one, rel=1e-5)


def test_a_region_is_not_the_whole_image():
    score = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    reduced = np.asarray(Tile(4).reduce(jnp.asarray(score), jnp.ones((1, 8, 8))))
    assert len(np.unique(reduced)) == 4


def test_superpixels_follow_an_edge_and_are_always_the_same():
    image = np.zeros((24, 24, 1), np.float32)
    image[:, 11:] = 1.0
    unit = Superpixel(8)
    cut = unit.cut((24, 24), image)
    sides = [set(cut[:, :11].ravel().tolist()), set(cut[:, 11:].ravel().tolist())]
    assert not sides[0] & sides[1], "no superpixel reaches across"
    assert 4 <= cut.max() + 1 <= 16
    np.testing.assert_array_equal(cut, unit.cut((24, 24), image))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Tile(0), "at least one pixel, got 0"),
        (lambda: Tile(8, top=0.0), "0 < top ≤ 1"),
        (lambda: Image(top=1.5), "0 < top ≤ 1"),
        (lambda: Superpixel(1), "size ≥ 2"),
        (lambda: Superpixel(8, compactness=0.0), "compactness > 0"),
    ],
)
def test_impossible_units_are_refused(make, message):
    with pytest.raises(BadInput, match=message):
        make()
