"""One run, one process: the others are refused, and a dead one holds nobody up."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import ROOT, assert_same_run, run, tiny

from bal import BadInput, run_loop
from bal.experiment.lock import NAME, Lock

HOLDER = """
import sys, time
from pathlib import Path
from bal.experiment.lock import Lock
lock = Lock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(100)
"""
FORKING = """
import os, sys, time
from pathlib import Path
from bal.experiment.lock import Lock
lock = Lock(Path(sys.argv[1]))
lock.acquire()
child = os.fork()
if not child:
    lock.release()  # of no consequence: it is not the child's
    time.sleep(100)
print(child, flush=True)
time.sleep(100)
"""
COUNTER = """
import sys
from pathlib import Path
from bal import BadInput
from bal.experiment.lock import Lock
folder, done = Path(sys.argv[1]), 0
while done < 100:
    lock = Lock(folder)
    try:
        lock.acquire()
    except BadInput:
        continue
    number = int((folder / "number").read_text())
    (folder / "number").write_text(str(number + 1))
    lock.release()
    done += 1
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds the lock of `tmp_path`."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def test_a_second_process_is_refused_and_touches_nothing(holder, tmp_path):
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    for how in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(BadInput) as error:
            run_loop(tiny(), tmp_path, **how)
        line = rf"{tmp_path} is being run by process {holder.pid} on \S+ since 20\S+: wait for it, or end it"
        assert re.fullmatch(line, str(error.value))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_the_lock_of_a_dead_process_is_taken_over(holder, tmp_path, whole, monkeypatch):
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / NAME).exists()
    run(tiny(), tmp_path)
    assert_same_run(tmp_path, whole)


def test_what_a_process_has_forked_holds_nothing(tmp_path):
    """Neither in the place of a dead owner, nor does it give back what a living one holds."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKING, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    try:
        time.sleep(0.1)
        with pytest.raises(BadInput, match=f"is being run by process {process.pid} "):
            Lock(tmp_path).acquire()
        process.kill()
        process.wait()
        Lock(tmp_path).acquire()
        os.kill(child, 0)  # it is still there
    finally:
        process.kill()
        os.kill(child, signal.SIGKILL)
        process.communicate()


def test_within_a_process_too(tmp_path, monkeypatch):
    first = run_loop(tiny(), tmp_path / "run")
    next(first)
    assert json.loads((tmp_path / "run" / NAME).read_text())["pid"] == os.getpid()
    with pytest.raises(BadInput, match=f"is being run by process {os.getpid()}"):
        run_loop(tiny(), tmp_path / "run", resume=True)
    first.close()
    assert not (tmp_path / "run" / NAME).exists()
    assert len(run(tiny(), tmp_path / "run", resume=True)) == 2


def test_what_is_refused_keeps_no_lock(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(BadInput, match="holds no run"):
        run_loop(tiny(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff\0"])
def test_whoever_holds_it_may_be_unknown(content, tmp_path):
    lock = Lock(tmp_path)
    lock.acquire()
    lock.path.write_bytes(content)
    with pytest.raises(BadInput, match="is being run by another process: wait"):
        Lock(tmp_path).acquire()
    lock.release()
    Lock(tmp_path).acquire()


def test_a_file_system_without_locks(tmp_path, monkeypatch):
    def none(*args: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(BadInput, match="the file system gives no locks"):
        Lock(tmp_path).acquire()
    assert not list(tmp_path.iterdir())


def test_many_that_want_it(tmp_path):
    (tmp_path / "number").write_text("0")
    command = [sys.executable, "-c", COUNTER, str(tmp_path)]
    each = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=200) for process in each] == [0, 0, 0]
    assert (tmp_path / "number").read_text() == "300"
    assert not Path(tmp_path / NAME).exists()


@pytest.mark.parametrize("there", ["another", "nothing"])
def test_what_takes_the_place_of_a_folder_is_left_alone(there, whole, tmp_path):
    out, mine = tmp_path / "run", tmp_path / "mine"
    going = run_loop(tiny(), out)
    next(going)
    out.rename(mine)
    if there == "another":
        shutil.copytree(mine, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match="run was moved, replaced or deleted while it was being run"):
        list(going)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before
    assert out.exists() == (there == "another")
    run(tiny(), mine, resume=True)
    assert_same_run(mine, whole)
