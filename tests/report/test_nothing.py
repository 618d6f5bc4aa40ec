"""Where nothing was measured, words stand: no nan, no empty frame, and no purchase that bought nothing."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console
from runs import TINY
from test_learned import audited
from test_page import page_of, rows as judged_rows, visible
from test_report import CONFIG, LOG, curve, reliability

from bal.report import plots, reliability as diagrams, terminal
from bal.report.columns import FEW
from bal.report.lead import summary
from bal.report.lines import round_parts
from bal.report.page import page

NAN = math.nan
NO_ECE = {"ece_foreground": NAN, "ece_foreground_raw": NAN}
EMPTY = ([0.0] * 15, [NAN] * 15, [NAN] * 15)
WHY = "no pixel has a foreground probability of 0.05 or more"


def test_a_diagram_of_no_pixels_is_left_out_with_a_reason():
    bins = reliability() | {"foreground": {"raw": EMPTY, "calibrated": EMPTY}}
    text = page([row | NO_ECE for row in curve()], [], [], CONFIG, LOG, bins)
    assert "ECE nan" not in text
    assert 'aria-label="Reliability of foreground' not in text
    assert f"No diagram: {WHY}." in visible(text)
    assert "Reliability of curve_1" in text
    assert visible(text).count(WHY) == 2, "the tile has no number either"


def test_half_a_diagram_says_that_it_has_no_pixels():
    figure = diagrams.reliability_diagram({"raw": EMPTY, "calibrated": reliability()["curve_1"]["raw"]}, "curve_1")
    said = [text.get_text() for text in figure.texts]
    assert "no pixels" in said
    assert not [text for text in said if "nan" in text]


def test_the_terminal_says_why_there_is_no_calibration_error():
    row = curve()[0] | NO_ECE
    line = "".join(round_parts(row, None, TINY))
    assert WHY in line
    assert "– → –" not in line
    out = Console(width=200, file=io.StringIO(), record=True)
    out.print(terminal.summary_table([row]))
    assert "–→–" not in out.export_text()


@pytest.mark.parametrize("draw", [plots.acquisition_curve, plots.background_curve])
def test_a_chart_without_a_curve_says_so(draw):
    def said(rows):
        (axes,) = draw(rows, LOG).axes
        return [text.get_text() for text in axes.texts]

    assert f"audited regions: {FEW}" in said(audited())
    nothing = [row | {f"{kind}_{c}": NAN for c in LOG for kind in ("iou", "iou_image")} for row in curve()]
    assert "nothing was measured" in said(nothing)
    assert not [text for text in said(curve()) if FEW in text or "nothing" in text]


def test_intervals_are_announced_where_there_are_some():
    some = judged_rows()
    none = [{name: value for name, value in row.items() if not name.startswith(("auroc_", "aurc_"))} for row in some]
    none = [row | {f"{m}_{s}": 0.4 for m in ("auroc", "aurc") for s in ("entropy", "bald")} for row in none]
    note = "lower is better. 95 % intervals are over test images."
    assert [note in visible(page_of(rows)) for rows in (some, none)] == [True, False]


def test_a_purchase_that_bought_nothing_is_not_counted():
    rows = curve(rounds=3)
    closed = [*rows[:2], rows[2] | {"regions": rows[1]["regions"]}]
    assert summary(rows, LOG).startswith("After 2 purchases (72 regions")
    assert summary(closed, LOG).startswith("After 1 purchase (48 regions")
    none = [rows[0], *(row | {"regions": rows[0]["regions"]} for row in rows[1:])]
    assert summary(none, LOG).startswith("With the start set alone (24 regions")
