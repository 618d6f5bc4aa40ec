"""What is said of every style of image, where the source knows them and has a test set: columns, and a file a round."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bal.experiment import round_tables
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


def write(folder: Path, round: int, found: Table) -> None:
    """Writes the table of one round, a line a style."""
    columns = ["style", *next(iter(found.values()))]
    round_tables.write(folder, round, columns, ({"style": style, **row} for style, row in found.items()))


def read(folder: Path, round: int) -> dict[str, dict[str, float]]:
    """The inverse of `write`.

    Raises:
        OSError: there is no such file.
    """
    return {
        line.pop("style"): {column: float(value) for column, value in line.items()}
        for line in round_tables.read(folder, round)
    }
