"""Runs that are cut off anywhere and taken up again: the ledger and the metrics of a run left in peace."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from forks import Step
from helpers import slow_where
from runs import (
    FLAGS,
    assert_same_run,
    curve,
    drawn,
    ledger,
    left_behind,
    metrics_of,
    run,
    tiny,
)

from bal import BadInput, loop, run_loop
from bal.config.dump import dump_yaml
from bal.experiment import checkpoint, journals, packing, recorder
from bal.experiment.checkpoint import Checkpoints
from bal.posterior.nets import UNet
from bal.scoring.acquisitions import Margin


@pytest.fixture(scope="module")
def left(whole, tmp_path_factory):
    """A run that was left after its second round, one round from its end."""
    out = tmp_path_factory.mktemp("left") / "run"
    rounds = run_loop(tiny(), out)
    next(rounds)
    next(rounds)
    rounds.close()
    return out


@pytest.fixture
def half(left, tmp_path):
    """A copy of it that may be spoilt."""
    return Path(shutil.copytree(left, tmp_path / "run"))


@pytest.mark.parametrize("done", slow_where(lambda done: done != 2, range(4)))
def test_stopped_after_any_round(done, whole, tmp_path):
    out = tmp_path / "run"
    rounds = run_loop(tiny(), out)
    before = [next(rounds) for _ in range(done)]
    rounds.close()
    after = run(tiny(), out, resume=True)
    assert [record.row["round"] for record in before + after] == [0, 1, 2]
    assert_same_run(out, whole)


def test_what_turns_out_bad_after_training_deletes_nothing(whole, tmp_path, monkeypatch):
    out = tmp_path / "run"

    def damaged(*args):
        raise BadInput("a page is damaged")

    with monkeypatch.context() as patch:
        patch.setattr(loop.query, "score_pool", damaged)
        with pytest.raises(BadInput, match="a page is damaged"):
            run(tiny(), out)
    assert (out / "queries.jsonl").read_text()
    assert run(tiny(), out, resume=True)[0].row["round"] == 0
    assert_same_run(out, whole)


def test_what_turns_out_bad_before_anything_is_labelled_leaves_nothing(tmp_path, monkeypatch):
    def damaged(*args):
        raise BadInput("a mask is damaged")

    monkeypatch.setattr(loop, "ask", damaged)
    with pytest.raises(BadInput, match="a mask is damaged"):
        run(tiny(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_stopped_again_and_again(whole, tmp_path):
    for _ in range(4):
        next(run_loop(tiny(), tmp_path / "run", resume=True), None)
    assert_same_run(tmp_path / "run", whole)


TEMPORARY = ".orbax-checkpoint-tmp"


def entry(out: Path, whole: Path, ledger: int | None = 0, curve: int | None = 0) -> None:
    """What is there once the next entry has been announced, and so much of it written: None for all."""
    files = [out / "curve.csv", out / "queries.jsonl"]
    texts = [(whole / file.name).read_bytes()[size(file) :].decode() for file in files]
    before = [size(file) for file in files]
    (out / "checkpoints" / "last_entry.json").write_text(json.dumps({"before": before, "texts": texts}))
    for file, text, written in zip(files, texts, (curve, ledger), strict=True):
        file.write_text(file.read_text() + text[:written])


LEFT = {
    "half-a-query": lambda out, whole: entry(out, whole, ledger=40),
    "all-queries": lambda out, whole: entry(out, whole, ledger=None),
    "half-a-row": lambda out, whole: entry(out, whole, ledger=None, curve=7),
    "all-of-it": lambda out, whole: entry(out, whole, ledger=None, curve=None),
    "nothing-of-it": entry,
    "copied-tmp": lambda out, whole: shutil.copytree(out / "checkpoints" / "5", out / "checkpoints" / f"6{TEMPORARY}"),
    "empty-tmp": lambda out, whole: (out / "checkpoints" / f"6{TEMPORARY}-17").mkdir(),
    "no-report": lambda out, whole: (out / "report.html").unlink(),
    "report-tmp": lambda out, whole: (out / ".report.html.x1y2z3a4").write_text("<html>"),
    "entry-tmp": lambda out, whole: (out / "checkpoints" / ".last_entry.json.x1y2z3a4").write_text("{"),
    "reserve": lambda out, whole: (out / ".checkpoints.x1y2z3a4").write_text(""),
    "old-gone": lambda out, whole: shutil.rmtree(out / "checkpoints" / "4"),
}


@pytest.mark.parametrize("name", slow_where(lambda name: name not in ("half-a-query", "copied-tmp"), LEFT))
def test_what_a_kill_may_leave(name, half, whole):
    LEFT[name](half, whole)
    run(tiny(), half, resume=True)
    assert_same_run(half, whole)


EDITED = {
    "crlf": ("curve.csv", lambda text: text.replace("\n", "\r\n"), r"saved with other line ends \(CRLF\)"),
    "crlf-and-a-row-more": (
        "curve.csv",
        lambda text: text.replace("\n", "\r\n") + text.splitlines()[-1] + "\r\n",
        r"\(CRLF\): save it with LF",
    ),
    "a-number": ("curve.csv", lambda text: text[:-8] + "7" + text[-7:], "been changed"),
    "a-header": ("curve.csv", lambda text: text.replace("steered_share", "steered_money", 1), "been changed"),
    "a-row-more": (
        "curve.csv",
        lambda text: text + text.splitlines(True)[-1],
        r"\d+ bytes more than the run",
    ),
    "a-row-less": ("curve.csv", lambda text: "".join(text.splitlines(True)[:-1]), "lost .* bytes"),
    "less-of-a-row": ("curve.csv", lambda text: text[:-20], "lost 20 bytes"),
    "a-score": ("queries.jsonl", lambda text: text.replace("3", "4", 1), "been changed"),
    "lines-swapped": ("queries.jsonl", lambda text: "".join(sorted(text.splitlines(True))[::-1]), "been changed"),
    "a-line-more": ("queries.jsonl", lambda text: text + '{"round": 3, "image": "x", "region": 0}\n', "40 bytes more"),
    "half-a-line-more": ("queries.jsonl", lambda text: text + '{"round": 2, "im', "16 bytes more"),
    "a-line-less": ("queries.jsonl", lambda text: "".join(text.splitlines(True)[1:]), "lost .* bytes"),
    "nothing": ("queries.jsonl", lambda text: "", "lost .* bytes"),
    "no-text": ("queries.jsonl", lambda text: "\0" * len(text), "been changed"),
    "a-bom": ("curve.csv", lambda text: "\ufeff" + text, "been changed"),
}


@pytest.mark.parametrize("name", EDITED)
def test_a_journal_that_is_not_as_it_was_written_is_refused_untouched(name, half, whole):
    file, edit, why = EDITED[name]
    before = (half / file).read_bytes()
    spoilt = edit(before.decode()).encode()
    assert spoilt != before
    (half / file).write_bytes(spoilt)
    files = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=rf"{file} .*{why}.*put it back as it was; nothing has been touched"):
        run(tiny(), half, resume=True)
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file()} == files
    if name in ("crlf", "a-line-more"):
        (half / file).write_bytes(before)
        run(tiny(), half, resume=True)
        assert_same_run(half, whole)


@pytest.mark.parametrize("file", ["curve.csv", "queries.jsonl"])
def test_a_journal_that_has_gone(file, half):
    (half / file).unlink()
    with pytest.raises(BadInput, match=f"{file} is missing: put it back as it was; nothing has been touched"):
        run(tiny(), half, resume=True)


def largest(folder: Path) -> Path:
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


HARM = {
    "flipped": lambda step: flip(largest(step)),
    "truncated": lambda step: os.truncate(largest(step), largest(step).stat().st_size // 2),
    "empty": lambda step: os.truncate(largest(step), 0),
    "gone": lambda step: largest(step).unlink(),
}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", slow_where(lambda name: name != "flipped", HARM))
def test_a_damaged_checkpoint_is_set_aside_for_the_one_before(name, half, whole):
    HARM[name](half / "checkpoints" / "5")
    told = []
    assert [record.row["round"] for record in run(tiny(), half, resume=True, watch=told.append)] == [1, 2]
    notes = [event.note for event in told if event.note]
    assert len(notes) == 1
    assert re.search(r"checkpoint 5 is damaged: it was set aside as \S+damaged-5, and the run goes on from 4", notes[0])
    shutil.rmtree(half / "checkpoints" / "damaged-5")
    assert_same_run(half, whole)


def test_a_checkpoint_that_cannot_be_read_now_is_no_damage(half, monkeypatch):
    """One file too many is open, once: nothing is set aside, and no purchase is taken back."""
    files = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}
    stands = iter([OSError(errno.EMFILE, os.strerror(errno.EMFILE), "a file")])

    def stand(*args):
        for error in stands:
            raise error
        return journals.stand(*args)

    monkeypatch.setattr(checkpoint, "stand", stand)
    with pytest.raises(OSError, match="Too many open files"):
        run(tiny(), half, resume=True)
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file()} == files
    assert [record.row["round"] for record in run(tiny(), half, resume=True)] == [2]


@pytest.mark.parametrize("gone", [5, 4])
def test_a_checkpoint_that_has_gone_is_said(gone, half, whole):
    """The run went on from the one before, and did a round again without a word."""
    shutil.rmtree(half / "checkpoints" / str(gone))
    told = []
    run(tiny(), half, resume=True, watch=told.append)
    there = half / "checkpoints"
    assert [event.note for event in told if event.note] == [
        f"{there} holds {9 - gone} alone, where two are kept: one has gone, and the run goes on from {9 - gone}"
    ]
    assert_same_run(half, whole)


def test_what_a_kill_leaves_of_checkpoints_lacks_none(tmp_path):
    """Of the first of a run, of one that is being written or is not described yet, and of one that was set aside."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", reading=True)
    for lacks, *names in (
        (False,),
        (False, "0"),
        (False, "0", "1"),
        (True, "1"),
        (False, "4", "5"),
        (True, "5"),
        (False, "5", f"6{TEMPORARY}"),
        (False, "5", "6"),
        (False, "4", "damaged-5"),
    ):
        for name in names:
            (tmp_path / "checkpoints" / name).mkdir(parents=True)
        assert checkpoints.lacks_one() == lacks, names
        shutil.rmtree(tmp_path / "checkpoints", ignore_errors=True)


