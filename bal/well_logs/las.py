"""LAS files as they are in the wild: depths in metres, increasing, and curves with NaN where nothing was measured.

lasio reads the lines of a header, whose forms it knows; sections, encodings and data are read here, since it guesses
at both, reads LAS 3.0 in part and takes seconds over a large or a wrapped file.
"""

from __future__ import annotations

import io
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bal.types import BadInput
from bal.well_logs._las_rows import number, rows
from bal.well_logs._las_text import Section, sections
from bal.well_logs.missing import Missing

METRES = {
    **dict.fromkeys(("M", "METER", "METERS", "METRE", "METRES", "MTR", "MTRS", "MT"), 1.0),
    **dict.fromkeys(("F", "FT", "FEET", "FOOT", "FTUS", "USFT"), 0.3048),
    **dict.fromkeys(("IN", "INCH", "INCHES"), 0.0254),
    **dict.fromkeys((".1IN", "0.1IN", "1IN", "0.1 IN"), 0.00254),  # lasio drops the point
    "CM": 0.01,
    "MM": 0.001,
    "KM": 1000.0,
}
TIMES = ("S", "SEC", "SECONDS", "MS", "MIN", "H", "HR", "HRS", "HOURS", "DAY", "DAYS")
CLOCKS = re.compile(r"(E?TIME?|DATE|TDAY|ETIM)\b")
DELIMITER = re.compile(r"\s*DLM\s*\.\s*([^\s:]*)", re.IGNORECASE)
HALF_FEET = (0.5, 0.25, 1 / 6, 1 / 12)  # steps of tools that count in feet
NAMELESS = ("", "WELL", "WELL NAME", "NAME", "UNKNOWN")


class Las(NamedTuple):
    """Some curves of one file."""

    well: str
    depth: np.ndarray  # [rows] metres, increasing
    value: np.ndarray  # [k, rows] in the units of the file; NaN = missing


def read_las(path: Path, choose: Callable[[Sequence[str]], Sequence[int]], missing: Missing) -> Las:
    """The curves that are chosen.

    Args:
        path: of the file.
        choose: the mnemonics of the file, depth first → the positions of the k curves that are wanted.
        missing: what stands for a missing value, besides what the file declares.

    Raises:
        BadInput: the file is none, lacks what is needed, or what it says can be read in two ways; one line says which.
    """
    parts = sections(path)
    if "C" not in parts or not parts["C"].lines:
        raise BadInput(f"curves: {path} names no curves: it has no ~Curve section; export it again")
    header = _header(path, parts)
    names = [str(c.original_mnemonic).strip("\"' ") for c in header.curves]
    wanted = choose(names)
    well = _well(header, path)
    if "A" not in parts or not parts["A"].lines:
        raise BadInput(f"curves: {path} has no rows of data under ~ASCII; take it away, or export it again")
    text = rows(path, parts["A"], names, (0, *wanted), _delimiter(parts))
    null = _number(_item(header.well, "NULL"))
    depth, *columns = (
        _numbers(path, names[i], text[0], column, missing) for i, column in zip((0, *wanted), text, strict=True)
    )
    value = missing.blank(np.array(columns).reshape(len(wanted), -1), null)
    depth = np.array(depth)
    there = np.isfinite(np.where(depth < 0, missing.blank(depth, null), depth))  # 999.25 and 0 are depths
    depth, value = depth[there], value[:, there]
    if not depth.size:
        raise BadInput(f"curves: {path} has no rows of data with a depth; take it away, or export it again")
    if depth[0] > depth[-1]:  # logged upwards
        depth, value = depth[::-1], value[:, ::-1]
    return Las(well, depth * _unit(path, header, names[0], depth), value)


