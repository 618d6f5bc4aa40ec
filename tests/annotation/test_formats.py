"""Questions out to other programs and answers back: every format alike, damaged files, and one rule for all."""

from __future__ import annotations

import copy
import json
import shutil
import zipfile
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
from asking import PEOPLE, go_on, reply, truth
from hypothesis import HealthCheck, given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from painting import CLASSES, PAINT, SKIPS, of_view, paint_coco, paint_cvat, paint_label_studio, paint_png
from PIL import Image

from bal import answer, query
from bal.annotation import views
from bal.annotation.agreement import agreement
from bal.annotation.entries import Entry
from bal.annotation.formats import FORMATS, _rle as rle
from bal.annotation.formats._files import file_of
from bal.annotation.formats.base import Task
from bal.annotation.formats.label_studio import URL
from bal.annotation.inbox import Inbox
from bal.annotation.palette import UNKNOWN, colour
from bal.annotation.take import give, take, task_of
from bal.types import IGNORE, BadInput

# Every format


def test_every_format_has_a_program_here():
    assert PAINT.keys() == FORMATS.keys()


@pytest.mark.parametrize("name", FORMATS)
def test_a_run_answered_through_files_buys_what_the_oracle_buys(tmp_path, oracle, name):
    out, turn = tmp_path / "run", 0
    while go_on(out, PEOPLE):
        inbox, package = Inbox(out), tmp_path / f"package-{turn}"
        given = give(inbox, name, package)
        export = PAINT[name](package, {entry.id: of_view(entry, truth(entry), beyond=1) for entry in given})
        assert take(inbox, export, by="ada").outcomes["taken"] == [entry.id for entry in given]
        assert inbox.open() == []
        turn += 1
    assert turn == 3
    assert (out / "queries.jsonl").read_bytes() == (oracle / "queries.jsonl").read_bytes()


@pytest.mark.parametrize("name", FORMATS)
def test_predictions_and_scores_go_out_but_for_blind_questions(inbox, tmp_path, name):
    given = give(inbox, name, tmp_path / "out")
    assert {entry.id for entry in given} == {entry.id for entry in inbox.open()}
    text = "".join(p.read_text() for p in (tmp_path / "out").rglob("*") if p.suffix in (".json", ".xml", ".csv"))
    for entry in given:
        task = task_of(inbox, entry)
        assert (task.prefill is None) == (task.score is None) == entry.blind
        if name == "png":
            mask = np.asarray(Image.open(tmp_path / "out" / "masks" / f"{file_of(entry)}.png"))
            np.testing.assert_array_equal(mask, 0 if task.prefill is None else task.prefill)
        elif name == "label-studio":
            made = next(t for t in json.loads(text_of(tmp_path / "out")) if t["data"]["id"] == entry.id)
            assert ("predictions" in made) != entry.blind
    assert str(inbox.folder) not in text
    assert "policy" not in text
    assert "audit" not in text


def test_what_is_not_asked_about_is_dimmed_and_what_is_goes_out_as_it_is(inbox):
    entry = inbox.newest()[0]
    half = np.zeros(entry.box[2:], bool)
    half[:, :8] = True
    for mask in (None, half):
        asked_ = replace(entry, mask=None if mask is None else Entry.packed(mask))
        picture, view = views.pixels(inbox.folder, entry).astype(int), task_of(inbox, asked_).view.astype(int)
        inside = of_view(entry, np.ones(entry.box[2:], int) if mask is None else mask.astype(int)).astype(bool)
        np.testing.assert_array_equal(view[inside], picture[inside])
        paper = ~inside & (picture.min(-1) > 220)
        assert paper.any()
        assert (view[paper] < picture[paper] - 30).all()


def text_of(package):
    return (package / "tasks.json").read_text()