def test_what_is_refused_for_its_metrics_is_untouched(half, monkeypatch):
    flip(largest(half / "checkpoints" / "5"))
    files = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}

    def refuse(saved):
        raise BadInput("other metrics")

    monkeypatch.setattr(recorder, "check_families", refuse)
    with pytest.raises(BadInput, match="other metrics"):
        run(tiny(), half, resume=True)
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file()} == files


def test_only_damaged_checkpoints_are_refused_untouched(half):
    for step in ("4", "5"):
        flip(largest(half / "checkpoints" / step))
    files = {path: path.read_bytes() for path in half.rglob("*") if path.is_file()}
    with pytest.raises(BadInput, match=r"holds only damaged checkpoints \(5, 4\)"):
        run(tiny(), half, resume=True)
    assert {path: path.read_bytes() for path in half.rglob("*") if path.is_file()} == files


def test_checkpoints_that_have_gone(half):
    before = [(half / name).read_bytes() for name in ("curve.csv", "queries.jsonl")]
    shutil.rmtree(half / "checkpoints")
    with pytest.raises(BadInput, match="has lost its checkpoints"):
        run(tiny(), half, resume=True)
    assert [(half / name).read_bytes() for name in ("curve.csv", "queries.jsonl")] == before


def test_killed_before_the_first_checkpoint(whole, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "save", nobody_lives(Killed))
        with pytest.raises(Killed):
            run(tiny(), tmp_path / "run")
    run(tiny(), tmp_path / "run", resume=True)
    assert_same_run(tmp_path / "run", whole)


