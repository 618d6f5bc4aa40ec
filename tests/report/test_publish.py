"""A page from a run's folder: the same as while it ran, also of one that waits, goes on or was killed."""

from __future__ import annotations

import json
import re
import shutil
from contextlib import suppress

import pytest
from later import Later
from runs import drawn, run, tiny

from bal import Waiting, run_loop
from bal.config.resolve import load
from bal.experiment import checkpoint, journals
from bal.experiment.folder import RunFolder
from bal.experiment.setup import set_up
from bal.report.__main__ import main
from bal.report.publish import _read
from bal.system import devices


@pytest.fixture(autouse=True)
def _platform(monkeypatch):
    monkeypatch.setattr(devices, "set_up_platform", lambda: None)


def contents(out) -> dict:
    return {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}


def test_a_page_is_written_again_to_the_same_bytes(whole, tmp_path, capsys):
    out = shutil.copytree(whole, tmp_path / "run")
    before = contents(out)
    (out / "report.html").unlink()
    (out / "reliability.png").write_bytes(b"")
    assert main([str(out)]) == 0
    assert capsys.readouterr().out == f"{out / 'report.html'}\n"
    assert contents(out) == before


@drawn()
def test_a_run_that_is_going_on_is_left_alone(whole, tmp_path):
    out = tmp_path / "run"
    rounds = run_loop(tiny(), out)
    next(rounds)
    page = (out / "report.html").read_bytes()
    saving = out / "checkpoints" / "4.orbax-checkpoint-tmp-1"
    saving.mkdir()
    (out / "queries.jsonl").write_bytes((out / "queries.jsonl").read_bytes() + b'{"round": 2, "ima')  # in the middle
    before = contents(out)
    assert main([str(out)]) == 0
    assert contents(out) == before
    assert (out / "report.html").read_bytes() == page
    assert saving.is_dir()


@pytest.mark.parametrize("times", [1, 3])
def test_a_checkpoint_that_is_deleted_while_it_is_read(times, whole, tmp_path, monkeypatch):
    """The run has gone on meanwhile: what is there now is read, unless it goes on faster than it can be read."""
    out = shutil.copytree(whole, tmp_path / "run")
    left = list(range(times))

    def stand(*args):
        if left:
            left.pop()
            old, new = sorted(int(path.name) for path in (out / "checkpoints").iterdir() if path.name.isdecimal())
            shutil.copytree(out / "checkpoints" / str(new), out / "checkpoints" / str(new + 1))
            shutil.rmtree(out / "checkpoints" / str(old))
        return journals.stand(*args)

    monkeypatch.setattr(checkpoint, "stand", stand)
    folder = RunFolder(out)
    setup = set_up(load(folder.config))
    if times == 3:
        with pytest.raises(FileNotFoundError):
            _read(setup, folder)
    else:
        snapshot = _read(setup, folder)
        assert snapshot is not None
        assert snapshot.info.row["round"] == 2


@drawn()
def test_a_run_that_waits_shows_what_it_asks(tmp_path):
    out = tmp_path / "run"
    config = tiny(annotator=Later(second=(0,)), rounds=1)
    for _ in range(2):
        with pytest.raises(Waiting):
            run(config, out, resume=True)
    page = (out / "report.html").read_text()
    (out / "report.html").unlink()
    assert main([str(out)]) == 0
    assert (out / "report.html").read_text() == page
    assert "round 0" in page
    assert "The next purchase, 20 regions, waits for answers." in page
    shown = set(re.findall(r"pool-\d+", page.partition("The newest purchases")[2].partition("<details")[0]))
    questions = json.loads((out / "desk" / "r01" / "questions.json").read_text())
    audited = {image for _, image, *_, policy in questions if policy == "audit"}
    assert audited
    assert shown <= {image for _, image, *_ in questions} - audited, "an audit is blind"


def test_drawing_a_page_of_a_run_that_is_refused_deletes_nothing(tmp_path, capsys):
    out = tmp_path / "run"
    run(tiny(rounds=0, budget=10), out)
    (out / "curve.csv").unlink()
    text = (out / "config.yaml").read_text()
    (out / "config.yaml").write_text(text.replace("pool: 6", "pool: 7"))
    before = contents(out)
    assert main([str(out)]) == 2
    assert "put it back" in capsys.readouterr().err
    assert contents(out) == before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda out: None, "holds no run"),
        (lambda out: out.mkdir(), "holds no run"),
        (lambda out: out.write_text("a file"), "holds no run"),
        (lambda out: next(run_loop(tiny(annotator=Later(never=(0,))), out)), "has not finished its first model"),
    ],
    ids=["nothing", "empty", "file", "waiting"],
)
def test_where_there_is_nothing_to_show(make, message, tmp_path, capsys):
    with suppress(Waiting):
        make(tmp_path / "run")
    assert main([str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("bal: error: ")
    assert message in error
    assert error.count("\n") == 1
