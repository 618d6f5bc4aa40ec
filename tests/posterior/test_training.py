"""Patches that always show their region, a stream that follows from its key, and one compiled step."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, LOSS, TINY, TRAIN
from hypothesis import given, settings, strategies as st

from bal.posterior import training
from bal.posterior.descent import Descent, Progress, step
from bal.posterior.heads import DeepEnsemble, MCDropout
from bal.posterior.heads.base import Finalizes
from bal.posterior.patches import Crop, crop_around, cut, middles
from bal.posterior.recipe import Train
from bal.posterior.sampling import batches
from bal.posterior.training import abstract, fit
from bal.system import devices
from bal.types import IGNORE, BadInput, Batch

HEAD = MCDropout(rate=0.1)
KEY = jax.random.key(0)
under_one = st.floats(0, 1, exclude_max=True)


def picture(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """An image whose pixels say where they are, and labels that say the same."""
    place = np.arange(height * width).reshape(height, width)
    return place[..., None].astype(np.float32), place.astype(np.int32) + 1000


@st.composite
def cases(draw):
    """An image, a box in it, a patch size, and where to cut."""
    height, width = draw(st.integers(1, 50)), draw(st.integers(1, 50))
    h, w = draw(st.integers(1, height)), draw(st.integers(1, width))
    box = draw(st.integers(0, height - h)), draw(st.integers(0, width - w)), h, w
    return (height, width), box, draw(st.integers(8, 40)), np.array([draw(under_one) for _ in range(4)])


def toy(n: int, seed: int = 0, side: int = 16) -> list[Crop]:
    """Crops whose bright pixels are class 1; the region is their middle."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((n, side, side, 1)).astype(np.float32)
    return [Crop(x, (x[..., 0] > 0).astype(np.int32), (4, 4, 8, 8)) for x in images]


@given(cases(), st.booleans())
@settings(max_examples=500)
def test_a_patch_shows_its_region(case, flip):
    shape, box, patch, u = case
    image, label = picture(*shape)
    known = np.full(shape, IGNORE, np.int32)
    top, left, height, width = box
    region = slice(top, top + height), slice(left, left + width)
    known[region] = label[region]
    shown, truth, size = cut(crop_around(image, known, box, patch), patch, u, flip)
    assert shown.shape == (patch, patch, 1)
    assert truth.shape == (patch, patch)
    assert truth.dtype == np.int32
    np.testing.assert_array_equal(size, np.minimum(shape, patch))
    labelled = truth != IGNORE
    np.testing.assert_array_equal(shown[labelled][:, 0] + 1000, truth[labelled])
    assert labelled.sum() == min(height, patch) * min(width, patch)
    assert not labelled[size[0] :].any()
    assert not labelled[:, size[1] :].any()
    if height <= patch and width <= patch:
        assert set(truth[labelled].tolist()) == set(label[region].ravel().tolist())


@given(cases())
@settings(max_examples=200)
def test_mirroring_keeps_image_and_label_together(case):
    shape, box, patch, u = case
    image, label = picture(*shape)
    crop = crop_around(image, label, box, patch)
    plain, mirrored = cut(crop, patch, u, flip=False), cut(crop, patch, u, flip=True)
    h, w = plain[2]
    turned = np.s_[:: -1 if u[2] < 0.5 else 1, :: -1 if u[3] < 0.5 else 1]
    np.testing.assert_array_equal(mirrored[0][:h, :w], plain[0][:h, :w][turned])
    np.testing.assert_array_equal(mirrored[1][:h, :w], plain[1][:h, :w][turned])


def test_patches_go_everywhere_they_may():
    """Every position of a region within the patch, and no patch beyond the image."""
    image, label = picture(40, 40)
    crop = crop_around(image, label, (10, 12, 4, 4), 16)
    rng = np.random.default_rng(0)
    corners = {int(cut(crop, 16, rng.random(4), False)[0][0, 0, 0]) for _ in range(4000)}
    assert corners == {40 * top + left for top in range(11) for left in range(13)}
    large = crop_around(image, label, (0, 0, 20, 18), 16)
    corners = {int(cut(large, 16, rng.random(4), False)[0][0, 0, 0]) for _ in range(1000)}
    assert corners == {40 * top + left for top in range(5) for left in range(3)}


