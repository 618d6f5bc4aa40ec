"""An interval is shown with the number of images or regions that it rests on, and of too few of them not at all."""

from __future__ import annotations

import re

import pytest
from test_learned import audited, known
from test_page import page_of, rows as judged_rows, visible
from test_report import LOG

from bal.metrics.bootstrap import LEAST
from bal.metrics.trust import sentence
from bal.report import plots
from bal.report.calibration import class_calibration
from bal.report.columns import FEW
from bal.report.learned import nothing

INTERVAL = re.compile(r"\d \d?\.?\d* ?… -?\d|\d\.\d+ … \d")


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def with_images(n, **more):
    """The rows of a run with so many test images, and intervals of everything."""
    return [row | {"test_images": n, "regions_audit": 30} | more for row in judged_rows()]


@pytest.mark.parametrize("n", [2, LEAST - 1, LEAST, 40])
def test_an_interval_over_test_images_is_shown_with_their_number_or_not_at_all(n):
    enough, made = n >= LEAST, with_images(n, trust_regions=3)
    text = visible(page_of(made))
    assert bool(INTERVAL.search(text)) == enough
    assert (f"is its 95 % interval over {n} test images. It knows of no other seed." in text) == enough
    assert (f"An interval over {n} test images would look too sure: that is {FEW}" in text) != enough
    assert (f"0.510 {FEW}" in text) != enough, "in the tables too"
    assert f"{made[-1]['iou_curve_1']:.3f}" in text, "the value itself stays"
    assert any(
        f"bars: 95 % intervals over {n} test images" in said for said in texts(plots.acquisition_curve(made, LOG))
    ) == (enough)
    lines = plots.acquisition_curve(made, LOG).axes[0].lines
    assert any(len(set(line.get_xdata())) == 1 and len(line.get_xdata()) == 2 for line in lines) == enough
    around = {f"ece_{name}": (0.0123, 0.0456) for name in ("foreground", *LOG)}
    assert ("0.0123 … 0.0456" in class_calibration(made[-1], LOG, around)) == enough
    assert f"Whiskers are 95 % intervals over {n} test images." in text or not enough


@pytest.mark.parametrize("n", [1, LEAST - 1, LEAST])
def test_what_the_gate_says_rests_on_the_regions_with_an_error(n):
    row = with_images(30)[-1] | {"trust_regions": n}
    text = visible(page_of([row]))
    enough = n >= LEAST
    assert ("0.61 0.43 … 0.84" in text) == enough
    assert (f"0.61 {FEW}" in text) != enough
    assert f"over {n} audited region{'s' * (n != 1)} with an error" in text
    assert ("…" in sentence(row)) == enough
    assert ("too few to say" in sentence(row)) != enough


def test_of_an_audit_the_number_of_regions_is_said():
    rows = [row | known(name, 0.01, 0.02) for row in audited() for name in LOG[:1]]
    rows = [row | known("curve_1", 0.01, 0.2) for row in rows]
    assert "is its 95 % interval over 40 audited regions." in visible(page_of(rows))


def test_a_verdict_still_knows_how_far_an_interval_reaches_that_is_not_shown():
    rows = [row | {"iou_curve_1": 0.01, "iou_curve_1_low": 0.0, "iou_curve_1_high": 0.2} for row in with_images(2)]
    assert "curve_1" not in nothing(rows, LOG)
