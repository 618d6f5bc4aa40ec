"""The key figures of a run, each with its interval."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bal.report.columns import (
    FEW,
    NO_CANDIDATE,
    Row,
    beneath,
    count,
    number,
    of_intervals,
    of_whom,
    on_audit,
    over,
    show,
    sure,
    too_few,
)
from bal.report.style import escape
from bal.report.tables import dot, within


def tiles(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The key figures of the newest round beside those of the first, and what the small numbers are."""
    first, last = rows[0], rows[-1]
    out = []
    for k, name in list(enumerate(classes))[1:]:
        change = "" if len(rows) == 1 else f"{show(number(first, f'iou_{name}'))} at the start · "
        note = f"{change}{show(number(last, f'iou_image_{name}'))} mean over images"
        if on_audit(last):
            note = f"on {count(number(last, 'regions_audit'))} audited regions"
        out.append(_tile(f"{dot(k)}IoU of {escape(name)}", _iou(last, name), note))
    baseline, name = number(last, "iou_all_background"), classes[0]
    note = "" if math.isnan(baseline) else f"{baseline:.3f} if everything is called {escape(name)}"
    out.append(_tile(f"{dot(0)}IoU of {escape(name)}", _iou(last, name), note))
    ece, before = "ece_foreground", number(last, "ece_foreground_raw")
    note = "of the foreground" + ("" if math.isnan(before) else f"; {before:.4f} before calibration")
    if math.isnan(number(last, ece)) and ece in last:
        note = NO_CANDIDATE
    out.append(_tile("Calibration error (ECE)", within(number(last, ece), beneath(last, ece, 4), 4), note))
    share = number(last, "steered_share")
    steered = math.isfinite(share) and number(last, "round") != 0
    note = f"{100 * share:.0f} % of the newest purchase steered" if steered else ""
    out.append(_tile("Labelling cost so far", count(number(last, "cost")), note))
    small = any('"between"' in tile for tile in out)
    said = of_intervals(last) if too_few(last) else f"{_SMALL.format(over(last) or 'over test images')} {_SEED}"
    under = f'<p class="note">{of_whom(said, last)}</p>' if small else ""
    return f'<div class="grid tiles">{"".join(out)}</div>{under}'


_SMALL = "Small beneath a number, here and below, is its 95 % interval {}."
_SEED = "It knows of no other seed."


def _iou(row: Row, name: str) -> str:
    column = f"iou_{name}"
    return within(number(row, column), beneath(row, column, 3), 3) if sure(row, column) else FEW


def _tile(name: str, value: str, note: str) -> str:
    return (
        f'<div class="card tile"><div class="name">{name}</div><div class="value">{value}</div>'
        f'<div class="note">{note}</div></div>'
    )
