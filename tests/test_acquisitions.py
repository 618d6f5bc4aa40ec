"""Every score equals its formula over all samples, in float64."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import check_protocol, check_settings, softmax
from hypothesis import given, settings
from test_moments import folded, stacks

from bal.acquisitions import ACQUISITIONS
from bal.types import Acquisition, Moments

everyone = pytest.mark.parametrize("name", ACQUISITIONS)


def entropy(p: np.ndarray) -> np.ndarray:
    """H[p] over the last axis, in nats."""
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(-1)


def variation(p: np.ndarray) -> np.ndarray:
    return 1 - np.eye(p.shape[-1])[p.argmax(-1)].mean(0).max(-1)


NAIVE = {
    "random": lambda p: np.zeros(p.shape[1:-1]),
    "least_confidence": lambda p: 1 - p.mean(0).max(-1),
    "margin": lambda p: 1 - (np.sort(p.mean(0))[..., -1] - np.sort(p.mean(0))[..., -2]),
    "entropy": lambda p: entropy(p.mean(0)),
    "expected_entropy": lambda p: entropy(p).mean(0),
    "bald": lambda p: entropy(p.mean(0)) - entropy(p).mean(0),
    "mean_std": lambda p: p.std(0).mean(-1),
    "variation_ratio": variation,
}


def score(name: str, logits: np.ndarray) -> np.ndarray:
    acquisition = ACQUISITIONS[name]()
    return np.asarray(acquisition(folded(logits, needs=acquisition.needs)))


@everyone
def test_settings(name):
    check_settings(ACQUISITIONS[name])
    check_protocol(ACQUISITIONS[name], Acquisition)
    assert set(ACQUISITIONS[name]().needs) <= set(Moments._fields)
    assert (ACQUISITIONS[name]().needs == ()) == (name == "random")
    assert name in NAIVE, f"add the formula of {name} to this test"


@everyone
def test_a_score_equals_its_formula(name):
    @given(stacks())
    @settings(max_examples=60)
    def check(logits):
        p = softmax(logits)
        best = np.sort(p)
        if name == "variation_ratio" and (best[..., -1] - best[..., -2] < 1e-5).any():
            return  # rounding may break a near tie
        np.testing.assert_allclose(score(name, logits), NAIVE[name](p), atol=1e-5)

    check()


@everyone
def test_a_score_is_pointwise_over_any_leading_axes(name):
    acquisition = ACQUISITIONS[name]()
    p = softmax(np.random.default_rng(0).standard_normal((4, 3, 5))).astype(np.float32)
    every = Moments(p, p, p * np.log(p), p * p, p)
    whole = np.asarray(acquisition(every))
    assert whole.shape == (4, 3)
    assert whole.dtype == np.float32
    np.testing.assert_allclose(acquisition(jax.tree.map(lambda m: m[2, 1], every)), whole[2, 1], rtol=1e-6)
    np.testing.assert_allclose(acquisition(jax.tree.map(lambda m: m[:, None], every)), whole[:, None], rtol=1e-6)
    only = Moments(p, p)._replace(**{n: getattr(every, n) for n in acquisition.needs})
    np.testing.assert_array_equal(acquisition(only), whole)


@given(stacks())
@settings(max_examples=100)
def test_information_is_bounded_and_adds_up(logits):
    bald, total, noise = (score(name, logits) for name in ("bald", "entropy", "expected_entropy"))
    assert (bald >= 0).all()
    assert (bald <= np.log(logits.shape[-1]) + 1e-5).all()
    assert (bald <= np.log(len(logits)) + 1e-5).all(), "S samples have at most log S to disagree about"
    np.testing.assert_allclose(total - noise, bald, atol=1e-5)


@pytest.mark.parametrize("name", [n for n in ACQUISITIONS if hasattr(ACQUISITIONS[n], "per_class")])
def test_classes_sum_to_the_score(name):
    rng = np.random.default_rng(0)
    acquisition = ACQUISITIONS[name]()
    for scale in (0.1, 3.0, 80.0):
        moments = folded((scale * rng.standard_normal((8, 1, 2, 3, 6))).astype(np.float32), needs=acquisition.needs)
        parts = np.asarray(acquisition.per_class(moments))
        assert parts.shape == (1, 2, 3, 6)
        assert (parts >= 0).all()
        np.testing.assert_allclose(parts.sum(-1), acquisition(moments), atol=1e-6)


def test_information_about_two_classes_counts_both():
    """p of two samples 0.9 and 0.1: ln 2 − H(0.9); the term of one class alone would be half of it."""
    logit = np.log(9.0)
    logits = np.zeros((2, 1, 2, 3, 2), np.float32)
    logits[0, ..., 1], logits[1, ..., 1] = logit, -logit
    h = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    np.testing.assert_allclose(score("bald", logits), np.log(2) - h, atol=1e-6)
    np.testing.assert_allclose(score("expected_entropy", logits), h, atol=1e-6)


def test_entropy_is_of_the_mean_probability():
    """Of samples with p = 1, ½ and ½ that is ⅔; their mean logit says more than 0.998."""
    logits = np.zeros((3, 1, 2, 3, 2), np.float32)
    logits[0, ..., 1] = 20.0
    p = (1 + 0.5 + 0.5) / 3
    np.testing.assert_allclose(score("entropy", logits), -(p * np.log(p) + (1 - p) * np.log(1 - p)), atol=1e-5)


def test_scores_of_certain_predictions_are_finite_and_lowest():
    certain, torn = np.zeros((2, 3, 1, 2, 3, 3), np.float32)
    certain[..., 0] = 80.0
    torn[np.arange(3), ..., np.arange(3)] = 80.0
    for name in set(ACQUISITIONS) - {"random", "expected_entropy"}:
        low, high = score(name, certain), score(name, torn)
        assert np.isfinite(low).all()
        assert np.isfinite(high).all()
        assert (low < 1e-5).all()
        assert (high > low + 0.3).all(), name


def test_a_probability_of_zero_counts_for_nothing():
    exact = jnp.array([1.0, 0.0, 0.0])
    moments = Moments(exact, exact, exact * 0, exact * 0, exact)
    for cls in ACQUISITIONS.values():
        np.testing.assert_allclose(cls()(moments), 0.0, atol=1e-7)
