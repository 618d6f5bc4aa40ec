"""Exports that could be read as something that nobody meant: refused, each by its file, before it costs much."""

from __future__ import annotations

import base64
import io
import json
import os
import random
import re
import shutil
import struct
import zlib

import numpy as np
import pytest
from asking import truth
from PIL import Image
from spoiling import archive, exported, masks, opened, refused, tidy

from bal import answer, query
from bal.annotation.formats import FORMATS
from bal.annotation.formats._files import png_of
from bal.annotation.formats.label_studio import URL
from bal.annotation.inbox import Inbox
from bal.annotation.palette import PAPER, UNKNOWN, colour
from bal.annotation.take import take
from bal.types import IGNORE, BadInput

# Pictures


def test_every_class_has_a_colour_of_its_own():
    colours = [colour(index) for index in range(IGNORE)]
    assert len({*colours, UNKNOWN, PAPER}) == IGNORE + 2
    assert all(0 <= v < 256 for rgb in colours for v in rgb)


def chunks(data):
    """The chunks of a PNG: kind and content."""
    found, at = [], 8
    while at < len(data):
        size = struct.unpack(">I", data[at : at + 4])[0]
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def joined(parts):
    """A PNG of such chunks, their checksums right."""
    made = (struct.pack(">I", len(v)) + k + v + struct.pack(">I", zlib.crc32(k + v)) for k, v in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def png(image):
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def test_a_palette_that_lacks_what_is_painted(inbox, tmp_path):
    export, _ = exported(inbox, tmp_path, "png")
    path = next(p for p in masks(export) if np.asarray(opened(p)).any())
    path.write_bytes(joined((k, v[:3] if k == b"PLTE" else v) for k, v in chunks(path.read_bytes())))
    refused(inbox, export, "colours that its palette lacks")


@pytest.mark.parametrize("white", [lambda drawn: drawn > 0, lambda drawn: drawn >= 0], ids=["some", "all"])
def test_black_and_white_is_not_unsure(inbox, tmp_path, white):
    """Curves were painted white on black, and taken for what nobody knows."""
    export, _ = exported(inbox, tmp_path, "png")
    path = next(p for p in masks(export) if np.asarray(opened(p)).any())
    Image.fromarray(np.where(white(np.asarray(opened(path))), 255, 0).astype(np.uint8)).save(path)
    refused(inbox, export, r"png is black and white, and 255 means unsure in a grey picture")


def test_shades_are_classes_and_255_is_unsure(inbox, tmp_path):
    export, given = exported(inbox, tmp_path, "png")
    for path in masks(export):
        shades = np.array(opened(path))
        shades[0, 0], shades[-1, -1] = 255, 1
        Image.fromarray(shades.astype(np.uint8)).save(path)
    take(inbox, export, by="ada")
    said = inbox.by_question()
    for entry in given:
        same = said[entry.id]["ada"].label == truth(entry)
        assert same.mean() > 0.8


@pytest.mark.parametrize("side", [9, 30_000])  # 900 million pixels, of which a file of 110 kB tells
def test_a_mask_of_another_size_is_not_unpacked(inbox, tmp_path, monkeypatch, side):
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    bomb = joined([(b"IHDR", header), (b"IDAT", b""), (b"IEND", b"")])
    monkeypatch.setattr(Image, "open", lambda *_, **__: pytest.fail("was opened"))
    with pytest.raises(BadInput, match=f"x is {side} x {side}; it was asked as 4 x 7"):
        png_of(bomb, (4, 7), "x")
    monkeypatch.undo()
    export, _ = exported(inbox, tmp_path, "png")
    masks(export)[-1].write_bytes(bomb)
    refused(inbox, export, rf"masks/.*png is {side} x {side}; it was asked as")


def test_a_picture_that_changes_its_size_is_not_unpacked():
    first, *rest = chunks(png(Image.new("L", (7, 4))))
    second = (b"IHDR", struct.pack(">IIBBBBB", 20_000, 4_000, 8, 0, 0, 0, 0))
    with pytest.raises(BadInput, match=r"x is 4000 x 20000; it was asked as 4 x 7|no PNG, or a damaged one"):
        png_of(joined([first, second, *rest]), (4, 7), "x")


def test_a_mask_that_is_too_large_a_file_is_not_read(inbox, tmp_path, monkeypatch):
    export, _ = exported(inbox, tmp_path, "png")
    table = (export / "queries.csv").stat().st_size
    assert all(path.stat().st_size > table for path in masks(export))
    monkeypatch.setattr("bal.annotation.formats._files.LARGEST", table)
    refused(inbox, export, r"masks/.*png has .* MiB; export fewer")


def test_a_palette_with_a_transparency_of_each_colour(inbox, tmp_path):
    export, given = exported(inbox, tmp_path, "png")
    for path in masks(export):
        image = opened(path)
        image.save(path, transparency=bytes([0, *[255] * 255]))
    take(inbox, export, by="ada")
    for entry in given:
        np.testing.assert_array_equal(inbox.by_question()[entry.id]["ada"].label, truth(entry))


def test_damage_of_any_chunk_is_told_as_damage():
    """Chunks changed, cut and put in where they do not belong, their checksums right: Pillow fails in many ways."""
    rng = random.Random(0)
    plain = Image.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8) % 3)
    plain.putpalette([v for k in range(3) for v in colour(k)])
    whole = [chunks(png(plain.convert(mode))) for mode in ("P", "L", "1", "RGB", "RGBA", "LA")]
    kinds = (b"tRNS", b"gAMA", b"iTXt", b"zTXt", b"iCCP", b"pHYs", b"eXIf", b"acTL", b"fcTL", b"fdAT", b"cHRM", b"IHDR")
    read, said = 0, []
    for _ in range(1500):
        parts = list(rng.choice(whole))
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(parts))
            kind, content = parts[at]
            what = rng.choice(("flip", "put", "cut"))
            if what == "put":
                parts.insert(at, (rng.choice(kinds), rng.randbytes(rng.choice((0, 1, 2, 4, 8, 13, 26)))))
            elif content:
                place = rng.randrange(len(content))
                changed = content[:place] + (rng.randbytes(1) + content[place + 1 :] if what == "flip" else b"")
                parts[at] = (kind, changed)
        try:
            image = png_of(joined(parts), (6, 8), "x")
            assert image.convert("RGBA").size == (8, 6)
            read += 1
        except BadInput as error:
            said.append(str(error))
    assert min(read, len(said)) > 100
    assert all(tidy(line) for line in said)


