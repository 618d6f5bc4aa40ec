"""What predictions are compared with labels by: sums over pixels, image after image.

Evaluation is a sum. `tally_batch` turns a batch into sums, `add` adds them up on the host in 64 bits, and
`bal.metrics.summary` divides at the end: memory does not grow with the number of images, and neither order nor batch
size matters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.metrics.histograms import MASS, SCORES, score_bin
from bal.types import IGNORE, Array

BINS = 15
CANDIDATE = 0.05  # the least uncalibrated foreground probability that `ece_foreground` looks at
CHUNK = 2**14  # pixels at a time: bounds the memory, stays in cache
FIXED = 2**16  # steps a bin width, about 10⁻⁶ of probability: CHUNK * FIXED fits int32
FLOOR = 1e-37  # stands for a probability that rounded to 0, so that one pixel costs at most 85 nats


class Tally(NamedTuple):
    """Sums over labelled pixels. Device arrays of 32 bits for one batch, NumPy arrays of 64 bits once added.

    V = 2 versions of the prediction, calibrated and raw; G = C + 1 events, one a class and then the foreground, which
    is asked of candidates only; A scores that may find errors; L and M fine bins, see `bal.metrics.histograms`.
    """

    confusion: Any  # [C, C] pixels by true class, then predicted class
    iou_sum: Any  # [C] sum of the IoU of the images in which the class is present in truth or prediction
    iou_images: Any  # [C] how many those are
    nll: Any  # [V] sum of −log p of the true class, nats
    brier: Any  # [V] sum of Σ_c (p_c − t_c)²
    bin_count: Any  # [V, G, K] pixels
    bin_excess: Any  # [V, G, K] sum of p above the lower edge of the bin, in bin widths
    bin_events: Any  # [V, G, K] pixels where the event happened
    mass_count: Any  # [V, M] candidates, in fine bins of the foreground's probability
    mass_excess: Any  # [V, M] as `bin_excess`
    mass_events: Any  # [V, M] as `bin_events`
    score_count: Any  # [A, 2, L] pixels rightly and wrongly predicted after calibration, in bins of each score


def zeros(classes: int, *lead: int, scores: int = 0) -> Tally:
    """The tally of no images, or of `lead` times none, with A `scores`."""
    bins, mass = (2, classes + 1, BINS), (2, MASS)
    shapes = ((classes, classes), (classes,), (classes,), (2,), (2,), bins, bins, bins, mass, mass, mass)
    sums = {"iou_sum", "nll", "brier", "bin_excess", "mass_excess"}
    kinds = (np.float64 if name in sums else np.int64 for name in Tally._fields)
    every = zip((*shapes, (scores, 2, SCORES)), kinds, strict=True)
    return Tally(*(np.zeros((*lead, *shape), kind) for shape, kind in every))


def add(left: Tally, right: Tally) -> Tally:
    """The tally of both, on the host, in int64 and float64: exact counts up to 9·10¹⁸ pixels."""
    both = zip(zeros(len(left.iou_sum), scores=len(left.score_count)), left, right, strict=True)
    return Tally(*(zero + np.asarray(a) + np.asarray(b) for zero, a, b in both))


def total(each: Tally) -> Tally:
    """The tally of all images from that of each, [N, …]."""
    return Tally(*(np.asarray(field).sum(0) for field in each))


def tally_images(calibrated: Array, raw: Array, label: Array, scores: Array | None = None) -> Tally:
    """As `tally_batch`, but the sums of every image, [B, …]."""

    def one(image: tuple[Array, ...]) -> Tally:
        return tally_batch(*jax.tree.map(lambda x: x[None], image))

    return jax.lax.map(one, (calibrated, raw, label, scores))


@jax.jit
def tally_batch(calibrated: Array, raw: Array, label: Array, scores: Array | None = None) -> Tally:
    """The sums of one batch.

    Args:
        calibrated: [B, H, W, C] pooled predictive probabilities. raw: [B, H, W, C] the same before
        calibration. label: [B, H, W] class ids. IGNORE, and anything else outside 0 … C−1, counts for
        nothing, so padding does not. scores: [B, H, W, A] scores that may find errors, not negative; None for none.

    Returns:
        Tally of int32 and float32, for up to 2³¹ pixels.
    """
    classes = calibrated.shape[-1]
    confusion = _confusion(jnp.argmax(calibrated, -1), label, classes)  # [B, C, C]
    iou, present = _iou(confusion)
    size = min(CHUNK, label.size)
    pad = -label.size % size
    probs = jnp.stack([calibrated, raw], axis=-2).astype(jnp.float32).reshape(-1, 2, classes)  # [B H W, V, C]
    found = jnp.zeros((*label.shape, 0)) if scores is None else scores  # [B, H, W, A]
    found = found.reshape(label.size, found.shape[-1])
    chunks = (
        jnp.pad(probs, ((0, pad), (0, 0), (0, 0))).reshape(-1, size, 2, classes),
        jnp.pad(label.reshape(-1), (0, pad), constant_values=IGNORE).reshape(-1, size),
        jnp.pad(found, ((0, pad), (0, 0))).reshape((label.size + pad) // size, size, found.shape[-1]),
    )
    nll, brier, bins, mass, score = jax.tree.map(lambda x: x.sum(0), jax.lax.map(_chunk_sums, chunks))
    return Tally(
        confusion=confusion.sum(0),
        iou_sum=jnp.where(present, iou, 0.0).sum(0),
        iou_images=present.sum(0, dtype=jnp.int32),
        nll=nll,
        brier=brier,
        bin_count=bins[0],
        bin_excess=bins[1],
        bin_events=bins[2],
        mass_count=mass[0][:, 0],
        mass_excess=mass[1][:, 0],
        mass_events=mass[2][:, 0],
        score_count=score,
    )


Bins = tuple[Array, Array, Array]  # pixels, excess and events


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


def _chunk_sums(chunk: tuple[Array, Array, Array]) -> tuple[Array, Array, Bins, Bins, Array]:
    """Of at most CHUNK pixels: ([P, V, C], [P], [P, A]) → `nll`, `brier`, `bin_…`, `mass_…`, `score_…` of Tally."""
    probs, truth, scores = chunk
    classes = probs.shape[-1]
    p = probs.transpose(1, 2, 0)  # [V, C, P]
    valid = (truth >= 0) & (truth < classes)  # [P]
    target = truth[None] == jnp.arange(classes)[:, None]  # [C, P]
    nll = -jnp.log(jnp.maximum(jnp.sum(jnp.where(target[None], p, 0.0), axis=1), FLOOR))  # [V, P]
    brier = jnp.sum((p - target[None]) ** 2, axis=1)  # [V, P]
    foreground = 1 - p[:, 0]  # [V, P]
    candidate = valid & (foreground[1] >= CANDIDATE)  # [P]
    event = jnp.concatenate([target, truth[None] != 0])  # [G, P]
    bins = _bin_sums(
        p=jnp.concatenate([p, foreground[:, None]], axis=1),  # [V, G, P]
        event=event,
        counts=jnp.stack([valid] * classes + [candidate]),  # [G, P]
    )
    mass = _bin_sums(foreground[:, None], event[-1:], candidate[None], MASS)  # [V, 1, M] each
    nll, brier = (jnp.where(valid[None], x, 0.0).sum(-1) for x in (nll, brier))
    wrong = p[0].argmax(0) != truth
    return nll, brier, bins, mass, _score_counts(scores.T, wrong, valid)


def _score_counts(scores: Array, wrong: Array, valid: Array) -> Array:
    """[A, P], [P], [P] → [A, 2, L] int32: the valid pixels in bins of each score, the right ones before the wrong."""
    bin = jnp.where(valid[None], score_bin(scores), SCORES)  # [A, P]
    row = 2 * jnp.arange(len(scores))[:, None] + wrong[None]  # [A, P]
    cells = len(scores) * 2 * SCORES
    segment = jnp.where(bin < SCORES, row * SCORES + bin, cells).reshape(-1)  # [A P], out of range is dropped
    return jax.ops.segment_sum(jnp.ones_like(segment), segment, cells).reshape(len(scores), 2, SCORES)


def _bin_sums(p: Array, event: Array, counts: Array, bins: int = BINS) -> Bins:
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
