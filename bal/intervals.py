"""How sure are the metrics? Bootstrap intervals over test images, never over pixels.

Pixels of one image share their stroke, their stain and their scanner; treating them as independent gives intervals that
are far too narrow. Every image is tallied by itself; a draw takes as many images as there are, with replacement, adds
up their tallies and computes the metric of the sum, as for the test set itself (the multinomial bootstrap):

    interval = the 2.5 % and 97.5 % percentiles over draws of metric(Σ_n k_n tally_n),   k ~ Multinomial(N, 1/N)

With a handful of images the interval is too narrow (by about √(1 − 1/N), and more for skewed metrics), and it says
nothing of other seeds, other labels or other data sets. A metric that cannot go below 0, such as ECE, is biased upwards
in every draw as in the estimate, which can lie near the lower end of its interval.

Reference:
    Efron and Tibshirani 1993, "An introduction to the bootstrap".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bal.detection import LEVEL
from bal.metrics import BINS, INTERVAL, Reliability, Tally, reliability, total

DRAWS = 500
SEED = 0


class Drawn(NamedTuple):
    """Metrics of every draw; the names and meanings of `metrics.summary`."""

    values: dict[str, np.ndarray]  # [D] each
    frequency: np.ndarray  # [D, V, G, K] of the reliability diagrams, NaN in an empty bin


def draw(each: Tally, classes: Sequence[str], draws: int = DRAWS, seed: int = SEED) -> Drawn:
    """The metrics of resampled test sets.

    Args:
        each: tallies of N ≥ 1 images, [N, …] (`evaluate.tally_each`).
        classes: the C class names, background first.
        draws: D. seed: equal seeds draw equal images for any two models, which makes differences paired.

    Returns:
        `iou_c` and `f1_c` of every class; `nll`, `brier`, `ece_foreground` and `ece_c` of every class, each also with
        `_raw`.
    """
    images = len(each.nll)
    times = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), draws)  # [D, N]
    sums = Tally(*(np.tensordot(times.astype(np.float64), np.asarray(x, np.float64), 1) for x in each))  # [D, …]
    hit = np.diagonal(sums.confusion, axis1=1, axis2=2)  # [D, C]
    both = sums.confusion.sum(1) + sums.confusion.sum(2)  # [D, C]
    pixels = sums.confusion.sum((1, 2))  # [D]
    confidence = _ratio(np.arange(BINS) * sums.bin_count + sums.bin_excess, BINS * sums.bin_count)  # [D, V, G, K]
    frequency = _ratio(sums.bin_events, sums.bin_count)
    gaps = np.nansum(sums.bin_count * np.abs(frequency - confidence), -1)
    ece = _ratio(gaps, sums.bin_count.sum(-1))  # [D, V, G]
    values = {}
    for c, name in enumerate(classes):
        values[f"iou_{name}"] = _ratio(hit[:, c], both[:, c] - hit[:, c])
        values[f"f1_{name}"] = _ratio(2 * hit[:, c], both[:, c])
    for v, version in enumerate(("", "_raw")):
        values[f"nll{version}"] = _ratio(sums.nll[:, v], pixels)
        values[f"brier{version}"] = _ratio(sums.brier[:, v], pixels)
        for g, name in enumerate((*classes, "foreground")):
            values[f"ece_{name}{version}"] = ece[:, v, g]
    return Drawn(values, frequency)


def columns(each: Tally, classes: Sequence[str]) -> dict[str, float]:
    """The intervals that go to the curve: `<metric>_low` and `_high` of the IoUs, of NLL and of the foreground's ECE.

    NaN with fewer than two images, and where a metric is undefined in more than half of the draws.
    """
    shown = [f"iou_{name}" for name in classes]
    shown += [f"{metric}{version}" for metric in ("nll", "ece_foreground") for version in ("", "_raw")]
    bounds = dict.fromkeys(shown, (np.nan, np.nan))
    if len(each.nll) > 1:
        values = draw(each, classes).values
        bounds = {name: percentiles(values[name]) for name in shown}
    return {f"{name}{end}": float(bounds[name][i]) for name in shown for i, end in enumerate(INTERVAL)}


class Band(NamedTuple):
    """A reliability diagram and the interval of its observed frequencies."""

    count: np.ndarray  # [K]
    confidence: np.ndarray  # [K] mean predicted probability, NaN in an empty bin
    frequency: np.ndarray  # [K]
    low: np.ndarray  # [K] NaN where fewer than half of the draws, or fewer than two images, reach the bin
    high: np.ndarray  # [K]


def bands(each: Tally, classes: tuple[str, ...]) -> dict[str, Band]:
    """For every diagram of `metrics.reliability`, the diagram with intervals over images."""
    diagrams = reliability(total(each), classes)
    low, high = percentiles(draw(each, classes).frequency)  # [V, G, K] each
    reached = (np.asarray(each.bin_count) > 0).sum(0) > 1  # [V, G, K]
    low, high = (np.where(reached, x, np.nan).reshape(-1, BINS) for x in (low, high))  # [V G, K]
    return {name: Band(*d, low[i], high[i]) for i, (name, d) in enumerate(diagrams.items())}


def percentiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[D, …] → the ends of the 95 % interval, […]; NaN where more than half of the draws are."""
    known = ~np.isnan(values)
    enough = 2 * known.sum(0) >= len(values)
    filled = np.where(enough, values, 0.0)  # no column of NaN only, which numpy would warn about
    low, high = np.nanquantile(filled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)


