"""No verdict, and no mark in a chart, comes from numbers that are withheld."""

from __future__ import annotations

import math

import pytest
from matplotlib.figure import Figure
from test_page import page_of, visible
from test_report import CONFIG, LOG, curve

from bal.experiment.folder import RunFolder
from bal.experiment.state import Look
from bal.report import plots, terminal
from bal.report.columns import FEW
from bal.report.learned import sentence, untold
from bal.report.page import page
from bal.report.tables import definitions

NAN = math.nan


def audited(count=3, **more):
    """Rows of a run without a test set: IoUs of 0.0123, and intervals that a few regions cannot give."""
    found = []
    for row in curve(rounds=count):
        row |= {"test_images": 0, "regions_audit": 40} | {f"iou_audit_{c}": 0.0123 for c in LOG}
        for name in LOG:
            row |= {f"{kind}_{name}": 0.0123 for kind in ("iou", "f1", "iou_image")}
            row |= {f"iou_{name}_low": NAN, f"iou_{name}_high": NAN}
        found.append(row | more)
    return found


def known(name, low, high):
    """The interval of a class."""
    return {f"iou_{name}_low": low, f"iou_{name}_high": high}


def heights(figure: Figure, colour: str) -> list[float]:
    """Of whatever is drawn in a colour."""
    lines = [line for axes in figure.axes for line in axes.lines if line.get_color() == colour]
    return [float(y) for line in lines for y in line.get_ydata() if math.isfinite(y)]


def test_a_verdict_needs_numbers_that_are_shown():
    few = audited()
    assert sentence(few, LOG) == ""
    assert untold(few, LOG).startswith("whether the model has learned curve_1 or curve_2 cannot be told yet")
    assert untold(curve(), LOG) == "", "of a test set"
    one = [*few[:-1], few[-1] | known("curve_1", 0.0, 0.04)]
    assert "learned nothing of curve_1, whose IoU stayed below 0.05 in every round that can tell" in sentence(one, LOG)
    assert "learned curve_2 cannot" in untold(one, LOG)
    late = [few[0] | known("curve_1", 0.0, 0.04), *few[1:]]
    assert sentence(late, LOG) == "", "the newest cannot tell"
    never = [row | known("curve_1", 0.0, 0.04) | known("curve_2", 0.0, 0.04) for row in few]
    assert "learned nothing: the IoU of every foreground class" in sentence(never, LOG)
    assert "in every round so far" in sentence(never, LOG)
    assert untold(never, LOG) == ""


def test_page_and_terminal_say_that_it_cannot_be_told(tmp_path, monkeypatch, capsys):
    rows = audited()
    text = visible(page_of(rows))
    assert "learned nothing" not in text
    assert "Whether the model has learned curve_1 or curve_2 cannot be told yet" in text
    monkeypatch.setattr(RunFolder, "rows", lambda folder, size=None: rows)
    display = terminal.Display(terminal.Config(), tmp_path / "run", quiet=True)
    display.__exit__(None, None)
    said = " ".join(capsys.readouterr().out.split())
    assert "learned nothing" not in said
    assert "note: whether the model has learned curve_1 or curve_2 cannot be told yet" in said


def test_no_chart_draws_what_is_withheld():
    few = audited()
    for draw in (plots.acquisition_curve, plots.background_curve):
        for k in range(len(LOG)):
            assert heights(draw(few, LOG), plots.class_colour(k)) == []
    some = [row | known(name, 0.01, 0.02) for row in few[1:] for name in LOG[:1]]
    assert heights(plots.background_curve([few[0], *some], LOG), plots.class_colour(0)) == pytest.approx([0.0123] * 4)


@pytest.mark.parametrize("more", [{}, {"test_images": 12}], ids=["no test set", "test set"])
def test_the_iou_of_a_fit_is_drawn_as_far_as_the_audit_can_tell(more):
    fits = {2: [Look(step, 1.0, dict.fromkeys(LOG, 0.0123)) for step in (1, 2)]}
    few, enough = audited(**{"regions_audit": 9} | more), audited(**more)
    enough[-1] |= known("curve_1", 0.01, 0.02) | known("curve_2", 0.01, 0.02)
    drawn = [page(rows, [], [], CONFIG, LOG, fits=fits) for rows in (few, enough)]
    assert ["IoU on the audit against steps" in text for text in drawn] == [False, True]
    assert f"IoU on the audit, {' and '.join(LOG)}: {FEW}." in visible(drawn[0])


def test_the_small_print_does_not_say_it_either():
    assert "0.0123" not in definitions(audited(), LOG)
    assert FEW in definitions(audited(), LOG)
    assert "0.0123" in definitions([audited()[0] | {"test_images": 9}], LOG)
