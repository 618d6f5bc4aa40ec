"""How does the time of scoring grow with the pool, what does a second device bring, and how long is the first wait?

    python benchmarks/scaling.py

Three measurements. Pools over three decades, by a posterior so cheap that reading and bookkeeping weigh as much as they
can (MC dropout at the features), with the exponent b of seconds = a · images^b. The same pool on one and on two CPU
devices, in two processes that take turns. And a fresh process from its start to its first purchase, with nothing
compiled before and with everything compiled before.
"""

from __future__ import annotations

import functools
import json
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro
from support import fresh, rows, timing
from support.pools import Cycle

from bal import Config, select
from bal.experiment.setup import set_up
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior.calibrators import Identity
from bal.posterior.heads import DeepEnsemble, MCDropout
from bal.posterior.heads.base import Head
from bal.posterior.model import Model
from bal.posterior.nets import UNet
from bal.posterior.nets.base import Net
from bal.scoring.acquisitions import BALD
from bal.scoring.score import score_regions
from bal.sources import WellLog
from bal.sources.base import Source
from bal.system import devices

NAME = "scaling"


@dataclass(frozen=True)
class Settings:
    images: tuple[int, ...] = (16, 64, 256, 1024, 4096, 16384)
    """Pools of the first measurement."""
    fitted_from: int = 256
    """The exponent is fitted to pools at least this large: below, one image more or less in a batch is what counts."""
    shared: int = 128
    """Images of the pool that one and two devices score."""
    members: int = 5
    """Independent networks that score them."""
    repetitions: int = 3
    """Of everything; medians are given."""


def scorer(head: Head, net: Net, source: Source) -> Callable[[], np.ndarray]:
    """Scores a whole pool with initial parameters."""
    params = devices.replicate(jax.jit(head.init, static_argnums=0)(net, jax.random.key(0)))
    model = Model(head, net, params, Identity(), Identity().init(net.classes))
    regions = lay_out(Tile(), source.pool, [source.shape(id) for id in source.pool])
    return lambda: score_regions(model, source, regions, BALD(), jax.random.key(0))


def network(source: Source) -> Net:
    """The default one."""
    return UNet().bind(source.channels, len(source.classes))


def seconds_by_size(images: tuple[int, ...], repetitions: int) -> list[float]:
    """Medians, one a pool."""
    devices.set_up_platform()
    pools = [Cycle(n) for n in images]
    contenders = {
        str(n): scorer(MCDropout(2, where="features"), network(p), p) for n, p in zip(images, pools, strict=True)
    }
    contenders[str(images[0])]()
    taken = timing.interleave(contenders, repetitions)
    return [timing.median(taken[str(n)]) for n in images]


def exponent(images: tuple[int, ...], seconds: list[float], least: int) -> float:
    """b of seconds = a · images^b, by least squares between logarithms."""
    kept = [(n, s) for n, s in zip(images, seconds, strict=True) if n >= least]
    return float(np.polyfit(*np.log(np.array(kept)).T, 1)[0])


@functools.cache
def on_devices(count: int, images: int, members: int) -> Callable[[], np.ndarray]:
    """The second measurement, made ready once in a process of so many devices."""
    devices.set_up_platform()
    jax.config.update("jax_num_cpu_devices", count)
    pool = Cycle(images)
    score = scorer(DeepEnsemble(members), network(pool), pool)
    score()
    return score


def score_on(count: int, images: int, members: int) -> None:
    """One call of it."""
    on_devices(count, images, members)()


def by_devices(settings: Settings) -> dict[int, list[float]]:
    """Seconds of every repetition, by number of devices."""
    with ExitStack() as stack:
        contenders = {}
        for count in (1, 2):
            process = stack.enter_context(fresh.process())
            work = functools.partial(score_on, count, settings.shared, settings.members)
            contenders[str(count)] = lambda process=process, work=work: process.submit(work).result()
            contenders[str(count)]()
        taken = timing.interleave(contenders, settings.repetitions + 2)
    return {int(count): seconds for count, seconds in taken.items()}


def first_query(cache: Path) -> float:
    """The clock when the first purchase out of 64 images is made, by the default head of an untrained network."""
    devices.set_up_platform(cache)
    setup = set_up(Config(source=WellLog(pool=64, test=1), start=24, budget=144))
    score = scorer(setup.config.head, setup.net, setup.source)
    query = select(score(), setup.costs, 24)
    jax.block_until_ready(query)
    return time.time()


def waits(repetitions: int) -> tuple[float, float]:
    """Seconds from the start of a process to its first purchase: with an empty cache, and with a full one."""
    cold, warm = [], []
    for _ in range(repetitions):
        with tempfile.TemporaryDirectory() as cache:
            for taken in (cold, warm):
                began = time.time()
                taken.append(fresh.call(first_query, Path(cache)) - began)
    return timing.median(cold), timing.median(warm)


def measure(settings: Settings) -> dict[str, Any]:
    """All three."""
    seconds = fresh.call(seconds_by_size, settings.images, settings.repetitions)
    by_count = by_devices(settings)
    cold, warm = waits(settings.repetitions)
    row = {
        "images": settings.images,
        "seconds": seconds,
        "fitted_from": settings.fitted_from,
        "pool_exponent": exponent(settings.images, seconds, settings.fitted_from),
        "seconds_one_device": timing.median(by_count[1]),
        "seconds_two_devices": timing.median(by_count[2]),
        "two_devices_vs_one": timing.ratio(by_count[1], by_count[2]),
        "cold_first_query_s": cold,
        "warm_first_query_s": warm,
    }
    rows.append(NAME, row)
    return row


def table(row: dict[str, Any], settings: Settings) -> str:
    """Three short paragraphs and the pools."""
    lines = [[f"{n:,}", f"{s:.3f}", f"{1000 * s / n:.2f}"] for n, s in zip(row["images"], row["seconds"], strict=True)]
    pools = rows.markdown(["images", "seconds", "ms an image"], lines)
    return (
        "## Scaling\n\n`python benchmarks/scaling.py`: scoring pools of 128 × 128 images by BALD, default network.\n\n"
        f"Seconds grow with images to the power of {row['pool_exponent']:.3f}, fitted from {row['fitted_from']:,} "
        f"images on (MC dropout at the features, 2 samples):\n\n{pools}\n\n"
        f"{settings.shared} images by {settings.members} independent networks take {row['seconds_one_device']:.2f} s "
        f"on one CPU device and {row['seconds_two_devices']:.2f} s on two, {row['two_devices_vs_one']:.2f} times "
        "faster.\n\nFrom the start of a process to its first purchase out of 64 images, by the default head: "
        f"{row['cold_first_query_s']:.1f} s with nothing compiled before, {row['warm_first_query_s']:.1f} s later."
    )


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    row = measure(settings)
    text = table(row, settings)
    rows.publish(NAME, text)
    print(text)
    asked = ("pool_exponent", "two_devices_vs_one", "cold_first_query_s", "warm_first_query_s")
    print(json.dumps({name: row[name] for name in asked}))
