"""What does each way of choosing buy first, and what is learned from that alone?

    python benchmarks/first_purchase.py --seeds 1

The arms of `comparison.yaml` and what else it lists to be tried, after one start set that all share: what the regions
that followed the score hold in truth, how many images they come from, and the fit that is made with them. Rows that are
there already are not computed again.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from compare_acquisitions import Job
from support import plan, rows, workers

from bal import run_loop
from bal.experiment.setup import Setup, set_up
from bal.metrics import evaluate
from bal.posterior.model import Model

NAME = "first_purchase"
KEY = ("dataset", "arm", "seed", "settings")
SHOWN = {
    "images": ("images", 1),
    "foreground": ("foreground, %", 1),
    "both": ("hold both curves", 1),
    "neither": ("hold none", 1),
    "border": ("at a border", 1),
    "precision": ("precision", 2),
    "recall": ("recall", 2),
    "ece_foreground": ("foreground ECE", 3),
    "iou": ("IoU of the curves", 3),
}


@dataclass(frozen=True)
class Settings:
    workers: int = 2
    """Processes side by side, each on its share of the cores."""
    seeds: int = 1
    """How many."""
    datasets: tuple[str, ...] = ()
    """Which; all unless given."""
    plan: Path = plan.SETTINGS
    """The file of settings."""


def run(job: Job) -> Iterator[dict[str, Any]]:
    """A row an arm."""
    warm_start: Model | None = None
    for arm in job.arms:
        config = job.plan.config(job.dataset, arm, job.seed)
        setup, records = set_up(config), run_loop(config, warm_start=warm_start)
        first, second = next(records), next(records)
        records.close()
        warm_start = warm_start or first.model
        what = {"dataset": job.dataset, "arm": arm, "seed": job.seed, "settings": plan.fingerprint(config)}
        yield what | composition(setup, first.queries) | outcome(setup, second.model, second.row)


def composition(setup: Setup, queries: list[dict[str, Any]]) -> dict[str, Any]:
    """What was bought besides the audit: shares and counts by the truth."""
    shares, images, border = [], set(), 0
    for query in queries:
        if query["policy"] != "audit":
            top, left, height, width = query["box"]
            whole = setup.source.mask(query["image"])
            mask = whole[top : top + height, left : left + width]
            shares.append([(mask == c).mean() for c in range(1, len(setup.source.classes))])
            images.add(query["image"])
            border += min(top, left, whole.shape[0] - top - height, whole.shape[1] - left - width) == 0
    share = np.array(shares)  # [K, C − 1]
    held = (share > 0).sum(-1)
    return {
        "regions": len(share),
        "images": len(images),
        "foreground": 100 * float(share.sum(-1).mean()),
        "both": int((held > 1).sum()),
        "neither": int((held == 0).sum()),
        "border": border,
    }


def outcome(setup: Setup, model: Model, row: dict[str, Any]) -> dict[str, float]:
    """Means over the curves, on the pixels of all test images, of the fit that has seen the purchase."""
    confusion = np.asarray(evaluate.tally(model, setup.source, setup.source.test)["overlap"].confusion, np.float64)
    hit, ious = np.diag(confusion)[1:], [row[key] for key in row if plan.is_curve(key)]
    return {
        "precision": float((hit / np.maximum(confusion[:, 1:].sum(0), 1)).mean()),
        "recall": float((hit / confusion[1:].sum(1)).mean()),
        "ece_foreground": row["ece_foreground"],
        "iou": statistics.mean(ious),
    }


def jobs(settings: Settings) -> list[Job]:
    """What is missing, seed by seed."""
    of, wanted = plan.read(settings.plan), []
    present = of.present()
    done = {tuple(row[key] for key in KEY) for row in rows.read(NAME)}
    for seed in range(settings.seeds):
        for dataset in settings.datasets or present:
            keys = {arm: plan.fingerprint(of.config(dataset, arm, seed)) for arm in (*of.arms, *of.tried)}
            missing = tuple(arm for arm, made in keys.items() if (dataset, arm, seed, made) not in done)
            wanted += [Job(of, dataset, seed, missing)] if missing else []
    return wanted


def measure(settings: Settings) -> None:
    """Computes the rows that are missing."""
    wanted = jobs(settings)
    expected = sum(len(job.arms) for job in wanted)
    for count, row in enumerate(workers.stream(run, wanted, settings.workers), 1):
        rows.append(NAME, row)
        shown = ", ".join(f"{title} {row[key]:.{digits}f}" for key, (title, digits) in SHOWN.items())
        print(f"{row['dataset']}/{row['arm']} seed {row['seed']}: {shown}; {count} of {expected}", flush=True)


def table() -> str:
    """A table a data set: means over seeds."""
    found: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for row in rows.read(NAME):
        found.setdefault(row["dataset"], {}).setdefault(row["arm"], []).append(row)
    parts = []
    for dataset, arms in found.items():
        lines = []
        for arm, same in sorted(arms.items(), key=lambda item: -statistics.mean(r["iou"] for r in item[1])):
            own = [row for row in same if row["settings"] == same[-1]["settings"]]
            means = [
                (round(statistics.mean(row[key] for row in own), digits), digits) for key, (_, digits) in SHOWN.items()
            ]
            cells = [f"{mean:g}" if digits == 1 else f"{mean:.{digits}f}" for mean, digits in means]
            lines.append([arm, str(len(own)), *cells])
        header = ["arm", "seeds", *(title for title, _ in SHOWN.values())]
        most = max(row["regions"] for same in arms.values() for row in same)
        parts.append(f"{dataset}, {most} regions:\n\n{rows.markdown(header, lines)}")
    heading = (
        "### What the first purchase is made of\n\n`python benchmarks/first_purchase.py`: the regions bought after the "
        "start set, audit left out, by what they hold in truth, and the fit that has seen them: precision, recall and "
        "IoU are means over both curves, on the pixels of all test images.\n\n"
    )
    return heading + "\n\n".join(parts)


if __name__ == "__main__":
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
