"""What a metric must be: its sums, what adds to them, its columns, and what they mean.

A *family* is a frozen dataclass in a file of its own and one line in `METRICS`. Evaluation is a sum over images, and a
family says what one image adds to it, in one or both of two ways:

- `OfChunk`, on the device: sums over pixels, each pixel by itself. It is traced into the one compiled program that
  also predicts, and sees every probability once, in chunks that stay in the cache.
- `OfImage`, on the host: what needs the neighbourhood of a pixel, or is no sum over pixels at all, such as the error
  of a curve that is read off a mask. It sees one whole image at a time, cropped to its size, as NumPy arrays, while
  the device computes the next batch; any library may be used, and no size of image has to be compiled for.

What is measured of an image is kept by itself, so that a resampled test set (`bal.metrics.bootstrap`) is a
weighted sum:

    sums_n    = Σ_chunks of_chunk + of_image          of image n
    column    = columns(Σ_n sums_n)                   of the test set
    interval  = percentiles of columns(Σ_n k_n sums_n)    over draws of k

A mean over images is a sum of values beside a count of the images that have one. `columns` therefore takes sums with
any leading axes, and gives NaN where a metric is undefined.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from bal.types import Array

CHUNK = 2**14  # pixels at a time: bounds the memory, stays in cache

Sums = Any  # a NamedTuple of arrays, one class of it for each family


class Chunk(NamedTuple):
    """At most CHUNK pixels on the device, V = 2 versions of the prediction: calibrated and raw."""

    probs: Array  # [V, C, P] float32 probabilities; anything, NaN too, where not valid
    label: Array  # [P] class ids; anything outside 0 … C−1 where not valid
    valid: Array  # [P] bool; False on padding and on what nobody has labelled, which must count for nothing
    wrong: Array  # [P] bool, whether the most likely class after calibration is not the label
    scores: Array  # [A, P] scores that may find errors, in the order of `detection.SCORES`


class LabelledImage(NamedTuple):
    """One image on the host, without its padding."""

    label: np.ndarray  # [H, W] class ids; anything outside 0 … C−1, such as IGNORE, must count for nothing
    predicted: np.ndarray  # [H, W] most likely class after calibration
    predictive: np.ndarray  # [H, W, C] calibrated probabilities

    @property
    def valid(self) -> np.ndarray:
        """[H, W] bool, which pixels are labelled."""
        return (self.label >= 0) & (self.label < self.predictive.shape[-1])


class Metric(Protocol):
    """A family; an entry of `bal.metrics.METRICS`. Its fields have defaults, its methods are pure.

    It is also `OfChunk`, or `OfImage`, or both; and `Tabled`, if it has columns for the tables of a run.
    """

    def zeros(self, classes: int, scores: int) -> Sums:
        """The sums of no image: NumPy arrays of int64 for what is counted exactly, and float64.

        Args:
            classes: C. scores: A, how many scores that may find errors there are.
        """
        ...

    def columns(self, sums: Sums, classes: Sequence[str]) -> Sequence[tuple[str, np.ndarray]]:
        """Names and values [...] in the order of curve.csv, of sums with leading axes [...]; NaN where undefined."""
        ...

    def intervals(self, classes: Sequence[str]) -> Sequence[str]:
        """The columns whose 95 % interval goes to curve.csv, in its order; names that are no column are passed over."""
        ...

    def meanings(self, classes: Sequence[str]) -> Mapping[str, str]:
        """One or two sentences on every column that there can be, as plain text."""
        ...


@runtime_checkable
class OfChunk(Protocol):
    """Measures pixels one by one, on the device."""

    def of_chunk(self, chunk: Chunk) -> Sums:
        """What a chunk adds, in 32 bits; traced by `jax.jit`."""
        ...


@runtime_checkable
class OfImage(Protocol):
    """Measures whole images, on the host."""

    def of_image(self, image: LabelledImage) -> Sums:
        """What an image adds."""
        ...


class Cell(NamedTuple):
    """A column in the report's table of one class."""

    column: str  # shown as "before → after" where there is also one that ends in `_raw`
    name: str  # of the class
    group: str  # a head over neighbouring cells of one kind
    title: str
    digits: int = 3


class Headline(NamedTuple):
    """A column in the table that ends a run on the terminal."""

    column: str  # shown as "before→after" where there is also one that ends in `_raw`
    name: str  # of the class, or "foreground"
    title: str
    beside: str | None = None  # the column of its mean over images, in brackets
    caption: str = ""  # under the table: what the title stands for


@runtime_checkable
class Tabled(Protocol):
    """Has columns for people who look at tables; every column is in curve.csv and among the report's definitions."""

    def cells(self, classes: Sequence[str]) -> Sequence[Cell]:
        """In the order of the columns."""
        ...

    def headlines(self, classes: Sequence[str]) -> Sequence[Headline]:
        """The most important first; what finds no room on a terminal is left out from the end."""
        ...


def of_classes(templates: Mapping[str, str], classes: Sequence[str]) -> dict[str, str]:
    """Texts by column, of every class: `{"iou_{}": "IoU of “{}”."}` for the meanings of a family."""
    return {name.format(c): text.format(c) for name, text in templates.items() for c in classes}
