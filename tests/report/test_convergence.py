"""The chart of the fits: whatever was logged is seen, also one point, on a light and on a dark page."""

from __future__ import annotations

import re

import pytest

from bal.experiment.state import Look
from bal.report.convergence import loss_curves
from bal.report.style import INK, MUTED, inline_svg


def looks(*losses):
    return [Look(10 * (step + 1), loss) for step, loss in enumerate(losses)]


@pytest.mark.parametrize("losses", [(0.5,), (0.5, float("nan"))])
def test_a_fit_of_one_point_is_a_dot(losses):
    (axes,) = loss_curves({0: looks(*losses), 1: looks(0.4, 0.3), 2: looks(*losses)}).axes
    dots, line, newest = axes.lines
    assert [one.get_marker() for one in (dots, line, newest)] == ["o", "None", "o"]
    assert min(dots.get_markersize(), newest.get_markersize()) >= 4


def test_a_label_stands_beside_a_mark():
    for losses in ((0.5,), (0.5, 0.4), (0.5, float("nan"))):
        (axes,) = loss_curves({0: looks(*losses)}).axes
        (line,) = axes.lines
        places = [text.xy for text in axes.texts if text.get_text() == "round 0"]
        assert places == [(line.get_xdata()[-1], line.get_ydata()[-1])]


def test_colours_follow_the_theme():
    text = inline_svg(loss_curves({0: looks(0.5), 1: looks(0.4, 0.2), 2: looks(0.3)}), "loss", "loss")
    drawn = re.sub(r"<defs>.*?</defs>", "", text, flags=re.DOTALL)
    assert "var(--ink)" in drawn
    assert "var(--muted)" in drawn
    assert INK[0] not in text
    assert MUTED[0] not in text
    assert not re.findall(r"#[0-9a-f]{6}", text), "a colour that does not turn with the page"
    assert "#000" not in text


def test_every_mark_of_a_fit_can_be_seen():
    """Older fits are fainter, but not so faint that a dark page hides them."""
    (axes,) = loss_curves({n: looks(0.5) for n in range(8)}).axes
    assert min(line.get_alpha() for line in axes.lines) >= 0.4
