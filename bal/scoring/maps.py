"""What a model would label, pixel by pixel, and two models side by side."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import numpy as np

from bal.posterior.model import Model
from bal.posterior.moments import predict_moments
from bal.scoring.held_out import predict_batch
from bal.scoring.objective import Objective
from bal.scoring.score import stride
from bal.sources.base import Source
from bal.sources.batches import load
from bal.system import devices
from bal.types import Array, confusion


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


def cross_table(one: Model, other: Model, source: Source, ids: Sequence[str], objective: Objective) -> np.ndarray:
    """What two models of one network would label, side by side.

    Args:
        one, other: calibrated.
        source, ids: the images.
        objective: what the models are asked elsewhere; it changes nothing, but its program is there already.

    Returns:
        int64 [C, C] pixels by the class that the one predicts, then by that of the other.
    """
    table = np.zeros((one.net.classes,) * 2, np.int64)
    for loaded in load(source, ids, stride(one)):
        asked = (predict_batch(model, objective, loaded.image, loaded.size)[0] for model in (one, other))
        a, b = (devices.fetch(p).argmax(-1) for p in asked)
        for n, (height, width) in enumerate(devices.fetch(loaded.size)[: len(loaded.rows)]):
            table += confusion(a[n, :height, :width], b[n, :height, :width], len(table))
    return table
