"""EPIG's targets: where they are drawn, what the samples say of them, and what the score makes of that."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import bucketed, softmax
from hypothesis import given, settings, strategies as st
from stacks import aims, folded
from test_acquisitions import epig

from bal.posterior.calibrators import Identity, Temperature
from bal.posterior.calibrators.temperature import TemperatureState
from bal.posterior.heads.function import FunctionHead
from bal.posterior.model import Model
from bal.posterior.moments import predict_moments
from bal.scoring.acquisitions import EPIG
from bal.scoring.acquisitions.epig import divergence
from bal.types import BadInput

SLOPES = np.array([6.0, 8.0, 10.0], np.float32)
KEY = jax.random.key(3)


@dataclass(frozen=True)
class Strides:
    """What is asked of a network whose head is a function."""

    stride: int = 8
    classes: int = 3
    channels: int = 1


def ramps(params, x, s):
    """Brighter than one half is class 1; sample s is as sure of it as its slope is steep. Padding would be class 2."""
    one = params[s] * (x - 0.5)
    return jnp.concatenate([0 * x, one, jnp.where(x == 0, 9.0, -9.0)], -1)


def said(x: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """[S, ..., C] what `ramps` says of values [...]."""
    one = SLOPES.reshape(-1, *[1] * x.ndim) * (x - 0.5)
    return softmax(np.stack([0 * one, one, 0 * one - 9.0], -1) / temperature)


def seer(calibrator=None, state=None) -> Model:
    calibrator = calibrator or Identity()
    return Model(FunctionHead(ramps, 3), Strides(), jnp.asarray(SLOPES), calibrator, state)


def values(q: np.ndarray) -> np.ndarray:
    """[T] the values that the first sample looked at."""
    return (np.log(q[0, :, 1]) - np.log(q[0, :, 0])) / SLOPES[0] + 0.5


@pytest.mark.parametrize(("foreground", "front"), [(0.5, 8), (0.0, 0), (1.0, 16), (0.1, 2)])
def test_targets_are_pixels_of_the_pool_in_the_shares_asked_for(foreground, front, pictures):
    ids = pictures.pool[1:]
    pictures.read.clear()
    q = np.asarray(EPIG(foreground=foreground, images=3).learn(KEY, seer(), pictures, ids, []))
    assert len(set(pictures.read)) == 3
    assert set(pictures.read) <= set(ids)
    x = values(q)
    near = abs(np.concatenate([pictures.images[id].ravel() for id in pictures.read])[:, None] - x)
    assert (near.min(0) < 1e-5).all(), "no padding, and no other image"
    assert len(set(x)) == 16
    assert (x > 0.5).sum() == front
    np.testing.assert_allclose(q, said(x), atol=1e-5)


def test_targets_follow_the_key_alone(pictures):
    draws = [EPIG().learn(jax.random.key(k), seer(), pictures, pictures.pool, []) for k in (0, 0, 1)]
    np.testing.assert_array_equal(draws[0], draws[1])
    assert not np.allclose(draws[0], draws[2])


def test_targets_are_calibrated_as_the_samples_are(pictures):
    state = TemperatureState(jnp.float32(2.5))
    pooled, members = (
        np.asarray(EPIG().learn(KEY, seer(Temperature(on), state), pictures, pictures.pool, []))
        for on in ("pooled", "members")
    )
    np.testing.assert_allclose(pooled, said(values(pooled)), atol=1e-5)
    np.testing.assert_allclose(members, said(values(pooled), 2.5), atol=1e-5)


def test_targets_are_what_is_scored(model, pictures):
    """Some pixel of the pool has each target's mean probability when whole images are scored."""
    q = np.asarray(EPIG(images=8).learn(KEY, model, pictures, pictures.pool, [])).mean(0)
    x, size = bucketed([pictures.images[id] for id in pictures.pool], (48, 48), fill=0.0)
    mean = np.asarray(jax.jit(predict_moments)(model, x, size).mean_p).reshape(-1, 3)
    assert (abs(mean[:, None] - q[None]).max(-1).min(0) < 1e-5).all()
    assert np.ptp(q) > 0


