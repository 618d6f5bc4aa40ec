"""Small folders such as people really have, one a kind: what each is read as, or the one line that refuses it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bal.annotation.annotators import Oracle
from bal.sources import Folder, Masks
from bal.types import IGNORE, BadInput

CASES = Path(__file__).parents[3] / "shared" / "cases"
NAMED = ("background", "line")
EIGHT = {f"p{k}" for k in range(8)}

READ = (
    "bigtiff", "ccitt_g4", "cmyk", "control", "groups_semicolon", "jpeg_pool", "leftovers", "mask_1bit",
    "mask_cvat_smask", "mask_palette", "multipage_image", "names", "names_same", "nested", "one_by_n", "palette_image",
    "partial_masks", "png_exif_square", "rgba_transparent", "some_masks", "tiff_orientation", "truncated",
    "truncated_late", "twelve_bit",
)  # fmt: skip
UNLABELLED = ("cold_start", "flat", "export_coco", "export_cvat")
REFUSED = {
    "mask_antialias": r"p0\.png holds 170 different values \(0, 1, 2, 3, … 254\).* anti-aliased",
    "mask_antialias_named": r"p0\.png holds 170 different values \(0, 1, 2, 3, … 254\).* anti-aliased",
    "mask_instances": r"class ids up to 120, .*more than 32 classes .*if objects are numbered",
    "mask_0_255": r"take white as class 1 with --source\.mask\.white 1",
    "mask_rgba": r"p0\.png is uint8 of shape \(64, 64, 4\)",
    "mask_class2": r"p0\.png holds class 2, but there are 2 classes \(background, line",
    "mask_smaller": r"p0\.png is 63x64 and its image 64x64",
    "float_mask": r"p0\.tif is float32 of shape \(64, 64\)",
    "float_tiff": r"p0\.tif holds float32 pixels; save it with 8 or 16 bits",
    "mask_jpeg": r"p0\.jpg is a JPEG, which blurs class ids",
    "huge_log": r"log0\.tif has 100000x2200 pixels .*220 megapixels.* raise megapixels",
}


def settings(case: str, **more) -> Folder:
    """A case with the arguments that its README gives."""
    path = CASES / case
    if not path.is_dir():
        pytest.skip(f"{case} is not in ../shared/cases")
    if named := re.search(r"--source\.classes (.*)", (path / "README").read_text()):
        more = {"classes": tuple(named[1].split())} | more
    return Folder(path=path, **more)


def viewed(path: Path) -> np.ndarray:
    """[H, W] in [0, 1], as a picture is seen on white; stored upright."""
    with Image.open(path) as file:
        if file.mode.startswith("I"):
            return np.asarray(file) / 65535
        if file.mode == "RGBA":
            file = Image.alpha_composite(Image.new("RGBA", file.size, "white"), file)
        return np.asarray(file.convert("L")) / 255


def test_every_case_is_tested():
    if not CASES.is_dir():
        pytest.skip("there is no ../shared/cases")
    there = {path.name for path in CASES.iterdir() if path.is_dir() and not path.name.startswith("las_")}
    assert there <= {*READ, *UNLABELLED, *REFUSED}


@pytest.mark.parametrize("case", READ)
def test_what_is_read(case):
    source = settings(case).open()
    assert len(source.classes) == 2
    assert source.pool
    assert source.test
    for id in source.pool + source.test:
        assert source.image(id).shape == (*source.shape(id), source.channels)
        if id not in source.unlabelled:
            assert set(np.unique(source.mask(id))) <= {0, 1, IGNORE}


@pytest.mark.parametrize("case", READ)
def test_ink_lies_where_masks_say(case):
    """Lines are darker than paper under their own mask, and less so under the mask turned upside down or mirrored."""
    source = settings(case).open()
    own, other = [], []
    for id in (id for id in source.pool + source.test if id not in source.unlabelled and min(source.shape(id)) > 1):
        image, mask = source.image(id).mean(-1), source.mask(id)
        for turned, kept in ((mask, own), (mask[::-1], other), (mask[:, ::-1], other)):
            if (turned == 1).any():
                kept.append(image[turned == 1].mean() - image[turned == 0].mean())
    if case == "one_by_n":
        assert not own
        return
    assert np.mean(own) < np.mean(other) - 0.03


@pytest.mark.parametrize("case", UNLABELLED)
def test_a_pool_for_people(case):
    with pytest.raises(BadInput, match=r"for people to label them, name the classes"):
        settings(case).open()
    source = settings(case, classes=NAMED).open()
    assert source.pool == source.unlabelled
    assert len(source.pool) == 8
    assert source.test == ()
    with pytest.raises(BadInput, match="8 of the 8 images of the pool have no mask for the oracle"):
        Oracle().check(source)
    assert source.image(source.pool[0]).shape == (64, 64, 1)
    assert settings(case, classes=NAMED, test=0).open().pool == source.pool


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused(case):
    with pytest.raises(BadInput, match=REFUSED[case]) as error:
        settings(case).open()
    assert "\n" not in str(error.value)


def test_white_masks_are_read_with_the_field():
    source = settings("mask_0_255", mask=Masks(white=1)).open()
    assert source.classes == ("background", "class_1")
    assert set(np.unique(source.mask(source.pool[0]))) == {0, 1}


@pytest.mark.parametrize("case", ["control", "palette_image", "twelve_bit", "rgba_transparent", "cmyk", "jpeg_pool"])
def test_pixels_are_as_a_viewer_shows_them(case):
    source = settings(case).open()
    for path in sorted((CASES / case / "images").iterdir()):
        shown = viewed(path)
        assert np.abs(source.image(path.stem).mean(-1) - shown).max() < 0.02
        assert case == "twelve_bit" or shown.max() > 0.5 > shown.min()


def test_tiffs_and_exif_are_turned():
    source = settings("tiff_orientation").open()
    assert source.shape("p0") == (80, 48)
    assert source.image("p0").shape == (80, 48, 1)
    control = settings("png_exif_square").open()
    for id in control.pool:
        with Image.open(CASES / "png_exif_square" / "images" / f"{id}.png") as file:
            np.testing.assert_array_equal(control.image(id)[..., 0], np.rot90(np.asarray(file), -1) / np.float32(255))


def test_classes_by_colour():
    source = settings("mask_cvat_smask").open()
    assert source.classes == NAMED
    control = settings("control").open()
    for id in EIGHT:
        np.testing.assert_array_equal(source.mask(id), control.mask(id))


def test_every_page_is_there():
    source = settings("multipage_image").open()
    assert {*source.pool, *source.test} == {f"{id}#{page}" for id in EIGHT for page in (1, 2, 3)}
    assert set(source.unlabelled) == {f"{id}#{page}" for id in EIGHT for page in (2, 3)}


def test_nested_images_are_told_apart_by_path():
    source = settings("nested").open()
    assert {*source.pool, *source.test} == {f"w{k % 2}/p{k}" for k in range(8)}


def test_some_masks():
    source = settings("some_masks").open()
    assert len(source.test) == 1
    assert set(source.unlabelled) == EIGHT - {"p0", "p1", "p2"}
    with pytest.raises(BadInput, match="5 of the 7 images of the pool have no mask for the oracle"):
        Oracle().check(source)


@pytest.mark.parametrize(("case", "id"), [("truncated", "p3"), ("truncated_late", "p7")])
def test_a_truncated_page_is_set_aside_and_named(case, id):
    source = settings(case).open()
    assert id not in source.pool + source.test
    (note,) = source.said
    assert note.startswith(f"1 image set aside, such as '{id}'")
    assert f"{id}.png" in note
    assert settings(case).open().pool == source.pool
    assert settings(case).notes() == source.said


def test_notes_are_few():
    assert settings("leftovers").open().said == (
        "2 files left out, such as Thumbs.db: read are .png, .tif, .tiff, .jpg, .jpeg, and where there is images/, what"
        " is in it",
    )
    assert settings("control").open().said == ()


@pytest.mark.parametrize(("case", "tool"), [("export_coco", "COCO"), ("export_cvat", "CVAT")])
def test_exports_are_recognised(case, tool):
    with pytest.raises(BadInput, match=rf"is an export of {tool}: .*python -m bal\.answer RUN"):
        settings(case).open()
    assert any(f"export of {tool}" in note for note in settings(case, classes=NAMED).open().said)


def test_a_limit_that_is_raised_reads_the_headers():
    with pytest.raises(BadInput, match="up to 219 are read"):
        settings("huge_log", megapixels=219).open()
