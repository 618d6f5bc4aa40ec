"""A model compared with the masks of whole images, streamed."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from bal.metrics import tally as metrics
from bal.metrics.base import LabelledImage
from bal.posterior.model import Model
from bal.posterior.moments import Moments, or_nan, predict_moments
from bal.scoring.acquisitions import BALD, Entropy
from bal.scoring.acquisitions.base import Acquisition, Learns
from bal.scoring.numbers import are_numbers, why_not
from bal.scoring.score import stride
from bal.sources.base import Source
from bal.sources.batches import ImagesDone, load, one_behind
from bal.types import Array


@functools.partial(jax.jit, static_argnames=("scores", "measured"))
def _measure(
    model: Model, scores: tuple[Acquisition, ...], measured: metrics.Chunked, x: Array, size: Array, label: Array
) -> tuple[metrics.Tally, Array, Array]:
    """What the pixels of every image of a batch add, after and before calibration; the prediction and its classes."""

    def wanted(moments: Moments) -> tuple[Array, Array, Array]:
        return or_nan(moments, moments.predictive), moments.mean_p, jnp.stack([score(moments) for score in scores], -1)

    needs = tuple({name for score in scores for name in score.needs})
    calibrated, raw, found = predict_moments(model, x, size, needs, then=wanted)
    if model.calibrator.on == "members":
        raw = predict_moments(model.uncalibrated(), x, size).mean_p
    sums = metrics.of_chunks(measured, calibrated, raw, label, found)
    return sums, jnp.argmax(calibrated, -1).astype(jnp.uint8), calibrated


def scores_of(acquisition: Acquisition | None) -> tuple[Acquisition, ...]:
    """The scores whose errors found are counted, in the order of `detection.SCORES`.

    The run's acquisition is left out where it is one of the others, looks at nothing, or has to learn first.
    """
    always = Entropy(), BALD()
    if acquisition is None or not acquisition.needs or acquisition in always or isinstance(acquisition, Learns):
        return always
    return *always, acquisition


def tally(
    model: Model,
    source: Source,
    ids: Sequence[str],
    watch: ImagesDone | None = None,
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

    Raises:
        BadInput: a probability is no number; names the image and the sample.
    """
    return metrics.total(tally_each(model, source, ids, watch, acquisition))


def tally_each(
    model: Model,
    source: Source,
    ids: Sequence[str],
    watch: ImagesDone | None = None,
    acquisition: Acquisition | None = None,
) -> metrics.Tally:
    """As `tally`, but the sums of every image: each field has a leading axis [N], in the order of `ids`."""
    scores = scores_of(acquisition)
    each, done = metrics.zeros(len(source.classes), len(ids), scores=len(scores)), 0
    results = (
        (loaded, _measure(model, scores, metrics.chunked(), loaded.image, loaded.size, loaded.label))
        for loaded in load(source, ids, stride(model), labels=True)
    )
    for loaded, found in one_behind(results):
        sums, predicted, predictive, label = jax.device_get((*found, loaded.label))
        metrics.put_batch(each, loaded.rows, sums)
        for b, row in enumerate(loaded.rows):
            height, width = source.shape(ids[row])
            cropped = [x[b, :height, :width] for x in (label, predicted, predictive)]
            if not are_numbers(cropped[-1]):
                raise why_not(model, loaded, b, ids[row])
            metrics.put_image(each, row, LabelledImage(*cropped))
        done += len(loaded.rows)
        if watch:
            watch(done, len(ids))
    return each
