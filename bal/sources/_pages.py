"""Pages of picture files, found without decoding them: their size as a viewer shows it, their colours, their damage."""

from __future__ import annotations

import errno
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import NamedTuple

from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile

from bal.sources._tiff import CMYK, Directory, Truncated, directories
from bal.types import BadInput

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg")
MAGIC = {b"\x89PNG\r\n\x1a\n": "png", b"\xff\xd8\xff": "jpeg"} | dict.fromkeys(
    (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "tiff"
)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, TypeError, KeyError, IndexError, struct.error)
OF_A_FILE = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL, errno.EOVERFLOW)
TOLD = 2**24  # bytes of one text or EXIF of a PNG
SAMPLES = 8  # channels of a TIFF
DEEPEST = 16  # bits of a channel of an image


class DamagedPage(BadInput):
    """One page cannot be read, and others may do without it."""


class Page(NamedTuple):
    """One picture of a file."""

    path: Path
    number: int  # in its file, thumbnails counted, from 0
    format: str  # png, jpeg or tiff: what it is, whatever its name says
    size: tuple[int, int]  # height and width, turned upright
    channels: int  # 1 grey, 3 colour; alpha is not counted
    bits: int  # a channel
    orientation: int  # as in EXIF: 1 upright
    tiff: Directory | None = None


class Found(NamedTuple):
    """What a file holds."""

    pages: list[Page]
    skipped: int = 0  # thumbnails, or further pictures of a file that is no TIFF
    damage: str = ""  # why there are no more pages


def find_pages(path: Path) -> Found:
    """The pages of a file, each once.

    Raises:
        DamagedPage: there is none.
    """
    try:
        with path.open("rb") as file:
            start = file.read(8)
        format = next((name for magic, name in MAGIC.items() if start.startswith(magic)), None)
        if format is None:
            raise DamagedPage(f"folder: {path} is not a readable image; replace it or take it away")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow, about descriptions that nothing here needs
            return {"png": _png, "jpeg": _jpeg, "tiff": _tiff}[format](path)
    except BadInput:
        raise
    except (Truncated, *UNREADABLE) as error:
        raise unreadable(path, error) from None


def unreadable(path: Path, error: Exception) -> Exception:
    """What an error in reading a file means: that it is damaged, unless the machine would not read it now.

    That says nothing of what the file holds, and a run that left it out would be another one.
    """
    if isinstance(error, MemoryError):
        return MemoryError(str(path))
    if isinstance(error, OSError) and error.errno and error.errno not in OF_A_FILE:
        return OSError(error.errno, error.strerror, str(path))
    reason = " ".join(str(error).split()) or type(error).__name__
    return DamagedPage(f"folder: {path} is truncated or damaged ({reason}); replace it or take it away")


def check_size(page: Page, megapixels: float) -> None:
    """Raises BadInput if a page has more pixels than are to be read."""
    height, width = page.size
    if height * width > megapixels * 1e6:
        raise BadInput(
            f"folder: {page.path} has {height}x{width} pixels (height x width), {height * width / 1e6:.4g} megapixels;"
            f" up to {megapixels:g} are read: cut it into parts, or raise megapixels (--source.megapixels)"
        )


def check_fits(page: Page, most: int) -> None:
    """Raises BadInput for a page of which the pixels alone, as float32 beside what is decoded, exceed `most` bytes."""
    needed = page.size[0] * page.size[1] * page.channels * 8
    if needed > most:
        raise BadInput(
            f"folder: {page.path} has {page.size[0]}x{page.size[1]} pixels (height x width), which take about"
            f" {needed / 2**30:,.1f} GiB of the {most / 2**30:,.1f} GiB there are: cut it into parts"
        )


def check_samples(page: Page) -> None:
    """Raises BadInput for more channels than any picture has, each of which takes as much memory again."""
    if page.tiff is not None and page.tiff.samples > SAMPLES:
        raise BadInput(f"folder: {page.path} has {page.tiff.samples} channels; up to {SAMPLES} are read")


def check_kind(page: Page) -> None:
    """Raises BadInput if the pixels of an image have no range, or are no colours."""
    tiff = page.tiff
    if tiff is not None and (tiff.kind != "uint" or tiff.bits > DEEPEST):
        raise BadInput(f"folder: {page.path} holds {tiff.kind}{tiff.bits} pixels; save it with 8 or 16 bits a channel")
    if tiff is not None and tiff.samples > (5 if tiff.photometric == CMYK else 4):
        raise BadInput(f"folder: {page.path} has {tiff.samples} channels; save it as a grey or RGB image")


def _png(path: Path) -> Found:
    header, pictures, told = None, 1, b""
    with path.open("rb") as file:
        file.seek(8)
        while True:
            length, name = struct.unpack(">I4s", _exactly(file.read(8), 8))
            start = file.tell()
            if name == b"IHDR":
                if header is not None:
                    raise Truncated("it has two headers")
                header = struct.unpack(">IIBB", _exactly(file.read(10), 10))
            elif name == b"acTL":
                (pictures,) = struct.unpack(">I", _exactly(file.read(4), 4))
            elif name == b"eXIf" or (
                name in (b"tEXt", b"zTXt", b"iTXt") and file.read(min(length, 8)) in (b"Raw prof", b"XML:com.")
            ):
                file.seek(start)
                told += struct.pack(">I4s", length, name) + _exactly(file.read(min(length + 4, TOLD)), length + 4)
            if name == b"IEND":
                break
            file.seek(start + length + 4)
    if header is None or not header[0] or not header[1]:
        raise Truncated("it has no size")
    width, height, bits, kind = header
    turned = _told(told) if told else 1
    colours = 1 if kind in (0, 4) else 3
    page = Page(path, 0, "png", _upright((height, width), turned), colours, bits, turned)
    return Found([page], pictures - 1)


def _told(chunks: bytes) -> int:
    """How a PNG is turned by what it says of itself, before or after its pixels, none of which are decoded."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    first = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    last = chunk(b"IDAT", zlib.compress(b"\0\0")) + chunk(b"IEND", b"")
    with PngImageFile(io.BytesIO(b"\x89PNG\r\n\x1a\n" + first + chunks + last)) as picture:
        return _orientation(picture)


def _jpeg(path: Path) -> Found:
    with JpegImageFile(path) as file:
        turned = _orientation(file)
        size = _upright((file.height, file.width), turned)
        return Found([Page(path, 0, "jpeg", size, 1 if file.mode == "L" else 3, 8, turned)])


def _tiff(path: Path) -> Found:
    found, damage = directories(path)
    pages = []
    for number, tiff in enumerate(found):
        turned = tiff.orientation if 1 <= tiff.orientation <= 8 else 1
        size = _upright((tiff.height, tiff.width), turned)
        channels = 3 if tiff.samples > 2 or tiff.photometric not in (0, 1) else 1
        if not tiff.reduced:
            pages.append(Page(path, number, "tiff", size, channels, tiff.bits, turned, tiff))
    if not pages:
        raise Truncated("it holds thumbnails alone")
    return Found(pages, len(found) - len(pages), damage)


def _upright(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return (size[1], size[0]) if orientation >= 5 else size


def _orientation(picture: Image.Image) -> int:
    try:
        value = Image.Image.getexif(picture).get(274, 1)  # that of a PNG would decode all of it first
    except UNREADABLE:  # what is no EXIF turns nothing
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _exactly(data: bytes, length: int) -> bytes:
    if len(data) < length:
        raise Truncated("it ends in the middle")
    return data
