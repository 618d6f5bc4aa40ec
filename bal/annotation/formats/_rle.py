"""Run-length codes of masks, as other programs write them; all checked against their own packages in the tests."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

SIZES = (3, 4, 8, 16)  # bits that a run's length may have
WORD = 8


def runs(flat: np.ndarray) -> np.ndarray:
    """[P] bool → lengths of runs that take turns, of zeros first (which may be none)."""
    edges = np.flatnonzero(np.diff(flat.astype(np.int8), prepend=0))
    return np.diff(np.concatenate([[0], edges, [flat.size]])).astype(int)


def from_runs(lengths: Sequence[int], size: int) -> np.ndarray:
    """The inverse of `runs`: [size] bool. Raises ValueError for lengths that do not add up to it."""
    turns = _numbers(lengths)
    if turns.ndim != 1 or turns.dtype.kind not in "iu" or (turns < 0).any() or sum(map(int, turns)) != size:
        raise ValueError(f"runs that do not make {size} pixels")
    return np.repeat(np.arange(turns.size) % 2 == 1, turns)


def _numbers(values: object) -> np.ndarray:
    """Values as an array, which is empty and of no whole numbers where they are no list of numbers."""
    try:
        return np.asarray(values)
    except (ValueError, TypeError):  # lists of several lengths
        return np.zeros(0)


def to_coco(mask: np.ndarray) -> str:
    """[h, w] bool → COCO's compressed counts: runs down the columns, each less the one two before, in base 32."""
    counts, text = runs(mask.ravel("F")), []
    for i, length in enumerate(counts.tolist()):
        value = length - int(counts[i - 2]) if i > 2 else length
        while True:
            part, value = value & 31, value >> 5
            over = value != (-1 if part & 16 else 0)
            text.append(chr(48 + (part | 32 if over else part)))
            if not over:
                break
    return "".join(text)


def from_coco(counts: str | Sequence[int], height: int, width: int) -> np.ndarray:
    """[h, w] bool from COCO's counts, compressed or not. Raises ValueError for what are none."""
    lengths = _uncompressed(counts) if isinstance(counts, str) else list(counts)
    if any(isinstance(length, bool) for length in lengths):
        raise ValueError("counts that are no numbers")
    return from_runs(lengths, height * width).reshape(width, height).T


def _uncompressed(text: str) -> list[int]:
    found: list[int] = []
    value = shift = 0
    for letter in text:
        part = ord(letter) - 48
        if not 0 <= part < 64 or shift > 60:  # none is longer than an image has pixels
            raise ValueError(f"{letter!r} among compressed counts")
        value |= (part & 31) << shift
        shift += 5
        if not part & 32:
            value -= (1 << shift) if part & 16 else 0
            found.append(value + (found[-2] if len(found) > 2 else 0))
            value = shift = 0
    if shift:
        raise ValueError("compressed counts that break off")
    return found


def to_brush(mask: np.ndarray) -> list[int]:
    """[h, w] bool → a brush of Label Studio: bytes of a bit stream over RGBA, four equal bytes a pixel.

    A run of one value is 1, which of SIZES, its length less one, and the value.
    """
    bits = [f"{mask.size * 4:032b}{WORD - 1:05b}", *(f"{size - 1:04b}" for size in SIZES)]
    for i, length in enumerate((runs(mask.ravel()) * 4).tolist()):
        while length:
            part = min(length, 1 << SIZES[-1])
            which = next(k for k, size in enumerate(SIZES) if part <= 1 << size)
            bits.append(f"1{which:02b}{part - 1:0{SIZES[which]}b}{255 * (i % 2):08b}")
            length -= part
    text = "".join(bits)
    return [int(text[i : i + 8].ljust(8, "0"), 2) for i in range(0, len(text), 8)]


def from_brush(rle: Sequence[int], height: int, width: int) -> np.ndarray:
    """[h, w] bool from a brush of Label Studio: opaque by half or more. Raises ValueError for what is none."""
    data = _numbers(rle)
    if data.ndim != 1 or data.dtype.kind not in "iu" or not all(0 <= value < 256 for value in data.tolist()):
        raise ValueError("a brush that is no list of bytes")
    bits = np.unpackbits(data.astype(np.uint8))
    text, at = (bits + 48).tobytes().decode(), 0

    def read(count: int) -> int:
        nonlocal at
        if at + count > len(text):
            raise ValueError("a brush that breaks off")
        at += count
        return int(text[at - count : at], 2)

    size, word = read(32), read(5) + 1
    lengths = [read(4) + 1 for _ in SIZES]
    if size != height * width * 4 or word != WORD:
        raise ValueError(f"a brush of another size than {height} x {width}")
    values, done = np.zeros(size, np.uint8), 0
    while done < size:
        same, length = read(1), read(lengths[read(2)]) + 1
        part = [read(WORD)] if same else [read(WORD) for _ in range(min(length, size - done))]
        values[done : done + length] = part if same else part[: size - done]
        done += length
    return values.reshape(height, width, 4)[..., 3] >= 128


def to_cvat(mask: np.ndarray) -> tuple[str, tuple[int, int, int, int]]:
    """[h, w] bool, not empty → CVAT's runs along the rows of its tight box, and that box: left, top, width, height."""
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    top, left, bottom, right = rows[0], columns[0], rows[-1] + 1, columns[-1] + 1
    counts = runs(mask[top:bottom, left:right].ravel())
    return ", ".join(map(str, counts.tolist())), (int(left), int(top), int(right - left), int(bottom - top))


def from_cvat(rle: str, box: tuple[int, int, int, int], height: int, width: int) -> np.ndarray:
    """[h, w] bool from CVAT's runs and box. Raises ValueError for runs that do not fill it, or a box outside."""
    left, top, across, down = box
    if min(left, top) < 0 or min(across, down) < 1 or left + across > width or top + down > height:
        raise ValueError(f"a mask outside its picture of {height} x {width}")
    found = np.zeros((height, width), bool)
    parts = [part.strip() for part in rle.split(",")]
    if odd := [part for part in parts if not re.fullmatch("[0-9]{1,18}", part)]:
        raise ValueError(f"{odd[0]!r:.40} among the lengths of runs")
    counts = [int(part) for part in parts]
    found[top : top + down, left : left + across] = from_runs(counts, across * down).reshape(down, across)
    return found
