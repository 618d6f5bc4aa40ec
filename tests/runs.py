"""What the tests of whole runs share: a tiny experiment, its files, and ways to start it."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

from bal import Config, Record, loop, run_loop
from bal.experiment.folder import RunFolder
from bal.experiment.recorder import Snapshot
from bal.experiment.setup import Setup
from bal.posterior.heads import MCDropout
from bal.posterior.losses import Loss
from bal.posterior.nets import UNet
from bal.posterior.recipe import Train
from bal.report.publish import publish
from bal.sources import WellLog
from bal.system.exit_status import GOES_ON
from bal.system.files import write_whole

ROOT = Path(__file__).parents[1]
FILES = {
    *("config.yaml", "curve.csv", "queries.jsonl", "fits", "checkpoints", "report.html", "reliability.png"),
    "checkpoints/last_entry.json",
}
TINY = Config(
    source=WellLog(height=48, width=48, pool=6, test=2),
    net=UNet(width=8, depth=1),
    head=MCDropout(samples=2),
    train=Train(steps=3, batch=2, patch=16, start="cold", foreground=0.0, brightness=0.0),
    rounds=2,
    start=10,
    budget=30,
    audit=0.2,
    hand_over=False,
    loss=Loss("cross_entropy"),
)
FLAGS = [
    *("--source.height", "48", "--source.width", "48", "--source.pool", "6", "--source.test", "2"),
    *("--net.width", "8", "--net.depth", "1", "--head", "mc_dropout", "--head.samples", "2"),
    *("--train.steps", "3", "--train.batch", "2", "--train.patch", "16", "--train.start", "cold"),
    *("--train.foreground", "0", "--train.brightness", "0", "--loss.terms", "cross_entropy"),
    *("--rounds", "2", "--start", "10", "--budget", "30", "--audit", "0.2", "--no-hand-over"),
]  # the same on a command line


def tiny(**changes: Any) -> Config:
    """A run of seconds."""
    return replace(TINY, **changes)


def run(config: Config, out: Path | None = None, **how: Any) -> list[Record]:
    """All records of a run."""
    return list(run_loop(config, out, **how))


def ledger(records: list[Record], out: Path | None = None) -> list[dict[str, Any]]:
    """The lines of queries.jsonl; of a run without a folder, those after the start set."""
    if out is None:
        return [query for record in records for query in record.queries]
    return [json.loads(line) for line in (out / "queries.jsonl").read_text().splitlines()]


def metrics_of(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows without what differs between equal runs, as text, so that NaN equals NaN."""
    return [{k: str(v) for k, v in row.items() if not k.startswith("seconds_")} for row in rows]


def curve(out: Path) -> list[dict[str, str]]:
    """The rows of curve.csv, without the seconds."""
    with open(out / "curve.csv", newline="") as file:
        return metrics_of(list(csv.DictReader(file)))


def left_behind(out: Path) -> set[str]:
    """What is in a run's folder and its checkpoints, temporary things included."""
    return {path.name for path in out.iterdir()} | {
        f"checkpoints/{path.name}" for path in (out / "checkpoints").iterdir() if not path.name.isdigit()
    }


def assert_same_run(out: Path, other: Path) -> None:
    """The same ledger byte by byte, the same metrics, and nothing stray."""
    assert (out / "queries.jsonl").read_bytes() == (other / "queries.jsonl").read_bytes()
    assert curve(out) == curve(other)
    assert left_behind(out) == left_behind(other) == FILES


def assert_quiet(printed: tuple[str, str]) -> None:
    """A quiet run that has come to its end said, on stdout, that it has learned nothing, and on stderr nothing."""
    out, err = printed
    assert err == ""
    (note,) = out.splitlines()
    which = r": the IoU of every foreground class| of curve_[12], whose IoU"
    assert re.fullmatch(
        rf"note: the model has learned nothing({which}) stayed below 0\.05 in every round so far\. .*", note
    )


def quick_publish(folder: RunFolder | None, setup: Setup, snapshot: Snapshot | None) -> None:
    """Instead of `publish`, which takes longer than all the rest of a tiny run."""
    if folder is not None and snapshot is not None and snapshot.info.tally is not None:
        write_whole(folder.report, "a report")
        if not folder.diagrams.exists():
            write_whole(folder.diagrams, "diagrams")


def is_line_of(signal: str, said: str, out: Path, begun: bool = False) -> bool:
    """Whether a run has ended with the line of a signal, which says how to go on where there is something to go on.

    `begun`: there surely was something; else it may have come after the signal.
    """
    bare, goes_on = f"{signal}\n", f"{signal}{GOES_ON}\n"
    return (said == bare and not begun) or (said == goes_on and (out / "config.yaml").exists())


@contextmanager
def drawn() -> Iterator[None]:
    """The reports of runs are drawn, as a user's are."""
    with mock.patch.object(loop, "publish", publish):
        yield


def pictures(root: Path, count: int = 6, shape: tuple[int, int] = (40, 40), unlabelled: bool = False) -> Path:
    """A folder source: noise with a brighter square of class 1, unlabelled in its lower half if asked for."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    noise, square = np.random.default_rng(0).integers(0, 120, shape), np.zeros(shape, np.uint8)
    square[:16, :16] = 1
    for n in range(count):  # all of one mean, so that every split is the same network
        mask = np.roll(square, (7 * n, 5 * n), (0, 1))
        image = np.roll(noise, n, 0).astype(np.uint8) // 2 + 120 * mask
        if unlabelled:
            mask[shape[0] // 2 :] = 255
        Image.fromarray(image).save(root / "images" / f"p{n}.png")
        Image.fromarray(mask).save(root / "masks" / f"p{n}.png")
    return root


def environment(cache: Path) -> dict[str, str]:
    """For a command line of its own process: compiled quickly, and kept in `cache`."""
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "tests"))),
        "XDG_CACHE_HOME": str(cache),
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "true",
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
    }


def start(argv: list[str], cache: Path, **how: Any) -> subprocess.Popen:
    """`python -m bal.run` under way."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    line = [sys.executable, "-m", "bal.run", *argv]
    return subprocess.Popen(line, env=environment(cache), cwd=cache, **{**pipes, **how})