@pytest.mark.parametrize("name", FORMATS)
def test_what_went_out_holds_no_answer(inbox, tmp_path, name):
    given = give(inbox, name, tmp_path / "out")
    said = {"png": f"none of its {len(given)} regions has a status, so nothing was taken"}
    if name in SKIPS and name not in said:
        assert not any(take(inbox, tmp_path / "out").outcomes.values())
    else:
        with pytest.raises(BadInput, match=said.get(name, "holds questions, not answers")):
            take(inbox, tmp_path / "out")
    assert len(inbox.replies()) == 10


labels_ = arrays(np.int32, (11, 7), elements=st.sampled_from([0, 0, 0, 1, 2, IGNORE]))


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=labels_, fill=st.sampled_from([None, 0, 1, IGNORE]))
def test_what_is_painted_comes_back(tmp_path_factory, name, label, fill):
    label = label if fill is None else np.full_like(label, fill)
    entry = Entry(
        "r01-0000", "a", (11, 7), "0", 0, (2, 1, 5, 4), (0, 0, 11, 7), "random", None, 1, 0.5, classes=CLASSES
    )
    package = tmp_path_factory.mktemp("package") / "out"
    package.mkdir()
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (11, 7, 3), np.uint8)
    FORMATS[name].write(
        [Task(entry, picture, np.where(label == IGNORE, 0, label).astype(np.uint8), 0.5)], CLASSES, package
    )
    ways = ({}, {"brush": True}) if name == "label-studio" else ({},)
    for how in ways:
        export = PAINT[name](package, {entry.id: label}, **how)
        assert FORMATS[name].recognises(export)
        assert not any(other.recognises(export) for n, other in FORMATS.items() if n != name)
        (found,) = FORMATS[name].read(export, {entry.id: entry}, CLASSES)
        assert found.id == entry.id
        np.testing.assert_array_equal(found.label, label)


@pytest.mark.parametrize("name", FORMATS)
def test_names_of_classes_that_need_care_come_back(tmp_path, name):
    classes = ("paper", 'a "quoted" <b> & ß', "unsure", "曲線")
    entry = Entry("r01-0000", "a", (4, 8), "0", 0, (0, 0, 4, 8), (0, 0, 4, 8), "random", None, 1, 0.5, classes=classes)
    label = np.arange(32, dtype=np.uint8).reshape(4, 8) % 4
    (tmp_path / "out").mkdir()
    FORMATS[name].write([Task(entry, np.zeros((4, 8, 3), np.uint8), label, 0.5)], classes, tmp_path / "out")
    export = {"png": lambda: paint_png(tmp_path / "out", {entry.id: label}),
              "label-studio": lambda: paint_label_studio(tmp_path / "out", {entry.id: label}, classes=classes),
              "coco": lambda: answered(tmp_path / "out" / "annotations.json"),
              "cvat": lambda: answered(tmp_path / "out" / "annotations.xml")}[name]()  # fmt: skip
    (found,) = FORMATS[name].read(export, {entry.id: entry}, classes)
    np.testing.assert_array_equal(found.label, label)


def answered(path):
    """A package that is said to be answered as it went out."""
    path.write_text(path.read_text().replace("questions, as bal.query wrote them", "mine"))
    return path


# One rule


def test_the_rule(inbox, tmp_path):
    entries = give(inbox, "png", tmp_path / "out")
    one, two, three, *_ = entries
    labels = {one.id: of_view(one, truth(one), 2), two.id: None, three.id: np.zeros(three.view[2:], np.uint8)}
    export = paint_png(tmp_path / "out", labels, seconds=3.5)
    with open(export / "queries.csv", "a") as file:
        file.write("r99-0000,masks/none.png,0 0 1 1,,,labelled\n")
    found = take(inbox, export, by="ada")
    assert (sorted(found.outcomes["taken"]), found.unknown) == (sorted(labels), ["r99-0000"])
    said = inbox.by_question()
    np.testing.assert_array_equal(said[one.id]["ada"].label, truth(one))
    assert said[two.id]["ada"].label is None
    assert not said[three.id]["ada"].label.any(), "nothing drawn is all background"
    assert said[one.id]["ada"].seconds == 3.5
    assert (said[one.id]["ada"].touched is None) == one.blind
    size = inbox.answers.size
    assert sorted(take(inbox, export, by="ada").outcomes["known"]) == sorted(labels)
    assert inbox.answers.size == size, "twice changes nothing"
    labels[three.id] = of_view(three, np.full(three.box[2:], 1, np.uint8))
    assert take(inbox, paint_png(export, labels), by="ada").outcomes["conflicting"] == [three.id]
    assert inbox.answers.size == size, "nothing is overwritten"
    assert len(inbox.open()) == len(entries) - 3, "what is absent is unanswered"
    inbox.close(1)
    assert take(inbox, export, by="eva").outcomes["late"]


