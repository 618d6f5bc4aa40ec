"""Batches: a share of patches with foreground, and changes of brightness that leave labels alone."""

from __future__ import annotations

import dataclasses
import itertools
import math
from fractions import Fraction

import jax
import numpy as np
import pytest
from helpers import TRAIN
from hypothesis import given, settings, strategies as st

from bal.posterior.patches import Crop
from bal.posterior.sampling import batches, holds_foreground, order, photometric, smooth
from bal.types import IGNORE

PHOTOMETRIC = {"contrast": 0.3, "brightness": 0.1, "noise": 0.05, "blur": 0.5}


@given(st.integers(1, 40), st.data(), st.floats(0, 1), st.integers(0, 2**31))
@settings(max_examples=100)
def test_a_share_of_the_places_is_for_the_rich(count, data, share, seed):
    rich = sorted(data.draw(st.sets(st.integers(0, count - 1))))
    drawn = list(itertools.islice(order(count, rich, share, np.random.default_rng(seed)), 300))
    assert set(drawn) <= set(range(count))
    if rich:
        assert sum(n in rich for n in drawn) >= math.floor(300 * Fraction(share).limit_denominator(10**6))
    else:
        assert np.ptp(np.bincount(drawn, minlength=count)) <= 1


@pytest.mark.parametrize(
    ("share", "places", "due"), [(0.1, 10, 1), (0.3, 30, 9), (0.7, 30, 21), (0.29, 100, 29), (1, 9, 9)]
)
def test_a_share_that_floats_cannot_hold_is_met_all_the_same(share, places, due):
    drawn = itertools.islice(order(10**6, [7], share, np.random.default_rng(0)), places)
    assert sum(n == 7 for n in drawn) == due


@pytest.mark.parametrize(
    ("label", "expected"),
    [(np.zeros((8, 8)), False), (np.full((8, 8), IGNORE), False), (np.eye(8), True), (np.eye(8)[::-1], True)],
)
def test_foreground_counts_where_it_is_labelled_in_the_region(label, expected):
    assert holds_foreground(Crop(np.zeros((8, 8, 1), np.float32), label.astype(np.int32), (2, 2, 4, 4))) is expected
    beside = np.full((8, 8), IGNORE, np.int32)
    beside[0] = 1
    assert not holds_foreground(Crop(np.zeros((8, 8, 1), np.float32), beside, (2, 2, 4, 4)))


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_a_change_alters_images_and_nothing_else(name):
    image = np.random.default_rng(0).random((5, 16, 16, 2), np.float32)
    train = dataclasses.replace(TRAIN, **{name: PHOTOMETRIC[name]})
    np.testing.assert_array_equal(photometric(image, TRAIN, np.random.default_rng(1)), image)
    one, same = (photometric(image, train, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    assert one.dtype == np.float32
    assert one.shape == image.shape
    gap = np.abs(one - image).max((1, 2, 3))
    assert (gap > 0).all()
    assert len(set(gap.tolist())) == 5, "every patch by another amount"
    labels = np.arange(2 * 256).reshape(2, 16, 16).astype(np.int32) % 3
    crops = [Crop(image[n], labels[n], (4, 4, 8, 8)) for n in range(2)]
    plain, changed = (next(batches(crops, t, 4, 1, jax.random.key(0))) for t in (TRAIN, train))
    np.testing.assert_array_equal(plain.label, changed.label)
    assert (plain.image != changed.image).any()


def test_a_blur_is_the_binomial_mean_of_nine():
    image = np.zeros((1, 7, 7, 1), np.float32)
    image[0, 3, 3] = 16
    expected = np.outer([1, 2, 1], [1, 2, 1])
    np.testing.assert_allclose(smooth(image)[0, 2:5, 2:5, 0], expected)
    np.testing.assert_allclose(smooth(np.full((1, 5, 6, 2), 3.0)), 3.0)


@pytest.mark.parametrize("name", PHOTOMETRIC)
def test_padding_is_not_changed_and_changes_nothing(name):
    """Of an image smaller than the patch: as if there were only the image."""
    train = dataclasses.replace(TRAIN, patch=32, flip=False, **{name: PHOTOMETRIC[name]})
    image = np.full((20, 24, 1), 0.75, np.float32)
    crop = Crop(image, np.zeros((20, 24), np.int32), (2, 2, 16, 16))
    batch = next(batches([crop], train, 4, 1, jax.random.key(0)))
    assert (batch.image[:, 20:] == 0).all()
    assert (batch.image[:, :, 24:] == 0).all()
    inside = batch.image[:, :20, :24]
    if name in ("contrast", "blur"):
        np.testing.assert_allclose(inside, 0.75, rtol=1e-6, err_msg="flat paper stays flat")
    else:
        assert (inside != 0.75).any()
