"""Exports that are odd on purpose: refused in one line, and nothing of them is kept."""

from __future__ import annotations

import json
import os
import random
import re
import struct
from typing import get_args, get_type_hints

import numpy as np
import pytest
from asking import truth
from PIL import Image
from spoiling import archive, exported, masks, opened, refused, tidy

from bal import answer, query
from bal.annotation.formats import FORMATS, FormatName
from bal.annotation.inbox import Inbox, open_inbox
from bal.annotation.take import take
from bal.types import BadInput

HUGE = "9" * 5000  # more digits than Python reads
BIG = 10**400  # more than a float holds


def test_the_commands_know_every_format():
    assert get_args(FormatName) == tuple(FORMATS)
    assert get_type_hints(answer.Settings)["format"] == FormatName | None
    assert get_type_hints(query.Settings)["to"] == FormatName


# Pictures and a table


def rgba(path, alpha):
    """A mask as a program with layers saves it; `alpha` [h, w] of each pixel, over what is painted."""
    picture = np.asarray(opened(path).convert("RGBA")).copy()
    picture[..., 3] = alpha
    Image.fromarray(picture).save(path)


def test_what_cannot_be_seen_is_not_painted(inbox, tmp_path):
    export, given = exported(inbox, tmp_path, "png")
    for path in masks(export):
        rgba(path, np.zeros(opened(path).size[::-1], np.uint8))
    take(inbox, export, by="ada")
    for entry in given:
        label = inbox.by_question()[entry.id]["ada"].label
        assert set(np.unique(label)) <= {0, 255}
        assert not label[entry.asked_pixels()].any()


def test_a_palette_may_have_a_transparent_background(inbox, tmp_path):
    export, given = exported(inbox, tmp_path, "png")
    for path in masks(export):
        image = opened(path)
        image.save(path, transparency=0)
    take(inbox, export, by="ada")
    for entry in given:
        label = inbox.by_question()[entry.id]["ada"].label
        np.testing.assert_array_equal(label[entry.asked_pixels()], truth(entry)[entry.asked_pixels()])


def cut_end(path):
    path.write_bytes(path.read_bytes()[:-20])


def animate(path):
    frames = [opened(path).convert("RGB"), Image.new("RGB", opened(path).size)]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def flip_checksum(path):
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(bytes(data))


def link_to_itself(path):
    path.unlink()
    path.symlink_to(path)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def folder(path):
    path.unlink()
    path.mkdir()


def elsewhere(path):
    target = path.parent.parent.parent / "secret.png"
    Image.new("P", opened(path).size).save(target)
    path.unlink()
    path.symlink_to(target)


@pytest.mark.parametrize(
    ("harm", "match"),
    [
        (cut_end, "no PNG, or a damaged one"),
        (flip_checksum, "no PNG, or a damaged one"),
        (animate, "is an animation"),
        (lambda p: rgba(p, np.full(opened(p).size[::-1], 128, np.uint8)), "half transparent in places"),
        (link_to_itself, "is no file beside the table"),
        (pipe, "is no file beside the table"),
        (folder, "is no file beside the table"),
        (elsewhere, "is no file beside the table"),
        (lambda p: p.write_bytes(b""), "no PNG, or a damaged one"),
        (lambda p: Image.new("RGB", (9, 9)).save(p, "JPEG"), "no PNG, or a damaged one"),
        (lambda p: Image.new("I;16", opened(p).size).save(p), "kind I;16"),
    ],
)
def test_masks_that_are_refused(inbox, tmp_path, harm, match):
    export, _ = exported(inbox, tmp_path, "png")
    harm(masks(export)[-1])
    refused(inbox, export, match)