def test_crops_do_not_hold_on_to_their_image():
    image, label = picture(40, 40)
    crop = crop_around(image, label, (10, 12, 4, 4), 16)
    assert crop.image.base is None
    assert crop.label.base is None


@given(st.integers(1, 9), st.integers(1, 5), st.integers(1, 3), st.integers(0, 2**31))
@settings(max_examples=50)
def test_a_stream_is_balanced_and_follows_from_its_key(crops, batch, members, seed):
    images = [np.full((16, 16, 1), n, np.float32) for n in range(crops)]
    crops = [Crop(image, np.zeros((16, 16), np.int32), (0, 0, 4, 4)) for image in images]
    settings = dataclasses.replace(TRAIN, batch=batch)
    key = jax.random.key(seed)
    one, same = (batches(crops, settings, settings.batch, members, key) for _ in range(2))
    drawn = [next(one) for _ in range(6)]
    for b in drawn:
        assert b.image.shape == (batch * members, 16, 16, 1)
        assert b.label.shape == (batch * members, 16, 16)
        assert b.size is None
        jax.tree.map(np.testing.assert_array_equal, b, next(same))
    for e in range(members):
        order = np.concatenate([b.image[e::members, 0, 0, 0] for b in drawn]).astype(int)
        seen = np.bincount(order, minlength=len(crops))
        assert seen.max() - seen.min() <= 1, "one epoch after the other"


def test_streams_differ_between_keys_and_members():
    crops = toy(20)
    first = next(batches(crops, TRAIN, TRAIN.batch, 2, KEY))
    assert (first.image != next(batches(crops, TRAIN, TRAIN.batch, 2, jax.random.key(1))).image).any()
    assert (first.image[::2] != first.image[1::2]).any()


def test_small_images_come_with_their_size():
    image, label = picture(9, 30)
    crop = crop_around(image, label, (0, 0, 4, 4), 16)
    batch = next(batches([crop, *toy(1)], TRAIN, TRAIN.batch, 1, KEY))
    assert {tuple(s) for s in batch.size} == {(9, 16), (16, 16)}
    assert (batch.label[batch.size[:, 0] == 9, 9:] == IGNORE).all()


def test_one_step_is_compiled_whatever_the_number_of_crops():
    told: list[Progress] = []
    steps: list[int] = []
    begun = partial(steps.append, 1)
    one = fit(HEAD, TINY, LOSS, TRAIN, toy(5), KEY, lambda p: (told.append(p), steps.append(p.step)), compiled=begun)
    assert steps == [1, *(p.step for p in told)], "once, and before the loss is looked at"
    compiled = step._cache_size()
    other = fit(HEAD, TINY, LOSS, TRAIN, toy(8), KEY)
    same = fit(HEAD, TINY, LOSS, TRAIN, toy(5), KEY)
    another = fit(HEAD, TINY, LOSS, TRAIN, toy(5), jax.random.key(1))
    assert step._cache_size() == compiled
    jax.tree.map(np.testing.assert_array_equal, one, same)
    for different in (other, another):
        pairs = zip(jax.tree.leaves(one), jax.tree.leaves(different), strict=True)
        assert any((np.asarray(a) != b).any() for a, b in pairs)
    assert told[-1].step == told[-1].steps == TRAIN.steps
    assert np.isfinite(told[-1].loss)
    like = abstract(HEAD, TINY, TRAIN)
    assert jax.tree.map(lambda p: (p.shape, p.dtype), like) == jax.tree.map(lambda p: (p.shape, p.dtype), one)


def test_a_loss_that_is_not_finite_stops_the_fit():
    crops = toy(5)
    crops[0].image[0, 0, 0] = np.nan
    with pytest.raises(FloatingPointError, match=r"nan by step 30 of 30; try a lower train\.rate"):
        fit(HEAD, TINY, LOSS, TRAIN, crops, KEY)


