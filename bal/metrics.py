"""How good are the predictions, and how honest: IoU, F1, NLL, Brier score and calibration error, image after image.

Evaluation is a sum. `tally_batch` turns a batch into sums, `add` adds them up on the host in 64 bits, and `summary`
divides at the end: memory does not grow with the number of images, and neither order nor batch size matters.

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

Binned over finitely many pixels, ECE is biased upwards: compare it on one test set, not between sets of other sizes.

References:
    Naeini et al. 2015, "Obtaining well calibrated probabilities using Bayesian binning", AAAI: the binned estimate.

    Guo et al. 2017, "On calibration of modern neural networks", arXiv:1706.04599: reliability diagrams.

    Kull et al. 2019, "Beyond temperature scaling", arXiv:1910.12656: class-wise ECE.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.types import IGNORE, Array, BadInput

BINS = 15
CANDIDATE = 0.05  # the least uncalibrated foreground probability that `ece_foreground` looks at
CHUNK = 2**14  # pixels at a time: bounds the memory, stays in cache
INTERVAL = ("_low", "_high")  # what the columns of a metric's interval end in
FIXED = 2**16  # steps a bin width, about 10⁻⁶ of probability: CHUNK * FIXED fits int32
FLOOR = 1e-37  # stands for a probability that rounded to 0, so that one pixel costs at most 85 nats


class Tally(NamedTuple):
    """Sums over labelled pixels. Device arrays of 32 bits for one batch, NumPy arrays of 64 bits once added.

    V = 2 versions of the prediction, calibrated and raw; G = C + 1 events, one a class and then the
    foreground.
    """

    confusion: Any  # [C, C] pixels by true class, then predicted class
    iou_sum: Any  # [C] sum of the IoU of the images in which the class is present in truth or prediction
    iou_images: Any  # [C] how many those are
    nll: Any  # [V] sum of −log p of the true class, nats
    brier: Any  # [V] sum of Σ_c (p_c − t_c)²
    bin_count: Any  # [V, G, K] pixels
    bin_excess: Any  # [V, G, K] sum of p above the lower edge of the bin, in bin widths
    bin_events: Any  # [V, G, K] pixels where the event happened


class Reliability(NamedTuple):
    """A reliability diagram: per bin, how many pixels, what was promised and what happened."""

    count: np.ndarray  # [K]
    confidence: np.ndarray  # [K] mean predicted probability, NaN in an empty bin
    frequency: np.ndarray  # [K] share of pixels where the event happened, NaN in an empty bin


def zeros(classes: int, *lead: int) -> Tally:
    """The tally of no images, or of `lead` times none."""
    bins = (2, classes + 1, BINS)
    shapes = ((classes, classes), (classes,), (classes,), (2,), (2,), bins, bins, bins)
    kinds = (np.int64, np.float64, np.int64, np.float64, np.float64, np.int64, np.float64, np.int64)
    return Tally(*(np.zeros((*lead, *shape), kind) for shape, kind in zip(shapes, kinds, strict=True)))


def add(left: Tally, right: Tally) -> Tally:
    """The tally of both, on the host, in int64 and float64: exact counts up to 9·10¹⁸ pixels."""
    both = zip(zeros(len(left.iou_sum)), left, right, strict=True)
    return Tally(*(zero + np.asarray(a) + np.asarray(b) for zero, a, b in both))


def total(each: Tally) -> Tally:
    """The tally of all images from that of each, [N, …]."""
    return Tally(*(np.asarray(field).sum(0) for field in each))


def tally_images(calibrated: Array, raw: Array, label: Array) -> Tally:
    """As `tally_batch`, but the sums of every image, [B, …]."""
    return jax.lax.map(lambda image: tally_batch(*(x[None] for x in image)), (calibrated, raw, label))


@jax.jit
def tally_batch(calibrated: Array, raw: Array, label: Array) -> Tally:
    """The sums of one batch.

    Args:
        calibrated: [B, H, W, C] pooled predictive probabilities. raw: [B, H, W, C] the same before
        calibration. label: [B, H, W] class ids. IGNORE, and anything else outside 0 … C−1, counts for
        nothing, so padding does not.

    Returns:
        Tally of int32 and float32, for up to 2³¹ pixels.
    """
    classes = calibrated.shape[-1]
    confusion = _confusion(jnp.argmax(calibrated, -1), label, classes)  # [B, C, C]
    iou, present = _iou(confusion)
    size = min(CHUNK, label.size)
    pad = -label.size % size
    probs = jnp.stack([calibrated, raw], axis=-2).astype(jnp.float32).reshape(-1, 2, classes)  # [B H W, V, C]
    chunks = (
        jnp.pad(probs, ((0, pad), (0, 0), (0, 0))).reshape(-1, size, 2, classes),
        jnp.pad(label.reshape(-1), (0, pad), constant_values=IGNORE).reshape(-1, size),
    )
    nll, brier, count, excess, events = (x.sum(0) for x in jax.lax.map(_chunk_sums, chunks))
    return Tally(
        confusion=confusion.sum(0),
        iou_sum=jnp.where(present, iou, 0.0).sum(0),
        iou_images=present.sum(0, dtype=jnp.int32),
        nll=nll,
        brier=brier,
        bin_count=count,
        bin_excess=excess,
        bin_events=events,
    )


def columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """The keys of `summary`. Raises BadInput for class names that would give two metrics one name."""
    keys = [key for key, _ in _rows(zeros(len(classes)), classes)]
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
        prediction (NaN when there is none); `ece_c` and `ece_c_raw`, before calibration. Then
        `ece_foreground`, `nll` (nats a pixel), `brier` (0 … 2), each also with `_raw`; and
        `iou_all_background`, the IoU that the background class would get by predicting background everywhere:
        an `iou_<background>` below that has learnt nothing.

    Raises:
        BadInput: when the class names do not fit the tally or each other.
    """
    if len(classes) != len(tally.iou_sum):
        raise BadInput(f"{len(classes)} class names {list(classes)} for a tally of {len(tally.iou_sum)} classes")
    columns(classes)
    return dict(_rows(tally, classes))