# Tables


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: t.replace(",,,labelled", ",,1_0,labelled"), "line 2: '1_0' are no seconds"),
        (lambda t: t.replace(",,,labelled", ",,\u0663,labelled"), "line 2: '\u0663' are no seconds"),
        (lambda t: t.replace(",,,labelled", ",a\tb,,labelled"), r"package: 'a\\tb' is no name of a person"),
        (lambda t: t.replace("\n", "\n\n").replace("labelled", "done", 1), "line 3: status is 'done'"),
        (lambda t: "id\n", "lacks the column file"),
        (lambda t: "", "lacks the column id"),
        (lambda t: '",' * 100_000 + t, "two columns called|cannot be read as a table|lacks"),
        (lambda t: t.replace("id,", "".join(f'"c{i}",' for i in range(30_000)), 1), "lacks the column id"),
    ],
)
def test_tables_that_mean_something_else(inbox, tmp_path, change, match):
    export, _ = exported(inbox, tmp_path, "png")
    path = export / "queries.csv"
    with path.open(newline="") as file:
        text = file.read().replace("\r\n", "\n")
    path.write_text(change(text))
    before = len(inbox.replies())
    with pytest.raises(BadInput, match=match) as error:
        take(inbox, export)
    assert tidy(str(error.value))
    assert len(inbox.replies()) == before


# JSON


def spoilt(export, change):
    """A JSON file with something done to what it holds."""
    found = json.loads(export.read_text())
    change(found)
    export.write_text(json.dumps(found))


def first_annotation(tasks):
    return next(task["annotations"][0] for task in tasks if task["annotations"][0]["result"])


def first_value(tasks):
    return first_annotation(tasks)["result"][0]["value"]


def a_brush(tasks, rle):
    value = first_value(tasks)
    del value["imageDataURL"]
    value["rle"] = rle


