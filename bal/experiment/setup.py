"""What stays the same in all rounds of an experiment: the data, its regions and their prices, and the network."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import jax
import numpy as np

from bal.annotation.annotators.base import ChecksSource
from bal.config import extensions
from bal.config.schema import Config
from bal.experiment import memory
from bal.experiment.failures import named
from bal.experiment.memory import MOST, SCALED_BY
from bal.metrics import summary
from bal.pool.cost import COUNTED, price
from bal.pool.coverage import appearance
from bal.pool.labels import Pool
from bal.pool.regions import Regions, lay_out
from bal.pool.units import Tile
from bal.posterior import door, training
from bal.posterior.model import Model
from bal.posterior.nets import NETS
from bal.posterior.nets.base import Net
from bal.posterior.patches import crop_around, middles
from bal.posterior.pretraining import Reconstruction
from bal.posterior.recipe import Train
from bal.sources.base import Source, check_classes, check_ids, pixels
from bal.sources.batches import first_shape
from bal.types import Array, BadInput, Key, Params

FIT, SCORE, BUY, LEARN, LOOK, COVER = range(6)  # what a key of a round is for


@dataclass(frozen=True)
class Setup:
    """An experiment that is ready to run."""

    config: Config
    source: Source
    regions: Regions
    costs: np.ndarray  # [M] before anything is known of a region
    net: Net
    scale: tuple[tuple[float, ...], tuple[float, ...]]  # mean and standard deviation of the pool, by channel

    def key(self, round: int, use: int) -> Key:
        """The key of one use (FIT, SCORE, BUY, LEARN, LOOK or COVER) in one round."""
        return jax.random.fold_in(jax.random.fold_in(jax.random.key(self.config.seed), round), use)

    def rescaled(self, mean: Sequence[float], std: Sequence[float]) -> Setup:
        """The same with another scale of the network's input."""
        scale = (tuple(mean), tuple(std))
        net = self.config.net.bind(self.source.channels, len(self.source.classes), *scale)
        return self if scale == self.scale else dataclasses.replace(self, scale=scale, net=net)

    def bind(self, classes: int) -> Net:
        """The network with so many outputs."""
        return self.config.net.bind(self.source.channels, classes, *self.scale)

    @property
    def some(self) -> Sequence[str]:
        """Ids of some images of the pool, evenly chosen: what is learned from before anything is labelled."""
        return self.source.pool[:: -(-len(self.source.pool) // MOST)]

    @functools.cached_property
    def digest(self) -> str:
        """A hash of `some` images, read once a run."""
        mark = hashlib.sha256()
        for id in self.some:
            image = np.ascontiguousarray(self.source.image(id))
            mark.update(repr(image.shape).encode() + image.tobytes())
        return mark.hexdigest()

    @functools.cached_property
    def appearance(self) -> np.ndarray:
        """[N, F] what each image of the pool looks like (`bal.pool.coverage`), each read once a run."""
        return np.stack([appearance(pixels(self.source, id)) for id in self.source.pool])

    def looked_at(self, purchase: int) -> np.ndarray:
        """Positions of the images that a purchase is chosen from, in order: all of the pool, or a random sample."""
        images, look = len(self.source.pool), self.config.look
        if look is None or look >= images or (purchase == 0 and self.config.start_by == "random"):
            return np.arange(images)
        return np.sort(np.asarray(jax.random.permutation(self.key(purchase, LOOK), images))[:look])

    def offered(self, pool: Pool, purchase: int) -> np.ndarray:
        """[M] bool: what a purchase can be chosen from."""
        chosen = np.zeros(len(self.source.pool), bool)
        chosen[self.looked_at(purchase)] = True
        return pool.eligible & chosen[self.regions.image]

    def model(self, params: Params) -> Model:
        """A model with these parameters, not calibrated yet."""
        c = self.config
        return Model(c.head, self.net, params, c.calibrator, c.calibrator.init(self.net.classes), c.execution)


def set_up(config: Config) -> Setup:
    """Opens the source and lays out the pool. Raises BadInput for what cannot be used."""
    with named("source", config.source):
        source = config.source.open()
    extensions.check_made("source", source)
    check_classes(source.classes)
    check_ids((*source.pool, *source.test))
    config.loss.check(len(source.classes))
    if isinstance(config.annotator, ChecksSource):
        with named("annotator", config.annotator):
            config.annotator.check(source)
    summary.columns(source.classes)
    memory.check(config, source, _bound(config, source))
    shapes = [source.shape(id) for id in source.pool]
    regions = lay_out(config.unit, source.pool, shapes, functools.partial(pixels, source))
    costs = price(regions, config.cost, config.effort)
    all_of_it = float(costs.sum(dtype=np.float64))
    if config.budget > all_of_it and config.cost != "effort":  # nobody knows what that will cost
        raise BadInput(
            f"the budget of {config.budget:g} {COUNTED[config.cost]} is larger than the pool, which has "
            f"{all_of_it:g} in {len(source.pool)} images: give --budget {all_of_it:.0f} or less"
        )
    if config.start * (1 - config.audit) < costs.min():
        raise BadInput(
            f"a start of {config.start:g} {COUNTED[config.cost]} buys no region to train on; one costs {costs.min():g}"
        )
    first = [pixels(source, id) for id in source.pool[:SCALED_BY]]
    seen = np.concatenate([image.reshape(-1, source.channels) for image in first])
    mean = tuple(round(float(v), 6) for v in seen.mean(0, dtype=np.float64))
    std = tuple(max(round(float(v), 6), 1e-3) for v in seen.std(0, dtype=np.float64))
    net = _bound(config, source, mean, std)
    setup = Setup(config, source, regions, costs, net, (mean, std))
    params = training.check(config.head, net, config.train)
    shape = first_shape(source, source.pool, math.lcm(net.stride, config.unit.multiple))
    if shape is not None:
        door.check_samples(setup.model(params), shape)
    training.check_loss(config.head, net, config.train, config.loss)
    if type(config.net) not in NETS.values():  # ours takes seconds to compile, and gives numbers
        door.check_finite(type(config.net).__name__, net, *_patches(first, config.train))
    if config.train.pretrain != "none":
        training.check_loss(config.head, setup.bind(source.channels), config.train, Reconstruction(), repairs=True)
    return setup


def remarks(setup: Setup) -> list[str]:
    """What a person would want to know of settings that can be used, and may not be meant."""
    unit, source = setup.config.unit, setup.source
    if not isinstance(unit, Tile):
        return []
    small = [id for id in source.pool if max(source.shape(id)) < unit.size]
    if not small:
        return []
    height, width = source.shape(small[0])
    return [
        f"tiles of {unit.size} are larger than {len(small)} of {len(source.pool)} images of the pool, such as "
        f"{small[0]!r} of {height} x {width}: each is one region (--unit.size)"
    ]


def _patches(images: Sequence[np.ndarray], train: Train) -> tuple[Array, Array]:
    """A corner of each of the first images as a patch of the first step: [B, P, P, Cin] and [B, 2]."""
    crops = [crop_around(x, np.zeros(x.shape[:2], np.int32), (0, 0, 1, 1), train.patch) for x in images[: train.batch]]
    batch = middles(crops, train.patch)
    assert batch.size is not None
    return batch.image, batch.size


def _bound(config: Config, source: Source, *scale: tuple[float, ...]) -> Net:
    """The network with the channels and classes of a source. Raises BadInput if it refuses, or is none."""
    try:
        net = config.net.bind(source.channels, len(source.classes), *scale)
    except ValueError as error:
        raise BadInput(f"the network {type(config.net).__name__} cannot be bound: {error}") from error
    extensions.check_made("net", net)
    return net
