"""Whoever reads a posterior sample reads the one that is scored, in the precision of the run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, Pictures, ask, slow_where

from bal.pool.regions import lay_out
from bal.pool.units.pixel import Pixel
from bal.posterior.calibrators import Identity, Temperature
from bal.posterior.calibrators.temperature import TemperatureState
from bal.posterior.moments import predict_moments
from bal.scoring import descriptors, held_out
from bal.scoring.acquisitions import EPIG, Random
from bal.scoring.score import survey
from bal.system.devices import Execution

SHAPE = (16, 16)
HALF = Execution(compute="bfloat16")
HEADS = ("mc_dropout", "deep_ensemble", "last_layer_laplace")


@dataclass(frozen=True)
class Notes(Identity):
    """A calibrator that remembers what it was fitted to."""

    on: str = "members"

    def fit(self, logits, label, weight=None):
        return logits


@pytest.fixture(scope="module")
def image():
    return Pictures([SHAPE], test=0)


@pytest.fixture(scope="module", params=slow_where(lambda name: name != "mc_dropout", HEADS))
def model(request, net):
    """In bfloat16, its samples warmed: what is scored is a calibrated sample."""
    warm = TemperatureState(jnp.float32(2.5))
    model = ask(HEADS_SMALL[request.param], net, Temperature(on="members"))
    return dataclasses.replace(model, state=warm, execution=HALF)


def scored(model, image) -> np.ndarray:
    """[P, C] the mean of the samples as they are scored."""
    size = np.array([SHAPE], np.int32)
    found = jax.jit(predict_moments)(model, jnp.asarray(image.image("picture-0"))[None], size)
    return np.asarray(found.mean_p).reshape(-1, model.net.classes)


def assert_is_what_is_scored(found: np.ndarray, model, image) -> None:
    """`found` [P, C] is the mean of the samples in bfloat16, and not what they would be in float32."""
    half, single = scored(model, image), scored(dataclasses.replace(model, execution=Execution()), image)
    away = np.abs(half - single)
    assert away.max() > 1e-4, "the two precisions can be told apart"
    np.testing.assert_array_less(np.abs(found - half).mean(), 0.05 * away.mean())


def test_joint_is_of_the_samples_that_are_scored(model, image):
    regions = lay_out(Pixel(), image.pool, [SHAPE])
    joint = survey(model, image, regions, Random(), ("joint",))["joint"]  # [M, S, C]
    assert_is_what_is_scored(joint.mean(1), model, image)


def test_a_calibrator_of_members_sees_the_samples_that_are_scored(model, image):
    model = dataclasses.replace(model, calibrator=Notes(), state=Notes().init(model.net.classes))
    regions = lay_out(Pixel(), image.pool, [SHAPE])
    labels = {m: np.zeros((1, 1), np.int32) for m in range(regions.image.size)}
    logp = np.asarray(held_out.calibrate(model, image, regions, labels).state)[: len(labels)]  # [P, S, C]
    assert_is_what_is_scored(np.exp(logp).mean(1), model, image)


def test_targets_are_of_the_samples_that_are_scored(model, image):
    pixels = SHAPE[0] * SHAPE[1]
    q = EPIG(targets=pixels, foreground=None).learn(jax.random.key(0), model, image, image.pool, ())  # [S, T, C]
    found, expected = np.asarray(q).mean(0), scored(model, image)
    order, place = np.lexsort(found.T), np.lexsort(expected.T)  # each pixel is a target once, in an order of its own
    restored = np.empty_like(found)
    restored[place] = found[order]
    assert_is_what_is_scored(restored, model, image)


def test_features_are_of_the_sample_that_is_scored(model, image):
    """What the output layer, in the run's precision, makes of them is the logits of that precision."""
    regions = lay_out(Pixel(), image.pool, [SHAPE])
    found = [
        survey(dataclasses.replace(model, execution=how), image, regions, Random(), ("embedding",))["embedding"]
        for how in (HALF, Execution())
    ]
    assert all(values.dtype == np.float32 for values in found)
    np.testing.assert_array_equal(found[0], np.asarray(jnp.asarray(found[0], jnp.bfloat16), np.float32))
    assert np.abs(found[0] - found[1]).max() > 0
    assert "embedding" in descriptors.DESCRIPTORS
