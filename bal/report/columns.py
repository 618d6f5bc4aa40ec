"""Reading the rows of curve.csv, and what each of its columns means; metrics say so themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bal.metrics import summary
from bal.metrics.base import Cell
from bal.metrics.bootstrap import INTERVAL, LEAST
from bal.metrics.calibration import CANDIDATE

Row = Mapping[str, float | int | str]
ABSENT = "–"
FEW = "too few to say"
NO_CANDIDATE = f"no pixel has a foreground probability of {CANDIDATE} or more"  # so that the ECE is of none
TOO_WIDE = 0.3  # of an interval from an audit: what is known no better than that is not shown
_WORDS = {
    "test image": "audited region",
    "test pixels": "audited pixels",
    "test set": "audit",
    "over images": "over regions",
    "er image": "er region",
    "each image": "each region",
    "every image": "every region",
}

_FIXED = {
    "round": "How many purchases had been made after the start set when this model was trained.",
    "regions": "Regions labelled so far, the start set included.",
    "pixels": "Pixels inside those regions.",
    "cost": "Labelling cost so far, in the units of the cost model named in the configuration.",
    "regions_audit": "Regions among them drawn at random and kept for calibration; no model is trained on them.",
    "test_images": "Images of the test set. 0: there is none, and what is said of test images is said of the audited "
    "regions, each half judged by a calibrator that was fitted to the other.",
    "steered_share": "Share of the newest purchase that followed the acquisition score; the rest was drawn at random.",
    "temperature": "What the logits are divided by before they become probabilities; the geometric mean where each "
    "class has its own. Above 1: the raw model was over-confident.",
    "trust_share": "Share of the next purchase that the score has earned by finding errors on the audited regions; "
    "with --steer auto it is what is steered.",
    "trust_auroc": "How often the score of a wrongly predicted audited pixel exceeds that of a rightly predicted one; "
    "0.5 is chance.",
    "trust_capture": "Share of all errors on audited regions that lie in the 10 % of pixels with the highest scores; "
    "0.1 is chance.",
    "trust_promise": "Errors that the probabilities read by the acquisition promise for each one they make, on audited "
    "regions. Below 1: over-confident.",
    "trust_regions": "Audited regions with at least one wrongly predicted pixel.",
    "seen_in_audit": "Audited regions whose labels show foreground, counted once for each class that they show; "
    "without one the score has not been judged.",
    "handed_over": "1 if what is bought next follows the score, 0 if it follows the predicted foreground, because no "
    "label shows some class yet or no audited region shows foreground.",
    "gain_audit": "By how much IoU on the audited regions, mean over the classes of the foreground, rose since the "
    "model before; the same regions for both.",
    "gain_audit_error": "Standard error of that gain, by the jackknife over regions; empty for fewer than ten.",
    "gain_next": "By how much one more purchase like the newest is expected to raise the IoU, mean over the classes of "
    "the foreground: from how far the newest one changed what the model says, and from what the audit saw.",
    "gain_next_low": "Lower end of the 95 % interval of that gain.",
    "gain_next_high": "Upper end of the 95 % interval of that gain.",
    "gain_factor": "How much of such changes is gain in this run, as a multiple of what it was in other runs.",
    "gain_factor_error": "Standard deviation of what is believed of that factor.",
    "stopped": "1 if the stopping rule has ended the run with this model, else 0.",
    "risk_audit": "Negative log-likelihood on the audited regions, in nats a pixel.",
    "risk_lure": "Negative log-likelihood on all that was unlabelled, in nats a pixel, estimated from the regions this "
    "model asked about, each weighted by what it stands for (R_LURE). Empty where nothing was drawn at random or with "
    "known probabilities.",
    "loss_end": "Training loss over the last steps of the fit.",
    "loss_fall": "By which share the training loss over the last fifth of the steps was below that over the fifth "
    "before. Above 0.1: training had not converged, and more steps may be worth more than more labels.",
    "seconds_fit": "Seconds spent training and calibrating.",
    "seconds_score": "Seconds spent scoring the pool and choosing regions.",
}
_PER_CLASS = {
    "agreement_": "How far this model and the one before label the same pixels “{}”, on some images of the pool: their "
    "Jaccard index. The IoU has changed by at most one minus it on those images.",
    "seen_": "Training regions whose labels show “{}”.",
    "trust_gap_": "Mean confidence minus accuracy over the audited pixels predicted as “{}”, of the probabilities that "
    "the acquisition reads. Above 0: over-confident.",
    "iou_mix_": "IoU of “{}”, pooled over the test pixels as if the test set had its styles in the proportions of the "
    "pool.",
    "iou_styles_": "Mean over the styles of the test set of the IoU of “{}”, which is pooled within each style.",
    "iou_worst_": "Mean of the IoU of “{}” over the three styles of the test set where it is lowest.",
    "iou_audit_": "IoU of “{}” on the audited regions, which were drawn at random and never trained on.",
    "iou_lure_": "IoU of “{}” on all that was unlabelled, estimated from the regions this model asked about, each "
    "weighted by what it stands for. Empty where nothing was drawn at random or with known probabilities.",
}


def number(row: Row, column: str) -> float:
    """The value of a column; NaN where it is missing, empty or not a number."""
    try:
        return float(row.get(column, math.nan))
    except (TypeError, ValueError):
        return math.nan


def horizontal(rows: Sequence[Row]) -> tuple[list[float], str]:
    """The x axis of the learning curves: (values, label). Cost, or the round where a cost is missing."""
    cost = [number(row, "cost") for row in rows]
    if all(math.isfinite(c) for c in cost):
        return cost, "labelling cost"
    return [number(row, "round") for row in rows], "round"


def on_audit(row: Row) -> bool:
    """Whether there is no test set, so that what is said of a model is said from the audit."""
    return number(row, "test_images") == 0


def units(row: Row, column: str = "") -> float:
    """How many images or regions the interval of a column rests on: what was drawn, not pixels; NaN if unknown.

    The test images, or else the audited regions; of what finds errors on the audit, the regions that have one.
    """
    if column.startswith("trust_"):
        return number(row, "trust_regions")
    return number(row, "regions_audit" if on_audit(row) else "test_images")


def too_few(row: Row, column: str = "") -> bool:
    """Whether an interval rests on fewer than may say anything, so that it is withheld."""
    return units(row, column) < LEAST


def over(row: Row, column: str = "") -> str:
    """What the interval of a column is over, with its number: "over 24 test images"; empty if unknown."""
    n = units(row, column)
    kind = "audited region" if on_audit(row) or column.startswith("trust_") else "test image"
    errors = " with an error" if column.startswith("trust_") else ""
    return "" if math.isnan(n) else f"over {count(n)} {kind}{'s' * (n != 1)}{errors}"


def of_intervals(row: Row, column: str = "") -> str:
    """A sentence on the intervals of a row: over how many they are, or that so few cannot say."""
    n = over(row, column)
    if too_few(row, column):
        return f"An interval {n} would look too sure: that is {FEW}, and {LEAST} are asked for."
    return f"95 % intervals are {n or 'over test images'}."


def extent(row: Row, column: str) -> tuple[float, float]:
    """The ends of a column's interval as curve.csv has them; NaN where it has none."""
    low, high = (number(row, column + end) for end in INTERVAL)
    return low, high


