"""What a model says about regions whose labels are known and which it was not trained on."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np

from bal.pool.regions import Regions
from bal.posterior.model import Model
from bal.posterior.moments import Moments, or_nan, predict_moments
from bal.posterior.samples import prepare
from bal.scoring.acquisitions import Random
from bal.scoring.acquisitions.base import Acquisition
from bal.scoring.numbers import are_numbers, why_not
from bal.scoring.objective import Objective, as_objective
from bal.scoring.score import stride
from bal.sources.base import Source
from bal.sources.batches import load
from bal.system import devices
from bal.types import IGNORE, TINY, Array, RegionPrediction


def reads_samples(acquisition: Acquisition | Objective) -> bool:
    """Whether an acquisition looks at the posterior samples, rather than at the calibrated prediction alone."""
    return bool(acquisition.needs) and "predictive" not in acquisition.needs


@jax.jit
def predict_batch(model: Model, objective: Objective, x: Array, size: Array) -> tuple[Array, ...]:
    """Predictive, believed, promised and score of a batch, [B, H, W, C] or [B, H, W]."""
    samples = reads_samples(objective)

    def then(moments: Moments) -> tuple[Array, ...]:
        believed, spread = moments.predictive, jnp.zeros_like(moments.predictive)
        if samples:
            assert moments.var_p is not None
            believed, spread = moments.mean_p, moments.var_p
        promised = (believed * believed + spread).sum(-1)
        score = objective(moments) if objective.needs else jnp.zeros_like(promised)
        return or_nan(moments, moments.predictive), believed, promised, score

    needs = tuple(dict.fromkeys((*objective.needs, *(("var_p",) if samples else ()))))
    return predict_moments(model, x, size, needs, then, objective.targets)


def predict_regions(
    model: Model,
    source: Source,
    regions: Regions,
    answers: Mapping[int, np.ndarray],
    objective: Acquisition | Objective,
) -> dict[int, RegionPrediction]:
    """Runs a model over the images of some regions, once each.

    Args:
        model: calibrated; it should not have been trained on `answers`.
        source, regions: the pool.
        answers: label [height, width] of each region, by candidate index.
        objective: what scores the pixels.

    Returns:
        What it saw of each region, by candidate index, in ascending order.
    """

    def ask(x: Array, size: Array) -> tuple[Array, ...]:
        return predict_batch(model, as_objective(objective), x, size)

    seen = {}
    for m, maps in walk(model, source, regions, answers, ask, few=True):
        known = answers[m] != IGNORE
        seen[m] = RegionPrediction(answers[m][known], *(y[known] for y in maps))
    return {m: seen[m] for m in sorted(seen)}


def predict_probabilities(
    model: Model, source: Source, regions: Regions, index: Sequence[int]
) -> dict[int, np.ndarray]:
    """Calibrated probabilities, float32 [height, width, C], of some regions' boxes, by candidate index."""
    return dict(walk_probabilities(model, source, regions, index, few=True))


def walk_probabilities(
    model: Model, source: Source, regions: Regions, index: Sequence[int], few: bool = False
) -> Iterator[tuple[int, np.ndarray]]:
    """The same one by one, in the order of `walk`, so that few are held at once; `few` is for a few regions."""
    objective = as_objective(Random())

    def ask(x: Array, size: Array) -> tuple[Array, ...]:
        return (predict_batch(model, objective, x, size)[0],)

    for m, maps in walk(model, source, regions, index, ask, few):
        yield m, maps[0]


