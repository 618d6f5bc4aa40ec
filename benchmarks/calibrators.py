"""Which calibrator makes the probabilities honest from a handful of audited tiles?

    python benchmarks/calibrators.py --seeds 10

One fit of the default head a source and seed, on random tiles; every calibrator is fitted to the same audited tiles and
judged on whole test images, beside no calibration. Intervals are over test images, and paired: a draw of images
compares before and after on the same images. A source whose folder is not there is skipped. Rows that are there already
are not computed again.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
import tyro
from support import rows

from bal import Config, loop
from bal.config.resolve import load
from bal.experiment.setup import Setup, set_up
from bal.metrics import bootstrap
from bal.metrics.summary import summary
from bal.metrics.tally import tally_images, total, values
from bal.pool.labels import AUDIT
from bal.posterior.calibrators import CALIBRATORS, Temperature
from bal.posterior.model import Model
from bal.posterior.moments import TINY
from bal.scoring import held_out
from bal.scoring.score import stride
from bal.sources.batches import load as load_images
from bal.system import devices

NAME = "calibrators"
ROOT = Path(__file__).parents[1]
SOURCES = {
    "well_log": (None, None),
    "noisyoffice": ("configs/noisyoffice.yaml", "../shared/data/noisyoffice"),
    "dsb2018": ("configs/dsb2018.yaml", "../shared/data/dsb2018"),
}
SHOWN = {"ece_foreground": "foreground ECE", "ece_classes": "classwise ECE", "nll": "NLL, nats"}


STRENGTH = Temperature().pixels_per_observation  # of all calibrators, by default


@dataclass(frozen=True)
class Settings:
    seeds: int = 10
    """Fits of the head, each with its own labels."""
    labels: float = 120
    """Random tiles, the audited ones included."""
    audit: float = 1 / 6
    """Share of them that is audited: 20 of 120."""
    sources: tuple[str, ...] = tuple(SOURCES)
    """Of well_log, noisyoffice, dsb2018."""


def configure(name: str, settings: Settings, seed: int) -> Config | None:
    """The preset of a source with no rounds; None where its images are not."""
    preset, folder = SOURCES[name]
    config = Config() if preset is None else load(ROOT / preset)
    if folder is not None:
        if not (ROOT / folder).is_dir():
            print(f"{name}: no folder {folder}, skipped")
            return None
        config = dataclasses.replace(config, source=dataclasses.replace(config.source, path=ROOT / folder))
    money = {"rounds": 0, "start": settings.labels, "budget": settings.labels, "audit": settings.audit}
    return dataclasses.replace(config, seed=seed, **money)


def strength(row: Mapping[str, Any]) -> float:
    """Pixels that the fit of a row took for one observation."""
    return row.get("pixels_per_observation", 64.0)  # what it was before rows said so


def measure(settings: Settings) -> None:
    """Computes the rows that are missing."""
    wanted = [
        (name, on) for name in CALIBRATORS for on in ("pooled", "members") if (name, on) != ("identity", "members")
    ]
    done = {(r["source"], r["seed"], r["calibrator"], r["on"]) for r in rows.read(NAME) if strength(r) == STRENGTH}
    for seed in range(settings.seeds):
        for source in settings.sources:
            missing = [(name, on) for name, on in wanted if (source, seed, name, on) not in done]
            config = configure(source, settings, seed) if missing else None
            if config is None:
                continue
            setup = set_up(config)
            pool = loop.start(setup)[0].pool
            model = loop.train_on(setup, pool, 0, lambda event: None)
            evidence = {on: gather(setup, model, on, pool.bought(AUDIT)) for on in ("pooled", "members")}
            images = list(look(setup, model))
            for name, on in missing:
                row = judge(setup.source.classes, images, CALIBRATORS[name](on=on), evidence[on])
                what = {"source": source, "seed": seed, "calibrator": name, "on": on, "labels": settings.labels}
                what["pixels_per_observation"] = STRENGTH
                rows.append(NAME, {**what, "tiles": int((pool.split == AUDIT).sum()), **row})
                print(what, {k: row[k] for k in SHOWN}, flush=True)


class Gathered(NamedTuple):
    """What a calibrator is fitted to."""

    logits: Any = None  # [P, C]
    label: Any = None  # [P]
    weight: Any = None  # [P]


@dataclass(frozen=True)
class Gather:
    """A calibrator that only keeps what it was given."""

    on: str

    def init(self, classes: int) -> Gathered:
        return Gathered()

    def fit(self, logits: Any, label: Any, weight: Any = None) -> Gathered:
        return Gathered(logits, label, weight)

    def log_probs(self, state: Gathered, logits: jax.Array) -> jax.Array:
        return jax.nn.log_softmax(logits)


def gather(setup: Setup, model: Model, on: str, answers: Mapping[int, np.ndarray]) -> Gathered:
    """The audited pixels as `held_out.calibrate` gives them to a calibrator."""
    model = dataclasses.replace(model, calibrator=Gather(on), state=Gathered())
    return held_out.calibrate(model, setup.source, setup.regions, answers).state


def look(setup: Setup, model: Model) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Log-probabilities of every sample [S, H, W, C] and label [H, W] of every test image, padding labelled IGNORE."""
    for loaded in load_images(setup.source, setup.source.test, stride(model), labels=True):
        samples = [held_out._member(model, *loaded[1:3], jnp.int32(s)) for s in range(model.head.samples)]
        logp = np.stack([devices.fetch(x) for x in samples], 1)  # [B, S, H, W, C]
        yield from zip(logp[: len(loaded.rows)], devices.fetch(loaded.label), strict=False)