def line_of(text, edit):
    """A table with its last line changed."""
    head, _, last = text.rstrip("\n").rpartition("\n")
    return f"{head}\n{edit(last)}\n"


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (
            lambda t: t.replace("id,file", "status,id,file", 1).replace("\nr", "\nskipped,r"),
            "two columns called 'status'",
        ),
        (lambda t: line_of(t, lambda last: f"{last},labelled"), "more or fewer cells than the 6 columns"),
        (lambda t: line_of(t, lambda last: last.rpartition(",")[0]), "more or fewer cells than the 6 columns"),
        (lambda t: line_of(t, lambda last: last.replace("masks/", "masks/\0")), "is no file beside the table"),
        (lambda t: line_of(t, lambda last: last.replace("masks/", "x" * 5000)), "is no file beside the table"),
        (
            lambda t: line_of(t, lambda last: last.replace(",,,labelled", ',,"1,234",labelled')),
            "thousands or a fraction",
        ),
        (lambda t: line_of(t, lambda last: last.replace(",,,labelled", f",,{HUGE},labelled")), "are no seconds"),
        (lambda t: line_of(t, lambda last: last.replace(",,,labelled", ",,-1e999,labelled")), "are no seconds"),
    ],
)
def test_tables_that_are_refused(inbox, tmp_path, change, match):
    export, _ = exported(inbox, tmp_path, "png")
    path = export / "queries.csv"
    text = path.read_text()
    assert ",," in text, "nobody measured seconds"
    changed = change(text)
    assert changed != text
    path.write_text(changed)
    refused(inbox, export, match)


@pytest.mark.parametrize(("written", "seconds"), [("12,5", 12.5), ("12.5", 12.5), ("1234", 1234.0), ("0,25", 0.25)])
def test_seconds_as_half_of_europe_writes_them(inbox, tmp_path, written, seconds):
    export, given = exported(inbox, tmp_path, "png")
    path = export / "queries.csv"
    path.write_text(path.read_text().replace(",", ";").replace(";;;labelled", f";;{written};labelled"))
    take(inbox, export, by="ada")
    assert {inbox.by_question()[entry.id]["ada"].seconds for entry in given} == {seconds}


# JSON and XML


def everywhere(value, path=()):
    """Every place in a JSON value, the deepest last."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, inner in items:
        yield from everywhere(inner, (*path, key))


def put(value, path, new):
    """A copy with something else at a place."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = put(value[path[0]], path[1:], new)
    return copy


ODD = [None, "32", "", [], {}, 1.5, float("nan"), -1, BIG, -BIG, True, [[]], {"a": None}, "ä\0\ud800"]


@pytest.mark.parametrize("name", ["label-studio", "coco"])
def test_any_value_anywhere_is_said_in_a_line_or_does_no_harm(inbox, tmp_path, name):
    """What is taken all the same is nothing but the truth, or an answer that the export did not hold to begin with."""
    export, given = exported(inbox, tmp_path, name)
    file = export if export.is_file() else next(export.rglob("*.json"))
    whole, count, said = json.loads(file.read_text()), 0, set()
    small = (
        whole[:1]
        if isinstance(whole, list)
        else {**whole, "images": whole["images"][:1], "annotations": whole["annotations"][:1]}
    )
    for path in everywhere(small):
        for odd in ODD:
            file.write_text(json.dumps(put(small, path, odd)))
            fresh = Inbox(inbox.folder)
            try:
                FORMATS[name].read(file, fresh.entries(), given[0].classes)
            except BadInput as error:
                said.add(str(error))
            count += 1
    assert count > 150
    assert all(tidy(line) for line in said)


@pytest.mark.parametrize("name", ["label-studio", "coco"])
def test_numbers_of_thousands_of_digits_are_damage(inbox, tmp_path, name):
    export, _ = exported(inbox, tmp_path, name)
    file = export if export.is_file() else next(export.rglob("*.json"))
    file.write_text(re.sub(r": [0-9]+", f": {HUGE}", file.read_text(), count=1))
    refused(inbox, export, "holds a number of thousands of digits|line 1")


def test_a_picture_that_is_no_base64_of_ascii(inbox, tmp_path):
    export, _ = exported(inbox, tmp_path, "label-studio")
    file = export if export.is_file() else next(export.rglob("*.json"))
    file.write_text(file.read_text().replace('"imageDataURL": "data:image/png;base64,', '"imageDataURL": "\\u00e4'))
    refused(inbox, export, "no picture in base64")


@pytest.mark.parametrize("change", ["rle", "left", "top", "width", "height", "z_order", "label", "name"])
@pytest.mark.parametrize("odd", ["", "x", "-1", "1.5", "1_0", HUGE, "\u0663", "1e3", " 7 ,"])
def test_any_attribute_of_cvat_is_said_in_a_line_or_does_no_harm(inbox, tmp_path, change, odd):
    export, given = exported(inbox, tmp_path, "cvat")
    file = export if export.is_file() else next(export.rglob("*.xml"))
    text = file.read_text()
    changed = re.sub(rf' {change}="[^"]*"', f' {change}="{odd}"', text)
    assert changed != text or change == "z_order"
    file.write_text(changed)
    said = "fine"
    try:
        FORMATS["cvat"].read(file, inbox.entries(), given[0].classes)
    except BadInput as error:
        said = str(error)
    assert tidy(said)


