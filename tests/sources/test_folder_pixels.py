"""Every kind of picture file comes out as a viewer shows it; damage is noticed before anything is trained."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from folders import bar, png, refused, save
from hypothesis import given, strategies as st
from PIL import Image, ImageOps

from bal.sources import Folder
from bal.sources._pages import find_pages
from bal.sources._pictures import read_image, read_stored, turned
from bal.sources._tiff import needs_tifffile

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (9, 14), dtype=np.uint8)
COLOUR = RNG.integers(0, 256, (9, 14, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (9, 14), dtype=np.uint16)
ALPHA = RNG.integers(0, 256, (9, 14), dtype=np.uint8)


def only(path: Path, channels: int | None = None) -> np.ndarray:
    """The one picture of a file, whose header has told its size and colours."""
    (page,) = find_pages(path).pages
    image = read_image(page, channels or page.channels)
    assert image.shape == (*page.size, channels or page.channels)
    assert image.dtype == np.float32
    assert image.flags.c_contiguous
    return image


def on_white(colour: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    opaque = alpha[..., None] / 255
    return colour / 255 * opaque + (1 - opaque)


# Turned


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_is_what_pillow_does(orientation):
    exif = Image.Exif()
    exif[274] = orientation
    file = io.BytesIO()
    Image.fromarray(COLOUR).save(file, "PNG", exif=exif.tobytes())
    upright = np.asarray(ImageOps.exif_transpose(Image.open(file)))
    np.testing.assert_array_equal(turned(COLOUR, orientation), upright)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("shape", [(9, 14), (8, 8)])
@pytest.mark.parametrize("name", ["a.png", "late.png", "a.tif", "deflated.tif", "a.jpg"])
def test_orientation(tmp_path, name, shape, orientation):
    pixels = np.add.outer(7 * np.arange(shape[0]), 3 * np.arange(shape[1])).astype(np.uint8)
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / name
    if name == "late.png":
        png(path, pixels, 8, extra=((b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0")),))
    elif path.suffix == ".tif":
        compression = "tiff_adobe_deflate" if name == "deflated.tif" else None
        Image.fromarray(pixels).save(path, tiffinfo={274: orientation}, compression=compression)
    else:
        Image.fromarray(pixels).save(path, exif=exif.tobytes())
    tolerance = 0.02 if path.suffix == ".jpg" else 0
    np.testing.assert_allclose(only(path)[..., 0] * 255, turned(pixels, orientation), atol=255 * tolerance)
    if path.suffix != ".jpg":
        np.testing.assert_array_equal(read_stored(find_pages(path).pages[0]), turned(pixels, orientation))


def test_a_turned_image_and_a_turned_mask(root):
    exif = Image.Exif()
    exif[274] = 6
    pixels = RNG.integers(0, 256, (16, 12), dtype=np.uint8)
    save(root / "images" / "page0.png", np.rot90(pixels, 1), exif=exif.tobytes())
    save(root / "masks" / "page0.png", np.rot90(bar(3, (16, 12)), 1), exif=exif.tobytes())
    save(root / "images" / "page1.png", pixels)
    save(root / "masks" / "page1.png", np.rot90(bar(3, (16, 12)), 1), exif=exif.tobytes())
    source = Folder(path=root).open()
    np.testing.assert_array_equal(source.image("page0"), source.image("page1"))
    for id in ("page0", "page1"):
        assert source.shape(id) == (16, 12)
        np.testing.assert_array_equal(source.mask(id), bar(3, (16, 12)))


# Alpha


def test_transparent_is_white(tmp_path):
    save(tmp_path / "a.png", np.dstack([COLOUR, ALPHA]))
    np.testing.assert_allclose(only(tmp_path / "a.png"), on_white(COLOUR, ALPHA), atol=1e-6)
    save(tmp_path / "b.png", np.dstack([GREY, ALPHA]))
    np.testing.assert_allclose(only(tmp_path / "b.png"), on_white(GREY[..., None], ALPHA), atol=1e-6)
    save(tmp_path / "c.tif", np.dstack([COLOUR, ALPHA]))
    np.testing.assert_allclose(only(tmp_path / "c.tif"), on_white(COLOUR, ALPHA), atol=1e-6)
    ink = np.zeros((4, 4, 4), np.uint8)
    ink[1, 1, 3] = 255
    save(tmp_path / "ink.png", ink)
    assert only(tmp_path / "ink.png").sum() == 3 * 15


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "1"])
def test_one_colour_that_is_transparent(tmp_path, mode):
    image = Image.fromarray(COLOUR if mode == "RGB" else GREY // 64 * 64).convert(mode)
    key = image.getpixel((3, 2))
    image.save(tmp_path / "a.png", transparency=key)
    found, plain = only(tmp_path / "a.png", 3), np.asarray(image.convert("RGB"), np.float32) / 255
    blank = (np.asarray(image).reshape(9, 14, -1) == np.array(key)).all(-1)
    assert blank.any()
    assert not blank.all()
    np.testing.assert_array_equal(found[blank], 1)
    np.testing.assert_allclose(found[~blank], plain[~blank], atol=1e-6)


def test_a_deep_grey_that_is_transparent(tmp_path):
    png(tmp_path / "a.png", DEEP, 16)
    whole = (tmp_path / "a.png").read_bytes()
    key = int(DEEP[4, 4])
    body = b"tRNS" + struct.pack(">H", key)
    chunk = struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "a.png").write_bytes(whole[:33] + chunk + whole[33:])
    np.testing.assert_allclose(
        only(tmp_path / "a.png")[..., 0], np.where(key == DEEP, 1, DEEP / np.float32(65535)), atol=1e-7
    )


@pytest.mark.parametrize("kind", [1, 2])
def test_alpha_of_deep_tiff(tmp_path, kind):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    colour, alpha = COLOUR.astype(np.uint16) * 257, ALPHA.astype(np.uint16) * 257
    stored = colour if kind == 2 else (colour * (alpha[..., None] / 65535)).astype(np.uint16)
    extra = "assocalpha" if kind == 1 else "unassalpha"
    tifffile.imwrite(tmp_path / "a.tif", np.dstack([stored, alpha]), photometric="rgb", extrasamples=[extra])
    np.testing.assert_allclose(only(tmp_path / "a.tif"), on_white(COLOUR, ALPHA), atol=1e-4)


# Bits and colours


@given(st.sampled_from([1, 2, 4, 8, 16]), st.integers(1, 17), st.integers(1, 17), st.integers(0, 99))
def test_any_depth_of_png(tmp_path_factory, bits, height, width, seed):
    values = np.random.default_rng(seed).integers(0, 2**bits, (height, width))
    path = tmp_path_factory.mktemp("png") / "a.png"
    png(path, values, bits)
    np.testing.assert_allclose(only(path)[..., 0], values / (2**bits - 1), atol=1e-6)
    np.testing.assert_array_equal(read_stored(find_pages(path).pages[0]), values)


@pytest.mark.parametrize("compression", [None, "group4", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("big", [False, True])
def test_compressed_tiff(tmp_path, compression, big):
    pixels = GREY > 128 if compression == "group4" else GREY
    save(tmp_path / "a.tif", pixels, compression=compression, big_tiff=big)
    np.testing.assert_allclose(only(tmp_path / "a.tif")[..., 0], pixels if pixels.dtype == bool else pixels / 255)
    np.testing.assert_array_equal(read_stored(find_pages(tmp_path / "a.tif").pages[0]), pixels)


@pytest.mark.parametrize("tile", [None, (16, 16)])
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("what", ["grey", "colour", "deep"])
def test_tiled_tiff_of_either_order(tmp_path, what, order, tile):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    pixels = {"grey": GREY, "colour": COLOUR, "deep": DEEP}[what]
    photometric = "rgb" if what == "colour" else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", pixels, tile=tile, byteorder=order, photometric=photometric)
    expected = pixels / np.float32(np.iinfo(pixels.dtype).max)
    np.testing.assert_array_equal(only(tmp_path / "a.tif"), expected.reshape(9, 14, -1))


@pytest.mark.parametrize("pixels", [GREY, DEEP], ids=["8", "16"])
def test_white_is_zero(tmp_path, pixels):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="miniswhite")
    top = np.iinfo(pixels.dtype).max
    np.testing.assert_allclose(only(tmp_path / "a.tif")[..., 0], (top - pixels) / top, atol=1e-6)
    np.testing.assert_array_equal(read_stored(find_pages(tmp_path / "a.tif").pages[0]), pixels)


def test_twelve_bits_of_a_tiff_are_all_its_range(tmp_path):
    values = (DEEP >> 4)[:, :14]
    bits = np.unpackbits(values.astype(">u2").view(np.uint8).reshape(9, 14, 2), axis=-1)[..., 4:]
    data = np.packbits(bits.reshape(9, -1), axis=-1).tobytes()
    save(tmp_path / "a.tif", np.ones((9, 21), np.uint8))
    whole = bytearray((tmp_path / "a.tif").read_bytes())
    at = whole.find(b"\1" * (9 * 21))
    whole[at : at + len(data)] = data
    for tag, value in ((256, 14), (258, 12)):
        entry = whole.find(struct.pack("<H", tag), 8)
        struct.pack_into("<H", whole, entry + 8, value)
    (tmp_path / "a.tif").write_bytes(whole)
    np.testing.assert_allclose(only(tmp_path / "a.tif")[..., 0], values / 4095, atol=1e-6)


@pytest.mark.parametrize("name", ["a.tif", "a.jpg"])
def test_cmyk(tmp_path, name):
    image = Image.fromarray(np.kron(COLOUR[:2, :2], np.ones((16, 16, 1), np.uint8))).convert("CMYK")
    image.save(tmp_path / name)
    expected = np.asarray(image.convert("RGB")) / 255
    assert np.abs(only(tmp_path / name) - expected).mean() < 0.02


def test_deep_cmyk(tmp_path):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    ink = np.asarray(Image.fromarray(COLOUR).convert("CMYK")).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "a.tif", ink, photometric="separated")
    np.testing.assert_allclose(only(tmp_path / "a.tif"), COLOUR / 255, atol=1e-3)


@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("planes", {"photometric": "rgb", "planarconfig": "separate"}),
        ("deep planes", {"photometric": "rgb", "planarconfig": "separate"}),
        ("deep", {"photometric": "rgb", "compression": "zlib", "predictor": True}),
        ("deep turned", {"photometric": "rgb", "bigtiff": True, "extratags": [(274, 3, 1, 6, True)]}),
        ("grey channels", {"photometric": "minisblack", "planarconfig": "contig"}),
    ],
)
def test_colours_of_a_tiff(tmp_path, what, options):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    pixels = COLOUR.astype(np.uint16) * 257 if "deep" in what else COLOUR
    tifffile.imwrite(tmp_path / "a.tif", np.moveaxis(pixels, -1, 0) if "planes" in what else pixels, **options)
    expected = turned(COLOUR, 6) if "turned" in what else COLOUR
    np.testing.assert_allclose(only(tmp_path / "a.tif"), expected / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("mode", "compression"), [("L", "jpeg"), ("RGB", "jpeg"), ("YCbCr", "jpeg"), ("LAB", None), ("P", None)]
)
def test_photographs_in_a_tiff(tmp_path, mode, compression):
    image = Image.fromarray(np.kron(COLOUR[:2, :2], np.ones((16, 16, 1), np.uint8))).convert(mode)
    image.save(tmp_path / "a.tif", compression=compression)
    expected = np.asarray(image.convert("L" if mode == "L" else "RGB")).reshape(32, 32, -1) / 255
    assert np.abs(only(tmp_path / "a.tif") - expected).mean() < 0.03


def test_what_is_no_exif_turns_nothing(tmp_path):
    for name in ("a.png", "a.jpg"):
        Image.fromarray(COLOUR).save(tmp_path / name, exif=b"Exif\0\0garbage")
        assert only(tmp_path / name).shape == COLOUR.shape


def test_what_a_file_is_counts_and_not_its_name(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a", "TIFF")
    (tmp_path / "a").rename(tmp_path / "a.png")
    np.testing.assert_array_equal(only(tmp_path / "a.png"), COLOUR / np.float32(255))


# Sizes


def test_a_picture_that_is_too_large_is_named_with_the_field(root):
    refused(
        r"page0\.png has 12x16 pixels .* 0.000192 megapixels; up to 0.0001 .*source\.megapixels", root, megapixels=1e-4
    )
    assert Folder(path=root, megapixels=0.000192).open().pool


def test_the_limit_of_pillow_is_not_ours(root, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(COLOUR).save(root / "images" / "more.tif")
    Image.fromarray(COLOUR).save(root / "images" / "most.jpg")
    source = Folder(path=root).open()
    assert {source.image(id).shape for id in source.pool} == {(12, 16, 3), (9, 14, 3)}
    assert source.mask("page0" if "page0" in source.pool else source.pool[0]).shape == (12, 16)


def test_which_tiffs_need_more(tmp_path):
    for name, mode in (("a", "1"), ("b", "L"), ("c", "RGB"), ("d", "CMYK"), ("e", "P"), ("f", "I;16")):
        Image.new(mode, (4, 4)).save(tmp_path / f"{name}.tif")
        tiff = find_pages(tmp_path / f"{name}.tif").pages[0].tiff
        assert tiff is not None
        assert not needs_tifffile(tiff)
