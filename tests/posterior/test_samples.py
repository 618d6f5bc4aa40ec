"""A posterior sample, read one at a time, is the one that the moments fold."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import CLASSES, HEADS_SMALL, ask, bucketed, check_protocol, sample, slow_where, softmax

from bal.posterior.calibrators import Temperature
from bal.posterior.calibrators.temperature import TemperatureState
from bal.posterior.moments import predict_moments
from bal.posterior.nets.base import Net
from bal.posterior.samples import Trunk, features, prepare
from bal.types import BadInput

WARM = TemperatureState(jnp.float32(2.5))


@pytest.fixture(scope="module")
def images():
    """Two images in one padded shape, and their sizes."""
    rng = np.random.default_rng(0)
    return bucketed([rng.random((9, 15, 1)), rng.random((16, 12, 1))], (16, 16), fill=0.0)


@jax.jit
def read(model, x, size):
    """[S, B, H, W, C] log-probabilities of every sample, calibrated and not."""
    drawn = prepare(model, x, size)
    each = range(model.head.samples)
    return jnp.stack([drawn.log_probs(s) for s in each]), jnp.stack([drawn.raw_log_probs(s) for s in each])


@pytest.mark.parametrize("name", slow_where(lambda name: name != "mc_dropout", ("mc_dropout", "deep_ensemble")))
@pytest.mark.parametrize("on", ["members", "pooled"])
def test_samples_are_calibrated_where_the_calibrator_acts_on_members(name, on, net, images):
    model = dataclasses.replace(ask(HEADS_SMALL[name], net, Temperature(on)), state=WARM)
    logits = np.stack([sample(model.head, net, model.params, *images, s) for s in range(model.head.samples)])
    logp, raw = read(model, *images)
    np.testing.assert_allclose(np.exp(raw), softmax(logits), atol=1e-5)
    np.testing.assert_allclose(np.exp(logp), softmax(logits / (2.5 if on == "members" else 1.0)), atol=1e-5)
    np.testing.assert_allclose(np.exp(logp).mean(0), jax.jit(predict_moments)(model, *images).mean_p, atol=1e-5)


def test_uncalibrated_is_the_same_posterior(net, images):
    model = dataclasses.replace(ask(HEADS_SMALL["mc_dropout"], net, Temperature("members")), state=WARM)
    plain = model.uncalibrated()
    assert plain.state == Temperature().init(CLASSES)
    assert plain.params is model.params
    np.testing.assert_allclose(*read(plain, *images), atol=1e-5)


def test_a_trunk_is_a_network(net):
    check_protocol(Trunk, Net)
    trunk = Trunk(net)
    assert (trunk.channels, trunk.classes, trunk.stride) == (net.channels, net.classes, net.stride)
    like, expected = (jax.eval_shape(n.init, jax.random.key(0)) for n in (trunk, net))
    assert jax.tree.map(jnp.shape, like) == jax.tree.map(jnp.shape, expected)


def test_a_network_that_shows_no_features_is_refused(model, images):
    with pytest.raises(BadInput, match="NoneType has no `features`"):
        features(dataclasses.replace(model, net=None), *images)
