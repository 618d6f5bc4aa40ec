"""What a TIFF says of its pages, read from its directories alone; and the kinds of page that need tifffile."""

from __future__ import annotations

import io
import logging
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from bal.types import BadInput

REDUCED, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, ORIENTATION, SAMPLES = 254, 256, 257, 258, 259, 262, 274, 277
STRIPS, STRIP_BYTES, TILES, TILE_BYTES, EXTRA, FORMAT = 273, 279, 324, 325, 338, 339
TYPES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}  # whole numbers of 1, 2, 4 and 8 bytes
WHITE_IS_ZERO, CMYK = 0, 5
LOSSY = (6, 7, 34892, 34933, 34934)  # JPEG, thrice, and what else is meant for photographs
UNPACKED = (1, 2, 4, 8, 12, 16, 32)  # bits of a single channel that Pillow reads whole
LONGEST = 2**26  # bytes of what one tag holds
Tags = dict[int, tuple[int, ...]]


class Truncated(Exception):
    """A file ends before what it says it holds."""


class Directory(NamedTuple):
    """One page of a TIFF."""

    width: int  # as stored
    height: int
    bits: int  # a sample
    samples: int
    kind: str  # of number, but for its bits: uint, int, float or complex
    photometric: int
    lossy: bool  # compressed so that pixels are not those that were saved
    orientation: int
    pointer: bytes  # where it lies in the file, as the header would point to it
    turn: tuple[int, str] | None  # where the orientation lies in the file, and how it is packed
    alpha: int  # of the first sample after the colours: 0 none, 1 multiplied into them, 2 not
    reduced: bool  # a thumbnail, or a mask of another page
    end: int  # bytes that the file must have for all pixels to be there


def directories(path: Path) -> tuple[list[Directory], str]:
    """All pages of a file, BigTIFF or not; and why there are no more, if that is damage.

    Raises:
        Truncated: not even the first page can be found.
    """
    found: list[Directory] = []
    with path.open("rb") as file:
        size = path.stat().st_size
        order = "<" if _read(file, 2) == b"II" else ">"
        (magic,) = struct.unpack(f"{order}H", _read(file, 2))
        big = magic == 43
        if big:
            _read(file, 4)
        offset, seen = _number(file, order, "Q" if big else "I"), set()
        while offset:
            try:
                if offset in seen or offset >= size:
                    raise Truncated(f"page {len(found) + 1} is not where the file says")
                seen.add(offset)
                file.seek(offset)
                pointer = struct.pack(order + ("Q" if big else "I"), offset)
                tags, places, offset = _tags(file, order, big)
                found.append(_directory(tags, places, order, pointer))
            except Truncated as error:
                if not found:
                    raise
                return found, str(error)
    if not found:
        raise Truncated("it has no page")
    return found, ""


class FromPage(io.FileIO):
    """A TIFF that begins with one of its pages, so that nobody need read through all before it."""

    def __init__(self, path: Path, page: Directory):
        super().__init__(path)
        self._pointer = page.pointer

    def read(self, size: int | None = -1, /) -> bytes:
        start = self.tell()
        data = bytearray(super().read(size) or b"")
        for at, byte in enumerate(self._pointer, len(self._pointer)):  # the header has it at 4, that of BigTIFF at 8
            if start <= at < start + len(data):
                data[at - start] = byte
        return bytes(data)


def needs_tifffile(page: Directory) -> bool:
    """Pages that Pillow would cut to 8 bits, mix up plane by plane, or not open."""
    return (page.samples > 1 and page.bits > 8) or (page.samples == 1 and page.bits not in UNPACKED)