BLANK = URL + base64.b64encode(png(Image.new("1", (3000, 3000)))).decode()
LABEL_STUDIO = [
    *[
        (
            lambda t, by=by: first_annotation(t).update(completed_by=by),
            "completed_by is .*; expected a person's address",
        )
        for by in ([1], [], True, 1.5, {"email": ["x"]}, {"id": {"a": 1}})
    ],
    *[
        (
            lambda t, odd=odd: first_annotation(t).update(was_cancelled=odd),
            "was_cancelled is .*; expected true or false",
        )
        for odd in ("false", "", [], 2, 0.5, {})
    ],
    (lambda t: first_value(t).update(bitmasklabels=[]), "a mask without a label"),
    (lambda t: a_brush(t, [[1], [2, 3]]), "a brush that is no list of bytes"),
    (lambda t: first_value(t).update(imageDataURL=BLANK), "a mask is 3000 x 3000; it was asked as"),
    (lambda t: first_annotation(t).update(lead_time="1_0"), "'1_0' are no seconds"),
]
COCO = [
    *[
        (lambda f, odd=odd: f["annotations"][0].update(iscrowd=odd), "iscrowd is .*; expected true or false")
        for odd in ("0", "", [], 2, {})
    ],
    (lambda f: f["annotations"][0]["segmentation"].update(counts=[[1], [2, 3]]), "runs that do not make"),
    *[
        (lambda f, odd=odd: f["images"][0].update(file_name=odd), "picture 1 has no name of a file")
        for odd in (None, 7, ["r01-0000.png"])
    ],
]


@pytest.mark.parametrize(
    ("name", "change", "match"),
    [*(("label-studio", *case) for case in LABEL_STUDIO), *(("coco", *case) for case in COCO)],
)
def test_values_that_are_not_guessed_at(inbox, tmp_path, name, change, match):
    export, _ = exported(inbox, tmp_path, name)
    spoilt(export, change)
    refused(inbox, export, match)


def test_a_name_that_is_none_is_told_with_its_file(inbox, tmp_path):
    export, _ = exported(inbox, tmp_path, "label-studio")
    spoilt(export, lambda t: first_annotation(t).update(completed_by="a\nb"))
    with pytest.raises(BadInput, match=rf"{export.name}: 'a\\nb' is no name of a person"):
        take(inbox, export)


# XML


@pytest.mark.parametrize(
    ("encoding", "written", "match"),
    [
        ("klingon", "utf-8", "is not written in the encoding 'klingon' that it declares"),
        ("latin-1", "utf-8", "is not written in the encoding 'latin-1' that it declares"),
        ("latin-1", "latin-1", "is no text in UTF-8 or UTF-16"),
        ("UTF-8", "utf-8", None),
        ("UTF-8", "utf-8-sig", None),
        ("UTF-8", "utf-16", None),
        ("UTF-16", "utf-16", None),
    ],
)
def test_an_encoding_is_what_it_is_declared_to_be(inbox, tmp_path, encoding, written, match):
    export, given = exported(inbox, tmp_path, "cvat")
    body = export.read_text().partition("?>")[2]
    export.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?><!-- \u00e4 -->{body}'.encode(written))
    if match:
        refused(inbox, export, match)
    else:
        assert len(take(inbox, export, by="ada").outcomes["taken"]) == len(given)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: f'<!DOCTYPE annotations SYSTEM "x">{t}'.replace('rle="', 'rle="&b;', 1), "a document type"),
        (lambda t: re.sub(' left="', ' left="0_', t, count=1), "a mask whose left is '0_"),
        (lambda t: re.sub(' left="[^"]*"', "", t, count=1), "a mask whose left is ''"),
        (lambda t: re.sub(' label="[^"]*"', "", t, count=1), "a mask without a label"),
        (lambda t: re.sub(' name="[^"]*"', "", t, count=1), "a picture without a name"),
    ],
)
def test_xml_that_means_something_else(inbox, tmp_path, change, match):
    export, _ = exported(inbox, tmp_path, "cvat")
    export.write_text(change(export.read_text().partition("?>")[2].strip()))
    refused(inbox, export, match)


# Archives and paths


@pytest.mark.parametrize("names", [("a.json", "../a.json"), ("a.json", "/a.json"), ("b/a.json", "b/../a.json")])
def test_members_that_would_be_unpacked_to_one_place(inbox, tmp_path, names):
    export, _ = exported(inbox, tmp_path, "coco")
    archive(tmp_path / "a.zip", [(name, export.read_text()) for name in names])
    refused(inbox, tmp_path / "a.zip", "a.json' twice; export it again")


