"""What every query unit promises, and what a pool's regions are called and cost."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from helpers import check_protocol, check_settings
from hypothesis import given, settings
from hypothesis import strategies as st

from bal.regions import UNITS, Tile, Unit, lay_out, price
from bal.types import BadInput, Region

SMALL = {"tile": [Tile(1), Tile(7), Tile(16), Tile(50)]}
units = pytest.mark.parametrize("unit", [u for name in UNITS for u in SMALL[name]], ids=repr)
SHAPES = [(16, 16), (17, 30), (5, 41), (1, 1)]


def round_up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


@pytest.mark.parametrize("name", UNITS)
def test_settings(name):
    check_settings(UNITS[name])
    check_protocol(UNITS[name], Unit)
    assert SMALL.get(name), f"add small instances of {name} to this test"


@units
@given(st.integers(1, 60), st.integers(1, 60))
@settings(max_examples=60)
def test_boxes_cover_every_pixel_once(unit, height, width):
    boxes = unit.boxes((height, width))
    assert boxes.dtype == np.int32
    seen = np.zeros((height, width), int)
    for top, left, h, w in boxes:
        assert h > 0
        assert w > 0
        assert top + h <= height
        assert left + w <= width
        seen[top : top + h, left : left + w] += 1
    assert (seen == 1).all()
    rows, columns = unit.grid((height, width))
    assert len(boxes) == rows * columns
    order = list(map(tuple, boxes[:, :2]))
    assert order == sorted(order)


@units
@pytest.mark.parametrize("reduction", ["mean", "max", "sum"])
def test_reduction_is_over_the_valid_pixels_of_a_region(unit, reduction):
    unit = dataclasses.replace(unit, reduction=reduction)
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        padded = tuple(round_up(n + 3, unit.multiple) for n in shape)
        score = rng.standard_normal((2, *padded)).astype(np.float32)
        valid = np.zeros((2, *padded), np.float32)
        valid[:, : shape[0], : shape[1]] = 1
        score[valid == 0] = np.nan
        reduced = np.asarray(unit.reduce(jnp.asarray(score), jnp.asarray(valid)))
        rows, columns = unit.grid(shape)
        for b in range(2):
            naive = [
                getattr(score[b, t : t + h, l : l + w].astype(np.float64), reduction)()
                for t, l, h, w in unit.boxes(shape)
            ]
            np.testing.assert_allclose(reduced[b, :rows, :columns].ravel(), naive, rtol=1e-4, atol=1e-5)
        outside = np.ones(reduced.shape[1:], bool)
        outside[:rows, :columns] = False
        assert np.isnan(reduced[:, outside]).all()


def test_a_region_is_not_the_whole_image():
    score = np.arange(64, dtype=np.float32).reshape(1, 8, 8)
    reduced = np.asarray(Tile(4).reduce(jnp.asarray(score), jnp.ones((1, 8, 8))))
    assert len(np.unique(reduced)) == 4


@units
def test_descriptions_find_their_candidates(unit):
    ids = ("a", "b", "c", "d")
    regions = lay_out(unit, ids, SHAPES)
    assert regions.image.shape == regions.region.shape == regions.box.shape[:1] == (regions.start[-1],)
    for m in range(regions.image.size):
        region = regions.describe(m)
        assert regions.find(region.image, region.region) == m
        n = ids.index(region.image)
        assert regions.start[n] <= m < regions.start[n + 1]
        assert region.box == tuple(unit.boxes(SHAPES[n])[region.region])
        assert all(type(v) is int for v in (region.region, *region.box))
    assert regions.pixels.sum() == sum(h * w for h, w in SHAPES)


def test_regions_of_one_image():
    regions = lay_out(Tile(16), ["only"], [(20, 16)])
    assert regions.describe(1) == Region("only", 1, (16, 0, 4, 16))
    with pytest.raises(BadInput, match="regions 0 to 1, not 2"):
        regions.find("only", 2)
    with pytest.raises(BadInput, match="not -1"):
        regions.find("only", -1)
    with pytest.raises(BadInput, match="no image 'other'"):
        regions.find("other", 0)
    with pytest.raises(TypeError):
        len(regions)


def test_an_empty_pool_has_no_regions():
    regions = lay_out(Tile(16), [], [])
    assert regions.image.size == 0
    assert regions.box.shape == (0, 4)
    assert price(regions, "pixels").shape == (0,)


@units
def test_prices(unit):
    regions = lay_out(unit, list("abcd"), SHAPES)
    np.testing.assert_array_equal(price(regions, "regions"), np.ones(regions.image.size))
    pixels = price(regions, "pixels")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, [h * w for _, _, h, w in regions.box])


def test_impossible_tiles_are_refused():
    with pytest.raises(BadInput, match="at least one pixel, got 0"):
        Tile(0)
