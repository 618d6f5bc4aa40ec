"""What every acquisition promises; and that ours equal their formulas over all samples, in float64."""

from __future__ import annotations

import functools
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Pictures, check_protocol, check_settings, softmax
from hypothesis import given, settings
from stacks import aims, ask_posterior, folded, stacks

from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior.calibrators import Identity
from bal.posterior.heads.function import FunctionHead
from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.scoring.acquisitions import ACQUISITIONS
from bal.scoring.acquisitions.base import Acquisition, Learns, SumOverClasses
from bal.scoring.objective import Objective
from bal.scoring.score import score_regions

everyone = pytest.mark.parametrize("name", ACQUISITIONS)


def entropy(p: np.ndarray) -> np.ndarray:
    """H[p] over the last axis, in nats."""
    return -np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0).sum(-1)


def variation(p: np.ndarray) -> np.ndarray:
    return 1 - np.eye(p.shape[-1])[p.argmax(-1)].mean(0).max(-1)


def binary_information(p: np.ndarray) -> np.ndarray:
    """[..., C] I[1{y = c}; θ] of samples [S, ..., C]."""
    pair = np.stack([p, 1 - p], -1)
    return entropy(pair.mean(0)) - entropy(pair).mean(0)


def epig(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Mean over targets of KL between the joint of two labels and the product of their marginals."""
    joint = np.einsum("s...y,stz->...tyz", p, q) / len(p)
    apart = np.einsum("...y,tz->...tyz", p.mean(0), q.mean(0))
    ratio = np.where(joint > 0, joint, 1.0) / np.where(joint > 0, apart, 1.0)
    return (joint * np.log(ratio)).sum((-1, -2)).mean(-1)


def set_size(p: np.ndarray, threshold: np.ndarray) -> np.ndarray:
    """Classes in the prediction set besides one, and a hundredth of the entropy."""
    members = (1 - p <= threshold).sum(-1)
    return np.where(members == 0, 0, members - 1) + 0.01 * entropy(p) / np.log(p.shape[-1])


def thresholds(classes: int) -> np.ndarray:
    return np.linspace(0.6, 0.95, classes).astype(np.float32)


STATE = {"epig": aims, "conformal_set_size": lambda samples, classes: thresholds(classes)}
NAIVE = {
    "random": lambda p: np.zeros(p.shape[1:-1]),
    "least_confidence": lambda p: 1 - p.mean(0).max(-1),
    "margin": lambda p: 1 - (np.sort(p.mean(0))[..., -1] - np.sort(p.mean(0))[..., -2]),
    "entropy": lambda p: entropy(p.mean(0)),
    "expected_entropy": lambda p: entropy(p).mean(0),
    "bald": lambda p: entropy(p.mean(0)) - entropy(p).mean(0),
    "mean_std": lambda p: p.std(0).mean(-1),
    "variation_ratio": variation,
    "entropy_classwise": lambda p: (1 - p.mean(0)[..., 0]) * entropy(p.mean(0)),
    "bald_classwise": lambda p: binary_information(p)[..., 1:].sum(-1),
    "epig": lambda p: epig(p, aims(len(p), p.shape[-1])),
    "conformal_set_size": lambda p: set_size(p.mean(0), thresholds(p.shape[-1])),
}


class Learner(Learns, Protocol):
    """An acquisition that is asked once a round what it wants to know."""

    def __call__(self, moments, state): ...


class Strides(NamedTuple):
    """What is asked of a network whose head is a function."""

    channels: int = 1
    classes: int = 3
    stride: int = 8


def slopes(params, x, s):
    """The brighter a pixel, the surer sample s of class 1, as surely as its slope is steep."""
    return params[s] * jnp.concatenate([0.5 + 0 * x, x, 1 - 2 * x], -1)


@functools.cache
def posed(name: str) -> tuple[Objective, Moments]:
    """An acquisition as a round asks it, whatever it learnt; and what it needs of the moments of a few images."""
    model = Model(FunctionHead(slopes, 4), Strides(), jnp.array([1.0, 3.0, 6.0, -2.0]), Identity(), None)
    acquisition, source, state = ACQUISITIONS[name](), Pictures([(9, 12), (16, 8)], test=0), None
    if isinstance(acquisition, Learns):
        state = acquisition.learn(jax.random.key(0), model, source, source.pool, ())
    objective = Objective(acquisition, state)
    x = np.random.default_rng(0).random((2, 3, 5, 1), np.float32)
    return objective, ask_posterior(model, x, needs=objective.needs, targets=objective.targets)


@functools.partial(jax.jit, static_argnums=0)
def _ask(acquisition: Acquisition, moments: Moments, *state: jax.Array) -> jax.Array:
    return acquisition(moments, *state)


def ask(name: str, moments: Moments, samples: int) -> np.ndarray:
    """The scores of moments that so many samples were folded into."""
    more = [jnp.asarray(STATE[name](samples, moments.mean_p.shape[-1]))] if name in STATE else []
    return np.asarray(_ask(ACQUISITIONS[name](), moments, *more))


def score(name: str, logits: np.ndarray) -> np.ndarray:
    return ask(name, folded(logits), len(logits))  # of all moments, so that one program folds for every score


@everyone
def test_settings(name):
    cls = ACQUISITIONS[name]
    check_settings(cls)
    check_protocol(cls, Learner if issubclass(cls, Learns) else Acquisition)
    assert set(cls().needs) <= set(Moments._fields)


@everyone
def test_a_score_is_pointwise_over_any_leading_axes(name):
    objective, moments = posed(name)
    whole = np.asarray(objective(moments))
    assert whole.shape == (2, 3, 5)
    assert whole.dtype == np.float32
    assert np.isfinite(whole).all()
    np.testing.assert_allclose(objective(jax.tree.map(lambda m: m[1, 2, 1], moments)), whole[1, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(objective(jax.tree.map(lambda m: m[:, None], moments)), whole[:, None], rtol=1e-6)


@everyone
def test_classes_sum_to_the_score(name):
    """By the score's own terms where it is a sum over classes, else by the probability of each class."""
    objective, moments = posed(name)
    parts = np.asarray(objective.per_class(moments))
    assert parts.shape == (2, 3, 5, 3)
    np.testing.assert_allclose(parts.sum(-1), objective(moments), atol=1e-6)
    if isinstance(objective.acquisition, SumOverClasses):
        weighted = Objective(objective.acquisition, objective.state, jnp.array([0.0, 2.0, 1.0]))
        np.testing.assert_allclose(weighted(moments), 2 * parts[..., 1] + parts[..., 2], atol=1e-6)


@pytest.mark.parametrize("name", NAIVE)
def test_a_score_equals_its_formula(name):
    @given(stacks())
    @settings(max_examples=60)
    def check(logits):
        p = softmax(logits)
        best = np.sort(p)
        if name == "variation_ratio" and (best[..., -1] - best[..., -2] < 1e-5).any():
            return  # rounding may break a near tie
        if name == "conformal_set_size" and (abs(1 - p.mean(0) - thresholds(p.shape[-1])) < 1e-5).any():
            return  # and so may a probability at a threshold
        np.testing.assert_allclose(score(name, logits), NAIVE[name](p), atol=1e-5)

    check()


@given(stacks())
@settings(max_examples=100)
def test_information_is_bounded_and_adds_up(logits):
    bald, total, noise = (score(name, logits) for name in ("bald", "entropy", "expected_entropy"))
    assert (bald >= 0).all()
    assert (bald <= np.log(logits.shape[-1]) + 1e-5).all()
    assert (bald <= np.log(len(logits)) + 1e-5).all(), "S samples have at most log S to disagree about"
    np.testing.assert_allclose(total - noise, bald, atol=1e-5)
    assert (score("epig", logits) <= bald + 1e-5).all(), "a label elsewhere is known no better than the weights"


@given(stacks())
@settings(max_examples=100)
def test_binary_information_is_complete(logits):
    """Of each class at most BALD and ln 2; of two classes BALD itself, which one half of the binary entropy is not."""
    each = ACQUISITIONS["bald_classwise"]().per_class(folded(logits))
    bald = score("bald", logits)
    assert (each <= np.minimum(bald, np.log(2))[..., None] + 1e-5).all()
    if logits.shape[-1] == 2:
        np.testing.assert_allclose(each[..., 1], bald, atol=1e-5)


@pytest.mark.parametrize("name", ["entropy_classwise", "bald_classwise"])
def test_the_background_adds_nothing_by_itself(name):
    logits = 3 * np.random.default_rng(0).standard_normal((8, 1, 2, 3, 4)).astype(np.float32)
    each = np.asarray(ACQUISITIONS[name]().per_class(folded(logits)))
    p = softmax(logits)
    naive = p.mean(0) * entropy(p.mean(0))[..., None] if name == "entropy_classwise" else binary_information(p)
    np.testing.assert_array_equal(each[..., 0], 0.0)
    np.testing.assert_allclose(each[..., 1:], naive[..., 1:], atol=1e-5)


def test_random_needs_no_forward_pass(pictures):
    random = ACQUISITIONS["random"]()
    assert random.needs == ()
    assert not isinstance(random, Learns)
    pictures.read.clear()
    regions = lay_out(Tile(8), pictures.pool, [pictures.shape(id) for id in pictures.pool])
    assert np.ptp(score_regions(None, pictures, regions, random, jax.random.key(0))) > 0
    assert pictures.read == []


@pytest.mark.parametrize("name", [n for n in NAIVE if issubclass(ACQUISITIONS[n], SumOverClasses)])
def test_no_class_takes_away_from_the_score(name):
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
    for name in sorted(set(NAIVE) - {"random", "expected_entropy"}):
        low, high = score(name, certain), score(name, torn)
        assert np.isfinite(low).all()
        assert np.isfinite(high).all()
        assert (low < 1e-5).all()
        assert (high > low + 0.3).all(), name


def test_a_probability_of_zero_counts_for_nothing():
    exact = jnp.array([1.0, 0.0, 0.0])
    joint = jnp.outer(exact, aims(4, 3).mean(0).ravel()).ravel()
    moments = Moments(exact, exact, exact * 0, exact * 0, exact, exact * 0, joint)
    for name in NAIVE:
        np.testing.assert_allclose(ask(name, moments, 4), 0.0, atol=1e-7)
