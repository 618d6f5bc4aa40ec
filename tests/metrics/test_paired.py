"""Areas, costs to reach a level and the exact test, against formulas written out; and what may be said of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, strategies as st

from bal.metrics.paired import (
    area,
    common_range,
    cost_to_reach,
    holm,
    least_p,
    paired,
    pairs_needed,
    signed_rank,
    verdict,
)
from bal.types import BadInput

COST = np.array([24.0, 48, 72, 144])
VALUE = np.array([0.2, 0.5, 0.4, 0.6])


def naive_p(d: list[float]) -> float:
    """The share of all sign flips whose rank sum is at least as far from zero."""
    moved = [x for x in d if x != 0]
    size = [abs(x) for x in moved]
    rank = [sum(o < s for o in size) + (sum(o == s for o in size) + 1) / 2 for s in size]

    def total(signs) -> float:
        return abs(sum(s * r for s, r in zip(signs, rank, strict=True)))

    seen = total(np.sign(moved))
    every = [total(signs) for signs in itertools.product((-1, 1), repeat=len(moved))]
    return sum(t >= seen for t in every) / len(every)


def naive_holm(p: list[float]) -> list[float]:
    """The smallest level at which each is still rejected when they are tried in order, the smallest first."""
    corrected = []
    for own in p:
        steps = [min(1.0, (len(p) - k) * q) for k, q in enumerate(sorted(p)) if q <= own]
        corrected.append(max(steps))
    return corrected


def test_area_by_hand():
    whole = (0.35 * 24 + 0.45 * 24 + 0.5 * 72) / 120
    assert area(COST, VALUE, 24, 144) == pytest.approx(whole, rel=1e-12)
    part = (0.5 * (0.35 + 0.5) * 12 + 0.5 * (0.5 + 0.4) * 24 + 0.5 * (0.4 + 0.5) * 36) / 72
    assert area(COST, VALUE, 36, 108) == pytest.approx(part, rel=1e-12)
    assert area(COST, np.full(4, 0.3), 30, 31) == pytest.approx(0.3, rel=1e-12)
    assert math.isnan(area(COST, np.array([0.2, math.nan, 0.4, 0.6]), 24, 144))


def test_area_wants_a_range_that_the_curve_covers():
    for low, high in ((20, 100), (24, 150), (48, 48)):
        with pytest.raises(BadInput, match="within 24 to 144"):
            area(COST, VALUE, low, high)
    with pytest.raises(BadInput, match="ascend"):
        area(COST[::-1], VALUE, 24, 144)


def test_the_range_that_all_curves_cover():
    assert common_range([COST, np.array([30.0, 200]), np.array([10.0, 100])]) == (30, 100)
    with pytest.raises(BadInput, match="in common"):
        common_range([COST, np.array([144.0, 200])])


def test_the_first_crossing_counts():
    assert cost_to_reach(COST, VALUE, 0.45) == (pytest.approx(24 + 24 * 0.25 / 0.3), True)
    assert cost_to_reach(COST, VALUE, 0.55) == (pytest.approx(72 + 72 * 0.15 / 0.2), True)
    assert cost_to_reach(COST, VALUE, 0.1) == (24, True)
    assert cost_to_reach(COST, VALUE, 0.6) == (144, True)


def test_a_level_that_is_never_reached_is_censored_at_what_was_spent():
    assert cost_to_reach(COST, VALUE, 0.61) == (144, False)
    assert cost_to_reach(COST, np.full(4, math.nan), 0.1) == (144, False)
    assert cost_to_reach(COST, np.array([math.nan, 0.2, 0.4, math.nan]), 0.3) == (pytest.approx(60), True)


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=8).filter(any))
def test_the_exact_test_with_zeros_and_ties(d):
    assert signed_rank(np.array(d, np.float64)) == pytest.approx(naive_p(d), abs=1e-12)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=10, unique=True), st.integers(0, 2**10))
def test_the_exact_test_without_ties(sizes, signs):
    d = [size * (-1) ** (signs >> k & 1) for k, size in enumerate(sizes)]
    assert signed_rank(np.array(d, np.float64)) == pytest.approx(naive_p(d), abs=1e-12)


def test_no_difference_at_all():
    assert signed_rank(np.zeros(5)) == 1
    assert math.isnan(signed_rank(np.zeros(0)))
    nothing = paired([], [])
    assert nothing.pairs == 0
    assert math.isnan(nothing.mean)
    assert math.isnan(nothing.p)


def test_five_pairs_that_all_agree():
    found = paired([0.5, 0.6, 0.7, 0.8, 0.9], [0.4, 0.4, 0.4, 0.4, 0.4])
    assert (found.pairs, found.rank_sum) == (5, 15)
    assert found.p == found.least == 0.0625
    assert found.mean == pytest.approx(0.3)
    assert 0.1 < found.low < 0.3 < found.high < 0.5
    assert verdict(found, found.p) == "not shown"


def test_rounding_errors_neither_make_nor_break_ties():
    assert paired([0.1 + 0.2, 1.1], [0.3, 1.1]).p == 1
    tied = paired([0.3, 0.6, 0.1], [0.2, 0.5, 0.2])
    assert tied.p == naive_p([1, 1, -1])


def test_pairs_with_a_nan_are_left_out():
    assert paired([1.0, math.nan, 3.0], [0.5, 1.0, math.nan]) == paired([1.0], [0.5])
    assert math.isnan(paired([1.0], [0.5]).low)


def test_the_interval_is_that_of_resampled_means():
    d = np.random.default_rng(1).normal(0.1, 0.2, 40)
    found = paired(d, np.zeros(40), draws=4000)
    assert found == paired(d, np.zeros(40), draws=4000)
    half = 1.96 * d.std() / math.sqrt(40)
    assert found.low == pytest.approx(d.mean() - half, abs=0.2 * half)
    assert found.high == pytest.approx(d.mean() + half, abs=0.2 * half)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_against_its_definition(p):
    names = [str(k) for k in range(len(p))]
    assert list(holm(dict(zip(names, p, strict=True))).values()) == pytest.approx(naive_holm(p))


def test_holm_by_hand():
    corrected = holm({"a": 0.04, "b": 0.01, "c": math.nan, "d": 0.03})
    assert {name: corrected[name] for name in "abd"} == pytest.approx({"a": 0.06, "b": 0.03, "d": 0.06})
    assert math.isnan(corrected["c"])


def test_how_many_pairs_could_show_something():
    assert least_p(5) == 0.0625
    assert (pairs_needed(1), pairs_needed(7)) == (6, 9)
    for comparisons in (1, 7):
        n = pairs_needed(comparisons)
        assert comparisons * least_p(n) < 0.05 <= comparisons * least_p(n - 1)


def test_a_verdict_needs_the_corrected_p():
    better = paired(np.arange(1.0, 11), np.zeros(10))
    assert better.p == 2 / 1024
    assert verdict(better, 0.049) == "better"
    assert verdict(better, 0.049, more_is_better=False) == "worse"
    assert verdict(better, 0.05) == verdict(better, math.nan) == "not shown"
    worse = paired(np.zeros(10), np.arange(1.0, 11))
    assert verdict(worse, 0.01) == "worse"
    torn = paired([1.0] * 9 + [-100.0], np.zeros(10))
    assert verdict(torn, 0.01) == "not shown"
