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

from bal.metrics.detection import LEVEL
from bal.metrics.summary import INTERVAL, SCORES, VERSIONS, diagrams, reliability, rows
from bal.metrics.tally import BINS, Tally, total

DRAWS = 500
SEED = 0


class Drawn(NamedTuple):
    """Metrics of every draw; the names and meanings of `summary.summary`."""

    values: dict[str, np.ndarray]  # [D] each
    frequency: np.ndarray  # [D, V, G, K] of the reliability diagrams, NaN in an empty bin


def draw(each: Tally, classes: Sequence[str], draws: int = DRAWS, seed: int = SEED) -> Drawn:
    """The metrics of resampled test sets.

    Args:
        each: tallies of N ≥ 1 images, [N, …] (`evaluate.tally_each`).
        classes: the C class names, background first.
        draws: D. seed: equal seeds draw equal images for any two models, which makes differences paired.

    Returns:
        Every metric of the summary.
    """
    images = len(each.nll)
    times = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), draws)  # [D, N]
    sums = Tally(*(np.tensordot(times.astype(np.float64), np.asarray(x, np.float64), 1) for x in each))  # [D, …]
    return Drawn(dict(rows(sums, classes)), diagrams(sums).frequency)


def columns(each: Tally, classes: Sequence[str]) -> dict[str, float]:
    """The intervals that go to the curve, `<metric>_low` and `_high`.

    Of the IoUs, of NLL, of the foreground's ECE, and of how well each score of the tally finds errors. NaN with fewer
    than two images, and where a metric is undefined in more than half of the draws.
    """
    scores = SCORES[: each.score_count.shape[1]]
    shown = [f"iou_{name}" for name in classes]
    shown += [f"{metric}{version}" for metric in ("nll", "ece_foreground") for version in VERSIONS]
    shown += [f"{metric}_{score}" for metric in ("auroc", "aurc") for score in scores]
    found = around(each, classes)
    return {f"{name}{end}": found[name][i] for name in shown for i, end in enumerate(INTERVAL)}


def around(each: Tally, classes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """The interval of every metric of the summary; NaN as in `columns`."""
    if len(each.nll) < 2:
        return {name: (np.nan, np.nan) for name, _ in rows(total(each), classes)}
    values = draw(each, classes).values
    low, high = percentiles(np.stack(list(values.values()), -1))
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(values)}


class Band(NamedTuple):
    """A reliability diagram and the interval of its observed frequencies."""

    count: np.ndarray  # [K]
    confidence: np.ndarray  # [K] mean predicted probability, NaN in an empty bin
    frequency: np.ndarray  # [K]
    low: np.ndarray  # [K] NaN where fewer than half of the draws, or fewer than two images, reach the bin
    high: np.ndarray  # [K]


def bands(each: Tally, classes: tuple[str, ...]) -> dict[str, Band]:
    """For every diagram of `summary.reliability`, the diagram with intervals over images."""
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