def reliability(tally: Tally, classes: tuple[str, ...]) -> dict[str, Reliability]:
    """The diagram behind every ECE: for each `ece_<key>` of `summary`, the entry `<key>`."""
    return dict(_diagrams(tally, classes))


def _diagrams(tally: Tally, classes: tuple[str, ...]) -> list[tuple[str, Reliability]]:
    """Names and diagrams, in order."""
    count = np.asarray(tally.bin_count, np.int64)  # [V, G, K]
    p_sum = (np.arange(BINS) * count + np.asarray(tally.bin_excess, np.float64)) / BINS  # [V, G, K]
    confidence, frequency = _ratio(p_sum, count), _ratio(tally.bin_events, count)
    return [
        (name + version, Reliability(count[v, g], confidence[v, g], frequency[v, g]))
        for v, version in enumerate(("", "_raw"))
        for g, name in enumerate((*classes, "foreground"))
    ]


def _rows(tally: Tally, classes: tuple[str, ...]) -> list[tuple[str, float]]:
    """Keys and values of `summary`, in order."""
    confusion = np.asarray(tally.confusion, np.float64)
    hit, true, predicted = np.diag(confusion), confusion.sum(1), confusion.sum(0)  # [C] each
    pixels = confusion.sum()
    per_class = {
        "iou": _ratio(hit, true + predicted - hit),
        "f1": _ratio(2 * hit, true + predicted),
        "iou_image": _ratio(tally.iou_sum, tally.iou_images),
    }
    rows = [(f"{metric}_{c}", each[i]) for metric, each in per_class.items() for i, c in enumerate(classes)]
    rows += [(f"ece_{name}", _ece(diagram)) for name, diagram in _diagrams(tally, classes)]
    for v, version in enumerate(("", "_raw")):
        rows.append((f"nll{version}", _ratio(tally.nll, pixels)[v]))
        rows.append((f"brier{version}", _ratio(tally.brier, pixels)[v]))
    rows.append(("iou_all_background", _ratio(true[0], pixels)))
    return [(key, float(value)) for key, value in rows]


def _ece(diagram: Reliability) -> float:
    """`Σ_k n_k / N |frequency_k − confidence_k|`; NaN when N = 0."""
    some = diagram.count > 0
    gap = np.abs(diagram.frequency[some] - diagram.confidence[some])
    return float(_ratio(np.sum(diagram.count[some] * gap), diagram.count.sum()))


