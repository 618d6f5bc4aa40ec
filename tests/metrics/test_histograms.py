"""Fine histograms against the exact functions of the pixels, and their formulas against naive ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import softmax
from hypothesis import given, strategies as st
from sklearn.metrics import roc_auc_score

from bal.metrics.detection import aurc, auroc
from bal.metrics.histograms import (
    MASS_BINS,
    SCORE_BINS,
    TOP,
    aurc as binned_aurc,
    auroc as binned_auroc,
    equal_mass_ece,
    mass_ece,
    score_bin,
)

PIXELS = 40_000


def counted(score: np.ndarray, event: np.ndarray) -> np.ndarray:
    """[2, L] of a score."""
    bin = np.asarray(score_bin(score))
    return np.stack([np.bincount(bin[event == which], minlength=SCORE_BINS) for which in (False, True)])


def scores(spread: float, sharp: float, classes: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What a network of this confidence would give, and where it errs."""
    rng = np.random.default_rng(0)
    z = spread * rng.standard_normal((PIXELS, classes)) + np.array([2 * spread] + [0.0] * (classes - 1))
    members = softmax(sharp * (z + 0.3 * spread * rng.standard_normal((4, *z.shape))))  # [S, P, C]
    p = members.mean(0).astype(np.float32).astype(np.float64)
    entropy = [-(x * np.log(np.maximum(x, 1e-38))).sum(-1) for x in (p, members)]
    top = np.sort(p, -1)
    found = {
        "entropy": entropy[0],
        "bald": np.maximum(entropy[0] - entropy[1].mean(0), 0),
        "confidence": 1 - top[:, -1],
        "margin": 1 - (top[:, -1] - top[:, -2]),
    }
    wrong = p.argmax(-1) != (z + rng.gumbel(size=z.shape)).argmax(-1)
    return {name: np.maximum(s, 0).astype(np.float32) for name, s in found.items()}, wrong


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("spread", [0.3, 1.0, 3.0, 8.0])
@pytest.mark.parametrize("sharp", [1.0, 3.0])
def test_a_binned_score_ranks_as_well_as_the_score(spread, sharp, classes):
    found, wrong = scores(spread, sharp, classes)
    for name, score in found.items():
        count = counted(score, wrong)
        assert count.sum() == PIXELS
        assert abs(binned_auroc(count) - roc_auc_score(wrong, score)) < 1e-3, name
        assert abs(binned_auroc(count) - auroc(score, wrong)) < 1e-3, name
        assert abs(binned_aurc(count) - aurc(score, wrong)) < 1e-3, name


def test_of_bins_the_formulas_are_exact():
    """A score of few values, each in a bin of its own, is not rounded at all."""
    rng = np.random.default_rng(1)
    score = rng.choice([0.0, 1e-9, 1e-3, 0.2, 0.5, 1.0, 3.0], 3000)
    event = rng.random(3000) < 0.1 + 0.2 * score
    count = counted(score, event)
    np.testing.assert_allclose(binned_auroc(count), auroc(score, event), rtol=1e-12)
    np.testing.assert_allclose(binned_aurc(count), aurc(score, event), rtol=1e-12)


def test_many_at_once_are_each_by_itself():
    rng = np.random.default_rng(2)
    count = rng.integers(0, 50, (4, 3, 2, 20))
    for f in (binned_auroc, binned_aurc):
        each = [[f(count[d, a]) for a in range(3)] for d in range(4)]
        np.testing.assert_allclose(f(count), each, rtol=1e-12)
    fine = rng.integers(0, 9, (4, 2, 60))
    p, e = fine * np.linspace(0, 1, 60), rng.integers(0, fine + 1)
    each = [[mass_ece(fine[d, v], p[d, v], e[d, v]) for v in range(2)] for d in range(4)]
    np.testing.assert_allclose(mass_ece(fine, p, e), each, rtol=1e-12)


@given(st.lists(st.floats(0, 1e6, width=32), min_size=2, max_size=50))
def test_bins_never_fall(values):
    bins = np.asarray(score_bin(np.sort(np.array(values, np.float32))))
    assert (np.diff(bins) >= 0).all()
    assert bins.min() >= 0
    assert bins.max() < SCORE_BINS


def test_what_has_no_bin():
    assert np.asarray(score_bin(np.array([-1.0, -1e-9, np.nan], np.float32))).tolist() == [SCORE_BINS] * 3
    edges = np.asarray(score_bin(np.array([0.0, -0.0, TOP, np.inf], np.float32)))
    assert edges.tolist() == [0, 0, SCORE_BINS - 1, SCORE_BINS - 1]


def test_nothing_to_rank():
    none = np.zeros((2, SCORE_BINS), int)
    assert math.isnan(binned_auroc(none))
    assert math.isnan(binned_aurc(none))
    right = counted(np.linspace(0, 1, 50, dtype=np.float32), np.zeros(50, bool))
    assert math.isnan(binned_auroc(right))
    assert binned_aurc(right) == 0
    assert math.isnan(mass_ece(*np.zeros((3, 7))))
    assert math.isnan(equal_mass_ece(np.zeros(0), np.zeros(0)))


def test_bins_of_equal_mass():
    rng = np.random.default_rng(0)
    p = rng.beta(0.3, 3, 3000)
    event = rng.random(3000) < p**1.5
    parts = np.array_split(np.argsort(p), 15)
    naive = sum(len(k) / 3000 * abs(p[k].mean() - event[k].mean()) for k in parts)
    np.testing.assert_allclose(equal_mass_ece(p, event), naive, rtol=1e-12)
    np.testing.assert_allclose(equal_mass_ece(np.full(100, 0.3), np.arange(100) < 50), 0.2)


@pytest.mark.parametrize("power", [0.8, 1.0, 1.5])
@pytest.mark.parametrize(("a", "b"), [(0.05, 3), (0.3, 0.3), (1, 1), (3, 0.05), (200, 900)])
def test_bins_of_equal_mass_cut_from_fine_ones(a, b, power):
    rng = np.random.default_rng(0)
    p = rng.beta(a, b, PIXELS)
    event = rng.random(PIXELS) < p**power
    k = np.minimum((MASS_BINS * p).astype(int), MASS_BINS - 1)
    sums = (np.bincount(k, w, MASS_BINS) for w in (None, p, event))
    assert abs(mass_ece(*sums) - equal_mass_ece(p, event)) < 1e-3
