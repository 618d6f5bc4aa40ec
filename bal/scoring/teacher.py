"""Self-training: what the posterior of the round before is sure of, around what is labelled, taken for labels.

Patches show a labelled region with its surroundings, which nobody has labelled: three of four pixels that a step
computes teach nothing. A teacher fills some of them in. It is the calibrated ensemble of the round before; of each
class it gives the pixels that it is surest of, and it is asked only once it finds the foreground of the audit.

References:
    Zou et al. 2018, "Unsupervised domain adaptation for semantic segmentation via class-balanced self-training",
    arXiv:1810.07911, for quantiles by class; Mittal et al. 2023, "Best practices in active learning for semantic
    segmentation", arXiv:2302.04075, for its use beside acquisition.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bal.pool.labels import AUDIT, Pool
from bal.pool.regions import Regions
from bal.posterior.model import Model
from bal.scoring.acquisitions import Random
from bal.scoring.held_out import predict_regions
from bal.scoring.maps import class_maps
from bal.sources.base import Source
from bal.types import BACKGROUND, IGNORE

RECALL = 0.5  # of the audited foreground, below which nothing is taught
LEAST = 20  # audited pixels of foreground, below which its recall is not known


def recall(model: Model, source: Source, regions: Regions, pool: Pool) -> float:
    """Share of the audited foreground that a model calls foreground, of any class; 0 while there is too little."""
    seen = predict_regions(model, source, regions, pool.bought(AUDIT), Random()).values()
    wanted = [s.predicted[s.label != BACKGROUND] != BACKGROUND for s in seen]
    found = np.concatenate(wanted) if wanted else np.zeros(0)
    return float(found.mean()) if found.size >= LEAST else 0.0


def teach(model: Model, source: Source, ids: Sequence[str], share: float) -> Mapping[str, np.ndarray]:
    """What a model would label, of some images.

    Args:
        model: the teacher, calibrated.
        source, ids: the images.
        share: of the pixels that are predicted as each class, those to keep, the surest first.

    Returns:
        int32 [H, W] by image, IGNORE where it is not sure enough.
    """
    seen = {found.id: found for found in class_maps(model, source, ids)}
    least = [
        _quantile([seen[id].probability[seen[id].label == c] for id in ids], 1 - share)
        for c in range(model.net.classes)
    ]
    return {id: np.where(seen[id].probability >= np.take(least, seen[id].label), seen[id].label, IGNORE) for id in ids}


def _quantile(parts: Sequence[np.ndarray], q: float) -> float:
    """Of all of them together; infinite where there is nothing."""
    whole = np.concatenate(parts)
    return float(np.quantile(whole, q)) if whole.size else np.inf


def taught(label: np.ndarray, audited: np.ndarray, teacher: np.ndarray) -> np.ndarray:
    """int32 [H, W]: labels, and where nobody has labelled, for training or audit, what the teacher says."""
    return np.where((label == IGNORE) & (audited == IGNORE), teacher, label)
