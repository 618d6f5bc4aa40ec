"""Masks to class ids: which value or colour is which class, and what is refused because it would be silently wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Container, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bal.sources._pages import Page
from bal.sources._pictures import check_whole, read_colours, read_stored
from bal.sources._tables import decode
from bal.types import IGNORE, BadInput

MOST = 32  # classes that are inferred from masks; more look like something else, and are to be named
BLOCK = 2**22  # pixels that are counted at a time
VOID = (224, 224, 192)  # what PASCAL VOC paints where nobody knows
NEARLY_WHITE = 248
SHOWN = 4  # of many values, how many are named
FEW, RARE = 16, 1000  # a slip has so few pixels at most, and one in so many of its mask


@dataclasses.dataclass(frozen=True)
class Masks:
    """How masks are told from images, and what their values mean besides class ids."""

    white: int | None = None
    """The class that white (255) is in black-and-white masks; none = white means unlabelled."""
    suffix: tuple[str, ...] = ("_mask", "-mask")
    """What a mask's name may end with besides the name of its image."""


class Labels(NamedTuple):
    """Classes by colour, from a labelmap.txt as CVAT writes it."""

    path: Path
    colours: Mapping[str, tuple[int, int, int]]  # by name, background first


class Reader(NamedTuple):
    """Reads masks. Two that are equal read the same."""

    white: int | None = None
    labels: Path | None = None
    colours: tuple[tuple[int, int, int], ...] = ()  # of the classes, in their order, where there are labels

    def __call__(self, page: Page) -> np.ndarray:
        """int32 [H, W], 255 where unlabelled.

        Raises:
            DamagedPage: the page cannot be decoded.
            BadInput: it is no mask.
        """
        check_mask(page)
        if self.labels is not None:
            return self._by_colour(page)
        ids = read_stored(page)
        if ids.ndim != 2 or ids.dtype.kind not in "bui":
            raise BadInput(
                f"folder: mask {page.path} is {ids.dtype} of shape {ids.shape}; save it as one channel of integer class"
                " ids, or name its colours in a labelmap.txt (a line a class, label:red,green,blue)"
            )
        odd = [int(v) for v in (ids.min(), ids.max()) if not 0 <= v < 2**31] if ids.size else []
        if odd:  # which would become another number
            raise _no_id(page, odd[0])
        if self.white is None:
            return np.ascontiguousarray(ids, np.int32)
        white = 1 if ids.dtype == np.bool_ else np.iinfo(ids.dtype).max if ids.dtype.itemsize <= 2 else 255
        return np.where(ids == white, np.int32(self.white), ids.astype(np.int32))

    def _by_colour(self, page: Page) -> np.ndarray:
        pixels = read_colours(page).astype(np.int32)
        code = (pixels[..., 0] << 16) | (pixels[..., 1] << 8) | pixels[..., 2]  # [H, W]
        ids = np.full(code.shape, -1, np.int32)
        for k, (red, green, blue) in [(IGNORE, VOID), *enumerate(self.colours)]:
            ids[code == (red << 16 | green << 8 | blue)] = k
        if (ids < 0).any():
            odd = pixels[ids < 0][0]
            raise BadInput(
                f"folder: mask {page.path} holds the colour {','.join(map(str, odd))}, which {self.labels} does not"
                " name; add a line for it, or save the mask without smoothing"
            )
        return ids


class Survey(NamedTuple):
    """What a mask holds."""

    values: tuple[int, ...]  # distinct, but for 255
    unlabelled: bool  # whether it holds 255


class Slip(NamedTuple):
    """A value that a few pixels of one mask have, and no other mask."""

    value: int
    page: Page
    pixels: int


def check_mask(page: Page) -> None:
    """Raises BadInput for a file that cannot hold class ids."""
    if page.format == "jpeg" or (page.tiff is not None and page.tiff.lossy):
        kind = "a JPEG" if page.format == "jpeg" else "compressed as a JPEG is"
        raise BadInput(
            f"folder: mask {page.path} is {kind}, which blurs class ids; save masks as PNG, or as TIFF without that"
        )


