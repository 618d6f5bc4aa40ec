"""Reading the rows of curve.csv, and what each of its columns means."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from bal.metrics.tally import CANDIDATE

Row = Mapping[str, float | int | str]
ABSENT = "–"

_GAP = (
    "mean gap between predicted probability and observed frequency over bins of probability, "
    "weighted by the pixels in each. 0 is perfect."
)
_BRIER = (
    "Brier score = reliability − resolution + uncertainty, but for what varies inside bins; "
    f"that of the foreground is over the pixels where it was at least {CANDIDATE} before calibration."
)
_FIXED = {
    "round": "How many purchases had been made after the start set when this model was trained.",
    "regions": "Regions labelled so far, the start set included.",
    "pixels": "Pixels inside those regions.",
    "cost": "Labelling cost so far, in the units of the cost model named in the configuration.",
    "regions_audit": "Regions among them drawn at random and kept for calibration; no model is trained on them.",
    "steered_share": "Share of the newest purchase that followed the acquisition score; the rest was drawn at random.",
    "temperature": "What the logits are divided by before they become probabilities; the geometric mean where each "
    "class has its own. Above 1: the raw model was over-confident.",
    "nll": "Negative log-likelihood of the true class, mean over the labelled test pixels, in nats. Lower is better.",
    "brier": "Brier score: squared distance between the predicted probabilities and the truth, "
    "mean over the labelled test pixels. Lower is better.",
    "ece_classes": "Mean over all classes of the expected calibration error of the probability of each "
    f"(class-wise ECE): {_GAP}",
    "ece_mass_foreground": "As ece_foreground, over bins of equally many pixels instead of equally wide ones.",
    "error_rate": "Share of the labelled test pixels whose most likely class is wrong. What aurc_… would be by chance.",
    "iou_all_background": "Background IoU of a model that never predicts anything but background. "
    "A model below it is worse than nothing on that class.",
    "trust_share": "Share of the next purchase that the score has earned by finding errors on the audited regions; "
    "with --steer auto it is what is steered.",
    "trust_auroc": "How often the score of a wrongly predicted audited pixel exceeds that of a rightly predicted one; "
    "0.5 is chance.",
    "trust_capture": "Share of all errors on audited regions that lie in the 10 % of pixels with the highest scores; "
    "0.1 is chance.",
    "trust_promise": "Errors that the probabilities read by the acquisition promise for each one they make, on audited "
    "regions. Below 1: over-confident.",
    "trust_regions": "Audited regions with at least one wrongly predicted pixel.",
    "risk_audit": "Negative log-likelihood on the audited regions, in nats a pixel.",
    "risk_lure": "Negative log-likelihood on all that was unlabelled, in nats a pixel, estimated from the regions this "
    "model asked about, each weighted by what it stands for (R_LURE). Empty where nothing was drawn at random or with "
    "known probabilities.",
    "seconds_fit": "Seconds spent training and calibrating.",
    "seconds_score": "Seconds spent scoring the pool and choosing regions.",
    "ece_foreground": "Expected calibration error of the probability that a pixel is foreground "
    f"(any class but the first), over the pixels where it was at least {CANDIDATE} before calibration: {_GAP}",
}
_PER_CLASS = {
    "trust_gap_": "Mean confidence minus accuracy over the audited pixels predicted as “{}”, of the probabilities that "
    "the acquisition reads. Above 0: over-confident.",
    "iou_audit_": "IoU of “{}” on the audited regions, which were drawn at random and never trained on.",
    "iou_lure_": "IoU of “{}” on all that was unlabelled, estimated from the regions this model asked about, each "
    "weighted by what it stands for. Empty where nothing was drawn at random or with known probabilities.",
    "iou_image_": "IoU of “{}”, computed on each test image and then averaged over those that show or predict it. "
    "Not the same quantity as the pooled one, and neither bounds the other.",
    "iou_": "IoU of “{}”, pooled: one confusion matrix over all test pixels. "
    "Intersection ÷ union of prediction and truth.",
    "brier_reliability_": "Reliability term of the Brier score of “{}” against the rest: squared gap between predicted "
    "probability and observed frequency over bins, weighted by their pixels. 0 is perfect. " + _BRIER,
    "brier_resolution_": "Resolution term of the Brier score of “{}” against the rest: squared difference of the "
    "frequency observed in a bin and in all pixels, weighted by the pixels in each. Higher is better. " + _BRIER,
    "brier_uncertainty_": "Uncertainty term of the Brier score of “{}” against the rest: f (1 − f) for a share f "
    "of the pixels, whatever is predicted. " + _BRIER,
    "f1_": "F1 (Dice) of “{}”, pooled over all test pixels. Equals 2·IoU ÷ (1 + IoU).",
    "ece_": f"Expected calibration error of the predicted probability of “{{}}”: {_GAP}",
}


_SCORES = {
    "entropy": "the predictive entropy (after calibration)",
    "bald": "the mutual information",
    "acquisition": "the acquisition that the run follows",
}
_RANKS = {
    "auroc_": "How often {} of a wrongly predicted test pixel exceeds that of a rightly predicted one; 0.5 is chance. "
    "Empty where the score is negative anywhere.",
    "aurc_": "Error rate among the test pixels where {} is lowest, averaged over all shares of them (area under the "
    "risk–coverage curve). Lower is better; error_rate is chance.",
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


def show(value: float, digits: int = 3) -> str:
    """Fixed digits, a dash for NaN."""
    return f"{value:.{digits}f}" if math.isfinite(value) else ABSENT


def count(value: float) -> str:
    """At most two digits behind the point, thousands separated: 36,864 or 12.5."""
    return f"{value:,.2f}".rstrip("0").rstrip(".") if math.isfinite(value) else ABSENT


def meaning(column: str, classes: Sequence[str]) -> str:
    """One or two sentences on a column of curve.csv, as plain text."""
    if column in _FIXED:
        return _FIXED[column]
    for end, which in (("_low", "Lower"), ("_high", "Upper")):
        told = meaning(column.removesuffix(end), classes) if column.endswith(end) else ""
        if told:
            over = "audited regions" if column.startswith("trust_") else "test images"
            return f"{which} end of a 95 % bootstrap interval over {over}. {told}"
    if column.endswith("_raw"):
        before = meaning(column.removesuffix("_raw"), classes)
        return f"Before calibration. {before}" if before else ""
    for prefix, text in _PER_CLASS.items():
        known = (*classes, "foreground") if prefix.startswith("brier_") else classes
        if column.startswith(prefix) and column.removeprefix(prefix) in known:
            return text.format(column.removeprefix(prefix))
    for prefix, text in _RANKS.items():
        if column.startswith(prefix) and column.removeprefix(prefix) in _SCORES:
            return text.format(_SCORES[column.removeprefix(prefix)])
    if column.startswith("temperature_") and (k := column.removeprefix("temperature_")).isdigit():
        return f"The temperature of the pixels whose most likely class is “{classes[int(k)]}”."
    if column.startswith("seconds_"):
        return f"Seconds spent on “{column.removeprefix('seconds_')}”."
    return "Recorded by an extension, for instance by the calibrator."
