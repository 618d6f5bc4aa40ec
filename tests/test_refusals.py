"""Bad input on a command line: one line, status 2, soon, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
from runs import FLAGS, pictures

from bal import answer, desk, query
from bal.run import main
from bal.system import devices
from bal.system.outside import shown

WORDS = {
    "a FIFO of settings": ["--config", "fifo"],
    "a device of settings": ["--config", "device"],
    "a FIFO of curves": ["--source.curves", "fifo.las"],
    "a FIFO of wells": ["--source.curves", "fifo.npz"],
    "a device of curves": ["--source.curves", "device.las"],
    "a folder that is a FIFO": ["--source", "folder", "--source.path", "fifo"],
    "a FIFO for a split": ["--source", "folder", "--source.path", "data", "--source.split", "fifo"],
    "a FIFO for groups": ["--source", "folder", "--source.path", "data", "--source.groups", "device"],
    "a FIFO for a run": ["--out", "fifo"],
    "a device for a run": ["--out", "device"],
    "no class name": ["--source", "folder", "--source.path", "data", "--source.classes", "a", ""],
    "a class name of two lines": ["--source", "folder", "--source.path", "data", "--source.classes", "a", "b\nc"],
    "an odd name": ["--source", "folder", "--source.path", "\x1b[31m\u202e\nx"],
    "an odd acquisition": ["--acq", "\x1b]0;x\x07"],
    "an odd option": ["--\x1b[31m", "3"],
    "an odd word": ["\u202ex\ny"],
    "an odd log": ["--log", "\x1b[31m"],
    "a wide network": ["--net.width", "60000"],
    "a deep network": ["--net.depth", "60"],
    "many members": ["--head", "deep_ensemble", "--head.members", "1000000000"],
    "many samples": ["--head.samples", "1000000000000"],
    "many rounds": ["--rounds", "9" * 400],
    "more digits than Python reads": ["--seed", "9" * 5000],
    "not a number": ["--train.rate", "nan"],
    "too much money": ["--budget", "1e400"],
    "a word that is nearly one": ["--steer", "Auto"],
    "a network of one step": ["--train.steps", str(2**62)],
    "a large patch": ["--train.patch", str(2**62)],
    "an unknown section": ["--config", "empty.yaml"],
    "an octal number": ["--config", "octal.yaml"],
    "a merge": ["--config", "merge.yaml"],
}


def words(what: str) -> list[str]:
    """The whole command line."""
    return [*([] if "folder" in WORDS[what] or "--config" in WORDS[what] else FLAGS), *WORDS[what]]


def odd_things(here: Path) -> None:
    """What those command lines name."""
    shutil.rmtree(here / "data", ignore_errors=True)
    pictures(here / "data")
    for name in ("fifo", "fifo.las", "fifo.npz", "fifo.zip"):
        (here / name).unlink(missing_ok=True)
        os.mkfifo(here / name)
    for name in ("device", "device.las", "device.json"):
        (here / name).unlink(missing_ok=True)
        (here / name).symlink_to("/dev/zero")
    (here / "empty.yaml").write_text("modle: {}\n")
    (here / "octal.yaml").write_text("rounds: 010\n")
    (here / "merge.yaml").write_text("train: &x {steps: 3}\nloss: {<<: *x}\n")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "set_up_platform", lambda: None)
    monkeypatch.setattr(devices, "memory", lambda: 16 * 2**30)
    odd_things(tmp_path)


@pytest.mark.parametrize("what", WORDS)
def test_a_run(what, capsys):
    before, began = set(os.listdir()), time.monotonic()
    assert main(words(what)) == 2
    assert time.monotonic() - began < 30
    _one_line(capsys.readouterr())
    assert set(os.listdir()) == before


@pytest.mark.parametrize("program", [answer, query, desk])
@pytest.mark.parametrize("name", ["fifo", "device", "nowhere", "\x1b[31m\n\u202e", "data"])
def test_another_command(program, name, capsys):
    assert program.main([name]) == 2
    _one_line(capsys.readouterr())


def _one_line(said) -> None:
    assert said.err.startswith("bal: error: ")
    assert said.err.count("\n") == 1
    for text in (said.err.rstrip("\n"), *said.out.splitlines()):
        assert shown(text) == text
    assert len(said.err) < 700


def test_an_odd_folder_is_said_and_not_obeyed(capsys):
    data = pictures(Path("\x1b[31mred\n"))
    np.save(data / "images" / "\x1b[2Jx.npy", np.zeros(3))
    assert main(["--source", "folder", "--source.path", str(data), "--budget", "1e9"]) == 2
    _one_line(capsys.readouterr())
