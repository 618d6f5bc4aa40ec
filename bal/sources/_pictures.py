"""Pages to pixels: images scaled to [0, 1] on white, masks as they are stored, both turned upright."""

from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile

from bal.sources._pages import UNREADABLE, DamagedPage, Page, unreadable
from bal.sources._tiff import CMYK, WHITE_IS_ZERO, FromPage, needs_tifffile, read_with_tifffile
from bal.types import BadInput

GREY = ("1", "L", "I", "I;16", "I;16B", "I;16L", "I;16N")
SPREAD = {2: 85, 4: 17}  # what Pillow multiplies grey values of so few bits by
SKETCH = 8  # a JPEG that is only looked through is decoded at an eighth of its size


class _Unlimited:
    """A context, of any number of threads, in which Pillow reads a picture of any size, which has been checked here.

    It says nothing of descriptions that nothing here needs.
    """

    def __init__(self) -> None:
        self._lock, self._inside, self._before = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS
        self._silence = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            if not self._inside:
                self._before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                self._silence = warnings.catch_warnings(action="ignore", category=UserWarning)
                self._silence.__enter__()
            self._inside += 1

    def __exit__(self, *rest: object) -> None:
        with self._lock:
            self._inside -= 1
            if not self._inside:
                self._silence.__exit__(None, None, None)
                Image.MAX_IMAGE_PIXELS = self._before


_UNLIMITED = _Unlimited()


class Pixels(NamedTuple):
    """A page as decoded, not turned."""

    values: np.ndarray  # [H, W] or [H, W, channels]
    top: int  # the value of white
    alpha: int = 0  # 0: there is none; 1: the last channel is alpha, and multiplied into the others; 2: it is not


def read_image(page: Page, channels: int) -> np.ndarray:
    """Pixels scaled by the range of their type, upright, and on white where they are transparent.

    Args:
        page: of a PNG, JPEG or TIFF. Pillow reads PNG of three 16-bit channels with 8 bits a channel.
        channels: 1 or 3; a grey image is repeated to 3.

    Returns:
        float32 [H, W, channels] in [0, 1].

    Raises:
        DamagedPage: the page cannot be decoded.
        BadInput: it needs a library that is not installed.
        OSError, MemoryError: it cannot be read now, which says nothing about what it holds.
    """
    pixels = _checked(page, _agreeing)
    image = pixels.values.astype(np.float32)
    image /= np.float32(pixels.top)
    if image.ndim == 2:
        image = image[..., None]  # [H, W, 1]
    if pixels.alpha:
        image, alpha = image[..., :-1], image[..., -1:]
        image = np.clip((image if pixels.alpha == 1 else image * alpha) + (1 - alpha), 0, 1)
    image = turned(image, page.orientation)
    image = np.repeat(image, channels, axis=-1) if image.shape[-1] < channels else image
    return np.ascontiguousarray(image)


def read_stored(page: Page) -> np.ndarray:
    """What a mask holds, upright: class ids as they are stored, palette indices, or colours.

    Returns:
        [H, W] of any type, bool where there is one bit, or [H, W, channels].

    Raises:
        DamagedPage: the page cannot be decoded.
        BadInput: it needs a library that is not installed.
        OSError, MemoryError: it cannot be read now, which says nothing about what it holds.
    """
    return turned(_checked(page, _stored), page.orientation)


