"""Images and masks that change under a run: named, refused, or accepted on record; never used unnoticed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import assert_same_run, drawn, pictures, run, tiny

from bal import BadInput, Waiting, loop, run_loop
from bal.annotation.annotators import People
from bal.annotation.entries import Reply
from bal.annotation.inbox import Inbox
from bal.config.resolve import parse
from bal.experiment.folder import RunFolder
from bal.experiment.inputs import accepted
from bal.experiment.setup import set_up
from bal.sources import Folder, WellLog
from bal.sources.base import check_masks, truth


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A folder of pictures, a run of them that was left after its first round, and one that was not."""
    root = tmp_path_factory.mktemp("inputs")
    pictures(root / "data")
    (root / "data" / "split.csv").write_text("file,split\n" + "".join(f"p{n}.png,pool\n" for n in range(4)))
    with open(root / "data" / "split.csv", "a") as file:
        file.write("p4.png,test\np5.png,test\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run(config(), Path("whole"))
        rounds = run_loop(config(), Path("run"))
        next(rounds)
        rounds.close()
    return root


@pytest.fixture
def folder(begun, tmp_path, monkeypatch):
    """A copy of all that, in which the test stands."""
    shutil.copytree(begun, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def config(**changes):
    return tiny(source=Folder(path=Path("data")), **changes)


def repaint(path: Path, value: int = 1) -> None:
    """Another value in a corner of a picture."""
    pixels = np.array(Image.open(path))
    pixels[:8, -8:] = value
    Image.fromarray(pixels).save(path)


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def content(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


SPOILT = {
    "a mask": lambda data: repaint(data / "masks" / "p1.png"),
    "an image": lambda data: repaint(data / "images" / "p1.png", 200),
    "a test mask": lambda data: repaint(data / "masks" / "p4.png"),
    "a table": lambda data: (data / "split.csv").write_text((data / "split.csv").read_text() + "\n"),
    "a new table": lambda data: (data / "groups.csv").write_text(
        "file,group\n" + "".join(f"p{n}.png,{n}\n" for n in range(6))
    ),
    "a byte after the end": lambda data: lengthen(data / "images" / "p2.png"),
}
NAMED = {
    "a mask": "masks/p1.png",
    "an image": "images/p1.png",
    "a test mask": "masks/p4.png",
    "a table": "split.csv",
    "a new table": "groups.csv",
    "a byte after the end": "images/p2.png",
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_has_changed_is_refused_by_name(what, folder):
    SPOILT[what](folder / "data")
    before = content(folder / "run")
    with pytest.raises(BadInput, match=f"{NAMED[what]} has changed since run was begun.*--accept-changes") as error:
        run(config(annotator=config().annotator), Path("run"), resume=True)
    assert "\n" not in str(error.value)
    assert content(folder / "run") == before


def test_a_mask_that_has_gone_is_refused_by_name(folder):
    (folder / "data" / "masks" / "p1.png").unlink()
    with pytest.raises(BadInput, match="p1"):
        run(config(), Path("run"), resume=True)


def test_a_time_alone_changes_nothing(folder):
    for path in (folder / "data").rglob("*.png"):
        os.utime(path, (10**9, 10**9))
    run(config(), Path("run"), resume=True)
    assert (folder / "run" / "queries.jsonl").read_bytes() == (folder / "whole" / "queries.jsonl").read_bytes()


def test_a_change_that_keeps_size_and_time_is_found(folder):
    path = folder / "data" / "split.csv"
    state = path.stat()
    path.write_text(path.read_text().replace("p0.png,pool", "p0.png,poll"))
    path.write_text(path.read_text().replace("p0.png,poll", "p0.PNG,pool"))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert path.stat().st_size == state.st_size
    with pytest.raises(BadInput, match=r"split\.csv"):
        run(config(), Path("run"), resume=True)


def test_put_back_it_goes_on_as_if_nothing_had_been(folder):
    mask = folder / "data" / "masks" / "p1.png"
    kept = mask.read_bytes()
    repaint(mask)
    with pytest.raises(BadInput, match="put it back"):
        run(config(), Path("run"), resume=True)
    mask.write_bytes(kept)
    run(config(), Path("run"), resume=True)
    assert (folder / "run" / "data.jsonl").read_bytes() == (folder / "whole" / "data.jsonl").read_bytes()
    (folder / "run" / "data.jsonl").unlink()
    (folder / "whole" / "data.jsonl").unlink()
    assert_same_run(folder / "run", folder / "whole")


def test_changes_that_are_accepted_are_on_record(folder):
    repaint(folder / "data" / "masks" / "p1.png")
    repaint(folder / "data" / "images" / "p2.png", 200)
    before, told = (folder / "run" / "data.jsonl").read_text().splitlines(), []
    records = run(config(), Path("run"), resume=True, accept_changes=True, watch=told.append)
    assert records[-1].row["round"] == config().rounds
    lines = (folder / "run" / "data.jsonl").read_text().splitlines()
    assert lines[: len(before)] == before
    new = [json.loads(line) for line in lines[len(before) :]]
    assert [line["file"] for line in new] == ["data/images/p2.png", "data/masks/p1.png"]
    assert all(line["round"] == 1 and len(line["sha256"]) == 64 for line in new)
    assert [event.note for event in told if "2 files have changed" in event.note], "somebody is told"
    again = []
    assert run(config(), Path("run"), resume=True, watch=again.append) == []
    assert not [event.note for event in again if "changed" in event.note], "once"


def test_a_change_that_was_accepted_and_put_back(folder):
    """It was told to put it back, which is what had been done."""
    mask = folder / "data" / "masks" / "p1.png"
    kept = mask.read_bytes()
    repaint(mask)
    rounds = run_loop(config(), Path("run"), resume=True, accept_changes=True)
    next(rounds)
    rounds.close()
    changed = mask.read_bytes()
    mask.write_bytes(kept)
    said = "data/masks/p1.png is as it was before the change that was accepted in round 1"
    there = "put it back as accepted, or give --accept-changes to go on with what is there now"
    before = content(folder / "run")
    with pytest.raises(BadInput) as error:
        run(config(), Path("run"), resume=True)
    assert str(error.value) == f"{said}: {there}"
    repaint(folder / "data" / "images" / "p2.png", 200)
    with pytest.raises(
        BadInput, match=r"images/p2\.png has changed, and data/masks/p1\.png is as it was before .* them "
    ):
        run(config(), Path("run"), resume=True)
    assert content(folder / "run") == before
    mask.write_bytes(changed)
    lengthen(mask)
    with pytest.raises(BadInput, match=r"2 files have changed .*: put them back as accepted, or"):
        run(config(), Path("run"), resume=True)
    mask.write_bytes(kept)
    told = []
    run(config(), Path("run"), resume=True, accept_changes=True, watch=told.append)
    (note,) = [event.note for event in told if "p1.png" in event.note]
    assert note.endswith(f"{said}, and are read as now; data.jsonl says so")
    found = [(round, name, held.sha256) for round, name, held in accepted(RunFolder(Path("run"))) if "p1" in name]
    assert [round for round, *_ in found] == [1, 2]
    assert found[1][2] == hashlib.sha256(kept).hexdigest()


def test_a_table_that_came_was_accepted_and_went(folder):
    table = folder / "data" / "groups.csv"
    table.write_text("file,group\n" + "".join(f"p{n}.png,{n}\n" for n in range(6)))
    rounds = run_loop(config(), Path("run"), resume=True, accept_changes=True)
    next(rounds)
    rounds.close()
    table.unlink()
    with pytest.raises(BadInput, match=r"groups\.csv is as it was before the change that was accepted in round 1: "):
        run(config(), Path("run"), resume=True)


@drawn()
def test_what_was_accepted_is_in_the_report(folder):
    repaint(folder / "data" / "masks" / "p1.png")
    run(config(), Path("run"), resume=True, accept_changes=True)
    text = (folder / "run" / "report.html").read_text()
    section = text[text.index("<h2>The data has changed") : text.index("<h2>What the labels bought")]
    assert "1 file of the data was changed" in section
    assert "from round 1 on" in section
    mark = hashlib.sha256((folder / "data" / "masks" / "p1.png").read_bytes()).hexdigest()
    for cell in ("1", "data/masks/p1.png", mark[:12]):
        assert f">{cell}</td>" in section


def test_what_is_accepted_without_a_change_is_nothing(folder):
    run(config(), Path("run"), resume=True, accept_changes=True)
    assert (folder / "run" / "data.jsonl").read_bytes() == (folder / "whole" / "data.jsonl").read_bytes()


def test_other_images_are_another_experiment(folder):
    for name in ("images", "masks"):
        shutil.copy(folder / "data" / name / "p1.png", folder / "data" / name / "p9.png")
    with open(folder / "data" / "split.csv", "a") as file:
        file.write("p9.png,pool\n")
    with pytest.raises(BadInput, match="not those that run was begun with") as new:
        run(config(), Path("run"), resume=True, accept_changes=True)
    assert re.search(r"2 files are new \(\S*p9\.png, \S*p9\.png\), \S*split\.csv has changed\);", str(new.value))


def test_an_image_that_was_renamed_is_named(folder):
    for name in ("images", "masks"):
        (folder / "data" / name / "p1.png").rename(folder / "data" / name / "p8.png")
    table = folder / "data" / "split.csv"
    table.write_text(table.read_text().replace("p1", "p8"))
    with pytest.raises(BadInput) as said:
        run(config(), Path("run"), resume=True, accept_changes=True)
    for what in (r"2 files are new \(\S*p8\.png, \S*p8\.png\)", r"2 files have gone \(\S*p1\.png, \S*p1\.png\)"):
        assert re.search(what, str(said.value))


def test_what_is_refused_changes_no_budget(folder):
    """More rounds that were refused with the data have been spent by the next plain --resume."""
    run(config(), Path("run"), resume=True)
    before, path = content(folder / "run"), folder / "data" / "images" / "p1.png"
    kept = path.read_bytes()
    repaint(path, 200)
    with pytest.raises(BadInput, match=r"p1\.png has changed"):
        run(config(rounds=3, budget=36), Path("run"), resume=True)
    assert content(folder / "run") == before
    path.write_bytes(kept)
    assert run(config(), Path("run"), resume=True) == []


def test_colours_where_there_were_none_are_another_experiment(folder):
    path = folder / "data" / "images" / "p1.png"
    Image.merge("RGB", [Image.open(path), *[Image.new("L", (40, 40), v) for v in (9, 99)]]).save(path)
    before = content(folder / "run")
    with pytest.raises(BadInput, match=r"other names, sizes, channels or classes \(\S*p1\.png has changed\)"):
        run(config(), Path("run"), resume=True, accept_changes=True)
    assert content(folder / "run") == before


def test_what_is_refused_sets_nothing_aside_and_takes_nothing_back(folder):
    """Of a run whose newest checkpoint is damaged: it goes on from the one before, once the change is accepted."""
    newest = max(path.parent for path in folder.glob("run/checkpoints/*/files.json"))
    (newest / "files.json").write_text("{")
    repaint(folder / "data" / "masks" / "p1.png")
    before, rows = content(folder / "run"), len(RunFolder(folder / "run").rows())
    with pytest.raises(BadInput, match=r"p1\.png has changed since"):
        run(config(), Path("run"), resume=True)
    assert content(folder / "run") == before
    run(config(), Path("run"), resume=True, accept_changes=True)
    assert newest.with_name(f"damaged-{newest.name}").is_dir()
    changed = [json.loads(line) for line in (folder / "run" / "data.jsonl").read_text().splitlines()][-1]
    assert changed["round"] == rows == 1, "the model that was asked before the damage has not seen it"


def test_a_change_under_a_run_that_goes_on(folder):
    rounds = run_loop(config(), Path("new"))
    next(rounds)
    repaint(folder / "data" / "masks" / "p1.png")
    with pytest.raises(BadInput, match=r"p1\.png has changed while the run was going on.*--accept-changes"):
        next(rounds)
    assert len(RunFolder(Path("new")).rows()) == 1
    with pytest.raises(BadInput, match=r"p1\.png has changed since"):
        run(config(), Path("new"), resume=True)
    assert len(run(config(), Path("new"), resume=True, accept_changes=True)) == config().rounds


def test_a_change_under_a_run_that_has_bought_nothing(folder, monkeypatch):
    """Its folder goes, so there is nothing to resume."""
    propose = loop.propose

    def slow(*args):
        found = propose(*args)
        repaint(folder / "data" / "masks" / "p1.png")
        return found

    monkeypatch.setattr(loop, "propose", slow)
    with pytest.raises(BadInput, match=r"p1\.png has changed while the run was going on: put it back, or begin again$"):
        run(config(), Path("new"))
    assert not Path("new").exists()


def test_a_change_that_is_accepted_while_people_answer(folder):
    """The model that has asked did not see it."""
    asking, out = config(annotator=People()), Path("new")
    for _ in range(2):
        with pytest.raises(Waiting):
            run(asking, out, resume=True)
        inbox = Inbox(out)
        for entry in inbox.open():
            label = np.zeros(entry.box[2:], np.uint8)
            label[0, 0] = 1
            assert inbox.answer(Reply(entry.id, "ada", "", "labelled", label)) == "taken"
    for picture in (folder / "data" / "images").glob("p[0-3].png"):
        kept, before = picture.read_bytes(), (out / "data.jsonl").read_bytes()
        repaint(picture, 200)
        with pytest.raises(BadInput, match=r"asks something else as r0.-\d+ than the run does now \(its pixels\)"):
            run(asking, out, resume=True, accept_changes=True)
        assert (out / "data.jsonl").read_bytes() == before, "nothing is accepted of what cannot be"
        picture.write_bytes(kept)
    repaint(folder / "data" / "images" / "p4.png", 200)
    rounds = run_loop(asking, out, resume=True, accept_changes=True)
    assert next(rounds).row["round"] == 0
    rounds.close()
    assert [line[:2] for line in accepted(RunFolder(out))] == [(1, "data/images/p4.png")]


def test_a_network_keeps_the_scale_of_its_input(folder):
    """Its weights were trained on it, so images that are accepted later do not change it."""
    before = set_up(config())
    for n in range(4):
        path = folder / "data" / "images" / f"p{n}.png"
        Image.fromarray(np.array(Image.open(path)) // 3).save(path)
    assert set_up(config()).scale != before.scale
    records = run(config(), Path("run"), resume=True, accept_changes=True)
    assert [record.model.net for record in records] == [before.net] * len(records)


@pytest.mark.parametrize(
    ("spoil", "message"),
    {
        "gone": (lambda text: None, "is missing: put it back"),
        "shorter": (lambda text: text[: text.index("\n") + 1], "has lost"),
        "edited": (lambda text: text.replace('"bytes": ', '"bytes": 1'), "changed since"),
        "CRLF": (lambda text: text.replace("\n", "\r\n"), "CRLF.*save it with LF"),
        "CRLF and longer": (lambda text: text.replace("\n", "\r\n") + "{}\r\n", "CRLF.*save it with LF"),
        "no line of ours": (lambda text: "[]\n" + text, "changed since"),
        "double": (lambda text: text + text, "twice"),
    }.values(),
    ids=["gone", "shorter", "edited", "CRLF", "CRLF and longer", "no line of ours", "double"],
)
def test_the_record_itself(folder, spoil, message):
    path = folder / "run" / "data.jsonl"
    text = spoil(path.read_text())
    path.unlink() if text is None else path.write_bytes(text.encode())
    before = content(folder / "run")
    with pytest.raises(BadInput, match=message):
        run(config(), Path("run"), resume=True)
    assert content(folder / "run") == before


def test_overwritten_it_begins_anew(folder):
    repaint(folder / "data" / "masks" / "p1.png")
    run(config(), Path("run"), overwrite=True)
    lines = [json.loads(line) for line in (folder / "run" / "data.jsonl").read_text().splitlines()]
    assert len({line["file"] for line in lines}) == len(lines) == 13
    assert not any("round" in line for line in lines)


def test_files_of_real_curves(tmp_path):
    path = tmp_path / "one.npz"
    n = 4000
    depth = np.arange(n)
    data = np.stack([depth, np.sin(depth / 50), np.cos(depth / 70)], 1).astype(np.float32)
    wells = {"well": np.array(["a", "b"]), "start": np.array([0, n // 2]), "stop": np.array([n // 2, n])}
    np.savez(path, data=data, columns=np.array(["DEPT", "RHOB", "NPHI"]), **wells)
    of = tiny(source=replace(tiny().source, curves=path))
    assert of.source.open().files == (path,)
    rounds = run_loop(of, tmp_path / "run")
    next(rounds)
    rounds.close()
    np.savez(path, data=data + 1, columns=np.array(["DEPT", "RHOB", "NPHI"]), **wells)
    with pytest.raises(BadInput, match=r"one\.npz has changed"):
        run(of, tmp_path / "run", resume=True)


def test_nothing_is_written_of_what_is_drawn(tmp_path):
    run(tiny(rounds=1), tmp_path / "run")
    assert not (tmp_path / "run" / "data.jsonl").exists()


def test_files_are_counted_while_they_are_read(folder):
    told = []
    rounds = run_loop(config(), watch=told.append)
    read = [(event.done, event.total) for event in told if event.stage == "read"]
    assert (6, 6) in read, "images, then masks"
    rounds.close()
    told.clear()
    rounds = run_loop(config(), Path("counted"), watch=told.append)
    next(rounds)
    assert (13, 13) in [(event.done, event.total) for event in told if event.stage == "read"], "hashed"
    rounds.close()


def test_the_flag_goes_with_resume(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="give --resume with it"):
        parse(["--accept-changes"])
    with pytest.raises(BadInput, match="typo holds no run that could go on; name it with --out"):
        parse(["--accept-changes", "--resume", "--out", "typo"])
    Path("run").mkdir()
    Path("run", "config.yaml").write_text("rounds: 2\n")
    assert parse(["--accept-changes", "--resume", "--out", "run"]).accept_changes


class Own:
    """A source of somebody's own, whose masks may be wrong."""

    classes, channels, pool, test = ("paper", "ink"), 1, ("a", "b"), ("c",)

    def __init__(self, spoilt: np.ndarray | None = None):
        self.spoilt = spoilt

    def shape(self, id):
        return 16, 16

    def image(self, id):
        return np.zeros((16, 16, 1), np.float32)

    def mask(self, id):
        return np.zeros((16, 16), np.int32) if id != "b" or self.spoilt is None else self.spoilt


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.full((16, 16), 2), r"'b': its mask holds class 2, and there are 2 \(paper, ink: 0 to 1; 255"),
        (np.full((16, 16), -1), "class -1"),
        (np.full((16, 16), 254, np.uint8), "class 254"),
        (np.zeros((16, 8), np.int32), r"'b': its mask is int32 of shape \(16, 8\).*\(16, 16\)"),
        (np.zeros((16, 16, 1), np.int32), r"\(16, 16, 1\)"),
        (np.zeros((16, 16), np.float32), "float32"),
    ],
)
def test_masks_of_ones_own_source(mask, message):
    with pytest.raises(BadInput, match=message) as error:
        check_masks(Own(mask))
    assert "\n" not in str(error.value)


def test_masks_that_can_be_used():
    check_masks(Own())
    check_masks(Own(np.full((16, 16), 255, np.uint8)))
    assert truth(Own(np.full((16, 16), 255, np.uint8)), "b").dtype == np.int32


def test_drawn_masks_are_not_drawn_to_be_checked(monkeypatch):
    source = WellLog(height=48, width=48, pool=2, test=1).open()
    monkeypatch.setattr(type(source), "mask", lambda self, id: pytest.fail("drawn"))
    check_masks(source)
