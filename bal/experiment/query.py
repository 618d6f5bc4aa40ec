"""What a round asks of the pool, and what it finds: the objective, the scores, the descriptors and the prices."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.config.schema import StartBy
from bal.experiment import curve_row, hand_over, offered, prices
from bal.experiment.setup import COVER, LEARN, SCORE, Setup
from bal.metrics import lure
from bal.pool.contrast import contrast, mixed, rich
from bal.pool.coverage import even, features, strata
from bal.pool.labels import AUDIT, TRAINING, Pool
from bal.pool.regions import Regions, lay_out
from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.scoring import class_weights, descriptors
from bal.scoring.acquisitions import Random
from bal.scoring.acquisitions.base import Learns
from bal.scoring.held_out import predict_regions
from bal.scoring.objective import Objective
from bal.scoring.score import score_regions, survey
from bal.sources.base import pixels
from bal.types import BadInput, RegionPrediction

LOOKED_AT = 32  # images of the pool from which a route learns how often each class is predicted


class PoolScores(NamedTuple):
    """What a round knows of the M regions."""

    score: np.ndarray  # [M]
    price: np.ndarray  # [M] what each is expected to cost
    audit_price: np.ndarray  # [M] the same in an audit, where nobody is helped
    table: dict[str, np.ndarray]  # [M, …] descriptors by name


def check(setup: Setup) -> None:
    """Raises BadInput for a selector or a route that this experiment has nothing to give."""
    config = setup.config
    curve_row.check(setup.source)
    if isinstance(config.acq.needs, str) or (odd := set(config.acq.needs) - set(Moments._fields)):
        name = config.acq.needs if isinstance(config.acq.needs, str) else min(odd)
        raise BadInput(f"the acquisition needs {name!r}; expected a tuple of {', '.join(Moments._fields)}")
    descriptors.check(tuple(name for name in config.selector.needs if name not in offered.NAMES), setup.net)
    offered.check(setup)
    config.routing.check(config.route, setup.source.classes)
    if not (setup.source.test or config.audit):
        raise BadInput("there is no test set and no audit, so nothing could be said of any model: give --audit 0.25")


def make_objective(setup: Setup, pool: Pool, model: Model, round: int) -> Objective:
    """The objective of a round: what the acquisition learns of the model, and how much each class counts."""
    config = setup.config
    state = None
    weight = None
    seen, audited = [], pool.bought(AUDIT)
    if isinstance(config.acq, Learns) or config.route == "gap":
        seen = list(predict_regions(model, setup.source, setup.regions, audited, Random()).values())
    if isinstance(config.acq, Learns):
        state = config.acq.learn(setup.key(round, LEARN), model, setup.source, setup.source.pool, seen)
    if config.route == "gap":
        iou = audit_iou(seen, pool.weights(audited), setup.source.classes)
        weight = class_weights.gap(iou, config.routing.ceiling)
    elif config.route == "rarity":
        weight = class_weights.rarity(_frequency(setup, model))
    elif config.route == "weights":
        weight = np.array(config.routing.weights)
    return Objective(config.acq, state, None if weight is None else jnp.asarray(weight, jnp.float32))


def audit_iou(seen: list[RegionPrediction], weight: np.ndarray, classes: tuple[str, ...]) -> np.ndarray:
    """[C] IoU on the audited regions, NaN where a class is neither there nor predicted."""
    found = lure.estimates([s.nll for s in seen], [s.confusion for s in seen], weight, classes, "audit")
    return np.array([found[f"iou_audit_{c}"] for c in classes])


def _frequency(setup: Setup, model: Model) -> np.ndarray:
    """[C] mean predicted probability of each class, over some images of the pool, evenly chosen."""
    ids = setup.source.pool[:: -(-len(setup.source.pool) // LOOKED_AT)]
    some = lay_out(setup.config.unit, ids, [setup.source.shape(id) for id in ids], setup.source.image)
    found = survey(model, setup.source, some, Random(), ("frequency",))["frequency"]
    return (found * some.pixels[:, None]).sum(0, dtype=np.float64) / some.pixels.sum()


def score_pool(setup: Setup, pool: Pool, model: Model, objective: Objective, round: int, watch: Callable) -> PoolScores:
    """Scores every region and reads off what the selector, the price and the ledger need of it.

    Where nobody needs it, the pool is not looked at: `random` scores by random numbers, and expects all regions of a
    size to cost the same.
    """
    config = setup.config
    key = setup.key(round, SCORE)
    more = offered.offered(setup, pool, model, round + 1)
    wanted = [name for name in config.selector.needs if name not in offered.NAMES]
    wanted += ["predicted"] if config.audit_by == "foreground" else []
    handed_over = hand_over.handed_over(config, pool, round + 1, len(setup.source.classes))
    wanted += [] if handed_over else ["frequency"]
    if not (objective.needs or wanted):
        score = score_regions(model, setup.source, setup.regions, objective, key)
        return PoolScores(score, *prices.expected(setup, pool, None, {}), more)
    wanted += ["by_class", *prices.needs(setup)]
    names = tuple(dict.fromkeys(wanted))
    some = setup.regions.subset(setup.looked_at(round + 1))
    found = survey(model, setup.source, some, objective, names, watch)
    table = {name: _spread(values, some, setup.regions) for name, values in found.items()}
    score = table.pop("score")
    if not objective.needs:
        score = score_regions(model, setup.source, setup.regions, objective, key)
    return PoolScores(score, *prices.expected(setup, pool, model, table), table | more)


def _spread(values: np.ndarray, some: Regions, regions: Regions) -> np.ndarray:
    """What is known of some regions, [m, …], as what is known of all, [M, …]: NaN for the others."""
    if some.image.size == regions.image.size:
        return values
    whole = np.full((regions.image.size, *values.shape[1:]), np.nan, values.dtype)
    whole[some.index] = values
    return whole


def start_weights(setup: Setup, pool: Pool, by: StartBy, number: int = 0) -> np.ndarray:
    """[M] weights by which a purchase is drawn where only the images say what there is: they are read, once each."""
    able, look = setup.offered(pool, number), features if by == "coverage" else contrast
    seen: np.ndarray | None = None
    for n in setup.looked_at(number):
        image = pixels(setup.source, setup.regions.ids[n])
        found = look(image, setup.regions.cut(n, setup.source.image))
        if seen is None:
            seen = np.full((setup.costs.size, *found.shape[1:]), np.nan, np.float32)
        seen[slice(*setup.regions.start[n : n + 2])] = found
    assert seen is not None
    if by == "contrast":
        return rich(seen, able)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(setup.key(number, COVER))))
    return even(strata(seen, able, round(setup.config.start / float(np.mean(setup.costs[able]))), rng), able)


def foreground_weights(setup: Setup, pool: Pool, number: int, scores: PoolScores) -> np.ndarray:
    """[M] weights by which a purchase is drawn that follows the predicted foreground; contrast, before it was seen."""
    if not hand_over.shown(pool, TRAINING, len(setup.source.classes))[1:].any():
        return start_weights(setup, pool, "contrast", number)
    return hand_over.foreground_weights(scores.table["frequency"], setup.offered(pool, number))


def audit_weights(scores: PoolScores, able: np.ndarray) -> np.ndarray:
    """[M] weights by which audits are drawn where the predicted foreground decides: √ of its share of a region."""
    return mixed(np.sqrt(scores.table["predicted"][:, 1:].sum(1)), able)


def known(
    scores: PoolScores, objective: Objective, index: np.ndarray, classes: tuple[str, ...], unseen: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """What the ledger says of regions [K] before they are bought: the score, what share of it each class has, and which
    classes the model that scores had never seen."""
    found, missing = [], {"unseen": list(unseen)} if unseen else {}
    for m in index:
        if not objective.needs or not np.isfinite(scores.score[m]):
            found.append({"score": None} | missing)
            continue
        parts = np.maximum(np.nan_to_num(scores.table["by_class"][m].astype(np.float64)), 0.0)
        whole = parts.sum()
        share = {c: round(float(part / whole), 4) for c, part in zip(classes, parts, strict=True)} if whole else {}
        found.append({"score": float(scores.score[m]), "for": share} | missing)
    return found
