"""Are these settings a regime in which labels matter?

    python benchmarks/regime.py --seeds 1

Random tiles only: the start set, the whole budget and the whole pool of `comparison.yaml`, each fitted with several
numbers of steps. Where a fit to the start set is as good as one to the pool, no way of choosing labels can be better
than another; and trained too briefly, labels look worthless. Rows that are there already are not computed again.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from support import plan, rows, workers

from bal import Config, run_loop
from bal.scoring.acquisitions import Random

NAME = "regime"
BOUGHT = {"start": "start set", "budget": "all of the budget", "pool": "all of the pool"}
KEY = ("dataset", "seed", "steps", "bought", "settings")


@dataclass(frozen=True)
class Settings:
    workers: int = 2
    """Processes side by side, each on its share of the cores."""
    seeds: int = 1
    """How many."""
    steps: tuple[int, ...] = ()
    """Training steps; those of the file unless given."""
    datasets: tuple[str, ...] = ()
    """Which; all unless given."""
    plan: Path = plan.SETTINGS
    """The file of settings."""


class Job(NamedTuple):
    """One fit."""

    what: dict[str, Any]
    config: Config


def run(job: Job) -> Iterator[dict[str, Any]]:
    """Its row."""
    for record in run_loop(job.config):
        shown = {k: v for k, v in record.row.items() if k.startswith(("iou_", "nll", "ece_", "cost", "seconds"))}
        yield {**job.what, "members": job.config.head.members, **shown}


def jobs(settings: Settings) -> list[Job]:
    """What is missing, the cheap ones first."""
    of = plan.read(settings.plan)
    done = {tuple(row[key] for key in KEY) for row in rows.read(NAME)}
    wanted, present = [], of.present()
    for seed in range(settings.seeds):
        for dataset in settings.datasets or present:
            base = of.base_config(dataset, seed)
            for steps in settings.steps or of.regime["steps"]:
                train = dataclasses.replace(base.train, steps=steps)
                some = dataclasses.replace(base, train=train, acq=Random(), rounds=0)
                configs = {
                    "start": dataclasses.replace(some, budget=some.start),
                    "budget": dataclasses.replace(some, start=some.budget),
                    "pool": plan.whole(dataclasses.replace(some, audit=0.0)),
                }
                for bought, config in configs.items():
                    what = {"dataset": dataset, "seed": seed, "steps": steps, "bought": bought}
                    what["settings"] = plan.fingerprint(config)
                    if tuple(what[key] for key in KEY) not in done:
                        wanted.append(Job(what, config))
    return sorted(wanted, key=lambda job: (job.what["seed"], job.what["steps"]))


def measure(settings: Settings) -> None:
    """Computes the rows that are missing."""
    wanted = jobs(settings)
    for count, row in enumerate(workers.stream(run, wanted, settings.workers), 1):
        rows.append(NAME, row)
        ious = " ".join(f"{row[key]:.3f}" for key in row if plan.is_curve(key))
        what = f"{row['dataset']} seed {row['seed']}, {row['steps']} steps, {row['cost']:g} bought"
        print(f"{what}: IoU {ious}, {row['seconds_fit']:.0f} s; {count} of {len(wanted)}", flush=True)


def table() -> str:
    """A line a number of steps and of labels: mean over seeds."""
    found: dict[tuple, list[dict[str, Any]]] = {}
    for row in rows.read(NAME):
        found.setdefault((row["dataset"], row["members"], row["steps"], row["bought"]), []).append(row)
    lines, classes = [], []
    for (dataset, members, steps, bought), same in sorted(found.items(), key=lambda item: item[0][:3]):
        classes = classes or [key for key in same[0] if plan.is_curve(key)]
        own = [row for row in same if row["settings"] == same[-1]["settings"]]
        cells = [dataset, str(members), str(steps), f"{BOUGHT[bought]} ({own[0]['cost']:,.0f})", str(len(own))]
        cells += [f"{statistics.mean(row[key] for row in own):.3f}" for key in classes]
        lines.append([*cells, f"{statistics.mean(row['seconds_fit'] for row in own):.0f}"])
    heading = (
        "## Do labels matter?\n\n`python benchmarks/regime.py`: random tiles, whole test images, mean over seeds. "
        "Where IoU does not rise from the start set to the budget and on to the pool, there is nothing to compare.\n\n"
    )
    names = [f"IoU {key.removeprefix('iou_')}" for key in classes]
    return heading + rows.markdown(["data set", "members", "steps", "labels", "seeds", *names, "fit, s"], lines)


if __name__ == "__main__":
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