def _ratio(numerator: Any, denominator: Any) -> np.ndarray:
    """Elementwise division in float64, NaN where the denominator is 0."""
    below = np.asarray(denominator, np.float64)
    return np.asarray(numerator, np.float64) / np.where(below > 0, below, np.nan)


def _confusion(predicted: Array, truth: Array, classes: int) -> Array:
    """Confusion matrix of every image: [B, H, W], [B, H, W] → [B, C, C] int32, true class first."""
    batch = truth.shape[0]
    image = jnp.arange(batch).reshape(batch, 1, 1)
    cell = (image * classes + truth) * classes + predicted  # [B, H, W]
    cells = batch * classes**2
    segment = jnp.where((truth >= 0) & (truth < classes), cell, cells).reshape(-1)  # out of range is dropped
    return jax.ops.segment_sum(jnp.ones_like(segment), segment, cells).reshape(batch, classes, classes)


def _iou(confusion: Array) -> tuple[Array, Array]:
    """[B, C, C] → the IoU of every image and class, [B, C], and whether the class is present at all, [B, C]."""
    hit = jnp.diagonal(confusion, axis1=-2, axis2=-1)  # [B, C]
    union = confusion.sum(-1) + confusion.sum(-2) - hit  # [B, C]
    return hit / jnp.maximum(union, 1), union > 0


def _chunk_sums(chunk: tuple[Array, Array]) -> tuple[Array, Array, Array, Array, Array]:
    """The sums of at most CHUNK pixels: ([P, V, C], [P]) → `nll`, `brier` and the three `bin_…` of Tally."""
    probs, truth = chunk
    classes = probs.shape[-1]
    p = probs.transpose(1, 2, 0)  # [V, C, P]
    valid = (truth >= 0) & (truth < classes)  # [P]
    target = truth[None] == jnp.arange(classes)[:, None]  # [C, P]
    nll = -jnp.log(jnp.maximum(jnp.sum(jnp.where(target[None], p, 0.0), axis=1), FLOOR))  # [V, P]
    brier = jnp.sum((p - target[None]) ** 2, axis=1)  # [V, P]
    foreground = 1 - p[:, 0]  # [V, P]
    candidate = valid & (foreground[1] >= CANDIDATE)  # [P]
    bins = _bin_sums(
        p=jnp.concatenate([p, foreground[:, None]], axis=1),  # [V, G, P]
        event=jnp.concatenate([target, truth[None] != 0]),  # [G, P]
        counts=jnp.stack([valid] * classes + [candidate]),  # [G, P]
    )
    return jnp.where(valid[None], nll, 0.0).sum(-1), jnp.where(valid[None], brier, 0.0).sum(-1), *bins


def _bin_sums(p: Array, event: Array, counts: Array) -> tuple[Array, Array, Array]:
    """Per bin: pixels, excess of p over the lower edge (in bin widths), and events.

    Integer scatter-adds: exact, and the same in any order of addition, which differs between devices, where a float32
    running sum of probabilities near 1 would drift. (On one CPU core they are about ten times as fast as a matrix
    product with one-hot bins, and twenty times as fast as a masked sum a bin.)

    Args:
        p: [V, G, P] probabilities, P at most CHUNK.
        event: [G, P] bool, whether the event happened.
        counts: [G, P] bool, whether the pixel counts.

    Returns:
        [V, G, K] int32, float32 and int32.
    """
    versions, groups, _ = p.shape
    bins = versions * groups * BINS
    scaled = jnp.clip(p, 0.0, 1.0) * BINS
    k = jnp.minimum(scaled.astype(jnp.int32), BINS - 1)  # [V, G, P], p = 1 in the last bin
    excess = jnp.round((scaled - k) * FIXED).astype(jnp.int32)  # [V, G, P]
    pair = jnp.broadcast_to(1 + 2 * CHUNK * event.astype(jnp.int32)[None], p.shape)  # a pixel, and perhaps an event
    row = jnp.arange(versions * groups).reshape(versions, groups, 1)
    segment = jnp.where(counts[None], row * BINS + k, bins).reshape(-1)  # [V G P], out of range is dropped

    def sums(each: Array) -> Array:
        return jax.ops.segment_sum(each.reshape(-1), segment, bins).reshape(versions, groups, BINS)

    pairs = sums(pair)
    return pairs % (2 * CHUNK), sums(excess).astype(jnp.float32) / FIXED, pairs // (2 * CHUNK)
