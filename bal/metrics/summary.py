"""How good are the predictions, how honest, and what finds their errors: the metrics, from the sums of `bal.metrics`.

One set of sums or many at a time: resampled test sets (`bal.metrics.bootstrap`) are measured by the same lines as the
test set.

Expected calibration error (ECE) of a probability p of an event e, over N pixels in K = 15 equal bins of [0, 1]:

    ECE = Σ_k n_k / N · |mean of e in bin k − mean of p in bin k|

Bin k is [k/K, (k+1)/K), the last one closed. It is reported

- for every class, one against the rest, over all labelled pixels (`ece_<class>`). In an image that is 97 % paper,
  most pixels are easy and the number is small whatever the network does on the ink;
- for the foreground (`ece_foreground`): p = 1 − p_background against "not background", over the *candidate* pixels,
  those whose uncalibrated p is at least 0.05. Leaving out the easy paper keeps it from drowning the rest. Choosing
  pixels by their truth instead (say, only true foreground) would make a perfectly calibrated model look
  under-confident, since the event would then always happen; a choice by the prediction leaves E[e | p] = p, hence a
  gap of zero in expectation in every bin of a calibrated model. It is made on the uncalibrated prediction, so that
  the numbers before and after calibration are about the same pixels. (With three or more classes, calibration can
  reorder pixels a little, and the choice is then not quite a function of the calibrated p near the threshold.)

`ece_classes` is the mean of the first over classes; `ece_mass_foreground` is the second in bins of equally many pixels.
Binned over finitely many pixels, ECE is biased upwards: compare it on one test set, not between sets of other sizes.

The Brier score of one such event splits into `reliability − resolution + uncertainty` (`Murphy`).

A score finds errors if it ranks the wrongly predicted pixels above the others (`auroc_<score>`), or if leaving out the
pixels that it trusts least leaves few errors (`aurc_<score>`, of which `error_rate` is what chance gives): see
`bal.metrics.histograms`. Scores are the predictive entropy, calibrated, the mutual information and, where it is another
one, the run's acquisition.

References:
    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", AAAI: the binned estimate.

    Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599: reliability diagrams.

    Kull et al. 2019, "Beyond temperature scaling", arXiv:1910.12656: class-wise ECE.

    Murphy 1973, "A new vector partition of the probability score", Journal of Applied Meteorology 12.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bal.metrics import histograms
from bal.metrics.histograms import MASS, ratio
from bal.metrics.tally import BINS, Tally, zeros
from bal.types import BadInput

INTERVAL = ("_low", "_high")  # what the columns of a metric's interval end in
VERSIONS = ("", "_raw")  # what those of a metric end in, after and before calibration
SCORES = ("entropy", "bald", "acquisition")  # the scores of a tally, in order; the last where it is another one


class Reliability(NamedTuple):
    """A reliability diagram: per bin, how many pixels, what was promised and what happened."""

    count: np.ndarray  # [..., K]
    confidence: np.ndarray  # [..., K] mean predicted probability, NaN in an empty bin
    frequency: np.ndarray  # [..., K] share of pixels where the event happened, NaN in an empty bin

    @property
    def ece(self) -> np.ndarray:
        """[...] `Σ_k n_k / N |frequency_k − confidence_k|`; NaN when N = 0."""
        gap = np.nansum(self.count * np.abs(self.frequency - self.confidence), -1)
        return ratio(gap, self.count.sum(-1))


class Murphy(NamedTuple):
    """The parts of a binary Brier score: `Brier = reliability − resolution + uncertainty` when p is constant in a bin.

    Otherwise the difference is what p varies and co-varies with the event inside bins, small for 15 of them.
    """

    reliability: np.ndarray  # [...] Σ_k n_k/N (confidence_k − frequency_k)², 0 is calibrated
    resolution: np.ndarray  # [...] Σ_k n_k/N (frequency_k − base rate)², larger is better
    uncertainty: np.ndarray  # [...] base rate (1 − base rate), of the data alone


def decompose(diagram: Reliability) -> Murphy:
    """Splits the Brier score of one event, from its diagram; NaN without pixels."""
    share = ratio(diagram.count, diagram.count.sum(-1, keepdims=True))  # [..., K]
    nothing = np.isnan(share[..., 0])
    base = np.where(nothing, np.nan, np.nansum(share * diagram.frequency, -1))
    squares = (diagram.confidence - diagram.frequency) ** 2, (diagram.frequency - base[..., None]) ** 2
    reliability, resolution = (np.where(nothing, np.nan, np.nansum(share * x, -1)) for x in squares)
    return Murphy(reliability, resolution, base * (1 - base))


def columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The keys of `summary`. Raises BadInput for class names that would give two metrics one name."""
    keys = [key for key, _ in rows(zeros(len(classes)), classes)]
    ends = [f"{key}{end}" for key in keys for end in INTERVAL]
    twice = [key for key, times in Counter(keys + ends).items() if times > 1]
    if twice:
        raise BadInput(
            f"class names {list(classes)} give several metrics the name {twice[0]!r}; "
            "make the names differ, and call no class 'foreground', which is all classes but the first"
        )
    return tuple(keys)


