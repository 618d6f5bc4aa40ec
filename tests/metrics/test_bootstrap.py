"""Bootstrap intervals against resampling by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from test_metrics import NAMES, example, scores

from bal.metrics import summary
from bal.metrics import tally as metrics
from bal.metrics.bootstrap import bands, columns, draw
from bal.metrics.tally import tally_images


@pytest.fixture(scope="module")
def each() -> metrics.Tally:
    """Tallies of 7 images; the last but one holds background only and the last is not labelled."""
    batches = [example(seed) for seed in range(2)]
    calibrated, raw, label = (np.concatenate(x)[[0, 1, 2, 4, 5, 6, 7]] for x in zip(*batches, strict=True))
    label[5] = np.where(label[5] == metrics.IGNORE, metrics.IGNORE, 0)
    zeros = metrics.zeros(3, 7, scores=2)
    tallies = tally_images(calibrated, raw, label, scores(calibrated, raw))
    return metrics.Tally(*(z + np.asarray(t) for z, t in zip(zeros, tallies, strict=True)))


def pick(each: metrics.Tally, rows: np.ndarray) -> metrics.Tally:
    return metrics.total(metrics.Tally(*(x[rows] for x in each)))


def test_tallies_of_images_add_up_to_that_of_the_batch():
    batch = example()
    whole = metrics.tally_batch(*batch)
    for name, left, right in zip(whole._fields, metrics.total(tally_images(*batch)), whole, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-5, err_msg=name)


def test_every_draw_is_the_summary_of_its_images(each):
    found = draw(each, NAMES, draws=5, seed=3)
    times = np.random.default_rng(3).multinomial(7, np.full(7, 1 / 7), 5)
    for d, k in enumerate(times):
        sums = pick(each, np.repeat(np.arange(7), k))
        expected = summary.summary(sums, NAMES)
        for name, values in found.values.items():
            np.testing.assert_allclose(values[d], expected[name], rtol=1e-9, err_msg=name)
        frequency = [diagram.frequency for diagram in summary.reliability(sums, NAMES).values()]
        np.testing.assert_allclose(found.frequency[d].reshape(8, -1), frequency, rtol=1e-9)


def test_columns_bracket_the_estimate(each):
    row, found = columns(each, NAMES), summary.summary(metrics.total(each), NAMES)
    assert list(row)[:2] == ["iou_background_low", "iou_background_high"]
    assert len(row) == 2 * (3 + 4 + 4)
    for name in ("iou_curve_1", "nll", "nll_raw", "ece_foreground_raw", "auroc_bald", "aurc_entropy"):
        assert row[f"{name}_low"] < found[name] < row[f"{name}_high"], name
    assert row == columns(each, NAMES)


def test_one_image_has_no_interval(each):
    one = metrics.Tally(*(x[:1] for x in each))
    assert all(math.isnan(value) for value in columns(one, NAMES).values())
    band = bands(one, NAMES)["foreground"]
    assert np.isnan(band.low).all()
    assert not np.isnan(band.frequency).all()
    none = metrics.Tally(*(x[:0] for x in each))
    assert all(math.isnan(value) for value in columns(none, NAMES).values())


def test_bands_hold_the_frequencies(each):
    found = bands(each, NAMES)
    assert list(found) == list(summary.reliability(metrics.total(each), NAMES))
    for name, band in found.items():
        some = ~np.isnan(band.low)
        assert some.any(), name
        assert (band.low[some] <= band.frequency[some] + 1e-12).all(), name
        assert (band.frequency[some] <= band.high[some] + 1e-12).all(), name
