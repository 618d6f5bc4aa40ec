"""Do the intervals that an audit gives hold what they promise, and from how many regions on are they shown?

    python benchmarks/audit_intervals.py

One model, trained on 96 random tiles of the default logs, and its confusion with the truth on every region of the pool.
Audits are drawn uniformly from them, many times over; each gives an interval by the bootstrap over regions, and the one
that a run without a test set shows (`bal.experiment.audited`). Counted is how often the IoU of the whole pool lies
inside, of those intervals that are narrow enough to be shown.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tyro
from support import rows

from bal import Config, run_loop
from bal.experiment.audited import LEAST, widened
from bal.metrics.bootstrap import percentiles
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior.recipe import Train
from bal.report.columns import TOO_WIDE
from bal.scoring.held_out import predict_probabilities
from bal.sources import WellLog
from bal.system import devices

NAME = "audit_intervals"


@dataclass(frozen=True)
class Settings:
    sizes: tuple[int, ...] = (16, 64)
    """Sides of the tiles that are audited."""
    audits: tuple[int, ...] = (8, 16, 24, 32, 64, 128)
    """How many of them."""
    draws: int = 1000
    """Audits of each kind."""
    steps: int = 400
    """Training steps of the model that is judged."""


def confusions(settings: Settings) -> dict[int, np.ndarray]:
    """[M, C, C] of every region of the pool, by side."""
    config = Config(source=WellLog(test=1), train=Train(steps=settings.steps), rounds=0, start=96, budget=96)
    model, source = next(run_loop(config)).model, config.source.open()
    found = {}
    for size in settings.sizes:
        regions = lay_out(Tile(size), source.pool, [source.shape(id) for id in source.pool])
        classes, counts = len(source.classes), []
        for n, id in enumerate(source.pool):
            mask, mine = source.mask(id), np.arange(*regions.start[n : n + 2])
            for m, p in predict_probabilities(model, source, regions, mine).items():
                top, left, height, width = regions.box[m]
                pairs = mask[top : top + height, left : left + width] * classes + p.argmax(-1)
                counts.append(np.bincount(pairs.ravel(), minlength=classes**2).reshape(classes, classes))
        found[size] = np.array(counts, np.float64)
    return found


def iou(table: np.ndarray, c: int) -> np.ndarray:
    """[..., C, C] → [...] IoU of class c, NaN where it is in neither."""
    hit = table[..., c, c]
    union = table[..., c, :].sum(-1) + table[..., :, c].sum(-1) - hit
    return np.where(union > 0, hit / np.maximum(union, 1), np.nan)


def measure(settings: Settings) -> None:
    """One row for each size, number of audits and foreground class."""
    done = {(r["size"], r["audits"], r["class"]) for r in rows.read(NAME)}
    kinds = [(s, n, c) for s in settings.sizes for n in settings.audits for c in (1, 2)]
    if not set(kinds) - done:
        return
    for size, pool in confusions(settings).items():
        for audits, c in ((n, c) for s, n, c in kinds if s == size and (s, n, c) not in done):
            rng, truth = np.random.default_rng((size, audits, c)), float(iou(pool.sum(0), c))
            shown, held = np.zeros(2, int), np.zeros(2, int)
            for _ in range(settings.draws):
                some = pool[rng.choice(len(pool), audits, replace=False)]
                times = rng.multinomial(audits, np.full(audits, 1 / audits), 500).astype(np.float64)
                plain = [float(v[0]) for v in percentiles(iou(np.tensordot(times, some, 1), c)[:, None])]
                seen = int((some[:, c, :].sum(1) + some[:, :, c].sum(1) > 0).sum())
                for i, (low, high) in enumerate((plain, widened(float(iou(some.sum(0), c)), *plain, seen))):
                    shown[i] += high - low <= TOO_WIDE
                    held[i] += high - low <= TOO_WIDE and low <= truth <= high
            row = {"size": size, "audits": audits, "class": c, "iou": truth, "draws": settings.draws}
            row |= {"shown": shown.tolist(), "held": held.tolist()}
            rows.append(NAME, row)
            print(row, flush=True)


def table() -> str:
    """Shares shown, and of these how many hold the truth, by the bootstrap alone and as a run shows them."""
    lines = []
    for r in sorted(rows.read(NAME), key=lambda r: (r["size"], r["class"], r["audits"])):
        cells = [f"{r['size']} px", f"curve_{r['class']}, {r['iou']:.2f}", str(r["audits"])]
        for shown, held in zip(r["shown"], r["held"], strict=True):
            cells += [f"{shown / r['draws']:.2f}", f"{held / shown:.2f}" if shown else "–"]
        lines.append(cells)
    heading = (
        "## What an audit can say\n\n`python benchmarks/audit_intervals.py`: audits drawn again and again from the "
        f"default logs. Shown: the share whose 95 % interval is no wider than {TOO_WIDE:g}; held: of these, the share "
        f"that holds the IoU of the pool. Left the bootstrap alone, right what a run without a test set shows, from "
        f"{LEAST} regions with the class on.\n\n"
    )
    heads = ["tile", "class, IoU", "audited", "bootstrap: shown", "held", "as reported: shown", "held"]
    return heading + rows.markdown(heads, lines)


if __name__ == "__main__":
    devices.set_up_platform()
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