def test_an_empty_pool_is_refused(pictures):
    with pytest.raises(BadInput, match="pool is empty"):
        EPIG().learn(KEY, seer(), pictures, (), [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"targets": 0},
        {"images": 0},
        {"foreground": 1.5},
        {"foreground": -0.1},
        {"foreground": float("nan")},
        {"aim": "all"},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput, match="epig"):
        EPIG(**wrong)


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=60),
    st.integers(1, 20),
    st.none() | st.floats(0, 1),
    st.integers(0, 2**32 - 1),
)
def test_draws_keep_their_shares(predicted, count, share, seed):
    predicted = np.array(predicted)
    index = EPIG(count, share).draw(np.random.default_rng(seed), predicted)
    assert index.shape == (count,)
    assert ((index >= 0) & (index < len(predicted))).all()
    front = predicted > 0
    if share is None or front.all() or not front.any():
        assert len(set(index)) == min(count, len(predicted)) or len(predicted) < count
        return
    wanted = round(share * count)
    assert front[index].sum() == wanted
    for side, pixels in ((wanted, front), (count - wanted, ~front)):
        if side <= pixels.sum():
            assert len(set(index[pixels[index]])) == side


def test_without_a_share_pixels_are_drawn_uniformly():
    predicted = np.arange(100) < 5
    rng = np.random.default_rng(0)
    front = np.mean([predicted[EPIG(10, None).draw(rng, predicted.astype(int))].mean() for _ in range(400)])
    assert abs(front - 0.05) < 0.01


def test_aimed_at_pixels_draws_are_those_of_a_uniform_choice():
    predicted = np.arange(100) % 5 % 3
    one, other = np.random.default_rng(3), np.random.default_rng(3)
    expected = [other.choice(np.flatnonzero(side), 5, replace=False) for side in (predicted > 0, predicted == 0)]
    np.testing.assert_array_equal(EPIG(10).draw(one, predicted), np.concatenate(expected))


