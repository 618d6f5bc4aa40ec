"""What every head promises: above all, that the s-th sample is the same function wherever it is asked."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import (
    CLASSES,
    HEADS_SMALL,
    LOSS,
    TINY,
    TRAIN,
    ask,
    bucketed,
    check_protocol,
    check_settings,
    forward,
    sample,
    slow_where,
)

from bal.posterior.descent import begin, fresh, step
from bal.posterior.heads import HEADS, BatchEnsemble, DeepEnsemble, LastLayerLaplace, LastLayerSVI, MCDropout
from bal.posterior.heads.base import Head
from bal.posterior.heads.function import FunctionHead
from bal.posterior.heads.mc_dropout import Masks
from bal.system import devices
from bal.types import IGNORE, Batch

everyone = pytest.mark.parametrize("head", HEADS_SMALL.values(), ids=HEADS_SMALL)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def toy(rows: int) -> Batch:
    """Is a square of four pixels bright? A quarter of the labels are missing."""
    image = noise(rows, 8, 8, 1).repeat(2, 1).repeat(2, 2)
    label = (image[..., 0] > 0).astype(np.int32)
    label[:, :8, :8] = IGNORE
    return Batch(image, label)


@pytest.mark.parametrize("name", HEADS)
def test_settings(name):
    check_settings(HEADS[name])
    check_protocol(HEADS[name], Head)


@pytest.mark.parametrize(
    "make",
    [
        lambda: MCDropout(rate=1.0),
        lambda: MCDropout(samples=0),
        lambda: DeepEnsemble(members=0),
        lambda: BatchEnsemble(spread=-1.0),
        lambda: LastLayerSVI(steps=0),
        lambda: LastLayerLaplace(lowest=2.0, highest=1.0),
    ],
)
def test_impossible_heads_are_refused(make):
    with pytest.raises(ValueError, match="needs"):
        make()


@pytest.mark.parametrize("name", slow_where(lambda name: "-" in name, HEADS_SMALL))
def test_a_sample_is_the_same_function_everywhere(name, net):
    head = HEADS_SMALL[name]
    params = ask(head, net).params
    images = [noise(16, 16, 1, seed=n) for n in range(5)]
    together = np.asarray(sample(head, net, params, np.stack(images), None, jnp.int32(1)))
    alone = jax.jit(lambda p, x: head.logits(net, p, head.prepare(net, p, x, None), 1))(params, images[3][None])
    np.testing.assert_allclose(alone[0], together[3], atol=1e-5)
    x, size = bucketed([images[3], noise(24, 20, 1), images[0], noise(24, 24, 1)], (24, 24), fill=10.0)
    padded = sample(head, net, params, x, size, jnp.int32(1))
    np.testing.assert_allclose(padded[0, :16, :16], together[3], atol=1e-5)
    np.testing.assert_allclose(padded[2, :16, :16], together[0], atol=1e-5)
    assert devices.mesh().size == 2
    shared = sample(head, net, devices.replicate(params), *devices.spread((x, size)), jnp.int32(1))
    assert len(shared.sharding.device_set) == 2
    np.testing.assert_allclose(shared, padded, atol=1e-5)


@everyone
def test_samples_differ_from_each_other(head, net):
    params, x = ask(head, net).params, noise(5, 16, 16, 1)
    samples = [np.asarray(sample(head, net, params, x, None, jnp.int32(s))) for s in range(head.samples)]
    assert all(s.shape == (5, 16, 16, CLASSES) for s in samples)
    for s in range(1, head.samples):
        assert np.abs(samples[s] - samples[0]).max() > 1e-3


@everyone
def test_what_does_not_depend_on_the_sample_is_prepared(head, net):
    """Convolutions per sample: none, the decoder's, or all of them, the skips' share of the decoder apart."""
    params, x = ask(head, net).params, noise(1, 16, 16, 1)
    cache = jax.eval_shape(lambda p: head.prepare(net, p, x, None), params)
    jaxpr = jax.make_jaxpr(lambda p, c: head.logits(net, p, c, 1))(params, cache)
    encoder, skips, decoder = 4, 1, 2
    all_of_them = encoder + skips + decoder
    expected = {
        HEADS_SMALL["mc_dropout"]: decoder,
        HEADS_SMALL["mc_dropout-features"]: 0,
        HEADS_SMALL["mc_dropout-all"]: all_of_them,
        HEADS_SMALL["deep_ensemble"]: all_of_them,
        HEADS_SMALL["deep_ensemble-encoder"]: skips + decoder,
        HEADS_SMALL["batch_ensemble"]: all_of_them,
        HEADS_SMALL["last_layer_svi"]: 0,
        HEADS_SMALL["last_layer_laplace"]: 0,
    }
    found = str(jaxpr).count("conv_general_dilated[")
    assert found == expected[head] if head in expected else found <= all_of_them


@pytest.mark.parametrize("name", [*HEADS, "deep_ensemble-encoder"])
def test_the_loss_of_a_toy_problem_decreases(name):
    head = HEADS_SMALL[name]
    now = begin(fresh(head, TINY, jax.random.key(0)), TRAIN.decay, average=False)
    batch = toy(4 * head.members)
    losses = []
    for i in range(TRAIN.steps):
        now = step(head, TINY, LOSS, TRAIN.decay, now, batch, jax.random.key(1), i, TRAIN.rates()[i], 1.0)
        losses.append(float(now.loss))
    assert np.isfinite(losses).all()
    losses = np.diff(losses, prepend=0.0)  # a step adds its own
    assert np.mean(losses[-3:]) < 0.75 * losses[0]


def test_dropout_of_nothing_gives_equal_samples(net):
    head = MCDropout(samples=3, rate=0.0, where="all")
    params, x = ask(head, net).params, noise(2, 16, 16, 1)
    first = sample(head, net, params, x, None, jnp.int32(0))
    np.testing.assert_array_equal(first, sample(head, net, params, x, None, jnp.int32(2)))


def test_dropout_masks_keep_the_mean_and_follow_the_seed():
    head = MCDropout(rate=0.25)
    x = jnp.ones((1, 1, 1, 4096))
    dropped = Masks(head, jax.random.key(0), 1)("features", x)
    assert set(np.unique(dropped)) == {0.0, np.float32(1 / 0.75)}
    assert abs(float(dropped.mean()) - 1) < 0.05
    assert (dropped != Masks(head, jax.random.key(1), 1)("features", x)).any()
    assert (dropped != Masks(head, jax.random.key(0), 1)("bottleneck", x)).any(), "each site has a mask of its own"


@pytest.mark.parametrize(
    ("where", "sites"),
    [("features", {"features"}), ("decoder", {"bottleneck", "decoder_1", "features"}), ("all", None)],
)
def test_dropout_sites(where, sites):
    head, x = MCDropout(rate=0.5, where=where), jnp.ones((1, 1, 1, 64))
    names = ("encoder_0", "encoder_1", "bottleneck", "decoder_1", "features")
    drop = Masks(head, jax.random.key(0), 1)
    assert {s for s in names if (drop(s, x) != x).any()} == (sites or set(names))


def test_training_draws_a_mask_for_every_example():
    dropped = Masks(MCDropout(rate=0.5), jax.random.key(0), 3)("features", jnp.ones((3, 2, 2, 64)))
    assert (dropped[:, 0, 0] == dropped[:, 1, 1]).all(), "whole channels"
    assert (dropped[0] != dropped[1]).any()


def test_members_do_not_see_each_other():
    head = DeepEnsemble(2)
    params, batch = ask(head, TINY).params, toy(8)
    grad = jax.jit(jax.grad(lambda p, b: head.loss(TINY, p, b, jax.random.key(0), LOSS)))
    changed = jax.tree.map(lambda p: p.at[1].multiply(1.5), params)
    image, label = batch.image.copy(), batch.label.copy()
    image[1::2], label[1::2] = noise(4, 16, 16, 1, seed=9), 0
    before, after = grad(params, batch), grad(changed, Batch(image, label))
    for a, b in zip(jax.tree.leaves(before), jax.tree.leaves(after), strict=True):
        np.testing.assert_allclose(a[0], b[0], rtol=1e-5, atol=1e-7)
        assert np.abs(a[1] - b[1]).max() > 0


def test_joining_is_the_inverse_of_taking_apart(net):
    head = DeepEnsemble(3)
    assert head.solo == DeepEnsemble(1)
    assert head.solo.solo is None
    assert DeepEnsemble(3, share="encoder").solo is None
    params = ask(head, net).params
    apart = [jax.tree.map(lambda p, e=e: p[e : e + 1], params) for e in range(3)]
    jax.tree.map(np.testing.assert_array_equal, head.join(apart), params)


def test_a_shared_encoder_is_one_encoder(net):
    params = ask(DeepEnsemble(3, share="encoder"), net).params
    alone = jax.eval_shape(net.init, jax.random.key(0))
    for part in ("encoder", "decoder", "readout"):
        rows = () if part == "encoder" else (3,)
        shapes = jax.tree.map(lambda a, rows=rows: (*rows, *a.shape), alone[part])
        assert jax.tree.map(jnp.shape, params[part]) == shapes


def test_members_start_from_different_weights(net):
    kernel = ask(DeepEnsemble(3), net).params["readout"]["conv"]["kernel"]
    assert np.abs(kernel[0] - kernel[1]).max() > 0


def test_members_of_a_batch_ensemble_differ_by_rank_one(net):
    head = BatchEnsemble(3, spread=0.3)
    params, x = ask(head, net).params, noise(2, 16, 16, 1)
    factors = params["factors"]

    def kernel(shared, own):
        if shared.ndim == 1:
            return shared + own[1]
        into, out = own[1, : shared.shape[-2]], own[1, shared.shape[-2] :]
        return jnp.einsum("...fg,f,g->...fg", shared, into, out)

    member = {part: jax.tree.map(kernel, params[part], factors[part]) for part in factors}
    own = sample(head, net, params, x, None, jnp.int32(1))
    np.testing.assert_allclose(own, forward(net, member, x), rtol=1e-4, atol=1e-5)
    assert set(factors) == {"encoder", "decoder", "readout"}
    alike = ask(BatchEnsemble(2, spread=0.0), net).params
    first, second = (sample(BatchEnsemble(2), net, alike, x, None, jnp.int32(s)) for s in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_users_own_function_is_a_head(net):
    check_protocol(FunctionHead, Head)
    head = FunctionHead(lambda params, x, s: x * params["slope"][s], samples=2)
    assert hash(head) == hash(head)
    assert head.members == 1
    params, x = {"slope": jnp.array([1.0, -2.0])}, noise(2, 4, 4, 1)
    np.testing.assert_allclose(sample(head, None, params, x, None, jnp.int32(1)), -2 * x)
    batch = Batch(jnp.concatenate([x, -x], -1), np.zeros((2, 4, 4), np.int32))
    assert np.isfinite(head.loss(None, params, batch, jax.random.key(0), LOSS))
    with pytest.raises(ValueError, match="pass the ones you trained"):
        head.init(net, jax.random.key(0))
