"""What the default run takes and reaches, against an earlier version of the engine.

    git worktree add ../before COMMIT
    python benchmarks/default_run.py --before ../before --seeds 5

`python -m bal.run --acq bald` as from a shell, the two versions in turn, nothing compiled beforehand: seconds of the
wall and of the processors from start to end, the report included, and the IoU of its last row. Runs of a seed have the
same logs. Rows that are there already are not computed again.
"""

from __future__ import annotations

import csv
import math
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tyro
from support import rows
from support.rounds import iou

NAME = "default_run"
HERE = rows.FOLDER.parent
SHOWN = ("iou", "iou_curve_1", "iou_curve_2", "iou_background", "nll", "ece_foreground")


@dataclass(frozen=True)
class Settings:
    before: Path | None = None
    """A checkout of the earlier version; without one the table is made of the rows that are there."""
    seeds: int = 5
    """Paired: one seed is one pool of logs and everything that is drawn."""
    first: int = 9100
    """The first of them."""
    flags: tuple[str, ...] = ()
    """More flags, of both."""


def timed(checkout: Path, seed: int, flags: Sequence[str]) -> dict[str, Any]:
    """One run of a version: what it took, and its last row."""
    with TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONPATH": str(checkout), "XDG_CACHE_HOME": folder}
        line = ["--acq", "bald", "--seed", str(seed), "--source.seed", str(seed), "--quiet", "--out", f"{folder}/run"]
        used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([sys.executable, "-m", "bal.run", *line, *flags], env=env, cwd=checkout, check=True)
        took, now = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(f"{folder}/run/curve.csv", newline="") as file:
            last = {name: float(value) for name, value in list(csv.DictReader(file))[-1].items() if number(value)}
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return {"wall": took, "cpu": cpu, **last, "iou": iou(last)}


def number(text: str) -> bool:
    """Whether a cell holds a number that is finite."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def commit(checkout: Path) -> str:
    """What is checked out."""
    line = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(line, check=True, capture_output=True, text=True).stdout.strip()


def measure(settings: Settings) -> None:
    """Rows that are missing, seed by seed, the earlier version first and second in turn."""
    if settings.before is None:
        return
    versions = {"before": settings.before.resolve(), "now": HERE}
    flags = " ".join(settings.flags)
    done = {(row["version"], row["seed"]) for row in rows.read(NAME) if row["flags"] == flags}
    for seed in range(settings.first, settings.first + settings.seeds):
        for version in sorted(versions, reverse=bool(seed % 2)):
            if (version, seed) not in done:
                what = {"version": version, "commit": commit(versions[version]), "seed": seed, "flags": flags}
                rows.append(NAME, found := {**what, **timed(versions[version], seed, settings.flags)})
                print(f"{version} {seed}: {found['wall']:.0f} s, IoU {found['iou']:.3f}", flush=True)


def gap(pairs: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]], name: str) -> str:
    """Mean before and now, and the paired difference ± its standard error."""
    each = [now[name] - before[name] for before, now in pairs]
    means = [statistics.mean(row[name] for row in version) for version in zip(*pairs, strict=True)]
    error = f" ± {statistics.stdev(each) / math.sqrt(len(each)):.3f}" if len(each) > 1 else ""
    return f"{means[0]:.3f} → {means[1]:.3f} ({statistics.mean(each):+.3f}{error})"


def table() -> str:
    """The two versions side by side, of the seeds that both have."""
    found = {(row["flags"], row["seed"], row["version"]): row for row in rows.read(NAME)}
    lines = []
    for flags in dict.fromkeys(key[0] for key in found):
        seeds = sorted({key[1] for key in found if key[0] == flags})
        pairs = [
            (found[flags, seed, "before"], found[flags, seed, "now"])
            for seed in seeds
            if {(flags, seed, "before"), (flags, seed, "now")} <= set(found)
        ]
        if pairs:
            ratios = [statistics.median(now[name] / before[name] for before, now in pairs) for name in ("wall", "cpu")]
            took = [f"{ratio:.2f}" for ratio in ratios]
            lines.append([flags or "as it is", str(len(pairs)), *took, *(gap(pairs, name) for name in SHOWN)])
    return (
        "## The default run\n\n`python benchmarks/default_run.py`: `python -m bal.run --acq bald`, nothing compiled "
        "beforehand, against the version before later rounds went on from earlier ones. Seconds as multiples of that, "
        "median over pairs; the last row of each run, before → now (paired difference ± standard error).\n\n"
        + rows.markdown(["flags", "pairs", "wall", "processors", *SHOWN], lines)
    )


if __name__ == "__main__":
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
