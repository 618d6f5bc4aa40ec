"""What is found out about files once a process, on all cores, and found out again when a file has changed."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from bal.sources._pages import DamagedPage, Page
from bal.sources.reading import THREADS, counted

T = TypeVar("T")
SETTLED = 10**9  # nanoseconds after which another change of a file would show in the time of its last one
_KNOWN: dict[Hashable, Any] = {}  # a few numbers for each page that was ever looked at


def each(about: Hashable, look: Callable[[Page], T], pages: Iterable[Page]) -> list[T | DamagedPage]:
    """`look(page)` for every page, in order; the damage of a page stands for what was not found.

    Args:
        about: what is found out; a file that has not changed is not looked at twice for the same.
        look: called in several threads.
        pages: of files that are there.

    Raises:
        BadInput: whatever else than `DamagedPage` `look` raises first, in the order of the pages.
    """

    def one(page: Page) -> T | DamagedPage:
        state = page.path.stat()
        key = about, str(page.path.absolute()), page.number, state.st_size, state.st_mtime_ns
        if key in _KNOWN:
            return _KNOWN[key]
        try:
            found = look(page)
        except DamagedPage as error:
            return error
        if time.time_ns() - state.st_mtime_ns > SETTLED:
            _KNOWN[key] = found
        return found

    pages = list(pages)
    with ThreadPoolExecutor(THREADS) as threads:
        return list(counted(threads.map(one, pages), len(pages)))
