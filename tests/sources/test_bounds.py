"""Folders from anybody: what is no file is not opened, and what would unpack to more than memory is not unpacked."""

from __future__ import annotations

import os
import socket
import struct
import time
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from folders import bar, png, refused, said, save
from PIL import Image, ImageFile

from bal.sources import Folder, _listing, _tables
from bal.sources._pages import find_pages
from bal.system.devices import memory
from bal.types import BadInput


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # its name may be no longer than a hundred bytes
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def device(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS = {"a FIFO": fifo, "a socket": unix_socket, "a device": device}


@pytest.fixture(autouse=True)
def _soon():
    """A test that waits for a writer waits for ever."""
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("name", ["images/x.png", "images/x.tif", "images/x.jpg", "masks/page0x.png", "notes.txt"])
def test_what_is_no_file_is_no_image_and_no_mask(root, name, make):
    before = Folder(path=root).open().pool
    make(root / name)
    source = Folder(path=root).open()
    assert source.pool == before
    assert said(source, f"1 file left out, such as {Path(name).name}")


@pytest.mark.parametrize(("what", "make"), KINDS.items())
@pytest.mark.parametrize("name", ["labelmap.txt", "split.csv", "groups.csv", "styles.csv"])
def test_what_is_no_file_is_no_table_that_lies_there(root, name, what, make):
    make(root / name)
    refused(rf"^folder: .*{name} is {what}; give a file$", root)


@pytest.mark.parametrize(("what", "make"), KINDS.items())
@pytest.mark.parametrize("field", ["split", "groups"])
def test_what_is_no_file_is_no_table_that_was_named(root, tmp_path, field, what, make):
    make(tmp_path / "t")
    refused(rf"^folder: .*/t is {what}; give a file$", root, **{field: tmp_path / "t"})


@pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)
def test_what_is_no_folder(tmp_path, make):
    make(tmp_path / "data")
    refused("does not exist or is not a folder", tmp_path / "data")


