"""Scoring a pool, streamed, gives what scoring its images one by one gives."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Pictures, in_subprocess
from hypothesis import given
from hypothesis import strategies as st
from jax.sharding import Mesh

from bal import devices
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior.moments import predict_moments
from bal.scoring.acquisitions import BALD, Entropy, Random
from bal.scoring.objective import Objective
from bal.scoring.ranking import merge, top
from bal.scoring.score import best_regions, score_batch, score_regions
from bal.sources import batches
from bal.sources.batches import bucket, load, one_behind
from bal.types import IGNORE

KEY = jax.random.key(0)
UNIT = Tile(6)
ONCE = jax.jit(predict_moments, static_argnames="needs")


def laid_out(source, unit=UNIT, ids=None):
    ids = source.pool if ids is None else ids
    return lay_out(unit, ids, [source.shape(id) for id in ids])


def scored(model, source, acquisition=None, **kwargs) -> np.ndarray:
    return score_regions(model, source, laid_out(source), UNIT, acquisition or BALD(), KEY, **kwargs)


@pytest.fixture(scope="module")
def expected(model, pictures) -> np.ndarray:
    """Region scores of the pictures, one image at a time, without padding or batches, tile by tile in float64."""
    acquisition, rows = BALD(), []
    for id in pictures.pool:
        image = pictures.image(id)
        pixels = np.asarray(acquisition(ONCE(model, image[None], needs=acquisition.needs)), np.float64)[0]
        rows += [pixels[t : t + h, l : l + w].mean() for t, l, h, w in UNIT.boxes(image.shape[:2])]
    return np.array(rows)


def test_scores_are_those_of_a_loop_over_images(model, pictures, expected):
    told = []
    found = scored(model, pictures, watch=lambda done, total: told.append((done, total)))
    assert found.dtype == np.float32
    assert expected.std() > 1e-4
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert told[-1] == (5, 5)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_scores_do_not_depend_on_batches(model, pictures, expected, monkeypatch):
    for pixels in (1, 3 * 24 * 36, 2**22):  # two images at a time; three, of which the last batch is partial; all
        monkeypatch.setattr(batches, "PIXELS", pixels)
        np.testing.assert_allclose(scored(model, pictures), expected, atol=1e-5)


def test_scores_do_not_depend_on_the_order_of_images(model, pictures, expected):
    turned = Pictures([])
    turned.images, turned.masks, turned.pool = pictures.images, pictures.masks, pictures.pool[::-1]
    starts = laid_out(pictures).start
    pieces = [expected[a:b] for a, b in itertools.pairwise(starts)]
    np.testing.assert_allclose(scored(model, turned), np.concatenate(pieces[::-1]), atol=1e-5)


def test_scores_do_not_depend_on_the_number_of_devices(model, pictures, expected, monkeypatch):
    monkeypatch.setattr(
        devices, "mesh", lambda members=1: Mesh(np.array([jax.local_devices()[:1]]), ("data", "members"))
    )
    np.testing.assert_allclose(scored(model, pictures), expected, atol=1e-5)


def test_eight_devices_buy_what_two_buy(model, pictures, expected):
    told = in_subprocess(
        """
        import numpy as np
        from helpers import HEADS_SMALL, Pictures, ask
        from bal.scoring.acquisitions import BALD
        from bal.devices import mesh
        from bal.posterior.nets import UNet
        from bal.pool.regions import lay_out
        from bal.pool.units import Tile
        from bal.scoring.score import score_regions
        assert mesh().size == 8
        source = Pictures([(20, 30), (33, 17), (20, 30), (16, 16), (5, 41), (33, 17), (20, 30)])
        regions = lay_out(Tile(6), source.pool, [source.shape(id) for id in source.pool])
        model = ask(HEADS_SMALL["mc_dropout"], UNet(width=8, depth=1).bind(1, 3))
        scores = score_regions(model, source, regions, Tile(6), BALD(), jax.random.key(0))
        print(*(float(s).hex() for s in scores))
        """,
        devices=8,
    )
    found = np.array([float.fromhex(word) for word in told.split()])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.argsort(-found)[:10].tolist() == np.argsort(-expected)[:10].tolist()


@pytest.mark.parametrize("acquisition", [BALD(), Random()], ids=["bald", "random"])
def test_the_best_regions_are_the_top_of_all_scores(model, pictures, monkeypatch, acquisition):
    monkeypatch.setattr(batches, "PIXELS", 2 * 24 * 36)  # batches of two images, some of them half empty
    scores, regions, told = scored(model, pictures, acquisition), laid_out(pictures), []
    eligible = np.random.default_rng(0).random(scores.size) < 0.5
    for k, able in ((10, None), (10, eligible), (scores.size + 3, eligible)):
        found = best_regions(model, pictures, regions, UNIT, acquisition, k, KEY, able, lambda *done: told.append(done))
        jax.tree.map(np.testing.assert_array_equal, found, top(scores, able, k, scores.size))
    assert told == ([] if isinstance(acquisition, Random) else [(2, 5), (3, 5), (4, 5), (5, 5)] * 3)


def test_ranking_a_pool_is_compiled_once_a_shape(model, monkeypatch):
    monkeypatch.setattr(batches, "PIXELS", 2 * 24 * 24)  # three batches, the last of them half empty
    source, before = Pictures([(24, 24)] * 7), merge._cache_size()
    best_regions(model, source, laid_out(source), UNIT, BALD(), 7, KEY)
    assert merge._cache_size() == before + 1


def test_random_sampling_never_asks_the_model_nor_reads_an_image():
    source = Pictures([(20, 30), (33, 17), (16, 16)], test=1)
    one, same = (scored(None, source, Random()) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    assert len(np.unique(one)) == one.size == laid_out(source).image.size
    assert source.read == []
    other = score_regions(None, source, laid_out(source), UNIT, Random(), jax.random.key(1))
    assert (one != other).any()


def test_every_image_of_the_pool_is_read_once(model):
    source = Pictures([(20, 30), (33, 17), (20, 30), (16, 16)], test=1)
    scored(model, source, Entropy())
    assert sorted(source.read) == sorted(source.pool)


def test_sides_of_an_image_share_few_lengths():
    lengths = [bucket(n, 8) for n in range(1, 4097)]
    assert lengths == sorted(lengths)
    assert len(set(lengths)) < 40


@given(st.integers(1, 20_000), st.sampled_from([1, 4, 6, 16, 24]))
def test_a_bucket_wastes_at_most_a_quarter(length, multiple):
    padded = bucket(length, multiple)
    assert padded % multiple == 0
    assert padded >= length
    whole = -(-length // multiple) * multiple
    assert padded - whole <= whole / 4
    assert bucket(padded, multiple) == padded
    assert bucket(length + 1, multiple) >= padded


def test_batches_hold_every_image_once_and_nothing_else(pictures):
    ids = pictures.pool + pictures.test
    rows = []
    for loaded in load(pictures, ids, 4, labels=True):
        rows += loaded.rows
        image, size, label = (np.asarray(a) for a in (loaded.image, loaded.size, loaded.label))
        assert len(image) % devices.mesh().size == 0
        assert image.shape[1] % 4 == image.shape[2] % 4 == 0
        for b, row in enumerate(loaded.rows):
            height, width = pictures.shape(ids[row])
            assert tuple(size[b]) == (height, width)
            np.testing.assert_array_equal(image[b, :height, :width], pictures.images[ids[row]])
            np.testing.assert_array_equal(label[b, :height, :width], pictures.masks[ids[row]])
            assert not image[b, height:].any()
            assert not image[b, :, width:].any()
            assert (label[b, height:] == IGNORE).all()
            assert (label[b, :, width:] == IGNORE).all()
        assert (label[len(loaded.rows) :] == IGNORE).all()
    assert sorted(rows) == list(range(len(ids)))


def test_reading_is_one_ahead_of_handing_over():
    made = []

    def items():
        for n in range(4):
            made.append(n)
            yield n

    for n in one_behind(items()):
        assert made == list(range(min(n + 2, 4)))
    assert list(one_behind([])) == []
    assert list(one_behind([7])) == [7]


def test_padding_scores_nothing(model):
    x = jnp.zeros((2, 24, 24, 1))
    grid = np.asarray(score_batch(model, Objective(BALD()), UNIT, x, np.array([[7, 24], [1, 1]], np.int32)))
    assert grid.shape == (2, 4, 4)
    np.testing.assert_array_equal(np.isfinite(grid[0]), np.arange(4)[:, None].repeat(4, 1) < 2)
    assert np.isfinite(grid[1]).sum() == 1
    assert math.isfinite(grid[1, 0, 0])
