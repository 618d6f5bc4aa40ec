"""Does the memory of scoring grow with the pool, or with the number of posterior samples?

    python benchmarks/memory.py

BALD of MC dropout in the decoder of the default network, on rendered logs of 128 × 128 pixels; every pool in a process
of its own. Programs come out of a cache that is filled before, since compiling takes memory too. A few batches are
scored first, and what counts is the resident memory held at most from then on.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import tyro
from support import fresh, rows
from support.pools import Cycle

from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior.calibrators import Identity
from bal.posterior.heads import MCDropout
from bal.posterior.model import Model
from bal.posterior.nets import UNet
from bal.scoring.acquisitions import BALD
from bal.scoring.score import score_regions
from bal.system import devices

NAME = "memory"
MB = 2**20
FIRST = 64  # images that are scored before: a few batches


@dataclass(frozen=True)
class Settings:
    images: tuple[int, ...] = (64, 256, 1024, 4096)
    """Pools, each asked with the usual number of samples."""
    samples: tuple[int, ...] = (5, 20, 80)
    """Numbers of samples, each asked about the usual pool."""
    usual: tuple[int, int] = (256, 20)
    """Images and samples of whatever is not varied."""


def held(images: int, samples: int, cache: Path) -> dict[str, Any]:
    """Bytes that a fresh process holds at most while it scores a pool, and before."""
    devices.set_up_platform(cache)
    key, calibrator = jax.random.key(0), Identity()
    pool = Cycle(images)
    net = UNet().bind(pool.channels, len(pool.classes))
    head = MCDropout(samples)
    model = Model(head, net, head.init(net, key), calibrator, calibrator.init(net.classes))

    def score(ids: tuple[str, ...]) -> None:
        regions = lay_out(Tile(), ids, [pool.shape(id) for id in ids])
        score_regions(model, pool, regions, BALD(), key)

    score(pool.pool[:FIRST])
    before = fresh.resident()
    fresh.reset_peak()
    score(pool.pool)
    return {"images": images, "samples": samples, "before": before, "peak": fresh.peak()}


def measure(settings: Settings) -> list[dict[str, Any]]:
    """One row for each pool and each number of samples."""
    images, samples = settings.usual
    cases = [(n, samples) for n in settings.images] + [(images, s) for s in settings.samples]
    measured = []
    with tempfile.TemporaryDirectory() as cache:
        for s in {s for _, s in cases}:
            fresh.call(held, FIRST, s, Path(cache))
        for n, s in dict.fromkeys(cases):
            measured.append(fresh.call(held, n, s, Path(cache)))
            rows.append(NAME, measured[-1])
            print(measured[-1], flush=True)
    return measured


def growth(measured: list[dict[str, Any]], settings: Settings) -> dict[str, float]:
    """Peak of the largest by peak of the smallest."""
    peak = {(row["images"], row["samples"]): row["peak"] for row in measured}
    images, samples = settings.usual
    return {
        "growth_images": peak[max(settings.images), samples] / peak[min(settings.images), samples],
        "growth_samples": peak[images, max(settings.samples)] / peak[images, min(settings.samples)],
    }


def table(measured: list[dict[str, Any]], found: dict[str, float]) -> str:
    """One line a pool."""
    lines = [
        [
            f"{row['images']:,}",
            str(row["samples"]),
            f"{row['peak'] / MB:.0f}",
            f"{(row['peak'] - row['before']) / MB:+.0f}",
        ]
        for row in measured
    ]
    heading = (
        "## Memory\n\n`python benchmarks/memory.py`: peak resident memory while a pool of 128 × 128 images is scored "
        "(BALD, MC dropout in the decoder, default network), each in a fresh process. From the "
        f"smallest pool to the largest it grows by a factor of {found['growth_images']:.3f}, from the fewest samples "
        f"to the most by {found['growth_samples']:.3f}.\n\n"
    )
    header = ["images", "samples", "peak while scoring, MB", "above what was held before, MB"]
    return heading + rows.markdown(header, lines)


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    measured = measure(settings)
    found = growth(measured, settings)
    text = table(measured, found)
    rows.publish(NAME, text)
    print(text)
    print(json.dumps(found))
