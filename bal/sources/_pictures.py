"""PNG and TIFF files: their size without decoding, their pixels scaled to [0, 1], and masks of class ids."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from bal.types import BadInput

SUFFIXES = (".png", ".tif", ".tiff")
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N")
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)


def header(path: Path) -> tuple[int, int, int]:
    """Height, width and channels (1 grey, 3 colour; alpha is not counted) without decoding.

    Raises:
        BadInput: the file is not a readable PNG or TIFF.
    """
    try:
        with Image.open(path) as file:
            if _plain(file):
                return file.height, file.width, 1 if file.mode in GREY else 3
    except UnidentifiedImageError:
        if path.suffix.lower() == ".png":
            raise BadInput(f"folder: {path} is not a readable image; replace it or take it away") from None
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    height, width, channels = _planes(path, _tiff(path, lambda page: page.shape))
    return height, width, 1 if channels < 3 else 3


def read_image(path: Path, channels: int) -> np.ndarray:
    """Pixels scaled by the range of their type: 255 for 8 bits, 65535 for 16.

    Args:
        path: PNG or TIFF. Pillow reads PNG of three 16-bit channels with 8 bits a channel.
        channels: 1 or 3; a grey image is repeated to 3.

    Returns:
        float32 [H, W, channels] in [0, 1].

    Raises:
        BadInput: the file is truncated, or its type has no range (floating point).
    """
    pixels = _decode(path, colour=True)
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * 255
    if pixels.dtype.kind != "u" or pixels.dtype.itemsize > 2:
        raise BadInput(f"folder: {path} holds {pixels.dtype} pixels; save it with 8 or 16 bits a channel")
    top = np.float32(np.iinfo(pixels.dtype).max)
    image = pixels.astype(np.float32) / top
    if image.ndim == 2:
        image = image[..., None]  # [H, W, 1]
    image = image[..., : 1 if image.shape[-1] < 3 else 3]  # alpha dropped
    return np.repeat(image, channels, axis=-1) if image.shape[-1] < channels else image


def read_mask(path: Path) -> np.ndarray:
    """Class ids as they are in the file; palette images give their indices.

    Args:
        path: PNG or TIFF of one channel.

    Returns:
        int32 [H, W].

    Raises:
        BadInput: the file is truncated, or has more than one channel, or is not of integers.
    """
    ids = _decode(path, colour=False)
    if ids.ndim != 2 or ids.dtype.kind not in "bui":
        raise BadInput(
            f"folder: mask {path} is {ids.dtype} of shape {ids.shape}; save it as one channel of integer class ids"
        )
    return ids.astype(np.int32)


def _decode(path: Path, colour: bool) -> np.ndarray:
    try:
        with Image.open(path) as file:
            if _plain(file):
                if file.mode in ("LA", "La"):
                    return np.asarray(file.convert("L"))
                if colour and file.mode not in (*GREY, "RGB", "F"):
                    return np.asarray(file.convert("RGB"))
                if file.mode == "I" and file.format == "PNG":  # 16 bits, as older versions of Pillow open them
                    return np.asarray(file).astype(np.uint16)
                return np.asarray(file)
    except UnidentifiedImageError:
        if path.suffix.lower() == ".png":
            raise BadInput(f"folder: {path} is not a readable image; replace it or take it away") from None
    except UNREADABLE as error:
        raise _unreadable(path, error) from None
    pixels = _tiff(path, lambda page: page.asarray())
    _planes(path, pixels.shape)
    if pixels.ndim == 3 and pixels.shape[0] <= 4 < pixels.shape[-1]:  # one plane a channel
        return np.moveaxis(pixels, 0, -1)
    return pixels


def _plain(file: Image.Image) -> bool:
    """False for a TIFF of several deep channels, which Pillow would cut to 8 bits or, plane by plane, mix up."""
    if not isinstance(file, TiffImageFile):
        return True
    bits = file.tag_v2.get(258, (8,))  # BitsPerSample
    return len(bits) == 1 or max(bits) <= 8


def _tiff(path: Path, read: Callable[[Any], Any]) -> Any:
    """`read` of the first page of a file that Pillow does not open, or not whole."""
    try:
        import tifffile
    except ImportError:
        raise BadInput(
            f"folder: {path} is a kind of TIFF that needs tifffile; install it with: pip install 'bal[tiff]'"
        ) from None
    try:
        with tifffile.TiffFile(path) as file:
            return read(file.pages[0])
    except Exception as error:  # tifffile and its codecs raise many kinds
        raise _unreadable(path, error) from None


def _planes(path: Path, shape: tuple[int, ...]) -> tuple[int, int, int]:
    if len(shape) == 2:
        return shape[0], shape[1], 1
    if len(shape) == 3 and shape[-1] <= 4:
        return shape[0], shape[1], shape[2]
    if len(shape) == 3 and shape[0] <= 4:
        return shape[1], shape[2], shape[0]
    raise BadInput(f"folder: {path} has pixels of shape {shape}; save it as one grey or RGB page")


def _unreadable(path: Path, error: Exception) -> BadInput:
    reason = " ".join(str(error).split()) or type(error).__name__
    return BadInput(f"folder: {path} is truncated or damaged ({reason}); replace it or take it away")
