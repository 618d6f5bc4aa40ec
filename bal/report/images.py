"""The pictures of a panel: what part of an image to show, and arrays turned into inline PNG."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
from PIL import Image

from bal.report.style import class_rgb
from bal.types import IGNORE

WHOLE = 512  # pixels a side up to which an image is shown whole
WINDOW = 320  # pixels a side of a crop around boxes, unless a box needs more
WINDOWS = 3  # crops of one image, at most
STRIP = (480, 1200)  # height and width that the overview of a cropped image must fit into


class Box(NamedTuple):
    """A region that was bought, in pixels."""

    top: int
    left: int
    height: int
    width: int
    policy: str
    score: float | None
    mask: np.ndarray | None = None  # [height, width] bool: its pixels, if it does not fill the box

    def edges(self) -> np.ndarray:
        """[E, 4] int: x and y where each straight piece of the region's outline begins and ends."""
        inside = np.ones((self.height, self.width), bool) if self.mask is None else self.mask
        padded = np.pad(inside, 1).astype(np.int8)
        pieces = np.concatenate([_pieces(padded), _pieces(padded.T)[:, [1, 0, 3, 2]]])
        return pieces + np.array([self.left, self.top] * 2)


def _pieces(padded: np.ndarray) -> np.ndarray:
    """[h + 2, w + 2] of 0 and 1 → [E, 4]: the longest pieces along rows that have 1 on one side and 0 on the other."""
    side = np.diff(padded[:, 1:-1], axis=0)  # [h + 1, w]: 0, or which side is inside
    turns = np.diff(np.pad(side, ((0, 0), (1, 1))), axis=1) != 0  # [h + 1, w + 1]
    found = [
        (start, row, end, row)
        for row, places in enumerate(map(np.flatnonzero, turns))
        for start, end in pairwise(places)
        if side[row, start]
    ]
    return np.array(found, np.int64).reshape(-1, 4)


class Panel(NamedTuple):
    """One image of the newest round."""

    id: str
    image: np.ndarray  # [H, W, Cin] float32 in 0..1
    prediction: np.ndarray  # [H, W] int, the most likely class
    truth: np.ndarray | None  # [H, W] int, IGNORE where unlabelled; None if unknown
    score: np.ndarray  # [H, W] float32, the acquisition's map in nats
    boxes: Sequence[Box]  # the regions bought


class Window(NamedTuple):
    """A part of an image, in pixels."""

    top: int
    left: int
    height: int
    width: int

    def holds(self, box: Box) -> bool:
        """Whether the whole box lies inside."""
        top, left, height, width = box[:4]
        return (
            self.top <= top
            and self.left <= left
            and top + height <= self.top + self.height
            and left + width <= self.left + self.width
        )

    def cut(self, array: np.ndarray) -> np.ndarray:
        """[H, W, ...] → [height, width, ...]."""
        return array[self.top : self.top + self.height, self.left : self.left + self.width]


