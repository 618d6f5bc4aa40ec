"""Patches for training, cut around labelled regions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from bal.types import IGNORE, Batch


class Crop(NamedTuple):
    """One labelled region with as much around it as a patch may show; its neighbours' labels included."""

    image: np.ndarray  # [h, w, Cin] float32
    label: np.ndarray  # [h, w] int32, IGNORE where unlabelled
    box: tuple[int, int, int, int]  # the region within the crop


def crop_around(image: np.ndarray, label: np.ndarray, box: Sequence[int] | np.ndarray, patch: int) -> Crop:
    """Cuts a region and the margin a patch of side `patch` can reach beyond it. [H, W, Cin], [H, W] → Crop."""
    top, left, height, width = (int(v) for v in box)
    down, across = max(0, patch - height), max(0, patch - width)
    first = max(0, top - down), max(0, left - across)
    last = min(image.shape[0], top + height + down), min(image.shape[1], left + width + across)
    window = slice(first[0], last[0]), slice(first[1], last[1])
    return Crop(image[window].copy(), label[window].copy(), (top - first[0], left - first[1], height, width))


def place(start: int, length: int, whole: int, patch: int, u: float) -> int:
    """Where a patch begins along one side: over the whole region if it fits, else anywhere inside it; u in [0, 1)."""
    low, high = sorted((start, start + length - patch))
    low, high = max(0, min(low, whole - patch)), max(0, min(high, whole - patch))
    return low + int(u * (high - low + 1))


def cut(crop: Crop, patch: int, u: np.ndarray, flip: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A patch that shows the crop's region: image [P, P, Cin], label [P, P], valid height and width [2].

    `u` [4] in [0, 1) says where along each side, and (below one half) whether each axis is mirrored.
    """
    sides = zip(crop.box[:2], crop.box[2:], crop.label.shape, u, strict=False)
    top, left = (place(start, length, whole, patch, x) for start, length, whole, x in sides)
    image, label = (a[top : top + patch, left : left + patch] for a in (crop.image, crop.label))
    if flip:
        image, label = (a[:: -1 if u[2] < 0.5 else 1, :: -1 if u[3] < 0.5 else 1] for a in (image, label))
    size = np.array(label.shape, np.int32)
    if size.min() < patch:
        short = [(0, patch - n) for n in label.shape]
        image = np.pad(image, (*short, (0, 0)))
        label = np.pad(label, short, constant_values=IGNORE)
    return image, label, size


def middles(crops: Sequence[Crop], patch: int) -> Batch:
    """Every crop once, its region in the middle of the patch and nothing mirrored: what `finalize` is given."""
    cuts = [cut(crop, patch, np.full(4, 0.5), flip=False) for crop in crops]
    image, label, size = (np.stack(parts) for parts in zip(*cuts, strict=True))
    return Batch(jnp.asarray(image), jnp.asarray(label), jnp.asarray(size))
