"""Does a score find errors? Ranking metrics of a score per pixel, and intervals over images for any statistic.

Pixels of one image are not independent, so an interval is never drawn over pixels: `bootstrap` draws whole groups.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from bal.types import BadInput

T = TypeVar("T")
LEVEL = 0.95  # of every interval here


def auroc(score: np.ndarray, event: np.ndarray, weight: np.ndarray | None = None) -> float:
    """The probability that an event scores above a non-event, ties counting half.

    `AUROC = Σ_{i event} Σ_{j not} w_i w_j ([s_i > s_j] + ½ [s_i = s_j]) / Σ_{i event} Σ_{j not} w_i w_j`

    Exact, in O(P log P): the area under the curve of true against false positives, also with weights.

    Args:
        score: [P], higher = more likely an event. event: [P] bool. weight: [P], not negative, or None for 1 each.

    Returns:
        0 … 1, 0.5 = chance; NaN when there is no event or nothing else.

    Raises:
        BadInput: when a score is NaN, since no rank is right for it.

    Reference:
        Hanley and McNeil 1982, "The meaning and use of the area under a receiver operating characteristic
        (ROC) curve", Radiology 143(1).
    """
    event, (above, below) = _checked(score, event), _by_score(score, event, weight)
    earlier = np.concatenate([[0.0], np.cumsum(above)[:-1]])  # events with a higher score, by distinct score
    pairs = above.sum() * below.sum()
    return float(np.sum(below * (earlier + above / 2)) / pairs) if pairs > 0 else float("nan")


def capture(score: np.ndarray, event: np.ndarray, share: float) -> float:
    """The share of all events that lies in the `share` of pixels with the highest scores; chance gives `share`.

    Pixels with the score at the edge count in part, alike, so that the result depends on no order.

    Args:
        score: [P], higher = looked at first. event: [P] bool. share: 0 … 1 of the P pixels.

    Returns:
        0 … 1; NaN when there is no event.

    Raises:
        BadInput: for a share outside 0 … 1 or a score that is NaN.
    """
    if not 0 <= share <= 1:
        raise BadInput(f"share is {share}; expected a number from 0 to 1")
    event, (above, below) = _checked(score, event), _by_score(score, event)
    if not above.sum() > 0:
        return float("nan")
    seen, found = (np.concatenate([[0.0], np.cumsum(x)]) for x in (above + below, above))
    return float(np.interp(share * len(event), seen, found) / above.sum())


def aurc(score: np.ndarray, event: np.ndarray) -> float:
    """Area under the risk–coverage curve: the mean error rate of the most trusted pixels, over all coverages.

    `AURC = 1/P Σ_{k=1…P}  (errors among the k pixels with the lowest scores) / k`

    Ties are in no order, so the errors among equal scores count as spread evenly over their ranks.

    Args:
        score: [P], higher = less trusted. event: [P] bool, whether the pixel is an error.

    Returns:
        0 … 1, lower is better, the error rate itself at chance; NaN without pixels.

    Raises:
        BadInput: when a score is NaN.

    Reference:
        Geifman and El-Yaniv 2017, "Selective classification for deep neural networks", arXiv:1705.08500.
    """
    event, (above, below) = _checked(score, event), _by_score(score, event)
    if not len(event):
        return float("nan")
    seen, found = (np.concatenate([[0.0], np.cumsum(x[::-1])]) for x in (above + below, above))  # most trusted first
    rank = np.arange(1, len(event) + 1)
    return float(np.mean(np.interp(rank, seen, found) / rank))


def bootstrap(
    statistic: Callable[[list[T]], float], groups: Sequence[T], draws: int = 200, seed: int = 0
) -> tuple[float, float]:
    """A percentile interval of a statistic over groups (images) drawn with replacement.

    Args:
        statistic: of a list of as many groups as there are, some of them several times and some missing.
        groups: what was measured of each image.
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
    return percentile(np.array([statistic([groups[i] for i in pick]) for pick in picks]))


def percentile(values: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of bootstrapped values [draws]; NaN twice when more than half of them are NaN."""
    known = values[~np.isnan(values)]
    if not len(known) or 2 * len(known) < len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _checked(score: np.ndarray, event: np.ndarray) -> np.ndarray:
    """The events as bool [P]."""
    if np.shape(score) != np.shape(event) or np.ndim(score) != 1:
        raise BadInput(f"scores {np.shape(score)} and events {np.shape(event)}; expected one of each a pixel, [P]")
    if np.isnan(score).any():
        raise BadInput("a score is NaN; give every pixel a number")
    return np.asarray(event, bool)


def _by_score(score: np.ndarray, event: np.ndarray, weight: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """The weight of events and of the rest at each distinct score, highest score first."""
    weight = np.ones(len(score)) if weight is None else np.asarray(weight, np.float64)
    distinct, at = np.unique(score, return_inverse=True)
    event = np.asarray(event, bool)
    sums = (np.bincount(at, weight * which, len(distinct)) for which in (event, ~event))
    above, below = (each[::-1] for each in sums)
    return above, below
