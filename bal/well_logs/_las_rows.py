"""The rows of a LAS file's data: which character separates them, wrapped or not, whose decimals are commas."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from pathlib import Path

from bal.types import BadInput
from bal.well_logs._las_text import Section

Split = Callable[[str], list[str]]

DELIMITERS = {"SPACE": " ", "COMMA": ",", "TAB": "\t", "SEMICOLON": ";"}
RUN_ON = re.compile(r"(?<=[\d.])-(?=[\d.])")  # 1000.00-999.25: a column too narrow for its sign
COMMA = re.compile(r"[-+]?\d*,\d+(?:[eEdD][-+]?\d+)?")
LOOK = 200  # lines that a guess rests on


def rows(path: Path, data: Section, names: Sequence[str], keep: Sequence[int], declared: str) -> list[list[str]]:
    """Some columns of the data, as text.

    A row is a line, or (wrapped) begins one and goes on over the next. Whether it is wrapped and what separates values
    is read from the data, since headers are wrong about both; what the header declares is tried first.

    Args:
        path: for messages.
        data: the section that holds it.
        names: of all columns.
        keep: which columns, by number.
        declared: what follows DLM in the header, empty where it does not say.

    Returns:
        A list of equal length for each of `keep`.

    Raises:
        BadInput: a line has fewer or more values than there are curves.
    """
    lines, numbers = data.lines, data.numbers
    splits = _splits(lines, declared)
    if lines and any([w.upper() for w in s(lines[0])] == [n.upper() for n in names] for s in splits):
        lines, numbers = lines[1:], numbers[1:]  # below a line of titles
    if not lines:
        return [[] for _ in keep]
    look = lines[:LOOK]
    for split in splits:
        if all(len(split(text)) == len(names) for text in look):
            return _by_line(path, zip(numbers, lines, strict=True), names, keep, split)
    for split in splits:  # a row of these may be anything but one line
        fields = [split(text) for text in lines]
        if len(fields[0]) < len(names) and (wrapped := _by_count(fields, len(names))):
            return [wrapped[i :: len(names)] for i in keep]
    fitting = [sum(len(split(text)) == len(names) for text in look) for split in splits]
    return _by_line(path, zip(numbers, lines, strict=True), names, keep, splits[fitting.index(max(fitting))])


def number(text: str) -> float:
    """A value as LAS files write one: 1.5, 1,5, 1.5E3, 1.5D3.

    Raises:
        ValueError: it is none.
    """
    if "_" in text:  # 1_5 is a number in Python only
        raise ValueError(text)
    try:
        return float(text)
    except ValueError:
        return float(re.sub("[dD]", "E", text.replace(",", ".") if COMMA.fullmatch(text) else text))


def _by_line(
    path: Path, lines: Iterable[tuple[int, str]], names: Sequence[str], keep: Sequence[int], split: Split
) -> list[list[str]]:
    columns = [[] for _ in keep]
    width = len(names)
    for number, text in lines:
        fields = split(text)
        if len(fields) != width:
            fields = _repaired(fields, text, split, width)
            if len(fields) != width:
                raise BadInput(
                    f"curves: line {number} of {path} has {len(fields)} values, and its ~Curve section names"
                    f" {width} curves ({', '.join(names[:8])}{', …' if width > 8 else ''}); export it again"
                )
        for column, i in zip(columns, keep, strict=True):
            column.append(fields[i])
    return columns


def _repaired(fields: list[str], text: str, split: Split, width: int) -> list[str]:
    """A line that ends in its delimiter, or whose numbers touch."""
    if len(fields) == width + 1 and not fields[-1]:
        return fields[:-1]
    apart = split(RUN_ON.sub(" -", text))
    return apart if len(apart) == width else fields


def _by_count(fields: list[list[str]], width: int) -> list[str] | None:
    """Values of wrapped rows in a row; None where one does not begin with a line."""
    fields = [f[:-1] if len(f) > 1 and not f[-1] else f for f in fields]
    starts = {0, *accumulate(map(len, fields))}
    total = max(starts)
    if total % width or any(k not in starts for k in range(0, total, width)):
        return None
    return [value for row in fields for value in row]


def _splits(lines: Sequence[str], declared: str) -> list[Split]:
    """How a line might be taken apart, the likeliest first."""
    look = "\n".join(lines[:LOOK])
    quoted = '"' in look
    order = ["\t", ";", *([" ", ","] if _blanks(look) else [",", " "])]
    named = DELIMITERS.get(declared.upper(), declared)
    order += [named] if len(named) == 1 and named not in order else []
    order = [d for d in order if d == " " or d in look]
    if named in order:
        order.sort(key=lambda d: d != named)
    return [_split(d, quoted) for d in order]


def _blanks(look: str) -> bool:
    """Whether blanks separate the values, and a comma between them belongs to a number."""
    words = look.split()
    with_comma = [w for w in words if "," in w]
    return sum(COMMA.fullmatch(w) is not None for w in with_comma) == len(with_comma) or len(with_comma) < 0.1 * len(
        words
    )


def _split(delimiter: str, quoted: bool) -> Split:
    if delimiter == " ":
        return (lambda text: [w.strip('"') for w in re.findall(r'"[^"]*"|\S+', text)]) if quoted else str.split
    if quoted:
        return lambda text: _quoted(text, delimiter)
    return lambda text: [w.strip() for w in text.split(delimiter)]


def _quoted(text: str, delimiter: str) -> list[str]:
    """The values of a line, some in quotes; all of it, which is none, where a quote does not end."""
    try:
        return [w.strip() for w in next(csv.reader([text], delimiter=delimiter, skipinitialspace=True))]
    except csv.Error:
        return [text]
