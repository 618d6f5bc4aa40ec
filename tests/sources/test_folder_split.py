"""Which images are bought and which are for testing: drawn, or exactly as a table says, however it was saved."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from folders import refused, said
from hypothesis import given, strategies as st
from PIL import Image

from bal.sources import Folder
from bal.sources._tables import read_table
from bal.sources.base import HasStyles
from bal.types import BadInput

ROWS = [("page0", "test"), ("page1", "unused"), *((f"page{k}", "pool") for k in range(2, 8))]


def table(rows=ROWS, suffix: str = ".png", head: str = "file,split") -> str:
    return head + "\n" + "".join(f"{name}{suffix},{use}\n" for name, use in rows)


def test_no_test_set(root):
    source = Folder(path=root, test=0).open()
    assert source.test == ()
    assert len(source.pool) == 8


@pytest.mark.parametrize("suffix", [".png", ""])
def test_a_split_is_used_as_it_is_given(root, suffix):
    (root / "split.csv").write_text(table(suffix=suffix))
    source = Folder(path=root).open()
    assert source.test == ("page0",)
    assert source.pool == tuple(f"page{k}" for k in range(2, 8))
    assert said(source, "split as split.csv says: 6 images in the pool, 1 for testing and 1 for nothing")
    assert said(Folder(path=root, test=0.5).open(), "test=0.5 changes nothing")
    assert Folder(path=root, seed=7).open().pool == source.pool


def test_a_list_of_test_images(root, tmp_path_factory):
    other = tmp_path_factory.mktemp("lists") / "test.txt"
    other.write_text("# for testing\npage3.png\n\nimages/page5.png\r\n")
    source = Folder(path=root, split=other).open()
    assert source.test == ("page3", "page5")
    assert len(source.pool) == 6
    other.write_text("")
    assert Folder(path=root, split=other).open().test == ()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_as_programs_save_them(root, delimiter, encoding, end):
    text = table(head="Split,other,File", rows=()) + "".join(f"{use},,page{k}.png\n" for k, use in enumerate("pt" * 4))
    text = text.replace(",p,", ",pool,").replace("p,,", "pool,,").replace("t,,", "test,,").replace(",", delimiter)
    (root / "split.csv").write_bytes(text.replace("\n", end).encode(encoding))
    assert Folder(path=root).open().test == tuple(f"page{k}" for k in (1, 3, 5, 7))
    groups = table([(f"page{k}", k % 2) for k in range(8)], head="file,group").replace(",", delimiter)
    (root / "split.csv").unlink()
    (root / "groups.csv").write_bytes(groups.replace("\n", end).encode(encoding))
    assert len({int(id[-1]) % 2 for id in Folder(path=root, test=0.5).open().test}) == 1


@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=5),
            st.sampled_from(["a", "b;c", "d,e", 'f"g']),
        ),
        max_size=5,
    ),
    st.sampled_from(",;\t|"),
)
def test_a_table_is_read_as_it_was_written(tmp_path_factory, rows, delimiter):
    import csv

    path = tmp_path_factory.mktemp("tables") / "groups.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows([("file", "group"), *rows])
    assert read_table(path, ("file", "group")) == rows


def test_names_in_any_form(root):
    name = "ä"
    for kind in ("images", "masks"):
        (root / kind / "page0.png").rename(root / kind / f"{unicodedata.normalize('NFD', name)}.png")
    (root / "split.csv").write_text(table([(name, "test"), *ROWS[1:]]), encoding="utf-8")
    assert Folder(path=root).open().test == ("ä",)


def test_names_in_folders(root):
    for kind in ("images", "masks"):
        for k in range(8):
            (root / kind / f"w{k % 2}").mkdir(exist_ok=True)
            (root / kind / f"page{k}.png").rename(root / kind / f"w{k % 2}" / f"page{k // 2}.png")
    names = [f"w{k % 2}\\page{k // 2}.png" if k % 2 else f"images/w{k % 2}/page{k // 2}" for k in range(8)]
    (root / "split.csv").write_text(table([(name, "test" if k < 2 else "pool") for k, name in enumerate(names)], ""))
    assert Folder(path=root).open().test == ("w0/page0", "w1/page0")
    (root / "split.csv").write_text(table([("page0", "test")]))
    refused("'page0.png' in .* may mean w0/page0 and w1/page0; write their folder, too", root)
    (root / "split.csv").write_text(table([("w2/page0", "test")]))
    refused("names w2/page0.png, which is no image", root)


def test_pages_of_a_file(root):
    (root / "images" / "page0.png").unlink()
    first, *rest = (Image.new("L", (16, 12), k) for k in range(3))
    first.save(root / "images" / "page0.tif", save_all=True, append_images=rest)
    (root / "split.csv").write_text(table([("page0", "pool"), *ROWS[1:-1], ("page7", "test")], ""))
    assert Folder(path=root).open().pool[:3] == ("page0#1", "page0#2", "page0#3")
    (root / "split.csv").write_text(
        table([("page0#1", "test"), ("page0#2", "pool"), ("page0#3", "unused"), *ROWS[1:]], "")
    )
    source = Folder(path=root).open()
    assert source.test == ("page0#1",)
    assert "page0#3" not in source.pool


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([*ROWS, ("pagex", "pool")], r"names pagex\.png, which is no image; did you mean page"),
        ([*ROWS, ("page0", "pool")], r"names page0\.png twice"),
        ([*ROWS, ("page0", "test")], r"names page0\.png twice"),
        (ROWS[:-1], "says nothing of 1 images, such as page7"),
        ([("page0", "train"), *ROWS[1:]], r"puts page0\.png into 'train'; write one of pool, test, unused"),
        ([("page0", ""), *ROWS[1:]], r"puts page0\.png into ''"),
        ([(f"page{k}", "test") for k in range(8)], "leaves no image for the pool"),
    ],
)
def test_bad_splits(root, rows, message):
    (root / "split.csv").write_text(table(rows))
    refused(rf"split\.csv {message}", root)


def test_what_a_split_cannot_be(root):
    (root / "split.csv").write_text("file;use\na;b\n")
    refused(r"split\.csv has the columns file, use; it needs file and split", root)
    (root / "split.csv").write_text(table())
    refused("limit draws images at random, and .* says which are used", root, limit=3)
    (root / "masks" / "page0.png").unlink()
    refused("page0 is kept for testing, and has no mask", root)


def test_what_is_unused_need_not_be_usable(root):
    (root / "split.csv").write_text(table())
    (root / "images" / "page1.png").unlink()
    Image.fromarray(np.zeros((12, 16), np.float32)).save(root / "images" / "page1.tif")
    refused(r"split\.csv names page1\.png, which is no image", root)
    (root / "split.csv").write_text(table(suffix=""))
    Image.new("RGB", (5, 5)).save(root / "masks" / "page1.png")
    assert len(Folder(path=root).open().pool) == 6


def test_no_whole_image_is_left(root):
    (root / "split.csv").write_text(
        table([("page0", "test"), ("page1", "pool"), *((n, "unused") for n, _ in ROWS[2:])])
    )
    (root / "images" / "page1.png").write_bytes(b"")
    refused("leaves no image for the pool", root)


def test_a_split_may_name_what_is_damaged(root):
    (root / "split.csv").write_text(table())
    (root / "images" / "page5.png").write_bytes(b"")
    (root / "images" / "page6.png").write_bytes((root / "images" / "page6.png").read_bytes()[:-20])
    source = Folder(path=root).open()
    assert source.pool == ("page2", "page3", "page4", "page7")
    assert said(source, "2 images set aside")


def test_groups_and_a_split(root):
    (root / "split.csv").write_text(table())
    (root / "groups.csv").write_text(table([(f"page{k}", "ab"[k % 2]) for k in range(8)], head="file,group"))
    assert said(Folder(path=root).open(), "the split puts group a into the pool and into the test set")
    (root / "groups.csv").write_text(table([("page0", "a"), ("images/page0", "b")], head="file,group"))
    refused("puts images/page0.png into two groups, a and b", root)


def test_unlabelled_images_of_a_test_group_are_left_out_and_counted(root):
    for k in (2, 5):
        (root / "masks" / f"page{k}.png").unlink()
    (root / "groups.csv").write_text(table([(f"page{k}", k // 4) for k in range(8)], head="file,group"))
    source = Folder(path=root, test=0.5).open()
    assert len(source.pool) == 4
    assert len(source.test) == 3
    assert said(source, "1 images without a mask are in groups of the test set, and left out")


def test_styles_change_no_split(root, tmp_path_factory):
    plain = Folder(path=root).open()
    assert not isinstance(plain, HasStyles)
    other = tmp_path_factory.mktemp("styles") / "looks.csv"
    other.write_text(table([(f"page{k}", "old" if k % 2 else "new") for k in range(8)], head="file,style"))
    given = Folder(path=root, styles=other).open()
    other.rename(root / "styles.csv")
    for source in (given, Folder(path=root).open()):
        assert isinstance(source, HasStyles)
        assert (source.pool, source.test) == (plain.pool, plain.test)
        assert source.styles == ("new", "old")
        assert [source.style(f"page{k}") for k in range(8)] == ["new", "old"] * 4
        assert source.said == plain.said
        with pytest.raises(BadInput, match="no image 'page9'"):
            source.style("page9")
    assert root / "styles.csv" in Folder(path=root).open().files
    refused("looks.csv does not exist; it is a CSV with the columns file,style", root, styles=other)


def test_bad_styles(root):
    file = root / "styles.csv"
    file.write_text(table([(f"page{k}", "old") for k in range(7)], head="file,style"))
    refused("styles.csv gives no style for page7", root)
    file.write_text(table([(f"page{k}", "old") for k in range(5)], head="file,style"))
    refused("styles.csv gives no style for 3 of 8 images, such as page5", root)
    file.write_text(table([*((f"page{k}", "old") for k in range(8)), ("page3", "new")], head="file,style"))
    refused("puts page3.png into two styles, old and new", root)
    file.write_text(table([("page0", "old")], head="file,group"))
    refused("styles.csv has the columns file, group; it needs file and style", root)