def between(row: Row, column: str) -> tuple[float, float]:
    """The ends of a column's interval as it may be shown; NaN where it has none, or rests on too few."""
    return (math.nan, math.nan) if too_few(row, column) else extent(row, column)


def beneath(row: Row, column: str, digits: int) -> str:
    """What is small beneath a value: its interval, that too few were measured for one, or nothing."""
    if column + INTERVAL[0] not in row or math.isnan(number(row, column)):
        return ""
    return ends(*between(row, column), digits) or FEW


def sure(row: Row, column: str) -> bool:
    """Whether a column may be shown: always of a test set; from an audit with an interval that says something."""
    low, high = between(row, column)
    return not on_audit(row) or high - low <= TOO_WIDE


def withheld(row: Row, cell: Cell) -> str:
    """What stands for a number of a class that the audit cannot tell, words or a dash; empty where it may be shown."""
    unsure = on_audit(row) and not sure(row, f"iou_{cell.name}")
    if cell.column == f"iou_{cell.name}" or f"{cell.column}{INTERVAL[0]}" in row:
        return "" if sure(row, cell.column) else FEW
    says_iou = (f"f1_{cell.name}", f"iou_image_{cell.name}", f"iou_audit_{cell.name}")
    return ABSENT if unsure and cell.column in says_iou else ""


def audited_enough(row: Row, name: str) -> bool:
    """Whether the IoU of a class on the audited regions may be shown."""
    return sure(row, f"iou_{name}") if on_audit(row) else not number(row, "regions_audit") < LEAST


def told(row: Row, column: str, digits: int = 2) -> str:
    """A value; from an audit with its interval, or that too few regions have been audited to say."""
    if not on_audit(row):
        return show(number(row, column), digits)
    low, high = between(row, column)
    return f"{show(number(row, column), digits)} ({ends(low, high, 2)})" if sure(row, column) else FEW


def ends(low: float, high: float, digits: int) -> str:
    """An interval as it is written everywhere: "low … high"; empty where there is none."""
    return "" if math.isnan(low) or math.isnan(high) else f"{show(low, digits)} … {show(high, digits)}"


def of_whom(text: str, row: Row) -> str:
    """A text on test images, as one on audited regions where these are what was judged on."""
    if on_audit(row):
        for images, regions in _WORDS.items():
            text = text.replace(images, regions)
    return text


def show(value: float, digits: int = 3) -> str:
    """Fixed digits, a dash for NaN; what is rounded to 0 has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}" if math.isfinite(value) else ABSENT


def count(value: float) -> str:
    """At most two digits behind the point, thousands separated: 36,864 or 12.5."""
    return f"{value:,.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else ABSENT


def meaning(column: str, classes: Sequence[str]) -> str:
    """One or two sentences on a column of curve.csv, as plain text."""
    known = _FIXED.get(column) or summary.meaning(column, classes)
    if known:
        return known
    for prefix, text in _PER_CLASS.items():
        if column.startswith(prefix) and column.removeprefix(prefix) in classes:
            return text.format(column.removeprefix(prefix))
    for end, which in zip(INTERVAL, ("Lower", "Upper"), strict=True):
        if column.startswith("trust_") and column.endswith(end):
            whole = meaning(column.removesuffix(end), classes)
            return f"{which} end of a 95 % bootstrap interval over audited regions. {whole}"
    if column.startswith("temperature_") and (k := column.removeprefix("temperature_")).isdigit():
        return f"The temperature of the pixels whose most likely class is “{classes[int(k)]}”."
    if column.startswith("seconds_"):
        return f"Seconds spent on “{column.removeprefix('seconds_')}”."
    return "Recorded by an extension, for instance by the calibrator."
