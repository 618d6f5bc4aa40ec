"""Metrics by style against plain float64 formulas over pixels, and what an uneven test set must not change."""

from __future__ import annotations

import math

import numpy as np
import pytest
from examples import NAMES, example, pick
from hypothesis import given, strategies as st

from bal.metrics.styles import MEANS, WORST, by_style, columns_of, lowest, names, split
from bal.metrics.tally import tally_images, total, values

SHAPE = (9, 24, 32)
STYLES = ("rare", "common", "odd", "blank")
TEST = ["common", "rare", "odd", "common", "rare", "odd", "common", "blank", "blank"]
POOL = ["common"] * 16 + ["rare"] * 3 + ["odd"] * 1 + ["unseen"] * 4


@pytest.fixture(scope="module")
def batch():
    calibrated, raw, label = example(3, SHAPE)
    label[-2:] = np.where(np.arange(32) % 2, 0, 255)  # without foreground
    calibrated[-2:] = np.array([1, 0, 0], np.float32)
    return calibrated, raw, label


@pytest.fixture(scope="module")
def styled(batch):
    return split(tally_images(*batch), TEST, POOL, (*STYLES, "unseen"))


def naive_iou(batch, rows: list[int], weight: dict[int, float], c: int) -> float:
    """Intersection over union of some images, each pixel of weight `weight[image]`."""
    hit = union = 0.0
    for n in rows:
        label, predicted = batch[2][n], batch[0][n].argmax(-1)
        known = label != 255
        hit += weight[n] * float(((label == c) & (predicted == c) & known).sum())
        union += weight[n] * float((((label == c) | (predicted == c)) & known).sum())
    return hit / union if union else math.nan


def test_of_every_style(batch, styled):
    found = by_style(styled, NAMES)
    assert list(found) == list(STYLES), "in the order given, and only those that have a test image"
    one = dict.fromkeys(range(len(TEST)), 1.0)
    for style in STYLES:
        rows = [n for n, other in enumerate(TEST) if other == style]
        assert found[style]["images"] == len(rows)
        assert found[style]["pool_share"] == pytest.approx(POOL.count(style) / 24)
        for c, name in enumerate(NAMES):
            assert found[style][f"iou_{name}"] == pytest.approx(naive_iou(batch, rows, one, c), nan_ok=True)
        alone = dict(values(total(pick(tally_images(*batch), np.array(rows))), NAMES))
        assert found[style]["tolerant_f1_curve_1"] == pytest.approx(float(alone["tolerant_f1_curve_1"]), nan_ok=True)
        assert len(found[style]) == 2 + len(alone)
    assert math.isnan(found["blank"]["iou_curve_1"])


def test_columns(batch, styled):
    found = columns_of(styled, NAMES)
    assert list(found) == names(NAMES) == [f"iou_{kind}_{c}" for kind in MEANS for c in NAMES]
    weight = {n: POOL.count(style) / TEST.count(style) for n, style in enumerate(TEST)}
    one = dict.fromkeys(weight, 1.0)
    for c, name in enumerate(NAMES):
        each = [naive_iou(batch, [n for n, s in enumerate(TEST) if s == style], one, c) for style in STYLES]
        known = sorted(x for x in each if not math.isnan(x))
        assert len(known) == (4 if c == 0 else 3)
        assert found[f"iou_mix_{name}"] == pytest.approx(naive_iou(batch, list(weight), weight, c), rel=1e-12)
        assert found[f"iou_styles_{name}"] == pytest.approx(sum(known) / len(known), rel=1e-12)
        assert found[f"iou_worst_{name}"] == pytest.approx(sum(known[:WORST]) / WORST, rel=1e-12)


def test_a_test_set_in_the_proportions_of_the_pool_is_its_own_mix(batch):
    each = tally_images(*batch)
    found = columns_of(split(each, TEST, TEST * 3, STYLES), NAMES)
    for name, value in values(total(each), NAMES):
        if name in {f"iou_{c}" for c in NAMES}:
            assert found[name.replace("iou_", "iou_mix_")] == pytest.approx(float(value), rel=1e-12)


def test_how_many_images_a_style_has_changes_no_mix(batch):
    each = tally_images(*batch)
    twice = np.array([*range(9), 1, 4, 1, 4])  # the rare style three times as often
    styles = [TEST[n] for n in twice]
    one, two = (columns_of(split(*some, POOL, STYLES), NAMES) for some in ((each, TEST), (pick(each, twice), styles)))
    assert one == pytest.approx(two, rel=1e-12, nan_ok=True)


def test_styles_that_are_not_in_the_pool(batch):
    found = columns_of(split(tally_images(*batch), TEST, ["unseen"], STYLES), NAMES)
    assert math.isnan(found["iou_mix_curve_1"])
    assert not math.isnan(found["iou_styles_curve_1"])


@given(st.lists(st.floats(0, 1) | st.just(math.nan), max_size=12), st.integers(1, 12))
def test_lowest(value, most):
    known = sorted(x for x in value if not math.isnan(x))[:most]
    expected = sum(known) / len(known) if known else math.nan
    assert lowest(np.array(value), most) == pytest.approx(expected, nan_ok=True)
