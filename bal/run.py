"""`python -m bal.run`: the command line, its platform settings, what it shows, and its exit status.

0 when the run is complete, 2 for anything a person can mend (one or two lines say what), 3 while questions wait for
answers, 130 when interrupted.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence

from bal.experiment.events import Waiting
from bal.types import BadInput


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one experiment from a command line; returns the exit status."""
    try:
        return _run(argv)
    except BadInput as error:
        return _fail(str(error))
    except Waiting as waiting:
        print(f"bal: {waiting}, or --close to let the open ones go", file=sys.stderr)
        return 3
    except FloatingPointError as error:
        return _fail(f"training failed: {error}")
    except MemoryError:
        return _fail("out of memory: choose a smaller train.patch, train.batch or net.width")
    except KeyboardInterrupt:
        below = "\n" if sys.stderr.isatty() else ""  # the ^C that the terminal shows
        print(f"{below}bal: interrupted; --resume goes on from the last complete round", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our lines, such as `head`, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            where = f" ({error.filename})" if error.filename else ""
            return _fail(f"the disk is full{where}; free some space and --resume")
        return _fail(f"{error.filename or 'the system'}: {error.strerror or error}")


def _run(argv: Sequence[str] | None) -> int:
    from bal import devices
    from bal.config.dump import differences
    from bal.config.resolve import load, parse

    command = parse(argv)
    stored = command.out / "config.yaml"
    if command.resume and stored.is_file():
        changed = differences(load(stored), command.config)
        if changed:
            raise BadInput(
                f"{command.out} was run with another configuration ({'; '.join(changed)}); choose another --out"
            )
    devices.set_up_platform()
    from bal.loop import run_loop
    from bal.report.terminal import Display

    with Display(command.config, command.out, command.quiet, command.resume) as display:
        for record in run_loop(
            command.config,
            command.out,
            resume=command.resume,
            overwrite=command.overwrite,
            close=command.close,
            watch=display.watch,
        ):
            display.record(record)
    return 0


def _fail(message: str) -> int:
    print(f"bal: error: {message}", file=sys.stderr)
    return 2


def program() -> None:
    """The command line as a process. An interrupted one ends at once: tearing down what still computes can crash."""
    status = main()
    if status == 130:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    program()
