"""What a model says about regions whose labels are known and which it was not trained on."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from bal import devices
from bal.pool.regions import Regions
from bal.posterior.model import Model
from bal.posterior.moments import Moments, posterior
from bal.question import Question, asking
from bal.score import stride
from bal.sources.base import Source
from bal.sources.batches import load
from bal.trust import Seen
from bal.types import IGNORE, Acquisition, Array


def reads_samples(acquisition: Acquisition | Question) -> bool:
    """Whether an acquisition looks at the posterior samples, rather than at the calibrated prediction alone."""
    return bool(acquisition.needs) and "predictive" not in acquisition.needs


@jax.jit
def _look(model: Model, question: Question, x: Array, size: Array) -> tuple[Array, ...]:
    """Predictive, believed, promised and score of a batch, [B, H, W, C] or [B, H, W]."""
    samples = reads_samples(question)

    def then(moments: Moments) -> tuple[Array, ...]:
        believed, spread = moments.predictive, jnp.zeros_like(moments.predictive)
        if samples:
            assert moments.var_p is not None
            believed, spread = moments.mean_p, moments.var_p
        promised = (believed * believed + spread).sum(-1)
        score = question(moments) if question.needs else jnp.zeros_like(promised)
        return moments.predictive, believed, promised, score

    needs = tuple(dict.fromkeys((*question.needs, *(("var_p",) if samples else ()))))
    return posterior(model, x, size, needs, then, question.targets)


def look(
    model: Model,
    source: Source,
    regions: Regions,
    answers: Mapping[int, np.ndarray],
    question: Acquisition | Question,
) -> dict[int, Seen]:
    """Runs a model over the images of some regions, once each.

    Args:
        model: calibrated; it should not have been trained on `answers`.
        source, regions: the pool.
        answers: label [height, width] of each region, by candidate index.
        question: what scores the pixels.

    Returns:
        What it saw of each region, by candidate index, in ascending order.
    """
    images = sorted({int(regions.image[m]) for m in answers})
    length = 1 << (len(images) - 1).bit_length() if images else 0  # the last one again: few lengths, few programs
    ids = [regions.ids[n] for n in images + images[-1:] * (length - len(images))]
    seen: dict[int, Seen] = {}
    for loaded in load(source, ids, stride(model)):
        maps = [devices.fetch(y) for y in _look(model, asking(question), loaded.image, loaded.size)]
        for b, row in enumerate(loaded.rows):
            for m in (m for m in answers if row < len(images) and regions.image[m] == images[row]):
                top, left, height, width = regions.box[m]
                known = answers[m] != IGNORE
                cut = (y[b, top : top + height, left : left + width][known] for y in maps)
                seen[m] = Seen(answers[m][known], *cut)
    return {m: seen[m] for m in sorted(seen)}
