"""What a pool's regions are called, how they are found again, and what they cost."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from test_units import SHAPES, SMALL, picture, units

from bal.pool.cost import Effort, boundary, price
from bal.pool.regions import lay_out
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile
from bal.types import IGNORE, BadInput, Region

IDS = ("a", "b", "c", "d")
PICTURES = {id: picture(shape) for id, shape in zip(IDS, SHAPES, strict=True)}
LAID_OUT = {unit: lay_out(unit, IDS, SHAPES, PICTURES.get) for each in SMALL.values() for unit in each}


@units
def test_descriptions_find_their_candidates(unit):
    regions = lay_out(unit, IDS, SHAPES, PICTURES.get)
    assert regions.image.shape == regions.region.shape == regions.box.shape[:1] == (regions.start[-1],)
    for m, region in enumerate(regions.describe(range(regions.image.size), PICTURES.get)):
        assert regions.find(region.image, region.region) == m
        n = IDS.index(region.image)
        assert regions.start[n] <= m < regions.start[n + 1]
        cut = unit.cut(SHAPES[n], PICTURES[region.image])
        top, left, height, width = region.box
        inside = cut[top : top + height, left : left + width] == region.region
        assert inside.sum() == (cut == region.region).sum() == regions.pixels[m]
        assert inside.all() if region.mask is None else (inside == region.mask).all()
        assert all(type(v) is int for v in (region.region, *region.box))
    assert regions.pixels.sum() == sum(h * w for h, w in SHAPES)


@units
def test_an_image_is_cut_as_it_was_laid_out(unit):
    regions = lay_out(unit, IDS, SHAPES, PICTURES.get)
    for n, (id, shape) in enumerate(PICTURES.items()):
        cut = regions.cut(n, PICTURES.get)
        np.testing.assert_array_equal(cut, unit.cut(shape.shape[:2], PICTURES[id]))
        np.testing.assert_array_equal(np.bincount(cut.ravel()), regions.pixels[regions.image == n])


def test_regions_are_described_in_the_order_that_was_asked_for():
    read = []
    regions = lay_out(Superpixel(9), IDS, SHAPES, PICTURES.get)
    last = regions.image.size - 1
    asked = [last, 0, 2, last - 1, 1, 0]
    described = regions.describe(asked, lambda id: read.append(id) or PICTURES[id])
    assert [regions.find(r.image, r.region) for r in described] == asked
    assert sorted(read) == sorted({r.image for r in described}), "each image is looked at once"
    assert regions.describe([]) == []


@units
def test_regions_pickle_without_their_source(unit):
    def look(id: str) -> np.ndarray:  # no pickle can hold a local function
        return PICTURES[id]

    regions = lay_out(unit, IDS, SHAPES, look)
    assert regions.find("b", 0) == regions.start[1], "also once a region has been found"
    back = pickle.loads(pickle.dumps(regions))
    assert (back.unit, back.ids) == (regions.unit, regions.ids)
    for name in ("image", "region", "box", "pixels", "start", "whole"):
        one, other = getattr(regions, name), getattr(back, name)
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
    every = range(regions.image.size)
    for one, other in zip(regions.describe(every, look), back.describe(every, look), strict=True):
        assert one[:3] == other[:3]
        assert (one.mask is None) == (other.mask is None)
        assert one.mask is None or (one.mask == other.mask).all()
        assert back.find(*one[:2]) == regions.find(*one[:2])


@units
@given(st.sets(st.integers(0, len(SHAPES) - 1)))
@settings(max_examples=10)
def test_a_part_keeps_the_names_of_the_whole(unit, images):
    regions = LAID_OUT[unit]
    part = regions.subset(sorted(images, reverse=True))
    np.testing.assert_array_equal(part.index, np.flatnonzero(np.isin(regions.image, sorted(images))))
    for name in ("image", "region", "box", "pixels"):
        np.testing.assert_array_equal(getattr(part, name), getattr(regions, name)[part.index])
    described = part.describe(range(part.image.size), PICTURES.get)
    for m, (own, same) in enumerate(zip(described, regions.describe(part.index, PICTURES.get), strict=True)):
        assert own[:3] == same[:3]
        assert part.find(own.image, own.region) == m
    for n in set(range(len(IDS))) - images:
        with pytest.raises(BadInput, match=f"this part of the pool has no image '{IDS[n]}'"):
            part.find(IDS[n], 0)
    again = part.subset(sorted(images)[:1])
    np.testing.assert_array_equal(again.index, np.flatnonzero(np.isin(regions.image, sorted(images)[:1])))


def test_parts_make_up_the_whole():
    regions = lay_out(Tile(7), IDS, SHAPES)
    index = np.concatenate([regions.subset(images).index for images in ([2, 0], [3], [], [1])])
    np.testing.assert_array_equal(np.sort(index), regions.index)
    np.testing.assert_array_equal(regions.index, np.arange(regions.image.size))


@pytest.mark.parametrize("wrong", [-1, 4])
def test_a_part_of_images_that_there_are_not(wrong):
    with pytest.raises(BadInput, match=f"images 0 to 3, not {wrong}"):
        lay_out(Tile(7), IDS, SHAPES).subset([0, wrong])


def test_regions_of_one_image():
    regions = lay_out(Tile(16), ["only"], [(20, 16)])
    assert regions.describe([1]) == [Region("only", 1, (16, 0, 4, 16))]
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
    regions = LAID_OUT[unit]
    np.testing.assert_array_equal(price(regions, "regions"), np.ones(regions.image.size))
    pixels = price(regions, "pixels")
    assert pixels.dtype == np.float32
    np.testing.assert_array_equal(pixels, regions.pixels)


def test_units_that_look_need_images():
    with pytest.raises(BadInput, match="no images were given to look at"):
        lay_out(Superpixel(4), ["a"], [(16, 16)])
    regions = lay_out(Superpixel(4), IDS, SHAPES, PICTURES.get)
    for ask in (lambda: regions.describe([0]), lambda: regions.cut(0)):
        with pytest.raises(BadInput, match="no images were given to look at"):
            ask()


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