def windows(shape: tuple[int, int], boxes: Sequence[Box]) -> list[Window]:
    """What to show of an image: all of it if it is small, else crops around the boxes, the highest score first."""
    height, width = shape
    if max(shape) <= WHOLE:
        return [Window(0, 0, height, width)]

    def rank(box: Box) -> float:
        return -box.score if box.score is not None and np.isfinite(box.score) else np.inf

    waiting = sorted(boxes, key=rank)
    waiting = waiting or [Box(height // 2, width // 2, 1, 1, "start", None)]
    found: list[Window] = []
    while waiting and len(found) < WINDOWS:
        top, left, tall, wide = waiting[0][:4]
        size = min(height, max(WINDOW, 2 * tall)), min(width, max(WINDOW, 2 * wide))
        corner = top + tall // 2 - size[0] // 2, left + wide // 2 - size[1] // 2
        place = Window(int(np.clip(corner[0], 0, height - size[0])), int(np.clip(corner[1], 0, width - size[1])), *size)
        found.append(place)
        waiting = [b for b in waiting[1:] if not place.holds(b)]
    return sorted(found)


def score_range(panels: Sequence[Panel]) -> tuple[float, float]:
    """(low, high) of the colour scale that all panels share: 0 or the minimum, and the 99.5th percentile, in nats."""
    sampled = [p.score[:: (step := 1 + p.score.size // 2_000_000), ::step] for p in panels]
    finite = [s[np.isfinite(s)] for s in sampled]
    finite = [f for f in finite if f.size]
    if not finite:
        return 0.0, 1.0
    low = min(0.0, *(float(f.min()) for f in finite))
    high = max(float(np.percentile(f, 99.5)) for f in finite)
    return low, high if high > low else low + 1.0


def grey(image: np.ndarray) -> np.ndarray:
    """[H, W, Cin] in 0..1 → uint8 [H, W], or [H, W, 3] if there are three channels or more."""
    shown = image[..., :3] if image.shape[-1] >= 3 else image[..., 0]
    return np.round(np.clip(np.nan_to_num(shown), 0, 1) * 255).astype(np.uint8)


def labelled_rgb(image: np.ndarray, label: np.ndarray) -> np.ndarray:
    """[H, W, Cin], [H, W] → uint8 [H, W, 3]: the image faded, foreground classes in their colours."""
    base = grey(image)
    base = base if base.ndim == 3 else np.repeat(base[..., None], 3, axis=-1)  # [H, W, 3]
    faded = (160 + base * 0.37).astype(np.uint8)
    for k in np.unique(label):
        if k == IGNORE:
            faded[label == k] = faded[label == k] // 2 + 60
        elif k > 0:
            faded[label == k] = class_rgb(int(k))
    return faded


def shrink(array: np.ndarray, factor: int, how: str) -> np.ndarray:
    """[H, W, ...] → [ceil(H/f), ceil(W/f), ...], the "mean" or the "max" of each block; thin strokes survive "max"."""
    if factor == 1:
        return array
    rows, columns = (range(0, n, factor) for n in array.shape[:2])
    if how == "max":
        return np.maximum.reduceat(np.maximum.reduceat(array, rows, axis=0), columns, axis=1)
    total = np.add.reduceat(np.add.reduceat(array, rows, axis=0), columns, axis=1)
    held = [np.diff([*starts, n]) for starts, n in zip((rows, columns), array.shape[:2], strict=True)]
    return total / np.multiply.outer(*held).reshape(total.shape[:2] + (1,) * (array.ndim - 2))


def image_png(image: np.ndarray, factor: int = 1) -> str:
    """[H, W, Cin] in 0..1 → data address of a PNG, shrunk `factor` times."""
    return _address(Image.fromarray(grey(shrink(np.nan_to_num(image), factor, "mean"))))


def score_png(score: np.ndarray, low: float, high: float, factor: int = 1) -> str:
    """[H, W] in nats → data address of a PNG in the colours of `score_colours`."""
    known = np.nan_to_num(score, nan=low, posinf=high, neginf=low)
    level = np.clip((shrink(known, factor, "max") - low) / (high - low), 0, 1)
    picture = Image.fromarray(np.round(level * 255).astype(np.uint8))
    palette = np.round(mpl.colormaps["magma"](np.arange(256))[:, :3] * 255).astype(np.uint8)
    picture.putpalette(palette.tobytes())
    return _address(picture)


def score_colours(n: int = 9) -> list[str]:
    """n evenly spaced colours of the score's scale, lowest first, as #rrggbb."""
    levels = mpl.colormaps["magma"](np.linspace(0, 1, n))[:, :3]
    return ["#" + "".join(f"{round(255 * float(v)):02x}" for v in level) for level in levels]


def label_png(label: np.ndarray, factor: int = 1) -> str:
    """[H, W] class ids → data address of a PNG to lay over the image: background transparent, unlabelled greyed."""
    label = np.where((label < 0) | (label > IGNORE), IGNORE, label)
    small = shrink(np.where(label == IGNORE, -1, label), factor, "max")
    picture = Image.fromarray(np.where(small < 0, IGNORE, small).astype(np.uint8))
    colours = [class_rgb(k) for k in range(IGNORE)] + [(90, 95, 105)]
    picture.putpalette([channel for colour in colours for channel in colour])
    alpha = bytes([0] + [255] * (IGNORE - 1) + [130])
    return _address(picture, transparency=alpha)


def _address(picture: Image.Image, **options) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", **options)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
