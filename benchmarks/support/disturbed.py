"""Runs that are disturbed in every way, and what they have come to; with the library that the tests use."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).parents[2] / "tests"))

from disk import calls
from forks import Done, Forks, Step
from harm import compared, damage, files, lines, stages, state, unowned
from runs import FLAGS, is_line_of
from test_refusals import WORDS, odd_things, words

SIGNALS = {signal.SIGINT: "bal: interrupted", signal.SIGTERM: "bal: terminated"}


class Bench:
    """The undisturbed run, and others beside it."""

    def __init__(self, forks: Forks, folder: Path, seed: int):
        self.forks, self.folder, self.seed = forks, folder, seed
        self.whole, log = self.folder / "whole", self.folder / "calls.log"
        self.length = 0.0  # seconds of a run, nothing to compile
        for _ in range(2):
            shutil.rmtree(self.whole, ignore_errors=True)
            began = time.monotonic()
            fault = {"folder": str(self.whole), "log": str(log)}
            assert self.forks.run(Step(self.line(self.whole), fault)).status == 0
            self.length = time.monotonic() - began
        self.calls = calls(log)

    def line(self, out: Path) -> list[str]:
        """The command that begins a run or goes on with it."""
        return [*FLAGS, "--quiet", "--out", str(out), "--resume"]

    def fault(self, out: Path, how: str, **more: Any) -> Step:
        """The same, and what befalls it."""
        return Step(self.line(out), {"folder": str(out), "how": how, **more})

    def fresh(self, name: str) -> Path:
        """A place where there is nothing."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        return self.folder / name

    def random(self, *case: Any) -> random.Random:
        """Draws of one case."""
        return random.Random(repr((self.seed, *case)))

    def came_to(self, out: Path, done: Done) -> dict[str, Any]:
        """What a run that was taken up again has come to."""
        found = compared(out, self.whole)._asdict()
        return found if done == (0, "") else {**found, "same": False, "failed": done.said[-500:], "status": done.status}


def refused(done: Done) -> bool:
    """Whether it has ended with a line that says why."""
    return done.status == 2 and done.said.startswith("bal: error: ") and done.said.count("\n") == 1


def kill(bench: Bench, cases: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Runs that are killed at one random instant after another, until they end before the next."""
    for case in cases:
        out, rng, killed = bench.fresh("killed"), bench.random("kill", case), []
        while True:
            after = bench.length * rng.random()
            pid = bench.forks.begin(Step(bench.line(out)))
            if not bench.forks.ended(after):
                os.kill(pid, signal.SIGKILL)
            ended = bench.forks.end(pid)
            if ended.status != -signal.SIGKILL:
                yield {"killed": killed, "length": bench.length, **bench.came_to(out, ended.steps[0])}
                break
            killed.append([round(after, 3), lines(out)])


def cut_states(bench: Bench) -> list[str]:
    """What kills leave: of each call the folder before it, and of each write in its middle; each state once."""
    copies, out = bench.fresh("copies"), bench.fresh("copied")
    copies.mkdir()
    assert bench.forks.run(bench.fault(out, "copy", copies=str(copies))).status == 0
    found: dict[str, str] = {}
    for copy in sorted(copies.iterdir()):
        if found.setdefault(state(copy), copy.name) != copy.name:
            shutil.rmtree(copy)
    return sorted(found.values())


def cut(bench: Bench, cases: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Runs that were killed at a call."""
    outs = [bench.folder / "copies" / case for case in cases]
    for out, done in zip(outs, bench.forks.run(*(Step(bench.line(out)) for out in outs)).steps, strict=True):
        yield bench.came_to(out, done)


def full(bench: Bench, cases: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Runs on a disk that is full from one call on, and later is not."""
    outs = [bench.fresh(f"full-{n}") for n in range(len(cases))]
    pairs = [(bench.fault(out, "full", at=at), Step(bench.line(out))) for out, at in zip(outs, cases, strict=True)]
    steps = bench.forks.run(*(step for pair in pairs for step in pair)).steps
    for out, then, now in zip(outs, steps[::2], steps[1::2], strict=True):
        well = then == (0, "") or (refused(then) and "the disk is full" in then.said)
        yield bench.came_to(out, now) if well else {"failed": then.said[-500:], "status": then.status}


def signal_cases(bench: Bench) -> list[list[Any]]:
    """Every stage, the number of its first call, the signal and milliseconds from there."""
    found = stages(bench.calls)
    return [[s, call.number, int(n), ms] for s, call in found.items() for n in SIGNALS for ms in (0, 333)]


def interrupted(bench: Bench, cases: Sequence[list[Any]]) -> Iterator[dict[str, Any]]:
    """Runs that get a signal."""
    for _, at, number, delay in cases:
        out = bench.fresh("signal")
        ended = bench.forks.run(bench.fault(out, "signal", at=at, number=number, delay=delay))
        well = ended.status == 128 + number and is_line_of(SIGNALS[signal.Signals(number)], ended.said, out)
        if well or (ended.status, ended.said) == (0, ""):
            yield bench.came_to(out, bench.forks.run(Step(bench.line(out))).steps[0])
        else:
            yield {"failed": ended.said[-500:], "status": ended.status}


def left_half(bench: Bench) -> Path:
    """A run that was left in its last round."""
    out = bench.fresh("half")
    ledger = {"only": "/queries.jsonl", "named": "write"}
    at = sum(call.path == ledger["only"] and call.name == ledger["named"] for call in bench.calls)
    assert bench.forks.run(bench.fault(out, "kill", at=at, **ledger)).status == -signal.SIGKILL
    return out


def flips(bench: Bench) -> list[list[Any]]:
    """The number of every file of such a run, whose names are new each time, and what is done to it."""
    return [[number, how] for number in range(len(files(left_half(bench)))) for how in ("flip", "insert")]


def damaged(bench: Bench, cases: Sequence[list[Any]]) -> Iterator[dict[str, Any]]:
    """Runs of which a file was damaged while nobody ran them."""
    outs = [bench.fresh(f"damaged-{n}") for n in range(len(cases))]
    names = list(files(bench.folder / "half"))
    for out, (number, how) in zip(outs, cases, strict=True):
        damage(shutil.copytree(bench.folder / "half", out) / names[number], how, (bench.seed, number))
    before = [unowned(out) for out in outs]
    steps = bench.forks.run(*(Step(["--quiet", "--out", str(out), "--resume"]) for out in outs)).steps
    for out, was, done in zip(outs, before, steps, strict=True):
        if refused(done):
            yield {"outcome": "refused", "same": unowned(out) == was, "said": done.said.replace(str(out), "RUN")}
        else:
            aside = any("damaged-" in name for name in files(out))
            found = bench.came_to(out, Done(done.status, "" if aside else done.said))
            yield {"outcome": "set aside" if aside else "harmless", **found}


def bad_cases(bench: Bench) -> list[str]:
    """Command lines that no run can be made of, once what they name is there."""
    odd_things(bench.folder / "cache")
    return list(WORDS)


def bad(bench: Bench, cases: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Tries them."""
    before = set(os.listdir(bench.folder / "cache"))
    for done in bench.forks.run(*(Step(words(case)) for case in cases)).steps:
        same = refused(done) and set(os.listdir(bench.folder / "cache")) == before
        yield {"same": same} if same else {"failed": done.said[-500:], "status": done.status}
