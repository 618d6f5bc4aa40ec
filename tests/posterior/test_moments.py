"""Folding samples one by one gives what the formula over all of them gives, in memory that does not grow."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, ask, bucketed, slow_where, softmax
from hypothesis import given, settings
from stacks import SHAPE, aims, ask_posterior, folded, pick, stacks

from bal.posterior.calibrators import Identity, Temperature
from bal.posterior.calibrators.temperature import TemperatureState
from bal.posterior.heads import DeepEnsemble, MCDropout
from bal.posterior.model import Model
from bal.posterior.moments import OPTIONAL, Moments, in_blocks, predict_moments
from bal.system.devices import Execution
from bal.types import BadInput

WARM = TemperatureState(jnp.float32(2.5))


@given(stacks())
@settings(max_examples=150)
def test_folding_equals_the_formula(logits):
    p = softmax(logits)
    plogp = np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0)
    moments = folded(logits)
    np.testing.assert_allclose(moments.mean_p, p.mean(0), atol=1e-5)
    np.testing.assert_allclose(moments.predictive, p.mean(0), atol=1e-5)
    np.testing.assert_allclose(moments.mean_plogp, plogp.mean(0), atol=1e-5)
    np.testing.assert_allclose(moments.var_p, p.var(0), atol=1e-6)
    q = 1 - p
    qlogq = np.where(q > 0, q * np.log(np.where(q > 0, q, 1.0)), 0.0)
    np.testing.assert_allclose(moments.mean_qlogq, qlogq.mean(0), atol=1e-5)
    joint = np.einsum("sbhwy,stz->bhwytz", p, aims(len(p), p.shape[-1])) / len(p)
    np.testing.assert_allclose(moments.joint, joint.reshape(*SHAPE, -1), atol=1e-6)
    np.testing.assert_allclose(np.asarray(moments.predictive).sum(-1), 1.0, atol=1e-5)
    votes = np.eye(logits.shape[-1])[logits.argmax(-1)].mean(0)
    clear = (np.sort(logits)[..., -1] - np.sort(logits)[..., -2] > 1e-3).all(0)  # rounding may break a near tie
    np.testing.assert_allclose(np.asarray(moments.votes)[clear], votes[clear], atol=1e-6)
    np.testing.assert_allclose(np.asarray(moments.votes).sum(-1), 1.0, atol=1e-6)


@given(stacks())
@settings(max_examples=40)
def test_pool_then_calibrate_and_calibrate_then_pool(logits):
    pooled = folded(logits, Temperature(on="pooled"), WARM, needs=())
    members = folded(logits, Temperature(on="members"), WARM, needs=("joint",))
    q = aims(len(logits), logits.shape[-1])
    joint = np.einsum("sbhwy,stz->bhwytz", softmax(logits / 2.5), q) / len(q)
    np.testing.assert_allclose(members.joint, joint.reshape(*SHAPE, -1), atol=1e-6)
    mean = np.maximum(softmax(logits).mean(0), np.finfo(np.float32).tiny)
    np.testing.assert_allclose(pooled.mean_p, softmax(logits).mean(0), atol=1e-5)
    np.testing.assert_allclose(pooled.predictive, softmax(np.log(mean) / 2.5), atol=1e-5)
    np.testing.assert_allclose(members.mean_p, softmax(logits / 2.5).mean(0), atol=1e-5)
    np.testing.assert_array_equal(members.predictive, members.mean_p)


def test_the_mean_is_of_probabilities_not_of_logits():
    logits = np.zeros((2, *SHAPE, 2), np.float32)
    logits[0, ..., 0], logits[1, ..., 1] = 1.0, 9.0
    np.testing.assert_allclose(folded(logits[:1].repeat(3, 0)).predictive[..., 0], 0.731, atol=1e-3)
    np.testing.assert_allclose(folded(np.concatenate([logits, logits[:1]])).predictive[..., 0], 0.487, atol=1e-3)


def test_nothing_is_folded_that_nobody_needs():
    logits = np.zeros((3, *SHAPE, 2), np.float32)
    for needs in ((), ("predictive",), ("mean_p", "mean_plogp"), ("votes",), ("mean_qlogq", "joint")):
        moments = folded(logits, needs=needs)
        for name in OPTIONAL:
            assert (getattr(moments, name) is not None) == (name in needs)
    assert set(OPTIONAL) | {"predictive", "mean_p"} == set(Moments._fields)


@pytest.mark.parametrize("targets", [None, np.ones((2, 5, 2)), np.ones((3, 2))], ids=["none", "samples", "axes"])
def test_a_joint_moment_needs_targets_of_every_sample(targets):
    model = Model(pick(3), None, jnp.zeros((3, *SHAPE, 2)), Identity(), Identity().init(2))
    with pytest.raises(BadInput, match=r"needs targets \[3, T, C\]"):
        predict_moments(model, jnp.zeros((*SHAPE, 1)), needs=("joint",), targets=targets)


def test_half_precision_logits_are_folded_in_single_precision():
    logits = np.random.default_rng(0).standard_normal((3, *SHAPE, 4)).astype(np.float16)
    moments = folded(logits)
    assert moments.mean_p.dtype == np.float32
    np.testing.assert_allclose(moments.mean_p, softmax(logits).mean(0), atol=1e-6)


def test_samples_of_a_network_are_folded(net):
    model = ask(MCDropout(samples=4, rate=0.3), net)
    x = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    cache = model.head.prepare(net, model.params, x, None)
    stacked = np.stack([model.head.logits(net, model.params, cache, s) for s in range(4)])
    np.testing.assert_allclose(ask_posterior(model, x, needs=()).mean_p, softmax(stacked).mean(0), atol=1e-5)


@pytest.mark.parametrize("few", [MCDropout(samples=4), DeepEnsemble(4)], ids=["mc_dropout", "deep_ensemble"])
def test_memory_does_not_grow_with_samples(few, net):
    x = jax.ShapeDtypeStruct((2, 32, 32, 1), jnp.float32)

    def temporary(head) -> int:
        params = jax.eval_shape(lambda key: head.init(net, key), jax.random.key(0))
        model = Model(head, net, params, Identity(), Identity().init(3))
        lowered = ask_posterior.lower(model, x, needs=OPTIONAL, targets=aims(head.samples, 3))
        return lowered.compile().memory_analysis().temp_size_in_bytes

    many = MCDropout(samples=32) if isinstance(few, MCDropout) else DeepEnsemble(32)
    one_map = 2 * 32 * 32 * 3 * 4
    assert temporary(many) <= temporary(few) + one_map


@pytest.mark.parametrize("samples", ["unroll", "vmap", "shard"])
@pytest.mark.parametrize("name", slow_where(lambda name: name not in ("mc_dropout", "deep_ensemble"), HEADS_SMALL))
def test_every_way_to_execute_samples_gives_the_same_moments(net, name, samples):
    asked = ask(HEADS_SMALL[name], net)
    x, size = bucketed([np.full((n, 15, 1), 0.3 * n, np.float32) for n in (9, 16)], (16, 16), fill=0.0)
    every = {"needs": OPTIONAL, "targets": aims(asked.head.samples, 3)}
    expected = ask_posterior(dataclasses.replace(asked, execution=Execution("map")), x, size, **every)
    found = ask_posterior(dataclasses.replace(asked, execution=Execution(samples)), x, size, **every)
    for name, moment in expected._asdict().items():
        np.testing.assert_allclose(getattr(found, name), moment, atol=1e-6, err_msg=name)
    assert np.ptp(expected.mean_p) > 0


def test_bfloat16_is_near_and_its_moments_are_float32(model):
    x = np.random.default_rng(0).random((2, 16, 16, 1), np.float32)
    needs = ("mean_plogp", "var_p")  # a vote may tip over
    exact = ask_posterior(model, x, needs=needs)
    found = ask_posterior(dataclasses.replace(model, execution=Execution(compute="bfloat16")), x, needs=needs)
    for name in ("mean_p", *needs):
        assert getattr(found, name).dtype == np.float32
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), atol=0.1, err_msg=name)
    assert np.abs(found.mean_p - exact.mean_p).max() > 0


@pytest.mark.parametrize("columns", [1, 7, 4096, 4097, 3 * 4096, 12288 + 96])
def test_working_in_blocks_changes_nothing(columns):
    x = np.random.default_rng(0).random((3, columns), np.float32)
    found = jax.jit(lambda x: in_blocks(lambda running, x: {"a": running["a"] + x * x}, {"a": 2.0 * x}, x))(x)
    np.testing.assert_allclose(found["a"], 2.0 * x + x * x, rtol=1e-6)
