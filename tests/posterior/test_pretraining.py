"""Pre-training: patches are spoilt and mended, the right parts go on, and nothing else changes."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from helpers import HEADS_SMALL, TRAIN, slow_where

from bal.posterior.nets import UNet
from bal.posterior.pretraining import BLOCK, MASKED, Reconstruction, examples, pretrain, spoil
from bal.posterior.recipe import Train
from bal.posterior.training import transplant
from bal.types import BadInput

KEY = jax.random.key(3)
SMALL = UNet(width=8, depth=1)
IMAGES = [
    np.random.default_rng(n).standard_normal(shape).astype(np.float32)
    for n, shape in enumerate([(40, 48, 1), (24, 20, 1)])
]


def test_the_loss_is_of_the_pixels_that_there_are():
    rng = np.random.default_rng(0)
    clean, guess = rng.random((2, 8, 8, 3), np.float32), rng.random((2, 8, 8, 3), np.float32)
    clean[0, 5:] = np.nan
    real = np.isfinite(clean)
    wanted = ((guess - clean)[real].astype(np.float64) ** 2).mean()
    value, slope = jax.value_and_grad(Reconstruction())(guess, clean)
    assert value == pytest.approx(wanted, rel=1e-6)
    assert np.isfinite(slope).all()
    assert not slope[0, 5:].any()
    assert Reconstruction()(guess, np.full_like(clean, np.nan)) == 0


def test_noise_differs_from_patch_to_patch():
    clean = np.zeros((6, 32, 32, 1), np.float32)
    spread = spoil(clean, "denoise", np.random.default_rng(0)).std((1, 2, 3))
    assert len(set(spread.tolist())) == 6
    assert spread.max() < 0.6


def test_squares_are_blotted_out():
    clean = np.ones((50, 30, 30, 2), np.float32)
    found = spoil(clean, "mask", np.random.default_rng(0))
    assert set(np.unique(found)) == {0.0, 1.0}
    assert (found == 0).mean() == pytest.approx(MASKED, abs=0.05)
    squares = found[:, : 30 // BLOCK * BLOCK, : 30 // BLOCK * BLOCK, 0].reshape(
        50, 30 // BLOCK, BLOCK, 30 // BLOCK, BLOCK
    )
    assert (squares == squares[:, :, :1, :, :1]).all(), "whole squares"
    np.testing.assert_array_equal(found[..., 0], found[..., 1])


@pytest.mark.parametrize("how", ["denoise", "mask"])
def test_examples_are_patches_of_the_images_and_what_they_were(how):
    train = Train(pretrain=how, patch=32, flip=False)
    batch = next(examples(IMAGES, how, train, 4, 3, KEY))
    again = next(examples(IMAGES, how, train, 4, 3, KEY))
    assert batch.image.shape == batch.label.shape == (12, 32, 32, 1)
    np.testing.assert_array_equal(batch.image, again.image)
    assert np.isfinite(batch.image).all()
    for clean, (height, width) in zip(batch.label, batch.size, strict=True):
        assert (height, width) in {(32, 32), (24, 20)}
        assert np.isfinite(clean[:height, :width]).all()
        assert np.isnan(clean).sum() == 32 * 32 - height * width
        if (height, width) == (24, 20):
            np.testing.assert_array_equal(clean[:24, :20], IMAGES[1])


@pytest.mark.parametrize(
    "name", slow_where(lambda name: name not in ("deep_ensemble", "last_layer_laplace"), HEADS_SMALL)
)
def test_every_head_can_be_pretrained_and_begins_with_what_it_learned(name):
    head, net, repairs = HEADS_SMALL[name], SMALL.bind(1, 3), SMALL.bind(1, 1)
    train = dataclasses.replace(TRAIN, pretrain="denoise", pretrain_steps=3)
    told = []
    found = pretrain(head, repairs, train, IMAGES, KEY, told.append)
    assert told[-1].step == 3
    fresh = head.init(net, KEY)
    begun = transplant(fresh, found)
    assert jax.tree.structure(begun) == jax.tree.structure(fresh)
    taken = {}
    for (path, new), old in zip(jax.tree_util.tree_flatten_with_path(begun)[0], jax.tree.leaves(fresh), strict=True):
        assert new.shape == old.shape
        part = next((p for p in ("encoder", "decoder", "readout") if p in jax.tree_util.keystr(path)), "else")
        taken.setdefault(part, []).append(not np.array_equal(new, old))
    assert any(taken["encoder"])
    assert any(taken["decoder"])
    assert not any(taken.get("readout", []) + taken.get("else", []))


def test_it_learns_to_mend():
    """From what a blank would give, since images are standardised."""
    train = dataclasses.replace(TRAIN, steps=1, pretrain="denoise", pretrain_steps=150, rate=1e-2, batch=4)
    smooth = [
        np.add.outer(np.sin(np.arange(64) / 7 + n), np.cos(np.arange(64) / 9)).astype(np.float32)[..., None]
        for n in range(4)
    ]
    told = []
    pretrain(HEADS_SMALL["mc_dropout"], SMALL.bind(1, 1), train, smooth, KEY, told.append)
    assert told[-1].loss < 0.75 * told[0].loss


@pytest.mark.parametrize("field", [{"pretrain": "paint"}, {"pretrain_steps": 0}])
def test_what_cannot_be_is_refused(field):
    with pytest.raises(BadInput, match=f"train.{next(iter(field))} is"):
        Train(**field)


def test_what_does_not_matter_to_it_does_not_change_it():
    one = Train(pretrain="mask", steps=7, start="warm", foreground=0.3, contrast=0.2, average="ema").pretraining()
    assert one == Train(pretrain="mask").pretraining()
    assert one != Train(pretrain="denoise").pretraining()
    assert list(itertools.islice(one.rates(), 3)) == list(itertools.islice(Train(steps=2000).rates(), 3))
