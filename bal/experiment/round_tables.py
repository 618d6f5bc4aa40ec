"""Tables that a run keeps beside its curve: of each kind a folder, a file a round, the same again after a kill."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from bal.system.files import write_whole


def path_of(folder: Path, round: int) -> Path:
    """The file of one round."""
    return folder / f"round-{round:02d}.csv"


def write(folder: Path, round: int, columns: Sequence[str], lines: Iterable[Mapping[str, object]]) -> None:
    """Writes the file of one round; a float is written with nine digits, what a line lacks is empty."""
    text = io.StringIO()
    out = csv.DictWriter(text, columns, lineterminator="\n")
    out.writeheader()
    for line in lines:
        out.writerow({name: f"{v:.9g}" if isinstance(v, float) else v for name, v in line.items()})
    folder.mkdir(exist_ok=True)
    write_whole(path_of(folder, round), text.getvalue())


def read(folder: Path, round: int) -> list[dict[str, str]]:
    """The lines of one round, as they were written.

    Raises:
        OSError: there is no such file.
        ValueError: it is none of these.
    """
    return list(csv.DictReader(io.StringIO(path_of(folder, round).read_text(encoding="utf-8"), newline="")))