def summary(tally: Tally, classes: tuple[str, ...]) -> dict[str, float]:
    """The metrics of everything tallied, NaN where they are undefined.

    Args:
        tally: a sum of tallies.
        classes: the C class names, background first.

    Returns:
        For every class c, `iou_c` and `f1_c` of the one confusion matrix of all pixels (NaN when c is in
        neither truth nor prediction); `iou_image_c`, the mean over the images in which c is in truth or
        prediction (NaN when there is none); `ece_c`, `brier_reliability_c`, `brier_resolution_c` and
        `brier_uncertainty_c`, the last three also of the foreground. Then `ece_classes`, `ece_foreground`,
        `ece_mass_foreground`, `nll` (nats a pixel) and `brier` (0 … 2). What calibration changes has a
        column with `_raw` as well, before calibration. `auroc_s` and `aurc_s` of every score s of the tally
        (NaN where it was negative anywhere) and `error_rate`; `iou_all_background`, the IoU that the
        background class would get by predicting background everywhere: an `iou_<background>` below that has
        learnt nothing.

    Raises:
        BadInput: when the class names do not fit the tally or each other.
    """
    if len(classes) != len(tally.iou_sum):
        raise BadInput(f"{len(classes)} class names {list(classes)} for a tally of {len(tally.iou_sum)} classes")
    columns(classes)
    return {key: float(value) for key, value in rows(tally, classes)}


def reliability(tally: Tally, classes: tuple[str, ...]) -> dict[str, Reliability]:
    """The diagram behind every ECE: for each class and the foreground, then the same with `_raw`."""
    d = diagrams(tally)
    return {
        name + version: Reliability(d.count[v, g], d.confidence[v, g], d.frequency[v, g])
        for v, version in enumerate(VERSIONS)
        for g, name in enumerate((*classes, "foreground"))
    }


def diagrams(sums: Tally) -> Reliability:
    """All diagrams at once, [..., V, G, K]."""
    count = np.asarray(sums.bin_count)
    confidence = ratio(np.arange(BINS) * count + np.asarray(sums.bin_excess), BINS * count)
    return Reliability(count, confidence, ratio(sums.bin_events, count))


def rows(sums: Tally, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Keys and values [...] of `summary`, in order, of sums that may have leading axes [...]."""
    confusion = np.asarray(sums.confusion, np.float64)
    hit = np.diagonal(confusion, axis1=-2, axis2=-1)  # [..., C]
    true, predicted, pixels = confusion.sum(-1), confusion.sum(-2), confusion.sum((-2, -1))
    per_class = {
        "iou": ratio(hit, true + predicted - hit),
        "f1": ratio(2 * hit, true + predicted),
        "iou_image": ratio(sums.iou_sum, sums.iou_images),
    }
    found = [(f"{metric}_{c}", each[..., i]) for metric, each in per_class.items() for i, c in enumerate(classes)]
    d = diagrams(sums)
    ece, parts, mass = d.ece, decompose(d), _mass(sums)
    for v, version in enumerate(VERSIONS):
        found += [(f"ece_{name}{version}", ece[..., v, g]) for g, name in enumerate((*classes, "foreground"))]
        found.append((f"ece_classes{version}", ece[..., v, :-1].mean(-1)))
        found.append((f"ece_mass_foreground{version}", mass[..., v]))
        found.append((f"nll{version}", ratio(np.asarray(sums.nll)[..., v], pixels)))
        found.append((f"brier{version}", ratio(np.asarray(sums.brier)[..., v], pixels)))
        for g, name in enumerate((*classes, "foreground")):
            found.append((f"brier_reliability_{name}{version}", parts.reliability[..., v, g]))
            found.append((f"brier_resolution_{name}{version}", parts.resolution[..., v, g]))
            if not v:
                found.append((f"brier_uncertainty_{name}", parts.uncertainty[..., v, g]))
    known = np.asarray(sums.score_count).sum((-2, -1)) == pixels[..., None]  # [..., A]
    for metric in (histograms.auroc, histograms.aurc):
        value = np.where(known, metric(sums.score_count), np.nan)  # [..., A]
        found += [(f"{metric.__name__}_{SCORES[a]}", value[..., a]) for a in range(value.shape[-1])]
    found.append(("error_rate", 1 - ratio(hit.sum(-1), pixels)))
    found.append(("iou_all_background", ratio(true[..., 0], pixels)))
    return found


def _mass(sums: Tally) -> np.ndarray:
    """[..., V] ECE of the foreground in bins of equal mass."""
    count = np.asarray(sums.mass_count)
    p_sum = (np.arange(MASS) * count + np.asarray(sums.mass_excess)) / MASS
    return histograms.mass_ece(count, p_sum, np.asarray(sums.mass_events))
