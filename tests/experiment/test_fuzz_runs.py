"""The files of a run, spoilt while nobody runs it: found out, or of no consequence.

2,300 cases where all are run.
"""

from __future__ import annotations

import json
import os
import shutil

import jax
import numpy as np
import pytest
from fuzz import CHANGES, every, fuzzed, outcome, spoilt
from harm import files
from hypothesis import strategies as st

from bal.experiment.checkpoint import FILES, Checkpoints
from bal.experiment.folder import LAST, RunFolder
from bal.experiment.lock import NAME, Lock
from bal.experiment.recorder import _stands


@pytest.fixture
def folder(whole, tmp_path):
    """A copy of a run, and what its newest checkpoint says of its journals."""
    folder = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    checkpoints = Checkpoints(folder.checkpoints, reading=True)
    saved = checkpoints.load(checkpoints.all()[-1])
    checkpoints.close()
    return folder, _stands(saved)


@fuzzed(40, 1500)
def test_journals_that_are_spoilt(folder, examples):
    """One that was changed is refused, and nothing is touched; and whoever reads it all the same says so in a line."""
    folder, stands = folder
    places = {path: path.read_bytes() for path in (folder.curve.path, folder.ledger.path, folder.checkpoints / LAST)}

    def read():
        folder.rows(), folder.queries()
        for line in folder.rows(stands["curve.csv"].size):
            assert all(isinstance(value, int | float) for value in line.values())

    @every(examples, st.sampled_from(list(places)), CHANGES)
    def _(path, changes):
        data = spoilt(places[path], changes, places[folder.curve.path])
        path.write_bytes(data)
        said = outcome(lambda: folder.check(stands))
        assert (said is None) == (path.name == LAST or data == places[path])
        outcome(read)
        assert path.read_bytes() == data
        path.write_bytes(places[path])


@fuzzed(20, 300)
def test_last_entries_that_are_spoilt(folder, examples):
    """What a kill has left is told from what others did, whatever is left of the file that says so."""
    folder, stands = folder
    last, curve = folder.checkpoints / LAST, folder.curve.path
    whole = json.dumps(
        {"before": [stands["curve.csv"].size, stands["queries.jsonl"].size], "texts": ["1,2\n", ""]}
    ).encode()
    before = curve.read_bytes()

    @every(examples, CHANGES, st.sampled_from([b"", b"1", b"1,2\n", b"1,3", b"1,2\n\n"]))
    def _(changes, added):
        last.write_bytes(spoilt(whole, changes))
        curve.write_bytes(before + added)
        said = outcome(lambda: folder.check(stands))
        assert said is None or added
        curve.write_bytes(before)


@pytest.mark.parametrize("described", [True, False])
@fuzzed(5, 100)
def test_checkpoints_that_are_spoilt(whole, tmp_path, described, examples, capfd):
    """Also one that a kill has left undescribed: what is loaded is what was saved."""
    run = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    checkpoints = Checkpoints(run.checkpoints, reading=True)
    step = checkpoints.all()[-1]
    place, saved = run.checkpoints / str(step), checkpoints.load(step)
    if not described:
        (place / FILES).unlink()
    wholes = {place / name: data for name, data in files(place).items()}

    @every(examples, st.sampled_from(list(wholes)), CHANGES)
    def _(path, changes):
        path.write_bytes(data := spoilt(wholes[path], changes))
        found = []
        said = outcome(lambda: found.append(checkpoints.load(step)))
        if said is None:
            jax.tree.map(np.testing.assert_array_equal, found[0], saved)
        assert path.read_bytes() == data, "nothing is touched"
        path.write_bytes(wholes[path])

    checkpoints.close()
    assert capfd.readouterr().err == ""


@fuzzed(20, 300)
def test_locks_that_are_spoilt(tmp_path, examples):
    owner, other = Lock(tmp_path), Lock(tmp_path)
    owner.acquire()
    whole = (tmp_path / NAME).read_bytes()

    @every(examples, CHANGES)
    def _(changes):
        (tmp_path / NAME).write_bytes(spoilt(whole, changes))
        assert "is being run by" in (outcome(other.acquire) or "")

    owner.release()
    assert os.listdir(tmp_path) == []
