"""What a selector may read of a region that no descriptor says: labels, styles, audits and, marked as such, the truth.

    labelled    []     whether it has been bought
    style       []     the number of what its image looks like, of a source that knows it (`HasStyles`)
    appearance  [F]    what its image looks like by itself: `bal.pool.coverage.appearance`
    audited     [C]    wrong pixels of an audited region whose class is c, in truth or as predicted, times what the
                       region stands for; NaN where nothing was audited
    truth       [C]    share of its pixels that are of class c, from the masks
    error       [C]    wrong pixels of it whose class is c, in truth or as predicted, from the masks

A wrong pixel counts for two classes, what it is and what it is taken for, so the sum over classes is twice the wrong
pixels. Each is made only if the selector asks for it. `truth` and `error` read masks that nobody has labelled yet.
"""

from __future__ import annotations

import numpy as np

from bal.experiment.setup import Setup
from bal.pool.labels import AUDIT, Pool
from bal.posterior.model import Model
from bal.scoring.held_out import walk_probabilities
from bal.sources.base import HasStyles, truth, unlabelled
from bal.types import IGNORE, BadInput

NAMES = ("labelled", "style", "appearance", "audited", "truth", "error")
OF_MASKS = {"truth", "error"}


def check(setup: Setup) -> None:
    """Raises BadInput for a selector that reads what this experiment has not."""
    needs = set(setup.config.selector.needs)
    if needs & OF_MASKS and unlabelled(setup.source):
        raise BadInput("the selector reads the truth, and the source has no mask for some images of the pool")
    if "style" in needs and not isinstance(setup.source, HasStyles):
        raise BadInput("the selector reads the style of an image, and the source does not know any")
    if "audited" in needs and not setup.config.audit:
        raise BadInput("the selector reads errors of audited regions, and audit is 0: give --audit 0.1")


def offered(setup: Setup, pool: Pool, model: Model, number: int) -> dict[str, np.ndarray]:
    """[M, …] of each name that the selector needs for purchase `number`, and `labelled`."""
    makes = {
        "style": lambda: styles(setup),
        "appearance": lambda: setup.appearance[setup.regions.image],
        "audited": lambda: audited_errors(setup, pool, model),
        "truth": lambda: shares(setup),
        "error": lambda: errors(setup, model, setup.looked_at(number)),
    }
    return {"labelled": pool.labelled} | {name: makes[name]() for name in setup.config.selector.needs if name in makes}


def styles(setup: Setup) -> np.ndarray:
    """[M] int, the number of the style of each region's image."""
    source = setup.source
    assert isinstance(source, HasStyles)
    number = {style: n for n, style in enumerate(source.styles)}
    return np.array([number[source.style(id)] for id in setup.regions.ids], np.int64)[setup.regions.image]


def shares(setup: Setup) -> np.ndarray:
    """[M, C] share of each region's pixels that are of a class, from the masks."""
    regions = setup.regions
    classes = len(setup.source.classes)
    share = np.zeros((regions.image.size, classes), np.float32)
    for n, id in enumerate(regions.ids):
        first, last = regions.start[n : n + 2]
        mask = truth(setup.source, id)
        cut = regions.cut(n, setup.source.image)
        count = np.stack([np.bincount(cut[mask == c], minlength=last - first) for c in range(classes)], -1)
        share[first:last] = count / regions.pixels[first:last, None]
    return share


def wrong_by_class(label: np.ndarray, p: np.ndarray) -> np.ndarray:
    """[C] wrong pixels whose class is c, in truth or as predicted, of a label [...] and probabilities [..., C]."""
    predicted = p.argmax(-1)
    wrong = (label != IGNORE) & (label != predicted)
    is_, taken_for = (np.bincount(ids[wrong], minlength=p.shape[-1]) for ids in (label, predicted))
    return is_ + taken_for


def audited_errors(setup: Setup, pool: Pool, model: Model) -> np.ndarray:
    """[M, C] wrong pixels of the audited regions by class, times what each stands for; NaN for the others."""
    found = np.full((setup.regions.image.size, len(setup.source.classes)), np.nan, np.float32)
    answers = pool.bought(AUDIT)
    for m, p in walk_probabilities(model, setup.source, setup.regions, list(answers), few=True):
        found[m] = wrong_by_class(answers[m], p) * pool.stands_for.get(m, 1.0)
    return found


def errors(setup: Setup, model: Model, images: np.ndarray) -> np.ndarray:
    """[M, C] wrong pixels of the regions of some images, by class, from the masks; NaN for the others."""
    regions, source, seen = setup.regions, setup.source, -1
    found = np.full((regions.image.size, len(source.classes)), np.nan, np.float32)
    mask = cut = np.zeros((0, 0), np.int32)
    wanted = np.flatnonzero(np.isin(regions.image, images))
    for m, p in walk_probabilities(model, source, regions, wanted.tolist()):
        if (n := int(regions.image[m])) != seen:
            seen, mask = n, truth(source, regions.ids[n])
            cut = regions.cut(n, source.image)
        top, left, height, width = regions.box[m]
        box = slice(top, top + height), slice(left, left + width)
        found[m] = wrong_by_class(np.where(cut[box] == regions.region[m], mask[box], IGNORE), p)
    return found
