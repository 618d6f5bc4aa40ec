"""Ranking metrics against scikit-learn and naive formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from bal.metrics.detection import aurc, auroc, capture
from bal.types import BadInput


def example(ties: bool, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, events that they partly foretell, and weights; [P] each."""
    rng = np.random.default_rng(seed)
    score = rng.standard_normal(400)
    score = np.round(2 * score) / 2 if ties else score
    return score, rng.random(400) < 1 / (1 + np.exp(2 - score)), rng.uniform(0, 3, 400)


@pytest.mark.parametrize("ties", [False, True])
def test_auroc_is_that_of_scikit_learn(ties):
    score, event, weight = example(ties)
    np.testing.assert_allclose(auroc(score, event), roc_auc_score(event, score), rtol=1e-12)
    np.testing.assert_allclose(auroc(score, event, weight), roc_auc_score(event, score, sample_weight=weight))
    np.testing.assert_allclose(auroc(-score, event), 1 - auroc(score, event))


@pytest.mark.parametrize("ties", [False, True])
def test_aurc_is_the_mean_over_orders_of_ties(ties):
    score, event, _ = example(ties)
    rng = np.random.default_rng(1)
    orders = []
    for _ in range(400 if ties else 1):
        trusted = event[np.lexsort([rng.random(len(score)), score])]
        orders.append(np.mean(np.cumsum(trusted) / np.arange(1, len(trusted) + 1)))
    np.testing.assert_allclose(aurc(score, event), np.mean(orders), rtol=0.01 if ties else 1e-12)
    assert aurc(score, event) < event.mean() < aurc(-score, event)
    np.testing.assert_allclose(aurc(0 * score, event), event.mean())


@pytest.mark.parametrize("share", [0.0, 0.05, 0.101, 0.5, 1.0])
def test_capture_counts_the_top(share):
    score, event, _ = example(ties=False)
    best = np.argsort(-score)
    whole = math.floor(share * len(score))
    part = share * len(score) - whole
    found = event[best[:whole]].sum() + (part * event[best[whole]] if whole < len(score) else 0)
    np.testing.assert_allclose(capture(score, event, share), found / event.sum())
    np.testing.assert_allclose(capture(np.zeros(400), event, share), share)


def test_nothing_to_rank():
    none = np.zeros(5, bool)
    assert math.isnan(auroc(np.arange(5), none))
    assert math.isnan(auroc(np.arange(5), ~none))
    assert math.isnan(capture(np.arange(5), none, 0.1))
    assert aurc(np.arange(5), none) == 0
    empty = np.zeros(0)
    assert all(math.isnan(f(empty, empty.astype(bool))) for f in (auroc, aurc))


@pytest.mark.parametrize("f", [auroc, aurc, lambda s, e: capture(s, e, 0.1)])
def test_what_cannot_be_ranked_is_refused(f):
    with pytest.raises(BadInput, match="NaN"):
        f(np.array([0.0, np.nan]), np.array([True, False]))
    with pytest.raises(BadInput, match="one of each"):
        f(np.zeros(3), np.zeros(2, bool))


def test_a_share_is_a_share():
    with pytest.raises(BadInput, match=r"share is 1\.5"):
        capture(np.zeros(2), np.zeros(2, bool), 1.5)
