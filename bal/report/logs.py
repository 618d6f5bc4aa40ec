"""Feeds the sinks of a run (`--log`) with its events and with the rows of its curve.csv."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from contextlib import suppress
from operator import attrgetter
from pathlib import Path

from bal.config.extensions import nearest
from bal.experiment.events import Event
from bal.experiment.folder import RunFolder
from bal.report.sinks import SINKS
from bal.report.sinks.base import Sink
from bal.types import BadInput, Waiting


class Logs:
    """The sinks of one run, a context around it: `watch` goes to `run_loop`, `update` follows each record.

    What is logged is what curve.csv holds, so rounds that another process finished, or logged nowhere, are made up
    for. A sink that fails while a run goes on is reported and tried again after the next round; it stops nothing.
    """

    def __init__(self, names: Sequence[str], out: Path):
        """Opens nothing yet.

        Args:
            names: of `SINKS`, or `package.module:Class`.
            out: the run's folder.

        Raises:
            BadInput: there is no such sink, or its package is missing.
        """
        self.folder = RunFolder(out)
        self.sinks = {name: find(name)() for name in dict.fromkeys(names)}
        self._given: dict[str, int] | None = None  # how many rows each sink has been given; None before they are open

    def watch(self, event: Event) -> None:
        """Passes on what is going on.

        Raises:
            BadInput: with the first event, before a step is trained: a sink cannot be used.
        """
        self._open()
        for sink in self.sinks.values():
            sink.event(event)

    def update(self) -> list[str]:
        """Gives the sinks what curve.csv has by now; returns what went wrong, a line each.

        Raises:
            BadInput: a sink cannot be used, and nothing had been said of it yet.
        """
        given = self._open()
        rows = self.folder.rows() if self.sinks else []
        troubles = []
        for name, sink in self.sinks.items():
            try:
                for row in rows[given[name] :]:
                    newest = row is rows[-1] and self.folder.diagrams.exists()
                    sink.record(row, [self.folder.diagrams] if newest else [])
                    given[name] += 1
            except Exception as error:  # of a disk, a server or somebody's extension: the run itself is well
                line = " ".join(str(error).split())[:300]
                troubles.append(f"--log {name} missed round {given[name]} ({type(error).__name__}: {line})")
        return troubles

    def __enter__(self) -> Logs:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        over = kind is None or not issubclass(kind, Waiting)  # what waits for people goes on
        for sink in self.sinks.values() if over and self._given is not None else ():
            with suppress(Exception):  # what it missed has been said
                sink.close(kind is None)

    def _open(self) -> dict[str, int]:
        if self._given is None:
            for name, sink in self.sinks.items():
                sink.open(self.folder.logs / name.rpartition(":")[2])
            self._given = dict.fromkeys(self.sinks, 0)
            self.update()
        return self._given


def find(name: str) -> type[Sink]:
    """The class of a sink.

    Raises:
        BadInput: the name is unknown, or what it stands for cannot be imported or is no sink.
    """
    if name in SINKS:
        return SINKS[name]
    module, _, path = name.partition(":")
    if not path:
        raise BadInput(f"--log: unknown sink '{name}'{nearest(name, SINKS)} choices: {', '.join(SINKS)}")
    try:
        cls = attrgetter(path)(importlib.import_module(module))
    except Exception as error:  # whatever somebody else's module does when it is imported
        line = " ".join(str(error).split())
        raise BadInput(f"--log: '{name}' cannot be loaded: {type(error).__name__}: {line}") from error
    if not (isinstance(cls, type) and issubclass(cls, Sink)):
        raise BadInput(f"--log: '{name}' is no sink: it needs the methods open, event, record and close")
    return cls
