"""When to stop, from rows: the shares that were put in come out, and regrets are those of utilities by hand."""

from __future__ import annotations

import math
import sys
from itertools import pairwise

import numpy as np
import pytest
from runs import ROOT

sys.path.append(str(ROOT / "benchmarks"))

import stopping
from support import rounds

COST = [20.0, 40.0, 60.0, 80.0, 100.0]


def run(share=0.25, first=0.2):
    """Rows of a run whose IoU grows with the logarithm of the cost, by a share of how far the model moves."""
    iou = first + 0.1 * np.log(np.array(COST) / COST[0])
    moved = [math.nan, *(np.diff(iou) / share)]
    return [
        {
            "dataset": "logs",
            "round": n,
            "cost": COST[n],
            "iou_paper": 0.9,
            "iou_ink": float(iou[n]),
            **dict.fromkeys(("f1_paper", "f1_ink"), 0.5),
            "agreement_ink": float(1 - moved[n]),
            "gain_audit": math.nan,
            "gain_audit_error": math.nan,
        }
        for n in range(len(COST))
    ]


def test_the_shares_that_were_put_in_come_out():
    found = stopping.shares_of([run(0.2), run(0.3, 0.4)])
    assert (found.now, found.next) == pytest.approx((0.25, 0.25))
    assert found.noise == pytest.approx(0, abs=1e-9)
    assert found.spread == pytest.approx(math.sqrt(np.var([0.2, 0.3], ddof=1)) / 0.25)
    assert math.isnan(stopping.shares_of([run()]).spread), "one run does not say how far others are from it"


def test_what_is_foreseen_is_what_comes_where_the_shares_are_right():
    own = run()
    shares = stopping.Shares(0.25, 0.25, 0.1, 0.3)
    gains = [rounds.iou(after) - rounds.iou(before) for before, after in pairwise(own)]
    assert [gain.mean for gain in stopping.foreseen(own, shares)[1:-1]] == pytest.approx(gains[1:])


@pytest.mark.parametrize("price", [0.05, 0.2, 0.4])
def test_the_rule_with_the_right_shares_stops_where_the_utility_is_highest(price):
    own, shares = run(), stopping.Shares(0.25, 0.25, 0.1, 0.3)
    worth = [rounds.iou(row) - price * row["cost"] / COST[-1] for row in own]
    np.testing.assert_allclose(stopping.utilities(own, price), worth)
    at = stopping.rules(own, price, shares)
    assert at["gain"] == max(1, int(np.argmax(worth))), "nothing is known before the second model"
    assert at["never"] == len(own) - 1
    assert at["after round 2"] == 2


def test_the_table_leaves_out_what_it_is_judged_by(monkeypatch):
    rows = [
        {**row, "dataset": name, "arm": "default", "seed": seed, "settings": "x", "rounds": len(COST) - 1}
        for name, share in (("logs", 0.2), ("ink", 0.3))
        for seed in (0, 1)
        for row in run(share)
    ]
    monkeypatch.setattr(stopping.rows, "read", lambda name: rows)
    every = stopping.complete()
    assert {name: len(runs) for name, runs in every.items()} == {"logs": 2, "ink": 2}
    assert stopping.others(every, "logs").next == pytest.approx(0.3)
    assert "| logs | 2 | 0.20 | 0.20 |" in stopping.table()
    monkeypatch.setattr(stopping.rows, "read", lambda name: rows[:-1])
    assert len(stopping.complete()["ink"]) == 1, "a run that has not come to its end does not count"
