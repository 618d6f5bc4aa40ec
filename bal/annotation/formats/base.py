"""What a file format for other annotation tools must do: one file each, one line each in `FORMATS`.

What goes out are crops with their surroundings, not pages; what comes back is taken by one rule for all formats
(`bal.annotation.take`), so that a format only says what a file holds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np

from bal.annotation.entries import Entry


class Task(NamedTuple):
    """One question on its way out."""

    entry: Entry  # its id, classes, score, and with `inside` where the asked box lies in the view
    view: np.ndarray  # uint8 [h, w, 3], the box with its surroundings, which are dimmed
    prefill: np.ndarray | None  # uint8 [h, w] of the view, 0 outside the box: what a model would draw; None: nothing
    score: float | None  # None also where nobody may know it


class Imported(NamedTuple):
    """One answer as a file has it. What a file does not answer is not among them."""

    id: str  # as the file has it, asked or not
    label: (
        np.ndarray | None
    )  # integers [h, w] of the view, IGNORE where unsure, 0 where nothing was drawn; None: skipped
    by: str | None = None  # whom the file names
    seconds: float | None = None


class Format(Protocol):
    """A way to and from another program; an entry of `FORMATS`."""

    def write(self, tasks: Sequence[Task], classes: tuple[str, ...], out: Path) -> None:
        """Writes questions, their pictures and predictions into the empty folder `out`."""
        ...

    def recognises(self, export: Path) -> bool:
        """Whether a file or folder looks like an export of this format. Raises nothing."""
        ...

    def read(self, export: Path, asked: Mapping[str, Entry], classes: tuple[str, ...]) -> list[Imported]:
        """What was answered.

        Args:
            export: a file or folder that `recognises` knows, or that the user says is one.
            asked: every question by id; for sizes, and for formats that name a picture rather than an id.
            classes: names, background first.

        Raises:
            BadInput: the file is damaged, or names a class that there is not; in one line, with the file and the place.
        """
        ...