class Murphy(NamedTuple):
    """The parts of a binary Brier score: `Brier = reliability − resolution + uncertainty` when p is constant in a bin.

    Otherwise the difference is what p varies and co-varies with the event inside bins, small for 15 of them.
    """

    reliability: float  # Σ_k n_k/N (confidence_k − frequency_k)², 0 is calibrated
    resolution: float  # Σ_k n_k/N (frequency_k − base rate)², larger is better
    uncertainty: float  # base rate (1 − base rate), of the data alone


def decompose(diagram: Reliability | Band) -> Murphy:
    """Splits the Brier score of one event, from its diagram; NaN without pixels.

    Reference:
        Murphy 1973, "A new vector partition of the probability score", Journal of Applied Meteorology 12.
    """
    some = diagram.count > 0
    share = diagram.count[some] / max(diagram.count.sum(), 1)
    confidence, frequency = diagram.confidence[some], diagram.frequency[some]
    base = np.sum(share * frequency) if some.any() else np.nan
    parts = np.sum(share * (confidence - frequency) ** 2), np.sum(share * (frequency - base) ** 2), base * (1 - base)
    return Murphy(*(float(x) if some.any() else float("nan") for x in parts))


def equal_mass_ece(p: np.ndarray, event: np.ndarray, bins: int = BINS) -> float:
    """ECE with bins of equally many pixels: `Σ_k n_k/N |mean p − mean event|` over [P] sorted by p and cut in `bins`.

    Bins of equal width leave most bins nearly empty where most p are near 0; these resolve where the pixels are.
    Pixels of equal p all go to the bin of the first of them. NaN without pixels.

    Reference:
        Nguyen and O'Connor 2015, "Posterior calibration and exploratory analysis for natural language processing
        models", arXiv:1508.05154.
    """
    if not len(p):
        return float("nan")
    order = np.argsort(p, kind="stable")
    p, event = np.asarray(p, np.float64)[order], np.asarray(event, np.float64)[order]
    first = np.searchsorted(p, p)  # rank of the first pixel with this p
    place = first * bins // len(p)
    gap = np.bincount(place, p - event, bins)
    return float(np.abs(gap).sum() / len(p))


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise division, NaN where the denominator is 0."""
    return numerator / np.where(denominator > 0, denominator, np.nan)
