"""SIGINT and SIGTERM: at once, in one line, whatever a program is at, and nothing is lost."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from runs import FLAGS, ROOT, assert_quiet, assert_same_run, environment, is_line_of, start

from bal.system.exit_status import exit_status

LINES = {signal.SIGINT: "bal: interrupted", signal.SIGTERM: "bal: terminated"}
BUSY = {
    "waiting": "time.sleep(60)",
    "in a library, out of Python's reach": "hashlib.pbkdf2_hmac('sha256', b'', b'', 10**9)",
    "swallowing what is raised": "[swallow() for _ in range(60)]",
    "in a thread": "t = threading.Thread(target=time.sleep, args=(60,)); t.start(); t.join()",
}
PROGRAM = """
import hashlib, os, threading, time
from bal.system.exit_status import advise, listen, on_signal

def swallow():
    try:
        time.sleep(1)
    except BaseException:
        pass

listen()
advise(lambda: "; and this is how to go on")
with on_signal(lambda: print("closed")), on_signal(lambda: {close}):
    print("ready", flush=True)
    {busy}
"""


def program(busy: str, close: str = "None") -> subprocess.Popen:
    """One that has said that it is ready."""
    text = PROGRAM.format(busy=busy, close=close)
    process = subprocess.Popen(
        [sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(0.05)
    return process


def wait_until_it_listens(process: subprocess.Popen) -> None:
    """Until SIGTERM is caught, which a bare interpreter does not do; a while where the system cannot tell."""
    status, until = Path(f"/proc/{process.pid}/status"), time.monotonic() + 50
    if not Path("/proc/self/status").exists():
        time.sleep(1)
        return
    while process.poll() is None and time.monotonic() < until:
        caught = next(line for line in status.read_text().splitlines() if line.startswith("SigCgt:"))
        if int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1:
            return
        time.sleep(0.01)
    pytest.fail("it never listens")


@pytest.mark.parametrize("number", LINES, ids=lambda number: number.name)
@pytest.mark.parametrize("busy", BUSY.values(), ids=BUSY)
def test_a_signal_ends_a_program_with_a_line(busy, number):
    process = program(busy)
    began = time.monotonic()
    process.send_signal(number)
    assert process.communicate(timeout=50) == ("closed\n", f"{LINES[number]}; and this is how to go on\n")
    assert time.monotonic() - began < 20
    assert process.returncode == 128 + number


def test_what_fails_or_hangs_while_it_closes_is_waited_for_a_while():
    process = program("time.sleep(60)", close="1 / 0")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=50) == ("closed\n", "bal: terminated; and this is how to go on\n")
    process = program("time.sleep(60)", close="time.sleep(60)")
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=50) == ("", "bal: terminated; and this is how to go on\n")


def test_the_second_signal_is_instant():
    process = program("time.sleep(60)", close="time.sleep(60)")
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.communicate(timeout=50) == ("", "")
    assert process.returncode == 143


def test_other_signals_end_nothing():
    process = program(
        "signal = __import__('signal'); signal.signal(signal.SIGUSR1, lambda *rest: None); time.sleep(60)"
    )
    process.send_signal(signal.SIGUSR1)
    time.sleep(0.2)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=50) == ("closed\n", "bal: interrupted; and this is how to go on\n")


def test_what_has_failed_waits_for_no_thread():
    """Those of a checkpoint that could not be saved never end."""
    text = """
