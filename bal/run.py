"""`python -m bal.run`: the command line. What its exit status means is in `bal/system/exit_status.py`."""

from __future__ import annotations

from collections.abc import Sequence

from bal.system.exit_status import GOES_ON, advise, exit_status, leave, listen, on_signal


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one experiment from a command line; returns the exit status."""
    return exit_status(lambda: _run(argv), goes_on=True)


def _run(argv: Sequence[str] | None) -> None:
    # Here, for signals are heard while this is imported.
    from bal.config.resolve import parse
    from bal.experiment.checkpoint import quiet
    from bal.experiment.events import Event
    from bal.experiment.folder import RunFolder
    from bal.loop import run_loop
    from bal.report.logs import Logs
    from bal.report.terminal import Display
    from bal.system import devices

    command = parse(argv)
    begun = RunFolder(command.out).config
    advise(lambda: GOES_ON if begun.exists() else "")
    quiet()
    logs = Logs(command.log, command.out)
    devices.set_up_platform()
    with (
        Display(command.config, command.out, command.quiet, command.resume) as display,
        logs,
        on_signal(display.progress.stop),
        on_signal(lambda: logs.__exit__(KeyboardInterrupt)),
    ):

        def watch(event: Event) -> None:
            display.watch(event)
            logs.watch(event)

        for record in run_loop(
            command.config,
            command.out,
            resume=command.resume,
            overwrite=command.overwrite,
            close=command.close,
            accept_changes=command.accept_changes,
            watch=watch,
        ):
            display.record(record)
            display.note(logs.update())
        display.note(logs.update())


def program() -> None:
    """The command line as a process."""
    listen()
    leave(main())


if __name__ == "__main__":
    program()