def test_a_link_out_of_the_folder_is_a_file_like_others(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "x.png"
    save(elsewhere, np.zeros((12, 16), np.uint8))
    (root / "images" / "y.png").symlink_to(elsewhere)
    assert "y" in Folder(path=root).open().pool


@pytest.mark.parametrize("to", [".", "..", "../..", "images"])
def test_a_link_to_what_holds_it_adds_nothing(root, to):
    save(root.parent / "neighbour.png", np.zeros((12, 16), np.uint8))
    before = Folder(path=root).open().pool
    (root / "images" / "more").symlink_to(to, target_is_directory=True)
    assert Folder(path=root).open().pool == before


# Bombs


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def bomb(path: Path, *extra: bytes, size: tuple[int, int] = (60_000, 60_000)) -> None:
    """A PNG of a few hundred bytes that says it has 3,600 megapixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 2, 0, 0, 0))
    parts = (header, *extra, chunk(b"IDAT", zlib.compress(bytes(1000))), chunk(b"IEND", b""))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


@pytest.fixture
def undecoded(monkeypatch):
    """Nothing may be decoded."""

    def load(self):
        raise AssertionError("pixels were decoded")

    for kind in (ImageFile.ImageFile, Image.Image):
        monkeypatch.setattr(kind, "load", load)


TEXTS = [
    (),
    (chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),),
    (chunk(b"tEXt", b"Raw profile type exif\0\nexif\n 4\n00000000\n"),),
    (chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(10**6))),),
    (chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0\0\0\0\0"),),
]


@pytest.mark.parametrize("extra", TEXTS, ids=range(len(TEXTS)))
@pytest.mark.parametrize("role", ["images", "masks"])
def test_a_png_bomb_is_refused_by_its_header(root, undecoded, role, extra):
    bomb(root / role / "page0.png", *extra)
    with pytest.raises(BadInput, match=r"60000x60000 pixels .*3600 megapixels; up to 100 are read"):
        Folder(path=root).open()


def test_a_text_that_unpacks_to_much_sets_the_picture_aside(root):
    bomb(root / "images" / "page0.png", chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(bytes(10**8))))
    source = Folder(path=root).open()
    assert "page0" not in source.pool + source.test
    assert said(source, "1 image set aside, such as 'page0'")


def test_a_png_with_two_headers_is_set_aside(root):
    again = chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 12, 8, 0, 0, 0, 0))
    bomb(root / "images" / "page0.png", again)
    assert said(Folder(path=root).open(), "two headers")


@pytest.mark.parametrize("name", [b"eXIf", b"iTXt"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_how_a_png_is_turned_is_found_without_decoding_it(tmp_path, undecoded, turn, name):
    if name == b"eXIf":
        data = b"II*\0\x08\0\0\0\x01\0" + struct.pack("<HHIHH", 274, 3, 1, turn, 0) + bytes(4)
    else:
        data = b'XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation="%d"/>' % turn
    png(tmp_path / "a.png", np.zeros((4, 6), np.uint8), 8, extra=((name, data),))
    (page,) = find_pages(tmp_path / "a.png").pages
    assert (page.orientation, page.size) == (turn, (6, 4) if turn >= 5 else (4, 6))


def tiff(path: Path, *entries: tuple[int, int, int, int], pixels: bytes = bytes(192)) -> None:
    """A TIFF by hand, each entry (tag, kind, number, value); its pixels are at byte 8."""
    at = 8 + len(pixels)
    table = struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *entry) for entry in entries) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", at) + pixels + table)


def simple(width: int = 16, height: int = 12, samples: int = 1, bits: int = 8) -> list[tuple[int, int, int, int]]:
    values = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: samples, 278: height, 279: 192}
    return [(tag, 4, 1, value) for tag, value in values.items()]


def test_a_tiff_by_hand_is_read(root):
    (root / "images" / "page0.png").unlink()
    tiff(root / "images" / "page0.tif", *simple())
    assert Folder(path=root).open().image("page0").shape == (12, 16, 1)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (simple(60_000, 60_000), "3600 megapixels; up to 100 are read"),
        (simple(2**32 - 1, 2**32 - 1), "megapixels; up to 100 are read"),
        (simple(samples=5000), "has 5000 channels"),
        (simple(samples=2**31, bits=16), "channels"),
        (simple(bits=2**31), "holds uint2147483648 pixels"),
    ],
)
def test_a_tiff_that_claims_much_is_refused(root, entries, message):
    (root / "images" / "page0.png").unlink()
    tiff(root / "images" / "page0.tif", *entries)
    refused(message, root)


@pytest.mark.parametrize(
    "odd",
    [
        [*simple(), (256, 4, 1, 2**30)],  # a second width
        [(256, 4, 1, 2**30), *simple()],
        [*simple(), (32997, 4, 1, 2**20)],  # a million planes
        [*simple(bits=10), (32997, 4, 1, 2**20)],
        [*simple(bits=10), (257, 4, 1, 2**20)],
        [*simple(), (273, 4, 2**28, 8)],  # more strips than bytes
    ],
)
@pytest.mark.parametrize("role", ["images", "masks"])
def test_a_tiff_that_contradicts_itself_takes_no_memory(root, role, odd):
    import resource

    (root / role / "page0.png").unlink()
    tiff(root / role / "page0.tif", *odd)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(BadInput):
        Folder(path=root).open()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**19  # KiB


def test_a_mask_of_many_channels_is_refused_before_it_is_read(root):
    (root / "masks" / "page0.png").unlink()
    tiff(root / "masks" / "page0.tif", *simple(samples=60_000, bits=16))
    refused(r"masks/page0.tif has 60000 channels; up to 8 are read", root)


def test_a_picture_larger_than_memory_is_refused_whatever_megapixels_says(root, monkeypatch):
    monkeypatch.setattr(_listing, "memory", lambda: 1000)
    refused(r"page0.png has 12x16 pixels .* about 0.0 GiB of the", root, megapixels=1e12)
    monkeypatch.undo()
    assert memory() > 2**28
    bomb(root / "images" / "page0.png", size=(2**31 - 1, 2**31 - 1))
    refused(r"GiB there are: cut it into parts", root, megapixels=1e300)


# Tables


@pytest.mark.parametrize("table", ["split.csv", "groups.csv"])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x" * 200_000, "cannot be read as CSV|has the columns"),
        (f"file,split,group\n{'x' * 200_000},pool,a\n", "cannot be read as CSV"),
        (f"{'x,' * 50_000}\n", "has the columns"),
        ("file,split,group\n\0,pool,a\n", "cannot be read as CSV|names|no group"),
        ('file,split,group\n"page0', "cannot be read as CSV|into ''|no group|two groups"),
    ],
)
def test_odd_tables_are_refused_in_a_line(root, table, text, message):
    (root / table).write_text(text)
    with pytest.raises(BadInput, match=message) as error:
        Folder(path=root).open()
    assert len(str(error.value)) < 700


def test_a_table_that_is_too_large_is_not_read(root, monkeypatch):
    monkeypatch.setattr(_tables, "MOST", 10)
    (root / "labelmap.txt").write_text("background:0,0,0\nink:0,0,1\n")
    refused(r"labelmap.txt has 0.0 MiB; up to 0 MiB are read", root)


def test_no_mask_in_the_wrong_place_is_lost(root):
    save(root / "masks" / "page9.png", bar(1))
    refused("has no image of the same name", root)
