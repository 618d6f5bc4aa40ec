"""`python -m bal.query RUN --to FORMAT`: open questions of a run, for another program."""

from __future__ import annotations

from bal.system.exit_status import exit_status, leave, listen

if __name__ == "__main__":
    listen()  # before what takes seconds to import

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bal.annotation.formats import FORMATS, FormatName
from bal.annotation.inbox import Inbox, open_inbox
from bal.annotation.take import give
from bal.config.usage import option, read
from bal.system.outside import shown
from bal.types import BadInput


@dataclass(frozen=True)
class Settings:
    """Writes the open questions of a run for another program, each with its surroundings and the model's prediction."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    to: Annotated[
        FormatName, tyro.conf.arg(metavar="FORMAT", help=f"{', '.join(FORMATS)}; png for any that paints.")
    ] = "png"
    """For which program."""
    share: Annotated[str, tyro.conf.arg(metavar="I/N")] = "1/1"
    """Part I of N, for N people who share the work."""
    out: Annotated[Path | None, option("DIR")] = None
    """A new folder; beside the run, such as RUN-png, or RUN-png-r02 where that is taken, unless given."""


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the package that a command line asks for; returns the exit status."""
    return exit_status(lambda: _give(read(Settings, argv, "python -m bal.query")))


def _give(settings: Settings) -> None:
    found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", settings.share)
    if not found:
        raise BadInput(f"--share {settings.share}: expected I/N, such as 1/3")
    share, inbox = (int(found[1]), int(found[2])), open_inbox(settings.run)
    part = "" if share[1] == 1 else f"-{share[0]}-of-{share[1]}"
    out = settings.out or _beside(inbox, f"{settings.to}{part}")
    given = give(inbox, settings.to, out, share)
    print(shown(f"{len(given)} questions of {settings.run} → {out}"))
    print(shown(f"answers come back with: python -m bal.answer {settings.run} EXPORT --by NAME"))


def _beside(inbox: Inbox, what: str) -> Path:
    """A name beside the run; where an earlier purchase has left its package there, with the number of this one."""
    run = inbox.folder.resolve()
    out = run.with_name(f"{run.name}-{what}")
    newest = inbox.newest()
    return out.with_name(f"{out.name}-r{newest[0].purchase:02d}") if newest and out.exists() else out


if __name__ == "__main__":
    leave(main())
