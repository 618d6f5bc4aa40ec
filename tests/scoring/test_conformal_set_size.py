"""Thresholds from audited labels: the quantile, the coverage it buys, and what it says when there is nothing to say."""

from __future__ import annotations

import math
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import Pictures
from hypothesis import given, strategies as st
from test_acquisitions import entropy

from bal.posterior.moments import Moments
from bal.scoring.acquisitions import ConformalSetSize
from bal.types import BadInput, RegionPrediction

SOURCE = SimpleNamespace(classes=Pictures.classes)


def seen(label: np.ndarray, p: np.ndarray) -> RegionPrediction:
    return RegionPrediction(label, p, p, np.ones(len(p), np.float32), np.zeros(len(p), np.float32))


def learn(regions: list[RegionPrediction], **how) -> np.ndarray:
    return np.asarray(ConformalSetSize(**how).learn(jax.random.key(0), None, SOURCE, (), regions))


def drawn(rng: np.random.Generator, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and over-confident probabilities of as many exchangeable pixels, four fifths of them background."""
    truth = rng.dirichlet((4.0, 0.5, 0.5), pixels)
    label = (rng.random((pixels, 1)) > truth.cumsum(-1)).sum(-1).clip(max=2)
    sharp = truth**3
    return label, (sharp / sharp.sum(-1, keepdims=True)).astype(np.float32)


@given(st.lists(st.floats(0, 1, width=32), max_size=60), st.floats(0.01, 0.99))
def test_the_threshold_is_the_smallest_that_enough_pixels_are_below(strange, alpha):
    wanted = math.ceil((len(strange) + 1) * (1 - alpha))
    naive = min((t for t in strange if sum(s <= t for s in strange) >= wanted), default=1.0)
    assert ConformalSetSize(alpha).threshold(np.array(strange, np.float32)) == naive


@pytest.mark.parametrize("alpha", [0.1, 0.3])
@pytest.mark.parametrize("coverage", ["class", "marginal"])
def test_sets_cover_exchangeable_pixels_as_promised_and_hardly_more(coverage, alpha):
    """Mean over 400 audits; the upper limit is that of Angelopoulos & Bates, 1 − α + 1/(n + 1)."""
    rng = np.random.default_rng(0)
    hits = []
    for _ in range(400):
        threshold = learn([seen(*drawn(rng, 100)) for _ in range(3)], alpha=alpha, coverage=coverage)
        label, p = drawn(rng, 300)
        covered = np.float32(1) - p[np.arange(300), label] <= threshold[label]
        groups = [label == c for c in range(3)] if coverage == "class" else [label >= 0]
        hits.append([covered[g].mean() if g.any() else np.nan for g in groups])
    mean, error = np.nanmean(hits, 0), np.nanstd(hits, 0) / np.sqrt(len(hits))
    assert (mean > 1 - alpha - 3 * error).all()
    assert (mean < 1 - alpha + 1 / 20 + 3 * error).all(), "about 30 pixels of each rare class are audited"


def test_one_threshold_for_all_classes_fails_the_rare_ones():
    rng = np.random.default_rng(0)
    audit, (label, p) = [seen(*drawn(rng, 4000))], drawn(rng, 4000)
    for coverage, low in (("class", False), ("marginal", True)):
        threshold = learn(audit, coverage=coverage)
        covered = np.float32(1) - p[np.arange(4000), label] <= threshold[label]
        assert (covered[label > 0].mean() < 0.8) == low


def test_the_thresholds_are_those_of_all_regions_together():
    label, p = drawn(np.random.default_rng(0), 90)
    parts = [seen(label[cut], p[cut]) for cut in (slice(0, 10), slice(10, 10), slice(10, 90))]
    np.testing.assert_array_equal(learn(parts), learn([seen(label, p)]))
    assert (learn(parts) < 1).any()


def test_without_labels_every_set_holds_every_class_and_the_entropy_decides():
    np.testing.assert_array_equal(learn([]), np.ones(3))
    np.testing.assert_array_equal(learn([], coverage="marginal"), np.ones(3))
    p = np.random.default_rng(0).dirichlet(np.ones(3), 50).astype(np.float32)
    score = np.asarray(ConformalSetSize()(Moments(p, p), jnp.ones(3)))
    np.testing.assert_allclose(score, 2 + 0.01 * entropy(p) / np.log(3), atol=1e-6)


def test_a_class_of_too_few_pixels_is_never_ruled_out():
    """α = 0.1 takes nine pixels."""
    label = np.repeat([0, 1, 2], [9, 8, 0])
    p = np.full((17, 3), 1 / 3, np.float32)
    np.testing.assert_allclose(learn([seen(label, p)]), [2 / 3, 1, 1], atol=1e-6)


def test_tight_thresholds_leave_the_most_likely_class():
    p = np.array([[0.98, 0.01, 0.01], [0.4, 0.3, 0.3]], np.float32)
    score = np.asarray(ConformalSetSize()(Moments(p, p), jnp.full(3, 0.05)))
    np.testing.assert_allclose(score, 0.01 * entropy(p) / np.log(3), atol=1e-6)


@given(st.integers(2, 20), st.integers(0, 2**32 - 1))
def test_the_entropy_never_turns_the_order_of_two_sizes(classes, seed):
    rng = np.random.default_rng(seed)
    p = rng.dirichlet(np.full(classes, 0.5), 100).astype(np.float32)
    threshold = rng.random(classes).astype(np.float32)
    score = np.asarray(ConformalSetSize()(Moments(p, p), jnp.asarray(threshold)))
    size = np.maximum((np.float32(1) - p <= threshold).sum(-1), 1)
    np.testing.assert_array_equal(np.floor(score) + 1, size)


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"alpha": 1.0}, {"alpha": float("nan")}, {"coverage": "each"}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(BadInput, match="conformal_set_size"):
        ConformalSetSize(**wrong)