def test_shares_are_disjoint_and_complete(inbox, tmp_path):
    parts = [give(inbox, "coco", tmp_path / str(i), (i, 3)) for i in (1, 2, 3)]
    ids = [entry.id for part in parts for entry in part]
    assert sorted(ids) == sorted(entry.id for entry in inbox.open())
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    inbox.answer(reply(parts[0][0]))
    again = [give(inbox, "coco", tmp_path / f"again-{i}", (i, 3)) for i in (1, 2, 3)]
    assert [e.id for e in again[0]] == [e.id for e in parts[0][1:]], "what is answered drops out; the rest stays put"
    assert again[1:] == parts[1:]


def test_an_archive_is_read_and_a_bomb_is_not(inbox, tmp_path, monkeypatch):
    given_ = give(inbox, "cvat", tmp_path / "out")
    export = paint_cvat(tmp_path / "out", {e.id: of_view(e, truth(e)) for e in given_})
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as file:
        file.write(export, "annotations.xml")
        file.writestr("../../escaped.txt", "x")
    assert len(take(inbox, tmp_path / "export.zip").outcomes["taken"]) == len(given_)
    assert not list(tmp_path.parent.glob("**/escaped.txt"))
    monkeypatch.setattr("bal.annotation.take.LARGEST", 10)
    with pytest.raises(BadInput, match="holds more than any export"):
        take(inbox, tmp_path / "export.zip")
    monkeypatch.undo()
    with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("mine/annotations.xml", export.read_text().replace("curve_1", "curve_9"))
    with pytest.raises(BadInput, match=r"export\.zip/mine/annotations\.xml: r01-\d+: there is no class 'curve_9'"):
        take(inbox, tmp_path / "export.zip")
    whole = (tmp_path / "export.zip").read_bytes()
    for start in range(60, 400, 20):  # in what is compressed
        (tmp_path / "export.zip").write_bytes(whole[:start] + b"\xff\x00\xff" + whole[start + 3 :])
        with pytest.raises(BadInput, match="cannot be unpacked"):
            take(inbox, tmp_path / "export.zip")
    (tmp_path / "export.zip").write_bytes(whole[:50])
    with pytest.raises(BadInput, match="cannot be unpacked"):
        take(inbox, tmp_path / "export.zip")


