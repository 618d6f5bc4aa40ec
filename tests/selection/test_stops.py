"""When to stop: what the next purchase is expected to gain, against Bayes' rule by hand, and the rules that read it."""

from __future__ import annotations

import dataclasses
import math

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from bal.selection import gain
from bal.selection.stops import STOPS, Agreement, ExpectedGain, Never
from bal.types import BadInput

CLASSES = ("background", "ink", "seal")
ROW = {"cost": 40.0, "agreement_ink": 0.7, "agreement_seal": 0.5, "gain_audit": 0.1, "gain_audit_error": 0.05}
shares = st.floats(0.001, 1)


def naive(moved, seen, error):
    """Mean and deviation of the posterior of f, on a grid."""
    grid = np.linspace(-20, 20, 40_001)
    logp = -0.5 * ((grid - 1) / gain.MEASURED.spread) ** 2
    variance = error**2 + (gain.MEASURED.noise * moved) ** 2
    logp -= 0.5 * (seen - grid * gain.MEASURED.now * moved) ** 2 / variance
    p = np.exp(logp - logp.max())
    mean = (p * grid).sum() / p.sum()
    return mean, math.sqrt((p * (grid - mean) ** 2).sum() / p.sum())


@given(moved=shares, part=st.floats(-1, 1), error=st.floats(0, 1))
def test_the_factor_follows_bayes_rule(moved, part, error):
    seen = part * moved
    found = gain.updated(gain.Factor(), moved, seen, error)
    assert found == pytest.approx(naive(moved, seen, error), rel=1e-3, abs=1e-3)
    assert found.error < gain.MEASURED.spread


@pytest.mark.parametrize("unknown", [(math.nan, 0.1, 0.1), (0.3, math.nan, 0.1), (0.3, 0.1, math.nan), (0.0, 0.0, 0.1)])
def test_what_is_unknown_teaches_nothing(unknown):
    assert gain.updated(gain.Factor(0.8, 0.3), *unknown) == (0.8, 0.3)
    assert gain.updated(gain.Factor(1.0, 0.0), 0.3, 0.1, 0.1) == (1.0, 0.0), "what is certain stays so"


def test_an_expected_gain_is_a_share_of_the_change():
    found = gain.expected(gain.Factor(1.2, 0.3), 0.4, 40, 20)
    reach = 0.4 * math.log(60 / 40) / math.log(40 / 20)
    assert found.mean == pytest.approx(1.2 * gain.MEASURED.next * reach)
    wide = 1.96 * reach * math.sqrt((0.3 * gain.MEASURED.next) ** 2 + gain.MEASURED.noise**2)
    assert found.high - found.low == pytest.approx(2 * wide)


def test_where_quality_grows_with_the_logarithm_of_the_cost_the_next_gain_is_known():
    cost = np.array([10.0, 20, 30, 40, 50])
    gains = np.diff(0.1 + 0.2 * np.log(cost))
    for x in range(3):
        found = gain.expected(gain.Factor(), gains[x] / gain.MEASURED.next, cost[x + 1], cost[x])
        assert found.mean == pytest.approx(gains[x + 1])


@given(factor=st.floats(-3, 3), moved=shares, cost=st.floats(2, 1e6), share=st.floats(0.01, 0.99))
def test_no_interval_promises_more_than_the_change(factor, moved, cost, share):
    found = gain.expected(gain.Factor(factor), moved, cost, share * cost)
    assert -moved <= found.low <= found.high <= moved


@pytest.mark.parametrize(
    ("moved", "cost", "before"), [(math.nan, 40, 20), (0.3, 40, math.nan), (0.3, 40, 40), (0.3, 40, 0)]
)
def test_nothing_is_expected_where_nothing_is_known(moved, cost, before):
    assert all(map(math.isnan, gain.expected(gain.Factor(), moved, cost, before)))


def test_rounds_hand_on_what_the_audits_have_seen():
    first = gain.columns(ROW, {}, CLASSES)
    assert math.isnan(first["gain_next"])
    assert first["gain_factor_error"] < gain.MEASURED.spread
    second = gain.columns(ROW | {"cost": 60.0}, {**ROW, **first}, CLASSES)
    moved = gain.change(ROW, CLASSES)
    assert moved == pytest.approx(0.4)
    once = gain.updated(gain.Factor(), moved, 0.1, 0.05)
    twice = gain.updated(once, moved, 0.1, 0.05)
    assert (second["gain_factor"], second["gain_factor_error"]) == pytest.approx(twice)
    assert second["gain_next"] == pytest.approx(gain.expected(twice, moved, 60, 40).mean)


def test_a_class_that_is_never_predicted_leaves_everything_open():
    row = ROW | {"agreement_seal": math.nan, "cost": 60.0}
    assert math.isnan(gain.columns(row, ROW, CLASSES)["gain_next"])
    assert not Agreement(0.1).why(row, CLASSES)


@pytest.mark.parametrize(
    ("rule", "row", "stops"),
    [
        (Never(), {"gain_next": -1.0}, False),
        (ExpectedGain(0.02), {"gain_next": 0.019}, True),
        (ExpectedGain(0.02), {"gain_next": 0.021}, False),
        (ExpectedGain(0.02), {"gain_next": math.nan}, False),
        (ExpectedGain(0.02), {}, False),
        (Agreement(0.6), ROW, True),
        (Agreement(0.61), ROW, False),
        (Agreement(0.6), {}, False),
    ],
)
def test_rules(rule, row, stops):
    assert bool(rule.why(row, CLASSES)) == stops


@pytest.mark.parametrize("name", STOPS)
def test_every_rule_is_a_pure_question(name):
    rule = STOPS[name]()
    assert dataclasses.is_dataclass(rule)
    assert hash(rule) == hash(STOPS[name]())
    row = {**ROW, "gain_next": 0.5}
    assert isinstance(rule.why(row, CLASSES), str)
    assert row == {**ROW, "gain_next": 0.5}
    assert rule.why({}, CLASSES) == "", "of a model that nothing is known of, nothing is known"


@pytest.mark.parametrize("bad", [lambda: ExpectedGain(0), lambda: ExpectedGain(math.nan), lambda: Agreement(1.1)])
def test_a_threshold_that_cannot_be(bad):
    with pytest.raises(BadInput, match=r"stop\.least: expected"):
        bad()
