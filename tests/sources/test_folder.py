"""A folder of images and masks: every kind of file that works, and one clear line for every one that does not."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path

import numpy as np
import pytest
from folders import refused, save
from PIL import Image

from bal.sources import Folder, Masks
from bal.types import IGNORE, BadInput

DATA = Path(__file__).parents[3] / "shared" / "data"


def test_split(root):
    source = Folder(path=root).open()
    assert len(source.test) == 2
    assert len(source.pool) == 6
    assert source.classes == ("background", "class_1")
    splits = {Folder(path=root, seed=k).open().test for k in range(6)}
    assert len(splits) > 1
    assert len(Folder(path=root, test=0.5).open().test) == 4


def test_groups_stay_together(root):
    (root / "groups.csv").write_text("file,group\n" + "".join(f"page{k}.png,{k // 3}\n" for k in range(8)))
    source = Folder(path=root, test=0.3).open()
    group = {f"page{k}": k // 3 for k in range(8)}
    assert not {group[i] for i in source.pool} & {group[i] for i in source.test}
    other = root / "other.csv"
    other.write_text("file,group\n" + "".join(f"page{k},{k % 2}\n" for k in range(8)))
    assert len(Folder(path=root, groups=other).open().test) == 4


def test_limit(root):
    source = Folder(path=root, limit=4).open()
    assert len(source.pool + source.test) == 4
    assert Folder(path=root, limit=4).open().pool == source.pool


def test_image_without_a_mask_is_in_the_pool_only(root):
    (root / "masks" / "page3.png").unlink()
    for seed in range(5):
        source = Folder(path=root, seed=seed).open()
        assert "page3" in source.pool
    with pytest.raises(BadInput, match=r"page3\.png has no mask"):
        source.mask("page3")


def test_unlabelled_pixels_and_class_names(root):
    mask = np.full((12, 16), IGNORE, np.uint8)
    mask[:4] = 3
    save(root / "masks" / "page0.png", mask)
    source = Folder(path=root).open()
    assert source.classes == ("background", "class_1", "class_2", "class_3")
    assert set(np.unique(source.mask("page0"))) == {3, IGNORE}
    assert Folder(path=root, classes=("a", "b", "c", "d")).open().classes == ("a", "b", "c", "d")


def test_kinds_of_image(root):
    rng = np.random.default_rng(1)
    grey = rng.integers(0, 256, (12, 16), dtype=np.uint8)
    colour = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
    deep = rng.integers(0, 65536, (12, 16), dtype=np.uint16)
    for k in range(6):
        (root / "images" / f"page{k}.png").unlink()
    save(root / "images" / "page0.png", grey)
    save(root / "images" / "page1.tif", colour)
    save(root / "images" / "page2.png", np.dstack([colour, grey]))
    save(root / "images" / "page3.png", deep)
    save(root / "images" / "page4.tiff", deep)
    save(root / "images" / "page5.png", grey > 128)
    source = Folder(path=root).open()
    assert source.channels == 3
    np.testing.assert_array_equal(source.image("page0"), np.repeat(grey[..., None] / np.float32(255), 3, -1))
    np.testing.assert_array_equal(source.image("page1"), colour / np.float32(255))
    alpha = grey[..., None] / np.float32(255)
    np.testing.assert_allclose(source.image("page2"), colour / np.float32(255) * alpha + (1 - alpha), atol=1e-6)
    for id in ("page3", "page4"):
        np.testing.assert_array_equal(source.image(id)[..., 0], deep / np.float32(65535))
    assert set(np.unique(source.image("page5"))) == {0, 1}


def test_grey_with_alpha_is_grey(root):
    grey = np.random.default_rng(2).integers(0, 256, (12, 16, 2), dtype=np.uint8)
    Image.fromarray(grey, mode=None).save(root / "images" / "page0.png")
    source = Folder(path=root).open()
    assert source.channels == 1
    value, alpha = np.moveaxis(grey / np.float32(255), -1, 0)
    np.testing.assert_allclose(source.image("page0")[..., 0], value * alpha + (1 - alpha), atol=1e-6)


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_sixteen_bit_colour_tiff(root, planar):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    deep = np.random.default_rng(3).integers(0, 65536, (12, 16, 3), dtype=np.uint16)
    (root / "images" / "page0.png").unlink()
    data = deep if planar == "contig" else np.moveaxis(deep, -1, 0)
    tifffile.imwrite(root / "images" / "page0.tif", data, photometric="rgb", planarconfig=planar)
    source = Folder(path=root).open()
    assert source.shape("page0") == (12, 16)
    np.testing.assert_array_equal(source.image("page0"), deep / np.float32(65535))


def test_missing_tifffile_names_the_extra(root, monkeypatch):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    (root / "images" / "page0.png").unlink()
    deep = np.zeros((12, 16, 3), np.uint16)
    tifffile.imwrite(root / "images" / "page0.tif", deep, photometric="rgb")
    real = builtins.__import__

    def no_tifffile(name, *args, **kwargs):
        if name == "tifffile":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "tifffile")
    monkeypatch.setattr(builtins, "__import__", no_tifffile)
    refused(r"page0\.tif .* pip install 'bal\[tiff\]'", root)


def test_masks_of_palette_and_one_bit(root):
    ids = np.zeros((12, 16), np.uint8)
    ids[2:5] = 1
    palette = Image.fromarray(ids).convert("P")
    palette.putdata(ids.ravel().tolist())
    palette.putpalette([0, 0, 0, 255, 0, 0])
    palette.save(root / "masks" / "page0.png")
    save(root / "masks" / "page1.png", ids > 0)
    source = Folder(path=root).open()
    for id in ("page0", "page1"):
        np.testing.assert_array_equal(source.mask(id), ids)


def test_open_decodes_no_image(root, monkeypatch):
    monkeypatch.setattr("bal.sources.folder.read_image", lambda *_: pytest.fail("decoded an image"))
    source = Folder(path=root).open()
    assert source.shape("page0") == (12, 16)


def test_bad_settings(root):
    refused("test is 1.0; it must be a share between 0 and 1", root, test=1.0)
    refused("limit is 1", root, limit=1)
    refused("seed is -1", root, seed=-1)
    refused("two or more different names", root, classes=("a",))
    refused("two or more different names", root, classes=("a", "a"))
    refused("300 classes; 255 at most", root, classes=tuple(f"c{k}" for k in range(300)))
    refused("nope.csv does not exist", root, groups=root / "nope.csv")
    refused("nope.csv does not exist", root, split=root / "nope.csv")
    refused("megapixels is 0", root, megapixels=0)
    refused("mask.white is 2; it is a class from 1 to 1", root, mask=Masks(white=2), classes=("paper", "ink"))


def test_bad_folders(root, tmp_path_factory):
    empty = tmp_path_factory.mktemp("empty")
    refused("gone does not exist", empty / "gone")
    refused("holds no .png, .tif, .tiff, .jpg, .jpeg file", empty)
    (empty / "images").mkdir()
    (empty / "images" / "a.gif").write_bytes(b"")
    refused("holds no .png, .tif, .tiff, .jpg, .jpeg file", empty)
    save(empty / "images" / "a.png", np.zeros((4, 4), np.uint8))
    refused("name the classes, background first", empty)
    save(empty / "masks" / "a.png", np.ones((4, 4), np.uint8))
    refused("one labelled image, and a split needs two", empty)
    assert Folder(path=empty, test=0).open().pool == ("a",)
    save(root / "masks" / "pagex1.png", np.zeros((4, 4), np.uint8))
    refused(r"pagex1\.png has no image of the same name; did you mean page", root)


def test_two_files_of_one_name(root):
    save(root / "images" / "page0.tif", np.zeros((12, 16), np.uint8))
    refused(r"page0\.png and .*page0\.tif have the same name", root)


def test_bad_masks(root):
    save(root / "masks" / "page0.png", np.zeros((12, 17), np.uint8))
    refused(r"mask .*page0\.png is 12x17 and its image 12x16", root)
    save(root / "masks" / "page0.png", np.zeros((12, 16, 3), np.uint8))
    refused(r"mask .*page0\.png is uint8 of shape \(12, 16, 3\)", root)
    save(root / "masks" / "page0.png", np.full((12, 16), 7, np.uint8))
    refused(r"page0\.png holds class 7, but there are 2 classes \(paper, ink: 0 to 1\)", root, classes=("paper", "ink"))
    save(root / "masks" / "page0.png", np.full((12, 16), 700, np.uint16))
    refused(r"page0\.png holds class 700; class ids run from 0 to 254", root)


@pytest.mark.parametrize("classes", [(), ("paper", "ink")])
def test_black_and_white_masks(root, classes):
    for k in range(8):
        save(root / "masks" / f"page{k}.png", np.repeat([[0, 255]], 96, axis=0).reshape(12, 16).astype(np.uint8))
    refused("take white as class 1 with --source.mask.white 1", root, classes=classes)


def test_bad_images(root):
    (root / "images" / "page0.png").unlink()
    save(root / "images" / "page0.tif", np.zeros((12, 16), np.float32))
    refused(r"page0\.tif holds float32 pixels; save it with 8 or 16 bits", root)
    save(root / "images" / "page0.tif", np.zeros((12, 16), np.int32))
    refused(r"page0\.tif holds int32 pixels; save it with 8 or 16 bits", root)


def test_bad_groups(root):
    file = root / "groups.csv"
    file.write_text("name,group\na,1\n")
    refused("groups.csv has the columns name, group; it needs file and group", root)
    file.write_text("")
    refused("it needs file and group", root)
    file.write_text("file,group\npage1.png,1\n")
    refused(r"gives no group for 7 of 8 images, such as page0; did you mean page1", root)
    file.write_text("file,group\n" + "".join(f"page{k}.png,same\n" for k in range(8)))
    refused("a split needs two groups", root)
    file.write_bytes(b"file,group\n\xff\xfe,1\n")
    refused("cannot be read as CSV", root)


@pytest.mark.parametrize(("name", "images", "channels"), [("noisyoffice", 144, 1), ("dsb2018", 334, 3)])
def test_real_folders(name, images, channels):
    if not (DATA / name).is_dir():
        pytest.skip(f"{name} is not in ../shared/data")
    source = Folder(path=DATA / name).open()
    assert len(source.pool + source.test) == images
    assert len(source.test) == pytest.approx(images / 4, abs=2)
    assert source.channels == channels
    assert source.classes == ("background", "class_1")
    for id in (source.pool[0], source.test[-1]):
        assert source.image(id).shape == (*source.shape(id), channels)
        assert source.mask(id).shape == source.shape(id)
