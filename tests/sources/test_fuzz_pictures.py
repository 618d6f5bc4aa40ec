"""Folders of pictures from anybody: read, set aside, or refused in a line; 3,500 cases where all are run."""

from __future__ import annotations

import io

import numpy as np
import pytest
from folders import bar, save
from fuzz import CHANGES, every, fuzzed, outcome, spoilt
from hypothesis import strategies as st
from PIL import Image

from bal.sources import Folder
from bal.sources.base import pixels


def pictures(kinds: tuple[str, ...], **options) -> list[bytes]:
    """A picture of each kind: as it may lie in a folder."""
    rng, found = np.random.default_rng(0), []
    for kind in kinds:
        for mode in ("L", "RGB", "P", "1", "I;16", "CMYK", "LA"):
            file = io.BytesIO()
            image = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
            image = (
                Image.fromarray(rng.integers(0, 2**16, (12, 16), dtype=np.uint16))
                if mode == "I;16"
                else image.convert(mode)
            )
            try:
                image.save(file, kind, **options)
            except (OSError, ValueError, KeyError):  # no such picture of that kind
                continue
            found.append(file.getvalue())
    return found


KINDS = {"png": ("PNG",), "jpg": ("JPEG",), "tif": ("TIFF",)}


@pytest.mark.parametrize("suffix", KINDS)
@fuzzed(15, 500)
def test_images_that_are_spoilt(tmp_path, suffix, examples):
    wholes = pictures(KINDS[suffix])
    wholes += (
        pictures(("TIFF",), compression="tiff_deflate") + pictures(("TIFF",), compression="tiff_lzw")
        if suffix == "tif"
        else []
    )
    for k in range(2):
        save(tmp_path / "images" / f"p{k}.png", np.full((12, 16), 40 * k, np.uint8))
        save(tmp_path / "masks" / f"p{k}.png", bar(k))

    def read():
        source = Folder(path=tmp_path, test=0).open()
        for id in source.pool:
            assert pixels(source, id).shape[:2] == source.shape(id)

    @every(examples, st.sampled_from(wholes), st.sampled_from(wholes), CHANGES)
    def _(whole, other, changes):
        (tmp_path / "images" / f"x.{suffix}").write_bytes(spoilt(whole, changes, other))
        outcome(read)


TABLES = {
    "labelmap.txt": b"# label:color_rgb:parts:actions\nbackground:0,0,0::\nline:250,50,83::\n",
    "split.csv": b"file,split\np0.png,pool\np1.png,test\np2,unused\n",
    "groups.csv": b"file;group\np0.png;a\np1.png;b\np2.png;a\n",
    "styles.csv": b"file;style\np0.png;a\np1.png;b\np2.png;a\n",
}


@pytest.mark.parametrize("name", ["masks", *TABLES])
@fuzzed(15, 500)
def test_masks_and_tables_that_are_spoilt(tmp_path, name, examples):
    for k in range(3):
        save(tmp_path / "images" / f"p{k}.png", np.full((12, 16), 40 * k, np.uint8))
        save(tmp_path / "masks" / f"p{k}.png", bar(k))
    path = tmp_path / "masks" / "p1.png" if name == "masks" else tmp_path / name
    wholes = [path.read_bytes(), *pictures(("PNG",))] if name == "masks" else [TABLES[name]]

    def read():
        source = Folder(path=tmp_path, test=0.5).open()
        for id in (*source.pool, *source.test):
            if id not in source.unlabelled:
                assert source.mask(id).shape == source.shape(id)

    @every(examples, st.sampled_from(wholes), CHANGES)
    def _(whole, changes):
        path.write_bytes(spoilt(whole, changes))
        outcome(read)
