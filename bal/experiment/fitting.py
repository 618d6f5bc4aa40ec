"""The model of a round: fitted to the labels of the training split, and to nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np

from bal.experiment.events import Event, Watch
from bal.experiment.pretrained import pretrained
from bal.experiment.setup import FIT, Setup
from bal.pool.labels import AUDIT, TRAINING, Pool, label_map
from bal.posterior.descent import Progress
from bal.posterior.model import Model
from bal.posterior.patches import Crop, crop_around
from bal.posterior.training import fit
from bal.scoring import teacher
from bal.selection.selectors.base import NOTHING
from bal.sources.base import pixels


def train_on(
    setup: Setup,
    pool: Pool,
    round: int,
    watch: Watch,
    before: Model | None = None,
    note: Callable[[Progress], None] = lambda progress: None,
) -> Model:
    """Fits the head to the training split, from what `train.start` says; not calibrated yet.

    Args:
        setup, pool, round: of the experiment.
        watch: called often.
        before: the model of the round before, if there is one.
        note: called as often, with what the fit is like.
    """
    config = setup.config
    now = config.train.of(later=before is not None)

    def heard(progress: Progress) -> None:
        watch(Event(round, "fit", progress.step, progress.steps, progress.loss))
        note(progress)

    watch(Event(round, "fit", 0, now.steps))
    weights = None
    if now.pretrain != "none" and now.start == "cold":
        weights = pretrained(setup, lambda p: watch(Event(round, "pretrain", p.step, p.steps, p.loss)))
    crops = list(crops_of(setup, pool, teacher_of(setup, pool, round, before)))
    key, begun = setup.key(round, FIT), before.params if before else None
    key = jax.random.fold_in(key, config.train.seed) if config.train.seed else key
    given = (config.head, setup.net, config.loss, config.train, crops, key, heard, begun, weights)
    return setup.model(fit(*given, compiled=lambda: watch(Event(round, "fit", 1, now.steps))))


def teacher_of(setup: Setup, pool: Pool, round: int, before: Model | None) -> Mapping[str, np.ndarray]:
    """What the model of the round before says of the images with training regions, where it may teach; else nothing."""
    share, source, regions = setup.config.train.self_training, setup.source, setup.regions
    if not share or before is None or round < 2 or teacher.recall(before, source, regions, pool) < teacher.RECALL:
        return {}
    mine = np.unique(regions.image[pool.split == TRAINING])
    return teacher.teach(before, source, [regions.ids[n] for n in mine], share)


def crops_of(setup: Setup, pool: Pool, taught: Mapping[str, np.ndarray] = NOTHING) -> Iterator[Crop]:
    """Every training region with its surroundings; labels of the audit are never among them.

    Args:
        setup, pool: of the experiment.
        taught: [H, W] by image, what is taken for labels where there are none.
    """
    mine = np.flatnonzero(pool.split == TRAINING)
    for n in np.unique(setup.regions.image[mine]):
        image = pixels(setup.source, setup.regions.ids[n])
        label = label_map(pool, setup.regions, n, image.shape[:2], TRAINING)
        if (id := setup.regions.ids[n]) in taught:
            audited = label_map(pool, setup.regions, n, image.shape[:2], AUDIT)
            label = teacher.taught(label, audited, taught[id])
        for m in mine[setup.regions.image[mine] == n]:
            yield crop_around(image, label, setup.regions.box[m], setup.config.train.patch)