def nobody_lives(kind):
    def call(*args):
        raise kind

    return call


def test_killed_before_the_first_file(whole, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".config.yaml.a1b2c3d4").write_text("acq: {na")
    run(tiny(), tmp_path / "run")
    assert_same_run(tmp_path / "run", whole)


@drawn()
def test_a_complete_run_has_nothing_left_to_do(whole):
    before = {path: path.read_bytes() for path in whole.iterdir() if path.is_file()}
    assert run(tiny(), whole, resume=True) == []
    assert {path: path.read_bytes() for path in whole.iterdir() if path.is_file()} == before


def test_resume_without_a_run_begins_one(whole, tmp_path):
    assert len(run(tiny(), tmp_path / "run", resume=True)) == 3
    assert_same_run(tmp_path / "run", whole)


def test_another_configuration(half):
    with pytest.raises(BadInput, match=r"another configuration \(seed: 0, now 1\)"):
        run(tiny(seed=1), half, resume=True)


def test_other_data(half, monkeypatch):
    monkeypatch.setattr(packing, "fingerprint", lambda setup: np.array(7))
    with pytest.raises(BadInput, match=r"the images are not those that .* was begun with"):
        run(tiny(), half, resume=True)
    assert len(ledger([], half)) == 30


@pytest.mark.parametrize("changes", [{"seed": 1}, {"net": UNet(width=8, depth=2)}, {"acq": Margin()}])
def test_a_configuration_that_was_edited(changes, half):
    (half / "config.yaml").write_text(dump_yaml(tiny(**changes)))
    with pytest.raises(BadInput, match="is not the one that it was run with until now"):
        run(tiny(**changes), half, resume=True)
    assert len(ledger([], half)) == 30


