"""Timing that compares: contenders take turns, so that whatever else the machine does falls on all of them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes; the call must return only once its result is there."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def interleave(contenders: Mapping[str, Callable[[], object]], repetitions: int) -> dict[str, list[float]]:
    """Calls every contender once a round, in turn: a, b, c, a, b, c, …

    Args:
        contenders: by name; each call must return only once its result is there (block on asynchronous work), and
            should have been called once before, so that nothing is compiled here.
        repetitions: rounds.

    Returns:
        Seconds of every call, by name; entry k of each list was measured in round k.
    """
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, work in contenders.items():
            taken[name].append(seconds(work))
    return taken


def median(taken: Sequence[float]) -> float:
    """Of the seconds of one contender."""
    return statistics.median(taken)


def ratio(slow: Sequence[float], fast: Sequence[float]) -> float:
    """How many times longer `slow` takes than `fast`: the median over rounds of the quotient within a round.

    Both lists come from one call of `interleave`. A quotient within a round cancels what slows both.
    """
    return statistics.median(a / b for a, b in zip(slow, fast, strict=True))


def fastest(taken: Mapping[str, Sequence[float]]) -> str:
    """The name of the contender with the smallest median."""
    return min(taken, key=lambda name: median(taken[name]))