def survey(reader: Reader, page: Page) -> Survey:
    """Reads a mask, all of it, and lists what it holds. Raises as the reader does."""
    if page.format == "png":
        check_whole(page)  # by its checksums, which the reader does not look at
    ids = reader(page)
    flat = ids.reshape(-1)
    found: set[int] = set()
    for start in range(0, flat.size, BLOCK):
        block = flat[start : start + BLOCK]
        small = block.size and block.min() >= 0 and block.max() < 2**16
        found.update((np.flatnonzero(np.bincount(block)) if small else np.unique(block)).tolist())
    return Survey(tuple(sorted(found - {IGNORE})), IGNORE in found)


def read_labels(path: Path) -> Labels:
    """Raises BadInput for a file that is no label map."""
    colours: dict[str, tuple[int, int, int]] = {}
    for number, line in enumerate(decode(path, "a label map").splitlines(), 1):
        parts = line.strip().split(":")
        if not parts[0] or parts[0].startswith("#"):
            continue
        values = parts[1].replace(" ", "").split(",") if len(parts) > 1 else []
        if len(values) != 3 or not all(v.isascii() and v.isdigit() and int(v) < 256 for v in values):
            raise BadInput(f"folder: line {number} of {path} is {line.strip()!r:.60}; write label:red,green,blue")
        colour = (int(values[0]), int(values[1]), int(values[2]))
        if parts[0] in colours or colour in colours.values():
            raise BadInput(f"folder: line {number} of {path} names a label or a colour for the second time")
        colours[parts[0]] = colour
    background = next((n for n in colours if n.lower() == "background" or colours[n] == (0, 0, 0)), None)
    if background is None or len(colours) < 2:
        raise BadInput(f"folder: {path} names {len(colours)} colours; it needs background:0,0,0 and a class at least")
    return Labels(path, {background: colours.pop(background), **colours})


def infer_classes(surveys: Mapping[Page, Survey], reader: Reader) -> tuple[str, ...]:
    """The names of as many classes as masks use. Raises BadInput where there are none, or suspiciously many."""
    highest = 0
    for page, mask in surveys.items():
        if mask.values and not 0 <= mask.values[0] <= mask.values[-1] < IGNORE:
            odd = mask.values[-1] if mask.values[-1] > IGNORE else mask.values[0]
            raise _no_id(page, odd)
        if mask.values and mask.values[-1] >= MOST:
            _refuse_soft(page, mask, reader, MOST)
        highest = max(highest, *mask.values, 0)
    _refuse_slips(surveys, reader)
    if highest >= MOST:
        worst = max(surveys, key=lambda page: surveys[page].values[-1:])
        raise BadInput(
            f"folder: masks use class ids up to {highest}, such as {worst.path} with {_named(surveys[worst].values)};"
            f" more than {MOST} classes are not inferred: if objects are numbered, save the number of their class"
            " instead, and if there are so many classes, name them (--source.classes)"
        )
    return ("background", *(f"class_{c}" for c in range(1, highest + 1)))


def check_values(page: Page, mask: Survey, reader: Reader, classes: Sequence[str]) -> None:
    """Raises BadInput for a mask that holds what is none of the classes."""
    wrong = [v for v in mask.values if not 0 <= v < len(classes)]
    if wrong and wrong[0] < 0:
        raise _no_id(page, wrong[0])
    if wrong:
        _refuse_soft(page, mask, reader, len(classes))
        raise BadInput(
            f"folder: mask {page.path} holds class {wrong[0]}, but there are {len(classes)} classes"
            f" ({', '.join(classes)}: 0 to {len(classes) - 1}); name more classes or correct the mask"
        )


def check_foreground(surveys: Mapping[Page, Survey]) -> None:
    """Raises BadInput if masks have no pixel of a foreground class."""
    if not any(value for mask in surveys.values() for value in mask.values):
        folder = next(iter(surveys)).path.parent
        raise BadInput(
            f"folder: no mask in {folder} has a pixel of a foreground class; number the classes 1, 2, …"
            + (
                f" ({IGNORE} means unlabelled; if masks are black and white, take white as class 1 with"
                " --source.mask.white 1)"
                if any(mask.unlabelled for mask in surveys.values())
                else ""
            )
        )


