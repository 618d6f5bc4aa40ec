"""However a folder is laid out, and whatever its files are called: its images, and whose masks are whose."""

from __future__ import annotations

import os
import shutil
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from folders import bar, refused, said, save
from hypothesis import given, strategies as st
from PIL import Image

from bal.annotation.annotators import Oracle
from bal.sources import Folder, Masks
from bal.types import BadInput

GREY = np.random.default_rng(0).integers(0, 256, (12, 16), dtype=np.uint8)
NAMED = ("paper", "ink")


def everything(root: Path, **settings):
    """A folder of which nothing is kept for testing."""
    return Folder(path=root, test=0, **settings).open()


def pages(path: Path, count: int, shape: tuple[int, int] = (12, 16)) -> None:
    """A TIFF of several pages, each of one grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *rest = (Image.fromarray(np.full(shape, 10 * k, np.uint8)) for k in range(1, count + 1))
    first.save(path, save_all=True, append_images=rest)


LAYOUTS = {
    "side by side": ("{k}.png", "{k}_mask.png", "{k}"),
    "a dash": ("{k}.jpg", "{k}-mask.png", "{k}"),
    "flat, masks below": ("{k}.png", "masks/{k}.png", "{k}"),
    "two folders": ("images/{k}.jpeg", "masks/{k}.tif", "{k}"),
    "two folders, named alike": ("images/{k}.tiff", "masks/{k}_mask.png", "{k}"),
    "wells": ("images/w{g}/{k}.png", "masks/w{g}/{k}.png", "w{g}/{k}"),
    "wells, each with both": ("w{g}/images/{k}.png", "w{g}/masks/{k}.png", "w{g}/{k}"),
    "wells, side by side": ("field/w{g}/{k}.JPG", "field/w{g}/{k}_mask.PNG", "field/w{g}/{k}"),
    "as VOC": ("JPEGImages/{k}.jpg", "SegmentationClass/{k}.png", "{k}"),
    "same stems": ("w{k}/page.png", "w{k}/page_mask.png", "w{k}/page"),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts(tmp_path, name):
    image, mask, id = LAYOUTS[name]
    for k in range(4):
        save(tmp_path / image.format(k=k, g=k % 2), GREY + np.uint8(k))
        save(tmp_path / mask.format(k=k, g=k % 2), bar(k))
    source = everything(tmp_path)
    assert source.pool == tuple(sorted(id.format(k=k, g=k % 2) for k in range(4)))
    assert not source.unlabelled
    assert not source.said
    for k in range(4):
        np.testing.assert_array_equal(source.mask(id.format(k=k, g=k % 2)), bar(k))
    shutil.rmtree(tmp_path / "masks", ignore_errors=True)


@pytest.mark.parametrize("where", ["{k}.png", "images/{k}.jpg", "a/b/c{k}/scan.jpeg", "{k}.tif"])
def test_no_masks_at_all(tmp_path, where):
    for k in range(3):
        save(tmp_path / where.format(k=k), GREY)
    refused("none of the 3 images used .* has a mask to tell the classes by: for people .*--source.classes", tmp_path)
    source = Folder(path=tmp_path, classes=NAMED).open()
    assert len(source.pool) == 3
    assert source.unlabelled == source.pool
    assert source.test == ()
    assert said(source, "no image has a mask, so there is no test set")
    with pytest.raises(BadInput, match="has no mask"):
        source.mask(source.pool[0])
    with pytest.raises(BadInput, match="3 of the 3 images of the pool have no mask for the oracle"):
        Oracle().check(source)


def test_a_name_that_ends_like_a_mask_is_an_image_where_masks_have_a_folder(root):
    save(root / "images" / "page0_mask.png", GREY)
    source = everything(root)
    assert source.unlabelled == ("page0_mask",)
    assert everything(root, mask=Masks(suffix=())).pool == source.pool


def test_files_that_are_called_like_folders(tmp_path):
    for name in ("images.png", "w0/images.png", "w0/masks.png"):
        save(tmp_path / name, GREY)
    assert everything(tmp_path, classes=NAMED).pool == ("images", "w0/images", "w0/masks")


def test_other_suffixes(tmp_path):
    for k in range(2):
        save(tmp_path / f"{k}.png", GREY)
        save(tmp_path / f"{k}.label.png", bar(k))
    assert everything(tmp_path, mask=Masks(suffix=(".label",))).pool == ("0", "1")


def test_masks_that_are_nobody_s(tmp_path):
    for k in range(2):
        save(tmp_path / f"{k}.png", GREY)
        save(tmp_path / f"{k}_mask.png", bar(k))
    save(tmp_path / "3_mask.png", bar(3))
    refused(r"mask .*3_mask\.png has no image of the same name", tmp_path)
    (tmp_path / "3_mask.png").unlink()
    save(tmp_path / "0-mask.png", bar(3))
    refused(r"0-mask\.png and .*0_mask\.png are masks of the same image", tmp_path)


def test_folders_that_are_no_part_of_it(tmp_path):
    for k in range(2):
        save(tmp_path / f"{k}.png", GREY)
    for name in (".thumbnails/0.png", "__MACOSX/0.png", "._0.png", "runs/a/report.png"):
        save(tmp_path / name, GREY)
    (tmp_path / "runs" / "a" / "config.yaml").touch()
    (tmp_path / "runs" / "a" / "checkpoints").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "README.md").touch()
    assert everything(tmp_path, classes=NAMED).pool == ("0", "1")


def test_files_that_are_left_out_are_counted(root):
    (root / "images" / "Thumbs.db").touch()
    (root / "images" / "page9.webp").touch()
    save(root / "cover.png", GREY)
    (root / "notes.txt").touch()
    (root / "images" / "page10.png").symlink_to("nowhere")
    assert said(everything(root), "4 files left out, such as cover.png")


# Names


def test_any_unicode_form_is_the_same_name(root):
    name = "Bohrloch ä é 岩心 가"
    for form, k in (("NFC", 0), ("NFD", 1)):
        new = unicodedata.normalize(form, f"{name}{k}")
        other = unicodedata.normalize("NFD" if form == "NFC" else "NFC", f"{name}{k}")
        (root / "images" / f"page{k}.png").rename(root / "images" / f"{new}.png")
        (root / "masks" / f"page{k}.png").rename(root / "masks" / f"{other}.png")
    source = everything(root)
    for k in range(2):
        id = unicodedata.normalize("NFC", f"{name}{k}")
        assert id in source.pool
        np.testing.assert_array_equal(source.mask(id), bar(k))
    save(root / "images" / unicodedata.normalize("NFD", f"{name}0.png"), GREY)
    refused("have the same name", root)


NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=9
)


@given(st.lists(NAMES, min_size=2, max_size=4, unique_by=lambda name: unicodedata.normalize("NFC", name)))
def test_any_name(tmp_path_factory, names):
    root = tmp_path_factory.mktemp("names")
    names = [name for name in names if not name.startswith(".")]
    for k, name in enumerate(names):
        for folder, array in (("images", GREY), ("masks", bar(k))):
            save(root / folder / "x.png", array)
            (root / folder / "x.png").rename(root / folder / f"{name}.png")
    if names:
        source = everything(root)
        assert len(source.pool) == len(names)
        for k, name in enumerate(names):
            id = unicodedata.normalize("NFC", name)
            np.testing.assert_array_equal(source.mask(id), bar(k))
            source.image(id)


def test_a_name_of_another_encoding(root):
    name = os.fsdecode("Öl".encode("latin-1"))
    for kind in ("images", "masks"):
        (root / kind / "page0.png").rename(root / kind / f"{name}.png")
    assert "Öl" in everything(root).pool
    (root / "images" / f"{name}.png").write_bytes(b"")
    source = everything(root)
    assert said(source, "'Öl'")
    assert all(note.encode() for note in source.said)


# Pages


def test_every_page_is_an_image(root):
    (root / "images" / "page0.png").unlink()
    pages(root / "images" / "page0.tif", 3)
    source = everything(root)
    assert source.pool[:4] == ("page0#1", "page0#2", "page0#3", "page1")
    assert source.unlabelled == ("page0#2", "page0#3")
    assert [round(float(source.image(f"page0#{k}")[0, 0, 0] * 255)) for k in (1, 2, 3)] == [10, 20, 30]
    np.testing.assert_array_equal(source.mask("page0#1"), bar(0))


def test_masks_of_pages(root):
    for kind in ("images", "masks"):
        (root / kind / "page0.png").unlink()
    pages(root / "images" / "page0.tif", 3)
    save(root / "masks" / "page0#2.png", bar(4))
    source = everything(root)
    assert source.unlabelled == ("page0#1", "page0#3")
    np.testing.assert_array_equal(source.mask("page0#2"), bar(4))
    masks = [Image.fromarray(bar(k)) for k in range(3)]
    masks[0].save(root / "masks" / "page0.tif", save_all=True, append_images=masks[1:])
    refused("are masks of the same image", root)
    (root / "masks" / "page0#2.png").unlink()
    source = everything(root)
    assert not source.unlabelled
    np.testing.assert_array_equal(source.mask("page0#3"), bar(2))
    masks[0].save(root / "masks" / "page0.tif", save_all=True, append_images=masks[1:2])
    refused(r"page0\.tif has 2 pages and its image 3", root)


def test_pages_of_several_sizes_and_thumbnails(root):
    tifffile = pytest.importorskip("tifffile", reason="tifffile is not installed")
    with tifffile.TiffWriter(root / "images" / "page9.tif") as file:
        file.write(GREY)
        file.write(GREY[::4, ::4], subfiletype=1)
        file.write(np.dstack([GREY[:5]] * 3), photometric="rgb")
    source = everything(root)
    assert source.shape("page9#1") == (12, 16)
    assert source.shape("page9#2") == source.image("page9#2").shape[:2] == (5, 16)
    assert source.channels == 3
    assert said(source, "1 page left out, such as in page9.tif")


def test_a_file_of_pages_that_is_cut(root):
    pages(root / "images" / "page9.tif", 4)
    whole = (root / "images" / "page9.tif").read_bytes()
    (root / "images" / "page9.tif").write_bytes(whole[: len(whole) * 5 // 8])
    source = everything(root)
    there = [id for id in source.pool if id.startswith("page9")]
    assert 1 <= len(there) < 4
    assert all(source.image(id).size for id in there)
    assert said(source, "set aside")
    assert said(source, "page9.tif")


def test_an_animation_is_its_first_picture(root):
    frames = [Image.fromarray(GREY), Image.fromarray(GREY[::-1].copy())]
    frames[0].save(root / "images" / "page9.png", save_all=True, append_images=frames[1:])
    source = everything(root)
    np.testing.assert_array_equal(source.image("page9")[..., 0], GREY / np.float32(255))
    assert said(source, "1 page left out, such as in page9.png")


def test_an_id_that_two_files_would_have(root):
    (root / "images" / "page0.png").unlink()
    pages(root / "images" / "page0.tif", 2)
    save(root / "images" / "page0#2.png", GREY)
    refused("both have an image 'page0#2'", root)


# Exports


EXPORTS = {
    "CVAT": (
        "annotations.xml",
        '<?xml version="1.0"?>\n<annotations><image id="0" name="a.png"></image></annotations>',
    ),
    "COCO": ("annotations/instances_default.json", '{"categories": [], "annotations": [{}], "images": [{}]}'),
    "Label Studio": ("project-1.json", '[{"id": 1, "annotations": [{}], "data": {"image": "a.png"}}]'),
}


@pytest.mark.parametrize("tool", EXPORTS)
def test_an_export_is_pointed_to_the_importer(root, tool):
    name, text = EXPORTS[tool]
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).write_text(text)
    assert said(everything(root), f"is an export of {tool}")
    shutil.rmtree(root / "masks")
    refused(f"is an export of {tool}: .* python -m bal.answer RUN .*{name}", root)
    assert said(everything(root, classes=NAMED), "python -m bal.answer RUN")


def test_settings_tell_what_a_run_would_begin_with(root):
    (root / "images" / "Thumbs.db").touch()
    settings = Folder(path=root)
    assert settings.notes() == settings.open().said
    assert settings.notes()
