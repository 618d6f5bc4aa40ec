"""What the test images say of the probabilities: every event's calibration before and after, and errors found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bal.metrics.detection import SCORES
from bal.report.columns import FEW, Row, beneath, count, ends, number, of_intervals, of_whom, show, too_few
from bal.report.reliability import order
from bal.report.style import escape
from bal.report.tables import dot, header, table, within

Intervals = Mapping[str, tuple[float, float]]
NAMES = {"entropy": "predictive entropy", "bald": "mutual information", "acquisition": "the run's acquisition"}


def class_calibration(row: Row, classes: Sequence[str], around: Intervals) -> str:
    """ECE and the parts of the Brier score of the newest round, an event a line; nothing where they are missing.

    Args:
        row: of curve.csv.
        classes: names; class 0 is the background.
        around: intervals by column.
    """
    if "brier_reliability_foreground" not in row:
        return ""

    def pair(column: str) -> tuple[str, str]:
        return _within(row, f"{column}_raw", around), _within(row, column, around)

    body = []
    for name, colour in order(classes):
        mark = escape(name) if colour is None else f"{dot(list(classes).index(name))}{escape(name)}"
        parts = *pair(f"brier_reliability_{name}"), *pair(f"brier_resolution_{name}")
        uncertainty = _within(row, f"brier_uncertainty_{name}", around)
        body.append((mark, *pair(f"ece_{name}"), *parts, uncertainty))
    body.insert(1, ("foreground, bins of equal mass", *pair("ece_mass_foreground"), *[""] * 5))
    body.append(("mean over classes", *pair("ece_classes"), *[""] * 5))
    head = (
        '<tr class="group"><th></th><th colspan="2"><span>ECE</span></th>'
        '<th colspan="2"><span>Brier: reliability</span></th><th colspan="2"><span>Brier: resolution</span></th>'
        "<th><span>Brier: uncertainty</span></th></tr>"
    ) + header("probability of", *["before", "after"] * 3, "", text=(0,))
    note = f"{of_whom(_CALIBRATION, row)} {of_intervals(row)}"
    return f'<p class="note">{note}</p>{table(head, body, newest=False, text=(0,))}'


def errors_found(rows: Sequence[Row]) -> str:
    """AUROC and AURC of every score, round by round; nothing where they are missing."""
    scores = [score for score in SCORES if f"auroc_{score}" in rows[-1]]
    if not scores:
        return ""
    body = [
        (
            count(number(row, "round")),
            *(_own(row, f"{metric}_{score}", digits) for score in scores for metric, digits in _METRICS),
            show(number(row, "error_rate"), 4),
        )
        for row in rows
    ]
    groups = "".join(f'<th colspan="2"><span>{NAMES[score]}</span></th>' for score in scores)
    head = f'<tr class="group"><th></th>{groups}<th></th></tr>' + header(
        "round", *["AUROC", "AURC"] * len(scores), "error rate"
    )
    small = any('class="between"' in cell for cells in body for cell in cells)
    over = f" {of_intervals(rows[-1])}" if small else ""
    return f'<p class="note">{of_whom(_ERRORS, rows[-1])}{over}</p>{table(head, body)}'


_METRICS = (("auroc", 3), ("aurc", 4))
_CALIBRATION = (
    "The newest round on the test images. Of each event, Brier score = "
    "reliability − resolution + uncertainty, up to what varies inside bins: calibration should lower the reliability "
    "term (0 is perfect) and leave the resolution. The foreground is asked of candidates only."
)
_ERRORS = (
    "And on the test images, of all wrongly predicted pixels. AUROC: how often the score of one exceeds that of a "
    "right one, 0.5 is chance. AURC: mean error rate among the most trusted pixels over all shares of them, the error "
    "rate is chance, lower is better."
)


def _within(row: Row, column: str, around: Intervals) -> str:
    """A value of the newest round with the interval of its column."""
    small = "" if column not in around or math.isnan(number(row, column)) else ends(*around[column], 4) or FEW
    return within(number(row, column), FEW if small and too_few(row) else small, 4)


def _own(row: Row, column: str, digits: int) -> str:
    """A value with the interval that its row has."""
    return within(number(row, column), beneath(row, column, digits), digits)
