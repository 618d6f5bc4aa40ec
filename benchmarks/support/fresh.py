"""Measurements in processes of their own: nothing compiled, nothing allocated and no device touched before."""

from __future__ import annotations

import multiprocessing
import re
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import ParamSpec, TypeVar

P, T = ParamSpec("P"), TypeVar("T")
STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")  # Linux


def process() -> ProcessPoolExecutor:
    """A fresh interpreter that can be asked many times; spawned, never forked, since jax has threads."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def call(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What a function of a module gives in a fresh interpreter."""
    with process() as one:
        return one.submit(function, *args, **kwargs).result()


def resident() -> int:
    """Bytes of memory that this process holds now."""
    return _status("VmRSS")


def peak() -> int:
    """Bytes of memory that this process has held at most, since it began or since `reset_peak`.

    Not `ru_maxrss`, which a process inherits from whoever started it.
    """
    return _status("VmHWM")


def reset_peak() -> None:
    """Lets `peak` begin again at what is held now."""
    RESET.write_text("5")


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"{STATUS} has no {field}")
    return int(found[1]) * 1024