@pytest.mark.parametrize(
    "text",
    [
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "c">]><annotations>&b;</annotations>',
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><annotations>&b;</annotations>',
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY % b SYSTEM "http://x/">%b;]><annotations/>',
    ],
)
def test_entities_are_refused(inbox, tmp_path, text):
    path = tmp_path / "a.xml"
    path.write_text(text)
    refused(inbox, path, "declares entities")


# Archives


def test_a_member_that_is_there_twice(inbox, tmp_path):
    export, _ = exported(inbox, tmp_path, "coco")
    file = export if export.is_file() else next(export.rglob("*.json"))
    for second in ("annotations.json", "./annotations.json"):
        archive(tmp_path / "a.zip", [("annotations.json", file.read_text()), (second, "{}")])
        refused(inbox, tmp_path / "a.zip", "holds 'annotations.json' twice")


def test_more_than_any_export_is_refused_by_what_it_says_of_itself(inbox, tmp_path):
    archive(tmp_path / "a.zip", [("annotations.json", b"0" * (2**28 + 1))])
    refused(inbox, tmp_path / "a.zip", "holds more than any export")


def test_an_archive_that_lies_about_its_size(inbox, tmp_path):
    archive(tmp_path / "a.zip", [("annotations.json", b" " * 2**20)])
    data = bytearray((tmp_path / "a.zip").read_bytes())
    at = data.index(b"PK\1\2") + 24  # of the directory, the size when unpacked
    data[at : at + 4] = struct.pack("<I", 10)
    (tmp_path / "a.zip").write_bytes(bytes(data))
    refused(inbox, tmp_path / "a.zip", "cannot be unpacked|no export|looks like none|damaged")


# All of them


@pytest.mark.parametrize("name", FORMATS)
def test_mutated_exports_are_refused_in_a_line_or_read(inbox, tmp_path, name):
    """Bytes changed, left out and doubled, anywhere in an export."""
    rng = random.Random(name)
    export, given = exported(inbox, tmp_path, name)
    files = [
        p
        for p in (export.rglob("*") if export.is_dir() else [export])
        if p.is_file() and p.suffix in (".json", ".xml", ".csv", ".png")
    ]
    files = [p for p in files if p.parent.name not in ("views", "images")]
    whole = {path: path.read_bytes() for path in files}
    outcomes, said = {"read": 0, "refused": 0}, set()
    for _ in range(120):
        path = rng.choice(files)
        data = bytearray(whole[path])
        for _ in range(rng.randint(1, 3)):
            at, length = rng.randrange(len(data)), rng.randint(1, 12)
            change = rng.choice(("flip", "drop", "double", "digit"))
            if change == "flip":
                data[at] = rng.randrange(256)
            elif change == "drop":
                del data[at : at + length]
            elif change == "double":
                data[at:at] = data[at : at + length]
            else:
                data[at : at + 1] = rng.choice((b"0", b"9" * 30, b"-", b"null", b'"', b"{"))
        path.write_bytes(bytes(data))
        try:
            FORMATS[name].read(export, inbox.entries(), given[0].classes)
            outcomes["read"] += 1
        except BadInput as error:
            said.add(str(error))
            outcomes["refused"] += 1
        path.write_bytes(whole[path])
    assert outcomes["refused"] > 20, outcomes
    assert all(tidy(line) for line in said)


@pytest.mark.parametrize("name", ["a.zip", "a.json", "a.csv", "a"])
def test_what_is_no_file_is_no_export(inbox, tmp_path, name):
    os.mkfifo(tmp_path / name)
    refused(inbox, tmp_path / name, f"{name} is a FIFO; give a file or a folder")
    (tmp_path / f"0{name}").symlink_to("/dev/zero")
    refused(inbox, tmp_path / f"0{name}", f"{name} is a device; give a file or a folder")


@pytest.mark.parametrize("name", ["questions.jsonl", "answers.jsonl"])
def test_a_run_s_own_files_are_files(tmp_path, name):
    os.mkfifo(tmp_path / name)
    with pytest.raises(BadInput, match=f"{name} is a FIFO"):
        open_inbox(tmp_path)
