"""Which posterior finds its own errors, at what price?

    python benchmarks/heads.py --seeds 3

One fit a head and seed, on the same random labels of rendered well logs, a tenth of them kept to fit the temperature;
each fit is asked with several numbers of samples. Judged on whole test images: IoU, negative log-likelihood (NLL),
calibration error (ECE), and whether BALD and predictive entropy are high where the prediction is wrong (AUROC over
labelled pixels; 0.5 is chance). Rows that are there already are not computed again.
"""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np
import tyro
from support import rows

from bal import Config
from bal.experiment.setup import Setup, set_up
from bal.loop import start, train_on
from bal.metrics import evaluate, summary
from bal.metrics.detection import auroc
from bal.pool.labels import AUDIT, Pool
from bal.posterior.heads import BatchEnsemble, DeepEnsemble, LastLayerLaplace, LastLayerSVI, MCDropout
from bal.posterior.heads.base import Head
from bal.posterior.model import Model
from bal.posterior.moments import Moments, predict_moments
from bal.scoring import held_out
from bal.scoring.acquisitions import BALD, Entropy
from bal.scoring.score import score_regions
from bal.sources.batches import load
from bal.system import devices
from bal.types import IGNORE, Array

NAME = "heads"
CASES: dict[str, Head] = {
    "mc_dropout, rate 0.1": MCDropout(rate=0.1),
    "mc_dropout, rate 0.2": MCDropout(rate=0.2),
    "deep_ensemble": DeepEnsemble(4),
    "deep_ensemble, one encoder": DeepEnsemble(4, share="encoder"),
    "batch_ensemble": BatchEnsemble(4),
    "last_layer_svi": LastLayerSVI(),
    "last_layer_laplace": LastLayerLaplace(),
}
SHOWN = {
    "iou_curve_1": "IoU curve-1",
    "iou_curve_2": "curve-2",
    "nll": "NLL",
    "ece_curve_1": "ECE curve-1",
    "ece_curve_2": "curve-2",
    "ece_foreground": "foreground",
    "auroc_bald": "AUROC BALD",
    "auroc_entropy": "entropy",
    "seconds_fit": "fit, s",
    "seconds_score": "score, s",
}
KEPT = (*(name for name in SHOWN if name.startswith(("iou", "nll", "ece"))), "iou_background", "ece_background")


@dataclass(frozen=True)
class Settings:
    seeds: int = 3
    """Paired seeds: the same labels and images for every head."""
    labels: float = 144
    """Random tiles bought; a tenth of them is kept for the temperature."""
    samples: tuple[int, ...] = (5, 20, 64)
    """Posterior samples of the heads that can draw any number of them."""
    steps: int = 0
    """Training steps; 0 for the default."""
    heads: tuple[str, ...] = tuple(CASES)
    """Which of the heads."""


def measure(settings: Settings) -> None:
    """Computes the rows that are missing."""
    done = {(r["head"], r["samples"], r["labels"], r["steps"], r["seed"]) for r in rows.read(NAME)}
    default = Config()
    train = dataclasses.replace(default.train, steps=settings.steps or default.train.steps)
    for seed in range(settings.seeds):
        config = dataclasses.replace(
            default, train=train, seed=seed, rounds=0, start=settings.labels, budget=settings.labels
        )
        setup = set_up(config)
        pool = start(setup)[0].pool
        for name in settings.heads:
            what = {"head": name, "labels": settings.labels, "steps": train.steps, "seed": seed}
            versions = [
                head
                for head in asked_with(CASES[name], settings.samples)
                if (name, head.samples, settings.labels, train.steps, seed) not in done
            ]
            for row in judge(
                dataclasses.replace(setup, config=dataclasses.replace(config, head=CASES[name])), pool, versions
            ):
                rows.append(NAME, {**what, **row})
                print({**what, **row}, flush=True)


def asked_with(head: Head, samples: tuple[int, ...]) -> list[Head]:
    """The head with each number of samples, where it has that choice."""
    free = "samples" in {f.name for f in dataclasses.fields(head)}  # pyright: ignore[reportArgumentType]
    return [dataclasses.replace(head, samples=s) for s in samples] if free else [head]  # pyright: ignore


