"""What models would label, pixel by pixel, and how far two of them agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from bal.posterior.model import Model
from bal.posterior.moments import predict_moments
from bal.scoring.score import stride
from bal.sources.base import Source
from bal.sources.batches import load
from bal.system import devices
from bal.types import Array


class ClassMap(NamedTuple):
    """The prediction for one image."""

    id: str
    label: np.ndarray  # int32 [H, W] most likely class
    probability: np.ndarray  # [H, W] of it, calibrated


@jax.jit
def _surest(model: Model, x: Array, size: Array) -> tuple[Array, Array]:
    """[B, H, W] most likely class, and its calibrated probability."""
    p = predict_moments(model, x, size).predictive
    return p.argmax(-1), p.max(-1)


def class_maps(model: Model, source: Source, ids: Sequence[str]) -> Iterator[ClassMap]:
    """What a model would label of some images, one by one; images of one size follow each other."""
    for loaded in load(source, ids, stride(model)):
        label, p, size = map(devices.fetch, (*_surest(model, loaded.image, loaded.size), loaded.size))
        for b, row in enumerate(loaded.rows):
            height, width = size[b]
            yield ClassMap(ids[row], label[b, :height, :width].astype(np.int32), p[b, :height, :width])


def agreement(one: Model, other: Model, source: Source, ids: Sequence[str]) -> np.ndarray:
    """[C] how far two models of one network label the same: the Jaccard index of their pixels of each class.

    One minus it is a metric on sets of pixels, so it bounds what separates the two: on these images, and whatever the
    truth is, IoU of one − IoU of the other ≤ 1 − agreement, class by class.

    Returns:
        Between 0 and 1; NaN where neither predicts the class.

    References:
        Bloodgood & Vijay-Shanker 2009, "A method for stopping active learning based on stabilizing predictions and the
        need for user-adjustable stopping", arXiv:1409.5165, compare successive models; Kosub 2019, "A note on the
        triangle inequality for the Jaccard distance", arXiv:1612.02696.
    """
    classes = one.net.classes
    table = np.zeros((classes, classes), np.int64)
    for a, b in zip(class_maps(one, source, ids), class_maps(other, source, ids), strict=True):
        table += np.bincount((a.label * classes + b.label).ravel(), minlength=classes**2).reshape(classes, classes)
    both = np.diag(table)
    either = table.sum(0) + table.sum(1) - both
    return np.where(either > 0, both / np.maximum(either, 1), np.nan)