def _header(path: Path, parts: dict[str, Section]) -> Any:
    """A `lasio.LASFile` without data; every line of the curves is in it."""
    try:
        import lasio
    except ImportError:
        raise BadInput(f"curves: reading {path} needs lasio; install it with: pip install 'bal[las]'") from None
    titles = {"V": "~Version", "W": "~Well", "C": "~Curve"}
    lines = [line for k in titles if k in parts for line in (titles[k], *parts[k].lines)]
    lines = [line for line in lines if not DELIMITER.match(line)]  # lasio knows three
    try:
        with _quiet():
            header = lasio.read(io.StringIO("\n".join(lines) + "\n"), ignore_data=True, ignore_header_errors=True)
    except Exception as error:
        raise BadInput(
            f"curves: {path} cannot be read as LAS ({' '.join(str(error).split())}); export it again"
        ) from None
    if len(header.curves) != len(parts["C"].lines):
        raise BadInput(
            f"curves: {path} has {len(parts['C'].lines)} lines in its ~Curve section, of which {len(header.curves)} can"
            " be read as a mnemonic, its unit and a colon; export it again"
        )
    return header


@contextmanager
def _quiet() -> Iterator[None]:
    """Nothing that lasio logs or warns of reaches the user, who can do nothing about it."""
    log = logging.getLogger("lasio")  # of which its modules' loggers are children
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _delimiter(parts: dict[str, Section]) -> str:
    """What the header says separates values; empty where it does not."""
    found = [match[1] for line in parts["V"].lines if (match := DELIMITER.match(line))] if "V" in parts else []
    return found[0] if found else ""


def _item(section: Any, name: str, what: str = "value") -> str:
    return str(getattr(section[name], what)).strip() if name in section else ""


def _number(text: str) -> float | None:
    try:
        return number(text)
    except ValueError:
        return None


def _well(header: Any, path: Path) -> str:
    """Its name; LAS 1.2 has it after the colon, and not all that call themselves 2.0 have it before."""
    for what in ("value", "descr"):
        name = " ".join(_item(header.well, "WELL", what).split())
        if name.upper() not in NAMELESS:
            return name
    return path.stem


def _numbers(path: Path, name: str, depth: list[str], column: list[str], missing: Missing) -> list[float]:
    try:
        if not any("_" in text for text in column):
            return list(map(float, column))
    except ValueError:
        pass
    values = []
    for i, text in enumerate(column):
        if missing.is_word(text):
            values.append(float("nan"))
            continue
        try:
            values.append(number(text))
        except ValueError:
            raise BadInput(
                f"curves: {path} has text in {name}: {text[:40]!r} at a depth of {depth[i]}; give curves of numbers"
            ) from None
    return values


def _unit(path: Path, header: Any, name: str, depth: np.ndarray) -> float:
    """Metres in the file's unit of depth: of its curve, else of STRT, STOP and STEP, else by name and step.

    Raises:
        BadInput: the index is no depth, or its unit is none that is known, or there are two and both may be meant.
    """
    own = _item(header.curves, header.curves[0].mnemonic, "unit").upper().rstrip(". ") or _in_name(name)
    others = {_item(header.well, k, "unit").upper().rstrip(". ") for k in ("STRT", "STOP", "STEP")} - {""}
    unit = own or min(others, default="")
    if unit in TIMES or CLOCKS.match(name.upper()):
        raise BadInput(f"curves: {path} is indexed by time ({name}, {unit or 'no unit'}); give a log over depth")
    if not unit:
        step = float(np.median(np.diff(depth))) if depth.size > 1 else 0.0
        return METRES["FT"] if np.isclose(step, HALF_FEET, rtol=2e-3).any() else METRES["M"]
    if unit not in METRES:
        raise BadInput(f"curves: the depth of {path} is in {unit!r}, which is neither metres nor feet; write M or FT")
    start = _number(_item(header.well, "STRT"))
    for other in sorted(others & METRES.keys()):
        if METRES[other] != METRES[unit] and start is not None and np.isclose(start, (depth[0], depth[-1])).any():
            raise BadInput(
                f"curves: {path} says {unit} for its curve of depth and {other} for STRT, and both begin at {start:g};"
                " correct the one that is wrong"
            )
    return METRES[unit]


def _in_name(name: str) -> str:
    """DEPT_M, DEPTH(FT) → M, FT; empty where a name says nothing of its unit."""
    match = re.search(r"[_( \[]([A-Z]+)[)\]]?$", name.upper())
    return match[1] if match and match[1] in METRES else ""