def test_members_trained_together_are_members_trained_alone():
    told: list[Progress] = []
    head, crops = DeepEnsemble(2), toy(6)
    together = fit(head, TINY, LOSS, TRAIN, crops, KEY, told.append)
    keys = jax.random.split(jax.random.split(KEY)[0], 2)
    alone = []
    for key, place in zip(keys, devices.places(2, 1), strict=True):
        descent = Descent(
            DeepEnsemble(1), TINY, LOSS, TRAIN, partial(batches, crops, TRAIN), key, place, lambda fresh: fresh
        )
        for i in range(TRAIN.steps):
            descent.advance(i)
        alone.append(descent.result)
    for e in range(2):
        jax.tree.map(lambda t, a, e=e: np.testing.assert_array_equal(t[e], a[0]), together, alone[e])
    first, second = together["readout"]["conv"]["kernel"]
    assert np.abs(first - second).max() > 0
    assert [(p.step, p.steps) for p in told] == [(30, 30)]
    like = abstract(head, TINY, TRAIN)
    assert jax.tree.map(jnp.shape, together) == jax.tree.map(lambda p: p.shape, like)


@dataclasses.dataclass(frozen=True)
class Finished(MCDropout):
    """Dropout that counts what it is given after training."""

    rate: float = 0.1

    def finalize(self, net, params, labelled: Batch, key):
        assert labelled.image.shape[1:] == (16, 16, 1)
        return {"net": params, "labelled": (labelled.label != IGNORE).sum((1, 2)), "sizes": labelled.size}


def test_finalize_is_given_every_crop_once():
    image, label = picture(9, 30)
    crops = [*toy(3), crop_around(image, label, (0, 0, 4, 4), 16)]
    params = fit(Finished(), TINY, LOSS, dataclasses.replace(TRAIN, steps=1), crops, KEY)
    np.testing.assert_array_equal(params["labelled"], [256, 256, 256, 9 * 16])
    np.testing.assert_array_equal(params["sizes"], [(16, 16)] * 3 + [(9, 16)])
    like = abstract(Finished(), TINY, TRAIN)
    assert jax.tree.structure(like) == jax.tree.structure(params)
    assert like["labelled"].dtype == params["labelled"].dtype


def test_middles_show_the_region_in_the_middle():
    image, label = picture(64, 64)
    shown = middles([crop_around(image, label, (30, 30, 4, 4), 16)], 16)
    assert abs(int(np.argwhere(shown.image[0, ..., 0] == 64 * 32 + 32)[0][0]) - 8) <= 1
    assert shown.size.tolist() == [[16, 16]]


@pytest.mark.parametrize(
    ("field", "values"),
    {
        "steps": [0, -1],
        "batch": [0],
        "patch": [4],
        "rate": [0.0, math.nan, math.inf],
        "decay": [-1.0, math.nan, math.inf],
        "end": [-0.1, 1.1, math.nan],
        "start": ["lukewarm"],
        "later_steps": [0],
        "later_rate": [0.0, math.nan, math.inf],
        "keep": [-0.1, 2.0, math.nan],
        "perturb": [1.1, math.nan],
        "foreground": [-0.1, 1.1, math.nan],
        "average": ["mean"],
        "averaged": [0.0, math.nan],
        "contrast": [-0.1, math.inf],
        "brightness": [math.nan],
        "noise": [math.inf],
        "blur": [2.0],
    }.items(),
)
def test_impossible_training_is_refused_by_name(field, values):
    for value in values:
        with pytest.raises(BadInput, match=rf"^train.{field} is .*; expected "):
            Train(**{field: value})


def test_a_fit_without_a_label_is_refused():
    with pytest.raises(ValueError, match="no labelled region"):
        fit(HEAD, TINY, LOSS, TRAIN, [], KEY)


def leaves(tree) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree)]


