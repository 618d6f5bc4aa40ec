"""Runs as processes that can be killed, at the price of what they compute: forks of one that has imported everything.

`python forks.py` reads a line a process, a list of steps in JSON, and answers with its id and, once it has ended, its
status. Each step is a command line of `bal.run`. jax has no threads before it computes, so that forking is safe. No
report is drawn: that takes as long as all the rest.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from disk import compiled, possible, watch
from runs import environment, quick_publish


class Step(NamedTuple):
    """A command line, and what `disk.watch` shall do while it runs."""

    argv: Sequence[str]
    fault: Mapping[str, Any] = {}


class Done(NamedTuple):
    """How a step ended."""

    status: int  # 1 for an exception that nobody has made a line of
    said: str  # on stderr


class Ended(NamedTuple):
    """How a process came to its end."""

    status: int  # negative for a signal, as subprocess has it
    steps: list[Done]  # of those that it came to the end of
    said: str  # on stderr, after them


class Forks:
    """A process whose forks run things."""

    def __init__(self, cache: Path):
        """`cache` is kept between runs: of compiled programs, and of the library that makes disks fail."""
        self._said = cache / f"said-{os.getpid()}"
        env = environment(cache) | ({"LD_PRELOAD": str(compiled(cache))} if possible() else {})
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "bufsize": 1}
        self._process = subprocess.Popen([sys.executable, __file__], env=env, cwd=cache, **pipes)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._asks, self._answers = self._process.stdin, self._process.stdout

    def begin(self, *steps: Step) -> int:
        """Runs steps one after the other in a new process; gives its id."""
        self._asks.write(json.dumps({"steps": steps, "said": str(self._said)}) + "\n")
        return int(self._answers.readline())

    def end(self, pid: int, patience: float = 300.0) -> Ended:
        """Waits until a process has ended.

        Raises:
            TimeoutError: it has not within so many seconds, and was killed.
        """
        late = not self.ended(patience)
        if late:
            os.kill(pid, signal.SIGKILL)
        status = int(self._answers.readline())
        said = self._said.with_suffix(".err").read_text(errors="replace")
        if late:
            raise TimeoutError(f"still running after {patience:g} s: {said}")
        done = self._said.with_suffix(".steps").read_text().splitlines()
        return Ended(status, [Done(*json.loads(line)) for line in done], said)

    def ended(self, patience: float) -> bool:
        """Whether the process ends within so many seconds."""
        return bool(select.select([self._answers], [], [], max(0.0, patience))[0])

    def run(self, *steps: Step) -> Ended:
        """Begins and waits, longer for more steps."""
        return self.end(self.begin(*steps), 300.0 + 60.0 * len(steps))

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *rest: object) -> None:
        self._process.communicate("", timeout=100)


def main() -> None:
    """The process itself."""
    import jax

    import bal.loop
    import bal.report.logs
    import bal.run
    from bal.system import devices

    set_up, bal.loop.publish = devices.set_up_platform, quick_publish
    done = []

    def once() -> None:
        if not done:
            set_up()
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        done.append(True)

    devices.set_up_platform = once
    gc.freeze()  # forks need not look through it
    gc.set_threshold(100_000, 20, 20)
    for line in sys.stdin:
        plan = json.loads(line)
        said = Path(plan["said"])
        pid = os.fork()
        if not pid:
            os._exit(_steps(plan["steps"], said))
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _steps(steps: Sequence[tuple[list[str], dict[str, Any]]], said: Path) -> int:
    import traceback

    from bal.run import main as command
    from bal.system.exit_status import listen

    error, done, status = said.with_suffix(".err"), said.with_suffix(".steps"), 0
    os.dup2(os.open(error, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND), 2)
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    done.write_text("")
    listen()
    for argv, fault in steps:
        if fault:
            watch(**fault)
        try:
            status = command(argv)
        except BaseException:
            traceback.print_exc()
            status = 1
        if fault:
            watch("")
        sys.stderr.flush()
        with open(done, "a") as file:
            file.write(json.dumps([status, error.read_text(errors="replace")]) + "\n")
        os.truncate(error, 0)
    return status


if __name__ == "__main__":
    main()
