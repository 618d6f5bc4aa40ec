"""How long does it take, and how much memory, to find the best thousand of a hundred million scores?

    python benchmarks/selection.py

`bal.scoring.ranking.top` looks through the array a chunk at a time and ranks on the device what may be among the best;
`numpy.argpartition` makes an array of indices as long as the scores. The methods take turns in one process for time,
and have one each for memory. Both must find the same regions.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro
from support import fresh, rows, timing

from bal.scoring import ranking
from bal.system import devices

NAME = "selection"


@dataclass(frozen=True)
class Settings:
    sizes: tuple[int, ...] = (10**7, 10**8)
    """Scores."""
    k: int = 1000
    """Winners."""
    repetitions: int = 5
    """Of each method, in turn."""


def streamed(scores: np.ndarray, k: int) -> np.ndarray:
    """[k] indices, best first, by bal."""
    return np.asarray(ranking.top(scores, None, k).index)


def partitioned(scores: np.ndarray, k: int) -> np.ndarray:
    """[k] indices, best first, by numpy."""
    some = np.sort(np.argpartition(scores, scores.size - k)[scores.size - k :])
    return some[np.argsort(-scores[some], kind="stable")]


METHODS = {"bal": streamed, "numpy": partitioned}


def ready(size: int, k: int) -> np.ndarray:
    """[size] random scores, after every method has been called on a small array."""
    devices.set_up_platform()
    rng = np.random.default_rng(0)
    for method in METHODS.values():
        method(rng.standard_normal(max(10 * k, ranking.CHUNK), np.float32), k)
    return rng.standard_normal(size, np.float32)


def seconds(size: int, k: int, repetitions: int) -> dict[str, Any]:
    """Of each method, and how many times longer numpy takes."""
    scores = ready(size, k)
    found = {name: method(scores, k) for name, method in METHODS.items()}
    np.testing.assert_array_equal(found["bal"], found["numpy"])
    contenders = {name: lambda method=method: method(scores, k) for name, method in METHODS.items()}
    taken = timing.interleave(contenders, repetitions)
    return {name: timing.median(t) for name, t in taken.items()} | {"ratio": timing.ratio(taken["numpy"], taken["bal"])}


def extra_bytes(name: str, size: int, k: int) -> int:
    """Memory held at most during one call, above the scores and what the process held before."""
    scores = ready(size, k)
    fresh.reset_peak()
    before = fresh.resident()
    METHODS[name](scores, k)
    return fresh.peak() - before


def measure(settings: Settings) -> list[dict[str, Any]]:
    """One row a size."""
    measured = []
    for size in settings.sizes:
        taken = fresh.call(seconds, size, settings.k, settings.repetitions)
        extra = {name: fresh.call(extra_bytes, name, size, settings.k) / size for name in METHODS}
        row = {
            "scores": size,
            "k": settings.k,
            "seconds": taken["bal"],
            "seconds_numpy": taken["numpy"],
            "numpy_vs_bal": taken["ratio"],
            "extra_bytes_per_score": extra["bal"],
            "extra_bytes_per_score_numpy": extra["numpy"],
        }
        rows.append(NAME, row)
        measured.append(row)
    return measured


def table(measured: list[dict[str, Any]]) -> str:
    """One line a size."""
    lines = [
        [
            f"{row['scores']:,}",
            f"{row['seconds']:.3f}",
            f"{row['seconds_numpy']:.3f}",
            f"{row['numpy_vs_bal']:.1f}",
            f"{row['extra_bytes_per_score']:.3f}",
            f"{row['extra_bytes_per_score_numpy']:.1f}",
        ]
        for row in measured
    ]
    heading = (
        f"## Selection\n\n`python benchmarks/selection.py`: the best {measured[0]['k']:,} of float32 scores in memory, "
        "by `ranking.top` and by `numpy.argpartition` with a sort of the winners. Memory is the peak above the "
        "scores themselves.\n\n"
    )
    header = ["scores", "bal, s", "numpy, s", "numpy / bal", "bal, extra bytes a score", "numpy, extra bytes a score"]
    return heading + rows.markdown(header, lines)


if __name__ == "__main__":
    measured = measure(tyro.cli(Settings, description=__doc__))
    text = table(measured)
    rows.publish(NAME, text)
    print(text)
    last = measured[-1]
    print(
        json.dumps(
            {
                "topk_1e8_vs_numpy": last["numpy_vs_bal"],
                "topk_extra_bytes_per_score": last["extra_bytes_per_score"],
            }
        )
    )
