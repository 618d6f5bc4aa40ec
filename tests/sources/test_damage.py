"""Pictures that are damaged are set aside and named; what the machine would not read is not damaged."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from folders import bar, refused, said, save
from hypothesis import given, strategies as st
from PIL import Image

from bal.sources import Folder, _pages, _pictures
from bal.types import BadInput

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 14), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "empty":
        path.write_bytes(b"")
    elif how == "text":
        path.write_bytes(b"not an image at all")
    elif how == "head":
        path.write_bytes(whole[:20])
    elif how == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif how == "end":
        path.write_bytes(whole[:-16])
    elif how == "flip":
        path.write_bytes(
            whole[: len(whole) // 2] + bytes([whole[len(whole) // 2] ^ 255]) + whole[len(whole) // 2 + 1 :]
        )
    elif how == "zeros":
        path.write_bytes(whole[: len(whole) // 3] + bytes(len(whole) - len(whole) // 3))


KINDS = {
    "png": ("page9.png", {}),
    "jpeg": ("page9.jpg", {}),
    "tiff": ("page9.tif", {}),
    "lzw": ("page9.tif", {"compression": "tiff_lzw"}),
    "deflate": ("page9.tif", {"compression": "tiff_adobe_deflate"}),
    "group4": ("page9.tif", {"compression": "group4"}),
}
UNDETECTABLE = {
    ("jpeg", "flip"),
    ("tiff", "flip"),
    ("lzw", "flip"),
    ("group4", "flip"),
    ("tiff", "zeros"),
}  # no checksum


@pytest.mark.parametrize("how", ["empty", "text", "head", "half", "end", "flip", "zeros"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_page_is_set_aside_and_named(root, kind, how):
    name, options = KINDS[kind]
    pixels = RNG.integers(0, 256, (80, 90), dtype=np.uint8)
    save(root / "images" / name, pixels > 128 if kind == "group4" else pixels, **options)
    assert "page9" in Folder(path=root).open().pool
    damage(root / "images" / name, how)
    source = Folder(path=root).open()
    if (kind, how) in UNDETECTABLE:
        assert source.image("page9").shape[:2] == (80, 90) if "page9" in source.pool else said(source, name)
        return
    assert "page9" not in source.pool + source.test
    assert said(source, "1 image set aside, such as 'page9'")
    assert said(source, name)
    assert Folder(path=root).open().pool == source.pool


def test_a_damaged_mask_sets_its_image_aside(root):
    damage(root / "masks" / "page3.png", "half")
    source = Folder(path=root, classes=("paper", "ink")).open()
    assert "page3" not in source.pool + source.test
    assert said(source, "page3.png is truncated or damaged")
    damage(root / "masks" / "page4.png", "flip")
    assert said(Folder(path=root).open(), "2 images set aside")


def test_nothing_that_can_be_read(root):
    for path in (root / "images").iterdir():
        damage(path, "half")
    refused(r"page\d\.png is truncated or damaged", root)


def test_damage_while_a_run_goes_on_is_one_line(root):
    source = Folder(path=root).open()
    damage(root / "images" / "page0.png", "half")
    with pytest.raises(BadInput, match=r"page0\.png is truncated or damaged"):
        source.image("page0")
    (root / "images" / "page1.png").unlink()
    with pytest.raises(BadInput, match=r"page1\.png"):
        source.image("page1")


@given(st.data())
def test_whatever_happens_to_a_file_it_is_read_or_damaged(tmp_path_factory, data):
    """Cut anywhere, with any bytes changed: a picture of the size that its header says, or one line."""
    kind = data.draw(st.sampled_from([*KINDS, "pages"]))
    path = tmp_path_factory.mktemp("fuzz") / ("a.tif" if kind == "pages" else KINDS[kind][0])
    if kind == "pages":
        Image.fromarray(GREY).save(path, save_all=True, append_images=[Image.fromarray(COLOUR)])
    else:
        save(path, GREY > 128 if kind == "group4" else GREY, **KINDS[kind][1])
    whole = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole)))] if data.draw(st.booleans()) else whole)
    masks = path.parent / "masks"
    save(masks / "b.png", bar(1, (9, 14)))
    save(path.parent / "b.png", GREY)
    refusal = refusal_of(path.parent)
    assert refusal is None or (path.name in refusal and "\n" not in refusal)


def refusal_of(folder: Path) -> str | None:
    """Why a folder, all of which is read, cannot be used."""
    try:
        source = Folder(path=folder, test=0, megapixels=1).open()
        for id in source.pool:
            assert source.image(id).shape == (*source.shape(id), source.channels)
    except BadInput as error:
        return str(error)
    return None


def pages(path: Path, each: np.ndarray, count: int = 3) -> None:
    """Writes a TIFF of so many pages."""
    first, *others = [Image.fromarray(each)] * count
    first.save(path, save_all=True, append_images=others)


@pytest.fixture
def book(root):
    """A folder with a picture of three pages, each of which has a mask."""
    pages(root / "images" / "book.tif", RNG.integers(0, 256, (12, 16), dtype=np.uint8))
    pages(root / "masks" / "book.tif", bar(3))
    assert not Folder(path=root, test=0).open().unlabelled
    return root


def test_no_page_of_a_mask_that_was_cut_off_becomes_unlabelled(book):
    """It would be trained on no more, and asked about, without a word."""
    path = book / "masks" / "book.tif"
    whole, left = path.read_bytes(), set()
    for size in range(len(whole) - 1, 0, -7):
        path.write_bytes(whole[:size])
        source = Folder(path=book, test=0).open()
        assert not source.unlabelled
        there = [id for id in source.pool if id.startswith("book")]
        if there != [f"book#{n}" for n in (1, 2, 3)]:
            assert said(source, f"{3 - len(there)} image{'s' * (len(there) < 2)} set aside, such as 'book#")
            assert said(source, "book.tif")
        left.add(len(there))
    assert left >= {0, 1, 2}


def test_a_mask_that_is_none_sets_every_page_aside(book):
    (book / "masks" / "book.tif").write_bytes(b"rubbish")
    source = Folder(path=book, test=0).open()
    assert said(source, "3 images set aside, such as 'book#1'")
    assert not source.unlabelled


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOMEM, errno.EIO, errno.EACCES, errno.ESTALE])
@pytest.mark.parametrize("where", ["header", "pixels"])
def test_what_the_machine_would_not_read_is_not_set_aside(where, number, root, monkeypatch):
    """A run would go on with fewer images, for as long as the machine is short of something."""

    def refuse(*args):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(*{"header": (_pages, "_png"), "pixels": (_pictures, "_check_png")}[where], refuse)
    with pytest.raises(OSError, match=os.strerror(number)) as said:
        Folder(path=root).open()
    assert "page" in str(said.value.filename)


@pytest.mark.parametrize("name", ["page9.png", "page9.tif"])
def test_no_memory_for_a_picture_is_no_damage(name, root, monkeypatch):
    save(root / "images" / name, GREY)

    def refuse(page):
        raise MemoryError

    for check in ("_check_png", "_check_tiff"):
        monkeypatch.setattr(_pictures, check, refuse)
    with pytest.raises(MemoryError, match="page"):
        Folder(path=root).open()


def test_what_pillow_says_of_a_picture_reaches_nobody(root, recwarn):
    path = root / "images" / "page9.tif"
    save(path, GREY)
    whole, said = path.read_bytes(), 0
    for at in range(8, 200):  # tags that claim more than there is, and can be done without
        path.write_bytes(whole[:at] + b"\xff" + whole[at + 1 :])
        with suppress(BadInput):
            source = Folder(path=root).open()
            if "page9" in source.pool:
                source.image("page9")
                said += 1
    assert said > 20
    assert not recwarn.list
