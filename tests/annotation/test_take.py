"""What another program brings is kept by one rule: all of it or nothing, and nobody's later word is overwritten."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from asking import reply

from bal.annotation.formats.base import Imported
from bal.annotation.inbox import Inbox
from bal.annotation.take import keep
from bal.system.lines import Lines
from bal.types import BadInput


def brought(entries, fill: int = 0) -> list[Imported]:
    """An answer to each question."""
    return [Imported(entry.id, np.full(entry.view[2:], fill, np.int32), "ada", None) for entry in entries]


@contextmanager
def room(path: Path, size: int) -> Iterator[None]:
    """No file may become larger than this one and so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_answers_that_find_no_room_are_all_left_out(inbox):
    before, found = inbox.answers.path.read_bytes(), brought(inbox.newest())
    with room(inbox.answers.path, 300), pytest.raises(OSError, match=r"answers\.jsonl"):  # for one line and a half
        keep(inbox, found, "png", "an export", "png:export")
    assert inbox.answers.path.read_bytes() == before
    outcomes = keep(inbox, found, "png", "an export", "png:export").outcomes
    assert len(outcomes["taken"]) == len(found)
    assert set(inbox.collect(1)) == {answer.id for answer in found}


def test_a_drawing_that_is_damaged_leaves_all_out(inbox):
    before, entries = inbox.answers.path.read_bytes(), sorted(inbox.newest(), key=lambda entry: not entry.blind)
    (inbox.folder / "prefill" / f"{entries[-1].id}.npz").write_bytes(b"damaged")
    with pytest.raises(BadInput, match="is damaged; delete it"):
        keep(inbox, brought(entries), "png", "an export", "png:export")
    assert inbox.answers.path.read_bytes() == before


def test_what_is_said_at_the_desk_meanwhile_is_not_revised(inbox, monkeypatch):
    entry, alone = inbox.newest()[0], Lines.alone
    server = {"unnamed": "ada", "where": "a server", "source": "server"}
    server["replace"] = lambda before: before.source == "server"
    assert keep(inbox, brought([entry], 0), **server).outcomes["taken"]
    assert keep(inbox, brought([entry], 1), **server).outcomes["taken"], "its own"

    def raced(self):
        monkeypatch.undo()
        Inbox(inbox.folder).answer(reply(entry, source="desk", label=None), replace=True)
        return alone(self)

    monkeypatch.setattr(Lines, "alone", raced)
    assert keep(inbox, brought([entry], 0), **server).outcomes["conflicting"] == [entry.id]
    assert inbox.by_question()[entry.id]["ada"].source == "desk"


def test_an_export_may_take_the_place_of_what_was_said_while_it_is_open(inbox):
    """Masks were painted wrongly, and could not be brought again."""
    open_ = inbox.newest()[0]
    closed = next(entry for entry in inbox.entries().values() if entry.purchase == 0)
    for entry in (open_, closed):
        inbox.answer(reply(entry, "ada"))
    inbox.close(0)
    anew = {"unnamed": "ada", "where": "a file", "source": "png:a"}
    found = brought([open_, closed], 1)
    assert keep(inbox, found, **anew).outcomes["conflicting"] == [open_.id, closed.id]
    outcomes = keep(
        inbox, found, **anew, replace=lambda before: inbox.closed(inbox.entries()[before.id].purchase) is None
    )
    assert outcomes.outcomes["taken"] == [open_.id]
    assert outcomes.outcomes["conflicting"] == [closed.id]


def test_the_same_answer_without_a_name_is_no_second_person(inbox):
    """Two people agreed perfectly: the same file, taken once with a name and once without."""
    entry = inbox.newest()[0]
    anonymous = [answer._replace(by=None) for answer in brought([entry], 0)]
    where = {"where": "a file", "source": "png:a"}
    assert keep(inbox, anonymous, "ada", **where).outcomes["taken"] == [entry.id]
    assert keep(inbox, anonymous, "png", **where).outcomes["known"] == [entry.id]
    assert set(inbox.by_question()[entry.id]) == {"ada"}


def test_each_answer_has_its_outcome(inbox):
    one, two, three, four, *_ = inbox.newest()
    inbox.answer(reply(one))
    inbox.answer(reply(two))
    early = next(entry for entry in inbox.entries().values() if entry.purchase == 0)
    replies = [reply(one), reply(two, label=None), reply(three), reply(three), reply(four), reply(early, "eva")]
    assert inbox.answer_all(replies) == ["known", "conflicting", "taken", "known", "taken", "late"]
    assert inbox.answer_all([]) == []
    with pytest.raises(BadInput, match="nobody asked"):
        inbox.answer_all([reply(four, "eva"), reply(four)._replace(id="r77-0000")])
    assert "eva" not in inbox.by_question()[four.id]
