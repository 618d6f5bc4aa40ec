"""The newest model on every style of image, where the source knows them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bal.report.columns import ABSENT, show
from bal.report.style import escape
from bal.report.tables import header, table

SHOWN = (("iou", "IoU"), ("tolerant_f1", "tolerant F1"))


def style_table(found: Mapping[str, Mapping[str, float]], classes: Sequence[str]) -> str:
    """A line a style, the most common of the pool first.

    Args:
        found: by style, then by column: `bal.metrics.styles.by_style`.
        classes: names, background first.
    """
    cells = [
        (f"{metric}_{name}", f"{title}, {name}")
        for name in classes[1:]
        for metric, title in SHOWN
        if any(f"{metric}_{name}" in row for row in found.values())
    ]
    body = [
        (
            escape(style),
            f"{100 * row['pool_share']:.1f} %" if row["pool_share"] else ABSENT,
            str(int(row["images"])),
            *(show(row.get(column, math.nan)) for column, _ in cells),
        )
        for style, row in sorted(found.items(), key=lambda item: -item[1]["pool_share"])
    ]
    head = header("style", "of the pool", "test images", *(title for _, title in cells), text=(0,))
    return table(head, body, newest=False, text=(0,))
