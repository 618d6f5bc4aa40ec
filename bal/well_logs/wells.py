"""Real curves by well, read from LAS files or from one .npz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bal.types import BadInput
from bal.well_logs._npz import NUMBERS, TEXT, WHOLE, read_arrays
from bal.well_logs.curves import Well
from bal.well_logs.las import read_las
from bal.well_logs.missing import Missing, fill_gaps, refuse_outliers
from bal.well_logs.mnemonics import pick

LARGEST = 1e30  # of any depth or value: what is far more than that no float32 can square
NPZ = {"data": NUMBERS, "columns": TEXT, "well": TEXT, "start": WHOLE, "stop": WHOLE}


class Reading(NamedTuple):
    """What is read of a file of curves, and how."""

    columns: tuple[str, str]  # mnemonics of the two curves
    aliases: Mapping[str, tuple[str, ...]] = MappingProxyType(
        {}
    )  # what else they may be called, before the built-in table
    missing: Missing = Missing()


def read_wells(path: Path, reading: Reading) -> list[Well]:
    """Two curves of every well found.

    Args:
        path: an .npz (arrays data [rows, k], columns [k], well [w], start [w], stop [w]; the first column is
            depth), a .las file, or a folder of .las files.
        reading: which curves, and what stands for a missing value.

    Returns:
        One entry a well, in the order of the file, or of the file names; NaN where a curve has no value, in rows of
        their own where depths are missing.

    Raises:
        BadInput: the path, its format or the columns cannot be used, or values are there that cannot be measurements.
    """
    if not path.exists():
        raise BadInput(f"curves: {path} does not exist; give a .las file, a folder of them, or an .npz of wells")
    if path.is_dir():
        files = files_of(path)
        if not files:
            raise BadInput(f"curves: {path} holds no .las file; give a folder of .las files or an .npz of wells")
        return [_read_las(p, reading) for p in files]
    if path.suffix.lower() == ".las":
        return [_read_las(path, reading)]
    if path.suffix.lower() == ".npz":
        return _read_npz(path, reading)
    raise BadInput(f"curves: {path} is neither .las nor .npz; give a .las file, a folder of them, or an .npz")


def files_of(path: Path) -> tuple[Path, ...]:
    """The files that `read_wells` reads, in order."""
    return tuple(sorted(p for p in path.iterdir() if p.suffix.lower() == ".las")) if path.is_dir() else (path,)


def split(
    usable: list[Well], total: int, samples: int, share: float, seed: int, path: Path
) -> tuple[list[Well], list[Well]]:
    """Wells of the pool and wells of the test set; no well is in both.

    Args:
        usable: wells long enough for one image.
        total: wells read, for the message.
        samples: depth samples that one image needs, for the message.
        share: of the wells that go to the test set, at least one of them.
        seed: of the shuffle.
        path: for the message.

    Returns:
        Pool and test; files of one well, told by its name, stay together.

    Raises:
        BadInput: fewer than two wells.
    """
    names = sorted({w.name for w in usable})
    if len(names) < 2:
        raise BadInput(
            f"curves: {path} has {len(names)} of {total} wells with {samples} consecutive samples of both"
            " curves, and pool and test need one each; give a folder of .las files, or make the image shorter along"
            " the depth"
        )
    order = np.random.default_rng(seed).permutation(names).tolist()
    held = set(order[: min(max(round(share * len(names)), 1), len(names) - 1)])
    return [w for w in usable if w.name not in held], [w for w in usable if w.name in held]


def _read_npz(path: Path, reading: Reading) -> list[Well]:
    data, names, well, start, stop = read_arrays(path, NPZ)
    shaped = data.ndim == 2 and names.shape == data.shape[1:] and well.ndim == 1
    if not shaped or not well.shape == start.shape == stop.shape:
        raise BadInput(
            f"curves: the arrays of {path} do not fit each other: data [rows, k], columns [k], well, start and stop [w]"
        )
    if not ((start >= 0) & (start <= stop) & (stop <= len(data))).all():
        raise BadInput(f"curves: start and stop in {path} are no rows of data, which has {len(data)}")
    names, labels = [_text(n) for n in names], [_text(w) for w in well]
    _refuse_shared(path, labels, start.tolist(), stop.tolist())
    picked = [pick(path, names, c, reading.aliases) for c in reading.columns]
    value = reading.missing.blank(data[:, picked].T)  # [2, rows]
    depth = data[:, 0].astype(np.float64)
    return [
        _checked(path, Well(w, depth[a:b], value[:, a:b], reading.columns))
        for w, a, b in zip(labels, start, stop, strict=True)
    ]


def _text(name: object) -> str:
    """A name as text, also where it is kept as bytes."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)


def _refuse_shared(path: Path, names: Sequence[str], start: Sequence[int], stop: Sequence[int]) -> None:
    """Raises BadInput where two wells have rows in common, which could be in the pool and in the test set."""
    rows = sorted((a, b, name) for name, a, b in zip(names, start, stop, strict=True) if a < b)
    end, last = 0, ""
    for begin, after, name in rows:
        if begin < end and name != last:
            raise BadInput(f"curves: wells {last} and {name} of {path} share rows from {begin}; give each its own")
        end, last = max((end, last), (after, name))


def _read_las(path: Path, reading: Reading) -> Well:
    log = read_las(
        path, lambda names: [pick(path, names, c, reading.aliases) for c in reading.columns], reading.missing
    )
    return _checked(path, Well(log.well, log.depth, log.value, reading.columns))


def _checked(path: Path, well: Well) -> Well:
    """The same, with rows of NaN where depths are missing; refused where depths or values cannot be."""
    for name, value in zip(("depth", *well.names), (well.depth, *well.value), strict=True):
        if (huge := value[np.isfinite(value) & (np.abs(value) > LARGEST)]).size:
            raise BadInput(f"curves: {name} of well {well.name} in {path} is {huge[0]:g}, which no log measures")
    wrong = np.flatnonzero(~(np.diff(well.depth) > 0))
    if wrong.size:
        raise BadInput(
            f"curves: the depths of well {well.name} in {path} do not increase at {well.depth[wrong[0] + 1]:.10g};"
            " sort its rows by depth, and keep one of those that are there twice"
        )
    for name, value in zip(well.names, well.value, strict=True):
        refuse_outliers(path, well.name, name, well.depth, value)
    depth, value = fill_gaps(path, well.name, well.depth, well.value)
    return well._replace(depth=depth, value=value)
