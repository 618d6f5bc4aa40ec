"""`python -m bal.report RUN …`: the page of a run, again, from its folder; it may still go on, wait, or be dead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bal.devices import set_up_platform
from bal.report.publish import republish


@dataclass(frozen=True)
class Settings:
    """Writes report.html and reliability.png of runs, from what is in their folders."""

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of runs."""


def main() -> None:
    """The command line as a process."""
    settings = tyro.cli(Settings, prog="python -m bal.report")
    set_up_platform()
    for run in settings.runs:
        print(republish(run))


if __name__ == "__main__":
    main()