@partial(jax.jit, static_argnames="calibrator")
def compare(calibrator: Any, state: Any, logp: jax.Array) -> tuple[jax.Array, jax.Array]:
    """[H, W, C] of one image after and before, as `posterior.moments` applies a calibrator, from [S, H, W, C]."""
    raw = jnp.exp(logp).mean(0)  # [H, W, C]
    if calibrator.on == "members":
        after = jnp.exp(calibrator.log_probs(state, logp)).mean(0)
    else:
        after = jnp.exp(calibrator.log_probs(state, jnp.log(jnp.maximum(raw, TINY))))
    return after, raw


def judge(classes: tuple[str, ...], images: list, calibrator: Any, evidence: Gathered) -> dict[str, Any]:
    """Metrics on the test images before and after, and the interval of each difference."""
    began = time.perf_counter()
    state = jax.block_until_ready(calibrator.fit(*evidence))
    row: dict[str, Any] = {"images": len(images), "seconds": time.perf_counter() - began}
    tallies = [
        tally_images(*(x[None] for x in (*compare(calibrator, state, logp), label))) for logp, label in images
    ]  # [1, …] each
    each = jax.tree.map(lambda *x: np.concatenate(x), *tallies)  # [N, …]
    drawn, found = dict(values(bootstrap.draw(each), classes)), summary(total(each), classes)
    for metric in SHOWN:
        low, high = bootstrap.percentiles(drawn[metric] - drawn[f"{metric}_raw"])
        row |= {metric: found[metric], f"{metric}_raw": found[f"{metric}_raw"]}
        row |= {f"{metric}_change_low": float(low), f"{metric}_change_high": float(high)}
    row |= {f"iou_{c}": found[f"iou_{c}"] for c in classes[1:]}
    return row | {"summary": dict(calibrator.summary(state))}


def changed(group: list[dict[str, Any]], metric: str) -> tuple[float, float]:
    """Mean of a metric's change over seeds, and half its 95 % t interval; infinite for one seed."""
    change = [r[metric] - r[f"{metric}_raw"] for r in group]
    if len(change) < 2:
        return change[0], float("inf")
    spread = statistics.stdev(change) / len(change) ** 0.5
    return statistics.mean(change), float(scipy.stats.t.ppf(0.975, len(change) - 1)) * spread


def table() -> str:
    """A table a source: mean over seeds, and how many seeds changed beyond their interval."""
    found = rows.read(NAME)
    parts, worse = [], []
    for source in SOURCES:
        mine = [r for r in found if r["source"] == source]
        if not mine:
            continue
        used = STRENGTH if any(strength(r) == STRENGTH for r in mine) else max(strength(r) for r in mine)
        mine = [r for r in mine if strength(r) == used]
        lines = []
        for name, on in dict.fromkeys((r["calibrator"], r["on"]) for r in mine):
            group = [r for r in mine if (r["calibrator"], r["on"]) == (name, on)]
            cells = [name, "–" if name == "identity" else on, str(len(group))]
            for metric in SHOWN:
                mean, (change, half) = statistics.mean(r[metric] for r in group), changed(group, metric)
                lower = sum(r[f"{metric}_change_high"] < 0 for r in group)
                higher = sum(r[f"{metric}_change_low"] > 0 for r in group)
                more = f" ({change:+.4f} ± {half:.4f}; {lower} ↓ {higher} ↑)"
                cells.append(f"{mean:.4f}" + ("" if name == "identity" else more))
                if metric == "nll" and change - half > 0 and name != "identity":
                    worse.append(f"`{name}` on {on} ({source})")
            cells.append(" / ".join(f"{statistics.mean(r[k] for r in group):.3f}" for k in group[0] if "iou_" in k))
            lines.append(cells)
        tiles, images = ({r[k] for r in mine} for k in ("tiles", "images"))
        sizes = f"{min(tiles)}–{max(tiles)} audited tiles, {max(images)} test images, {used:g} pixels an observation"
        heading = ["calibrator", "on", "seeds", *SHOWN.values(), "foreground IoU"]
        parts.append(f"{source}: {sizes}.\n\n{rows.markdown(heading, lines)}")
    heading = (
        "## Calibrators\n\n`python benchmarks/calibrators.py`: one fit of the default head to random tiles a seed; "
        "mean over seeds on whole test images. In brackets the mean change against no calibration, with its 95 % t "
        "interval over seeds, and the seeds in which the metric fell (↓) or rose (↑) by more than a 95 % interval over "
        "test images of the paired difference leaves open. NLL is raised beyond the interval over seeds by "
        f"{', '.join(worse) or 'none'}.\n\n"
    )
    return heading + "\n\n".join(parts)


if __name__ == "__main__":
    devices.set_up_platform()
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
