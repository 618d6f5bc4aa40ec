"""From sums to numbers: every column of curve.csv that the test images fill, its interval, and what it means.

One set of sums or many at a time: resampled test sets (`bal.metrics.bootstrap`) are measured by the same lines as the
test set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from bal.metrics import bootstrap, families
from bal.metrics.base import Cell, Headline, Tabled
from bal.metrics.bootstrap import INTERVAL
from bal.metrics.detection import SCORES
from bal.metrics.tally import Tally, total, values, zeros
from bal.types import BadInput


def columns_of(each: Tally, classes: tuple[str, ...]) -> dict[str, float]:
    """What the test images say, as columns of curve.csv: every metric, then the intervals of those that have one.

    Args:
        each: tallies of N images, [N, …] (`evaluate.tally_each`).
        classes: the C class names, background first.
    """
    return summary(total(each), classes) | bootstrap.columns(each, classes)


def summary(tally: Tally, classes: tuple[str, ...]) -> dict[str, float]:
    """The metrics of everything tallied, NaN where they are undefined.

    Args:
        tally: a sum of tallies.
        classes: the C class names, background first.

    Returns:
        Every column of every family, in the order of `METRICS`; `meaning` says what each is.

    Raises:
        BadInput: when the class names do not fit the tally or each other.
    """
    measured = len(tally["overlap"].iou_sum)
    if len(classes) != measured:
        raise BadInput(f"{len(classes)} class names {list(classes)} for a tally of {measured} classes")
    columns(classes)
    return {name: float(value) for name, value in values(tally, classes)}


def columns(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Every column that there can be. Raises BadInput for class names that would give two metrics one name."""
    names = [name for name, _ in values(zeros(len(classes), scores=len(SCORES)), classes)]
    ends = [f"{name}{end}" for name in names for end in INTERVAL]
    twice = [name for name, times in Counter(names + ends).items() if times > 1]
    if twice:
        raise BadInput(
            f"class names {list(classes)} give several metrics the name {twice[0]!r}; "
            "make the names differ, and call no class 'foreground', which is all classes but the first"
        )
    return tuple(names)


def meaning(column: str, classes: Sequence[str]) -> str | None:
    """One or two sentences on a column, as plain text; None where it is no metric of the test images."""
    told = {name: text for family in families().values() for name, text in family.meanings(classes).items()}
    if column in told:
        return told[column]
    for end, which in zip(INTERVAL, ("Lower", "Upper"), strict=True):
        if column.endswith(end) and (name := column.removesuffix(end)) in told:
            return f"{which} end of a 95 % bootstrap interval over test images. {told[name]}"
    return None


def cells(classes: Sequence[str]) -> list[Cell]:
    """The columns of the report's class tables, family by family."""
    return [cell for family in families().values() if isinstance(family, Tabled) for cell in family.cells(classes)]


def headlines(classes: Sequence[str]) -> list[Headline]:
    """The columns of the terminal's table, family by family."""
    return [line for family in families().values() if isinstance(family, Tabled) for line in family.headlines(classes)]