import threading
from bal.system.exit_status import leave
threading.Thread(target=threading.Event().wait).start()
print("said")
leave(2)
"""
    ended = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert (ended.returncode, ended.stdout, ended.stderr) == (2, "said\n", "")


@pytest.mark.parametrize("module", ["bal.query", "bal.answer", "bal.report"])
def test_commands_hear_signals(module, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", module, str(tmp_path)], env=environment(tmp_path), capture_output=True, timeout=100
    )
    assert done.returncode == 2, "they run at all"


@pytest.mark.parametrize("number", LINES, ids=lambda number: number.name)
@pytest.mark.parametrize("module", ["bal.query", "bal.answer", "bal.report", "bal.desk", "bal.run"])
def test_commands_hear_signals_while_they_are_imported(module, number, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", module, "--help"],
        env=environment(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until_it_listens(process)
    process.send_signal(number)
    assert process.communicate(timeout=50) == (None, f"{LINES[number]}\n")
    assert process.returncode == 128 + number


@pytest.mark.slow
def test_a_run_that_is_interrupted_again_and_again(tmp_path_factory):
    """Signals from the first import to the last report."""
    cache = tmp_path_factory.mktemp("signals")
    flags = [*FLAGS, "--rounds", "3", "--quiet"]
    unbroken = start([*flags, "--out", str(cache / "whole")], cache)
    assert_quiet(unbroken.communicate(timeout=300))
    out, ended = cache / "interrupted", 0
    for n, after in enumerate((0.0, 0.3, 1.0, 2.0, 3.0, 4.5, 6.0, 9.0)):
        process, number = start([*flags, "--out", str(out), "--resume"], cache), list(LINES)[n % 2]
        wait_until_it_listens(process)
        time.sleep(after)
        process.send_signal(number)
        printed = process.communicate(timeout=100)
        if process.returncode == 0:
            break
        assert printed[0] == ""
        assert is_line_of(LINES[number], printed[1], cache / out)
        assert process.returncode == 128 + number
        ended += 1
    assert ended > 3
    assert_quiet(start([*flags, "--out", str(out), "--resume"], cache).communicate(timeout=300))
    assert_same_run(Path(out), cache / "whole")


@pytest.mark.parametrize(
    ("number", "name", "says"),
    [
        (errno.ENOSPC, "a.csv", "the disk is full (a.csv); free some space and --resume"),
        (errno.ENOSPC, None, "no room for what is written or printed; free some space and --resume"),
        (errno.EFBIG, "a.csv", "a.csv is larger than this process may write: raise the limit (ulimit -f) and --resume"),
        (errno.EACCES, "a.csv", "a.csv: Permission denied"),
    ],
)
def test_what_the_machine_would_not_do(number, name, says, capsys):
    def fails():
        raise OSError(number, os.strerror(number), name)

    assert exit_status(fails, goes_on=True) == 2
    assert capsys.readouterr() == ("", f"bal: error: {says}\n")


@pytest.mark.parametrize(
    ("shell", "expected"),
    {
        "no stdout": ('"$@" >&-', 3),
        "no stream": ('"$@" <&- >&- 2>&-', 3),
        "few letters": ('PYTHONUTF8=0 PYTHONIOENCODING=latin-1 "$@"', 3),
        "a terminal of no width": ('COLUMNS=1 "$@" --help', 0),
        "no such backend": ('JAX_PLATFORMS=nonsense "$@"', 2),
        "no accelerator": ('JAX_PLATFORMS=cuda "$@"', 2),
        "no such switch": ('JAX_ENABLE_X64=banana "$@"', 2),
        "other numbers": ('JAX_ENABLE_X64=1 "$@"', 3),
        "nobody to tell": ('"$@" --budget -1 2>/dev/full', 2),
    }.values(),
    ids=[
        "no-stdout",
        "no-stream",
        "few-letters",
        "no-width",
        "no-backend",
        "no-accelerator",
        "no-switch",
        "x64",
        "nobody",
    ],
)
def test_where_a_command_may_find_itself(shell, expected, tmp_path):
    """What cron, a daemon or an old terminal gives it: people are asked, and it ends."""
    argv = [sys.executable, "-m", "bal.run", *FLAGS, "--annotator", "people", "--out", str(tmp_path / "run")]
    line = ["sh", "-c", shell, "sh", *argv]
    ended = subprocess.run(line, env=environment(tmp_path), cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert ended.returncode == expected, ended.stderr
    assert "Traceback" not in ended.stderr
    if expected == 2 and "/dev/full" not in shell:
        assert ended.stderr.count("\n") == 1
