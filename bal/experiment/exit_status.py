"""What a program of ours leaves its process with, and the one or two lines that say why.

0 when it is done, 2 for anything a person can mend, 3 while questions wait for answers, 130 when interrupted.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable

from bal.experiment.events import Waiting
from bal.outside import shown
from bal.types import BadInput

DONE, WRONG, WAITS, INTERRUPTED = 0, 2, 3, 130


class Interrupts:
    """A context in which Ctrl-C is not lost: raised where Python cannot stop, such as in a callback of the compiler, an
    interrupt is printed and forgotten, so `check` raises it again."""

    def __init__(self) -> None:
        self.came = False

    def check(self) -> None:
        """Raises KeyboardInterrupt if one has come."""
        if self.came:
            raise KeyboardInterrupt

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *rest: object) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *rest: object) -> None:
        self.came = True
        raise KeyboardInterrupt


def exit_status(program: Callable[[], object]) -> int:
    """Runs a program and says on stderr, in a line, what has kept it from its end."""
    try:
        program()
    except BadInput as error:
        return _fail(str(error))
    except Waiting as waiting:
        print(f"bal: {shown(waiting)}, or --resume --close to let the open ones go", file=sys.stderr)
        return WAITS
    except FloatingPointError as error:
        return _fail(f"training failed: {error}")
    except MemoryError:
        return _fail("out of memory: choose a smaller train.patch, train.batch or net.width")
    except KeyboardInterrupt:
        below = "\n" if sys.stderr.isatty() else ""  # the ^C that the terminal shows
        print(f"{below}bal: interrupted; --resume goes on from the newest checkpoint", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our lines, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" ({error.filename})" if error.filename else ""
            return _fail(f"the disk is full{where}; free some space and --resume")
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}")
    return DONE


def leave(status: int) -> None:
    """Ends the process. An interrupted one ends at once: tearing down what still computes can crash."""
    if status == INTERRUPTED:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _fail(message: str) -> int:
    print(f"bal: error: {shown(message)}", file=sys.stderr)
    return WRONG
