"""What a source of images must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np

from bal.types import BadInput


class Source(Protocol):
    """Images and masks by id, opened from a `SourceSettings`. Sizes may differ between images."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; class 0 is the background."""
        ...

    @property
    def channels(self) -> int:
        """Cin."""
        ...

    @property
    def pool(self) -> tuple[str, ...]:
        """Ids whose regions may be bought."""
        ...

    @property
    def test(self) -> tuple[str, ...]:
        """Ids kept for evaluation, never bought."""
        ...

    def shape(self, id: str) -> tuple[int, int]:
        """Height and width of an image, without decoding it where that can be avoided."""
        ...

    def image(self, id: str) -> np.ndarray:
        """float32 [H, W, Cin] in [0, 1]."""
        ...

    def mask(self, id: str) -> np.ndarray:
        """int32 [H, W] of class ids, IGNORE where unlabelled."""
        ...


def pixels(source: Source, id: str) -> np.ndarray:
    """An image of a source, as it is read wherever a network is to see it.

    Raises:
        BadInput: a pixel is NaN or infinite; names the image and the first such pixel.
    """
    x = source.image(id)
    known = np.isfinite(x)
    if not known.all():
        odd = np.argwhere(~known.reshape(*x.shape[:2], -1).all(-1))
        row, column = odd[0].tolist()
        raise BadInput(
            f"image '{id}': {len(odd)} of its {x.shape[0] * x.shape[1]} pixels are NaN or infinite, the first at row "
            f"{row}, column {column}; give every pixel a number from 0 to 1"
        )
    return x


@runtime_checkable
class PartlyLabelled(Protocol):
    """An ability of a source: a pool where not every image has a mask, because people are to be asked."""

    @property
    def unlabelled(self) -> tuple[str, ...]:
        """Ids of the pool that have no mask."""
        ...


def unlabelled(source: Source) -> tuple[str, ...]:
    """Ids of the pool that have no mask: none, unless the source says so."""
    return source.unlabelled if isinstance(source, PartlyLabelled) else ()


class SourceSettings(Protocol):
    """Where images come from; an entry of `bal.sources.SOURCES`."""

    def open(self) -> Source:
        """Checks the settings and the data they point at. Raises BadInput."""
        ...


@runtime_checkable
class Notes(Protocol):
    """An ability of the settings of a source: they say what a person would want to know of the data before a run."""

    def notes(self) -> Sequence[str]:
        """What was left out, set aside or not found, a line each; empty if there is nothing. Raises BadInput."""
        ...