def remarks(surveys: Mapping[Page, Survey], reader: Reader, classes: Sequence[str]) -> list[str]:
    """What a person would want to know of masks that can be used."""
    used = {value for mask in surveys.values() for value in mask.values}
    never = [name for k, name in enumerate(classes) if k not in used]
    found = []
    if never:
        more = f" and {len(never) - SHOWN} others" if len(never) > SHOWN else ""
        found.append(f"no mask has a pixel of {', '.join(never[:SHOWN])}{more}")
    for slip in _slips(surveys, reader, range(1, len(classes)))[:SHOWN]:
        found.append(f"{classes[slip.value]} is {_pixels(slip)} of {slip.page.path.name} and in no other mask: a slip?")
    white = [page for page, mask in surveys.items() if mask.unlabelled and mask.values in ((0,), ())]
    if white:
        found.append(
            f"{len(white)} of {len(surveys)} masks hold 0 and {IGNORE} alone, such as {white[0].path.name}: {IGNORE}"
            " is unlabelled there (--source.mask.white 1 takes white as class 1)"
        )
    return found


def _no_id(page: Page, value: int) -> BadInput:
    return BadInput(f"folder: mask {page.path} holds class {value}; class ids run from 0 to {IGNORE - 1}")


def _slips(surveys: Mapping[Page, Survey], reader: Reader, values: Container[int]) -> list[Slip]:
    """Which of some values look like slips of the pen."""
    holders: dict[int, list[Page]] = {}
    for page, mask in surveys.items():
        for value in mask.values:
            holders.setdefault(value, []).append(page)
    alone = {value: pages[0] for value, pages in holders.items() if len(pages) == 1 and value in values}
    found = []
    for page in dict.fromkeys(alone.values()):
        ids = reader(page)
        counts = {value: int((ids == value).sum()) for value, holder in alone.items() if holder == page}
        found += [Slip(value, page, n) for value, n in counts.items() if n <= min(FEW, ids.size / RARE)]
    return sorted(found, key=lambda slip: slip.value)


def _refuse_slips(surveys: Mapping[Page, Survey], reader: Reader) -> None:
    """Raises BadInput if a few pixels would make many classes: those after a gap in the ids, in one mask each."""
    used = sorted({0, *(value for mask in surveys.values() for value in mask.values)})
    above = {value for before, value in pairwise(used) if value > before + 1}
    slips = _slips(surveys, reader, range(min(above), IGNORE)) if above else []
    top = max({*used} - {slip.value for slip in slips})
    far = [slip for slip in slips if slip.value > top + 1]
    if far and len(far) <= SHOWN:  # more are objects that are numbered
        first, them = far[0], "it" if far[0].pixels == 1 else "them"
        raise BadInput(
            f"folder: {_pixels(first)} of mask {first.page.path} {'is' if first.pixels == 1 else 'are'} {first.value}, "
            f"where the others end at {top}: correct {them}, or name all {used[-1] + 1} classes (--source.classes)"
        )


def _pixels(slip: Slip) -> str:
    return f"{slip.pixels} pixel{'s' * (slip.pixels != 1)}"


def _refuse_soft(page: Page, mask: Survey, reader: Reader, classes: int) -> None:
    """Raises BadInput if most values that are no class lie on edges alone, below white, as smoothing leaves them."""
    odd = [v for v in mask.values if v >= classes]
    if not (mask.unlabelled or reader.white is not None or NEARLY_WHITE <= odd[-1] < IGNORE):
        return  # objects may be so small that they are edges, too
    ids = reader(page)
    inside = np.ones(ids.shape, bool)
    for axis in (0, 1):
        same = np.diff(ids, axis=axis) == 0
        before, after = [slice(None)] * 2, [slice(None)] * 2
        before[axis], after[axis] = slice(None, -1), slice(1, None)
        inside[tuple(before)] &= same
        inside[tuple(after)] &= same
    solid = set(np.unique(ids[inside]).tolist())
    soft = [v for v in odd if v not in solid]
    if len(soft) >= 3 and 2 * len(soft) > len(odd):
        raise BadInput(
            f"folder: mask {page.path} holds {_named(mask.values)}, most of them on edges alone: it looks anti-aliased;"
            " save masks without smoothing, one whole number a class"
        )


def _named(values: Sequence[int]) -> str:
    """171 different values (0, 1, 2, 3, … 254)."""
    some = ", ".join(map(str, values[:SHOWN])) + (f", … {values[-1]}" if len(values) > SHOWN else "")
    return f"{len(values)} different values ({some})"
