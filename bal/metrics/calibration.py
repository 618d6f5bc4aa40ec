"""How honest the probabilities are, after and before calibration: ECE, reliability diagrams, Brier score, likelihood.

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

References:
    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", AAAI: the binned estimate.

    Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599: reliability diagrams.

    Kull et al. 2019, "Beyond temperature scaling", arXiv:1910.12656: class-wise ECE.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.metrics import histograms
from bal.metrics._reliability import Reliability, decompose
from bal.metrics.base import CHUNK, Cell, Chunk, Headline, of_classes
from bal.metrics.histograms import MASS_BINS, ratio
from bal.types import Array

BINS = 15
CANDIDATE = 0.05  # the least uncalibrated foreground probability that `ece_foreground` looks at
FIXED = 2**16  # steps a bin width, about 10⁻⁶ of probability: CHUNK * FIXED fits int32
FLOOR = 1e-37  # stands for a probability that rounded to 0, so that one pixel costs at most 85 nats
VERSIONS = ("", "_raw")  # what the columns of a metric end in, after and before calibration


class Sums(NamedTuple):
    """V = 2 versions, calibrated and raw; G = C + 1 events, one a class and then the foreground, of candidates only."""

    nll: Any  # [V] sum of −log p of the true class, nats
    brier: Any  # [V] sum of Σ_c (p_c − t_c)²
    bin_count: Any  # [V, G, K] pixels
    bin_excess: Any  # [V, G, K] sum of p above the lower edge of the bin, in bin widths
    bin_events: Any  # [V, G, K] pixels where the event happened
    mass_count: Any  # [V, M] candidates, in fine bins of the foreground's probability
    mass_excess: Any  # [V, M] as `bin_excess`
    mass_events: Any  # [V, M] as `bin_events`


@dataclass(frozen=True)
class Calibration:
    """ECE, the parts of the Brier score, the Brier score and the negative log-likelihood."""

    def zeros(self, classes: int, scores: int) -> Sums:
        bins, mass = (2, classes + 1, BINS), (2, MASS_BINS)
        kinds = np.int64, np.float64, np.int64
        each = (np.zeros(shape, kind) for shape in (bins, mass) for kind in kinds)
        return Sums(np.zeros(2), np.zeros(2), *each)

    def of_chunk(self, chunk: Chunk) -> Sums:
        p, label, valid = chunk.probs, chunk.label, chunk.valid  # [V, C, P], [P], [P]
        classes = p.shape[1]
        target = label[None] == jnp.arange(classes)[:, None]  # [C, P]
        nll = -jnp.log(jnp.maximum(jnp.sum(jnp.where(target[None], p, 0.0), axis=1), FLOOR))  # [V, P]
        brier = jnp.sum((p - target[None]) ** 2, axis=1)  # [V, P]
        foreground = 1 - p[:, 0]  # [V, P]
        candidate = valid & (foreground[1] >= CANDIDATE)  # [P]
        event = jnp.concatenate([target, label[None] != 0])  # [G, P]
        bins = _bin_sums(
            p=jnp.concatenate([p, foreground[:, None]], axis=1),  # [V, G, P]
            event=event,
            counts=jnp.stack([valid] * classes + [candidate]),  # [G, P]
        )
        mass = _bin_sums(foreground[:, None], event[-1:], candidate[None], MASS_BINS)  # [V, 1, M] each
        nll, brier = (jnp.where(valid[None], x, 0.0).sum(-1) for x in (nll, brier))
        return Sums(nll, brier, *bins, *(x[:, 0] for x in mass))

    def columns(self, sums: Sums, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        found, events = [], (*classes, "foreground")
        d = diagrams(sums)
        pixels = d.count[..., 0, 0, :].sum(-1)  # [...] every labelled one is in a bin of the first class
        ece, parts, mass = d.ece, decompose(d), _mass(sums)
        for v, version in enumerate(VERSIONS):
            found += [(f"ece_{name}{version}", ece[..., v, g]) for g, name in enumerate(events)]
            found.append((f"ece_classes{version}", ece[..., v, :-1].mean(-1)))
            found.append((f"ece_mass_foreground{version}", mass[..., v]))
            found.append((f"nll{version}", ratio(np.asarray(sums.nll)[..., v], pixels)))
            found.append((f"brier{version}", ratio(np.asarray(sums.brier)[..., v], pixels)))
            for g, name in enumerate(events):
                found.append((f"brier_reliability_{name}{version}", parts.reliability[..., v, g]))
                found.append((f"brier_resolution_{name}{version}", parts.resolution[..., v, g]))
                if not v:
                    found.append((f"brier_uncertainty_{name}", parts.uncertainty[..., v, g]))
        return found

    def intervals(self, classes: Sequence[str]) -> list[str]:
        return [f"{metric}{version}" for metric in ("nll", "ece_foreground") for version in VERSIONS]

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        events = (*classes, "foreground")
        told = _MEANINGS | of_classes(_OF_A_CLASS, classes) | of_classes(_OF_AN_EVENT, events)
        raw = {f"{name}_raw": f"Before calibration. {text}" for name, text in told.items()}
        return told | raw | of_classes(_OF_THE_DATA, events)

    def cells(self, classes: Sequence[str]) -> list[Cell]:
        return [Cell(f"ece_{c}", c, "before → after", "ECE", digits=4) for c in classes]

    def headlines(self, classes: Sequence[str]) -> list[Headline]:
        caption = "fg ECE: calibration error of the foreground, before→after calibration"
        return [Headline("ece_foreground", "foreground", "fg ECE", caption=caption)]


_GAP = (
    "mean gap between predicted probability and observed frequency over bins of probability, "
    "weighted by the pixels in each. 0 is perfect."
)
_BRIER = (
    "Brier score = reliability − resolution + uncertainty, but for what varies inside bins; "
    f"that of the foreground is over the pixels where it was at least {CANDIDATE} before calibration."
)
_MEANINGS = {
    "nll": "Negative log-likelihood of the true class, mean over the labelled test pixels, in nats. Lower is better.",
    "brier": "Brier score: squared distance between the predicted probabilities and the truth, "
    "mean over the labelled test pixels. Lower is better.",
    "ece_classes": "Mean over all classes of the expected calibration error of the probability of each "
    f"(class-wise ECE): {_GAP}",
    "ece_mass_foreground": "As ece_foreground, over bins of equally many pixels instead of equally wide ones.",
    "ece_foreground": "Expected calibration error of the probability that a pixel is foreground "
    f"(any class but the first), over the pixels where it was at least {CANDIDATE} before calibration: {_GAP}",
}
_OF_A_CLASS = {"ece_{}": f"Expected calibration error of the predicted probability of “{{}}”: {_GAP}"}
_OF_AN_EVENT = {
    "brier_reliability_{}": "Reliability term of the Brier score of “{}” against the rest: squared gap between "
    "predicted probability and observed frequency over bins, weighted by their pixels. 0 is perfect. " + _BRIER,
    "brier_resolution_{}": "Resolution term of the Brier score of “{}” against the rest: squared difference of the "
    "frequency observed in a bin and in all pixels, weighted by the pixels in each. Higher is better. " + _BRIER,
}
_OF_THE_DATA = {
    "brier_uncertainty_{}": "Uncertainty term of the Brier score of “{}” against the rest: f (1 − f) for a share f "
    "of the pixels, whatever is predicted. " + _BRIER,
}


def diagrams(sums: Sums) -> Reliability:
    """The diagrams behind every ECE at once, [..., V, G, K], of sums with leading axes [...]."""
    count = np.asarray(sums.bin_count)
    confidence = ratio(np.arange(BINS) * count + np.asarray(sums.bin_excess), BINS * count)
    return Reliability(count, confidence, ratio(sums.bin_events, count))


def names(classes: Sequence[str]) -> list[str]:
    """[V G] what the diagrams are called: by class and "foreground", then the same with `_raw`."""
    return [f"{name}{version}" for version in VERSIONS for name in (*classes, "foreground")]


def _mass(sums: Sums) -> np.ndarray:
    """[..., V] ECE of the foreground in bins of equal mass."""
    count = np.asarray(sums.mass_count)
    p_sum = (np.arange(MASS_BINS) * count + np.asarray(sums.mass_excess)) / MASS_BINS
    return histograms.mass_ece(count, p_sum, np.asarray(sums.mass_events))


def _bin_sums(p: Array, event: Array, counts: Array, bins: int = BINS) -> tuple[Array, Array, Array]:
    """Per bin: pixels, excess of p over the lower edge (in bin widths), and events.

    Integer scatter-adds: exact, and the same in any order of addition, which differs between devices, where a float32
    running sum of probabilities near 1 would drift. (On one CPU core they are about ten times as fast as a matrix
    product with one-hot bins, and twenty times as fast as a masked sum a bin.)

    Args:
        p: [V, G, P] probabilities, P at most CHUNK.
        event: [G, P] bool, whether the event happened.
        counts: [G, P] bool, whether the pixel counts.
        bins: K, of equal width.

    Returns:
        [V, G, K] int32, float32 and int32.
    """
    versions, groups, _ = p.shape
    cells = versions * groups * bins
    scaled = jnp.clip(p, 0.0, 1.0) * bins
    k = jnp.minimum(scaled.astype(jnp.int32), bins - 1)  # [V, G, P], p = 1 in the last bin
    excess = jnp.round((scaled - k) * FIXED).astype(jnp.int32)  # [V, G, P]
    pair = jnp.broadcast_to(1 + 2 * CHUNK * event.astype(jnp.int32)[None], p.shape)  # a pixel, and perhaps an event
    row = jnp.arange(versions * groups).reshape(versions, groups, 1)
    segment = jnp.where(counts[None], row * bins + k, cells).reshape(-1)  # [V G P], out of range is dropped

    def sums(each: Array) -> Array:
        return jax.ops.segment_sum(each.reshape(-1), segment, cells).reshape(versions, groups, bins)

    pairs = sums(pair)
    return pairs % (2 * CHUNK), sums(excess).astype(jnp.float32) / FIXED, pairs // (2 * CHUNK)
