"""What is said of every style of image, where the source knows them and has a test set: columns, and a file a round."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from pathlib import Path

from bal.annotation.journal import write_whole
from bal.experiment.setup import Setup
from bal.metrics import styles
from bal.metrics.tally import Tally
from bal.sources.base import HasStyles, Source

Table = Mapping[str, Mapping[str, float]]  # by style, then by column: `metrics.styles.by_style`


def known(source: Source) -> bool:
    """Whether something is said of styles at all."""
    return isinstance(source, HasStyles) and bool(source.test)


def split(setup: Setup, each: Tally | None) -> styles.Styled | None:
    """The sums of every test image, [N, …], by its style; None where nothing is said of styles."""
    source = setup.source
    if each is None or not isinstance(source, HasStyles) or not known(source):
        return None
    test, pool = ([source.style(id) for id in ids] for ids in (source.test, source.pool))
    return styles.split(each, test, pool, source.styles)


def columns(setup: Setup, each: Tally) -> dict[str, float]:
    """Columns of curve.csv; none where nothing is said of styles."""
    found = split(setup, each)
    return {} if found is None else styles.columns_of(found, setup.source.classes)


def table(setup: Setup, each: Tally | None) -> Table:
    """Every metric of every style; empty where nothing is said of styles."""
    found = split(setup, each)
    return {} if found is None else styles.by_style(found, setup.source.classes)


def path_of(folder: Path, round: int) -> Path:
    """The file of one round."""
    return folder / f"round-{round:02d}.csv"


def write(folder: Path, round: int, found: Table) -> None:
    """Writes the file of one round, whole, a line a style; the same again after a kill."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["style", *next(iter(found.values()))])
    for style, row in found.items():
        out.writerow([style, *(f"{v:.9g}" for v in row.values())])
    folder.mkdir(exist_ok=True)
    write_whole(path_of(folder, round), text.getvalue())


def read(folder: Path, round: int) -> dict[str, dict[str, float]]:
    """The inverse of `write`.

    Raises:
        OSError: there is no such file.
    """
    rows = csv.DictReader(io.StringIO(path_of(folder, round).read_text(encoding="utf-8"), newline=""))
    return {row.pop("style"): {column: float(value) for column, value in row.items()} for row in rows}
