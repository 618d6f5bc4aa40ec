"""What a mask may hold: class ids, white, colours by name; and what would silently be wrong is refused or said."""

from __future__ import annotations

import numpy as np
import pytest
from folders import bar, png, refused, said, save
from hypothesis import given, strategies as st
from PIL import Image, ImageDraw

from bal.sources import Folder, Masks
from bal.types import IGNORE

WHITE = Masks(white=1)
LABELS = "# label:color_rgb:parts:actions\nline:250,50,83::\nbackground:0,0,0::\ngrid:0,128,0::\n"
COLOURS = np.array([(0, 0, 0), (250, 50, 83), (0, 128, 0)], np.uint8)


def everywhere(root, mask, suffix: str = ".png", **options) -> None:
    """The same mask for every image."""
    for k in range(8):
        (root / "masks" / f"page{k}.png").unlink(missing_ok=True)
        save(root / "masks" / f"page{k}{suffix}", mask, **options)


# White


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, bool])
def test_white_is_a_class(root, kind):
    white = True if kind is bool else np.iinfo(kind).max
    everywhere(root, np.where(bar(2) > 0, white, 0).astype(kind))
    source = Folder(path=root, mask=WHITE).open()
    assert source.classes == ("background", "class_1")
    np.testing.assert_array_equal(source.mask(source.pool[0]), bar(2))
    third = Folder(path=root, mask=Masks(white=2), classes=("paper", "grid", "ink")).open()
    np.testing.assert_array_equal(third.mask(third.pool[0]), 2 * bar(2))
    assert said(third, "no mask has a pixel of grid")


@pytest.mark.parametrize(("kind", "value"), [(np.uint64, 2**63), (np.int64, 2**32), (np.int64, -(2**63))])
def test_an_id_that_no_class_has_becomes_no_other(root, kind, value):
    """2³² was read as class 0."""
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    (root / "masks" / "page3.png").unlink()
    ids = np.ones(bar(3).shape, kind)
    ids[0, 0] = value
    tifffile.imwrite(root / "masks" / "page3.tif", ids)
    refused(f"page3.tif holds class {value}; class ids run from 0 to 254", root)


def test_black_and_white_where_white_is_unlabelled(root):
    save(root / "masks" / "page3.png", 255 * bar(3))
    assert said(
        Folder(path=root).open(), "1 of 8 masks hold 0 and 255 alone, such as page3.png: 255 is unlabelled there"
    )


# Depth and palette


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_ids_of_any_depth(root, bits):
    ids = bar(2, value=min(3, 2**bits - 1))
    for k in range(8):
        png(root / "masks" / f"page{k}.png", ids, bits)
    source = Folder(path=root).open()
    np.testing.assert_array_equal(source.mask(source.pool[0]), ids)
    assert len(source.classes) == ids.max() + 1


def test_palette_indices_are_ids_whatever_their_colours(root):
    mask = Image.fromarray(bar(2, value=2), mode=None).convert("P")
    mask.putdata(bar(2, value=2).ravel().tolist())
    mask.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    for k in range(8):
        mask.save(root / "masks" / f"page{k}.png", bits=4 if k % 2 else 8)
    source = Folder(path=root).open()
    for id in source.pool:
        np.testing.assert_array_equal(source.mask(id), bar(2, value=2))
    assert said(source, "no mask has a pixel of class_1")


# Colours


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA"])
def test_colours_by_name(root, mode):
    (root / "labelmap.txt").write_text(LABELS)
    ids = bar(2) + bar(7, value=2)
    for k in range(8):
        image = Image.fromarray(COLOURS[ids])
        (image.quantize(8) if mode == "P" else image.convert(mode)).save(root / "masks" / f"page{k}.png")
    source = Folder(path=root).open()
    assert source.classes == ("background", "line", "grid")
    np.testing.assert_array_equal(source.mask(source.pool[0]), ids)
    other = Folder(path=root, classes=("background", "grid", "line")).open()
    np.testing.assert_array_equal(other.mask(other.pool[0]), np.array([0, 2, 1])[ids])
    refused("has no colour for class lines; did you mean line", root, classes=("background", "lines"))
    refused("holds the colour 0,128,0, which", root, classes=("background", "line"))
    refused("leave out mask.white", root, mask=WHITE)


