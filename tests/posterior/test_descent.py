"""Calibrators that are fitted by descent find what scipy finds, for a pooled prediction and for members."""

import math

import jax
import numpy as np
import pytest
from scipy.optimize import minimize
from test_calibrators import C, P, example, log_probs_of, padded, skewed

from bal.posterior.calibrators import ClassTemperature, Dirichlet, LocalTemperature, Temperature, Vector
from bal.posterior.calibrators._descent import most_probable
from bal.types import BadInput

# Naive maps, in float64: parameters u and log-probabilities [..., C] → logits [P, C].


def within(u: np.ndarray) -> np.ndarray:
    return 3 * np.tanh(u / 3)


def by_class(u: np.ndarray, z: np.ndarray) -> np.ndarray:
    return z / np.exp(within(u))[z.argmax(-1)][..., None]


def by_entropy(u: np.ndarray, z: np.ndarray) -> np.ndarray:
    h = -(np.exp(z) * z).sum(-1) / math.log(C)
    return z / np.exp(within(u[0] * (1 - h) + u[1] * h + u[2] * 4 * h * (1 - h)))[..., None]


def affine(u: np.ndarray, z: np.ndarray) -> np.ndarray:
    return np.exp(within(u[:C])) * z + within(u[C:])


def linear(u: np.ndarray, z: np.ndarray) -> np.ndarray:
    b = within(u)
    matrix = b[: C * C].reshape(C, C).copy()
    matrix[np.diag_indices(C)] = np.exp(np.diag(matrix))
    return z @ matrix.T + b[C * C :]


OFF = np.where(np.eye(C, dtype=bool), 1.0, 0.3).ravel()
NAIVE = {
    "class_temperature": (ClassTemperature, by_class, np.ones(C)),
    "local_temperature": (LocalTemperature, by_entropy, np.ones(3)),
    "vector": (Vector, affine, np.ones(2 * C)),
    "dirichlet": (Dirichlet, linear, np.concatenate([OFF, np.ones(C)])),
}


def plain(u: np.ndarray, z: np.ndarray) -> np.ndarray:
    return z / np.exp(u)


MEMBERS = NAIVE | {"temperature": (Temperature, plain, np.ones(1))}


def log_softmax(z: np.ndarray) -> np.ndarray:
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def members(logits: np.ndarray, seed: int = 5) -> np.ndarray:
    """[P, C] → [P, 4, C]: networks that do not quite agree."""
    return (logits[:, None] + np.random.default_rng(seed).normal(0, 2, (P, 4, C))).astype(np.float32)


@pytest.mark.parametrize("on", ["pooled", "members"])
@pytest.mark.parametrize("name", MEMBERS)
def test_fits_are_the_minimum_that_scipy_finds(name: str, on: str) -> None:
    kind, apply, sigma = MEMBERS[name]
    logits, label = skewed()
    logits = members(logits) if on == "members" else logits
    weight = np.random.default_rng(0).uniform(0, 3, P).astype(np.float32)
    keep = 900
    z = log_softmax(logits[:keep].astype(float))

    def objective(u: np.ndarray) -> float:
        logp = log_softmax(apply(u, z))
        logp = np.log(np.exp(logp).mean(1)) if on == "members" else logp
        return -(weight[:keep] * logp[np.arange(keep), label[:keep]]).sum() / 8 + (u**2 / (2 * sigma**2)).sum()

    best = minimize(objective, np.zeros(len(sigma)), method="BFGS", options={"gtol": 1e-7})
    calibrator = kind(on=on, pixels_per_observation=8.0)
    found = log_probs_of(calibrator, calibrator.fit(logits, padded(label, keep), weight), logits[:keep])
    np.testing.assert_allclose(found, log_softmax(apply(best.x, z)), atol=2e-3, rtol=5e-4)  # of logs down to −17
    assert np.abs(np.asarray(found) - z).max() > 0.1, "something was learnt"


@pytest.mark.parametrize("name", MEMBERS)
def test_members_that_agree_are_one(name: str) -> None:
    kind, (logits, label) = MEMBERS[name][0], skewed()
    same = kind(on="members").fit(np.stack([logits] * 4, 1), label)
    for found, one in zip(jax.tree.leaves(same), jax.tree.leaves(kind().fit(logits, label)), strict=True):
        np.testing.assert_allclose(found, one, atol=2e-3)


def test_members_are_not_made_honest_one_by_one() -> None:
    """Four whose mean is well calibrated: by itself each is over-confident, and T = 1 is right for all of them."""
    rng = np.random.default_rng(0)
    logits = 4 * rng.standard_normal((P, 4, C))
    mean = np.exp(log_softmax(logits)).mean(1)
    label = (np.log(mean) + rng.gumbel(size=mean.shape)).argmax(-1).astype(np.int32)
    logits = logits.astype(np.float32)
    settings = Temperature(on="members", pixels_per_observation=1.0)
    assert float(settings.fit(logits, label).temperature) == pytest.approx(1.0, abs=0.05)
    assert float(settings.fit(logits.reshape(-1, C), np.repeat(label, 4)).temperature) > 1.5


@pytest.mark.parametrize("name", NAIVE)
def test_fits_are_compiled_once_a_shape(name: str) -> None:
    logits, label = example()
    weight = np.ones(P, np.float32)
    kind = NAIVE[name][0]
    kind().fit(logits, label, weight)
    compiled = most_probable._cache_size()
    kind(pixels_per_observation=5.0).fit(2 * logits, padded(label, 10), 0.5 * weight)
    assert most_probable._cache_size() == compiled


@pytest.mark.parametrize("name", NAIVE)
def test_settings_of_the_others_are_checked(name: str) -> None:
    kind = NAIVE[name][0]
    for bad in ({"on": "samples"}, {"reach": 0.0}, {"prior_scale": math.inf}, {"pixels_per_observation": -1.0}):
        with pytest.raises(BadInput, match=next(iter(bad))):
            kind(**bad)
