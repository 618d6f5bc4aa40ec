"""What buys most for a second of training?

    python benchmarks/recipe.py --only 'well_log/*'

Ways of training compared on labels that no model chose: a tenth audited, of the rest half by oracle-foreground random
and half at random, the same for every recipe of a seed. Seeds are for tuning: no other benchmark uses them. Rows that
are there already are not computed again.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from support import plan, rounds, rows
from support.rounds import iou

from bal import Config, run_loop

NAME = "recipe"
KEY = ("dataset", "recipe", "seed", "fit", "settings")
FIRST_SEED = 9000
BEFORE = "before"


@dataclass(frozen=True)
class Settings:
    workers: int = 2
    """Processes side by side, each on its share of the cores."""
    seeds: int = 0
    """How many of the seeds; 0 for those of the file."""
    fits: int = 1
    """How often each is fitted to the same labels, to see how far that alone makes them differ."""
    only: tuple[str, ...] = ("*",)
    """Which of dataset/recipe; `*` stands for anything."""
    plan: Path = rows.FOLDER / "recipe.yaml"
    """The file of recipes."""
    seconds: float = float("inf")
    """No recipe is begun after so many."""


class Job(NamedTuple):
    """One run."""

    what: dict[str, Any]
    config: Config
    until: float


def run(job: Job) -> Iterator[dict[str, Any]]:
    """Its rows, one a round."""
    if time.time() > job.until:
        return
    for record in run_loop(job.config):
        shown = {k: v for k, v in record.row.items() if isinstance(v, (int, float))}
        yield {**job.what, "round": record.row["round"], **shown}


def jobs(settings: Settings) -> list[Job]:
    """What is missing, seed by seed."""
    of = plan.read(settings.plan)
    last = rounds.newest(NAME, KEY)
    wanted, present, until = [], of.present(), time.time() + settings.seconds
    for seed in range(FIRST_SEED, FIRST_SEED + (settings.seeds or of.seeds)):
        for dataset in present:
            for recipe, fit in itertools.product(of.arms, range(settings.fits)):
                if not any(fnmatch(f"{dataset}/{recipe}", pattern) for pattern in settings.only):
                    continue
                config = of.config(dataset, recipe, seed)
                config = dataclasses.replace(config, train=dataclasses.replace(config.train, seed=fit))
                what = {"dataset": dataset, "recipe": recipe, "seed": seed, "fit": fit}
                what["settings"] = of.given(dataset, recipe)
                if last.get(tuple(what[k] for k in KEY), -1) < config.rounds:
                    wanted.append(Job(what, config, until))
    return wanted


def measure(settings: Settings) -> None:
    """Computes what is missing."""
    rounds.collect(NAME, KEY, run, jobs(settings), settings.workers)


def spread(found: Mapping[tuple, Mapping[str, Any]], dataset: str, recipe: str) -> float:
    """Standard deviation of the IoU over fits to equal labels, pooled over later rounds and seeds; NaN of one fit."""
    fits: dict[tuple[int, int], list[float]] = {}
    for (d, r, seed, _, round), row in found.items():
        if (d, r) == (dataset, recipe) and round:
            fits.setdefault((seed, round), []).append(iou(row))
    several = [statistics.variance(values) for values in fits.values() if len(values) > 1]
    return math.sqrt(statistics.mean(several)) if several else math.nan


SHOWN = {"IoU": iou, "NLL": itemgetter("nll"), "AUROC of BALD": itemgetter("auroc_bald")}


def table() -> str:
    """A line a data set and recipe: what later rounds gain on `before`, of the same labels."""
    found = {(r["dataset"], r["recipe"], r["seed"], r["fit"], r["round"]): r for r in rows.read(NAME)}
    apart: dict[tuple[str, str], float] = {}
    lines = []
    for dataset, recipe in dict.fromkeys(key[:2] for key in found):
        pairs = [
            (row, found[dataset, BEFORE, *rest])
            for (d, r, *rest), row in found.items()
            if (d, r) == (dataset, recipe) and rest[-1] and (dataset, BEFORE, *rest) in found
        ]
        if not pairs:
            continue
        cells = [dataset, recipe, str(len({own["seed"] for own, _ in pairs}))]
        for value in SHOWN.values():
            gaps = [value(own) - value(before) for own, before in pairs]
            cells.append(f"{statistics.mean(value(own) for own, _ in pairs):.3f}")
            cells[-1] += "" if recipe == BEFORE else f" ({statistics.mean(gaps):+.3f})"
        apart[dataset, recipe] = spread(found, dataset, recipe)
        whole = apart.get((dataset, BEFORE), math.nan)
        share = (
            ""
            if recipe == BEFORE or math.isnan(apart[dataset, recipe])
            else f" (×{apart[dataset, recipe] / whole:.2f})"
        )
        cells.append("–" if math.isnan(apart[dataset, recipe]) else f"{apart[dataset, recipe]:.4f}{share}")
        took = statistics.median(own["seconds_fit"] / before["seconds_fit"] for own, before in pairs)
        lines.append([*cells, f"{took:.2f}"])
    heading = (
        "## Recipes\n\n`python benchmarks/recipe.py`: ways of training on equal labels, whole test images, mean over "
        "the rounds after the first and over seeds; in brackets the paired difference to `before`. Spread: standard "
        "deviation of the IoU over fits to equal labels. Seconds of a fit as multiples of `before`, median.\n\n"
    )
    return heading + rows.markdown(["data set", "recipe", "seeds", *SHOWN, "spread", "seconds"], lines)


if __name__ == "__main__":
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
