"""What a sink is: somewhere else where people look at runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from bal.experiment.events import Event


@runtime_checkable
class Sink(Protocol):
    """Takes the numbers and the pictures of a run to where people look.

    It is made without arguments, before anything else of a run; that is where it refuses, with a `BadInput` of one
    line, if its package is missing. It reads no configuration and writes nothing of the run's own.
    """

    def open(self, folder: Path) -> None:
        """Begins, or goes on where another process was killed.

        Args:
            folder: where it may keep files; it is deleted with the run.

        Raises:
            BadInput: it cannot be used; nothing has been trained yet.
        """
        ...

    def event(self, event: Event) -> None:
        """Something goes on; called often, so nothing slow is done here."""
        ...

    def record(self, row: Mapping[str, Any], pictures: Sequence[Path]) -> None:
        """A round is over, and durable.

        The same round may come again: after a kill nobody knows whether it had been written down, and a sink that has
        it already does nothing.

        Args:
            row: the line of curve.csv.
            pictures: PNG files that show this round; none where they have been written over since.
        """
        ...

    def close(self, done: bool) -> None:
        """The last call, if the process lives to make it and the run does not wait for people.

        Args:
            done: the run has come to its end; otherwise something has stopped it.
        """
        ...


def numbers(row: Mapping[str, Any]) -> dict[str, float]:
    """The columns of a row that are numbers; NaN stays."""
    return {name: float(value) for name, value in row.items() if isinstance(value, int | float)}
