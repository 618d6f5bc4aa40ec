"""What a person sees of a region: its surroundings as a picture, and what a model would draw.

Both are derived, lie in `views/` and `prefill/` of a run's folder, and are made again when they are missing.
"""

from __future__ import annotations

import hashlib
import io
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from bal.annotation.entries import Entry
from bal.system.files import write_whole
from bal.types import BadInput

AROUND, LEAST = 0.75, 16  # surroundings on each side: in sides of the region, and pixels at least
DAMAGED_PICTURE = (
    *(OSError, SyntaxError, ValueError, EOFError, struct.error, zlib.error),
    *(Image.DecompressionBombError, Image.DecompressionBombWarning),
)  # what Pillow says of one
DAMAGED = (OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, RuntimeError, BadZipFile, zlib.error)


class Prefill(NamedTuple):
    """What a model would draw."""

    label: np.ndarray  # uint8 [height, width] of the box: the most likely class
    probability: np.ndarray  # uint8 [C, height, width]: of each class, in steps of 1/255


def around(box: tuple[int, int, int, int], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A box with its surroundings, as far as the image [height, width] goes: top, left, height, width."""
    top, left, height, width = box
    margin = max(LEAST, math.ceil(AROUND * max(height, width)))
    first = max(0, top - margin), max(0, left - margin)
    last = min(size[0], top + height + margin), min(size[1], left + width + margin)
    return (*first, last[0] - first[0], last[1] - first[1])


def fingerprint(image: np.ndarray) -> str:
    """16 hexadecimal digits that differ where images [H, W, Cin] do."""
    return hashlib.sha256(np.ascontiguousarray(image).tobytes()).hexdigest()[:16]


def draw(folder: Path, entry: Entry, image: np.ndarray) -> None:
    """Writes the picture of a question, from its image float32 [H, W, Cin] in [0, 1]."""
    path = _view(folder, entry)
    top, left, height, width = entry.view
    crop = np.rint(image[top : top + height, left : left + width] * 255).clip(0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(np.repeat(crop, 3, -1) if crop.shape[-1] == 1 else crop).save(buffer, "PNG")
    path.parent.mkdir(exist_ok=True)
    write_whole(path, buffer.getvalue())


def predict(folder: Path, entry: Entry, probability: np.ndarray) -> None:
    """Writes what a model would draw, from its probabilities float32 [height, width, C] of the box."""
    assert not entry.blind, "nobody may be shown what a model thinks of this one"
    buffer = io.BytesIO()
    levels = np.rint(np.moveaxis(probability, -1, 0) * 255).astype(np.uint8)
    np.savez_compressed(buffer, label=probability.argmax(-1).astype(np.uint8), probability=levels)
    path = _prefill(folder, entry)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, buffer.getvalue())


def view(folder: Path, entry: Entry) -> bytes:
    """The picture of a question, as PNG. Raises BadInput where it has been deleted."""
    try:
        return _view(folder, entry).read_bytes()
    except FileNotFoundError:
        raise BadInput(
            f"{_view(folder, entry)} is missing; make it again with: python -m bal.run --resume --out {folder}"
        ) from None


def pixels(folder: Path, entry: Entry) -> np.ndarray:
    """The picture of a question: uint8 [h, w, 3]. Raises BadInput where it has been deleted or damaged."""
    data = view(folder, entry)
    try:
        with Image.open(io.BytesIO(data)) as file:
            found = np.asarray(file.convert("RGB"))
    except DAMAGED_PICTURE:
        found = np.zeros((0, 0, 3), np.uint8)
    if found.shape[:2] != entry.view[2:]:
        raise BadInput(f"{_view(folder, entry)} is damaged; delete it, and --resume makes it again")
    return found


def has_view(folder: Path, entry: Entry) -> bool:
    """Whether there is a picture of a question."""
    return _view(folder, entry).exists()


def has_prefill(folder: Path, entry: Entry) -> bool:
    """Whether there is something drawn beforehand for a question."""
    return _prefill(folder, entry).exists()


def prefill(folder: Path, entry: Entry) -> Prefill | None:
    """What a model would draw; None for blind questions, and where nothing is drawn beforehand."""
    path = _prefill(folder, entry)
    if entry.blind or not path.exists():
        return None
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            found = Prefill(file["label"], file["probability"])
    except DAMAGED:
        found = None
    shape = len(entry.classes), *entry.box[2:]
    if found is None or [(a.shape, a.dtype) for a in found] != [(shape[1:], np.uint8), (shape, np.uint8)]:
        raise BadInput(f"{path} is damaged; delete it, and --resume makes it again")
    return found


def _view(folder: Path, entry: Entry) -> Path:
    return folder / "views" / f"{entry.id}.png"


def _prefill(folder: Path, entry: Entry) -> Path:
    return folder / "prefill" / f"{entry.id}.npz"