@pytest.mark.parametrize("foreground", [None, 0.5])
def test_aimed_at_errors_draws_follow_the_doubt(foreground):
    """How often each pixel is the only target of its side, against 1 − p(ŷ) over the sum of its side."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(3, 0.5), 12)
    p[:3] = np.eye(3)  # certain ones are never drawn
    predicted, doubt = p.argmax(-1), 1 - p.max(-1)
    sides = [np.ones(12, bool)] if foreground is None else [predicted > 0, predicted == 0]
    acquisition = EPIG(len(sides), foreground, aim="errors")
    count = np.zeros(12)
    for _ in range(4000):
        np.add.at(count, acquisition.draw(rng, predicted, doubt), 1)
    for side in sides:
        expected = 4000 * np.where(side, doubt, 0) / doubt[side].sum()
        assert (abs(count - expected)[side] <= 4 * np.sqrt(expected * (1 - expected / 4000))[side]).all()


def test_where_there_is_no_doubt_or_less_than_targets_they_are_drawn_all_the_same():
    rng, predicted = np.random.default_rng(0), np.zeros(20, int)
    assert len(set(EPIG(8, aim="errors").draw(rng, predicted, np.zeros(20)))) == 8
    some = np.where(np.arange(20) < 3, 0.5, 0.0)
    assert set(EPIG(8, aim="errors").draw(rng, predicted, some)) <= {0, 1, 2}


def test_targets_aimed_at_errors_are_where_the_calibrated_prediction_doubts(pictures):
    """The mean doubt of targets, against Σ d² / Σ d over all pixels of the pool, of d by the pooled temperature."""
    state = TemperatureState(jnp.float32(0.4))
    model, ids = seer(Temperature("pooled"), state), pictures.pool

    def doubt(x: np.ndarray) -> np.ndarray:
        tempered = said(x).mean(0) ** (1 / 0.4)
        return 1 - (tempered / tempered.sum(-1, keepdims=True)).max(-1)

    d = doubt(np.concatenate([pictures.images[id].ravel() for id in ids]))
    acquisition = EPIG(targets=8, foreground=None, images=len(ids), aim="errors")
    drawn = [acquisition.learn(jax.random.key(k), model, pictures, ids, []) for k in range(25)]
    found = doubt(values(np.concatenate([np.asarray(q) for q in drawn], 1)))
    expected = (d**2).sum() / d.sum()
    assert abs(found.mean() - expected) < 4 * found.std() / np.sqrt(found.size)
    assert expected - d.mean() > 8 * found.std() / np.sqrt(found.size), "which a uniform draw would not give"


def test_a_target_that_names_the_sample_makes_it_bald():
    logits = 3 * np.random.default_rng(0).standard_normal((3, 1, 2, 3, 3)).astype(np.float32)
    names = np.eye(3, dtype=np.float32)[:, None]  # [S, 1, C]
    p = softmax(logits)
    bald = (p * np.log(p)).sum(-1).mean(0) - (p.mean(0) * np.log(p.mean(0))).sum(-1)
    found = EPIG()(folded(logits, needs=("joint",), targets=names), jnp.asarray(names))
    np.testing.assert_allclose(found, bald, atol=1e-5)


def test_a_target_that_all_samples_agree_on_is_told_nothing_of():
    logits = 3 * np.random.default_rng(0).standard_normal((4, 1, 2, 3, 3)).astype(np.float32)
    same = jnp.asarray(aims(4, 3)[:1].repeat(4, 0))
    np.testing.assert_allclose(EPIG()(folded(logits, needs=("joint",), targets=same), same), 0.0, atol=1e-9)


def test_samples_that_nearly_agree_are_told_apart():
    """Scores near 1e-7 are right to a few per cent, where the sum of joint · log r is rounding error."""
    logits = (0.03 * np.random.default_rng(0).standard_normal((8, 1, 2, 3, 3))).astype(np.float32)
    q = aims(8, 3, scale=0.03)
    naive = epig(softmax(logits), q.astype(np.float64))
    assert naive.max() < 1e-6
    found = EPIG()(folded(logits, needs=("joint",), targets=q), jnp.asarray(q))
    np.testing.assert_allclose(found, naive, rtol=0.05)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 1.0]))
@settings(max_examples=50)
def test_the_terms_of_the_divergence_are_finite_and_sum_to_it(seed, zeros):
    rng = np.random.default_rng(seed)
    joint, apart = rng.dirichlet(np.ones(9), 2).astype(np.float32)
    joint[rng.random(9) < zeros] = 0.0
    joint = joint / max(joint.sum(), 1e-9)
    terms = np.asarray(divergence(joint, apart))
    assert (terms >= 0).all()
    naive = (joint * np.log(np.where(joint > 0, joint, 1.0) / np.where(joint > 0, apart, 1.0))).sum()
    np.testing.assert_allclose(terms.sum(), naive - joint.sum() + apart.sum(), atol=1e-5)


@functools.partial(jax.jit, static_argnames="acquisition")
def fused(model, acquisition, state, x, size):
    then = functools.partial(lambda state, moments: acquisition(moments, state), state)
    return predict_moments(model, x, size, acquisition.needs, then=then, targets=state)


def test_it_is_scored_inside_one_program_on_every_device(model):
    x, size = bucketed([np.full((n, 15, 1), 0.3 * n, np.float32) for n in (9, 16)], (16, 16), fill=0.0)
    q = jnp.asarray(aims(4, 3))
    moments = jax.jit(predict_moments, static_argnames="needs")(model, x, size, needs=("joint",), targets=q)
    whole = np.asarray(EPIG()(moments, q))
    np.testing.assert_allclose(fused(model, EPIG(), q, x, size), whole, atol=1e-6)
    assert whole.max() > 1e-3