def change(path, old, new):
    """A text file with something else in it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


DAMAGE = {
    "png": [
        (lambda p: (p / "queries.csv").write_bytes(b"\xff\xfe\x00"), "is no text|cannot be read|lacks the column"),
        (lambda p: change(p / "queries.csv", "status", "stat"), "lacks the column status"),
        (lambda p: change(p / "queries.csv", "labelled", "done"), "status is 'done'"),
        (lambda p: change(p / "queries.csv", "masks/", "../masks/"), "is no file beside the table"),
        (lambda p: truncate(next((p / "masks").iterdir())), "is no PNG, or a damaged one"),
        (lambda p: [Image.new("P", (3, 3)).save(m) for m in (p / "masks").iterdir()], r"is 3 x 3; it was asked as"),
        (lambda p: [blur(m) for m in (p / "masks").iterdir()], "colours of no class, such as .* without anti-aliasing"),
        (lambda p: [Image.new("L", size_of(m), 77).save(m) for m in (p / "masks").iterdir()], "holds class 77"),
    ],
    "label-studio": [
        (lambda p: truncate(p), "the file is damaged, export it again|is no list of tasks|looks like none"),
        (lambda p: change(p, "curve_1", "curve_9"), "there is no class 'curve_9'; the classes are background, curve_1"),
        (lambda p: change(p, "bitmasklabels", "polygonlabels"), "a region of the kind 'polygonlabels'"),
        (lambda p: change(p, '"original_width": 4', '"original_width": 14'), "a mask for a picture of"),
        (lambda p: change(p, '"lead_time": null', '"lead_time": NaN'), "are no seconds"),
        (lambda p: change(p, '"lead_time": null', '"lead_time": -3'), "-3 are no seconds"),
        (lambda p: change(p, f'URL": "{URL}', f'URL": "{URL}AAAA'), "is no PNG, or a damaged one|no picture in base64"),
        (lambda p: change(p, '{"id": "r01', '{"key": "r01'), "a task without an id of ours"),
        (lambda p: change(p, '"result": [', '"results": ['), "an annotation without a result"),
    ],
    "coco": [
        (lambda p: truncate(p), "the file is damaged, export it again|looks like none"),
        (lambda p: change(p, "curve_1", "curve_9"), "there is no class 'curve_9'"),
        (lambda p: change(p, '"height": 4', '"height": 14'), "it was asked as"),
        (lambda p: change(p, '"counts": "', '"counts": "~~'), "among compressed counts|do not make"),
        (
            lambda p: change(p, '"segmentation": {"size"', '"segmentation": {"sise"'),
            "a polygon, which loses thin curves",
        ),
        (lambda p: change(p, '"image_id": ', '"image_id": 99'), "of picture 99.*, which is not listed"),
        (lambda p: change(p, '"category_id": ', '"category_id": 99'), "there is no class None"),
        (lambda p: change(p, '"image_id"', '"image"'), "is no file of COCO instances"),
    ],
    "cvat": [
        (lambda p: truncate(p), "the file is damaged, export it again|looks like none"),
        (lambda p: change(p, 'label="curve_1"', 'label="curve_9"'), "there is no class 'curve_9'"),
        (lambda p: change(p, "<mask", "<polyline"), "mismatched|looks like none|damaged"),
        (lambda p: change(p, 'rle="', 'rle="9, '), "do not make"),
        (lambda p: change(p, 'left="', 'left="9'), "outside its picture|do not make"),
        (lambda p: change(p, 'left="', 'left="x'), "a mask whose left is"),
        (lambda p: change(p, ' height="4', ' height="94'), "it was asked as"),
        (lambda p: p.write_text(BOMB + p.read_text().partition("?>")[2].lstrip()), "declares entities|looks like none"),
    ],
}  # what somebody does to a file, and what is said of it
BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'


def size_of(path):
    with Image.open(path) as image:
        return image.size


def truncate(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blur(path):
    """What a program that smooths saves: colours in between."""
    image = Image.open(path).convert("RGB")
    rgb = np.asarray(image).copy()
    rgb[0, 0] = (115, 80, 0)
    Image.fromarray(rgb).save(path)


@pytest.mark.parametrize(("name", "number"), [(name, k) for name, kinds in DAMAGE.items() for k in range(len(kinds))])
def test_a_damaged_file_takes_nothing(inbox, tmp_path, name, number):
    do, says = DAMAGE[name][number]
    entries = give(inbox, name, tmp_path / "out")
    export = PAINT[name](tmp_path / "out", {e.id: of_view(e, truth(e)) for e in entries})
    do(export)
    before = inbox.answers.size
    with pytest.raises(BadInput, match=says) as error:
        take(inbox, export, by="ada")
    assert "\n" not in str(error.value)
    assert inbox.answers.size == before


@pytest.mark.slow
@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_any_damage_is_said_in_a_line_or_does_no_harm(inbox, tmp_path, name, zipped):
    entries = give(inbox, name, tmp_path / "out")
    export = PAINT[name](tmp_path / "out", {e.id: of_view(e, truth(e)) for e in entries})
    files = [p for p in export.rglob("*") if p.is_file() and p.parent.name != "views"] if name == "png" else [export]
    if zipped:
        with zipfile.ZipFile(tmp_path / "export.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for file in files:
                archive.write(file, file.relative_to(tmp_path))
        export, files = tmp_path / "export.zip", [tmp_path / "export.zip"]
    rng, before, said = np.random.default_rng(0), inbox.answers.path.read_bytes(), []
    for _ in range(200):
        file = files[rng.integers(len(files))]
        whole = file.read_bytes()
        at, cut, more = rng.integers(len(whole)), rng.integers(3), rng.bytes(rng.integers(3))
        file.write_bytes(whole[:at] + more + whole[at + cut :] if rng.random() < 0.9 else whole[:at])
        try:
            take(inbox, export, by="ada")
        except BadInput as error:
            said.append((str(error), inbox.answers.path.read_bytes() == before))
        file.write_bytes(whole)
        inbox.answers.path.write_bytes(before)
        inbox = Inbox(inbox.folder)
    assert len(said) > 100
    assert all(untouched and "\n" not in line and len(line) < 500 for line, untouched in said)


@pytest.mark.parametrize("encode", [lambda t: b"\xef\xbb\xbf" + t.encode(), lambda t: t.encode("utf-16")])
@pytest.mark.parametrize("name", FORMATS)
def test_marks_and_utf_16(inbox, tmp_path, name, encode):
    entries = give(inbox, name, tmp_path / "out")
    export = PAINT[name](tmp_path / "out", {e.id: of_view(e, truth(e)) for e in entries})
    file = export / "queries.csv" if name == "png" else export
    file.write_bytes(encode(file.read_text()))
    assert len(take(inbox, export, by="ada").outcomes["taken"]) == len(entries)


def test_colours_stand_for_classes_in_a_picture_without_a_palette(inbox, tmp_path):
    entries = give(inbox, "png", tmp_path / "out")
    label = np.zeros(entries[0].view[2:], np.uint8)
    top, left, *_ = entries[0].inside
    label[top, left : left + 3] = 1, 2, IGNORE
    export = paint_png(tmp_path / "out", {entries[0].id: label})
    mask = export / "masks" / f"{file_of(entries[0])}.png"
    Image.open(mask).convert("RGBA").save(mask)
    assert len({*map(colour, range(40)), UNKNOWN}) == 41
    take(inbox, export, by="ada")
    assert inbox.by_question()[entries[0].id]["ada"].label[0, :3].tolist() == [1, 2, IGNORE]


def test_an_answer_twice_in_one_file_must_be_the_same(inbox, tmp_path):
    entries = give(inbox, "label-studio", tmp_path / "out")
    export = paint_label_studio(tmp_path / "out", {entries[0].id: of_view(entries[0], truth(entries[0]))})
    tasks = json.loads(export.read_text())
    mine = next(task for task in tasks if task.get("annotations"))
    mine["annotations"] += mine["annotations"]
    export.write_text(json.dumps(tasks))
    assert take(inbox, export).outcomes["taken"] == [entries[0].id]
    mine["annotations"].append({"result": [], "was_cancelled": True})
    export.write_text(json.dumps(tasks))
    with pytest.raises(BadInput, match="twice, and differently"):
        take(inbox, export, by="eva")


def test_a_mask_that_cvat_exports_as_coco_is_no_crowd(inbox, tmp_path):
    """Datumaro, which CVAT exports with, marks every mask so; elsewhere it is what nobody knows."""
    entry = give(inbox, "coco", tmp_path / "out")[0]
    export = paint_coco(tmp_path / "out", {entry.id: of_view(entry, np.full(entry.box[2:], 2, np.uint8))})
    found = json.loads(export.read_text())
    for annotation in found["annotations"]:
        annotation["iscrowd"] = 1
    for info, value in (
        (dict.fromkeys(("contributor", "date_created", "description", "url", "year"), ""), 2),
        ({}, IGNORE),
    ):
        export.write_text(json.dumps({**found, "info": info}))
        take(inbox, export, by=f"ada {value}")
        assert (inbox.by_question()[entry.id][f"ada {value}"].label == value).all()


@pytest.mark.parametrize(
    ("name", "file"), [("coco", "instances_default.json"), ("cvat", "mine.xml"), ("label-studio", "mine.json")]
)
def test_files_that_lie_beside_the_answers_are_left_out_and_two_are_one_too_many(inbox, tmp_path, name, file):
    folder = tmp_path / "out"
    labels = {e.id: of_view(e, truth(e)) for e in give(inbox, name, folder)}
    shutil.move(PAINT[name](folder, labels), folder / file)  # beside what went out
    if name == "coco":
        pictures = {**json.loads((folder / file).read_text()), "annotations": []}
        (folder / "image_info_default.json").write_text(json.dumps({**pictures, "categories": []}))
        segments = {**pictures, "annotations": [{"segments_info": []}]}
        (folder / "panoptic_default.json").write_text(json.dumps(segments))
    assert sorted(take(inbox, folder).outcomes["taken"]) == sorted(labels)
    shutil.copy(folder / file, folder / f"again-{file}")
    with pytest.raises(BadInput, match=r"several files that could be meant \(again-.*give the one file"):
        take(inbox, folder)
    truncate(folder / f"again-{file}")
    with pytest.raises(BadInput, match="the file is damaged, export it again"):
        take(inbox, folder)


def test_what_is_listed_twice_in_cvat_is_refused(inbox, tmp_path):
    entries = give(inbox, "cvat", tmp_path / "out")
    export = paint_cvat(tmp_path / "out", {e.id: of_view(e, truth(e)) for e in entries})
    root = ElementTree.parse(export).getroot()
    root.append(copy.deepcopy(next(root.iter("image"))))
    ElementTree.ElementTree(root).write(export)
    before = inbox.answers.size
    with pytest.raises(BadInput, match=r"lists picture .* twice; export it again"):
        take(inbox, export)
    assert inbox.answers.size == before


@pytest.mark.parametrize("name", ["images", "annotations", "categories"])
@pytest.mark.parametrize("odd", [{}, {"a": 1}, "", None, 3])
def test_what_is_no_list_in_coco_is_refused(name, odd, inbox, tmp_path):
    entries = give(inbox, "coco", tmp_path / "out")
    export = paint_coco(tmp_path / "out", {e.id: of_view(e, truth(e)) for e in entries})
    export.write_text(json.dumps({**json.loads(export.read_text()), name: odd}))
    with pytest.raises(BadInput, match=rf"its {name} are no list|no file of|holds no"):
        take(inbox, export)


def test_counts_that_are_no_numbers_are_refused():
    with pytest.raises(ValueError, match="counts that are no numbers"):
        rle.from_coco([False, True, 11], 3, 4)


def test_what_is_listed_twice_in_coco_is_refused(inbox, tmp_path):
    entries = give(inbox, "coco", tmp_path / "out")
    export = paint_coco(tmp_path / "out", {e.id: of_view(e, truth(e)) for e in entries})
    found = json.loads(export.read_text())
    for name in ("images", "categories"):
        for change in ({}, {"id": 77}):
            more = {**found, name: [*found[name], {**found[name][0], **change}]}
            export.write_text(json.dumps(more))
            with pytest.raises(BadInput, match="twice; export it again"):
                take(inbox, export)
    assert len(inbox.replies()) == 10


def test_counts_without_end_are_refused_at_once():
    for text in ("o" * 10**6, "~" * 10, "0" * 3, "é", " "):
        with pytest.raises(ValueError, match=r"counts|do not make"):
            rle.from_coco(text, 3, 3)
    for counts in ([2**70], [-1, 10], [True] * 9, [4.5, 4.5], ["9"], [[9]], [], None, 9):
        with pytest.raises((ValueError, TypeError)):
            rle.from_coco(counts, 3, 3)
    for brush in ([], [1], [0.5] * 9, ["a"], [256] * 9, [255] * 9, "abc", None, [[1], [2, 3]]):
        with pytest.raises(ValueError, match=r"brush|inhomogeneous"):
            rle.from_brush(brush, 3, 3)


def test_a_palette_in_another_order_is_read_by_its_colours(inbox, tmp_path):
    entry = give(inbox, "png", tmp_path / "out")[0]
    label = of_view(entry, truth(entry))
    export = paint_png(tmp_path / "out", {entry.id: label}, seconds="3,5")
    mask = export / "masks" / f"{file_of(entry)}.png"
    with Image.open(mask) as file:
        colours = file.convert("RGB")
    again = colours.quantize(colors=8)  # most frequent first, or however it likes
    assert again.mode == "P"
    again.save(mask)
    take(inbox, export, by="ada")
    np.testing.assert_array_equal(inbox.by_question()[entry.id]["ada"].label, truth(entry))
    assert inbox.by_question()[entry.id]["ada"].seconds == 3.5
    plain = Image.fromarray(label)
    plain.putpalette([v for k in range(256) for v in (k, k, k)])
    plain.save(mask)
    assert take(inbox, export, by="ada").outcomes["known"] == [entry.id], "one of other colours is read as it is"
    plain.putpalette([0, 0, 0, *colour(1), 1, 2, 3, *[7] * 756])
    plain.putdata((np.arange(label.size) % 3).tolist())
    plain.save(mask)
    with pytest.raises(BadInput, match=r"has 1 colours of no class, such as \(1, 2, 3\)"):
        take(inbox, export, by="eva")


def test_an_export_of_another_run_is_not_taken_for_this_one(inbox, tmp_path):
    entry, *_ = give(inbox, "label-studio", tmp_path / "out")
    export = paint_label_studio(tmp_path / "out", {entry.id: of_view(entry, truth(entry))}, seconds=3e6)
    tasks = json.loads(export.read_text())
    mine = next(task for task in tasks if task["data"]["id"] == entry.id)
    mine["data"]["of"] = mine["data"]["of"][::-1]
    export.write_text(json.dumps(tasks))
    with pytest.raises(BadInput, match=f"{entry.id} is a question of another run, or of a copy of this one"):
        take(inbox, export)
    del mine["data"]["of"]
    export.write_text(json.dumps(tasks))
    take(inbox, export, by="ada")
    assert inbox.by_question()[entry.id]["ada"].seconds is None, "a page that was open for a month measures nothing"


@pytest.mark.parametrize("name", ["label-studio", "coco", "cvat"])
def test_a_file_that_is_too_large_is_not_read(inbox, tmp_path, monkeypatch, name):
    entries = give(inbox, name, tmp_path / "out")
    export = PAINT[name](tmp_path / "out", {e.id: of_view(e, truth(e)) for e in entries})
    monkeypatch.setattr("bal.annotation.formats._files.LARGEST", 100)
    with pytest.raises(BadInput, match="MiB; export fewer questions at a time"):
        take(inbox, export)
    monkeypatch.undo()
    export.write_text("[" * 100_000 if name != "cvat" else "<a>" * 100_000)
    with pytest.raises(BadInput, match=r"nested too deeply|is damaged"):
        take(inbox, export)


# The doors


def test_the_commands(inbox, tmp_path, capsys):
    run_ = str(inbox.folder)
    assert query.main([run_, "--to", "coco", "--share", "1/2"]) == 0
    assert f"→ {run_}-coco-1-of-2" in capsys.readouterr().out
    entries = inbox.open()
    mine = give(inbox, "coco", tmp_path / "out")
    export = paint_coco(tmp_path / "out", {e.id: of_view(e, truth(e)) for e in mine[:3]})
    assert answer.main([run_, str(export), "--by", "ada"]) == 0
    told = capsys.readouterr().out
    assert "    3 taken: new" in told
    assert f"{len(entries) - 3} of {len(entries)} questions are still open: python -m bal.desk {run_}" in told
    assert all(len(line) <= 80 or run_ in line for line in told.splitlines())
    assert answer.main([run_, str(paint_coco(tmp_path / "out", {e.id: of_view(e, truth(e)) for e in mine}))]) == 0
    assert (
        f"all {len(entries)} questions are answered; go on with: python -m bal.run --resume" in capsys.readouterr().out
    )
    assert answer.main([run_, "--fit-effort"]) == 2
    assert "0 answers have seconds" in capsys.readouterr().err


def test_unknown_ids_are_shown_as_text(inbox, tmp_path, capsys):
    entry, *_ = give(inbox, "label-studio", tmp_path / "out")
    export = paint_label_studio(tmp_path / "out", {entry.id: None})
    (task,) = (t for t in json.loads(export.read_text()) if t.get("annotations"))
    task["data"]["id"] = "\x1b[2J\n" + "x" * 1000
    export.write_text(json.dumps([task]))
    assert answer.main([str(inbox.folder), str(export)]) == 0
    line, *_ = capsys.readouterr().out.splitlines()
    assert line.startswith("    1 unknown: were never asked here ('\\x1b[2J\\nxxx")
    assert len(line) <= 80


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["nowhere"], "nowhere holds no questions to people; python -m bal.run --annotator people --out nowhere"),
        (["RUN", "--share", "3/2"], "--share 3/2: the first number runs from 1 to the second"),
        (["RUN", "--share", "half"], "--share half: expected I/N, such as 1/3"),
        (["RUN", "--out", "RUN"], "exists and is not empty; choose another --out"),
    ],
)
def test_what_is_refused_going_out(inbox, capsys, argv, line):
    assert query.main([str(inbox.folder) if a == "RUN" else a for a in argv]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["nowhere", "x"], "nowhere holds no questions"),
        (["RUN", "nothing.json"], "nothing.json does not exist"),
        (["RUN", "VIEWS"], "looks like none of png, label-studio, coco, cvat; say which it is with --format"),
        (["RUN", "nothing.zip", "--by", " "], "' ' is no name of a person"),
    ],
)
def test_what_is_refused_coming_in(inbox, capsys, argv, line):
    places = {"RUN": str(inbox.folder), "VIEWS": str(inbox.folder / "views")}
    assert answer.main([places.get(a, a) for a in argv]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1


def test_agreement_is_iou_between_people(inbox):
    one, two, *_ = inbox.newest()
    for entry, by, label in ((one, "ada", 1), (one, "eva", 1), (two, "ada", 2), (two, "eva", 0), (two, "ida", 2)):
        inbox.answer(reply(entry, by, np.full(entry.box[2:], label, np.uint8)))
    found, pixels = agreement(inbox), 256
    assert found.regions == 2
    assert found.iou["curve_1"] == 1.0
    assert found.iou["curve_2"] == pytest.approx(pixels / (3 * pixels)), "one of three pairs agrees"
    assert (
        "people agree on 2 regions that two have labelled, IoU: background 0.00, curve_1 1.00"
        in answer.standing(inbox)[0]
    )


def test_pictures_that_are_missing_or_damaged_stop_a_package(inbox, tmp_path):
    path = inbox.folder / "views" / f"{inbox.newest()[0].id}.png"
    path.write_bytes(b"no picture")
    with pytest.raises(BadInput, match="is damaged; delete it, and --resume makes it again"):
        give(inbox, "png", tmp_path / "out")
    path.unlink()
    with pytest.raises(BadInput, match="is missing; make it again"):
        give(inbox, "png", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert list(tmp_path.iterdir()) == [inbox.folder], "nothing is left half-written"
    assert views.has_prefill(inbox.folder, replace(inbox.newest()[0], id="r09-0000")) is False
