"""Can rules be told apart in this regime? Four gates, before any rule runs in it.

    python benchmarks/gates.py --workers 2

    labels   IoU of full supervision − of random at the whole budget                                        ≥ 0.10
    choice   area under the curve of the greedy oracle − of foreground-random                               ≥ 0.03
    styles   tolerant F1 of full supervision, of the worst style but for the trap                           ≥ 0.50
    errors   of the tiles that foreground-random draws from, the wrong pixels of the worst tenth over all   ≥ 1.50

Where full supervision is hardly better than chance, labels do not matter; where one that reads the truth gains nothing,
no score can; what cannot be learned from all labels is a trap for whoever looks for errors; and where errors are spread
evenly over predicted foreground, foreground-random is the best there is. IoU and F1 are means over the classes that are
drawn. Rows that are there already are not computed again; a regime that fails is changed, and gates.yaml says how.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tyro
from support import plan, rounds, rows
from support.plan import FULL
from support.rounds import iou

from bal import Config, Record, run_loop, score_pool
from bal.experiment.offered import errors
from bal.experiment.setup import set_up
from bal.metrics import paired
from bal.report.lines import classes_of

NAME = "gates"
KEY = ("dataset", "arm", "seed", "settings")
TRAP = "drowned"
WORST = 10  # one in so many tiles
GATES = {"labels": 0.10, "choice": 0.03, "styles": 0.50, "errors": 1.50}  # the least of each


@dataclass(frozen=True)
class Settings:
    workers: int = 2
    """Processes side by side, each on its share of the cores."""
    seeds: int = 0
    """How many of the seeds; 0 for those of the file."""
    only: tuple[str, ...] = ("*",)
    """Which of dataset/arm; `*` stands for anything."""
    plan: Path = rows.FOLDER / "gates.yaml"
    """The file of regimes."""


class Job(NamedTuple):
    """One run."""

    what: dict[str, Any]
    config: Config


def run(job: Job) -> Iterator[dict[str, Any]]:
    """Its rows, one a round."""
    for record in run_loop(job.config):
        shown = {k: v for k, v in record.row.items() if isinstance(v, int | float)}
        styles = of_styles(record)
        more = {"worst_style": worst_of(styles), "styles": styles}
        if job.what["arm"] == "foreground_random":
            more["concentration"] = concentration(*tiles(job.config, record))
        yield {**job.what, "round": record.row["round"], **shown, **more}


def of_styles(record: Record) -> dict[str, float]:
    """Tolerant F1, mean over the classes that are drawn, by style of the test set."""
    names = classes_of(record.row)[1:]
    return {
        style: statistics.mean(found[f"tolerant_f1_{name}"] for name in names) for style, found in record.styles.items()
    }


def worst_of(styles: Mapping[str, float]) -> float:
    """The least of all styles but the trap that have a value; NaN where none has."""
    known = [value for name, value in styles.items() if name != TRAP and not math.isnan(value)]
    return min(known, default=float("nan"))


def tiles(config: Config, record: Record) -> tuple[np.ndarray, np.ndarray]:
    """Of every region of the pool [M]: pixels that are predicted as foreground, and pixels that are wrong."""
    setup, model = set_up(config), record.model
    everything = np.arange(len(setup.source.pool))
    regions, _, about = score_pool(
        model.head,
        model.net,
        model.params,
        setup.source,
        acquisition="entropy",
        unit=config.unit,
        calibrator=model.calibrator,
        state=model.state,
        about=("predicted",),
    )
    predicted = about["predicted"][:, 1:].sum(1) * regions.pixels
    return predicted, errors(setup, model, everything).sum(1) / 2


def concentration(predicted: np.ndarray, wrong: np.ndarray) -> float:
    """Mean of the wrong pixels [M] of the worst tenth of the tiles with predicted foreground, over that of them all."""
    own = np.sort(wrong[predicted > 0])[::-1]
    if not own.size or not own.sum():
        return float("nan")
    return float(own[: max(1, own.size // WORST)].mean() / own.mean())


def jobs(settings: Settings) -> list[Job]:
    """What is missing, seed by seed; full supervision last, which takes longest."""
    of, last = plan.read(settings.plan), rounds.newest(NAME, KEY)
    wanted, present = [], of.present()
    for seed in range(settings.seeds or of.seeds):
        for dataset in present:
            for arm in (*of.arms, FULL):
                if not any(fnmatch(f"{dataset}/{arm}", pattern) for pattern in settings.only):
                    continue
                config = of.config(dataset, arm, seed)
                what = {"dataset": dataset, "arm": arm, "seed": seed, "settings": plan.fingerprint(config)}
                what |= {"rounds": config.rounds}  # by which a run is known to be complete
                if last.get(tuple(what[k] for k in KEY), -1) < config.rounds:
                    wanted.append(Job(what, config))
    return wanted


Runs = Mapping[str, Sequence[Mapping[str, Any]]]  # the rows of each arm of one seed, in order


def complete(found: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, Runs]]:
    """The newest runs of every data set and seed that have all of the arms, each with all of its rounds."""
    newest = {(row["dataset"], row["arm"]): row["settings"] for row in found}
    every: dict[str, dict[int, dict[str, dict[int, Mapping[str, Any]]]]] = {}
    for row in found:
        if row["settings"] == newest[row["dataset"], row["arm"]]:
            own = every.setdefault(row["dataset"], {}).setdefault(row["seed"], {})
            own.setdefault(row["arm"], {})[row["round"]] = row
    needed = {"random", "foreground_random", "greedy_oracle", FULL}
    result: dict[str, dict[int, Runs]] = {}
    for dataset, seeds in every.items():
        for seed, arms in seeds.items():
            ended = all(set(own) == set(range(row["rounds"] + 1)) for own in arms.values() for row in own.values())
            lengths = {len(own) for arm, own in arms.items() if arm != FULL}
            if needed <= set(arms) and ended and len(lengths) == 1:
                ordered = {arm: [own[round] for round in sorted(own)] for arm, own in arms.items()}
                result.setdefault(dataset, {})[seed] = ordered
    return result


def area(own: Sequence[Mapping[str, Any]], over: Sequence[Sequence[Mapping[str, Any]]]) -> float:
    """Under the curve of mean IoU, on the costs that all of some runs cover."""
    low, high = paired.common_range([np.array([row["cost"] for row in run]) for run in over])
    return paired.area(np.array([row["cost"] for row in own]), np.array([iou(row) for row in own]), low, high)


def choice(runs: Runs) -> float:
    """What the greedy oracle gains on foreground-random."""
    both = [runs["greedy_oracle"], runs["foreground_random"]]
    return area(both[0], both) - area(both[1], both)


MEASURED: dict[str, Callable[[Runs], float]] = {
    "labels": lambda runs: iou(runs[FULL][0]) - iou(runs["random"][-1]),
    "choice": choice,
    "styles": lambda runs: runs[FULL][0]["worst_style"],
    "errors": lambda runs: statistics.mean(row["concentration"] for row in runs["foreground_random"]),
}


def table() -> str:
    """A line a regime: what each gate measured, and whether it is open."""
    lines = []
    for dataset, seeds in complete(rows.read(NAME)).items():
        cells = []
        for name, least in GATES.items():
            values = [MEASURED[name](runs) for runs in seeds.values()]
            mean = statistics.mean(values)
            cells.append(f"{mean:.3f} {'passes' if mean >= least else 'fails'}")
        lines.append([dataset, str(len(seeds)), *cells])
    header = ["regime", "seeds", *(f"{name} ≥ {least:.2f}" for name, least in GATES.items())]
    return (
        "## Gates\n\n`python benchmarks/gates.py`: whether rules could be told apart, before any runs in a regime. "
        "What each gate measures stands in the script. Means over seeds.\n\n" + rows.markdown(header, lines)
    )


if __name__ == "__main__":
    asked = tyro.cli(Settings, description=__doc__)
    rounds.collect(NAME, KEY, run, jobs(asked), asked.workers)
    rounds.publish(NAME, table())
