"""The sentences at the top of the page: where the run stands, and what a person should know first."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from bal.experiment.hand_over import sentence as unseen
from bal.report.columns import Row, count, number, on_audit, told
from bal.report.learned import sentence as unlearned, untold
from bal.report.style import escape

NAMED = 4  # foreground classes up to which the first sentence names each


def lead(rows: Sequence[Row], classes: Sequence[str], waiting: int) -> str:
    """The summary as HTML, and what is amiss, a paragraph each."""
    found = unlearned(rows, classes), untold(rows, classes), _of_labels(rows, classes)
    said = [escape(text[0].upper() + text[1:]) for text in found if text]
    if waiting:
        regions, wait = ("regions", "wait") if waiting > 1 else ("region", "waits")
        said.append(f"{waiting} {regions} of the next purchase {wait} for answers.")
    first = f'<p class="lead">{_together(rows, classes)}</p>'
    return first + "".join(f'<p class="said">{text}</p>' for text in said)


def _of_labels(rows: Sequence[Row], classes: Sequence[str]) -> str:
    found = unseen(rows[-1], classes)
    return f"{found}." if found else ""


def summary(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """One sentence on where the run stands, as plain text."""
    first, last = rows[0], rows[-1]
    n = _purchases(rows)
    spent = f"({count(number(last, 'regions'))} regions, {count(number(last, 'pixels'))} pixels)"
    when = f"After {count(n)} purchase{'s' * (n != 1)} {spent}" if n > 0 else f"With the start set alone {spent}"
    if on_audit(last):
        audited = f"on {count(number(last, 'regions_audit'))} audited regions"
        each = ", ".join(f"{c} {told(last, f'iou_{c}')}" for c in classes[1:][:NAMED])
        return f"{when}: IoU {audited}, there being no test set: {each}."
    values = [(number(first, f"iou_{c}"), number(last, f"iou_{c}"), c) for c in classes[1:]]
    known = [v for v in values if math.isfinite(v[1])]
    if len(known) > NAMED:
        ranked = sorted(known, key=lambda v: v[1])
        known = [ranked[0], ranked[-1]]
        lead = f"IoU of {len(ranked)} foreground classes, worst and best: "
    else:
        lead = ""
    parts = []
    for i, (start, now, name) in enumerate(known):
        change = f"{start:.2f} → {now:.2f}" if len(rows) > 1 and math.isfinite(start) else f"{now:.2f}"
        parts.append(f"{name} {'' if i or lead else 'IoU '}{change}")
    text = f"{when}: {lead}{', '.join(parts) or 'no foreground IoU was measured'}"
    ground, baseline = number(last, f"iou_{classes[0]}"), number(last, "iou_all_background")
    if math.isfinite(ground):
        text += f"; {classes[0]} {ground:.3f}"
        if math.isfinite(baseline):
            verdict = ", which is better" if baseline > ground else ""
            text += f", predicting {classes[0]} everywhere scores {baseline:.3f}{verdict}"
    return text + "."


def _purchases(rows: Sequence[Row]) -> float:
    """How many purchases after the start set have brought a region: one may be closed before anybody has answered."""
    closed = sum(number(now, "regions") <= number(before, "regions") for before, now in pairwise(rows))
    return number(rows[-1], "round") - closed


def _together(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The summary as HTML in which no line breaks between a name and its numbers."""
    change = r"[^\s,;:]+( IoU)? \d\.\d+( → \d\.\d+)?"
    return re.sub(change, r'<span class="together">\g<0></span>', escape(summary(rows, classes)))