@pytest.mark.parametrize("how", ["warm", "shrink"])
@pytest.mark.parametrize("name", HEADS_SMALL)
def test_every_head_goes_on_from_what_it_was(name, how):
    """One step of hardly any length from the old weights leaves them, or what shrink and perturb makes of them."""
    head = HEADS_SMALL[name]
    train = dataclasses.replace(TRAIN, steps=1, start=how, later_steps=1, later_rate=1e-12, keep=0.5, perturb=0.25)
    old = fit(head, TINY, LOSS, dataclasses.replace(train, start="cold"), toy(6), KEY)
    kept = [leaf.copy() for leaf in leaves(old)]
    new = fit(head, TINY, LOSS, train, toy(6), jax.random.key(1), begun=old)
    for before, now in zip(kept, leaves(old), strict=True):
        np.testing.assert_array_equal(before, now, err_msg="what training goes on from is not given away")
    begun, found = (training.unfinish(head, TINY, params) for params in (old, new))
    if how == "warm" and not isinstance(head, Finalizes):
        for a, b in zip(leaves(begun), leaves(found), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-8)
    if how == "shrink" and not isinstance(head, Finalizes):
        rest = [b - 0.5 * a for a, b in zip(leaves(begun), leaves(found), strict=True)]
        assert any(np.abs(r).max() > 0.01 for r in rest), "random weights were added"
        largest = max(np.abs(r).max() for r in rest)
        assert largest < 0.25 * max(np.abs(a).max() for a in leaves(head.init(TINY, KEY))) * 3
    assert jax.tree.structure(new) == jax.tree.structure(old)


def test_members_of_an_ensemble_go_on_each_from_its_own():
    head = DeepEnsemble(2)
    parts = head.split(head.init(TINY, KEY))
    jax.tree.map(np.testing.assert_array_equal, head.join(parts), head.init(TINY, KEY))


def test_finished_parameters_without_the_trained_ones_are_refused():
    params = fit(Finished(), TINY, LOSS, dataclasses.replace(TRAIN, steps=1), toy(3), KEY)
    with pytest.raises(BadInput, match=r"Finished\.finalize leaves no parameters .* give --train\.start cold"):
        training.unfinish(Finished(), TINY, params)


@pytest.mark.parametrize("average", ["ema", "swa"])
def test_an_average_is_that_of_the_weights_on_the_way(average):
    train = dataclasses.replace(TRAIN, steps=12, average=average, averaged=0.5)
    place = devices.places(1, 1)[0]
    descent = Descent(HEAD, TINY, LOSS, train, partial(batches, toy(6), train), KEY, place, lambda fresh: fresh)
    seen = []
    for i in range(train.steps):
        descent.advance(i)
        seen.append(np.float64(descent.now.params["readout"]["conv"]["kernel"]))
    if average == "swa":
        expected = np.mean(seen[-6:], axis=0)
    else:
        expected = seen[0]
        for i, value in enumerate(seen[1:], 1):
            expected = expected + max(1 / 6, 1 / (i + 1)) * (value - expected)
    np.testing.assert_allclose(descent.result["readout"]["conv"]["kernel"], expected, rtol=1e-4, atol=1e-6)


def test_rates_are_warmed_up_and_end_where_they_should():
    rates = Train(steps=200, rate=1e-2, end=0.25).rates()
    assert rates.dtype == np.float32
    assert rates[0] == 0
    assert rates.max() == pytest.approx(1e-2)
    assert int(rates.argmax()) == 10
    assert rates[-1] == pytest.approx(2.5e-3, rel=0.01)
    later = Train(start="warm", later_steps=7, later_rate=1e-3).of(later=True)
    assert (len(later.rates()), later.rate) == (7, 1e-3)
    assert Train(start="warm").of(later=False) == Train(start="cold").of(later=True) == Train(start="cold")
    shrunk = Train(steps=100, rate=2e-3).of(later=True)
    assert (shrunk.start, shrunk.steps, shrunk.rate) == ("shrink", 34, 4e-3), "a third of the steps at twice the rate"


@dataclasses.dataclass(frozen=True)
class Untraceable(MCDropout):
    def finalize(self, net, params, labelled: Batch, key):
        return {**params, "scale": float(np.asarray(labelled.image).std())}


def test_heads_that_can_be_fitted_only_once_are_refused_at_the_door():
    shrink = dataclasses.replace(TRAIN, start="shrink")
    with pytest.raises(BadInput, match=r"Finished.finalize leaves no parameters .* give --train.start cold"):
        training.check(Finished(), TINY, shrink)
    with pytest.raises(BadInput, match=r"cannot trace Untraceable.finalize, use jax.numpy there: "):
        training.check(Untraceable(), TINY, TRAIN)
    training.check(Finished(), TINY, TRAIN)
    for head in HEADS_SMALL.values():
        training.check(head, TINY, shrink)
