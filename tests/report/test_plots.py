"""Charts with names of any length, and with many of them: all text is inside, and none lies on another."""

from __future__ import annotations

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from test_report import curve

from bal.experiment.state import Look
from bal.report.convergence import audit_curves
from bal.report.plots import acquisition_curve, background_curve
from bal.report.style import fitting, label_width

NAMES = {
    "short": ("paper", "ink"),
    "long": ("paper", "resistivity_curve_deep_laterolog", "resistivity_curve_shallow_log"),
    "wide": ("paper", "W" * 30, "長" * 30),
    "many": ("paper", *(f"a_class_with_a_long_name_{k}" for k in range(31))),
}


def drawn(what, classes):
    rows = [row | {"cost": 1000 * (n + 1)} for n, row in enumerate(curve(classes, 7))]
    if what == "audit":
        return audit_curves({0: [Look(10 * i, 1.0, dict.fromkeys(classes, 0.9)) for i in range(1, 6)]}, classes)
    return (acquisition_curve if what == "curve" else background_curve)(rows, classes)


@pytest.mark.parametrize("what", ["curve", "background", "audit"])
@pytest.mark.parametrize("names", NAMES)
def test_no_text_is_cut_off_or_lies_on_another(what, names):
    figure = drawn(what, NAMES[names])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    below = [t for t in axes.get_xticklabels() if left <= t.get_position()[0] <= right]
    beside = [t for t in axes.get_yticklabels() if bottom <= t.get_position()[1] <= top]
    shown = [t for t in (*axes.texts, axes.xaxis.label, *below, *beside) if t.get_text()]
    boxes = {t.get_text(): t.get_window_extent(canvas.get_renderer()) for t in shown}
    width, height = figure.bbox.width, figure.bbox.height
    for text, box in boxes.items():
        assert box.x0 >= 0, text
        assert box.x1 <= width, text
        assert box.y0 >= 0, text
        assert box.y1 <= height, text
    for (one, a), (other, b) in itertools.combinations(boxes.items(), 2):
        across, down = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert across <= 0 or down <= 0.15 * min(a.height, b.height), (one, other)
    assert len([t for t in axes.texts if "0." in t.get_text()]) >= (
        3 if what == "background" else len(NAMES[names]) - 1
    )


def test_the_middle_of_a_name_is_left_out():
    deep, shallow = (fitting(name, 1.2) for name in NAMES["long"][1:])
    assert deep != shallow
    assert deep.startswith("resis")
    assert deep.endswith("log")
    assert label_width(deep) <= 1.2
    assert fitting("ink", 1.2) == "ink"
