"""Uncertainty herding, against the sum that it maximises, written out in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from offers import KEY, M, bought

from bal.selection.selectors import Herding, TopK
from bal.selection.selectors.base import Offer
from bal.selection.selectors.herding import kernel_radius
from bal.types import BadInput

seeds = st.integers(0, 2**32 - 1)


def coverage(x, weight, chosen, sigma: float) -> float:
    """Σ_n U_n max over what is chosen of k(x_n, x)."""
    total = 0.0
    for point, u in zip(x, weight, strict=True):
        total += u * max((np.exp(-((point - x[m]) ** 2).sum() / sigma**2) for m in chosen), default=0.0)
    return total


def radius(x, quantile: float) -> float:
    """A quantile of distances to the nearest other."""
    nearest = [min(np.sqrt(((a - b) ** 2).sum()) for j, b in enumerate(x) if j != i) for i, a in enumerate(x)]
    return float(np.quantile(nearest, quantile))


@given(seeds, st.integers(0, 5), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
@settings(max_examples=50)
def test_herding_is_greedy_in_what_becomes_covered_per_cost(seed, labels, equal, quantile):
    rng = np.random.default_rng(seed)
    x, scores = rng.standard_normal((M, 3)).astype(np.float32), (rng.random(M) + 0.01).astype(np.float32)
    costs = np.ones(M) if equal else rng.choice([0.5, 1.0, 2.0], M)
    labelled, budget = np.arange(M) < labels, 5.0
    place, weight = x.astype(np.float64), scores / scores[~labelled].max().astype(np.float64)
    weight = np.where(labelled, 0.0, weight)  # what is labelled is not to be covered
    sigma = radius(place[labelled] if labels > 1 else place[~labelled], quantile)
    centres, chosen, spent = np.flatnonzero(labelled).tolist(), [], 0.0
    while able := [m for m in range(M) if m not in centres and spent + costs[m] <= budget]:
        now = coverage(place, weight, centres, sigma)
        gain = {m: (coverage(place, weight, [*centres, m], sigma) - now) / costs[m] for m in able}
        chosen.append(max(able, key=lambda m: gain[m]))
        centres.append(chosen[-1])
        spent += costs[chosen[-1]]
    offer = Offer(costs.astype(np.float32), ~labelled, budget)
    about = {"embedding": x, "labelled": labelled}
    assert bought(Herding(radius=quantile)(KEY, scores, offer, about)).tolist() == chosen


@given(seeds, st.integers(1, 3))
@settings(max_examples=25)
def test_a_greedy_batch_covers_nearly_as_much_as_the_best(seed, count):
    rng = np.random.default_rng(seed)
    x, scores = rng.standard_normal((8, 2)).astype(np.float32), rng.random(8).astype(np.float32)
    weight, sigma = scores.astype(np.float64), radius(x.astype(np.float64), 0.5)
    offer = Offer(np.ones(8, np.float32), np.ones(8, bool), count)
    index = bought(Herding()(KEY, scores, offer, {"embedding": x, "labelled": np.zeros(8, bool)}))
    best = max(coverage(x, weight, some, sigma) for some in itertools.combinations(range(8), count))
    assert coverage(x, weight, index, sigma) >= (1 - 1 / np.e) * best


def test_what_is_like_a_labelled_region_is_not_bought_again():
    """Three of one look with the highest scores, one of them labelled: the other looks come first, once each."""
    x = np.float32([[0, 0], [0, 0.01], [0.01, 0], [5, 5], [5, 5.01], [9, 0], [0, -3]])
    labelled = np.isin(np.arange(7), [0, 6])  # 3 apart
    offer, scores = Offer(np.ones(7, np.float32), ~labelled, 2.0), np.float32([9, 9, 9, 2, 2.1, 1, 9])
    assert bought(TopK()(KEY, scores, offer)).tolist() == [1, 2]
    first, second = bought(Herding()(KEY, scores, offer, {"embedding": x, "labelled": labelled}))
    assert first in (3, 4)
    assert second == 5


def test_a_narrow_kernel_ranks_by_the_score():
    rng = np.random.default_rng(0)
    x, scores = rng.standard_normal((M, 3)).astype(np.float32), rng.random(M).astype(np.float32)
    twins = np.concatenate([x[:2], x[:1] + 1e-3])  # labelled ones that are nearly alike
    about = {"embedding": np.concatenate([x, twins]), "labelled": np.arange(M + 3) >= M}
    about["embedding"][M : M + 2] += 50
    about["embedding"][M + 2] = about["embedding"][M] + 1e-3
    offer = Offer(np.ones(M + 3, np.float32), np.arange(M + 3) < M, 6.0)
    scores = np.concatenate([scores, np.zeros(3, np.float32)])
    assert (
        bought(Herding(radius=0.0)(KEY, scores, offer, about)).tolist() == bought(TopK()(KEY, scores, offer)).tolist()
    )


def test_the_radius_is_a_quantile_of_distances_between_neighbours():
    x = np.float64([[0.0], [1.0], [1.0], [3.0], [7.0]])  # 1, 1, 2, 4, and two that are equal
    for quantile, expected in ((0.0, 1.0), (0.5, 1.5), (1.0, 4.0)):
        assert kernel_radius(x, quantile) == pytest.approx(expected)
    assert kernel_radius(x[1:3], 0.5) == 0.0
    assert kernel_radius(x[:0], 0.5) == 0.0


def test_it_looks_at_its_shortlist_alone_and_goes_on_by_the_score():
    x, scores = np.random.default_rng(1).standard_normal((M, 3)).astype(np.float32), np.arange(M, dtype=np.float32)
    about = {"embedding": x, "labelled": np.zeros(M, bool)}
    index = bought(Herding(shortlist=4)(KEY, scores, Offer(np.ones(M, np.float32), np.ones(M, bool), 6.0), about))
    assert set(index[:4].tolist()) == {20, 21, 22, 23}
    assert index[4:].tolist() == [19, 18]
    alike = {"embedding": np.zeros((M, 3), np.float32), "labelled": np.arange(M) == 0}
    index = bought(Herding()(KEY, scores, Offer(np.ones(M, np.float32), np.arange(M) > 0, 3.0), alike))
    assert index.tolist() == [23, 22, 21], "all are covered"
    for wrong in ({"shortlist": 0}, {"radius": 1.5}):
        with pytest.raises(BadInput, match="herding needs"):
            Herding(**wrong)