def test_checkpoints_that_stay(whole):
    assert sorted(path.name for path in (whole / "checkpoints").iterdir()) == ["5", "7", "last_entry.json"]
    saved = packing.read(Checkpoints(whole / "checkpoints").load(7)["journals"])
    for name in ("curve.csv", "queries.jsonl"):
        content = (whole / name).read_bytes()
        assert saved[name] == [len(content), hashlib.sha256(content).hexdigest()]
    nothing = [0, hashlib.sha256().hexdigest()]
    assert saved["questions.jsonl"] == saved["answers.jsonl"] == nothing, "nobody was asked anything"


def test_overwrite_is_a_new_run(half, whole):
    (half / "notes.txt").write_text("mine")
    run(tiny(), half, overwrite=True)
    assert (half / "notes.txt").read_text() == "mine"
    (half / "notes.txt").unlink()
    assert_same_run(half, whole)


# Killed from outside


def newest(out: Path) -> int:
    """The number of the newest complete checkpoint."""
    steps = [int(path.name) for path in (out / "checkpoints").glob("*") if path.name.isdigit()]
    return max(steps, default=-1)


def size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def being_saved(out: Path) -> bool:
    return any(True for _ in out.glob("checkpoints/*tmp*"))


def kills(out: Path) -> list[tuple[str, Callable[[], bool], float]]:
    """Ten instants: what to wait for, and the longest to wait after that. Each is made anew from what is there."""
    rows, step = size(out / "curve.csv"), newest(out)
    lines = size(out / "queries.jsonl")
    return [
        ("beginning", lambda: True, 1.0),
        ("begun", lambda: (out / "config.yaml").exists(), 0.0),
        ("training", lambda: size(out / "queries.jsonl") > 0, 2.0),
        ("saving", lambda: being_saved(out), 0.0),
        ("saving", lambda: being_saved(out), 0.05),
        ("saved", lambda: newest(out) > step, 0.2),
        ("logged", lambda: size(out / "queries.jsonl") > lines, 0.0),
        ("row", lambda: size(out / "curve.csv") > rows, 0.1),
        ("row", lambda: size(out / "curve.csv") > rows, 0.0),
        ("saving", lambda: newest(out) > step and being_saved(out), 0.1),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cold", "warm", "shrink"])
def test_killed_at_ten_instants(how, forks, tmp_path):
    flags = [*FLAGS, "--rounds", "5", "--quiet", "--train.start", how, "--train.later-steps", "5"]
    flags += ["--train.self-training", "0.5"] if how == "shrink" else []
    whole, out = tmp_path / "whole", tmp_path / "killed"
    assert forks.run(Step([*flags, "--out", str(whole)])).steps == [(0, "")]
    rng, killed = random.Random(0), []
    for kill in range(10):
        pid = forks.begin(Step([*flags, "--out", str(out), "--resume"]))
        what, reached, longest = kills(out)[kill]
        patience = time.monotonic() + 300
        while not forks.ended(0.0005) and not reached():
            assert time.monotonic() < patience, f"waited for {what} in vain"
        time.sleep(longest * rng.random())
        if not forks.ended(0.0):
            os.kill(pid, signal.SIGKILL)
        if forks.end(pid).status == -signal.SIGKILL:
            killed.append((what, newest(out)))
    assert len(killed) == 10, killed
    assert len({step for _, step in killed}) >= 3, killed
    assert forks.run(Step([*flags, "--out", str(out), "--resume"])).steps == [(0, "")]
    assert_same_run(out, whole)
    assert len(curve(out)) == 6
    assert left_behind(out) == left_behind(whole)


@pytest.mark.parametrize("how", ["warm", "shrink"])
def test_a_run_of_later_starts_goes_on_to_the_same_bytes(how, tmp_path):
    config = tiny()
    config = replace(config, train=replace(config.train, start=how, later_steps=7))
    whole = run(config, tmp_path / "whole")
    for _ in range(4):
        next(run_loop(config, tmp_path / "run", resume=True), None)
    assert_same_run(tmp_path / "run", tmp_path / "whole")
    assert metrics_of([r.row for r in whole])[1:] != metrics_of([r.row for r in run(tiny())])[1:]
    assert metrics_of([whole[0].row])[0]["nll"] == metrics_of([run(tiny())[0].row])[0]["nll"], "the first is cold"
