"""The table that ends a run on the terminal."""

from __future__ import annotations

import io
import re
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console
from runs import tiny

from bal.experiment.events import Event, Record
from bal.experiment.folder import RunFolder
from bal.metrics.summary import columns, headlines
from bal.report import terminal
from bal.report.lines import folded
from bal.types import Waiting

CLASSES = ("background", "curve_1", "curve_2")
ROW = {"round": 0, "regions": 24, "cost": 24, "temperature": 1.5}


def shown(row: dict, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(terminal.summary_table([row], width))
    return console.export_text()


def test_every_family_s_headlines_are_in_a_wide_table():
    row = ROW | {name: (i + 1) / 1000 for i, name in enumerate(columns(CLASSES))}
    text = shown(row, 200)
    for line in headlines(CLASSES):
        assert f"{row[line.column]:.3f}" in text, line.column
        assert line.beside is None or f"({row[line.beside]:.3f})" in text, line.column
        assert all(part in text for part in line.title.split())
        assert line.caption.split(":")[0] in text
    assert f"{row['ece_foreground_raw']:.3f}→{row['ece_foreground']:.3f}" in text


@pytest.mark.parametrize("classes", [2, 3, 12])
@pytest.mark.parametrize("width", range(60, 200, 20))
def test_what_is_left_out_first(width, classes):
    """Further families, means over images, temperature, background, foreground from the end; never the calibration."""
    names = ("background", *(f"class_{k}" for k in range(1, classes)))
    text = shown(ROW | dict.fromkeys(columns(names), 0.5), width)
    heads, whole = (re.sub(r"\s+", " ", part) for part in (text.split("─")[0], text))
    kept = [name for name in names if f" {name} " in heads.split(" regions")[1]]
    left = classes - len(kept)
    there = ["clDice" in text, "0.500 (0.500)" in text, "T: temp" in whole, "background" in kept]
    assert "0.500→0.500" in text
    assert there == sorted(there), "in this order"
    assert ("1.50" in text) == there[2]
    assert tuple(kept) == names[not there[3] :][: len(kept)], "foreground classes go last, from the end"
    assert not there[3] or len(kept) == classes
    assert ("; that of the background in curve.csv" in whole) == (left == 1 and "background" not in kept)
    assert (f"; {left} more classes in curve.csv" in whole) == (left > 1)


def test_a_class_of_the_foreground_stays_longer_than_temperature_and_background():
    """At 80 columns the third class of three was left out."""
    names = ("background", "gamma_ray_log", "resistivity", "porosity")
    text = shown(ROW | {"cost": 6144} | dict.fromkeys(columns(names), 0.5), 80)
    assert all(name in text for name in names[1:])
    assert "T: temperature" not in text
    assert "more class" not in text


def test_compiling_is_said_until_the_first_step_returns(tmp_path, capsys):
    """Half a minute in which nothing was said where there is no terminal, and "training" on one."""
    display = terminal.Display(tiny(), tmp_path / "run")
    display.watch(Event(0, "fit", 0, 400))
    assert capsys.readouterr().out == "round 0/2: compiling, which takes a while, then training\n"
    assert display.progress.tasks[0].description == "round 0/2: compiling "
    display.watch(Event(0, "fit", 0, 400))
    display.watch(Event(0, "fit", 1, 400))
    assert display.progress.tasks[0].description == "round 0/2: training  "
    assert display.progress.tasks[0].fields["detail"] == "step 1/400"
    assert display.progress.tasks[0].fields["done_at"] is None, "how long compiling took says nothing of the rest"
    display.watch(Event(1, "fit", 0, 400))
    assert capsys.readouterr().out == "", "once"
    terminal.Display(tiny(), tmp_path / "run", quiet=True).watch(Event(0, "fit", 0, 400))
    assert capsys.readouterr().out == ""


def test_lines_fold_between_parts_or_else_between_words():
    assert folded(["round 1:", " a 0.1", " | b"], 80) == ["round 1:  a 0.1  | b"]
    assert folded(["round 1:", " a 0.1", " | fit 3 s"], 20) == ["round 1:  a 0.1", "  fit 3 s"]
    text = "note: the loss was still falling at the end of the fit, by 12 % over its last fifth; see --train.steps"
    lines = folded([text], 40)
    assert max(map(len, lines)) < 40
    assert " ".join(line.strip() for line in lines) == text
    assert all(line.startswith("  ") for line in lines[1:])
    path = "/".join(["folder"] * 12)
    assert f"  {path}" in folded(["report:", path], 40), "a path stays whole"


def row_of(round: int, iou: float) -> dict:
    """What is said of a round of a run with a test set."""
    own = {f"{kind}_{name}": iou for name in CLASSES for kind in ("f1", "iou", "iou_image")}
    ece = {"ece_foreground": 0.1, "ece_foreground_raw": 0.2}
    return ROW | own | ece | {"round": round, "seconds_fit": 1.0, "seconds_score": 1.0, "test_images": 20}


def test_a_round_is_compared_with_the_one_before_and_an_old_one_is_marked(tmp_path, monkeypatch, capsys):
    """More rounds of a finished run begin with its last, which was compared with itself."""
    monkeypatch.setattr(RunFolder, "rows", lambda folder: [row_of(n, 0.1 * n) for n in range(3)])
    display = terminal.Display(tiny(rounds=3), tmp_path / "run", resume=True)
    display.__enter__()
    display.record(Record(row_of(2, 0.2), [], None, 0.0))
    display.watch(Event(3, "fit", 0, 3))
    display.record(Record(row_of(3, 0.25), [], None, 0.0))
    old, new = [line for line in capsys.readouterr().out.splitlines() if "IoU" in line]
    assert old.startswith("round 2/3, trained earlier: 24 regions, IoU  background 0.200 (+0.100)")
    assert new.startswith("round 3/3: 24 regions, IoU  background 0.250 (+0.050)")


def test_what_a_run_that_waits_says_again_is_marked(tmp_path, capsys):
    for fits in (True, False):
        with suppress(Waiting), terminal.Display(tiny(), tmp_path / "run", resume=True) as display:
            if fits:
                display.watch(Event(1, "fit", 0, 3))
            raise Waiting(2, 3, 0, tmp_path, row=row_of(1, 0.2))
        assert ("round 1/2, trained earlier: " in capsys.readouterr().out) == (not fits)


@pytest.mark.parametrize("columns", ["60", "80", None])
def test_notes_and_rounds_are_no_wider_than_the_table(columns, tmp_path, monkeypatch, capsys):
    """Where there is no terminal, a note was a line of 300 characters and a round one of 140."""
    monkeypatch.delenv("COLUMNS")
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    rows = [row_of(n, 0.01) | {"iou_all_background": 0.9} for n in range(2)]
    monkeypatch.setattr(RunFolder, "rows", lambda folder: rows)
    with terminal.Display(tiny(rounds=1), Path("run"), resume=True) as display:
        display.record(Record(rows[1], [], None, 0.0))
    out = capsys.readouterr().out
    assert "note: the model has learned nothing" in " ".join(out.split())
    assert max(map(len, out.splitlines())) <= int(columns or 80)
