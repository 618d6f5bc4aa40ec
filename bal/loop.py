"""The active-learning loop: fit → calibrate → evaluate → score → select → annotate → log, until the budget ends."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bal.config.dump import dump_yaml
from bal.config.schema import Config
from bal.experiment import query
from bal.experiment.events import Event, Record, Watch
from bal.experiment.folder import RunFolder
from bal.experiment.query import PoolScores
from bal.experiment.recorder import Recorder
from bal.experiment.setup import Setup, set_up
from bal.metrics import bootstrap, evaluate, lure, summary, trust
from bal.metrics import tally as metrics
from bal.pool.cost import boundary
from bal.pool.labels import AUDIT, TRAINING, Pool, add, empty, label_map
from bal.posterior.model import Model
from bal.posterior.patches import Crop, crop_around
from bal.posterior.training import Progress, fit
from bal.scoring import held_out
from bal.scoring.held_out import predict_regions
from bal.scoring.objective import Objective
from bal.selection.budget import Purchase, allowance, compose
from bal.types import IGNORE, BadInput, Region


def run_loop(
    config: Config,
    out: Path | str | None = None,
    *,
    resume: bool = False,
    overwrite: bool = False,
    watch: Watch | None = None,
    warm_start: Model | None = None,
) -> Iterator[Record]:
    """Runs an experiment, one record a round.

    Args:
        config: what to do. Equal configs buy equal labels.
        out: the run's folder; None leaves nothing on disk.
        resume: go on with the run in `out`, from its last complete round, or begin it if there is none. Its records
            so far are not given again.
        overwrite: delete the run in `out` first.
        watch: called often, with what is going on.
        begun: the first record's model of a run that differs in nothing that training sees, so that the start set is
            not fitted again. It is calibrated, judged and asked by this configuration.

    Returns:
        An iterator. Before it is asked for its first record everything is checked that can be without training,
        and the folder is made; a run that is then refused in its first round leaves no folder behind.

    Raises:
        BadInput: the configuration, the data, the folder or the model cannot be used.
    """
    setup = set_up(config)
    query.check(setup)
    if warm_start and (warm_start.head, warm_start.net) != (config.head, setup.net):
        raise BadInput("the model to begin with has another head or network than this configuration")
    folder = None if out is None else RunFolder(Path(out))
    if folder:
        folder.begin(dump_yaml(config), resume, overwrite)
    return _rounds(setup, folder, watch or (lambda event: None), warm_start)


def _rounds(setup: Setup, folder: RunFolder | None, watch: Watch, warm_start: Model | None) -> Iterator[Record]:
    """The method, one round after the other."""
    with Recorder(setup, folder) if folder else nullcontext() as recorder:
        first, pool, bought = recorder.restore() if recorder else (0, empty(setup.costs.size), [])
        if first == 0:
            pool, bought = annotate(setup, pool, 0, start_set(setup, pool))
            if recorder:
                recorder.log(bought)
        for round in range(first, setup.config.rounds + 1):
            began = time.perf_counter()
            model = setup.model(warm_start.params) if warm_start and round == 0 else train_on(setup, pool, round, watch)
            model = held_out.calibrate(model, setup.source, setup.regions, pool.bought(AUDIT))
            fitted = time.perf_counter()
            tally = evaluate_all(setup, model, round, watch)
            objective = query.pose(setup, pool, model, round)
            row = describe(setup, pool, round, bought, model, tally) | audited(setup, pool, model, objective)
            row["seconds_fit"], row["seconds_score"] = fitted - began, 0.0
            bought, unspent, purchase, left = [], 0.0, None, int(pool.eligible.sum())
            if round < setup.config.rounds:
                began = time.perf_counter()
                tell = partial(_tell, watch, round, "score")
                tell(0, len(setup.source.pool))
                findings = query.ask_pool(setup, pool, model, objective, round, tell)
                row["seconds_score"] = time.perf_counter() - began
                purchase = select(setup, pool, round + 1, findings, row["trust_share"])
                pool, bought = annotate(setup, pool, round + 1, purchase, findings, objective)
                unspent = purchase.unspent
            row |= in_hindsight(setup, pool, model, purchase, left, objective)
            if recorder:
                recorder.save(round, row, bought, pool, model, tally, objective)
            yield Record(row, bought, model, unspent)


def train_on(setup: Setup, pool: Pool, round: int, watch: Watch) -> Model:
    """Fits the head to the training lot, from random weights; not calibrated yet."""
    config = setup.config

    def heard(progress: Progress) -> None:
        watch(Event(round, "fit", progress.step, progress.steps, progress.loss))

    watch(Event(round, "fit", 0, config.train.steps))
    crops = list(crops_of(setup, pool))
    return setup.model(fit(config.head, setup.net, config.loss, config.train, crops, setup.key(round, 0), heard))


def crops_of(setup: Setup, pool: Pool) -> Iterator[Crop]:
    """Every training region with its surroundings; labels of the audit lot are never among them."""
    mine = np.flatnonzero(pool.split == TRAINING)
    for n in np.unique(setup.regions.image[mine]):
        image = setup.source.image(setup.regions.ids[n])
        label = label_map(pool, setup.regions, n, image.shape[:2], TRAINING)
        for m in mine[setup.regions.image[mine] == n]:
            yield crop_around(image, label, setup.regions.box[m], setup.config.train.patch)


def evaluate_all(setup: Setup, model: Model, round: int, watch: Watch) -> metrics.Tally:
    """Compares the model with the masks of the test images: a tally of each, [N, …]."""
    tell = partial(_tell, watch, round, "evaluate")
    tell(0, len(setup.source.test))
    return evaluate.tally_each(model, setup.source, setup.source.test, tell, setup.config.acq)


def start_set(setup: Setup, pool: Pool) -> Purchase:
    """Before anything is known: all at random."""
    config = setup.config
    return compose(setup.key(0, 2), pool, setup.costs, config.start, config.audit, rest="start")


def select(setup: Setup, pool: Pool, round: int, found: PoolScores, earned: float) -> Purchase:
    """What round `round` buys: its share of the budget, of which `steer`, or what was earned, follows the scores."""
    config = setup.config
    allowed = allowance(config.start, config.budget, config.rounds, round)
    steer = (earned if config.steer == "auto" else config.steer) if config.acq.needs or config.selector.needs else 0.0
    offer = {"progress": (round - 1) / max(1, config.rounds - 1), "image": setup.regions.image, "cap": config.cap}
    about, key = {name: found.table[name] for name in config.selector.needs}, setup.key(round, 2)
    return compose(
        key, pool, found.price, allowed, config.audit, steer, config.selector, found.score, about=about, offer=offer
    )


def annotate(
    setup: Setup,
    pool: Pool,
    round: int,
    purchase: Purchase,
    findings: PoolScores | None = None,
    objective: Objective | None = None,
) -> tuple[Pool, list[dict[str, Any]]]:
    """Asks the annotator: the pool with the answers in it, and the purchase's lines for the ledger.

    In `effort` a region is charged what its true boundary took; by as much as that is more than was expected, less is
    bought the next time.
    """
    asked = [setup.regions.describe(m) for m in purchase.index]
    answers = setup.config.annotator.annotate(setup.source, asked)
    check(asked, answers, len(setup.source.classes))
    answers = [a if r.mask is None else np.where(r.mask, a, IGNORE) for r, a in zip(asked, answers, strict=True)]
    charged = purchase.cost
    if setup.config.cost == "effort":
        charged = setup.config.effort.seconds(np.array([boundary(answer) for answer in answers]))
    lines = [
        {
            "round": round,
            "image": region.image,
            "region": region.region,
            "box": list(region.box),
            "policy": str(policy),
            "cost": float(cost),
            **({"price": float(price)} if setup.config.cost == "effort" else {}),
            **query.known(findings, objective, int(m), setup.source.classes),
        }
        for m, region, policy, price, cost in zip(
            purchase.index, asked, purchase.policy, purchase.cost, charged, strict=True
        )
    ]
    return add(pool, purchase.index, charged, purchase.splits, answers), lines


def check(asked: list[Region], answers: list[np.ndarray], classes: int) -> None:
    """Raises BadInput unless every region has an answer of its own size, in class ids."""
    if len(answers) != len(asked):
        raise BadInput(f"the annotator was asked about {len(asked)} regions and gave {len(answers)} answers")
    for region, answer in zip(asked, answers, strict=True):
        what = f"the annotator's answer for region {region.region} of {region.image}"
        if answer.shape != region.box[2:]:
            raise BadInput(f"{what} has the shape {answer.shape}; expected {region.box[2:]}")
        wrong = answer[((answer < 0) | (answer >= classes)) & (answer != IGNORE)]
        if wrong.size:
            raise BadInput(f"{what} holds class {wrong[0]}; expected 0 to {classes - 1}, or {IGNORE} for unlabelled")


def describe(
    setup: Setup, pool: Pool, round: int, bought: list[dict[str, Any]], model: Model, tally: metrics.Tally
) -> dict[str, Any]:
    """The line of curve.csv: what has been bought until now, and what the model trained on it can do."""
    labelled = pool.split > 0
    steered = sum(q["cost"] for q in bought if q["policy"] == "steered")
    return {
        "round": round,
        "regions": int(labelled.sum()),
        "pixels": int(setup.regions.pixels[labelled].sum()),
        "cost": pool.spent,
        "regions_audit": int((pool.split == AUDIT).sum()),
        "steered_share": steered / max(sum(q["cost"] for q in bought), 1e-9),
        **summary.summary(metrics.total(tally), setup.source.classes),
        **bootstrap.columns(tally, setup.source.classes),
        "temperature": float("nan"),
        **model.calibrator.summary(model.state),
    }


def audited(setup: Setup, pool: Pool, model: Model, objective: Objective) -> dict[str, float]:
    """What the audit says, in columns: how far to trust the score, and the risk and IoU of the model.

    Audited regions are a uniform sample of what was unlabelled when each was drawn. Their labels have fitted the
    calibrator, which makes the risk a little too low.
    """
    classes = setup.source.classes
    seen = list(predict_regions(model, setup.source, setup.regions, pool.bought(AUDIT), objective).values())
    verdict = trust.judge(seen, len(classes))
    return verdict.row(classes) | lure.estimates(
        [s.nll for s in seen], [s.confusion for s in seen], np.ones(len(seen)), classes, "audit"
    )


def in_hindsight(
    setup: Setup, pool: Pool, model: Model, purchase: Purchase | None, left: int, objective: Objective
) -> dict[str, float]:
    """Risk and IoU on the regions that were unlabelled, `left` of them, from what the model asked about, in columns.

    The model has not been trained on these answers. NaN where no probabilities were reported, see `bal.metrics.lure`.
    """
    index, q = (purchase.index, purchase.probability) if purchase else (np.zeros(0, int), np.zeros(0))
    weight = lure.population_weights(q, left)
    answers = {} if np.isnan(weight).all() else {int(m): pool.answers[int(m)] for m in index}
    seen = predict_regions(model, setup.source, setup.regions, answers, objective)
    some = [seen[int(m)] for m in index] if seen else []
    return lure.estimates(
        [s.nll for s in some], [s.confusion for s in some], weight[: len(some)], setup.source.classes, "lure"
    )


def _tell(watch: Watch, round: int, stage: str, done: int, total: int) -> None:
    watch(Event(round, stage, done, total))
