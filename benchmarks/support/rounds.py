"""Runs of whole experiments, a row a round: which are complete, and their rows as they come."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import tyro
from support import plan, rows, workers

from bal import Config
from bal.report.lines import classes_of


@dataclass(frozen=True)
class Settings:
    """What a benchmark of whole runs is asked for."""

    workers: int = 2
    """Processes side by side, each on its share of the cores."""
    seeds: int = 0
    """How many of the seeds; 0 for those of the file."""
    datasets: tuple[str, ...] = ()
    """Which; all unless given."""


class Job(NamedTuple):
    """One run."""

    what: dict[str, Any]  # that stands in each of its rows
    config: Config


def iou(row: Mapping[str, Any]) -> float:
    """Mean over the foreground classes, on whole test images."""
    return statistics.mean(row[f"iou_{name}"] for name in classes_of(row)[1:])


def newest(name: str, key: Sequence[str]) -> dict[tuple, int]:
    """The last round that is there of every run, by what tells runs apart."""
    last: dict[tuple, int] = {}
    for row in rows.read(name):
        run = tuple(row[k] for k in key)
        last[run] = max(last.get(run, 0), row["round"])
    return last


def missing(name: str, key: Sequence[str], settings: Settings, first_seed: int) -> list[Job]:
    """Runs of NAME.yaml that are not complete, seed by seed."""
    of, last = plan.read(rows.FOLDER / f"{name}.yaml"), newest(name, key)
    wanted, present = [], of.present()
    for seed in range(first_seed, first_seed + (settings.seeds or of.seeds)):
        for dataset in settings.datasets or present:
            for arm in of.arms:
                config = of.config(dataset, arm, seed)
                what = {"dataset": dataset, "arm": arm, "seed": seed, "settings": of.given(dataset, arm)}
                if last.get(tuple(what[k] for k in key), -1) < config.rounds:
                    wanted.append(Job({**what, "rounds": config.rounds}, config))
    return wanted


def measure(
    name: str, key: Sequence[str], run: Callable[[Job], Iterator[dict[str, Any]]], first_seed: int, told: str | None
) -> None:
    """Runs what is missing of NAME.yaml, as a command line asks for it, which `told` says the use of."""
    settings = tyro.cli(Settings, description=told)
    collect(name, key, run, missing(name, key, settings, first_seed), settings.workers)


def publish(name: str, text: str) -> None:
    """Puts a table into the README, and shows it."""
    rows.publish(name, text)
    print(text)


def collect(
    name: str, key: Sequence[str], run: Callable[[Any], Iterator[dict[str, Any]]], wanted: Sequence[Any], count: int
) -> None:
    """Runs jobs, `count` side by side, keeps the rows that are new as they come, and says so."""
    found = {(*(row[k] for k in key), row["round"]) for row in rows.read(name)}
    print(f"{len(wanted)} jobs to compute, {len(found)} rows are there", flush=True)
    began = time.perf_counter()
    for row in workers.stream(run, wanted, count):
        which = (*(row[k] for k in key), row["round"])
        if which not in found:
            found.add(which)
            rows.append(name, row)
        what = " ".join(str(row[k]) for k in key if k != "settings")
        took = f"IoU {iou(row):.3f}, {row['seconds_fit']:.1f} s"
        print(f"{time.perf_counter() - began:5.0f} s {what} round {row['round']}: {took}", flush=True)
