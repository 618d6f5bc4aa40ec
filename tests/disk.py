"""What a disk or a kill does to a run, at any call that changes its folder; Linux with a C compiler.

A library of ours (`disk.c`) stands before the C library of a process and counts every write, fsync, rename, truncation,
new and deleted file below one folder, whether Python, orbax or TensorStore makes it. At the n-th something happens.
"""

from __future__ import annotations

import ctypes
import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).with_name("disk.c")
HOWS = ("nothing", "full", "once", "kill", "torn", "signal", "copy")  # in the order of disk.c
NEEDS_ROOM = ("write", "pwrite", "pwrite64", "writev", "fsync", "fdatasync", "rename", "renameat", "mkdir", "mkdirat")
NEEDS_ROOM += ("link", "linkat", "open", "open64", "openat", "openat64", "posix_fallocate", "posix_fallocate64")


class Call(NamedTuple):
    """One call that changed something."""

    number: int  # from 1
    name: str  # of the function
    size: int  # bytes that it writes, 0 if it is no write
    path: str  # within the folder

    @property
    def fills(self) -> bool:
        """Whether a full disk refuses it."""
        return self.name in NEEDS_ROOM


def possible() -> bool:
    """Whether this machine can do it."""
    return os.uname().sysname == "Linux" and shutil.which("cc") is not None


def compiled(folder: Path) -> Path:
    """The library, compiled unless it is there already."""
    library = folder / f"disk-{SOURCE.stat().st_mtime_ns}.so"
    if not library.exists():
        line = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
        subprocess.run(line, check=True, capture_output=True, timeout=100)
    return library


@functools.cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None)  # of this process, which was started with it before all others


def watch(
    folder: str,
    how: str = "nothing",
    at: int = 0,
    only: str = "",
    named: str = "",
    number: int = 0,
    delay: int = 0,
    copies: str = "",
    log: str = "",
) -> None:
    """From now on counts the calls of this process that change something below `folder`, from 1.

    Args:
        folder: a whole path, or "" to stop.
        how: what happens at call `at`: the disk is full from then on (`full`), or for this call alone (`once`); the
            process is killed before it (`kill`), or in the middle of what it writes (`torn`); or it gets a signal
            (`signal`). `copy` keeps the folder as it is before every call and in the middle of every write: what a kill
            there would leave.
        at: the number of a call, of those that are meant: TensorStore does not always make as many.
        only: a part of the paths, below the folder, of the calls that are meant; "" means all.
        named: the function that is called, or "" for any.
        number: of the signal.
        delay: milliseconds until it comes.
        copies: where to, for `copy`; each is called by the number of its call, with -torn behind it in the middle.
        log: a file of one line a call, or "".
    """
    what = HOWS.index(how) * (100 if how == "signal" else 1) + number * (how == "signal")
    texts = [text.encode() for text in (folder, copies, log, only, named)]
    _library().disk_watch(texts[0], what, ctypes.c_long(at), ctypes.c_long(delay), *texts[1:])


def calls(log: Path) -> list[Call]:
    """What a log has counted."""
    lines = (line.split(" ", 3) for line in log.read_text().splitlines())
    return [Call(int(number), name, int(size), path) for number, name, size, path in lines]
