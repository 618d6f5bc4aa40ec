"""What a model says about labelled images: metrics on the test set, evidence for the calibrator, maps for people."""

from __future__ import annotations

import dataclasses
import functools
import zlib
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from bal import devices, metrics
from bal.acquisitions import BALD, Entropy
from bal.pool.regions import Regions
from bal.posterior.model import Model
from bal.posterior.moments import TINY, Moments, posterior
from bal.question import Question, asking
from bal.score import stride
from bal.sources.base import Source
from bal.sources.batches import Watch, load, one_behind
from bal.types import IGNORE, Acquisition, Array

ROOM = 1024  # labelled pixels for the calibrator are padded to this times a power of two, so that shapes stay few
CAP = 2**15  # of them at most; of more, a stratified subsample


@functools.partial(jax.jit, static_argnames=("scores",))
def _tally(model: Model, scores: tuple[Acquisition, ...], x: Array, size: Array, label: Array) -> metrics.Tally:
    """The sums of every image of a batch, after and before calibration, and how each score finds errors."""

    def wanted(moments: Moments) -> tuple[Array, Array, Array]:
        return moments.predictive, moments.mean_p, jnp.stack([score(moments) for score in scores], -1)

    needs = tuple({name for score in scores for name in score.needs})
    calibrated, raw, found = posterior(model, x, size, needs, then=wanted)
    if model.calibrator.on == "members":
        raw = posterior(_uncalibrated(model), x, size).mean_p
    return metrics.tally_images(calibrated, raw, label, found)


def scores_of(acquisition: Acquisition | None) -> tuple[Acquisition, ...]:
    """The scores whose errors found are counted, in the order of `summary.SCORES`.

    The run's acquisition is left out where it is one of the others, looks at nothing, or has to learn first.
    """
    always = Entropy(), BALD()
    if acquisition is None or not acquisition.needs or acquisition in always or hasattr(acquisition, "learn"):
        return always
    return *always, acquisition


def _uncalibrated(model: Model) -> Model:
    return dataclasses.replace(model, state=model.calibrator.init(model.net.classes))


def tally(
    model: Model,
    source: Source,
    ids: Sequence[str],
    watch: Watch | None = None,
    acquisition: Acquisition | None = None,
) -> metrics.Tally:
    """Compares a model with the masks of whole images, streamed.

    Args:
        model: a posterior with its calibrator.
        source, ids: labelled images.
        watch: called with the images done and in all.
        acquisition: a score to judge beside predictive entropy and mutual information.

    Returns:
        The sums of `bal.metrics`, which add up over disjoint sets of images.
    """
    return metrics.total(tally_each(model, source, ids, watch, acquisition))


def tally_each(
    model: Model,
    source: Source,
    ids: Sequence[str],
    watch: Watch | None = None,
    acquisition: Acquisition | None = None,
) -> metrics.Tally:
    """As `tally`, but the sums of every image: each field has a leading axis [N], in the order of `ids`."""
    scores = scores_of(acquisition)
    each, done = metrics.zeros(len(source.classes), len(ids), scores=len(scores)), 0
    results = (
        (loaded, _tally(model, scores, loaded.image, loaded.size, loaded.label))
        for loaded in load(source, ids, stride(model), labels=True)
    )
    for loaded, batch in one_behind(results):
        rows = list(loaded.rows)
        for whole, part in zip(each, jax.device_get(batch), strict=True):
            whole[rows] = part[: len(rows)]
        done += len(rows)
        if watch:
            watch(done, len(ids))
    return each


@jax.jit
def _pooled(model: Model, x: Array, size: Array) -> Array:
    """[B, H, W, C] log of the uncalibrated pooled mean."""
    return jnp.log(jnp.maximum(posterior(_uncalibrated(model), x, size).mean_p, TINY))


@jax.jit
def _member(model: Model, x: Array, size: Array, s: Array) -> Array:
    """[B, H, W, C] log-probabilities of the s-th sample."""
    cache = model.head.prepare(model.net, model.params, x, size)
    return jax.nn.log_softmax(model.head.logits(model.net, model.params, cache, s).astype(jnp.float32))


