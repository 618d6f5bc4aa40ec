"""Files that are whole or absent, and journals that can be cut back."""

from __future__ import annotations

import errno
import math
import os
import re

import pytest
from runs import run, tiny

from bal import run_loop
from bal.config.dump import dump_yaml
from bal.experiment import stored
from bal.experiment.folder import RunFolder
from bal.experiment.journals import Journal
from bal.experiment.lock import Lock
from bal.system.files import write_whole
from bal.system.lines import Lines
from bal.types import BadInput

ONE, TWO = (f"acq: bald\nrounds: {n}\n" for n in (1, 2))  # enough of a configuration to look like one

LINE = {"round": 0, "image": "a", "region": 3, "policy": "start", "cost": 1.0}


def test_a_file_is_replaced_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.html"
    write_whole(path, "old")
    write_whole(path, "nëw\n")
    assert path.read_bytes() == "nëw\n".encode()

    def killed(*args):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(OSError, match="no space"):
        write_whole(path, "newer")
    assert path.read_text(encoding="utf-8") == "nëw\n"
    assert [p.name for p in tmp_path.iterdir()] == ["a.html"]


def test_a_journal_grows_and_is_cut_back(tmp_path):
    journal = Journal(tmp_path / "a.jsonl")
    assert journal.size == 0
    journal.cut(0)
    assert not journal.path.exists()
    journal.append("né\n")
    one = journal.size
    assert one == 4
    journal.append("two\n")
    journal.cut(one)
    journal.append("three\n")
    assert journal.path.read_text(encoding="utf-8") == "né\nthree\n"


def test_half_an_entry_is_taken_back(tmp_path, monkeypatch):
    journal = Journal(tmp_path / "a.jsonl")
    journal.append("one\n")

    def full(fd):
        raise OSError("no space left")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        journal.append("two\n")
    assert journal.path.read_text(encoding="utf-8") == "one\n"


def test_a_run_starts_in_a_new_or_empty_folder(tmp_path):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "a" / "b", tmp_path / "empty"):
        RunFolder(path).begin(ONE, resume=False, overwrite=False)
        assert [p.name for p in path.iterdir()] == ["config.yaml"]
        assert (path / "config.yaml").read_text(encoding="utf-8") == ONE


def test_a_folder_with_a_run_asks_what_to_do(tmp_path):
    path = tmp_path / "run"
    folder = RunFolder(path)
    folder.begin(ONE, False, False)
    folder.record({}, [LINE])
    folder.lock.release()
    with pytest.raises(BadInput, match="--resume, --overwrite or another --out"):
        RunFolder(path).begin(TWO, False, False)
    RunFolder(path).begin(TWO, True, False)
    assert folder.config.read_text(encoding="utf-8") == ONE
    assert folder.queries() == [LINE]
    RunFolder(path).begin(TWO, False, True)
    assert folder.config.read_text(encoding="utf-8") == TWO
    assert folder.queries() == []


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("resume", [False, True])
def test_what_is_not_a_run_is_never_touched(tmp_path, resume, overwrite):
    (tmp_path / "thesis.txt").write_text("ten years of work")
    for path, message in ((tmp_path, "holds no run"), (tmp_path / "thesis.txt", "is a file")):
        with pytest.raises(BadInput, match=message):
            RunFolder(path).begin(ONE, resume, overwrite)
    assert (tmp_path / "thesis.txt").read_text() == "ten years of work"


def test_a_run_killed_before_its_first_file_was_whole_starts_again(tmp_path):
    (tmp_path / ".config.yaml.a1b2c3d4").write_text("see")
    RunFolder(tmp_path).begin(ONE, False, False)
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"]