def judge(setup: Setup, pool: Pool, versions: list[Head]) -> Iterator[dict[str, Any]]:
    """One fit, and a row for each version of its head."""
    if not versions:
        return
    began = time.perf_counter()
    fitted = jax.block_until_ready(train_on(setup, pool, 0, lambda event: None))
    seconds = time.perf_counter() - began
    for head in versions:
        model = held_out.calibrate(
            dataclasses.replace(fitted, head=head), setup.source, setup.regions, pool.bought(AUDIT)
        )
        found = summary.summary(evaluate.tally(model, setup.source, setup.source.test), setup.source.classes)
        yield {
            "samples": head.samples,
            **{name: float(found[name]) for name in KEPT},
            **model.calibrator.summary(model.state),
            **detection(model, setup),
            "seconds_fit": seconds,
            "seconds_score": scoring_seconds(model, setup),
        }


def scoring_seconds(model: Model, setup: Setup) -> float:
    """To score the pool by BALD, compiled already; the faster of two."""
    score = partial(score_regions, model, setup.source, setup.regions, BALD(), jax.random.key(0))
    took = []
    for _ in range(3):
        began = time.perf_counter()
        score()
        took.append(time.perf_counter() - began)
    return min(took[1:])


@jax.jit
def _maps(model: Model, x: Array, size: Array) -> tuple[Array, Array, Array]:
    """[B, H, W] predicted class, BALD and predictive entropy."""

    def wanted(moments: Moments) -> tuple[Array, Array, Array]:
        return moments.predictive.argmax(-1), BALD()(moments), Entropy()(moments)

    return predict_moments(model, x, size, ("mean_plogp",), then=wanted)


def detection(model: Model, setup: Setup) -> dict[str, float]:
    """How well the scores tell wrong pixels from right ones, over all labelled pixels of the test images."""
    wrong, bald, entropy = [], [], []
    for loaded in load(setup.source, setup.source.test, model.net.stride, labels=True):
        label = np.asarray(loaded.label)
        known = label != IGNORE
        prediction, *scores = (np.asarray(m)[known] for m in _maps(model, loaded.image, loaded.size))
        wrong.append(prediction != label[known])
        bald.append(scores[0])
        entropy.append(scores[1])
    errors = np.concatenate(wrong)
    return {
        "error_rate": float(errors.mean()),
        "auroc_bald": auroc(np.concatenate(bald), errors),
        "auroc_entropy": auroc(np.concatenate(entropy), errors),
    }


def table() -> str:
    """Mean over seeds, ± the standard deviation between seeds."""
    settings, found = Settings(), {}
    steps = Config().train.steps
    for r in rows.read(NAME):
        if (r["labels"], r["steps"]) == (settings.labels, steps):
            found.setdefault((r["head"], r["samples"]), {})[r["seed"]] = r
    lines = []
    for head, samples in sorted(found, key=lambda k: (list(CASES).index(k[0]), k[1])):
        seeds = found[head, samples]
        cells = [head, str(samples), str(len(seeds))]
        for column in SHOWN:
            own = [row[column] for row in seeds.values()]
            digits = 4 if column == "nll" else 1 if column.startswith("seconds") else 3
            spread = "" if len(own) < 2 or digits == 1 else f" ± {statistics.stdev(own):.{digits}f}"
            cells.append(f"{statistics.mean(own):.{digits}f}{spread}")
        lines.append(cells)
    heading = (
        "## Heads\n\n`python benchmarks/heads.py`: default training on the well logs, "
        f"{settings.labels:g} random tiles of which a tenth fits the temperature, whole test images, all after "
        "calibration. Mean over paired seeds ± standard deviation between them. AUROC: does the score find the pixels "
        "that are wrong? Seconds to fit include compiling; seconds to score are for the pool, compiled.\n\n"
    )
    return heading + rows.markdown(["head", "S", "seeds", *SHOWN.values()], lines)


if __name__ == "__main__":
    devices.set_up_platform()
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
