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
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import tyro
from support import plan, rounds, rows
from support.rounds import iou

from bal import Config, run_loop, score_pool
from bal.posterior.model import Model

NAME = "recipe"
KEY = ("dataset", "recipe", "seed", "fit", "settings")
FIRST_SEED = 9000
BEFORE = "before"
LOOKED_AT = 16  # test images on which the disagreement of samples is measured


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


Pair = tuple[Mapping[str, Any], Mapping[str, Any]]  # rows of equal labels


def run(job: Job) -> Iterator[dict[str, Any]]:
    """Its rows, one a round."""
    if time.time() > job.until:
        return
    for record in run_loop(job.config):
        shown = {k: v for k, v in record.row.items() if isinstance(v, (int, float))}
        yield {**job.what, "round": record.row["round"], **shown, "disagreement": disagreement(record.model, job)}


def disagreement(model: Model, job: Job) -> float:
    """Mutual information of label and posterior, mean over the pixels of test images, in thousandths of a nat."""
    source = job.config.source.open()
    _, scores = score_pool(model.head, model.net, model.params, source, acquisition="bald", ids=source.test[:LOOKED_AT])
    return 1000 * float(scores.mean())


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


SHOWN: dict[str, Callable[[Mapping[str, Any]], float]] = {
    "IoU": iou,
    "NLL": itemgetter("nll"),
    "foreground ECE": itemgetter("ece_foreground"),
    "AUROC of BALD": itemgetter("auroc_bald"),
    "disagreement": lambda row: row.get("disagreement", math.nan),
}


def compared(pairs: Mapping[int, Sequence[Pair]], value: Callable[[Mapping[str, Any]], float], alone: bool) -> str:
    """Mean over seeds; in brackets the paired difference and its standard error, unless it stands `alone`.

    Args:
        pairs: by seed, rows of a recipe and of what it is compared with.
        value: of a row; NaN where it was not measured.
        alone: there is nothing to compare.
    """
    each = {
        seed: [(value(own), value(before)) for own, before in some if math.isfinite(value(own) + value(before))]
        for seed, some in pairs.items()
    }
    each = {seed: some for seed, some in each.items() if some}
    if not each:
        return "–"
    mean = statistics.mean(statistics.mean(own for own, _ in some) for some in each.values())
    gaps = [statistics.mean(own - before for own, before in some) for some in each.values()]
    error = f" ± {statistics.stdev(gaps) / math.sqrt(len(gaps)):.3f}" if len(gaps) > 1 else ""
    return f"{mean:.3f}" if alone else f"{mean:.3f} ({statistics.mean(gaps):+.3f}{error})"


def table() -> str:
    """A line a data set and recipe: what later rounds gain on `before`, of the same labels."""
    found = {(r["dataset"], r["recipe"], r["seed"], r["fit"], r["round"]): r for r in rows.read(NAME)}
    lines = []
    for dataset, recipe in dict.fromkeys(key[:2] for key in found):
        pairs: dict[int, list[Pair]] = {}
        for (d, r, *rest), row in found.items():
            if (d, r) == (dataset, recipe) and rest[-1] and (dataset, BEFORE, *rest) in found:
                pairs.setdefault(rest[0], []).append((row, found[dataset, BEFORE, *rest]))
        if not pairs:
            continue
        alone = recipe == BEFORE
        cells = [compared(pairs, value, alone) for value in SHOWN.values()]
        apart, whole = spread(found, dataset, recipe), spread(found, dataset, BEFORE)
        share = "" if alone else f" (×{apart / whole:.2f})"
        cells.append("–" if math.isnan(apart) else f"{apart:.4f}{share}")
        each = [own["seconds_fit"] / before["seconds_fit"] for some in pairs.values() for own, before in some]
        lines.append([dataset, recipe, str(len(pairs)), *cells, f"{statistics.median(each):.2f}"])
    heading = (
        "## Recipes\n\n`python benchmarks/recipe.py`: ways of training on equal labels, whole test images, mean over "
        "the rounds after the first and over seeds; in brackets the paired difference to `before` ± its standard error "
        "over seeds. Disagreement: mutual information of label and posterior, thousandths of a nat a pixel. Spread: "
        "standard deviation of the IoU over fits to equal labels. Seconds of a fit as multiples of `before`, median."
        "\n\n"
    )
    return heading + rows.markdown(["data set", "recipe", "seeds", *SHOWN, "spread", "seconds"], lines)


if __name__ == "__main__":
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