def test_colours_that_nobody_named_and_where_nobody_knows(root):
    (root / "labelmap.txt").write_text(LABELS)
    mask = COLOURS[bar(2)]
    mask[0, 0] = 224, 224, 192
    everywhere(root, mask)
    source = Folder(path=root).open()
    assert source.mask(source.pool[0])[0, 0] == IGNORE
    assert said(source, "no mask has a pixel of grid")
    mask[0, 1] = 1, 2, 3
    save(root / "masks" / "page5.png", mask)
    refused(r"page5\.png holds the colour 1,2,3, which .*labelmap\.txt does not name", root)
    mask[0, 1] = 0
    save(root / "masks" / "page5.png", np.dstack([mask, 255 - 100 * bar(3)]))
    refused(r"page5\.png is transparent in part", root)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("background:0,0,0\nline:1,2\n", r"line 2 of .*labelmap.txt is 'line:1,2'; write label:red,green,blue"),
        ("background:0,0,0\nline:1,2,256\n", "line 2 of"),
        ("background:0,0,0\nline\n", "line 2 of"),
        ("background:0,0,0\nline:0,0,0\n", "for the second time"),
        ("a:9,9,9\nline:1,2,3\n", "it needs background:0,0,0"),
        ("", "names 0 colours"),
    ],
)
def test_bad_label_maps(root, text, message):
    (root / "labelmap.txt").write_text(text)
    refused(message, root)


# What is refused


def drawn(antialiased: bool, size: int = 64) -> np.ndarray:
    """uint8 [H, W]: a white disc and a thin line."""
    scale = 4 if antialiased else 1
    image = Image.new("L", (size * scale, size * scale))
    pen = ImageDraw.Draw(image)
    pen.ellipse([20 * scale, 20 * scale, 40 * scale, 40 * scale], fill=255)
    pen.line([0, 5 * scale, 63 * scale, 15 * scale], fill=255, width=scale)
    return np.asarray(image.resize((size, size), Image.Resampling.BOX if antialiased else Image.Resampling.NEAREST))


@pytest.mark.parametrize("settings", [{}, {"classes": ("paper", "ink")}, {"mask": WHITE}])
@pytest.mark.parametrize("levels", [256, 16, 5])
def test_anti_aliased_masks_name_their_values(tmp_path, settings, levels):
    mask = drawn(True)
    mask = (np.round(mask / 255 * (levels - 1)) * 255 / (levels - 1)).astype(np.uint8)
    for k in range(4):
        save(tmp_path / "images" / f"{k}.png", np.zeros((64, 64), np.uint8))
        save(tmp_path / "masks" / f"{k}.png", mask)
    values = np.unique(mask).size - (0 if settings.get("mask") else 1)
    refused(
        rf"0\.png holds {values - bool(settings.get('mask'))}? ?.*different values \(0, .*anti-aliased",
        tmp_path,
        **settings,
    )


def test_numbered_objects(root):
    objects = np.kron(np.arange(48).reshape(6, 8), np.ones((2, 2))).astype(np.uint16)
    everywhere(root, objects)
    refused(r"class ids up to 47, .*48 different values .*more than 32 classes .*if objects are numbered", root)
    many = tuple(f"c{k}" for k in range(48))
    assert Folder(path=root, classes=many).open().classes == many
    everywhere(root, np.minimum(objects, 31))
    assert len(Folder(path=root).open().classes) == 32


@pytest.mark.parametrize("name", ["page0.jpg", "page0.png"])
def test_jpeg_masks(root, name):
    (root / "masks" / "page0.png").unlink()
    Image.fromarray(255 * bar(0)).save(root / "masks" / name, "JPEG")
    refused("is a JPEG, which blurs class ids", root)
    (root / "masks" / name).unlink()
    Image.fromarray(255 * bar(0)).save(root / "masks" / "page0.tif", compression="jpeg")
    refused("is compressed as a JPEG is, which blurs class ids", root)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((12, 16, 3), np.uint8), "is uint8 of shape .* or name its colours in a labelmap.txt"),
        (np.zeros((12, 16, 4), np.uint8), "is uint8 of shape"),
        (np.zeros((12, 16), np.float32), "is float32 of shape"),
        (np.full((12, 16), -1, np.int32), "holds class -1; class ids run from 0 to 254"),
        (np.full((12, 16), 300, np.uint16), "holds class 300; class ids run from 0 to 254"),
        (np.full((11, 16), 1, np.uint8), "is 11x16 and its image 12x16"),
    ],
)
def test_what_is_no_mask(root, mask, message):
    (root / "masks" / "page0.png").unlink()
    save(root / "masks" / "page0.tif", mask)
    refused(rf"page0\.tif {message}", root)


