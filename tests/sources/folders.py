"""Folders of pictures for tests."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bal.sources import Folder
from bal.types import BadInput


def save(path: Path, array: np.ndarray, mode: str | None = None, **options) -> None:
    path.parent.mkdir(exist_ok=True, parents=True)
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)


def png(path: Path, pixels: np.ndarray, bits: int, kind: int = 0, extra: tuple[tuple[bytes, bytes], ...] = ()) -> None:
    """Writes a PNG by hand, of any depth, with further chunks after the pixels."""
    height, width = pixels.shape[:2]
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in pixels]
    else:
        planes = np.unpackbits(pixels.reshape(height, -1, 1).astype(np.uint8), axis=-1)[..., 8 - bits :]
        rows = [np.packbits(row.ravel()).tobytes() for row in planes]

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    path.parent.mkdir(exist_ok=True, parents=True)
    parts = (chunk(b"IHDR", header), chunk(b"IDAT", data), *(chunk(*e) for e in extra), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def bar(k: int, shape: tuple[int, int] = (12, 16), value: int = 1) -> np.ndarray:
    """uint8 [H, W]: a mask with a bar of a class, at a place of its own."""
    mask = np.zeros(shape, np.uint8)
    mask[k : k + 3] = value
    return mask


def refused(message: str, path: Path, **settings) -> None:
    with pytest.raises(BadInput, match=message) as error:
        Folder(path=path, **settings).open()
    assert "\n" not in str(error.value)


def said(source, message: str) -> bool:
    """Whether a source says something of its data, in one line."""
    assert not any("\n" in note for note in source.said)
    return any(message in note for note in source.said)
