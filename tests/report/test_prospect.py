"""What more labels would bring, on the page: what was expected beside what came."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from bal.report import prospect
from bal.report.columns import FEW

CLASSES = ("background", "<ink>", "seal")
GAINS = [(math.nan,) * 3, (0.04, -0.1, 0.18), (0.02, -0.05, 0.09)]


def rows(test_images=12):
    """Three rounds."""
    return [
        {
            "round": n,
            "cost": 20.0 * (n + 1),
            "test_images": test_images,
            "regions_audit": 4 * n,
            "iou_<ink>": 0.1 + 0.1 * n,
            "iou_seal": 0.2 + 0.2 * n,
            "agreement_<ink>": 0.5 + 0.1 * n if n else math.nan,
            "agreement_seal": 0.6 if n else math.nan,
            "gain_audit": 0.05 if n else math.nan,
            "gain_audit_error": 0.02 if n == 2 else math.nan,
            **dict(zip(("gain_next", "gain_next_low", "gain_next_high"), gain, strict=True)),
        }
        for n, gain in enumerate(GAINS)
    ]


def cells(text):
    return [["".join(cell.itertext()) for cell in row] for row in ElementTree.fromstring(text).iter("tr")]


def test_the_table_has_a_line_a_round():
    head, first, second, third = cells(prospect.gain_table(rows(), CLASSES))
    assert head == [
        "round",
        "<ink>: agreement",
        "seal: agreement",
        "gain, seen by the audit",
        "gain expected of the next",
    ]
    assert first == ["0", "–", "–", "–", "–"]
    assert second == ["1", "0.600", "0.600", FEW, "0.040-0.100 … 0.180"]
    assert third[3:] == ["0.050± 0.020", "0.020-0.050 … 0.090"]


def test_what_came_is_drawn_where_a_purchase_was_expected():
    figure = prospect.expected_gains(rows(), CLASSES)
    lines = figure.axes[0].lines
    expected = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines if line.get_marker() == "o"]
    measured = [(float(line.get_xdata()[0]), float(line.get_ydata()[0])) for line in lines if line.get_marker() == "D"]
    assert expected == [(60, 0.04), (80, 0.02)], "the last of a purchase that has not been made"
    assert measured == [(40, pytest.approx(0.15)), (60, pytest.approx(0.15))]
    alone = prospect.expected_gains(rows(test_images=0), CLASSES)
    assert not [line for line in alone.axes[0].lines if line.get_marker() == "D"], "the audit does not tell it so well"


@pytest.mark.parametrize("some", [[], rows()[:1], [rows()[2]], [rows()[0], rows()[0]]])
def test_nothing_is_said_before_a_second_model(some):
    assert prospect.prospect(some, CLASSES) == ""


def test_names_are_escaped():
    text = prospect.prospect(rows(), CLASSES)
    assert "&lt;ink&gt;: agreement" in text
    assert not re.search(r"<ink>", text)
    assert "<svg" in text
