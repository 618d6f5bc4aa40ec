"""Which way of choosing labels learns most from a budget?

    python benchmarks/compare_acquisitions.py --workers 2
    python benchmarks/compare_acquisitions.py --only 'well_log/bald' 'force2020/*'

Data sets × arms × paired seeds of `comparison.yaml`. A row a round lands in results/comparison.jsonl as it finishes;
what is there already is not written again, and arms that are complete are not computed again. The fit to the start set
is one for all arms of a seed. `analyse.py` makes the tables and the figure.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from support import plan, rows, workers
from support.plan import FULL, Plan

from bal import run_loop
from bal.posterior.model import Model

NAME = "comparison"
KEY = ("dataset", "arm", "seed", "round", "settings")


@dataclass(frozen=True)
class Settings:
    workers: int = 2
    """Processes side by side, each on its share of the cores."""
    seeds: int = 0
    """How many of the seeds; 0 for those of the file."""
    only: tuple[str, ...] = ("*",)
    """Which of dataset/arm; `*` stands for anything."""
    plan: Path = plan.SETTINGS
    """The file of settings."""
    name: str = NAME
    """Rows land in results/NAME.jsonl."""
    shard: str = "1/1"
    """i/n: of n machines, the jobs of the i-th; rows of all of them are put together by `cat`."""


class Job(NamedTuple):
    """What one worker computes in one go: arms of one data set and seed, which share their start."""

    plan: Plan
    dataset: str
    seed: int
    arms: tuple[str, ...]


def run(job: Job) -> Iterator[dict[str, Any]]:
    """The rows of a job, one a round."""
    warm_start: Model | None = None
    recipe = plan.fingerprint(job.plan.base_config(job.dataset, job.seed))
    for arm in job.arms:
        config = job.plan.config(job.dataset, arm, job.seed)
        what = {"dataset": job.dataset, "arm": arm, "seed": job.seed}
        hashes = {"settings": plan.fingerprint(config), "recipe": recipe}
        for record in run_loop(config, warm_start=None if arm == FULL else warm_start):
            if arm != FULL:
                warm_start = warm_start or record.model
            yield {**what, "round": record.row["round"], **hashes, **record.row}


def jobs(
    of: Plan, seeds: int, only: Sequence[str], found: Sequence[Mapping[str, Any]], shard: str = "1/1"
) -> list[Job]:
    """What is missing: seed by seed, so that what is there at any time is balanced."""
    done = {tuple(row[key] for key in KEY) for row in found}
    wanted, present = [], of.present()
    for seed in range(seeds):
        for place, dataset in enumerate(present):
            missing = []
            if not plan.in_shard(shard, seed + place):
                continue
            for arm in (*of.arms, FULL):
                if any(fnmatch(f"{dataset}/{arm}", pattern) for pattern in only):
                    config = of.config(dataset, arm, seed)
                    last = (dataset, arm, seed, config.rounds, plan.fingerprint(config))
                    missing += [] if last in done else [arm]
            if missing:
                wanted.append(Job(of, dataset, seed, tuple(missing)))
    return wanted


def measure(settings: Settings) -> None:
    """Computes what is missing, and says when it will be done."""
    of = plan.read(settings.plan)
    found = rows.read(settings.name)
    wanted = jobs(of, settings.seeds or of.seeds, settings.only, found, settings.shard)
    expected = sum(of.config(job.dataset, arm, 0).rounds + 1 for job in wanted for arm in job.arms)
    print(f"{expected} rounds to compute, {len(found)} rows are there", flush=True)
    written = {tuple(row[key] for key in KEY) for row in found}
    began = time.perf_counter()
    for count, row in enumerate(workers.stream(run, wanted, settings.workers), 1):
        key = tuple(row[key] for key in KEY)
        if key not in written:
            written.add(key)
            rows.append(settings.name, row)
        print(line(row, count, expected, time.perf_counter() - began), flush=True)


def line(row: Mapping[str, Any], count: int, expected: int, seconds: float) -> str:
    """What is told of a round."""
    ious = " ".join(f"{row[key]:.3f}" for key in row if plan.is_curve(key))
    left = seconds / count * (expected - count)
    return (
        f"{row['dataset']}/{row['arm']} seed {row['seed']} round {row['round']}: {row['cost']:g} bought, IoU {ious}; "
        f"{count} of {expected} rounds, {seconds / count:.0f} s each, {left / 60:.0f} min left"
    )


if __name__ == "__main__":
    measure(tyro.cli(Settings, description=__doc__))
