"""Answers of another run are brought along."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from asking import answer_all, go_on, reply

from bal.annotation.earlier import answers_of, run_in
from bal.annotation.inbox import Inbox
from bal.annotation.take import take
from bal.answer import main, told
from bal.types import IGNORE, BadInput


def test_a_run_that_lost_its_checkpoints_is_bought_again_from_its_answers(tmp_path):
    lost, out = tmp_path / "lost", tmp_path / "run"
    while go_on(lost):
        answer_all(lost)
    before = {path: path.read_bytes() for path in lost.rglob("*.jsonl")}
    shutil.rmtree(lost / "checkpoints")
    with pytest.raises(BadInput, match=f"lost its checkpoints, .* python -m bal.answer OUT {lost} brings what people"):
        go_on(lost)
    while go_on(out):
        taken = take(Inbox(out), lost)
        assert taken.outcomes["taken"]
        assert len(Inbox(out).open()) == 0
    assert (out / "queries.jsonl").read_bytes() == (lost / "queries.jsonl").read_bytes()
    assert {path: path.read_bytes() for path in lost.rglob("*.jsonl")} == before
    assert all(r.source == "run:lost" and r.by == "ada" for _, r in Inbox(out).replies())


def test_what_is_asked_elsewhere_is_counted(inbox, tmp_path, capsys):
    """The first questions of a run: of those of another that is further, no more than these."""
    further = Inbox(shutil.copytree(inbox.folder, tmp_path / "further"))
    answer_all(further.folder, by="bo")
    start = {id: entry for id, entry in inbox.entries().items() if entry.purchase == 0}
    found, elsewhere = answers_of(further.folder, start)
    assert {answer.by for answer in found} == {"ada"}
    assert len(found) == len(start)
    assert elsewhere == len(inbox.newest())
    assert main([str(inbox.folder), str(further.folder)]) == 0
    said = capsys.readouterr().out
    assert f"{len(inbox.newest()):>5} taken: new" in said
    assert f"{len(start):>5} known" in said
    assert "elsewhere:" not in said


def test_where_nobody_may_see_a_model_no_answer_began_from_one(inbox, tmp_path):
    earlier = Inbox(shutil.copytree(inbox.folder, tmp_path / "earlier"))
    answer_all(earlier.folder, by="bo")
    shown = {reply.id for _, reply in earlier.replies() if reply.touched is not None}
    assert shown
    blind = {entry.id for entry in inbox.newest() if entry.blind}
    assert not shown & blind
    as_audits = {id: entry.__class__(**{**vars(entry), "policy": "audit"}) for id, entry in inbox.entries().items()}
    found, elsewhere = answers_of(earlier.folder, as_audits)
    assert not shown & {answer.id for answer in found}
    assert elsewhere == len(shown)


def test_another_picture_or_box_is_another_region(inbox, tmp_path):
    earlier = Inbox(shutil.copytree(inbox.folder, tmp_path / "earlier"))
    entries = inbox.entries()
    first = next(iter(entries.values()))
    for change in ({"pixels": "0" * 16}, {"box": (*first.box[:2], 1, 1)}):
        found, _ = answers_of(earlier.folder, {first.id: first.__class__(**{**vars(first), **change})})
        assert not found
    (found,), _ = answers_of(earlier.folder, {"r09-0000": first.__class__(**{**vars(first), "id": "r09-0000"})})
    assert found.id == "r09-0000"
    top, left, height, width = first.inside
    mine = earlier.by_question()[first.id]["ada"].label
    assert np.array_equal(found.label[top : top + height, left : left + width], mine)


def test_of_two_questions_about_a_region_the_later_answer_counts(inbox, tmp_path):
    earlier = Inbox(shutil.copytree(inbox.folder, tmp_path / "earlier"))
    first = next(entry for entry in earlier.entries().values() if entry.purchase == 0)
    again = dataclasses.replace(first, id="r09-0000")
    earlier.ask([again])
    top, left, height, width = first.inside
    for entry, value in ((again, 0), (first, 1), (again, 2), (first, IGNORE)):
        said = np.full(entry.box[2:], value, np.uint8)
        assert earlier.answer(reply(entry, label=said), replace=True) in ("taken", "late")
        (found,), _ = answers_of(earlier.folder, {first.id: first})
        np.testing.assert_array_equal(found.label[top : top + height, left : left + width], said)


def test_skips_come_along_and_damage_is_refused(inbox, tmp_path, capsys):
    earlier = Inbox(shutil.copytree(inbox.folder, tmp_path / "earlier"))
    first, *_ = earlier.open()
    earlier.answer(reply(first, "bo", label=None))
    assert run_in(earlier.folder) == earlier.folder
    assert run_in(tmp_path) is None
    assert take(inbox, earlier.folder).outcomes["taken"] == [first.id]
    assert inbox.by_question()[first.id]["bo"].label is None
    with open(earlier.answers.path, "a") as file:
        file.write("{}\n")
    size = inbox.answers.size
    assert main([str(inbox.folder), str(earlier.folder)]) == 2
    assert re.search(r"answers\.jsonl: line \d+ is damaged", capsys.readouterr().err)
    assert inbox.answers.size == size


def test_an_archive_of_it_and_of_its_folder(inbox, tmp_path):
    earlier = Inbox(shutil.copytree(inbox.folder, tmp_path / "alone" / "earlier"))
    answer_all(earlier.folder, by="bo")
    inside = shutil.make_archive(str(tmp_path / "inside"), "zip", earlier.folder)
    around = shutil.make_archive(str(tmp_path / "around"), "zip", tmp_path / "alone")
    assert take(inbox, Path(inside)).outcomes["taken"]
    again = take(inbox, Path(around))
    assert len(again.outcomes["known"]) == len(inbox.entries())


def test_other_classes_mean_something_else(inbox, tmp_path):
    earlier = Inbox(shutil.copytree(inbox.folder, tmp_path / "earlier"))
    text = earlier.questions.path.read_text()
    earlier.questions.path.write_text(text.replace('"curve_1", "curve_2"]', '"curve_1", "crack"]'))
    with pytest.raises(BadInput, match="has the classes background, curve_1, crack, and this run background, "):
        take(inbox, earlier.folder)


def test_a_run_in_which_nobody_answered(tmp_path):
    go_on(tmp_path / "one")
    go_on(tmp_path / "two")
    assert told(take(Inbox(tmp_path / "one"), tmp_path / "two")) == ["the export holds no answer"]
