"""The hierarchical model of paired differences, against its posterior by brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bal.metrics import partial_pooling as pooling
from bal.types import BadInput

FEW = {"logs": [0.02, 0.05, 0.03, -0.01], "ink": [0.01, 0.04, 0.0]}


@pytest.fixture(scope="module")
def found():
    return pooling.pooled(FEW)


def brute_force(differences, draws=400_000, seed=1):
    """Draws from the prior, weighted by the likelihood: μ, μ_j and the weights."""
    rng = np.random.default_rng(seed)
    mu, tau = rng.normal(0, 0.1, draws), np.abs(rng.normal(0, 0.05, draws))
    nu, weight = 1 + rng.exponential(29, draws), np.zeros(draws)
    means = []
    for values in differences.values():
        own, sigma = rng.normal(mu, tau), np.abs(rng.normal(0, 0.1, draws))
        means.append(own)
        for value in values:
            weight += stats.t.logpdf(value, nu, own, sigma)
    weight = np.exp(weight - weight.max())
    return mu, means, weight / weight.sum()


def test_the_posterior_is_that_of_brute_force(found):
    mu, means, weight = brute_force(FEW)
    own = 1 / (weight**2).sum()
    assert own > 1000, "so many draws from the prior carry the weight"
    for chance, draws in ((found.all, mu), *zip(found.each.values(), means, strict=True)):
        error = 4 * math.sqrt(0.25 / own)
        assert chance.mean == pytest.approx((weight * draws).sum(), abs=0.003)
        assert chance.better == pytest.approx(weight[draws > pooling.ROPE].sum(), abs=error)
        assert chance.worse == pytest.approx(weight[draws < -pooling.ROPE].sum(), abs=error)
        assert chance.better + chance.equal + chance.worse == pytest.approx(1)
    assert found.r_hat < pooling.MIXED
    assert all(0.01 < p < 0.99 for p in found.predictive.values())
    assert "could hardly" not in pooling.sentence(found)


def test_a_wide_region_of_equivalence_makes_everything_equal(found):
    again = pooling.pooled(FEW, rope=10.0)
    assert again.all.equal == 1
    assert again.all.mean == found.all.mean, "the same seed, the same draws"


def test_sources_that_contradict_each_other_keep_their_own_means():
    rng = np.random.default_rng(0)
    apart = {"logs": rng.normal(0.06, 0.01, 20), "ink": rng.normal(-0.06, 0.01, 20)}
    found = pooling.pooled(apart)
    assert found.each["logs"].better > 0.99
    assert found.each["ink"].worse > 0.99
    assert found.all.low < 0 < found.all.high
    assert found.spread > 0.02


@pytest.mark.parametrize(
    "bad", [{}, {"logs": [0.1]}, {"logs": [0.1, math.nan]}, {"logs": [0.1, 0.2], "ink": []}, {"logs": [[0.1, 0.2]]}]
)
def test_what_cannot_be_pooled(bad):
    with pytest.raises(BadInput, match="partial pooling"):
        pooling.pooled(bad)


def test_what_may_not_be_read_off():
    chance = pooling.Chance(0.02, 0.01, 0.03, 0.0, 0.1, 0.9)
    assert "chains do not agree" in pooling.sentence(pooling.Pooled(chance, {}, 0.01, {}, 1.2))
    odd = pooling.Pooled(chance, {}, 0.01, {"largest deviation": 0.001}, 1.0)
    assert pooling.sentence(odd) == (
        "better 0.90, equal 0.10, worse 0.00 (+0.010 … +0.030); "
        "the model could hardly have made the data (largest deviation)"
    )
