"""A disk that fills, or a kill, while people are asked and answer: nothing is lost, and the run buys the same.

What is counted is every call that changes `questions.jsonl` or `answers.jsonl`, see `disk.py`.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest
from disk import calls, possible
from forks import Step
from runs import FLAGS, curve

from bal.annotation.inbox import Inbox

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not possible(), reason="needs Linux and a C compiler")]


def line(out: Path) -> list[str]:
    """The command that begins a run that asks people, or goes on with it."""
    short = ["--rounds", "1", "--budget", "20", "--quiet", "--annotator", "later:Prompt"]
    return [*FLAGS, *short, "--out", str(out), "--resume"]


def fault(out: Path, **more: Any) -> Step:
    """The same, with something that befalls it."""
    return Step(line(out), {"folder": str(out), **more})


@pytest.mark.parametrize("only", ["/questions.jsonl", "/answers.jsonl"])
def test_a_disk_that_fails_while_people_are_asked_and_answer(only, forks, tmp_path):
    """At the first and the last call of each kind: of questions, as they are asked and as the purchase is closed."""
    whole, log = tmp_path / "whole", tmp_path / "calls"
    assert forks.run(fault(whole, how="nothing", log=str(log))).steps == [(0, "")]
    names = [call.name for call in calls(log) if call.path.endswith(only) and call.fills]
    assert {"write", "fsync"} <= set(names)
    cases = [{"named": name, "how": "full", "at": 1} for name in sorted(set(names))]
    cases += [{"named": name, "how": "once", "at": names.count(name)} for name in sorted(set(names))]
    outs = [tmp_path / str(n) for n in range(len(cases))]
    plan = [(fault(out, only=only, **case), Step(line(out))) for out, case in zip(outs, cases, strict=True)]
    done = forks.run(*(step for pair in plan for step in pair)).steps
    for case, full, resumed in zip(cases, done[::2], done[1::2], strict=True):
        assert full.status == 2, (case, full)
        assert full.said.startswith("bal: error: the disk is full ("), (case, full)
        assert full.said.endswith("; free some space and --resume\n"), (case, full)
        assert full.said.count("\n") == 1, (case, full)
        assert resumed == (0, ""), case
    torn = tmp_path / "torn"
    ended = forks.run(fault(torn, how="torn", only=only, named="write", at=names.count("write")))
    assert (ended.status, ended.steps) == (-signal.SIGKILL, [])
    assert forks.run(Step(line(torn))).steps == [(0, "")]
    for out in (*outs, torn):
        assert (out / "queries.jsonl").read_bytes() == (whole / "queries.jsonl").read_bytes()
        assert curve(out) == curve(whole)
        assert len(Inbox(out).replies()) == len(Inbox(whole).replies()), "nobody had to answer twice"
