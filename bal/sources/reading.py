"""What takes long before a run can begin: many files, read on all cores, with somebody told how far that is."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
Tell = Callable[[int, int], object]  # files done, files in all
THREADS = min(os.cpu_count() or 1, 8)  # each may hold a page
_TELL: ContextVar[Tell | None] = ContextVar("tell", default=None)


@contextmanager
def told(tell: Tell) -> Iterator[None]:
    """A context in which `tell` hears of every file that is read by what uses `counted`."""
    token = _TELL.set(tell)
    try:
        yield
    finally:
        _TELL.reset(token)


def counted(items: Iterable[T], total: int) -> Iterator[T]:
    """The same items; whoever wants to be told hears after each how many there were."""
    tell = _TELL.get()
    for done, item in enumerate(items, 1):
        if tell is not None:
            tell(done, total)
        yield item
