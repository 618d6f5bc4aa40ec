"""Bootstrap intervals against resampling by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from examples import NAMES, example, pick, scores

from bal.metrics import families, summary, tally as metrics
from bal.metrics.bootstrap import bands, columns, draw, interval
from bal.metrics.calibration import names
from bal.metrics.tally import tally_images, values
from bal.types import IGNORE


@pytest.fixture(scope="module")
def each() -> metrics.Tally:
    """Tallies of 7 images; the last but one holds background only and the last is not labelled."""
    batches = [example(seed) for seed in range(2)]
    calibrated, raw, label = (np.concatenate(x)[[0, 1, 2, 4, 5, 6, 7]] for x in zip(*batches, strict=True))
    label[5] = np.where(label[5] == IGNORE, IGNORE, 0)
    return tally_images(calibrated, raw, label, scores(calibrated, raw))


def test_every_draw_is_the_summary_of_its_images(each):
    drawn = draw(each, draws=5, seed=3)
    found = dict(values(drawn, NAMES))
    times = np.random.default_rng(3).multinomial(7, np.full(7, 1 / 7), 5)
    for d, k in enumerate(times):
        expected = summary.summary(metrics.total(pick(each, np.repeat(np.arange(7), k))), NAMES)
        assert list(expected) == list(found)
        for name, value in found.items():
            np.testing.assert_allclose(value[d], expected[name], rtol=1e-9, err_msg=name)


def test_columns_bracket_the_estimate(each):
    row, found = columns(each, NAMES), summary.summary(metrics.total(each), NAMES)
    assert list(row)[:2] == ["iou_background_low", "iou_background_high"]
    shown = [name for family in families().values() for name in family.intervals(NAMES)]
    assert len(row) == 2 * (len(shown) - 2)  # no third score has been tallied
    for name in ("iou_curve_1", "nll", "nll_raw", "ece_foreground_raw", "auroc_bald", "aurc_entropy"):
        assert row[f"{name}_low"] < found[name] < row[f"{name}_high"], name
    assert row == columns(each, NAMES)


def test_one_image_has_no_interval(each):
    one = pick(each, slice(1))
    assert all(math.isnan(value) for value in columns(one, NAMES).values())
    band = bands(one, NAMES)["foreground"]
    assert np.isnan(band.low).all()
    assert not np.isnan(band.frequency).all()
    none = pick(each, slice(0))
    assert all(math.isnan(value) for value in columns(none, NAMES).values())


def test_bands_hold_the_frequencies(each):
    found = bands(each, NAMES)
    assert list(found) == names(NAMES)
    for name, band in found.items():
        some = ~np.isnan(band.low)
        assert some.any(), name
        assert (band.low[some] <= band.frequency[some] + 1e-12).all(), name
        assert (band.frequency[some] <= band.high[some] + 1e-12).all(), name


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    values = np.random.default_rng(0).standard_normal(60)
    low, high = interval(np.mean, list(values), draws=2000, seed=1)
    assert (low, high) == interval(np.mean, list(values), draws=2000, seed=1)
    assert low < values.mean() < high
    np.testing.assert_allclose(high - low, 2 * 1.96 * values.std() / math.sqrt(60), rtol=0.08)


def test_intervals_that_nothing_supports_are_withheld():
    assert all(math.isnan(x) for x in interval(np.mean, [1.0]))
    assert all(math.isnan(x) for x in interval(lambda groups: math.nan, [1.0, 2.0]))
    assert interval(np.mean, [1.0, 1.0, 1.0]) == (1.0, 1.0)
