"""Whether a run has learned its classes at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bal.report.columns import extent, number, sure

NEAR_ZERO = 0.05  # an IoU that is below this in every round, its interval included, says that nothing was learned
_TRY = (
    "Try longer training (--train.steps), a start set that is larger or has more foreground in it (--start, --start-by "
    "contrast), and look whether masks lie on what they should: until then no score can say what to label"
)


def nothing(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> list[str]:
    """Foreground classes of which no model has learned anything.

    In every row that can tell, the newest among them, the upper end of the IoU's 95 % interval, or the IoU where it has
    no interval, is below `NEAR_ZERO`. A class that was measured in no row is not among them, nor one whose interval
    reaches higher because too few images were measured, nor one whose IoU is withheld.

    Args:
        rows: of curve.csv.
        classes: names; class 0 is the background.
    """
    return [
        name
        for name in classes[1:]
        if sure(rows[-1], f"iou_{name}")
        and all(_most(row, f"iou_{name}") < NEAR_ZERO for row in rows if sure(row, f"iou_{name}"))
    ]


def untold(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """Of which classes the audit cannot say yet whether they were learned; empty where it can, or a test set does."""
    found = [name for name in classes[1:] if not sure(rows[-1], f"iou_{name}")]
    if not found:
        return ""
    return (
        f"whether the model has learned {' or '.join(found)} cannot be told yet: too few audited regions show "
        f"{'it' if len(found) == 1 else 'them'}. Each purchase adds some, --audit more of them."
    )


def sentence(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> str:
    """What a person should know of them and can do; empty where every class was learned."""
    found = nothing(rows, classes)
    if not found:
        return ""
    what = "nothing" if len(found) == len(classes) - 1 else f"nothing of {' or '.join(found)}"
    whose = "the IoU of every foreground class" if what == "nothing" else "whose IoU"
    vague = any(not sure(row, f"iou_{name}") for row in rows for name in found)
    stayed = f"{whose} stayed below {NEAR_ZERO} in every round {'that can tell' if vague else 'so far'}"
    return f"the model has learned {what}{': ' if what == 'nothing' else ', '}{stayed}. {_TRY}."


def _most(row: Mapping[str, Any], column: str) -> float:
    """What the IoU may be at most; NaN where it was not measured."""
    _, high = extent(row, column)
    return number(row, column) if math.isnan(high) else high
