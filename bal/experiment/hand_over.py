"""Who steers a purchase: the predicted foreground, until there is a score worth following; then the score.

The score of a model that has seen no foreground says nothing about foreground. So purchases follow the predicted
foreground, at random and with known probabilities, until some training label shows each class and some audited region
shows foreground, on which the score has been judged; and no longer than for half of the rounds, since a class may not
occur at all. Before any label shows foreground, contrast takes its place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bal.config.schema import Config
from bal.pool.contrast import mixed
from bal.pool.labels import AUDIT, TRAINING, Pool
from bal.types import IGNORE

POLICY = "foreground"  # of what is drawn so, in the ledger


def shown(pool: Pool, split: int, classes: int) -> np.ndarray:
    """[C] in how many regions of a split some pixel is labelled as each class."""
    count = np.zeros(classes, np.int64)
    for label in pool.bought(split).values():
        count[np.unique(label[label != IGNORE])] += 1
    return count


def steers(config: Config) -> bool:
    """Whether purchases follow the score of a model at all, so that there is something to hand over to."""
    reads_masks = {"truth", "error"} & set(config.selector.needs)
    return bool(config.hand_over and config.acq.needs and config.steer and not reads_masks)


def handed_over(config: Config, pool: Pool, number: int, classes: int) -> bool:
    """Whether purchase `number` follows the score, if it follows anything."""
    if not steers(config) or number > (config.rounds + 1) // 2:
        return True
    judged = config.audit == 0 or shown(pool, AUDIT, classes)[1:].any()
    return bool(shown(pool, TRAINING, classes)[1:].all() and judged)


def row(config: Config, pool: Pool, number: int, classes: Sequence[str]) -> dict[str, int]:
    """Columns of curve.csv: how many labels show each class, and whether the score steers what is bought next."""
    seen = shown(pool, TRAINING, len(classes))
    own = {f"seen_{name}": int(count) for name, count in zip(classes, seen, strict=True)}
    return own | {
        "seen_in_audit": int(shown(pool, AUDIT, len(classes))[1:].sum()),
        "handed_over": int(handed_over(config, pool, number, len(classes))),
    }


def unseen(row: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """The classes of the foreground that no training label shows."""
    return [name for name in classes[1:] if _none(row, f"seen_{name}")]


def _none(row: Mapping[str, Any], column: str) -> bool:
    """Whether a column says 0; a run from before there was such a column says nothing."""
    return column in row and float(row[column]) == 0


def foreground_weights(frequency: np.ndarray, able: np.ndarray) -> np.ndarray:
    """[M] weights in proportion to the predicted foreground, from the mean probability [M, C] of each class."""
    return mixed(frequency[:, 1:].sum(1), able)


def sentence(row: Mapping[str, Any], classes: Sequence[str]) -> str:
    """What a person should know of a row of curve.csv while a class has not been seen; empty once nothing is amiss."""
    missing, told = unseen(row, classes), []
    if missing:
        them = "it" if len(missing) == 1 else "them"
        told = [f"no label shows {' or '.join(missing)} yet: what a model says of {them} is a guess"]
    elif _none(row, "handed_over"):
        told = ["no audited region shows foreground yet, so the score has not been judged"]
    if told and _none(row, "handed_over"):
        told.append("the next purchase follows the predicted foreground instead of the score")
    return "; ".join(told)
