"""What a model would label, pixel by pixel."""

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
