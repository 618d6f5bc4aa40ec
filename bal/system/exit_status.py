"""What a program of ours leaves its process with, and the one or two lines that say why.

0 when it is done, 1 when whoever read its lines has gone, 2 for anything a person can mend, 3 while questions wait for
answers, 130 when interrupted, 143 when terminated.

Every file is whole at every instant, so a signal ends a program at once, wherever it is: in an import, in a compiler
that would hold it up for seconds, or in a callback that would swallow an exception. That needs a thread of its own, and
that nothing heavy is imported here.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

DONE, WRONG, WAITS, INTERRUPTED, TERMINATED = 0, 2, 3, 130, 143
ENDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
NARROWEST = 20  # columns: fewer, and help is laid out for ever
FULL = (errno.ENOSPC, errno.EDQUOT)  # what a full disk says
NO_ROOM = (*FULL, errno.EFBIG)  # and whoever may write no more
PATIENCE = 2.0  # seconds for whoever wants to close something first
GOES_ON = "; --resume goes on from the newest checkpoint"

_on_signal: list[Callable[[], object]] = []
_advice: Callable[[], str] = str  # how the line of a signal ends


@contextmanager
def on_signal(close: Callable[[], object]) -> Iterator[None]:
    """A context in which a signal that ends the program calls this first."""
    _on_signal.append(close)
    try:
        yield
    finally:
        _on_signal.remove(close)


def advise(advice: Callable[[], str]) -> None:
    """From now on the line of a signal ends with what this gives."""
    global _advice
    _advice = advice


def listen() -> None:
    """From now on SIGINT and SIGTERM end this process with a line and 130 or 143; the second of them, instantly."""
    open_streams()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in ENDS:
        signal.signal(number, lambda *rest: None)  # so that the number arrives at the pipe
    threading.Thread(target=_wait, args=(reader,), name="signals", daemon=True).start()


def unlisten() -> None:
    """From now on ^C is an exception again, and SIGTERM ends the process."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def open_streams() -> None:
    """From now on this process can print, though its streams are closed, as a daemon's, or know few letters."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  (until the process ends)
        elif name == "stdout":
            stream.reconfigure(errors="replace")
    if (columns := os.environ.get("COLUMNS", "")).isdecimal() and int(columns) < NARROWEST:
        os.environ["COLUMNS"] = str(NARROWEST)


def _wait(reader: int) -> None:
    number = _next(reader)
    threading.Thread(target=_end, args=(number,), name="end", daemon=True).start()
    os._exit(128 + _next(reader))


def _next(reader: int) -> int:
    while (number := os.read(reader, 1)[0]) not in ENDS:
        pass
    return number


def _end(number: int) -> NoReturn:
    said = threading.Thread(target=_close, name="closing", daemon=True)
    said.start()
    said.join(PATIENCE)
    below = "\n" if os.isatty(2) else ""  # the ^C that the terminal shows
    with suppress(OSError):
        os.write(2, f"{below}bal: {ENDS[signal.Signals(number)]}{_advice()}\n".encode())
    os._exit(128 + number)


def _close() -> None:
    for close in reversed(_on_signal):
        with suppress(Exception):
            close()
    with suppress(Exception):
        sys.stdout.flush()


def exit_status(program: Callable[[], object], goes_on: bool = False) -> int:
    """Runs a program and says on stderr, in a line, what has kept it from its end.

    Args:
        program: what it does.
        goes_on: whether `--resume` is how it would go on.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # that it cannot keep its caches is no news
    try:
        program()
    except KeyboardInterrupt:
        print(f"bal: interrupted{_advice()}", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our lines, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except MemoryError:
        return _fail("out of memory: choose a smaller train.patch, train.batch or net.width")
    except OSError as error:
        return _fail(_refused(error, goes_on))
    except FloatingPointError as error:
        return _fail(f"training failed: {error}")
    except Exception as error:
        return _told(error)
    return DONE


def _refused(error: OSError, goes_on: bool) -> str:
    """What the machine would not do, and what helps."""
    again = "--resume" if goes_on else "try again"
    if error.errno in FULL:
        what = f"the disk is full ({error.filename})" if error.filename else "no room for what is written or printed"
        return f"{what}; free some space and {again}"
    if error.errno == errno.EFBIG:
        what = error.filename or "a file"
        return f"{what} is larger than this process may write: raise the limit (ulimit -f) and {again}"
    return f"{error.filename or 'the system'}: {error.strerror or error}"


def _told(error: Exception) -> int:
    """The status of an exception of ours; raises any other."""
    if isinstance(error, ValueError) and "invalid truth value" in str(error):  # jax cannot be imported
        print(f"bal: error: JAX cannot begin: {error}", file=sys.stderr)
        return WRONG
    from bal.system.outside import shown_lines  # not sooner: see above
    from bal.types import BadInput, Waiting

    if isinstance(error, BadInput):
        return _fail(str(error))
    if isinstance(error, Waiting):
        print(f"bal: {shown_lines(error)}\n     (with --close it lets the open ones go)", file=sys.stderr)
        return WAITS
    raise error


def leave(status: int) -> None:
    """Ends the process; unless all is done, at once: what still computes can crash, and what has failed, never end."""
    if status == DONE:
        sys.exit(status)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(status)


def _fail(message: str) -> int:
    from bal.system.outside import shown

    with suppress(OSError):  # nobody can be told
        print(f"bal: error: {shown(message)}", file=sys.stderr, flush=True)
    return WRONG
