"""Does a score find errors? Ranking metrics of a score per pixel, exact and streamed.

A score finds errors if it ranks the wrongly predicted pixels above the others (`auroc_<score>`), or if leaving out the
pixels that it trusts least leaves few errors (`aurc_<score>`, of which `error_rate` is what chance gives). The
functions are of pixels that are all there; the family counts those of a streamed test set in fine bins
(`bal.metrics.histograms`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.metrics import histograms
from bal.metrics.base import Chunk
from bal.metrics.histograms import SCORE_BINS, score_bin
from bal.types import BadInput

SCORES = {
    "entropy": "the predictive entropy (after calibration)",
    "bald": "the mutual information",
    "acquisition": "the acquisition that the run follows",
}  # the scores that are judged, in order; the last where it is another one


class Sums(NamedTuple):
    """A scores that may find errors."""

    pixels: Any  # [] labelled
    score_count: Any  # [A, 2, L] pixels rightly and wrongly predicted after calibration, in bins of each score


@dataclass(frozen=True)
class Detection:
    """AUROC and AURC of the errors of the calibrated prediction; NaN for a score that was negative anywhere."""

    def zeros(self, classes: int, scores: int) -> Sums:
        return Sums(np.zeros((), np.int64), np.zeros((scores, 2, SCORE_BINS), np.int64))

    def of_chunk(self, chunk: Chunk) -> Sums:
        scores = len(chunk.scores)
        bin = jnp.where(chunk.valid[None], score_bin(chunk.scores), SCORE_BINS)  # [A, P]
        row = 2 * jnp.arange(scores)[:, None] + chunk.wrong[None]  # [A, P]
        cells = scores * 2 * SCORE_BINS
        segment = jnp.where(bin < SCORE_BINS, row * SCORE_BINS + bin, cells).reshape(-1)  # [A P], the rest is dropped
        count = jax.ops.segment_sum(jnp.ones_like(segment), segment, cells)  # [A 2 L]
        return Sums(chunk.valid.sum(dtype=jnp.int32), count.reshape(scores, 2, SCORE_BINS))

    def columns(self, sums: Sums, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        count, found = np.asarray(sums.score_count), []
        known = count.sum((-2, -1)) == np.asarray(sums.pixels)[..., None]  # [..., A]
        for name, metric in (("auroc", histograms.auroc), ("aurc", histograms.aurc)):
            value = np.where(known, metric(count), np.nan)  # [..., A]
            scores = list(SCORES)[: value.shape[-1]]
            found += [(f"{name}_{score}", value[..., a]) for a, score in enumerate(scores)]
        return found

    def intervals(self, classes: Sequence[str]) -> list[str]:
        return [f"{metric}_{score}" for metric in ("auroc", "aurc") for score in SCORES]

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        return {name.format(s): text.format(of) for name, text in _MEANINGS.items() for s, of in SCORES.items()}


_MEANINGS = {
    "auroc_{}": "How often {} of a wrongly predicted test pixel exceeds that of a rightly predicted one; 0.5 is "
    "chance. Empty where the score is negative anywhere.",
    "aurc_{}": "Error rate among the test pixels where {} is lowest, averaged over all shares of them (area under the "
    "risk–coverage curve). Lower is better; error_rate is chance.",
}


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