def calibrate(model: Model, source: Source, regions: Regions, answers: Mapping[int, np.ndarray]) -> Model:
    """Fits the model's calibrator to regions that training has not seen.

    Args:
        model: its calibrator's `on` says what is fitted: the pooled mean, or the samples.
        source, regions: the pool.
        answers: label [height, width] of each of those regions, by candidate index.

    Returns:
        The model with a fitted state; without labels, with the state that changes nothing.
    """
    if not answers:
        return _uncalibrated(model)
    images = sorted({int(regions.image[m]) for m in answers})
    ids = [regions.ids[n] for n in images]
    logp, label = [], []
    for loaded in load(source, ids, stride(model)):
        if model.calibrator.on == "pooled":
            maps = [_pooled(model, loaded.image, loaded.size)]
        else:
            maps = [_member(model, loaded.image, loaded.size, jnp.int32(s)) for s in range(model.head.samples)]
        host = np.stack([devices.fetch(m) for m in maps], -2)  # [B, H, W, S, C]
        for b, row in enumerate(loaded.rows):
            for m in sorted(m for m in answers if regions.image[m] == images[row]):
                top, left, height, width = regions.box[m]
                window = host[b, top : top + height, left : left + width]
                logp.append(window.reshape(height * width, *window.shape[2:]))
                label.append(answers[m].ravel())
    seen = np.concatenate(logp)
    seen = seen[:, 0] if model.calibrator.on == "pooled" else seen
    return dataclasses.replace(model, state=_fit(model, seen, np.concatenate(label)))


def _fit(model: Model, logp: np.ndarray, label: np.ndarray) -> object:
    """The calibrator's state from [P, C] or [P, S, C], and [P]: at most CAP of them, padded to a few common lengths."""
    kept, weight = thin(label, logp.shape[-1], CAP)
    rows = ROOM
    while rows < len(kept):
        rows *= 2
    padded, weights = np.full(rows, IGNORE, np.int32), np.zeros(rows, np.float32)
    padded[: len(kept)], weights[: len(kept)] = label[kept], weight
    return model.calibrator.fit(
        jnp.asarray(devices.pad_rows(logp[kept], rows)), jnp.asarray(padded), jnp.asarray(weights)
    )


def thin(label: np.ndarray, classes: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Which labelled pixels a calibrator is fitted to, and how many pixels each of them stands for.

    Each class keeps an equal number, or all it has where that is less, so that a class of a few pixels is not lost
    among paper; what stands for the rest is weighted by one over the share of its class that was kept (Horvitz and
    Thompson 1952), so that every weighted sum is unbiased. Equal labels are thinned alike.

    Args:
        label: [P] class ids; anything outside 0 … C−1 is left out when there is more than `most`.
        classes: C. most: pixels to keep.

    Returns:
        Sorted indices and weights, [at most `most`] each; everything with weight 1 where there is no more than that.
    """
    if len(label) <= most:
        return np.arange(len(label)), np.ones(len(label), np.float32)
    members = [np.flatnonzero(label == c) for c in range(classes)]
    rng, left, kept, weight = np.random.default_rng(zlib.crc32(label.tobytes())), most, [], []
    for place, c in enumerate(sorted(range(classes), key=lambda c: len(members[c]))):
        take = min(len(members[c]), left // (classes - place))
        kept.append(rng.choice(members[c], take, replace=False))
        weight.append(np.full(take, len(members[c]) / max(take, 1), np.float32))
        left -= take
    index = np.concatenate(kept)
    order = np.argsort(index)
    return index[order], np.concatenate(weight)[order]


@jax.jit
def _maps(model: Model, question: Question, x: Array, size: Array) -> tuple[Array, Array]:
    def then(moments: Moments) -> tuple[Array, Array]:
        return moments.predictive.argmax(-1), question(moments)

    return posterior(model, x, size, question.needs, then, question.targets)


def inspect(model: Model, source: Source, question: Acquisition | Question, id: str) -> tuple[np.ndarray, np.ndarray]:
    """The most likely class [H, W] and the score map [H, W] of one image."""
    (loaded,) = load(source, [id], stride(model))
    height, width = source.shape(id)
    prediction, score = (devices.fetch(a)[0, :height, :width] for a in _maps(model, asking(question), *loaded[1:3]))
    return prediction, score
