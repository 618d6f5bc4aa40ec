"""What predictions are compared with labels by: the sums of every family of metrics, image after image.

Evaluation is a sum. What an image adds is measured once, on the device and on the host (`bal.metrics.base`), added up
on the host in 64 bits, and divided at the end: memory does not grow with the number of pixels, and neither the order of
images nor the size of batches matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bal.metrics import families
from bal.metrics.base import CHUNK, Chunk, LabelledImage, OfChunk, OfImage, Sums
from bal.system import devices
from bal.types import IGNORE, Array, BadInput

Tally = dict[str, Sums]  # the sums of every family by its name, of one set of images or with an axis of images before


def zeros(classes: int, *lead: int, scores: int = 0) -> Tally:
    """The tally of no images, or of `lead` times none, with A `scores`."""
    each = {name: family.zeros(classes, scores) for name, family in families().items()}
    return jax.tree.map(lambda x: np.zeros((*lead, *x.shape), x.dtype), each)


def add(left: Tally, right: Tally) -> Tally:
    """The tally of both: exact counts up to 9·10¹⁸ pixels."""
    return jax.tree.map(np.add, left, right)


def total(each: Tally) -> Tally:
    """The tally of all images from that of each, [N, …]."""
    return jax.tree.map(lambda x: x.sum(0), each)


def values(sums: Tally, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
    """Every column and its values [...] in order, of sums that may have leading axes [...]; NaN where undefined."""
    return [column for name, family in families().items() for column in family.columns(sums[name], classes)]


def pack(tally: Tally) -> dict[str, dict[str, np.ndarray]]:
    """A nested dict of arrays, as a checkpoint keeps it."""
    return {name: sums._asdict() for name, sums in tally.items()}


def unpack(saved: Mapping[str, Mapping[str, np.ndarray]]) -> Tally:
    """The inverse of `pack`, of the families that are there now."""
    like = {name: sums for name, sums in zeros(1).items() if _fields(saved, name) == set(sums._fields)}
    return {name: type(sums)(**saved[name]) for name, sums in like.items()}


def check_families(saved: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Raises BadInput unless what was packed was measured by the families that are there now."""
    now = {name: set(sums._fields) for name, sums in zeros(1).items()}
    if odd := [name for name in sorted(saved.keys() | now.keys()) if _fields(saved, name) != now.get(name)]:
        where = "is another now" if odd[0] in now and odd[0] in saved else "was not in bal.METRICS: take it out"
        where = "is not in bal.METRICS now: put it there" if odd[0] not in now else where
        raise BadInput(f"the run goes on with the metrics that it was begun with, and {odd[0]!r} {where}")


def _fields(saved: Mapping[str, Any], name: str) -> set[str] | None:
    """What was packed of a family; None where nothing was."""
    found = saved.get(name)
    return set(found) if isinstance(found, Mapping) else None


def put_batch(each: Tally, rows: Sequence[int], part: Tally) -> None:
    """Adds what `of_chunks` found in a batch to the tallies [N, …] of its images; it may have more rows than images."""
    for name, sums in part.items():
        for whole, found in zip(each[name], sums, strict=True):
            whole[rows] += found[: len(rows)]


def put_image(each: Tally, row: int, image: LabelledImage) -> None:
    """Adds what the families that measure whole images find in one to its tally, a row of [N, …]."""
    for name, family in families().items():
        if isinstance(family, OfImage):
            for whole, found in zip(each[name], family.of_image(image), strict=True):
                whole[row] += found


Chunked = tuple[tuple[str, OfChunk], ...]


def chunked() -> Chunked:
    """The families that measure pixels, as a static argument of `jax.jit`."""
    return tuple((name, family) for name, family in families().items() if isinstance(family, OfChunk))


def of_chunks(measured: Chunked, calibrated: Array, raw: Array, label: Array, scores: Array) -> Tally:
    """What the families that measure pixels find in every image of a batch. For use inside `jax.jit`.

    Each device measures the images that lie on it, one after the other, and every family sees a chunk of one while it
    is in the cache.

    Args:
        measured: of `chunked`.
        calibrated, raw, label, scores: as for `tally_images`.

    Returns:
        [B, …] int32 and float32, for images of up to 2³¹ pixels.
    """

    def chunk(pixels: tuple[Array, Array, Array]) -> Tally:
        seen = _chunk(*pixels)
        return {name: family.of_chunk(seen) for name, family in measured}

    def image(maps: tuple[Array, ...]) -> Tally:
        return jax.tree.map(lambda x: x.sum(0), jax.lax.map(chunk, _cut(*maps)))

    return devices.rowwise(lambda _, *maps: jax.lax.map(image, maps), (), calibrated, raw, label, scores)


_of_chunks = jax.jit(of_chunks, static_argnames="measured")


def tally_images(calibrated: Array, raw: Array, label: Array, scores: Array | None = None) -> Tally:
    """The sums of every image of a batch that is all there, [B, …].

    Args:
        calibrated: [B, H, W, C] pooled predictive probabilities. raw: [B, H, W, C] the same before
        calibration. label: [B, H, W] class ids. IGNORE, and anything else outside 0 … C−1, counts for
        nothing, so padding does not. scores: [B, H, W, A] scores that may find errors, not negative; None for none.

    Returns:
        Tally of int64 and float64.
    """
    found = jnp.zeros((*label.shape, 0)) if scores is None else scores  # [B, H, W, A]
    each = zeros(calibrated.shape[-1], len(label), scores=found.shape[-1])
    put_batch(each, range(len(label)), jax.device_get(_of_chunks(chunked(), calibrated, raw, label, found)))
    for row, (truth, predictive) in enumerate(zip(np.asarray(label), np.asarray(calibrated), strict=True)):
        put_image(each, row, LabelledImage(truth, predictive.argmax(-1), predictive))
    return each


def _cut(calibrated: Array, raw: Array, label: Array, scores: Array) -> tuple[Array, Array, Array]:
    """An image, [H, W, …] each, in chunks, the last one padded: [K, P, V, C], [K, P] and [K, P, A]."""
    size = min(CHUNK, label.size)
    pad = -label.size % size
    probs = jnp.stack([calibrated, raw], axis=-2).astype(jnp.float32)  # [H, W, V, C]
    probs, scores = (x.reshape(label.size, *x.shape[2:]) for x in (probs, scores))  # [H W, V, C], [H W, A]
    return (
        jnp.pad(probs, ((0, pad), (0, 0), (0, 0))).reshape(-1, size, *probs.shape[1:]),  # [K, P, V, C]
        jnp.pad(label.reshape(-1), (0, pad), constant_values=IGNORE).reshape(-1, size),  # [K, P]
        jnp.pad(scores, ((0, pad), (0, 0))).reshape((label.size + pad) // size, size, scores.shape[-1]),  # [K, P, A]
    )


def _chunk(probs: Array, label: Array, scores: Array) -> Chunk:
    """[P, V, C], [P] and [P, A], with the pixels last and what every family asks of them."""
    p = probs.transpose(1, 2, 0)  # [V, C, P]
    valid = (label >= 0) & (label < p.shape[1])  # [P]
    return Chunk(p, label, valid, p[0].argmax(0) != label, scores.T)
