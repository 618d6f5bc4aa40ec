"""Scoring a pool, streamed, gives what scoring its images one by one gives."""

from __future__ import annotations

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, TINY, Pictures, ask, in_subprocess, slow_where
from hypothesis import given, strategies as st
from jax.sharding import Mesh

from bal.pool.regions import lay_out
from bal.pool.units.image import Image
from bal.pool.units.pixel import Pixel
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile
from bal.posterior.moments import predict_moments
from bal.scoring.acquisitions import BALD, Entropy, Random
from bal.scoring.objective import Objective
from bal.scoring.ranking import merge, top
from bal.scoring.score import best_regions, score_batch, score_regions, survey
from bal.sources import batches
from bal.sources.batches import arrange, bucket, load, one_behind
from bal.system import devices
from bal.types import IGNORE

KEY = jax.random.key(0)
UNIT = Tile(6)
ONCE = jax.jit(predict_moments, static_argnames="needs")


def laid_out(source, unit=UNIT, ids=None):
    ids = source.pool if ids is None else ids
    return lay_out(unit, ids, [source.shape(id) for id in ids], source.image)


def scored(model, source, acquisition=None, **kwargs) -> np.ndarray:
    return score_regions(model, source, laid_out(source), acquisition or BALD(), KEY, **kwargs)


def use(monkeypatch, count: int) -> None:
    """Scores on the first `count` devices only."""
    local = np.array(jax.local_devices()[:count]).reshape(-1, 1)
    monkeypatch.setattr(devices, "mesh", lambda members=1: Mesh(local, (devices.DATA, devices.MEMBERS)))


@pytest.fixture(scope="module")
def expected(model, pictures) -> np.ndarray:
    """Region scores of the pictures, one image at a time, without padding or batches, tile by tile in float64."""
    acquisition = BALD()
    rows = []
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
    use(monkeypatch, 1)
    np.testing.assert_allclose(scored(model, pictures), expected, atol=1e-5)


