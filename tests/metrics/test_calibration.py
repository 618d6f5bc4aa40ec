"""Reliability diagrams and the parts of a Brier score, by hand and against each other."""

from __future__ import annotations

import math

import numpy as np
from examples import NAMES, example, measure, softmax

from bal.metrics._reliability import Reliability, decompose
from bal.metrics.bootstrap import bands
from bal.metrics.calibration import Calibration, diagrams, names
from bal.metrics.tally import tally_images
from bal.types import IGNORE


def test_the_parts_of_a_brier_score_by_hand() -> None:
    """Two values of p, 0.2 and 0.8, on 10 pixels each, of which 1 and 7 are events."""
    count, p, o = np.array([10, 0, 10]), np.array([0.2, np.nan, 0.8]), np.array([0.1, np.nan, 0.7])
    parts = decompose(Reliability(count, p, o))
    np.testing.assert_allclose(parts, (0.01, 0.09, 0.24))
    brier = (1 * 0.8**2 + 9 * 0.2**2 + 7 * 0.2**2 + 3 * 0.8**2) / 20
    np.testing.assert_allclose(parts.reliability - parts.resolution + parts.uncertainty, brier)
    assert all(math.isnan(x) for x in decompose(Reliability(0 * count, p * np.nan, o * np.nan)))


def test_the_parts_nearly_add_up_in_bins() -> None:
    calibrated, raw, label = example()
    diagram = bands(tally_images(calibrated, raw, label), NAMES)["curve_1"]
    parts = decompose(Reliability(*diagram[:3]))
    some = label != IGNORE
    brier = np.mean((calibrated[some][:, 1] - (label[some] == 1)) ** 2)
    assert abs(parts.reliability - parts.resolution + parts.uncertainty - brier) < 0.002


def test_diagrams_hold_every_pixel_in_its_bin() -> None:
    p1 = np.array([0.0, 0.06, 1 / 15, 0.5, 14 / 15, 1.0], np.float32)
    probs = np.stack([1 - p1, p1], -1).reshape(1, 1, -1, 2)
    label = np.array([0, 1, 0, 1, 1, 1]).reshape(1, 1, -1)
    found = bands(tally_images(probs, probs, label), ("paper", "ink"))
    assert list(found) == ["paper", "ink", "foreground", "paper_raw", "ink_raw", "foreground_raw"]
    ink = found["ink"]
    assert ink.count[[0, 1, 7, 14]].tolist() == [2, 1, 1, 2]
    assert ink.count.sum() == 6
    np.testing.assert_allclose(ink.confidence[[0, 1, 7, 14]], [0.03, 1 / 15, 0.5, (14 / 15 + 1) / 2], atol=1e-6)
    assert ink.frequency[[0, 1, 7, 14]].tolist() == [0.5, 0.0, 1.0, 1.0]
    assert np.isnan(ink.confidence[2])
    assert found["foreground"].count.sum() == 5  # p = 0 is no candidate


def test_diagrams_are_named_as_they_lie() -> None:
    shape = diagrams(Calibration().zeros(3, 0)).count.shape
    assert len(names(NAMES)) == shape[0] * shape[1]


def test_a_calibrated_model_has_no_foreground_error() -> None:
    calibrated, raw, label = example(seed=4)
    exact = softmax(np.log(calibrated) / np.float32(1.1))
    got = measure((exact, raw, label))
    assert got["ece_foreground"] < 0.03 < 0.1 < got["ece_foreground_raw"]
