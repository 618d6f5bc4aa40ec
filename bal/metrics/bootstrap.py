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

from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import jax
import numpy as np

from bal.metrics import families
from bal.metrics.calibration import BINS, diagrams, names
from bal.metrics.tally import Tally, total, values

T = TypeVar("T")
DRAWS = 500
SEED = 0
LEVEL = 0.95  # of every interval
LEAST = 10  # images, or audited regions, that an interval may rest on where it is shown
INTERVAL = ("_low", "_high")  # what the columns of a metric's interval end in


def draw(each: Tally, draws: int = DRAWS, seed: int = SEED) -> Tally:
    """The sums of resampled test sets, [D, …], of which `tally.values` makes the metrics of every draw.

    Args:
        each: tallies of N ≥ 1 images, [N, …] (`evaluate.tally_each`).
        draws: D. seed: equal seeds draw equal images for any two models, which makes differences paired.
    """
    images = count(each)
    times = np.random.default_rng(seed).multinomial(images, np.full(images, 1 / images), draws).astype(np.float64)
    return jax.tree.map(lambda x: np.tensordot(times, np.asarray(x, np.float64), 1), each)  # [D, N] [N, …] → [D, …]


def count(each: Tally) -> int:
    """N, of tallies [N, …]."""
    return len(jax.tree.leaves(each)[0])


def columns(each: Tally, classes: Sequence[str]) -> dict[str, float]:
    """The intervals that go to the curve, `<metric>_low` and `_high`, of the metrics that each family names.

    NaN with fewer than two images, and where a metric is undefined in more than half of the draws.
    """
    found = around(each, classes)
    shown = [name for family in families().values() for name in family.intervals(classes) if name in found]
    return {f"{name}{end}": found[name][i] for name in shown for i, end in enumerate(INTERVAL)}


def around(each: Tally, classes: Sequence[str]) -> dict[str, tuple[float, float]]:
    """The interval of every metric; NaN as in `columns`."""
    if count(each) < 2:
        return {name: (np.nan, np.nan) for name, _ in values(total(each), classes)}
    drawn = dict(values(draw(each), classes))
    low, high = percentiles(np.stack(list(drawn.values()), -1))
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(drawn)}


class Band(NamedTuple):
    """A reliability diagram and the interval of its observed frequencies."""

    count: np.ndarray  # [K]
    confidence: np.ndarray  # [K] mean predicted probability, NaN in an empty bin
    frequency: np.ndarray  # [K]
    low: np.ndarray  # [K] NaN where fewer than half of the draws, or fewer than two images, reach the bin
    high: np.ndarray  # [K]


def bands(each: Tally, classes: Sequence[str]) -> dict[str, Band]:
    """For every class and the foreground, and the same with `_raw`, its reliability diagram with intervals."""
    whole = diagrams(total(each)["calibration"])
    low, high = percentiles(diagrams(draw(each)["calibration"]).frequency)  # [V, G, K] each
    reached = (np.asarray(each["calibration"].bin_count) > 0).sum(0) > 1  # [V, G, K]
    every = *whole, *(np.where(reached, x, np.nan) for x in (low, high))
    rows = zip(*(x.reshape(-1, BINS) for x in every), strict=True)  # [V G, K] each
    return {name: Band(*row) for name, row in zip(names(classes), rows, strict=True)}


def interval(
    statistic: Callable[[list[T]], float], groups: Sequence[T], draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """A percentile interval of any statistic over groups (images, regions) drawn with replacement.

    Args:
        statistic: of a list of as many groups as there are, some of them several times and some missing.
        groups: what was measured of each.
        draws: of the whole list. seed: the same seed draws the same.

    Returns:
        The 2.5 % and the 97.5 % percentile of the draws whose statistic is not NaN; NaN twice when there are
        fewer than two groups, or when more than half of the draws are NaN.

    Reference:
        Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
    """
    if len(groups) < 2:
        return float("nan"), float("nan")
    picks = np.random.default_rng(seed).integers(0, len(groups), (draws, len(groups)))
    low, high = percentiles(np.array([statistic([groups[i] for i in pick]) for pick in picks]))
    return float(low), float(high)


def percentiles(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """[D, …] → the ends of the 95 % interval, […]; NaN where more than half of the draws are."""
    known = ~np.isnan(values)
    enough = 2 * known.sum(0) >= len(values)
    filled = np.where(enough, values, 0.0)  # no column of NaN only, which numpy would warn about
    low, high = np.nanquantile(filled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return np.where(enough, low, np.nan), np.where(enough, high, np.nan)