@pytest.mark.slow
def test_eight_devices_buy_what_two_buy(model, pictures, expected):
    told = in_subprocess(
        """
        import numpy as np
        from helpers import HEADS_SMALL, Pictures, ask
        from bal.system.devices import mesh
        from bal.pool.regions import lay_out
        from bal.pool.units.tile import Tile
        from bal.posterior.nets import UNet
        from bal.scoring.acquisitions import BALD
        from bal.scoring.score import score_regions
        assert mesh().size == 8
        source = Pictures([(20, 30), (33, 17), (20, 30), (16, 16), (5, 41), (33, 17), (20, 30)])
        regions = lay_out(Tile(6), source.pool, [source.shape(id) for id in source.pool])
        model = ask(HEADS_SMALL["mc_dropout"], UNet(width=8, depth=1).bind(1, 3))
        scores = score_regions(model, source, regions, BALD(), jax.random.key(0))
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
    scores = scored(model, pictures, acquisition)
    regions = laid_out(pictures)
    told = []
    eligible = np.random.default_rng(0).random(scores.size) < 0.5
    for k, able in ((10, None), (10, eligible), (scores.size + 3, eligible)):
        found = best_regions(model, pictures, regions, acquisition, k, KEY, able, lambda *done: told.append(done))
        jax.tree.map(np.testing.assert_array_equal, found, top(scores, able, k, scores.size))
    assert told == ([] if isinstance(acquisition, Random) else [(2, 5), (3, 5), (4, 5), (5, 5)] * 3)


def test_ranking_a_pool_is_compiled_once_a_shape(model, monkeypatch):
    monkeypatch.setattr(batches, "PIXELS", 2 * 24 * 24)  # three batches, the last of them half empty
    source = Pictures([(24, 24)] * 7)
    before = merge._cache_size()
    best_regions(model, source, laid_out(source), BALD(), 7, KEY)
    assert merge._cache_size() == before + 1


def test_random_sampling_never_asks_the_model_nor_reads_an_image():
    source = Pictures([(20, 30), (33, 17), (16, 16)], test=1)
    one, same = (scored(None, source, Random()) for _ in range(2))
    np.testing.assert_array_equal(one, same)
    assert len(np.unique(one)) == one.size == laid_out(source).image.size
    assert source.read == []
    other = score_regions(None, source, laid_out(source), Random(), jax.random.key(1))
    assert (one != other).any()


def test_every_image_of_the_pool_is_read_once(model):
    source = Pictures([(20, 30), (33, 17), (20, 30), (16, 16)], test=1)
    scored(model, source, Entropy())
    assert sorted(source.read) == sorted(source.pool)


@pytest.mark.parametrize("used", slow_where(lambda used: used == 1, (1, 2)))
@pytest.mark.parametrize(
    ("unit", "head", "acquisition", "names"),
    [
        (Tile(6), "deep_ensemble", BALD(), ("by_class", "boundary", "embedding", "joint")),
        (Tile(6), "mc_dropout", Entropy(), ()),
        (Image(), "deep_ensemble", Entropy(), ()),
        (Superpixel(6), "mc_dropout", BALD(), ("by_class",)),
        (Pixel(), "deep_ensemble", BALD(), ()),
    ],
    ids=["tile-bald", "tile-entropy", "image", "superpixel", "pixel"],
)
def test_a_part_of_a_pool_gets_the_bits_of_the_whole(monkeypatch, unit, head, acquisition, names, used):
    monkeypatch.setattr(batches, "PIXELS", 4 * 24 * 36)  # two batches of four images, the second half empty
    use(monkeypatch, used)
    model = ask(HEADS_SMALL[head], TINY)
    source = Pictures([(20, 30), (16, 16), (22, 33)] * 3, test=0)
    regions = laid_out(source, unit)
    whole = survey(model, source, regions, acquisition, names)
    told = []
    for images in ([8], [1, 5, 6], [7, 4]):
        source.read.clear()
        part = regions.subset(images)
        found = survey(model, source, part, acquisition, names, lambda *done: told.append(done))
        for name, values in found.items():
            np.testing.assert_array_equal(values, whole[name][part.index])
        assert set(source.read) == {source.pool[n] for n in images}, "no other image is read"
        assert told[-1] == (len(images), len(images))


def test_random_numbers_of_a_part_are_those_of_the_whole(pictures):
    regions = laid_out(pictures)
    part = regions.subset([4, 1])
    whole, found = (score_regions(None, pictures, some, Random(), KEY) for some in (regions, part))
    np.testing.assert_array_equal(found, whole[part.index])


def test_the_best_of_a_part_are_numbered_within_it(model, pictures):
    part = laid_out(pictures).subset([0, 2])
    scores = score_regions(model, pictures, part, BALD(), KEY)
    found = best_regions(model, pictures, part, BALD(), 5, KEY)
    jax.tree.map(np.testing.assert_array_equal, found, top(scores, None, 5, scores.size))


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


def test_some_images_come_where_they_come_among_all(monkeypatch):
    monkeypatch.setattr(batches, "PIXELS", 4 * 24 * 36)
    source = Pictures([(20, 30), (16, 16), (22, 33)] * 4, test=0)
    every = list(load(source, source.pool, 6))
    groups = list(arrange(source, source.pool, 6))
    assert [len(loaded.image) for loaded in every] == [group.length for group in groups]
    for some in ({0, 1, 11}, {2}, set()):
        only = np.isin(np.arange(12), list(some))
        source.read.clear()
        found = {tuple(loaded.rows): loaded for loaded in load(source, source.pool, 6, labels=True, only=only)}
        assert sorted(source.read) == sorted(source.pool[n] for n in some)
        assert set(found) == {tuple(group.rows) for group in groups if some & set(group.rows)}
        for loaded in every:
            if part := found.get(tuple(loaded.rows)):
                kept = np.isin(loaded.rows, list(some))
                image, size, label = (np.asarray(a) for a in part[1:])
                np.testing.assert_array_equal(image[: len(kept)][kept], np.asarray(loaded.image)[: len(kept)][kept])
                np.testing.assert_array_equal(size[: len(kept)][kept], np.asarray(loaded.size)[: len(kept)][kept])
                blank = np.setdiff1d(np.arange(len(image)), np.flatnonzero(kept))
                assert not image[blank].any()
                assert (label[blank] == IGNORE).all()


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