def walk(
    model: Model,
    source: Source,
    regions: Regions,
    wanted: Iterable[int],
    ask: Callable[[Array, Array], tuple[Array, ...]],
    few: bool = False,
) -> Iterator[tuple[int, list[np.ndarray]]]:
    """Shows the images of some regions to a model, once each, and keeps what is said of the regions.

    Args:
        model: for the sides that its images are padded to.
        source, regions: the pool.
        wanted: candidate indices.
        ask: images [B, H, W, Cin] and sizes [B, 2] → maps [B, H, W, …].
        few: show the last image again until there are a power of two: few lengths of batches, few programs. The last
            bits of a map may depend on the length.

    Yields:
        Each candidate index, and its part [height, width, …] of every map; image by image, not in ascending order.

    Raises:
        BadInput: something in such a part is NaN or +inf; names the image and the sample.
    """
    of_image: dict[int, list[int]] = {}
    for m in sorted(wanted):
        of_image.setdefault(int(regions.image[m]), []).append(m)
    images = sorted(of_image)
    again = (1 << (len(images) - 1).bit_length()) - len(images) if images and few else 0
    ids = [regions.ids[n] for n in images + images[-1:] * again]
    for loaded in load(source, ids, stride(model)):
        maps = [devices.fetch(y) for y in ask(loaded.image, loaded.size)]
        for b, row in enumerate(loaded.rows):
            for m in of_image[images[row]] if row < len(images) else ():
                top, left, height, width = regions.box[m]
                parts = [y[b, top : top + height, left : left + width] for y in maps]
                if not all(are_numbers(part) for part in parts):
                    raise why_not(model, loaded, b, ids[row])
                yield m, parts


ROOM = 1024  # labelled pixels for the calibrator are padded to this times a power of two, so that shapes stay few
CAP = 2**15  # of them at most; of more, a stratified subsample


@jax.jit
def _pooled(model: Model, x: Array, size: Array) -> Array:
    """[B, H, W, C] log of the uncalibrated pooled mean; NaN where that is."""
    return jnp.log(jnp.maximum(predict_moments(model.uncalibrated(), x, size).mean_p, TINY))


@jax.jit
def _member(model: Model, x: Array, size: Array, s: Array) -> Array:
    """[B, H, W, C] log-probabilities of the s-th sample, before calibration."""
    return prepare(model, x, size).raw_log_probs(s)


def calibrate(
    model: Model,
    source: Source,
    regions: Regions,
    answers: Mapping[int, np.ndarray],
    stands_for: Mapping[int, float] = MappingProxyType({}),
) -> Model:
    """Fits the model's calibrator to regions that training has not seen.

    Args:
        model: its calibrator's `on` says what is fitted: the pooled mean, or the samples.
        source, regions: the pool.
        answers: label [height, width] of each of those regions, by candidate index.
        stands_for: the weight of those that were not drawn uniformly, by candidate index; 1 unless given.

    Returns:
        The model with a fitted state; without labels, with the state that changes nothing.
    """
    if not answers:
        return model.uncalibrated()
    pooled = model.calibrator.on == "pooled"

    def ask(x: Array, size: Array) -> tuple[Array, ...]:
        if pooled:
            return (_pooled(model, x, size),)
        return tuple(_member(model, x, size, jnp.int32(s)) for s in range(model.head.samples))

    logp, label, weight = [], [], []
    for m, maps in walk(model, source, regions, answers, ask):
        logp.append(np.stack(maps, -2).reshape(answers[m].size, len(maps), -1))  # [P, S, C]
        label.append(answers[m].ravel())
        weight.append(np.full(answers[m].size, stands_for.get(m, 1.0), np.float32))
    seen, labels, weights = (np.concatenate(parts) for parts in (logp, label, weight))
    return dataclasses.replace(model, state=_fit(model, seen[:, 0] if pooled else seen, labels, weights))


def _fit(model: Model, logp: np.ndarray, label: np.ndarray, stands_for: np.ndarray) -> object:
    """The calibrator's state from [P, C] or [P, S, C], and [P] twice: at most CAP, padded to a few common lengths."""
    kept, weight = thin(label, logp.shape[-1], CAP)
    rows = ROOM
    while rows < len(kept):
        rows *= 2
    padded, weights = np.full(rows, IGNORE, np.int32), np.zeros(rows, np.float32)
    padded[: len(kept)], weights[: len(kept)] = label[kept], weight * stands_for[kept]
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
