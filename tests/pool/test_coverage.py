"""Strata of regions that look alike, each with the same chance."""

from __future__ import annotations

import numpy as np
import pytest

from bal.pool.contrast import UNIFORM
from bal.pool.coverage import FITTED, even, features, strata
from bal.pool.units.tile import Tile


def rng():
    return np.random.default_rng(0)


def looks(sizes):
    """So many regions of each of some looks, far apart, and which look each has."""
    kind = np.repeat(np.arange(len(sizes)), sizes)
    return 10.0 * np.eye(len(sizes))[kind] + 0.1 * rng().standard_normal((len(kind), len(sizes))), kind


def test_each_look_is_drawn_alike_however_rare():
    seen, kind = looks([900, 90, 10])
    able = np.ones(1000, bool)
    weight = even(strata(seen, able, 3, rng()), able)
    assert weight.sum() == pytest.approx(1)
    for k, size in enumerate((900, 90, 10)):
        assert weight[kind == k].sum() == pytest.approx(UNIFORM * size / 1000 + (1 - UNIFORM) / 3)
        assert np.ptp(weight[kind == k]) < 1e-12


def test_what_cannot_be_drawn_has_no_weight_and_no_say():
    seen, kind = looks([50, 50])
    able = kind == 1
    seen[60:70] = np.nan  # not looked at
    stratum = strata(seen, able, 2, rng())
    assert (stratum[kind == 0] == -1).all()
    assert (stratum[60:70] == -1).all()
    weight = even(stratum, able)
    assert not weight[kind == 0].any()
    assert weight.sum() == pytest.approx(1)
    assert (strata(seen, np.zeros(100, bool), 2, rng()) == -1).all()


def test_there_may_be_less_to_tell_apart_than_strata():
    able = np.ones(30, bool)
    stratum = strata(np.ones((30, 4)), able, 8, rng())
    assert stratum.tolist() == [0] * 30
    assert even(stratum, able).tolist() == pytest.approx([1 / 30] * 30)
    assert len(set(strata(np.arange(3.0)[:, None], np.ones(3, bool), 24, rng()).tolist())) == 3


def test_equal_regions_have_equal_strata_and_it_depends_on_the_key_alone():
    seen, _ = looks([40, 40, 40])
    able = np.ones(120, bool)
    one, same = (strata(seen, able, 3, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, same)


def test_a_large_pool_is_fitted_on_some_of_it():
    seen, kind = looks([FITTED, FITTED // 2])
    stratum = strata(seen, np.ones(len(kind), bool), 2, rng())
    assert len({(a, b) for a, b in zip(kind.tolist(), stratum.tolist(), strict=True)}) == 2


def test_features_tell_looks_apart_and_are_of_the_region():
    image = np.full((32, 48, 1), 0.8, np.float32)
    image[:, 16:32:4] = 0.2  # upright strokes
    image[::4, 32:] = 0.2  # lying ones
    cut = Tile(16).cut((32, 48))
    found = features(image, cut)
    assert found.shape == (cut.max() + 1, 10)
    assert np.isfinite(found).all()
    paper, upright, lying = found[0], found[1], found[2]
    assert upright[1] > paper[1]
    assert lying[2] > paper[2]
    assert upright[1] > lying[1]
    assert lying[2] > upright[2]
    assert paper[0] > upright[0]
