"""Does a start that is not blind pay, where the foreground is thin and rare?

    python -m pip install -e '.[superpixel]' && python benchmarks/blind_start.py --workers 2

Data sets × arms × paired seeds of `blind_start.yaml`. The masks of photographs are thinned to their centrelines
(scikit-image), which leaves at most a pixel in fifty as foreground. Arms with equal start sets share the fit to it.
Rows that are there already are not computed again.
"""

from __future__ import annotations

import dataclasses
import shutil
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tyro
from PIL import Image
from support import plan, rounds, rows
from support.rounds import iou

from bal import Config, run_loop
from bal.metrics.paired import signed_rank
from bal.posterior.model import Model

NAME = "blind_start"
KEY = ("dataset", "arm", "seed", "settings")
BEFORE = "score_first"
LAST = 2  # purchase, of which the first is that of a model which may have seen no foreground
ENLARGED = {"noisyoffice": 3}  # a finer scan, of which the middle is kept, since text is dense
THIN = rows.FOLDER.parent / "runs" / "thinned"  # where copies with thinned masks lie


class Job(NamedTuple):
    """Arms of one data set and seed."""

    dataset: str
    seed: int
    arms: tuple[str, ...]


def thinned(folder: Path) -> Path:
    """A copy of a folder whose masks are the centrelines of what they were; made once."""
    from skimage.morphology import skeletonize

    out = THIN / folder.name
    if not out.exists():
        part = out.with_name(f".{out.name}")
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(folder, part)
        factor = ENLARGED.get(folder.name, 1)
        for path in sorted((part / "images").iterdir()):
            enlarged(Image.open(path), factor, Image.Resampling.BICUBIC).save(path)
        for path in sorted((part / "masks").iterdir()):
            label = np.asarray(enlarged(Image.open(path), factor, Image.Resampling.NEAREST))
            line = np.zeros_like(label)
            for c in np.unique(label[(label > 0) & (label < 255)]):
                line[skeletonize(label == c)] = c
            Image.fromarray(line).save(path)
        part.rename(out)
    return out


def enlarged(image: Image.Image, factor: int, how: Image.Resampling) -> Image.Image:
    """The middle of a picture so many times finer, of the size that it was."""
    width, height = image.size
    middle = (width - width / factor) / 2, (height - height / factor) / 2
    return image.resize((width, height), how, (*middle, width - middle[0], height - middle[1]))


def config_of(of: plan.Plan, job: Job, arm: str) -> Config:
    """Of one run."""
    config = of.config(job.dataset, arm, job.seed)
    path = getattr(config.source, "path", None)
    if path is not None:
        source: Any = config.source
        config = dataclasses.replace(config, source=dataclasses.replace(source, path=thinned(path)))
    return config


def run(job: Job) -> Iterator[dict[str, Any]]:
    """The rows of its arms, one a round."""
    of, begun = plan.read(rows.FOLDER / "blind_start.yaml"), dict[str, Model]()
    for arm in job.arms:
        config = config_of(of, job, arm)
        what = {"dataset": job.dataset, "arm": arm, "seed": job.seed, "settings": of.given(job.dataset, arm)}
        for record in run_loop(config, warm_start=begun.get(config.start_by)):
            begun.setdefault(config.start_by, record.model)
            shown = {k: v for k, v in record.row.items() if isinstance(v, int | float)}
            yield {**what, "round": record.row["round"], **shown}


def jobs(settings: rounds.Settings) -> list[Job]:
    """What is missing, seed by seed."""
    of = plan.read(rows.FOLDER / "blind_start.yaml")
    last = rounds.newest(NAME, KEY)
    wanted = []
    for seed in range(settings.seeds or of.seeds):
        for dataset in settings.datasets or of.present():
            arms = [arm for arm in of.arms if last.get((dataset, arm, seed, of.given(dataset, arm)), -1) < LAST]
            wanted += [Job(dataset, seed, tuple(arms))] if arms else []
    return wanted


def measure(settings: rounds.Settings) -> None:
    """Computes what is missing."""
    rounds.collect(NAME, KEY, run, jobs(settings), settings.workers)


def table() -> str:
    """A line a data set and arm: IoU by round, how often the first purchase left it at zero, and the paired gain."""
    found = {(r["dataset"], r["arm"], r["seed"], r["round"]): r for r in rows.read(NAME)}
    lines = []
    for dataset, arm in dict.fromkeys(key[:2] for key in found):
        seeds = sorted(
            {s for d, a, s, r in found if (d, a, r) == (dataset, arm, LAST) and (d, BEFORE, s, LAST) in found}
        )
        if not seeds:
            continue
        cells = [dataset, arm, str(len(seeds))]
        for round in range(LAST + 1):
            cells.append(f"{statistics.mean(iou(found[dataset, arm, s, round]) for s in seeds):.3f}")
        cells.append(str(sum(iou(found[dataset, arm, s, 1]) < 0.005 for s in seeds)))
        gaps = [area(found, dataset, arm, s) - area(found, dataset, BEFORE, s) for s in seeds]
        cells.append("" if arm == BEFORE else f"{statistics.mean(gaps):+.3f} (p {signed_rank(np.array(gaps)):.3f})")
        lines.append(cells)
    heading = (
        "## A start that is not blind\n\n`python benchmarks/blind_start.py`: masks thinned to centrelines (NoisyOffice "
        "from a scan three times finer), and logs with a pen of one pixel; 24 tiles, then 32 a round. IoU on whole "
        "test images, mean over foreground classes and seeds; seeds in which it was still 0 after the first purchase; "
        "and the paired difference to power BALD from the first purchase on, mean over the rounds after purchases, "
        "exact signed-rank test, not corrected.\n\n"
    )
    columns = ["data set", "arm", "seeds", *(f"round {n}" for n in range(LAST + 1)), "at zero", f"gain on `{BEFORE}`"]
    return heading + rows.markdown(columns, lines)


def area(found: Mapping[tuple, Mapping[str, Any]], dataset: str, arm: str, seed: int) -> float:
    """Mean over the rounds after the first."""
    return statistics.mean(iou(found[dataset, arm, seed, round]) for round in range(1, LAST + 1))


if __name__ == "__main__":
    measure(tyro.cli(rounds.Settings, description=__doc__))
    rounds.publish(NAME, table())
