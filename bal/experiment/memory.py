"""What a run will hold at once, estimated from its configuration and the sizes of its images, before it is allocated.

What a program holds at its worst is found by tracing it (`bal.experiment.peak`). Nothing is compiled, and no array is
made.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from bal.config.schema import Config
from bal.experiment.peak import bytes_of, peak
from bal.metrics.tally import zeros
from bal.pool.coverage import APPEARANCE
from bal.pool.units.base import Unit
from bal.pool.units.superpixel import Superpixel
from bal.pool.units.tile import Tile
from bal.posterior.heads.base import Head, Joins
from bal.posterior.losses import Criterion
from bal.posterior.nets.base import Net
from bal.posterior.nets.unet import BoundUNet
from bal.scoring.acquisitions import EPIG
from bal.sources.base import Source
from bal.sources.batches import PIXELS, bucket
from bal.system import devices
from bal.types import BadInput, Batch

Counts = Counter[tuple[int, int]]  # images by height and width
MOST = 256  # images of the pool that are learned from before anything is labelled
SCALED_BY = 16  # images whose brightness sets the scale of the network's input
Shape = jax.ShapeDtypeStruct
KEY = jax.eval_shape(lambda: jax.random.key(0))
REGION = 100  # bytes that a region takes in the tables of a pool
SAMPLES = 10**6
TRACED = 4  # members of a head that are traced; more are counted by what each of these adds
FLOAT = 4  # bytes


class Part(NamedTuple):
    """Something that a run holds."""

    what: str
    bytes: int
    lower: str  # what would make it smaller


def check(config: Config, source: Source, net: Net) -> None:
    """Raises BadInput for a run that would hold more than there is: how much, most of it for what, what to lower.

    Says nothing of the rest where an extension cannot be traced: that is found out, and said, where it is used.
    """
    parts = estimate(config, source, net)
    needed, most = sum(part.bytes for part in parts), limit()
    if needed <= most:
        if config.head.samples > SAMPLES:  # which take no memory, and time without end
            raise BadInput(f"the head has {config.head.samples} samples, taken one by one: {SAMPLES} at most")
        return
    first, second, *_ = sorted(parts, key=lambda part: -part.bytes)
    largest = [first, second] if 4 * second.bytes > needed else [first]
    some = ", ".join(f"{_size(part.bytes)} of it for {part.what}" for part in largest)
    lower = "; ".join(dict.fromkeys(part.lower for part in largest))
    raise BadInput(f"the run would take about {_size(needed)} of memory, {some}, and there are {_size(most)}: {lower}")


def limit() -> int:
    """Bytes that there are for what `estimate` counts: of the accelerators too, where there are any."""
    found = [device.memory_stats() or {} for device in jax.local_devices() if device.platform != "cpu"]
    return devices.memory() + sum(int(stats.get("bytes_limit", 0)) for stats in found)


def estimate(config: Config, source: Source, net: Net) -> list[Part]:
    """What a run holds when it holds most: what is always there, and the larger of a training step and a batch."""
    classes, channels = len(source.classes), source.channels
    pool, test = (Counter(map(source.shape, ids)) for ids in (source.pool, source.test))
    regions = sum(_regions(config.unit, shape) * images for shape, images in pool.items())
    columns = sum(_columns(name, net, config.head.samples) for name in config.selector.needs)
    columns += 3 * classes  # score, price and what a purchase of foreground reads
    held = [
        Part(
            f"the {regions:,} regions of the pool",
            regions * (REGION + columns * FLOAT),
            "use fewer images or larger regions (unit)",
        ),
        Part(
            f"the tallies of {len(source.test)} test images",
            len(source.test) * sum(array.nbytes for sums in zeros(classes, 1).values() for array in sums),
            "use fewer test images or classes",
        ),
    ]
    try:
        own, each = _of_head(config.head, functools.partial(_weights, net))
        copies = 4 + (config.train.average != "none")  # parameters, two moments, gradients; with an average of them
        held.append(
            Part(
                f"the weights of {config.head.members} x {_count(each // FLOAT)} parameters, with their optimiser",
                own * copies,
                f"lower net.width or net.depth, or the members of the head ({config.head.members})",
            )
        )
        stages = [_training(config, net, pool, regions), _scoring(config, net, pool, test)]
    except Exception:  # of an extension that cannot be traced, or not with such shapes: see `bal.posterior.door`
        stages = []
    first = sum(math.prod(source.shape(id)) for id in source.pool[:SCALED_BY]) * channels * 2 * FLOAT
    stages.append([Part(f"the first {min(SCALED_BY, len(source.pool))} images", first, "cut the images into parts")])
    return held + max(stages, key=lambda parts: sum(part.bytes for part in parts))


def _training(config: Config, net: Net, pool: Counts, regions: int) -> list[Part]:
    train, images = config.train, pool.total()
    shown, _ = _of_head(config.head, lambda head: _step(head, net, config.loss, train.batch, train.patch))
    if _apart(config.head):
        shown = shown // config.head.members * min(config.head.members, len(jax.local_devices()))
    bought = int(min(regions, config.budget / _least(config)))
    around = sum(math.prod(min(side, 2 * train.patch) for side in shape) * n for shape, n in pool.items()) // images
    pixels = sum(math.prod(shape) * n for shape, n in pool.items()) // images
    learned = min(images, MOST) * (train.pretrain != "none" and train.start == "cold")
    return [
        Part(
            f"a training step on {train.batch} patches of {train.patch} x {train.patch}",
            shown,
            f"lower train.batch ({train.batch}), train.patch ({train.patch}), net.width or the members of the head"
            f" ({config.head.members})",
        ),
        Part(
            f"{bought:,} labelled regions with their surroundings",
            bought * around * (net.channels + 1) * FLOAT,
            f"lower train.patch ({train.patch}) or the budget",
        ),
        Part(f"{learned} images to pre-train on", learned * pixels * net.channels * FLOAT, "cut the images into parts"),
        Part("the learning rates of all steps", train.steps * 2 * FLOAT, f"lower train.steps ({train.steps})"),
    ]


def _scoring(config: Config, net: Net, pool: Counts, test: Counts) -> list[Part]:
    batches = [*_batches(pool, math.lcm(net.stride, config.unit.multiple)), *_batches(test, net.stride)]
    length, height, width = max(batches, key=math.prod)
    pixels = length * height * width
    once, _ = _of_head(config.head, lambda head: _forward(head, net, length, height, width), shared=True)
    how = config.execution.samples
    if how == "vmap" or (how == "auto" and jax.default_backend() != "cpu"):
        once *= min(devices.AT_ONCE, config.head.samples)
    moments = net.classes * (2 + sum(name != "joint" for name in config.acq.needs))
    targets = config.acq.targets if isinstance(config.acq, EPIG) else int("joint" in config.acq.needs)
    return [
        Part(
            f"scoring {length} images of {height} x {width} pixels at once",
            once + pixels * (moments + 2 * (net.channels + 1)) * FLOAT,
            "lower net.width, or cut the images into parts",
        ),
        Part(
            f"{targets} targets for each of their pixels",
            pixels * net.classes**2 * targets * FLOAT,
            f"lower acq.targets ({targets})",
        ),
    ]


def _batches(shapes: Counts, multiple: int) -> list[tuple[int, int, int]]:
    """Images, height and width of the batches that images of some shapes are read in (`bal.sources.batches`)."""
    padded: Counts = Counter()
    for shape, images in shapes.items():
        padded[bucket(shape[0], multiple), bucket(shape[1], multiple)] += images
    return [
        (devices.round_up(max(1, min(PIXELS // (height * width), images))), height, width)
        for (height, width), images in padded.items()
    ]


# What a head and a network take


def _apart(head: Head) -> bool:
    """Whether members are trained each on its own."""
    return isinstance(head, Joins) and head.solo is not None


def _of_head(head: Any, of: Callable[[Any], int], shared: bool = False) -> tuple[int, int]:
    """What `of` says of a head, and of one of its members; of a few members, and what more of them would add.

    `shared`: whether members are used one after the other.
    """
    if _apart(head):
        each = of(head.solo)
        return each * (1 if shared else head.members), each
    if head.members <= TRACED or "members" not in {field.name for field in dataclasses.fields(head)}:
        whole = of(head)
        return whole, whole // max(1, head.members)
    few, half = (of(dataclasses.replace(head, members=n)) for n in (TRACED, TRACED // 2))
    more = (few - half) // (TRACED - TRACED // 2)
    return few + (head.members - TRACED) * more, max(more, few // TRACED)


def _weights(net: Net, head: Head) -> int:
    return sum(map(bytes_of, jax.tree.leaves(_params(head, net))))


@functools.lru_cache(maxsize=64)
def _params(head: Head, net: Net) -> Any:
    return jax.eval_shape(functools.partial(head.init, net), KEY)


@functools.lru_cache(maxsize=64)
def _step(head: Head, net: Net, criterion: Criterion, rows: int, patch: int) -> int:
    """Bytes at the worst moment of a training step, the weights not counted."""
    rows *= head.members
    shapes = {(rows, patch, patch, net.channels): jnp.float32, (rows, patch, patch): jnp.int32, (rows, 2): jnp.int32}
    batch = Batch._make(Shape(shape, kind) for shape, kind in shapes.items())

    def loss(params: Any, batch: Batch, key: Any) -> Any:
        return head.loss(net, params, batch, key, criterion)

    return peak(jax.make_jaxpr(jax.value_and_grad(loss))(_params(head, net), batch, KEY).jaxpr)


@functools.lru_cache(maxsize=64)
def _forward(head: Head, net: Net, length: int, height: int, width: int) -> int:
    """Bytes at the worst moment of one sample of a batch of images."""
    image, size = Shape((length, height, width, net.channels), jnp.float32), Shape((length, 2), jnp.int32)

    def sample(params: Any, image: Any, size: Any) -> Any:
        code = net.encode(params, image, size, lambda site, x: x)
        return net.readout(params, net.decode(params, code, lambda site, x: x), lambda site, x: x)

    return peak(jax.make_jaxpr(sample)(jax.eval_shape(net.init, KEY), image, size).jaxpr)


# What a pool takes


def _regions(unit: Unit, shape: tuple[int, int]) -> int:
    """About how many regions an image has."""
    if unit.looks:
        return max(1, math.prod(shape) // (unit.size**2 if isinstance(unit, Superpixel) else 1))
    return math.prod(unit.grid(shape, 0))


def _columns(name: str, net: Net, samples: int) -> int:
    """Numbers that a selector reads of each region by a name of `scoring.descriptors` or `experiment.offered`."""
    features = net.settings.width if isinstance(net, BoundUNet) else 1
    found = {"embedding": features, "gradient": net.classes * (features + 1), "joint": net.classes * samples}
    found |= {"appearance": APPEARANCE, "style": 2, "labelled": 1}
    return found.get(name, net.classes)


def _least(config: Config) -> float:
    """The least that a region costs, about."""
    tile = config.unit.size**2 if isinstance(config.unit, Tile | Superpixel) else 1
    return {"regions": 1.0, "pixels": float(tile), "effort": config.effort.open}[config.cost]


def _size(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.0f} MiB"


def _count(number: int) -> str:
    return f"{number / 1e6:,.1f} million" if number >= 1e5 else f"{number:,}"
