"""The front door: exit statuses, what is said on which stream, and what a refused run leaves behind."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import (
    FLAGS,
    assert_quiet,
    assert_same_run,
    environment,
    metrics_of,
    pictures,
    start,
    tiny,
)

from bal.experiment.folder import RunFolder
from bal.report import terminal
from bal.run import main
from bal.system import devices

SMALL = [*FLAGS, "--source.pool", "6"]


@pytest.fixture(autouse=True)
def _platform(monkeypatch):
    """The platform of the tests stays as it is."""
    monkeypatch.setattr(devices, "set_up_platform", lambda: None)


@pytest.fixture
def done(whole, tmp_path):
    """A copy of it that may be spoilt."""
    return Path(shutil.copytree(whole, tmp_path / "done"))


def refusal(capsys, *argv: str) -> str:
    """The error of a command line: one or two lines on stderr, and status 2."""
    assert main(argv) == 2
    printed, error = capsys.readouterr()
    assert printed == "" or "training failed" in error, "nothing is announced that is then refused"
    assert error.startswith("bal: error: ")
    assert error.count("\n") <= 2
    assert "Traceback" not in error
    return error


# What works


def test_a_run(capsys, tmp_path, whole):
    assert main([*FLAGS, "--out", str(tmp_path / "run")]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert lines[0].startswith("bal: bald with mc_dropout on well_log; 10 regions at random, then up to 30 in 2 rounds")
    assert lines[1] == "round 0/2: compiling, which takes a while, then training"
    assert [line[:10] for line in lines[2:5]] == ["round 0/2:", "round 1/2:", "round 2/2:"]
    assert re.search(r"round 1/2: 20 regions, IoU  background 0\.\d{3} \([+-]0\.\d{3}\)  curve_1 ", printed.out)
    assert "\x1b" not in printed.out
    assert f"report: {tmp_path / 'run' / 'report.html'}" in lines
    assert_same_run(tmp_path / "run", whole)


def test_quiet(capsys, done):
    assert main([*FLAGS, "--out", str(done), "--quiet", "--overwrite"]) == 0
    assert_quiet(capsys.readouterr())


def test_a_complete_run_resumed_shows_its_table(capsys, done, whole, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    drawn = {"report.html", "reliability.png"}  # anew by every resume
    before = {path: path.stat().st_mtime_ns for path in done.iterdir() if path.name not in drawn}
    diagrams = (done / "reliability.png").read_bytes()
    assert main(["--out", str(done), "--resume"]) == 0
    out = capsys.readouterr().out
    table = out[out.index("IoU over all test pixels") :].partition("note:")[0].partition("report:")[0].splitlines()
    assert table == [line.rstrip() for line in table]
    assert max(map(len, table)) <= 80
    assert f"(resuming {done})" in " ".join(out.split())
    assert "IoU over all test pixels" in out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert (done / "reliability.png").read_bytes() == diagrams
    assert_same_run(done, whole)


def test_resume_without_a_run_says_so(capsys, tmp_path):
    argv = [*FLAGS, "--rounds", "0", "--out", str(tmp_path / "new"), "--resume"]
    assert main(argv) == 0
    assert f"(no run in {tmp_path / 'new'} yet: a new one)" in capsys.readouterr().out


@pytest.mark.parametrize("more", [[], ["--rounds", "8", "--budget", "300"], ["--quiet"]])
def test_resume_alone_never_begins_a_run_of_other_settings(more, capsys, tmp_path):
    """As after a name that was mistyped, or a signal before the first file."""
    out = tmp_path / "nwe"
    assert main(["--out", str(out), "--resume", *more]) == 2
    hint = "name it with --out, or give the settings of a new one"
    assert capsys.readouterr() == ("", f"bal: error: {out} holds no run that could go on: {hint}\n")
    assert not out.exists()


def test_a_run_without_its_settings_is_named(capsys, done):
    (done / "config.yaml").unlink()
    for argv in ([], FLAGS):
        assert main([*argv, "--out", str(done), "--resume"]) == 2
        said = f"bal: error: {done} has lost its config.yaml, and a run cannot go on without: put it back, "
        said += "or begin anew with another --out and take along what people have said: python -m bal.answer OUT RUN\n"
        assert capsys.readouterr() == ("", said)


def test_the_module_and_its_help(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "bal.run", "--help"], capture_output=True, text=True, env=environment(tmp_path)
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "--resume" in done.stdout


# What is refused


def spoil(root: Path, how: str) -> Path:
    """A folder source with something wrong."""
    data = pictures(root)
    mask = sorted((data / "masks").iterdir())[0]
    if how == "cut image":
        for image in (data / "images").iterdir():
            image.write_bytes(image.read_bytes()[:300])
    elif how == "other size":
        Image.fromarray(np.ones((8, 8), np.uint8)).save(mask)
    elif how == "class id":
        for mask in (data / "masks").iterdir():
            Image.fromarray(np.full((40, 40), 7, np.uint8)).save(mask)
    elif how == "empty":
        shutil.rmtree(data / "images")
        (data / "images").mkdir()
    return data


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut image", r"p\d\.png"),
        ("other size", r"p0\.png is 8x8 and its image 40x40"),
        ("class id", r"holds class 7, but there are 2 classes"),
        ("empty", r"holds no .*file"),
    ],
)
def test_bad_folders(how, message, capsys, tmp_path):
    data = spoil(tmp_path / "data", how)
    argv = ["source:folder", "--source.path", str(data), "--source.classes", "paper", "ink", "--head", "mc_dropout"]
    small = ["--start", "6", "--budget", "12", "--rounds", "1", "--train.steps", "1", "--net.depth", "1"]
    assert re.search(message, refusal(capsys, *argv, *small, "--out", str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_what_a_source_says_comes_before_the_run(capsys, tmp_path):
    data = pictures(tmp_path / "data")
    (data / "images" / "p1.png").write_bytes(b"cut")
    (data / "masks" / "p2.png").unlink()
    argv = ["--quiet", "source:folder", "--source.path", str(data), "--source.classes", "paper", "ink", "grid"]
    assert main([*argv, "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr()
    said = printed.out.splitlines()
    assert said[0] == "note: no mask has a pixel of grid"
    assert re.fullmatch(r"note: 1 image set aside, such as 'p1': .*p1\.png is not a readable image; .*", said[1])
    assert len(said) == 2
    assert "of the pool have no mask for the oracle" in printed.err


def test_las_without_the_curve(capsys, tmp_path):
    pytest.importorskip("lasio")
    (tmp_path / "a.las").write_text(
        "~Version\nVERS. 2.0:\nWRAP. NO:\n~Well\nSTRT.M 0:\nSTOP.M 2:\nSTEP.M 1:\nNULL. -999.25:\nWELL. A:\n"
        "~Curve\nDEPT.M:\nGR.API:\n~ASCII\n0 1\n1 2\n2 3\n"
    )
    argv = ["source:well_log", "--source.curves", str(tmp_path / "a.las"), "--out", str(tmp_path / "out")]
    error = refusal(capsys, *argv)
    assert "RHOB" in error
    assert "GR" in error
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--acq", "bld"], "unknown acquisition 'bld'; did you mean 'bald'"),
        (["--budget", "1000"], "the budget of 1000 regions is larger than the pool, which has 54"),
        (["--start", "0.5"], "buys no region to train on"),
        (["--config", "nothing.yaml"], "nothing.yaml: cannot be read"),
        (["source:well_log", "--source.curves", "none.las"], "none.las"),
    ],
)
def test_bad_input(argv, message, capsys, tmp_path):
    assert re.search(message, refusal(capsys, *FLAGS, *argv, "--out", str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_training_that_fails_deletes_no_label(capsys, tmp_path):
    argv = [*FLAGS, "--train.rate", "1e30", "--train.steps", "10", "--out", str(tmp_path / "out")]
    failed = r"training failed: the loss was .* by step \d+ of 10; try a lower"
    assert re.search(failed, refusal(capsys, *argv))
    before = (tmp_path / "out" / "queries.jsonl").read_bytes()
    assert before.count(b"\n") == 10
    assert re.search(failed, refusal(capsys, *argv, "--resume"))
    assert (tmp_path / "out" / "queries.jsonl").read_bytes() == before


def test_a_run_that_is_there(capsys, done):
    before = {path: path.read_bytes() for path in done.iterdir() if path.is_file()}
    assert "holds a run already: give --resume, --overwrite" in refusal(capsys, *FLAGS, "--out", str(done))
    changed = refusal(capsys, "--out", str(done), "--resume", "--seed", "3")
    assert "was run with another configuration (seed: 0, now 3)" in changed
    assert {path: path.read_bytes() for path in done.iterdir() if path.is_file()} == before


BROKEN = {
    "no text": lambda text: text[:900] + b"\x8b" + text[900:],
    "no number": lambda text: text.replace(b",0.", b",0.x", 1),
    "a cell more": lambda text: text[:-1] + b",1\n",
    "a cell less": lambda text: text[: text.rindex(b",")] + b"\n",
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_curve_that_is_damaged(how, capsys, done):
    """Found out before anything else reads it, as a table for the terminal."""
    curve = done / "curve.csv"
    curve.write_bytes(BROKEN[how](curve.read_bytes()))
    before = {path: path.read_bytes() for path in done.rglob("*") if path.is_file()}
    assert "curve.csv is damaged: put it back as it was; nothing has" in refusal(capsys, "--out", str(done), "--resume")
    assert {path: path.read_bytes() for path in done.rglob("*") if path.is_file()} == before


def test_a_row_that_a_kill_has_cut_off_is_no_damage(done):
    """Whoever reads the rows before it is taken back."""
    folder = RunFolder(done)
    rows, text = metrics_of(folder.rows()), folder.curve.path.read_bytes()
    for length in (1, 40, 900):
        folder.curve.path.write_bytes(text + text.splitlines()[-1][:length] + "ä".encode()[:1])
        assert metrics_of(folder.rows()) == rows


def test_out_is_something_else(capsys, tmp_path):
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    (folder / "config.yaml").write_text("name: of another program\n")
    (folder / "curve.csv").write_text("mine")
    for flag in ([], ["--overwrite"]):
        assert "is a file" in refusal(capsys, *FLAGS, "--out", str(file), *flag)
        assert "holds no run" in refusal(capsys, *FLAGS, "--out", str(folder), *flag)
        assert "file" in refusal(capsys, *FLAGS, "--out", str(file / "below"), *flag)
    assert file.read_text() == (folder / "curve.csv").read_text() == "mine"
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_made(capsys):
    assert "/proc/nowhere" in refusal(capsys, *FLAGS, "--out", "/proc/nowhere/run")


# What a person sees


def test_notes():
    lines = [{"policy": "steered", "cost": 1.0}, *[{"policy": "random", "cost": 1.0}] * 9]
    record = terminal.Record({}, lines, None, 0.0)
    (note,) = terminal.notes(record, tiny(steer=1.0))
    assert "only 1 of 10 regions could follow the score" in note
    assert not terminal.notes(record, tiny(steer=0.1))
    assert not terminal.notes(terminal.Record({}, [], None, 9.0), tiny())
    assert "5 regions were left over" in terminal.notes(terminal.Record({}, lines, None, 5.0), tiny(steer=0.1))[0]


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("classes", [2, 3, 12])
def test_the_table_fits(width, classes):
    names = ["background", *(f"class_{n}" for n in range(1, classes))]
    row = {"round": 0, "regions": 24, "cost": 24, "ece_foreground_raw": 0.1, "ece_foreground": float("nan")}
    row |= {"temperature": 1.5, "iou_all_background": 0.9}
    row |= {f"{metric}_{name}": 0.5 for metric in ("f1", "iou", "iou_image") for name in names}
    console = terminal.Console(width=width, file=open(os.devnull, "w"), record=True)  # noqa: SIM115
    console.print(terminal.summary_table([row], width))
    text = console.export_text()
    console.file.close()
    assert "…" not in text
    assert "background" in text
    assert "0.100→–" in text


def on_a_terminal(argv: list[str], columns: int, cache: Path) -> str:
    """What `python -m bal.run` writes to a terminal of so many columns, and its exit status at the end."""
    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {k: v for k, v in environment(cache).items() if k not in ("COLUMNS", "NO_COLOR")} | {"TERM": "xterm"}
    process = subprocess.Popen([sys.executable, "-m", "bal.run", *argv], stdout=child, stderr=child, env=env)
    os.close(child)
    written = b""
    while True:
        try:
            written += (piece := os.read(parent, 65536))
        except OSError:
            break
        if not piece:
            break
    os.close(parent)
    return written.decode() + f"\nstatus {process.wait()}"


@pytest.mark.slow
@pytest.mark.parametrize("columns", [80])
def test_a_terminal(columns, tmp_path_factory):
    cache = tmp_path_factory.getbasetemp()
    argv = [*FLAGS, "--rounds", "1", "--train.steps", "60", "--out", str(cache / f"terminal-{columns}")]
    written = on_a_terminal(argv, columns, cache)
    lines = [line for line in re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", written)) if line]
    paths = ("report:", "curve:", "  →", "bal:")
    assert max(len(line) for line in lines if not line.startswith(paths)) <= columns
    assert any(re.search(r"round 0/1: compiling +━+ takes a while +-:--:-- left", line) for line in lines)
    assert any(
        re.search(r"round \d/1: training +.*━+ step \d+/60, loss \d\.\d{4} 0:\d\d:\d\d left", line) for line in lines
    )
    assert lines[-1] == "status 0"


@pytest.mark.slow
def test_a_reader_that_goes_away(tmp_path):
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as gone:
        process = start(["--help"], tmp_path, stdout=gone)
        _, error = process.communicate(timeout=100)
    assert error == ""
