"""What more labels would bring: how far each purchase moved the model, and what the next was expected to gain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure

from bal.report.columns import ABSENT, FEW, Row, count, ends, horizontal, number, on_audit, show, sure
from bal.report.plots import HEIGHT, figure_of, frame, heading, labelled_axes
from bal.report.style import INK, MUTED, class_colour, drawing, inline_svg
from bal.report.tables import header, table, within

NOTE = (
    "Agreement is the Jaccard index of what this model and the one before label, on some images of the pool; the IoU "
    "on them has changed by at most one minus it. How much of such a change is gain was measured over other runs; what "
    "the audit sees in this one mends it. Gains are of the mean IoU of the foreground."
)


def prospect(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The table and the figure under it; empty before a second model."""
    if len(rows) < 2 or not any(math.isfinite(number(row, "gain_next")) for row in rows):
        return ""
    figure = inline_svg(expected_gains(rows, classes), "gains", "Expected and measured gain of each purchase")
    beside = f'<div class="grid curves" style="margin-top:14px"><figure class="card">{figure}</figure></div>'
    return f'<div class="card">{gain_table(rows, classes)}</div>{beside}'


def gain_table(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """Agreement, the gain that the audit saw, and what was expected of the next purchase, round by round."""
    body = [
        (
            count(number(row, "round")),
            *(show(number(row, f"agreement_{name}")) for name in classes[1:]),
            _with_error(number(row, "gain_audit"), number(row, "gain_audit_error")),
            within(gain, ends(number(row, "gain_next_low"), number(row, "gain_next_high"), 3), 3)
            if math.isfinite(gain := number(row, "gain_next"))
            else ABSENT,
        )
        for row in rows
    ]
    same = (f"{name}: agreement" for name in classes[1:])
    return table(header("round", *same, "gain, seen by the audit", "gain expected of the next"), body)


def _with_error(gain: float, error: float) -> str:
    if not math.isfinite(gain):
        return ABSENT
    return within(gain, f"± {error:.3f}", 3) if math.isfinite(error) else FEW


def measured(rows: Sequence[Row], classes: Sequence[str]) -> list[float]:
    """Mean IoU of the foreground on the test images, round by round; NaN where they cannot tell."""
    names = [f"iou_{name}" for name in classes[1:]]
    return [
        float(np.mean([number(row, name) if sure(row, name) and not on_audit(row) else math.nan for name in names]))
        for row in rows
    ]


def expected_gains(rows: Sequence[Row], classes: Sequence[str]) -> Figure:
    """Gains against cost: what each purchase had been expected to gain, with intervals, and what the test set says.

    The last point is of a purchase that has not been made.
    """
    with drawing():
        x, label = horizontal(rows)
        axes = labelled_axes(0.55, 0.1, HEIGHT)
        iou = measured(rows, classes)
        at = [*x[1:], 2 * x[-1] - x[-2]]
        spans = [[number(row, f"gain_next{end}") for end in ("", "_low", "_high")] for row in rows]
        values = [0.0]
        for place, (gain, low, high) in zip(at, spans, strict=True):
            if math.isfinite(gain):
                axes.plot([place, place], [low, high], color=class_colour(1), lw=1.4, alpha=0.75)
                axes.plot([place], [gain], "o", color=class_colour(1), ms=5)
                values += [low, high]
        for place, (before, after) in zip(x[1:], pairwise(iou), strict=True):
            if math.isfinite(after - before):
                axes.plot([place], [after - before], "D", color=INK[0], ms=5, mfc="none")
                values.append(after - before)
        axes.axhline(0, color=MUTED[0], lw=0.8)
        pad = 0.06 * (max(values) - min(values)) or 0.01
        frame(axes, at, label, (min(values) - pad, max(values) + pad))
        known = any(math.isfinite(b - a) for a, b in pairwise(iou))
        heading(axes, "gain of mean IoU · dots: expected" + (" · diamonds: measured" if known else ""))
        return figure_of(axes)
