"""Several processes that work side by side, each on its share of the cores, and whose rows arrive one by one."""

from __future__ import annotations

import multiprocessing
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import jax

from bal.system import devices

T = TypeVar("T")
_rows: Any = None  # of this process: where its rows go


def stream(work: Callable[[T], Iterator[Any]], tasks: Sequence[T], workers: int) -> Iterator[Any]:
    """What `work` yields for each of the tasks, as it comes, from all workers.

    Processes are spawned, never forked, since jax has threads. Each is kept to its own cores, one CPU device a core.

    Args:
        work: a generator function of a module, which takes one task.
        tasks: in the order in which they are begun.
        workers: how many processes; at most one a core.

    Raises:
        Exception: what a worker raised, once the other workers have ended their tasks.
    """
    context = multiprocessing.get_context("spawn")
    cores = devices.cores()
    workers = max(1, min(workers, len(cores), len(tasks)))
    arrived, shares, ended = context.Queue(), context.Queue(), 0
    for w in range(workers):
        shares.put(cores[w::workers])
    with ProcessPoolExecutor(workers, context, _prepare, (arrived, shares)) as pool:
        futures = [pool.submit(_work, work, task) for task in tasks]
        while ended < len(tasks):
            try:
                row = arrived.get(timeout=1)
                ended += row is None
                if row is not None:
                    yield row
            except queue.Empty:
                pass
            if any(future.done() and future.exception() for future in futures):
                pool.shutdown(wait=True, cancel_futures=True)
                break
        for future in futures:
            if not future.cancelled():
                future.result()


def _prepare(arrived: Any, shares: Any) -> None:
    """Begins a worker: its cores, its devices, where its rows go; it ends when the process that asked for it does."""
    global _rows
    _rows = arrived
    own = shares.get()
    if sys.platform == "linux":
        os.sched_setaffinity(0, own)
    devices.set_up_platform()
    jax.config.update("jax_num_cpu_devices", len(own))
    threading.Thread(target=_follow, daemon=True).start()


def _follow() -> None:
    parent = multiprocessing.parent_process()
    if parent:
        parent.join()
        os._exit(1)


def _work(work: Callable[[T], Iterator[Any]], task: T) -> None:
    """One task: its rows, then None."""
    try:
        for row in work(task):
            _rows.put(row)
    finally:
        _rows.put(None)