@pytest.mark.parametrize("value", [-1, -700])
@pytest.mark.parametrize("others", [(0, 1), (0, IGNORE), (0, 1, 7), ()])
@pytest.mark.parametrize("settings", [{}, {"mask": WHITE}, {"classes": ("paper", "ink")}])
def test_values_below_zero_are_refused(root, value, others, settings):
    mask = np.full((12, 16), value, np.int32)
    mask[: len(others)] = np.array(others, np.int32)[:, None]
    (root / "masks" / "page0.png").unlink()
    save(root / "masks" / "page0.tif", mask)
    refused(rf"page0\.tif holds class {value}; class ids run from 0 to 254", root, **settings)


def test_masks_of_background_alone(root):
    everywhere(root, np.zeros((12, 16), np.uint8))
    refused("no mask in .* has a pixel of a foreground class; number the classes 1, 2", root)
    (root / "masks" / "page0.png").unlink()
    refused("no mask in .* has a pixel of a foreground class", root)
    source = Folder(path=root, classes=("paper", "ink")).open()  # people will find some
    assert said(source, "no mask has a pixel of ink")


@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.booleans())
def test_classes_are_those_of_the_masks(tmp_path_factory, values, unlabelled):
    root = tmp_path_factory.mktemp("values")
    for k, value in enumerate(values):
        save(root / "images" / f"{k}.png", np.zeros((12, 16), np.uint8))
        mask = bar(k, value=value)
        mask[-1] = IGNORE if unlabelled else 0
        save(root / "masks" / f"{k}.png", mask)
    settings = Folder(path=root, test=0)
    if max(values) == 0:
        refused("has a pixel of a foreground class", root, test=0)
    elif max(values) > 31:
        refused("more than 32 classes are not inferred", root, test=0)
    else:
        source = settings.open()
        assert len(source.classes) == max(values) + 1
        never = sorted({*range(max(values) + 1)} - {0, *values})
        assert said(source, "no mask has a pixel of") == bool(never)
        assert all(said(source, f"class_{c}") for c in never[:4])
        assert said(source, f" and {len(never) - 4} others") == (len(never) > 4)


def slipped(root, value, pixels):
    """Masks of 0, 1 and 2, and a slip of the pen in one of them."""
    for k in range(4):
        mask = np.kron(bar(k), np.ones((20, 20), np.uint8))  # [240, 320]
        mask[:20] = 2
        mask[-1, :pixels] = value if k == 1 else 0
        save(root / "images" / f"{k}.png", np.zeros(mask.shape, np.uint8))
        save(root / "masks" / f"{k}.png", mask)
    return Folder(path=root, test=0)


@pytest.mark.parametrize("value", [4, 31, 200])
def test_a_slip_of_the_pen_makes_no_classes(tmp_path, value):
    """Two pixels made 32 classes, with a note that named 28 of them."""
    settings = slipped(tmp_path, value, 2)
    there = rf"2 pixels of mask .*1\.png are {value}, where the others end at 2: correct them, or name all {value + 1} "
    refused(there + r"classes \(--source\.classes\)", tmp_path, test=0)
    named = tuple(f"c{k}" for k in range(value + 1))
    source = Folder(path=tmp_path, classes=named, test=0).open()
    assert said(source, f"c{value} is 2 pixels of 1.png and in no other mask: a slip?")
    assert max(map(len, source.said)) <= 150, "two lines"
    assert len(slipped(tmp_path, value % 32, 300).open().classes) == value % 32 + 1, "no slip"
    assert settings.open().classes


def test_a_slip_of_the_pen_that_makes_one_class_is_said(tmp_path):
    source = slipped(tmp_path, 3, 1).open()
    assert source.classes == ("background", "class_1", "class_2", "class_3")
    assert source.said == ("class_3 is 1 pixel of 1.png and in no other mask: a slip?",)
    assert slipped(tmp_path, 3, 20).open().said == ()