def test_rows_and_queries_come_back(tmp_path):
    folder = RunFolder(tmp_path)
    assert folder.rows() == []
    assert folder.queries() == []
    folder.record({}, [])
    assert not folder.ledger.path.exists()
    folder.record({"round": 0, "cost": 12.5, "nll": float("nan"), "gap": -1e-12}, [])
    folder.record({"round": 1, "cost": 2.0**40, "nll": 0.1, "gap": -3}, [])
    first, second = folder.rows()
    assert list(first) == ["round", "cost", "nll", "gap"]
    assert (first["round"], first["cost"], first["gap"]) == (0, 12.5, -1e-12)
    assert math.isnan(first["nll"])
    assert type(first["round"]) is int
    assert second == {"round": 1, "cost": pytest.approx(2.0**40), "nll": 0.1, "gap": -3}
    assert len(folder.curve.path.read_text(encoding="utf-8").splitlines()) == 3
    lines = [LINE | {"image": 'näme "x"', "score": None}, LINE | {"round": 1, "image": "b\n", "score": 0.1}]
    folder.record({}, lines[:1])
    folder.record({}, lines[1:])
    assert folder.queries() == lines


@pytest.mark.parametrize("name", ["config.yaml", "curve.csv", "queries.jsonl", "data.jsonl", "answers.jsonl"])
def test_what_is_no_file(name, tmp_path):
    """Opened, a FIFO would wait for ever for somebody to write to it."""
    os.mkfifo(tmp_path / name)
    for ask in (RunFolder(tmp_path).holds_run, lambda: run_loop(tiny(), tmp_path, resume=True)):
        with pytest.raises(BadInput, match=f"{name} is a FIFO"):
            ask()


@pytest.mark.parametrize("text", ['{"a": 1}', "[]", "1", "{", '{"round": 0}'])
def test_lines_of_another_shape_are_damage(text, tmp_path):
    folder = RunFolder(tmp_path)
    folder.ledger.path.write_text(text + "\n")
    with pytest.raises(BadInput, match=r"queries\.jsonl is damaged"):
        folder.queries()


def test_a_name_that_no_checkpoint_could_have(tmp_path):
    with pytest.raises(BadInput, match="not UTF-8"):
        RunFolder(tmp_path / "o\udcff").begin(ONE, False, False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.ENOLCK])
@pytest.mark.parametrize("function", ["os.open", "os.write", "fcntl.flock"])
def test_a_lock_that_cannot_be_taken_leaves_no_folder(function, number, tmp_path, monkeypatch):
    def fail(*args):
        raise OSError(number, os.strerror(number))

    (tmp_path / "old").mkdir()
    for name in ("new", "old"):
        with monkeypatch.context() as patch:
            patch.setattr(f"bal.experiment.lock.{function}", fail)
            with pytest.raises((OSError, BadInput), match=f"{os.strerror(number)}|no locks"):
                RunFolder(tmp_path / name).begin(ONE, False, False)
    assert [path.name for path in tmp_path.rglob("*")] == ["old"]
    RunFolder(tmp_path / "new").begin(ONE, False, False)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "no disk"), BadInput("rounds may not become less"), None])
def test_a_run_that_has_moved_is_let_go(error, tmp_path, monkeypatch):
    """What is wrong is said as it is, and whoever mends it finds the folder unlocked."""

    def found(*args):
        if error:
            raise error
        return "another configuration", True

    folder = RunFolder(tmp_path)
    folder.lock.acquire()
    monkeypatch.setattr(stored, "check_stored", found)
    with pytest.raises((OSError, BadInput), match=re.escape(str(error)) if error else "a moment ago: try again"):
        stored.check_unmoved(folder, tiny(), tiny())
    Lock(tmp_path).acquire()


def test_a_run_whose_settings_cannot_be_read_is_not_overwritten(tmp_path):
    """Nobody can tell whether people answer in it."""
    path = tmp_path / "run"
    RunFolder(path).begin(dump_yaml(tiny()), resume=False, overwrite=False)
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(text.replace("budget:", "budgte:"))
    with pytest.raises(BadInput, match=r"budgte.*cannot be told, so it stays; choose another --out"):
        run(tiny(), path, overwrite=True)
    with pytest.raises(BadInput, match="holds a run already"):
        run(tiny(), path)


@pytest.mark.parametrize(("mask", "mode"), [(0o077, 0o600), (0o022, 0o644), (0o002, 0o664)])
def test_who_may_read_a_run_is_as_the_umask_says(mask, mode, tmp_path):
    before = os.umask(mask)
    try:
        write_whole(tmp_path / "whole", "text")
        Lines(tmp_path / "lines.jsonl").append("{}\n")
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {mode}
