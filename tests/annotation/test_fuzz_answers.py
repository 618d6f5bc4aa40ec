"""What people were asked and answered, and exports of other programs, spoilt: read, or refused in a line.

1,900 cases where all are run.
"""

from __future__ import annotations

import shutil

import pytest
from fuzz import CHANGES, every, fuzzed, outcome, spoilt
from hypothesis import strategies as st
from spoiling import exported, tidy

from bal.annotation.formats import FORMATS
from bal.annotation.inbox import Inbox, open_inbox
from bal.annotation.take import take
from bal.experiment.folder import PEOPLE


@fuzzed(20, 700)
def test_questions_and_answers_that_are_spoilt(inbox, examples):
    files = {name: (inbox.folder / name).read_bytes() for name in PEOPLE}

    def read():
        found = open_inbox(inbox.folder)
        found.entries(), found.replies(), found.open("ada"), found.late()
        for purchase in (1, 2):
            found.collect(purchase), found.closed(purchase)

    @every(examples, st.sampled_from(PEOPLE), CHANGES)
    def _(name, changes):
        (inbox.folder / name).write_bytes(spoilt(files[name], changes, files[PEOPLE[0]]))
        outcome(read)
        (inbox.folder / name).write_bytes(files[name])


@pytest.mark.parametrize("name", FORMATS)
@fuzzed(10, 300)
def test_exports_that_are_spoilt(inbox, tmp_path, name, examples):
    """As files, and packed: nothing is taken of one that is refused."""
    export, _ = exported(inbox, tmp_path, name)
    archive = shutil.make_archive(str(tmp_path / "packed"), "zip", export if export.is_dir() else export.parent)
    shutil.copy(archive, tmp_path / "whole.zip")
    places = [path for path in ([export] if export.is_file() else sorted(export.rglob("*"))) if path.is_file()]
    places.append(tmp_path / "packed.zip")
    wholes = {path: path.read_bytes() for path in places}
    before = (inbox.folder / PEOPLE[1]).read_bytes()

    @every(examples, st.sampled_from(places), CHANGES)
    def _(path, changes):
        path.write_bytes(spoilt(wholes[path], changes))
        fresh = Inbox(inbox.folder)
        said = outcome(lambda: take(fresh, path if path.suffix == ".zip" else export, by="ada"))
        if said is not None:
            assert tidy(said.replace(str(tmp_path), "")), said
            assert (inbox.folder / PEOPLE[1]).read_bytes() == before
        (inbox.folder / PEOPLE[1]).write_bytes(before)
        path.write_bytes(wholes[path])
