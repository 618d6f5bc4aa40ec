"""`python -m bal.desk RUN --by NAME`: a page on this machine on which people answer."""

from __future__ import annotations

from bal.system.exit_status import exit_status, leave, listen, unlisten

if __name__ == "__main__":
    listen()  # before what takes seconds to import

import getpass
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from bal.annotation.desk.server import serve
from bal.annotation.entries import name_of
from bal.annotation.inbox import open_inbox
from bal.config.usage import option, read
from bal.types import BadInput


@dataclass(frozen=True)
class Settings:
    """Opens the questions of a run in the browser. It may be closed at any time: every answer is kept at once."""

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """The run's folder."""
    by: Annotated[str | None, option("NAME")] = None
    """Who answers; the name of this account unless given."""
    port: Annotated[int, option("PORT")] = 0
    """Where the page is served, on this machine only; any free port unless given."""
    no_open: Annotated[tyro.conf.FlagCreatePairsOff[bool], option()] = False
    """Print the address and open no browser."""


def main(argv: Sequence[str] | None = None) -> int:
    """Serves until it is interrupted; returns the exit status."""
    return exit_status(lambda: _serve(read(Settings, argv, "python -m bal.desk")))


def _serve(settings: Settings) -> None:
    inbox = open_inbox(settings.run)
    server, address = serve(settings.run, _account() if settings.by is None else name_of(settings.by), settings.port)
    print(f"{len(inbox.open())} open questions: {address}", flush=True)
    print("Ctrl-C closes the desk; every answer is kept as it is given", flush=True)
    if not settings.no_open:
        webbrowser.open(address)
    unlisten()
    try:
        server.serve_forever(poll_interval=0.2)
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()


def _account() -> str:
    """The name of this account. Raises BadInput where it has none, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise BadInput("this account has no name: say who answers (--by NAME)") from None


if __name__ == "__main__":
    leave(main())
