"""A small cache for things that are slow to make: each is made once, even when many threads ask."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future

import numpy as np

Arrays = tuple[np.ndarray, ...]


class Cache:
    """Least recently used first out, bounded in bytes; the newest entry always stays."""

    def __init__(self, make: Callable[[str], Arrays], limit: int):
        """`make(id)` gives the arrays; `limit` is in bytes."""
        self._make, self._limit, self._size = make, limit, 0
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, Future[Arrays]] = OrderedDict()

    def __call__(self, id: str) -> Arrays:
        """The arrays of an id, made on the first call. They are shared: copy before writing."""
        with self._lock:
            entry = self._entries.get(id)
            mine = entry is None
            if entry is None:
                entry = self._entries[id] = Future()
            self._entries.move_to_end(id)
        if mine:
            try:
                made = self._make(id)
            except BaseException as error:
                with self._lock:
                    del self._entries[id]
                entry.set_exception(error)
                raise
            entry.set_result(made)
            self._keep(made)
        return entry.result()

    def _keep(self, made: Arrays) -> None:
        with self._lock:
            self._size += sum(a.nbytes for a in made)
            for id in list(self._entries):
                if self._size <= self._limit or len(self._entries) == 1:
                    return
                entry = self._entries[id]
                if entry.done() and entry.result() is not made:
                    self._size -= sum(a.nbytes for a in self._entries.pop(id).result())
