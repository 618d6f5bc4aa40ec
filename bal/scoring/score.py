"""Asks a model about many images, streamed: source → moments → acquisition → region scores.

Images are padded to a few common shapes and scored in batches by one jitted function a shape; one number a region
leaves the device, and what else is wanted of it (`bal.scoring.descriptors`). The next batch is read and decoded while
the last one is computed, and nothing grows with the pool but the table of regions; `best_regions` keeps only the K
highest of them, on the device.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.pool.regions import Regions
from bal.pool.units.base import Unit
from bal.posterior.model import Model
from bal.posterior.moments import Moments, predict_moments
from bal.scoring.acquisitions.base import Acquisition
from bal.scoring.descriptors import read
from bal.scoring.numbers import are_numbers, why_not
from bal.scoring.objective import Objective, as_objective
from bal.scoring.ranking import Best, merge, nothing, top
from bal.sources.base import Source
from bal.sources.batches import ImagesDone, Loaded, load, one_behind
from bal.system import devices
from bal.types import Array, BadInput, Key


def stride(model: Model) -> int:
    """Sides that a model can do without padding of its own are multiples of this."""
    return model.net.stride


@jax.jit
def _valid(x: Array, size: Array) -> Array:
    """[B, H, W] float32: 1 on the image, 0 on its padding."""
    rows = jnp.arange(x.shape[1])[None, :] < size[:, :1]  # [B, H]
    columns = jnp.arange(x.shape[2])[None, :] < size[:, 1:]  # [B, W]
    return (rows[:, :, None] & columns[:, None, :]).astype(jnp.float32)  # [B, H, W]


@functools.partial(jax.jit, static_argnames="unit")
def score_batch(model: Model, objective: Objective, unit: Unit, x: Array, size: Array) -> Array:
    """[B, H, W, Cin] → region scores [B, rows, columns] of a unit that does not look, NaN outside the image."""
    return read(model, objective, unit, (), 0, x, size, _valid(x, size), None)["score"]


def survey(
    model: Model,
    source: Source,
    regions: Regions,
    objective: Acquisition | Objective,
    names: tuple[str, ...] = (),
    watch: ImagesDone | None = None,
) -> dict[str, np.ndarray]:
    """Scores every region of a pool, and reads off whatever else is wanted, in one pass.

    Args:
        model: the posterior to ask.
        source, regions: the pool, or a part of it, whose regions get the bits that they get in the whole: on equal
            machines and as many devices.
        objective: what is asked of every pixel.
        names: of `bal.scoring.descriptors.DESCRIPTORS`.
        watch: called with the images done and in all.

    Returns:
        `score` [M] and each name [M, …], float32.

    Raises:
        BadInput: a pixel, a logit or a score is NaN or infinite; names the image and the sample.
    """
    table: dict[str, np.ndarray] = {}
    for batch in _read_all(model, source, regions, as_objective(objective), names, watch):
        inside = batch.index >= 0
        for name, values in batch.found.items():
            if name not in table:
                table[name] = np.full((regions.image.size, *values.shape[3:]), np.nan, np.float32)
            index, found = batch.index[inside], devices.fetch(values)[inside]
            if not are_numbers(found):
                m = index[~(found < np.inf).reshape(len(found), -1).all(1)][0]
                raise BadInput(f"image '{regions.ids[regions.image[m]]}': `{name}` of a region is NaN or infinite")
            table[name][index] = found
    return table or {"score": np.zeros(0, np.float32)}


def score_regions(
    model: Model,
    source: Source,
    regions: Regions,
    objective: Acquisition | Objective,
    key: Key,
    watch: ImagesDone | None = None,
) -> np.ndarray:
    """Scores every region of a pool: [M] float32.

    Args:
        model, source, regions, objective, watch: as for `survey`. An acquisition that needs no moments is answered by
            uniform random numbers, unseen.
        key: of those random numbers.
    """
    if not objective.needs:
        return np.array(jax.random.uniform(key, (int(regions.whole[-1]),)))[regions.index]
    return survey(model, source, regions, objective, (), watch)["score"]


def best_regions(
    model: Model,
    source: Source,
    regions: Regions,
    objective: Acquisition | Objective,
    k: int,
    key: Key,
    eligible: np.ndarray | None = None,
    watch: ImagesDone | None = None,
) -> Best:
    """The k regions of a pool with the highest scores, ranked on the device as they are scored.

    Args:
        model, source, regions, objective, key, watch: as for `score_regions`.
        k: how many; may exceed M.
        eligible: [M] bool, which regions may be among them; None for all.

    Returns:
        The k best; equal scores in the order of the regions.
    """
    if not objective.needs:
        return top(score_regions(model, source, regions, objective, key), eligible, k)
    best = devices.replicate(nothing(k))
    for batch in _read_all(model, source, regions, as_objective(objective), (), watch):
        wanted = batch.index >= 0 if eligible is None else (batch.index >= 0) & eligible[batch.index]
        best = merge(best, batch.found["score"], wanted, batch.index)
    return best


class Read(NamedTuple):
    """What was found in a batch of images."""

    found: dict[str, Array]  # [B, rows, columns, …] on the devices, NaN where there is no region
    index: np.ndarray  # [B, rows, columns] int32, which of the M regions; −1 where there is none


def _read_all(
    model: Model,
    source: Source,
    regions: Regions,
    objective: Objective,
    names: tuple[str, ...],
    watch: ImagesDone | None,
) -> Iterator[Read]:
    """The pool batch by batch; each batch is handed over when it is finished and the next one is under way."""
    unit = regions.unit
    counts = np.diff(regions.start)
    most = int(np.diff(regions.whole).max(initial=1))
    room = 1 << (most - 1).bit_length() if unit.looks else 0

    def ask(loaded: Loaded) -> dict[str, Array]:
        valid = _valid(loaded.image, loaded.size)
        cut = _cuts(source, regions, loaded) if unit.looks else None
        return read(model, objective, unit, names, room, loaded.image, loaded.size, valid, cut)

    multiple = math.lcm(stride(model), unit.multiple)
    batches = ((loaded, ask(loaded)) for loaded in load(source, regions.ids, multiple, only=counts > 0))
    done = 0
    for loaded, found in one_behind(batches):
        index, odd = np.full(found["score"].shape, -1, np.int32), devices.fetch(found.pop("odd"))
        for b, row in _wanted(regions, loaded):
            if odd[b]:
                raise why_not(model, loaded, b, regions.ids[row])
            rows, columns = unit.grid(source.shape(regions.ids[row]), int(counts[row]))
            index[b, :rows, :columns] = np.arange(*regions.start[row : row + 2]).reshape(rows, columns)
            done += 1
        yield Read(jax.block_until_ready(found), index)
        if watch:
            watch(done, int((counts > 0).sum()))


def _wanted(regions: Regions, loaded: Loaded) -> list[tuple[int, int]]:
    """Of every image of a batch that has regions here: its row, and its position in the pool."""
    return [(b, n) for b, n in enumerate(loaded.rows) if regions.start[n] < regions.start[n + 1]]


def _cuts(source: Source, regions: Regions, loaded: Loaded) -> Array:
    """[B, H, W] int32, the region of every pixel of a batch."""
    cuts = np.zeros(loaded.image.shape[:3], np.int32)
    for b, row in _wanted(regions, loaded):
        cut = regions.cut(row, source.image)
        cuts[b, : cut.shape[0], : cut.shape[1]] = cut
    return devices.spread(cuts)


@jax.jit
def _maps(model: Model, objective: Objective, x: Array, size: Array) -> tuple[Array, Array]:
    def then(moments: Moments) -> tuple[Array, Array]:
        return moments.predictive.argmax(-1), objective(moments)

    return predict_moments(model, x, size, objective.needs, then, objective.targets)


def inspect(model: Model, source: Source, objective: Acquisition | Objective, id: str) -> tuple[np.ndarray, np.ndarray]:
    """The most likely class [H, W] and the score map [H, W] of one image."""
    (loaded,) = load(source, [id], stride(model))
    height, width = source.shape(id)
    maps = _maps(model, as_objective(objective), loaded.image, loaded.size)
    prediction, score = (devices.fetch(y)[0, :height, :width] for y in maps)
    return prediction, score
