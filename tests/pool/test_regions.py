"""What a pool's regions are called, how they are found again, and what they cost."""

from __future__ import annotations

import numpy as np
import pytest
from test_units import SHAPES, picture, units

from bal.pool.cost import Effort, boundary, price
from bal.pool.regions import lay_out
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile
from bal.types import IGNORE, BadInput, Region

PICTURES = {id: picture(shape) for id, shape in zip("abcd", SHAPES, strict=True)}


@units
def test_descriptions_find_their_candidates(unit):
    ids = ("a", "b", "c", "d")
    regions = lay_out(unit, ids, SHAPES, PICTURES.get)
    assert regions.image.shape == regions.region.shape == regions.box.shape[:1] == (regions.start[-1],)
    for m in range(regions.image.size):
        region = regions.describe(m)
        assert regions.find(region.image, region.region) == m
        n = ids.index(region.image)
        assert regions.start[n] <= m < regions.start[n + 1]
        cut = unit.cut(SHAPES[n], PICTURES[region.image])
        top, left, height, width = region.box
        inside = cut[top : top + height, left : left + width] == region.region
        assert inside.sum() == (cut == region.region).sum() == regions.pixels[m]
        assert inside.all() if region.mask is None else (inside == region.mask).all()
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
    regions = lay_out(unit, list("abcd"), SHAPES, PICTURES.get)
    np.testing.assert_array_equal(price(regions, "regions"), np.ones(regions.image.size))
    pixels = price(regions, "pixels")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, regions.pixels)


def test_units_that_look_need_images():
    with pytest.raises(BadInput, match="give lay_out the images"):
        lay_out(Superpixel(4), ["a"], [(16, 16)])


def test_effort_is_a_visit_and_the_length_of_the_boundary():
    effort = Effort(open=3.0, edge=0.5)
    np.testing.assert_array_equal(effort.seconds(np.array([0, 10])), np.float32([3, 8]))
    regions = lay_out(Tile(16), ["a"], [(16, 32)])
    np.testing.assert_array_equal(price(regions, "effort", effort), np.float32([11, 11]))  # 16 pixels of boundary each


@pytest.mark.parametrize("wrong", [{"open": 0.0}, {"open": float("inf")}, {"edge": -0.1}, {"edge": float("nan")}])
def test_impossible_efforts_are_refused(wrong):
    with pytest.raises(BadInput, match="effort needs open > 0 and edge ≥ 0"):
        Effort(**wrong)


def test_a_boundary_is_where_neighbours_differ():
    label = np.zeros((5, 6), int)
    assert boundary(label) == 0
    label[:, 2] = 1  # a stroke has two sides
    assert boundary(label) == 10
    label[2, 2] = 2
    assert boundary(label) == 12
    label[0] = IGNORE  # what nobody has labelled, nobody has drawn
    assert boundary(label) == 10
