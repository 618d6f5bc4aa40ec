"""What a model says about labelled images: metrics on the test set, evidence for the calibrator, maps for people."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from bal import devices, metrics
from bal.moments import TINY, posterior
from bal.regions import Regions
from bal.score import Watch, load, one_behind, stride
from bal.types import IGNORE, Acquisition, Array, Model, Source

ROOM = 1024  # labelled pixels for the calibrator are padded to this times a power of two, so that shapes stay few


@jax.jit
def _tally(model: Model, x: Array, size: Array, label: Array) -> metrics.Tally:
    """The sums of one batch, after and before calibration."""
    moments = posterior(model, x, size)
    raw = moments.mean_p if model.calibrator.on == "pooled" else posterior(_uncalibrated(model), x, size).mean_p
    return metrics.tally_batch(moments.predictive, raw, label)


def _uncalibrated(model: Model) -> Model:
    return dataclasses.replace(model, state=model.calibrator.init(model.net.classes))


def tally(model: Model, source: Source, ids: Sequence[str], watch: Watch | None = None) -> metrics.Tally:
    """Compares a model with the masks of whole images, streamed.

    Args:
        model: a posterior with its calibrator.
        source, ids: labelled images.
        watch: called with the images done and in all.

    Returns:
        The sums of `bal.metrics`, which add up over disjoint sets of images.
    """
    total, done = metrics.zeros(len(source.classes)), 0
    results = (
        (loaded, _tally(model, loaded.image, loaded.size, loaded.label))
        for loaded in load(source, ids, stride(model), labels=True)
    )
    for loaded, batch in one_behind(results):
        total = metrics.add(total, jax.device_get(batch))
        done += len(loaded.rows)
        if watch:
            watch(done, len(ids))
    return total


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
        model: its calibrator's `on` says what is fitted: the pooled mean, or each of the samples.
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
        host = [devices.fetch(m) for m in maps]
        for b, row in enumerate(loaded.rows):
            for m in sorted(m for m in answers if regions.image[m] == images[row]):
                top, left, height, width = regions.box[m]
                logp += [h[b, top : top + height, left : left + width].reshape(height * width, -1) for h in host]
                label += [answers[m].ravel()] * len(host)
    return dataclasses.replace(model, state=_fit(model, np.concatenate(logp), np.concatenate(label)))


def _fit(model: Model, logp: np.ndarray, label: np.ndarray) -> object:
    """The calibrator's state from [P, C] and [P], padded to a few common lengths."""
    rows = ROOM
    while rows < len(label):
        rows *= 2
    padded = np.full(rows, IGNORE, np.int32)
    padded[: len(label)] = label
    return model.calibrator.fit(jnp.asarray(devices.pad_rows(logp, rows)), jnp.asarray(padded))


@functools.partial(jax.jit, static_argnames=("acquisition",))
def _maps(model: Model, acquisition: Acquisition, x: Array, size: Array) -> tuple[Array, Array]:
    moments = posterior(model, x, size, acquisition.needs)
    return moments.predictive.argmax(-1), acquisition(moments)


def inspect(model: Model, source: Source, acquisition: Acquisition, id: str) -> tuple[np.ndarray, np.ndarray]:
    """The most likely class [H, W] and the acquisition's score map [H, W] of one image."""
    (loaded,) = load(source, [id], stride(model))
    height, width = source.shape(id)
    prediction, score = (devices.fetch(a)[0, :height, :width] for a in _maps(model, acquisition, *loaded[1:3]))
    return prediction, score
