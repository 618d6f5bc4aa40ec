"""Runs whose disk fills, that are killed, or whose files are damaged: nothing is lost, and nothing is bought twice.

What is counted is every call that changes the folder, see `disk.py`; `benchmarks/faults.py` goes through all of them.
The slow tests take one of each kind: six minutes.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from disk import Call, calls, possible
from forks import Forks, Step
from harm import calls_of_each_kind, compared, damage, files, kind, one_of_each, stages, unowned, unsettled
from helpers import slow_where
from runs import FLAGS, assert_same_run, is_line_of

pytestmark = pytest.mark.skipif(not possible(), reason="needs Linux and a C compiler")
HOWS = ("flip", "insert", "cut")
SIGNALS = {signal.SIGINT: "bal: interrupted", signal.SIGTERM: "bal: terminated"}


class Peace(NamedTuple):
    """A run left in peace, and what to disturb others with."""

    forks: Forks
    whole: Path
    calls: list[Call]

    def last(self, only: str, named: str) -> dict[str, Any]:
        """The last call of a function about a file."""
        return {
            "at": sum(call.name == named and only in call.path for call in self.calls),
            "only": only,
            "named": named,
        }


def line(out: Path) -> list[str]:
    """The command that begins a run, or goes on with it."""
    return [*FLAGS, "--rounds", "1", "--budget", "20", "--quiet", "--out", str(out), "--resume"]


def fault(out: Path, how: str, **more: Any) -> Step:
    """The same, with something that befalls it."""
    return Step(line(out), {"folder": str(out), "how": how, **more})


@pytest.fixture(scope="module")
def peace(forks, tmp_path_factory) -> Peace:
    """The undisturbed run."""
    folder = tmp_path_factory.mktemp("peace")
    whole, log = folder / "whole", folder / "calls"
    assert forks.run(fault(whole, "nothing", log=str(log))).steps == [(0, "")]
    return Peace(forks, whole, calls(log))


# No power


@pytest.mark.slow
def test_a_checkpoint_counts_once_everything_before_it_is_on_disk(peace):
    """No test can take the power away; what it could take is what was written and never waited for."""
    found = dict(unsettled(peace.calls))
    assert len(found) == 5
    assert not any(found.values()), found


# A full disk


def fill(peace: Peace, folder: Path, cases: list[dict[str, Any]]) -> list[int]:
    """Runs whose disk has no room at a call; the statuses that they ended with before they were taken up again."""
    outs = [folder / f"full-{n}" for n in range(len(cases))]
    plan = [(fault(out, **case), Step(line(out))) for out, case in zip(outs, cases, strict=True)]
    done = peace.forks.run(*(step for pair in plan for step in pair)).steps
    assert len(done) == 2 * len(cases), done
    for out, full, resumed in zip(outs, done[::2], done[1::2], strict=True):
        assert resumed == (0, ""), (out, resumed)
        said = full.said.startswith("bal: error: the disk is full (") and full.said.count("\n") == 1
        assert full == (0, "") or (full.status == 2 and said), (out, full)
        assert "; free some space and --resume" in full.said or not full.said
        assert compared(out, peace.whole).well, out
        assert_same_run(out, peace.whole)
    return [full.status for full in done[::2]]


def test_a_disk_that_is_full_where_it_matters(peace, tmp_path):
    """From the first file on, in the ledger, in what orbax writes and in what TensorStore does."""
    where = (
        "config.yaml",
        "queries.jsonl",
        "1.orbax-checkpoint-tmp/_CHECKPOINT_METADATA",
        "2.orbax-checkpoint-tmp/state",
    )
    cases: list[dict[str, Any]] = [{"how": "full", "at": 1, "only": path} for path in where]
    fsync = {"how": "once", **peace.last("curve.csv", "fsync")}
    assert fill(peace, tmp_path, [*cases, fsync]) == [2] * 5


def test_a_disk_that_is_full_from_the_start(peace, tmp_path):
    """Nothing is left behind that would be in the way."""
    out = tmp_path / "run"
    (done,) = peace.forks.run(fault(out, "full", at=1, only="config.yaml")).steps
    assert done == (2, f"bal: error: the disk is full ({out}/config.yaml); free some space and --resume\n")
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.parametrize("part", range(4))
def test_a_disk_that_is_full_at_any_kind_of_call(part, peace, tmp_path):
    cases = [call.number for call in calls_of_each_kind(peace.calls) if call.fills][part::4]
    hows = [("full", "once")[n % 2] for n in range(len(cases))]
    assert 2 in fill(peace, tmp_path, [{"how": how, "at": at} for how, at in zip(hows, cases, strict=True)])


# Kills


FEW: dict[str, Callable[[Peace], dict[str, Any]]] = {
    "in a row": lambda peace: {"how": "torn", **peace.last("curve.csv", "write")},
    "in the ledger": lambda peace: {"how": "torn", **peace.last("queries.jsonl", "write")},
    "before its fsync": lambda peace: {"how": "kill", **peace.last("queries.jsonl", "fsync")},
    "in a checkpoint": lambda peace: {"how": "kill", "at": 1, "only": "5.orbax-checkpoint-tmp", "named": "rename"},
}


@pytest.mark.parametrize("where", slow_where(lambda where: where != "in a row", FEW))
def test_killed_at_a_call(where, peace, tmp_path):
    ended = peace.forks.run(fault(tmp_path / "run", **FEW[where](peace)))
    assert (ended.status, ended.steps) == (-signal.SIGKILL, [])
    assert peace.forks.run(Step(line(tmp_path / "run"))).steps == [(0, "")]
    assert_same_run(tmp_path / "run", peace.whole)


@pytest.mark.slow
def test_killed_before_and_within_any_kind_of_call(peace, tmp_path):
    """A copy is kept of what a kill there would leave: of one call of each kind, and of the middle of each write."""
    out, log, copies = tmp_path / "run", tmp_path / "calls", tmp_path / "copies"
    copies.mkdir()
    assert peace.forks.run(fault(out, "copy", copies=str(copies), log=str(log))).steps[0].status == 0
    left = [copies / f"{call.number}{torn}" for call in calls_of_each_kind(calls(log)) for torn in ("", "-torn")]
    left = [copy for copy in left if copy.exists()]
    assert len(left) > 100
    for copy, done in zip(left, peace.forks.run(*(Step(line(copy)) for copy in left)).steps, strict=True):
        assert done == (0, ""), (copy.name, done)
        assert_same_run(copy, peace.whole)


# Signals


@pytest.mark.slow
@pytest.mark.parametrize("number", SIGNALS)
@pytest.mark.parametrize("delay", [0, 200])
def test_a_signal_at_any_stage(number, delay, peace, tmp_path):
    """Each stage gets one of the four. A run is taken up again after each signal, until it is past the next stage."""
    part = 2 * list(SIGNALS).index(number) + (delay > 0)
    runs, past, interrupted = [tmp_path / "0"], set[str](), 0
    for n, stage in enumerate(list(stages(peace.calls))[part::4]):
        if stage in past:
            runs.append(tmp_path / str(len(runs)))
            past.clear()
        only, log = "" if stage == "the folder" else stage, tmp_path / f"calls-{n}"
        what = {"at": 1, "only": only, "number": int(number), "delay": delay, "log": str(log)}
        begun = (runs[-1] / "config.yaml").exists()
        ended = peace.forks.run(fault(runs[-1], "signal", **what))
        past.update(stages(calls(log)))
        assert stage in past
        if ended.status or not delay:  # it may end before a signal that comes late
            assert ended.status == 128 + number, (stage, ended)
            assert is_line_of(SIGNALS[number], ended.said, runs[-1], begun), (stage, ended)
            interrupted += 1
    assert interrupted
    assert peace.forks.run(*(Step(line(out)) for out in runs)).steps == [(0, "")] * len(runs)
    for out in runs:
        assert_same_run(out, peace.whole)


# Damage


def left_half(peace: Peace, folder: Path) -> Path:
    """A run that was killed in its last round."""
    half = folder / "half"
    assert peace.forks.run(fault(half, "kill", **peace.last("queries.jsonl", "write"))).status == -signal.SIGKILL
    return half


@pytest.mark.slow
@pytest.mark.parametrize("how", HOWS)
def test_any_kind_of_file_of_a_run_is_damaged(how, peace, tmp_path):
    """It is refused in a line and nothing is touched, or set aside for an earlier one, or of no consequence."""
    half = left_half(peace, tmp_path)
    outs = {name: tmp_path / f"{n}" for n, name in enumerate(one_of_each(files(half), kind, HOWS.index(how)))}
    for name, out in outs.items():
        damage(shutil.copytree(half, out) / name, how, seed=name)
    before = {name: unowned(out) for name, out in outs.items()}
    ended = peace.forks.run(*(Step(["--quiet", "--out", str(out), "--resume"]) for out in outs.values()))
    for (name, out), done in zip(outs.items(), ended.steps, strict=True):
        if done.status == 2:
            assert done.said.startswith("bal: error: "), (name, done)
            assert done.said.count("\n") == 1, (name, done)
            assert unowned(out) == before[name]
        else:
            assert done == (0, ""), (name, done)
            assert compared(out, peace.whole).well, name