def read_colours(page: Page) -> np.ndarray:
    """uint8 [H, W, 3] of a mask, upright. Raises as `read_stored` does."""
    pixels = _checked(page, _agreeing)
    if pixels.alpha and (pixels.values[..., -1] != pixels.top).any():
        raise BadInput(f"folder: mask {page.path} is transparent in part; save it without transparency")
    values = pixels.values[..., : 3 if pixels.values.ndim == 3 else None]
    values = np.repeat(values[..., None], 3, axis=-1) if values.ndim == 2 else values
    return turned((values.astype(np.uint32) * 255 // pixels.top).astype(np.uint8), page.orientation)  # [H, W, 3]


def check_whole(page: Page) -> None:
    """Raises DamagedPage unless all of a page can be read: a PNG has checksums, and what has none is decoded."""
    _checked(page, {"png": _check_png, "jpeg": _check_jpeg, "tiff": _check_tiff}[page.format])


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """[H, W, …] upright, from how EXIF says that it is stored."""
    if orientation >= 5:
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _checked(page: Page, read):
    """`read(page)`, whatever goes wrong in it being damage, but for what the machine refuses."""
    try:
        with _UNLIMITED:
            return read(page)
    except BadInput:
        raise
    except Exception as error:
        known = isinstance(error, (MemoryError, *UNREADABLE))
        if known or page.format == "tiff":  # tifffile and its codecs raise many kinds
            raise unreadable(page.path, error) from None
        raise


@contextmanager
def _opened(page: Page) -> Iterator[Image.Image | None]:
    """A page as Pillow has it, stored as it is; None where tifffile must read it."""
    if page.format != "tiff":
        with (PngImageFile if page.format == "png" else JpegImageFile)(page.path) as picture:
            _check_promise(page, picture)
            yield picture
        return
    assert page.tiff is not None
    if needs_tifffile(page.tiff):
        yield None
        return
    with FromPage(page.path, page.tiff) as file:
        if page.tiff.turn is not None and page.orientation != 1:
            # Pillow turns some pages itself, and which ones differs between its versions: here it sees none to turn
            at, letter = page.tiff.turn
            data = bytearray(file.read())
            struct.pack_into(letter, data, at, 1)
        else:
            data = None
        try:
            picture = TiffImageFile(file if data is None else io.BytesIO(data))
        except SyntaxError:  # a kind of page that it does not know
            yield None
            return
        with picture:
            _check_promise(page, picture)
            yield picture


def _check_promise(page: Page, picture: Image.Image) -> None:
    """Raises ValueError, before any pixel is decoded, for a picture of another size than was found in its header."""
    if picture.size[::-1] != (page.size[::-1] if page.orientation >= 5 else page.size):
        raise ValueError(f"it is {picture.size[1]}x{picture.size[0]} in one part and not in another")


def _agreeing(page: Page) -> Pixels:
    """What `_colours` gives, if it is what the header has promised: each library reads a damaged one in its own way."""
    pixels = _colours(page)
    channels = pixels.values.shape[2] - bool(pixels.alpha) if pixels.values.ndim == 3 else 1
    _check_size(page, pixels.values)
    if channels != page.channels:
        raise ValueError(f"it has {channels} channels, and {page.channels} by its header")
    return pixels


def _check_size(page: Page, values: np.ndarray) -> None:
    expected = page.size[::-1] if page.orientation >= 5 else page.size
    if values.shape[:2] != expected:
        raise ValueError(f"it has {values.shape[0]}x{values.shape[1]} pixels, and not as many by its header")


def _colours(page: Page) -> Pixels:
    with _opened(page) as file:
        if file is None:
            return _deep(page)
        mode, key = file.mode, file.info.get("transparency")
        if mode == "1" and key is None:
            return Pixels(np.asarray(file).astype(np.uint8), 1)
        if mode in ("1", "L", "RGB", "P") and key is not None:
            return Pixels(np.asarray(file.convert("LA" if mode in GREY else "RGBA")), 255, 2)
        if mode in ("LA", "RGBA", "PA"):
            return Pixels(np.asarray(file.convert("RGBA") if mode == "PA" else file), 255, 2)
        if mode == "La":
            return Pixels(np.asarray(file), 255, 1)
        if mode in GREY[2:]:
            values, top = np.asarray(file).astype(np.uint16), 2**page.bits - 1
            if page.tiff is not None and page.tiff.photometric == WHITE_IS_ZERO:
                values = top - values
            if isinstance(key, int):  # one value that stands for nothing
                values = np.where(values == key, top, values)
            return Pixels(values, top)
        return Pixels(np.asarray(file if mode in ("L", "RGB") else file.convert("RGB")), 255)


def _deep(page: Page) -> Pixels:
    """A page of a TIFF that Pillow would not read whole."""
    assert page.tiff is not None
    values, top = read_with_tifffile(page.path, page.number, page.tiff), 2**page.tiff.bits - 1
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    if values.ndim > 3 or values.dtype.kind != "u":
        raise BadInput(f"folder: {page.path} has pixels of shape {values.shape}; save it as a grey or RGB page")
    if page.tiff.photometric == CMYK:
        key = top - values[..., 3:4].astype(np.float32)
        return Pixels((top - values[..., :3].astype(np.float32)) * key / top, top)
    if page.tiff.photometric == WHITE_IS_ZERO:
        values = top - values
    colours = 1 if page.channels == 1 else 3
    if values.ndim == 2 or values.shape[-1] <= colours or not page.tiff.alpha:
        return Pixels(values if values.ndim == 2 else values[..., :colours], top)
    return Pixels(values[..., : colours + 1], top, page.tiff.alpha)


def _stored(page: Page) -> np.ndarray:
    values = _as_stored(page)
    _check_size(page, values)
    return values


def _as_stored(page: Page) -> np.ndarray:
    with _opened(page) as file:
        if file is None:
            assert page.tiff is not None
            return read_with_tifffile(page.path, page.number, page.tiff)
        values = np.asarray(file)
        if file.mode in ("LA", "RGBA") and (values[..., -1] == 255).all():
            values = values[..., 0] if file.mode == "LA" else values[..., :-1]
        if file.mode == "I" and page.format == "png":  # 16 bits, as older versions of Pillow open them
            values = values.astype(np.uint16)
        if file.mode != "L":
            return values
    if page.tiff is not None and page.tiff.photometric == WHITE_IS_ZERO:
        values = 255 - values
    return values // SPREAD.get(page.bits, 1)


def _check_png(page: Page) -> None:
    with PngImageFile(page.path):  # what it refuses to open has nothing to do with checksums
        pass
    data = page.path.read_bytes()
    at, name = 8, b""
    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        (expected,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(memoryview(data)[at + 4 : at + 8 + length]) != expected:
            raise DamagedPage(f"folder: {page.path} is damaged (a checksum is wrong); replace it or take it away")
        at += 12 + length


def _check_jpeg(page: Page) -> None:
    data = page.path.read_bytes()
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1 : at + 2] != b"\xda":  # up to where the pixels begin
        at += 2 + struct.unpack_from(">H", data, at + 2)[0] if data[at + 1] != 0xFF else 1
    if data.find(b"\xff\xd9", at) < 0:  # what a broken transfer fills with zeros decodes without complaint
        raise DamagedPage(f"folder: {page.path} is truncated or damaged (it has no end); replace it or take it away")
    with JpegImageFile(page.path) as file:
        file.draft(file.mode, (max(1, file.width // SKETCH), max(1, file.height // SKETCH)))
        file.load()


def _check_tiff(page: Page) -> None:
    assert page.tiff is not None
    if page.tiff.end > page.path.stat().st_size:
        raise DamagedPage(
            f"folder: {page.path} is truncated (it ends before its pixels do); replace it or take it away"
        )
    _agreeing(page)
