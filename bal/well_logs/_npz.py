"""Arrays of an .npz whose headers are looked at before anything is unpacked: a small file can claim, or hold, a lot."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from bal.system.devices import memory
from bal.system.outside import brief, check_file
from bal.types import BadInput

SHARE = 0.25  # of the memory, that all arrays may take
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
NUMBERS, WHOLE, TEXT = "number", "whole number", "text"
KINDS = {NUMBERS: "fiu", WHOLE: "iu", TEXT: "USiu"}


def read_arrays(path: Path, wanted: Mapping[str, str]) -> list[np.ndarray]:
    """Some arrays of an .npz, in the order of their names.

    Args:
        path: of the file.
        wanted: name of an array → what it holds, of `KINDS`.

    Raises:
        BadInput: it is no .npz, lacks an array, or one holds something else or more than memory does.
    """
    most = int(SHARE * memory())
    check_file(path, most, "curves: ")
    try:
        with zipfile.ZipFile(path) as archive:
            there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            missing = [name for name in wanted if name not in there]
            if missing:
                raise BadInput(
                    f"curves: {path} is not an .npz of wells: it has no array {missing[0]!r}; it needs"
                    f" {', '.join(wanted)}"
                )
            for name, holds in wanted.items():
                _check(archive, there[name], path, name, holds)
            size = sum(there[name].file_size for name in wanted)
        if size > most:
            raise BadInput(
                f"curves: the arrays of {path} take {size / 2**30:,.1f} GiB unpacked, and up to {most / 2**30:,.1f} GiB"
                " are read here; save fewer wells, or float32"
            )
        with np.load(path, allow_pickle=False) as file:
            return [file[name] for name in wanted]
    except BadInput:
        raise
    except Exception as error:  # of the archive, of what packed it, of the arrays
        why = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"curves: {path} cannot be read as .npz ({why:.200}); write it again with numpy.savez") from None


def _check(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, name: str, holds: str) -> None:
    """Raises BadInput or ValueError unless an array is what it should be, and as large as its header says."""
    with archive.open(info) as file:
        version = npy.read_magic(file)
        if version not in HEADERS:
            raise ValueError(f"{name} has a header of another version")
        shape, _, dtype = HEADERS[version](file)
        size = file.tell() + math.prod(shape) * dtype.itemsize
    if dtype.kind not in KINDS[holds]:
        raise BadInput(f"curves: {name} of {path} holds {brief(str(dtype))}; each of its values is to be a {holds}")
    if size != info.file_size:
        raise ValueError(f"{name} has {info.file_size} bytes, and {size} by its header")
