"""What a round asks of the pool, and what it finds: the question, the scores, the readings and the prices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from bal.experiment.setup import Lab
from bal.metrics import lure
from bal.pool.cost import boundary, usual_boundary
from bal.pool.labels import AUDIT, Pool
from bal.pool.regions import lay_out
from bal.posterior.model import Model
from bal.scoring import class_weights, descriptors
from bal.scoring.acquisitions import Random
from bal.scoring.held_out import look
from bal.scoring.objective import Question
from bal.scoring.score import score_regions, survey
from bal.types import BadInput, Seen

GLANCE = 32  # images of the pool from which a route learns how often each class is predicted
OFFERED = ("labelled", "truth")  # what a selector may read besides `bal.scoring.descriptors`


class Findings(NamedTuple):
    """What a round knows of the M regions."""

    score: np.ndarray  # [M]
    price: np.ndarray  # [M] what each is expected to cost
    table: dict[str, np.ndarray]  # [M, …] readings by name


def check(lab: Lab) -> None:
    """Raises BadInput for a selector or a route that this experiment has nothing to give."""
    config = lab.config
    descriptors.check(tuple(name for name in config.selector.needs if name not in OFFERED), lab.net)
    if "truth" in config.selector.needs and getattr(lab.source, "unlabelled", ()):
        raise BadInput("the selector reads the truth, and the source has no mask for some images of the pool")
    config.routing.check(config.route, lab.source.classes)


def pose(lab: Lab, pool: Pool, model: Model, round: int) -> Question:
    """The question of a round: what the acquisition learns of the model, and how much each class counts."""
    config, state, weight = lab.config, None, None
    learn = getattr(config.acq, "learn", None)
    seen = []
    if learn is not None or config.route == "gap":
        seen = list(look(model, lab.source, lab.regions, pool.bought(AUDIT), Random()).values())
    if learn is not None:
        state = learn(lab.key(round, 3), model, lab.source, lab.source.pool, seen)
    if config.route == "gap":
        weight = class_weights.gap(_audit_iou(seen, lab.source.classes), config.routing.ceiling)
    elif config.route == "rarity":
        weight = class_weights.rarity(_frequency(lab, model))
    elif config.route == "weights":
        weight = np.array(config.routing.weights)
    return Question(config.acq, state, None if weight is None else jnp.asarray(weight, jnp.float32))


def _audit_iou(seen: list[Seen], classes: tuple[str, ...]) -> np.ndarray:
    """[C] IoU on the audited regions, NaN where a class is neither there nor predicted."""
    found = lure.estimates([s.nll for s in seen], [s.confusion for s in seen], np.ones(len(seen)), classes, "audit")
    return np.array([found[f"iou_audit_{c}"] for c in classes])


def _frequency(lab: Lab, model: Model) -> np.ndarray:
    """[C] mean predicted probability of each class, over some images of the pool, evenly chosen."""
    ids = lab.source.pool[:: -(-len(lab.source.pool) // GLANCE)]
    some = lay_out(lab.config.unit, ids, [lab.source.shape(id) for id in ids], lab.source.image)
    found = survey(model, lab.source, some, lab.config.unit, Random(), ("frequency",))["frequency"]
    return (found * some.pixels[:, None]).sum(0, dtype=np.float64) / some.pixels.sum()


def ask_pool(lab: Lab, pool: Pool, model: Model, question: Question, round: int, watch: Callable) -> Findings:
    """Scores every region and reads off what the selector, the price and the ledger need of it.

    Where nobody needs it, the pool is not looked at: `random` scores by random numbers, and expects all regions of a
    size to cost the same.
    """
    config, key = lab.config, lab.key(round, 1)
    wanted = [name for name in config.selector.needs if name not in OFFERED]
    if not (question.needs or wanted):
        score = score_regions(model, lab.source, lab.regions, config.unit, question, key)
        return Findings(score, _price(lab, pool, None), _offered(lab, pool))
    wanted += ["by_class", *(["boundary"] if config.cost == "effort" else [])]
    names = tuple(dict.fromkeys(wanted))
    table = survey(model, lab.source, lab.regions, config.unit, question, names, watch)
    score = table.pop("score")
    if not question.needs:
        score = score_regions(model, lab.source, lab.regions, config.unit, question, key)
    return Findings(score, _price(lab, pool, table.get("boundary")), table | _offered(lab, pool))


def _price(lab: Lab, pool: Pool, length: np.ndarray | None) -> np.ndarray:
    """[M] what each region is expected to cost: in seconds, by [M] pixels of predicted boundary, if there are any.

    A young model's probabilities change everywhere a little, and their total variation is several times the boundary
    that is there, so lengths are scaled to those of the audit: by (l + Σ true) / (l + Σ expected), where the boundary l
    that takes as long to draw as a region to open stands for what was believed before.
    """
    effort = lab.config.effort
    if lab.config.cost != "effort":
        return lab.costs
    audited, known = pool.bought(AUDIT), usual_boundary(lab.regions)
    if length is not None:
        known = np.where(np.isfinite(length), length, known)
    if effort.edge and audited:
        before = effort.open / effort.edge
        known = known * (before + sum(map(boundary, audited.values()))) / (before + known[list(audited)].sum())
    return effort.seconds(known)


def _offered(lab: Lab, pool: Pool) -> dict[str, np.ndarray]:
    """What selectors may read that no model says: what is labelled, and, marked as such, the truth."""
    offered = {"labelled": pool.lot > 0}
    if "truth" in lab.config.selector.needs:
        offered["truth"] = _truth(lab)
    return offered


def _truth(lab: Lab) -> np.ndarray:
    """[M, C] share of each region's pixels that are of a class, from the masks."""
    regions, classes = lab.regions, len(lab.source.classes)
    share = np.zeros((regions.image.size, classes), np.float32)
    for n, id in enumerate(regions.ids):
        first, last = regions.start[n : n + 2]
        mask = lab.source.mask(id)
        cut = regions.cut(id) if regions.cut else lab.config.unit.cut((mask.shape[0], mask.shape[1]))
        count = np.stack([np.bincount(cut[mask == c], minlength=last - first) for c in range(classes)], -1)
        share[first:last] = count / regions.pixels[first:last, None]
    return share


def known(findings: Findings | None, question: Question | None, m: int, classes: tuple[str, ...]) -> dict[str, Any]:
    """What the ledger says of a region before it was bought: its score, what share of that each class has."""
    if findings is None or question is None or not question.needs or not np.isfinite(findings.score[m]):
        return {"score": None}
    parts = np.maximum(np.nan_to_num(findings.table["by_class"][m].astype(np.float64)), 0.0)
    total = parts.sum()
    share = {name: round(float(part / total), 4) for name, part in zip(classes, parts, strict=True)} if total else {}
    return {"score": float(findings.score[m]), "for": share}
