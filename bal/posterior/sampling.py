"""The stream of training batches: which labelled regions are shown, and how their patches are changed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import jax
import numpy as np

from bal.posterior.patches import Crop, cut
from bal.posterior.recipe import Train
from bal.types import BACKGROUND, IGNORE, Batch, Key


def batches(crops: Sequence[Crop], train: Train, rows: int, members: int, key: Key) -> Iterator[Batch]:
    """Endless batches of `rows` patches for each member, who sees the crops in its own shuffled order, on rows e::E.

    At least `train.foreground` of a member's patches show a region that holds labelled foreground, where there is one.
    The stream depends on the arguments alone: numpy draws it, seeded from the key, because cutting patches is the
    host's work. Arrays are numpy's: devices get them when it is their turn.
    """
    seed = np.asarray(jax.random.key_data(key))
    rng, changes = np.random.default_rng(seed), np.random.default_rng([*seed, 1])  # the order is that of unchanged ones
    small = any(min(crop.label.shape) < train.patch for crop in crops)
    rich = [n for n, crop in enumerate(crops) if holds_foreground(crop)]
    streams = [order(len(crops), rich, train.foreground, rng) for _ in range(members)]
    while True:
        chosen = [next(streams[row % members]) for row in range(rows * members)]
        cuts = [cut(crops[c], train.patch, rng.random(4), train.flip) for c in chosen]
        image, label, size = (np.stack(parts) for parts in zip(*cuts, strict=True))
        if not small:
            image = photometric(image, train, changes)
        else:  # padding is not paper
            for own, (height, width) in zip(image, size, strict=True):
                own[:height, :width] = photometric(own[None, :height, :width], train, changes)[0]
        yield Batch._make((image, label, size if small else None))


def holds_foreground(crop: Crop) -> bool:
    """Whether a pixel of the region itself is labelled, and not as background."""
    top, left, height, width = crop.box
    own = crop.label[top : top + height, left : left + width]
    return bool(((own != IGNORE) & (own != BACKGROUND)).any())


def order(count: int, rich: Sequence[int], share: float, rng: np.random.Generator) -> Iterator[int]:
    """An endless order of `count` crops, one epoch after the other; at evenly spaced places, one of the `rich` instead.

    Args:
        count: crops in all.
        rich: some of them, which have epochs of their own.
        share: of the places that are theirs; none where nothing is rich.
        rng: shuffles.
    """

    def shuffled(some: Sequence[int]) -> Iterator[int]:
        while True:
            yield from rng.permutation(some)

    everything, mine = shuffled(range(count)), shuffled(rich)
    exact = Fraction(share if rich else 0).limit_denominator(10**6)  # of n places ⌊n · share⌋, which floats would miss
    for place in itertools.count():
        due = math.floor((place + 1) * exact) > math.floor(place * exact)
        yield int(next(mine if due else everything))


def smooth(image: np.ndarray) -> np.ndarray:
    """[B, H, W, Cin] → the same, every pixel the binomial mean of its 3 × 3 neighbours; borders repeat themselves."""
    x = np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    x = (x[:, :-2] + 2 * x[:, 1:-1] + x[:, 2:]) / 4
    return (x[:, :, :-2] + 2 * x[:, :, 1:-1] + x[:, :, 2:]) / 4


def photometric(image: np.ndarray, train: Train, rng: np.random.Generator) -> np.ndarray:
    """Patches [B, P, P, Cin] with another contrast, brightness, sharpness and noise; those of the settings that are
    not 0. Values are not clipped: a network does not need it, and clipping would erase faint strokes."""

    def each(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, (len(image), 1, 1, 1)).astype(np.float32)

    if train.blur:
        share = each(0, train.blur)
        image = image + share * (smooth(image) - image)
    if train.contrast:
        mean = image.mean((1, 2), keepdims=True)
        image = mean + np.exp(each(-train.contrast, train.contrast)) * (image - mean)
    if train.brightness:
        image = image + each(-train.brightness, train.brightness)
    if train.noise:
        image = image + each(0, train.noise) * rng.standard_normal(image.shape, np.float32)
    return image