def read_with_tifffile(path: Path, number: int, page: Directory) -> np.ndarray:
    """[H, W] or [H, W, samples] as stored, of the page of a number in its file.

    Raises:
        BadInput: tifffile, or what it needs for this compression, is not installed.
        Exception: anything that tifffile and its codecs raise of a damaged file.
    """
    try:
        import tifffile
    except ImportError:
        raise BadInput(
            f"folder: {path} is a kind of TIFF that needs tifffile; install it with: pip install 'bal[tiff]'"
        ) from None
    expected = page.width * page.height * page.samples
    logging.getLogger("tifffile").propagate = False  # what it has to say of damage is said here
    try:
        with tifffile.TiffFile(path) as file:
            found: Any = file.pages[number]
            if found.size != expected:  # it reads a damaged header in its own way
                raise ValueError(f"it has {found.size} values, and {expected} by its header")
            pixels = found.asarray()
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        raise BadInput(
            f"folder: {path} is compressed in a way that needs imagecodecs; pip install imagecodecs, or save it without"
        ) from None
    if pixels.ndim == 3 and pixels.shape[0] <= 4 < pixels.shape[-1]:  # one plane a channel
        return np.moveaxis(pixels, 0, -1)
    return pixels


def _directory(
    tags: Mapping[int, Sequence[int]], places: Mapping[int, tuple[int, str]], order: str, pointer: bytes
) -> Directory:
    if not tags.get(WIDTH) or not tags.get(HEIGHT):
        raise Truncated("a page has no size")

    def first(tag: int, default: int) -> int:
        return int(tags.get(tag, (default,))[0])

    ends = [
        int((np.array(tags[at], np.uint64) + np.array(tags[length], np.uint64)).max())
        for at, length in ((STRIPS, STRIP_BYTES), (TILES, TILE_BYTES))
        if tags.get(at) and len(tags.get(at, ())) == len(tags.get(length, ()))
    ]
    samples, photometric = first(SAMPLES, 1), first(PHOTOMETRIC, 1)
    colours = {2: 3, CMYK: 4, 6: 3, 8: 3}.get(photometric, 1)
    return Directory(
        width=first(WIDTH, 0),
        height=first(HEIGHT, 0),
        bits=max(tags.get(BITS, (1,))),
        samples=samples,
        kind={1: "uint", 2: "int", 3: "float", 5: "int", 6: "complex"}.get(max(tags.get(FORMAT, (1,))), "uint"),
        photometric=photometric,
        lossy=first(COMPRESSION, 1) in LOSSY,
        orientation=first(ORIENTATION, 1),
        pointer=pointer,
        turn=(places[ORIENTATION][0], order + places[ORIENTATION][1]) if ORIENTATION in places else None,
        alpha=first(EXTRA, 0) if samples > colours else 0,
        reduced=bool(first(REDUCED, 0) & 5),
        end=max(ends, default=0),
    )


def _tags(file: BinaryIO, order: str, big: bool) -> tuple[Tags, dict[int, tuple[int, str]], int]:
    """The whole numbers of a directory, where those lie that fit into it and how they are packed, and the next one."""
    count = _number(file, order, "Q" if big else "H")
    width, room = (20, 8) if big else (12, 4)
    start = file.tell()
    if count > 65536:
        raise Truncated("a page has no readable description")
    table = _read(file, count * width)
    following = _number(file, order, "Q" if big else "I")
    tags: Tags = {}
    places: dict[int, tuple[int, str]] = {}
    for k in range(count):
        entry = table[k * width : (k + 1) * width]
        tag, kind, number = struct.unpack(f"{order}HH{'Q' if big else 'I'}", entry[: width - room])
        if kind not in TYPES or not number:
            continue
        letter = TYPES[kind]
        length = number * struct.calcsize(letter)
        if length <= room:
            places[tag] = start + (k + 1) * width - room, letter
            data = entry[width - room :][:length]
        elif tag in (BITS, STRIPS, STRIP_BYTES, TILES, TILE_BYTES, EXTRA, FORMAT):
            file.seek(struct.unpack(f"{order}{'Q' if big else 'I'}", entry[width - room :])[0])
            data = _read(file, length)
        else:
            continue
        tags[tag] = struct.unpack(f"{order}{number}{letter}", data)
    return tags, places, following


def _number(file: BinaryIO, order: str, letter: str) -> int:
    return struct.unpack(order + letter, _read(file, struct.calcsize(letter)))[0]


def _read(file: BinaryIO, length: int) -> bytes:
    data = file.read(length) if length < LONGEST else b""
    if len(data) < length:
        raise Truncated("it ends in the middle")
    return data