@pytest.mark.parametrize(
    ("members", "match"),
    [(["x" * 300 + ".json"], "File name too long"), (["a", "a/b.json"], "Not a directory|File exists")],
)
def test_members_that_have_no_place(inbox, tmp_path, members, match):
    archive(tmp_path / "a.zip", [(name, "{}") for name in members])
    refused(inbox, tmp_path / "a.zip", rf"a\.zip cannot be unpacked \(({match})\)")


@pytest.mark.parametrize("name", ["label-studio", "coco", "cvat", "png"])
def test_a_file_that_is_not_there_is_said_to_be_none(inbox, tmp_path, name):
    with pytest.raises(BadInput, match=r"nothing\.json does not exist"):
        take(inbox, tmp_path / "nothing.json", format=name)


def test_the_package_of_a_later_purchase_has_a_folder_of_its_own(inbox, capsys):
    """The commands of a round are typed again in the next."""
    (inbox.folder.parent / "run-png").mkdir()
    (inbox.folder.parent / "run-png" / "queries.csv").write_text("of an earlier purchase")
    assert query.main([str(inbox.folder)]) == 0
    purchase = inbox.newest()[0].purchase
    assert (inbox.folder.parent / f"run-png-r{purchase:02d}" / "queries.csv").exists()
    assert query.main([str(inbox.folder)]) == 2
    assert f"run-png-r{purchase:02d} exists and is not empty" in capsys.readouterr().err


def test_the_folder_of_a_run_may_be_where_one_is(inbox, monkeypatch, capsys):
    monkeypatch.chdir(inbox.folder)
    assert query.main(["."]) == 0
    assert (inbox.folder.parent / "run-png" / "queries.csv").exists()
    assert answer.main(["."]) == 0
    assert "questions are still open" in capsys.readouterr().out


def test_the_folder_of_a_run_may_have_any_name(inbox, tmp_path, capfdbinary):
    folder = tmp_path / os.fsdecode(b"\xff")
    inbox.folder.rename(folder)
    assert query.main([str(folder)]) == 0
    assert answer.main([str(folder)]) == 0
    assert Inbox(folder).open()


@pytest.mark.parametrize("what", ["pixels", "box"])
@pytest.mark.parametrize("name", FORMATS)
def test_answers_of_another_run_are_refused(inbox, tmp_path, name, what):
    """Every run has an r00-0000: theirs are of other pictures, or of other places in the same."""
    other = shutil.copytree(inbox.folder, tmp_path / "other")
    lines = [json.loads(line) for line in (other / "questions.jsonl").read_text().splitlines()]
    for line in (line for line in lines if "closed" not in line):
        if what == "pixels":
            line["pixels"] = line["pixels"][::-1]
        else:  # all of one size, each somewhere else than its namesake here
            line["box"][0] += 1 if line["view"][0] + line["view"][2] > line["box"][0] + line["box"][2] else -1
    (other / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    export, _ = exported(Inbox(other), tmp_path, name)
    before = inbox.answers.size
    refused(inbox, export, "is a question of another run, or of a copy of this one")
    assert inbox.answers.size == before


def test_masks_without_any_status_are_not_passed_over(inbox, tmp_path):
    export, _ = exported(inbox, tmp_path, "png")
    table = export / "queries.csv"
    text = table.read_text()
    count, before = text.count("labelled"), inbox.answers.size
    table.write_text(text.replace("labelled", ""))
    refused(inbox, export, f"none of its {count} regions has a status, .*: write labelled or skipped")
    assert inbox.answers.size == before
    table.write_text(text.replace("labelled", "", count - 1))
    assert len(take(inbox, export).outcomes["taken"]) == 1


def test_a_row_beside_the_wrong_file_or_box(inbox, tmp_path):
    export, _ = exported(inbox, tmp_path, "png")
    table = export / "queries.csv"
    text = table.read_text()
    (_, one, two, *_) = text.splitlines()
    files = [line.split(",")[1] for line in (one, two)]
    table.write_text(text.replace(files[0], "X").replace(files[1], files[0]).replace("X", files[1]))
    refused(inbox, export, "has the file of r0.*; put each beside its own")
    box = one.split(",")[2]
    table.write_text(text.replace(box, "0 0 1 1"))
    refused(inbox, export, f"was asked with the box {box}, not 0 0 1 1")
