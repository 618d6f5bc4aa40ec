"""Real curves by well, read from LAS files or from one .npz."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np

from bal.types import BadInput
from bal.well_logs.curves import Well

NPZ = ("data", "columns", "well", "start", "stop")


def read_wells(path: Path, columns: tuple[str, str]) -> list[Well]:
    """Two curves of every well found.

    Args:
        path: an .npz (arrays data [rows, k], columns [k], well [w], start [w], stop [w]; the first column is
            depth), a .las file, or a folder of .las files.
        columns: mnemonics of the two curves.

    Returns:
        One entry a well, in the order of the file, or of the file names.

    Raises:
        BadInput: the path, its format or the columns cannot be used.
    """
    if not path.exists():
        raise BadInput(f"curves: {path} does not exist; give a .las file, a folder of them, or an .npz of wells")
    if path.is_dir():
        files = sorted(p for p in path.iterdir() if p.suffix.lower() == ".las")
        if not files:
            raise BadInput(f"curves: {path} holds no .las file; give a folder of .las files or an .npz of wells")
        return [_read_las(p, columns) for p in files]
    if path.suffix.lower() == ".las":
        return [_read_las(path, columns)]
    if path.suffix.lower() == ".npz":
        return _read_npz(path, columns)
    raise BadInput(f"curves: {path} is neither .las nor .npz; give a .las file, a folder of them, or an .npz")


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
            " curves, and pool and test need one each; add wells, or make the image shorter along the depth"
        )
    order = np.random.default_rng(seed).permutation(names).tolist()
    held = set(order[: min(max(round(share * len(names)), 1), len(names) - 1)])
    return [w for w in usable if w.name not in held], [w for w in usable if w.name in held]


def _read_npz(path: Path, columns: tuple[str, str]) -> list[Well]:
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [k for k in NPZ if k not in file.files]
            if missing:
                raise BadInput(
                    f"curves: {path} is not an .npz of wells: it has no array {missing[0]!r}; it needs {', '.join(NPZ)}"
                )
            data, names, well, start, stop = (file[k] for k in NPZ)
    except BadInput:
        raise
    except Exception as error:
        raise BadInput(f"curves: {path} cannot be read as .npz ({error}); write it again with numpy.savez") from None
    if data.ndim != 2 or names.shape != data.shape[1:] or not well.shape == start.shape == stop.shape:
        raise BadInput(
            f"curves: the arrays of {path} do not fit each other: data [rows, k], columns [k], well, start and stop [w]"
        )
    names = [str(n) for n in names]
    pick = [_pick(path, names, c) for c in columns]
    value = data[:, pick].T.astype(np.float64)  # [2, rows]
    depth = data[:, 0].astype(np.float64)
    for w, a, b in zip(well, start, stop, strict=True):
        _check_depth(path, str(w), depth[a:b])
    return [Well(str(w), depth[a:b], value[:, a:b], columns) for w, a, b in zip(well, start, stop, strict=True)]


def _read_las(path: Path, columns: tuple[str, str]) -> Well:
    try:
        import lasio
    except ImportError:
        raise BadInput(f"curves: reading {path} needs lasio; install it with: pip install 'bal[las]'") from None
    try:
        las = lasio.read(str(path))
        depth = np.asarray(las.index, np.float64)
    except Exception as error:
        raise BadInput(f"curves: {path} cannot be read as LAS ({error}); export it again") from None
    names = [str(c.mnemonic) for c in las.curves]
    pick = [_pick(path, names, c) for c in columns]
    try:
        value = np.stack([np.asarray(las.curves[i].data, np.float64) for i in pick])  # [2, rows]
    except ValueError:
        raise BadInput(f"curves: {path} has text among {' and '.join(columns)}; give curves of numbers") from None
    if depth.size > 1 and depth[0] > depth[-1]:  # logged upwards
        depth, value = depth[::-1], value[:, ::-1]
    name = (str(las.well["WELL"].value) if "WELL" in las.well else "") or path.stem
    _check_depth(path, name, depth)
    return Well(name, depth, value, columns)


def _check_depth(path: Path, well: str, depth: np.ndarray) -> None:
    if not (np.diff(depth) > 0).all():
        raise BadInput(f"curves: the depths of well {well} in {path} do not increase; sort its rows by depth")


def _pick(path: Path, names: list[str], column: str) -> int:
    upper = [n.upper() for n in names]
    if column.upper() in upper:
        return upper.index(column.upper())
    near = difflib.get_close_matches(column.upper(), upper, 1)
    hint = f"; did you mean {names[upper.index(near[0])]}?" if near else ""
    raise BadInput(f"curves: {path} has no curve {column!r}; it has {', '.join(names)}{hint}")
