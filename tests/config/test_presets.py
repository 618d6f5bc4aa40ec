"""The presets: every one can be read, and says how it is run; the smallest runs."""

from __future__ import annotations

import re

import pytest
from runs import FILES, ROOT, curve, left_behind

from bal.config.resolve import load, parse
from bal.run import main
from bal.system import devices

PRESETS = sorted((ROOT / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset(path):
    config = load(path)
    command = re.search(r"python -m bal\.run (.*)", path.read_text())
    assert command, "a preset says how it is run"
    words = command[1].replace("DIR", str(path.parent)).replace("FILE.npz", "file.npz").split()
    words = [str(ROOT / word) if word.startswith("configs/") else word for word in words]
    assert parse(words).config.rounds == config.rounds


def test_there_are_presets():
    assert {"smoke", "noisyoffice", "dsb2018", "force2020"} <= {path.stem for path in PRESETS}


@pytest.mark.slow
def test_smoke(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(devices, "set_up_platform", lambda: None)
    smoke = str(ROOT / "configs" / "smoke.yaml")
    assert main(["--acq", "bald", "--config", smoke, "--out", str(tmp_path / "run")]) == 0
    assert left_behind(tmp_path / "run") == FILES
    assert [row["regions"] for row in curve(tmp_path / "run")] == ["20", "40", "60"]
    assert capsys.readouterr().err == ""
