"""What a round changed: agreement of successive models, which bounds the change of IoU, and the gain on the audit."""

from __future__ import annotations

import math
from types import SimpleNamespace

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from runs import run, tiny

from bal.experiment import change
from bal.experiment.setup import set_up
from bal.metrics.bootstrap import LEAST
from bal.report.columns import meaning
from bal.scoring import maps
from bal.scoring.acquisitions import BALD
from bal.scoring.objective import as_objective
from bal.sources import WellLog
from bal.types import confusion, jaccard

CLASSES = 3
labelling = arrays(np.int32, 40, elements=st.integers(0, CLASSES - 1))


@given(truth=labelling, one=labelling, other=labelling)
def test_agreement_bounds_the_change_of_iou_whatever_the_truth_is(truth, one, other):
    same = jaccard(confusion(one, other, CLASSES))
    a, b = (jaccard(confusion(truth, labels, CLASSES)) for labels in (one, other))
    known = np.isfinite(same) & np.isfinite(a) & np.isfinite(b)
    assert (np.abs(a - b)[known] <= 1 - same[known] + 1e-12).all()
    for c in range(CLASSES):
        both, either = ((one == c) & (other == c)).sum(), ((one == c) | (other == c)).sum()
        assert same[c] == pytest.approx(both / either if either else math.nan, nan_ok=True)


def test_models_are_compared_pixel_by_pixel():
    records = run(tiny(rounds=1, budget=20, acq=BALD(), source=WellLog(height=40, width=48, pool=5, test=1)))
    one, other = (record.model for record in records)
    setup = set_up(tiny(source=WellLog(height=40, width=48, pool=5, test=1)))
    ids = list(setup.source.pool)
    table = maps.cross_table(one, other, setup.source, ids, as_objective(BALD()))
    naive = np.zeros((CLASSES, CLASSES), int)
    for a, b in zip(maps.class_maps(one, setup.source, ids), maps.class_maps(other, setup.source, ids), strict=True):
        for pair in zip(a.label.ravel(), b.label.ravel(), strict=True):
            naive[pair] += 1
    assert naive.sum() == 5 * 40 * 48
    np.testing.assert_array_equal(table, naive)


def test_rows_say_what_changed_from_the_second_on():
    first, *later = [record.row for record in run(tiny(audit=0.4))]
    names = ["agreement_background", "agreement_curve_1", "agreement_curve_2", "gain_audit", "gain_audit_error"]
    assert all(math.isnan(first[name]) for name in names)
    assert len(later) == 2
    for row in later:
        assert 0 < row["agreement_background"] <= 1
        assert -1 <= row["gain_audit"] <= 1
        assert math.isnan(row["gain_audit_error"]) == (row["regions_audit"] < LEAST)
    assert later[-1]["gain_audit_error"] >= 0
    for name in names:
        assert "Recorded by an extension" not in meaning(name, ("background", "curve_1", "curve_2"))


def test_the_gain_is_paired_and_its_error_is_the_jackknife():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 50, (2, 12, CLASSES, CLASSES))
    weight = rng.uniform(0.5, 2, 12)

    def naive(kept):
        means = []
        for tables in (before, after):
            total = sum(weight[k] * tables[k] for k in kept)
            each = [total[c, c] / (total[c].sum() + total[:, c].sum() - total[c, c]) for c in (1, 2)]
            means.append(sum(each) / 2)
        return means[1] - means[0]

    without = [naive([k for k in range(12) if k != out]) for out in range(12)]
    error = math.sqrt(11 / 12 * sum((value - sum(without) / 12) ** 2 for value in without))
    assert change.paired_gain(before, after, weight) == pytest.approx((naive(range(12)), error))
    assert change.paired_gain(before, before, weight) == pytest.approx((0, 0))


def test_a_gain_that_nothing_tells_is_not_a_number():
    paper = np.array([[[9, 0, 0], [0, 0, 0], [0, 0, 0]]])
    assert all(map(math.isnan, change.paired_gain(paper, paper, np.ones(1))))
    missed, found = np.array([[[0, 0, 0], [4, 0, 0], [0, 0, 0]]]), np.array([[[0, 0, 0], [0, 4, 0], [0, 0, 0]]])
    gain, error = change.paired_gain(missed, found, np.ones(1))
    assert gain == 1
    assert math.isnan(error), "one region says nothing of how far others would be from it"


@pytest.mark.parametrize(
    ("images", "side", "expected"),
    [
        (100, 64, [0, 12, 25, 37, 50, 62, 75, 87]),
        (8, 64, [0, 1, 2, 3, 4, 5, 6, 7]),
        (7, 64, [0, 1, 3, 5]),
        (1, 64, [0]),
        (10, 2896, [0, 5]),  # two of them have 2^24 pixels
        (10, 9000, [0]),
    ],
)
def test_some_images_all_over_the_pool_are_compared(images, side, expected):
    ids = [str(n) for n in range(images)]
    source = SimpleNamespace(pool=ids, shape=lambda id: (side, side))
    assert change.compared(SimpleNamespace(source=source)) == [str(n) for n in expected]
