"""Which normalisation generalises from training patches to whole images?

    python benchmarks/normalisation.py --patches 32 --seeds 3

One fit of two members a row: the same random labels, the same steps, judged on whole test images. Statistics over
pixels shift between a patch and an image; statistics over channels do not, and `none` has no statistics at all. Rows
that are there already are not computed again.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from dataclasses import dataclass
from typing import get_args

import tyro
from support import rows

from bal import Config, run_loop
from bal.posterior.heads import DeepEnsemble
from bal.posterior.nets._norms import Kind
from bal.system import devices

NAME = "normalisation"
SHOWN = ("iou_curve_1", "iou_curve_2", "nll_raw", "ece_foreground_raw")


@dataclass(frozen=True)
class Settings:
    seeds: int = 3
    """Paired seeds: the same labels for every normalisation."""
    labels: float = 144
    """Random tiles to train on."""
    patches: tuple[int, ...] = (32, 64)
    """Sides of the training patches."""


def measure(settings: Settings) -> None:
    """Computes the rows that are missing."""
    done = {(r["norm"], r["patch"], r["labels"], r["seed"]) for r in rows.read(NAME)}
    default = Config()
    for seed in range(settings.seeds):
        for patch in settings.patches:
            for norm in get_args(Kind):
                if (norm, patch, settings.labels, seed) in done:
                    continue
                config = dataclasses.replace(
                    default,
                    head=DeepEnsemble(2),
                    net=dataclasses.replace(default.net, norm=norm),
                    train=dataclasses.replace(default.train, patch=patch),
                    seed=seed,
                    rounds=0,
                    start=settings.labels,
                    budget=settings.labels,
                )
                began = time.perf_counter()
                row = next(run_loop(config)).row
                measured = {k: row[k] for k in SHOWN}
                what = {"norm": norm, "patch": patch, "labels": settings.labels, "seed": seed}
                rows.append(NAME, {**what, **measured, "seconds": time.perf_counter() - began})
                print(what, measured, flush=True)


def table() -> str:
    """Mean over seeds, and in brackets the paired difference to `none` with its standard error."""
    found = {(r["norm"], r["patch"], r["seed"]): r for r in rows.read(NAME)}
    lines = []
    for norm, patch in sorted({key[:2] for key in found}, key=lambda k: (k[1], get_args(Kind).index(k[0]))):
        seeds = [s for n, p, s in found if (n, p) == (norm, patch) and ("none", patch, s) in found]
        cells = [norm, str(patch), str(len(seeds))]
        for column in SHOWN:
            own = [found[norm, patch, s][column] for s in seeds]
            gaps = [found[norm, patch, s][column] - found["none", patch, s][column] for s in seeds]
            spread = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
            paired = "" if norm == "none" else f" ({statistics.mean(gaps):+.3f} ± {spread:.3f})"
            cells.append(f"{statistics.mean(own):.3f}{paired}")
        lines.append(cells)
    heading = (
        "## Normalisation\n\n`python benchmarks/normalisation.py`: two members, default training, "
        f"{Settings().labels:g} random tiles, whole test images. Mean over seeds; in brackets the paired difference to "
        "`none` ± its standard error.\n\n"
    )
    return heading + rows.markdown(["normalisation", "patch", "seeds", *SHOWN], lines)


if __name__ == "__main__":
    devices.set_up_platform()
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
