"""`python -m bal.report RUN …`: the page of a run, again, from its folder; it may still go on, wait, or be dead."""

from __future__ import annotations

from bal.system.exit_status import exit_status, leave, listen

if __name__ == "__main__":
    listen()  # before what takes seconds to import

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bal.config.usage import option, read
from bal.experiment.checkpoint import quiet
from bal.report.publish import republish
from bal.system import devices
from bal.system.outside import shown
from bal.types import BadInput

PROGRAM = "python -m bal.report"


@dataclass(frozen=True)
class Settings:
    """Writes report.html and reliability.png of runs again, from what is in their folders; changes nothing else."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional, option("RUN …")]
    """Folders of runs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the pages that a command line names; returns the exit status."""
    return exit_status(lambda: _publish(read(Settings, argv, PROGRAM)))


def _publish(settings: Settings) -> None:
    if not settings.runs:
        raise BadInput(f"missing: RUN; see {PROGRAM} --help")
    quiet()
    devices.set_up_platform()
    for run in settings.runs:
        print(shown(republish(run)))


if __name__ == "__main__":
    leave(main())
