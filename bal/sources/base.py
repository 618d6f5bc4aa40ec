"""What a source of images must be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from bal.sources.reading import counted
from bal.system.outside import breaks, brief
from bal.types import IGNORE, BadInput

LONGEST = 100  # letters of a class name


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


def truth(source: Source, id: str) -> np.ndarray:
    """A mask of a source, as it is read wherever a network learns from it or is judged by it: int32 [H, W].

    Raises:
        BadInput: it has not the size of its image, or holds what is no class; names the image.
    """
    mask = source.mask(id)
    if mask.shape != source.shape(id) or mask.dtype.kind not in "iu":
        height, width = source.shape(id)
        raise BadInput(
            f"image '{id}': its mask is {mask.dtype} of shape {mask.shape}; it must hold whole numbers and be of shape"
            f" ({height}, {width})"
        )
    wrong = (mask < 0) | ((mask >= len(source.classes)) & (mask != IGNORE))
    if wrong.any():
        raise BadInput(
            f"image '{id}': its mask holds class {mask[wrong][0]}, and there are {len(source.classes)} "
            f"({', '.join(source.classes)}: 0 to {len(source.classes) - 1}; {IGNORE} means unlabelled)"
        )
    return mask.astype(np.int32, copy=False)


@runtime_checkable
class KnowsMasks(Protocol):
    """An ability of a source: it has looked at every mask when it was opened, or draws them itself."""

    masks_known: bool


def check_masks(source: Source) -> None:
    """Raises BadInput if a mask of a source cannot be used; reads all of them, unless the source knows them."""
    if isinstance(source, KnowsMasks) and source.masks_known:
        return
    without = set(unlabelled(source))
    ids = [id for id in (*source.pool, *source.test) if id not in without]
    for id in counted(ids, len(ids)):
        truth(source, id)


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


@runtime_checkable
class HasStyles(Protocol):
    """An ability of a source: it knows what an image looks like, by the name of a style of page or of a microscope.

    No selector reads it unless its `needs` says so.
    """

    @property
    def styles(self) -> Sequence[str]:
        """All of their names, different ones."""
        ...

    def style(self, id: str) -> str:
        """That of an image."""
        ...


@runtime_checkable
class HasFiles(Protocol):
    """An ability of a source: what it gives is read from files, which a run then remembers to the byte."""

    @property
    def files(self) -> Sequence[Path]:
        """All of them, tables that say what is used included."""
        ...


def check_classes(classes: Sequence[str], about: str = "") -> None:
    """Raises BadInput for a class name that no column and no legend could have.

    Args:
        classes: names, background first.
        about: how the message begins.
    """
    for name in classes:
        if not isinstance(name, str) or not name.strip() or name != name.strip() or len(name) > LONGEST:
            raise BadInput(
                f"{about}a class is called {brief(name)}; a name is a text of 1 to {LONGEST} letters, and neither"
                " begins nor ends with a blank"
            )
        if breaks(name):
            raise BadInput(f"{about}the class name {brief(name)} holds a control character; take it out")


def check_ids(ids: Sequence[str]) -> None:
    """Raises BadInput for an id of an image that is no name of its own, or that would lead elsewhere as a path.

    Control characters may be in the name of a file, and so in an id; they are written and shown escaped.
    """
    for id in ids:
        if not isinstance(id, str) or not id:
            raise BadInput(f"an image is called {brief(id)}; an id is a text of at least one letter")
        if id.startswith("/") or ".." in id.split("/"):
            raise BadInput(f"an image is called {brief(id)}; an id is no absolute path and has no '..' in it")
    if twice := [id for id, times in Counter(ids).items() if times > 1]:
        raise BadInput(f"two images are called {brief(twice[0])}; ids are different, also between pool and test set")


@runtime_checkable
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
