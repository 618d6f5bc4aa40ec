"""A state and what is reported of it as the arrays of a checkpoint, and back."""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bal.config.dump import to_dict
from bal.config.resolve import MORE
from bal.experiment.checkpoint import flat, unflat
from bal.experiment.setup import Setup
from bal.experiment.state import Info, Pending, State
from bal.metrics import tally
from bal.pool import labels
from bal.posterior.model import Model
from bal.posterior.training import abstract
from bal.scoring.objective import Objective
from bal.selection.budget import Plan, Purchase
from bal.types import BadInput

LEARNT = ("state", "weight")  # the arrays of an objective

Saved = Mapping[str, Any]


def fingerprint(setup: Setup) -> np.ndarray:
    """A number that differs where names, regions, channels or classes of the images do; it knows no pixels."""
    source = setup.source
    names = "\n".join((*source.pool, "", *source.test, "", *source.classes, "", str(source.channels)))
    return np.array(zlib.crc32(setup.regions.box.tobytes(), zlib.crc32(names.encode())), np.int64)


def settings(setup: Setup) -> np.ndarray:
    """A number that differs where the configurations do, but for what may change when a run is resumed; 10 is 10.0."""
    kept = {name: value for name, value in to_dict(setup.config).items() if name not in (*MORE, "history")}
    plain = json.dumps(kept, default=str)
    numbers = json.dumps(json.loads(plain, parse_int=float), sort_keys=True)
    return np.array(zlib.crc32(numbers.encode()), np.int64)


def pack(setup: Setup, state: State, info: Info) -> dict[str, Any]:
    """Everything that a run goes on from, but for the ledger's lines, which the ledger has."""
    saved: dict[str, Any] = {
        "data": fingerprint(setup),
        "config": settings(setup),
        "plan": text(setup.config.plan.stages),
        "purchase": np.array(state.purchase),
        "done": np.array(state.done),
        "pool": labels.pack(state.pool),
        "scale": np.array(setup.scale, np.float64),
        "row": text(info.row),
        "unspent": np.array(info.unspent),
    }
    if state.pending is not None:
        saved["asked"] = _pack_pending(state.pending)
    if state.model is not None:
        saved["params"] = flat(state.model.params)
        saved["calibrator"] = flat(state.model.state)
    if state.objective is not None:
        arrays = {name: vars(state.objective)[name] for name in LEARNT}
        saved["objective"] = {name: np.asarray(v) for name, v in arrays.items() if v is not None}
    if info.tally is not None:
        saved["tally"] = tally.pack(info.tally)
    return saved


def check(setup: Setup, saved: Saved, where: object, differing: Callable[[], str] = str) -> None:
    """Raises BadInput for a checkpoint of another configuration, or of other data.

    Args:
        setup: of the experiment as it is now.
        saved: the checkpoint.
        where: the run's folder.
        differing: says which files are not as they were, as far as that is known.
    """
    then, now = Plan(setup.config.start, read(saved["plan"])), setup.config.plan
    decided = range(min(int(saved["purchase"]) + ("asked" in saved), then.rounds + 1))
    same = all(then.allowance(n) == now.allowance(n) for n in decided)
    if saved["config"] != settings(setup) or not same or len(decided) > now.rounds + 1:
        raise BadInput(f"the configuration of {where} is not the one that it was run with until now; put it back")
    if saved["data"] != fingerprint(setup):
        files = f" ({said})" if (said := differing()) else ""
        raise BadInput(
            f"the images are not those that {where} was begun with: other names, sizes, channels or classes{files}; "
            "put them back, or choose another --out"
        )


def as_begun(setup: Setup, saved: Saved) -> Setup:
    """The experiment with the scale that its networks were trained on, whatever its images have become since."""
    return setup.rescaled(*saved["scale"].tolist()) if "scale" in saved else setup


def state_of(setup: Setup, saved: Saved) -> State:
    """The state that was packed."""
    return State(
        purchase=int(saved["purchase"]),
        pool=labels.unpack(saved["pool"], setup.regions),
        pending=_unpack_pending(saved["asked"]) if "asked" in saved else None,
        model=_model(setup, saved) if "params" in saved else None,
        objective=_objective(setup, saved) if "params" in saved else None,
        done=bool(saved["done"]),
    )


def info_of(saved: Saved, lines: list[dict[str, Any]]) -> Info:
    """What is reported, with the ledger's lines of the newest purchase that has been answered."""
    each = tally.unpack(saved["tally"]) if "tally" in saved else None
    return Info(read(saved["row"]), each, lines, float(saved["unspent"]))


def _pack_pending(pending: Pending) -> dict[str, np.ndarray]:
    purchase = pending.purchase
    return {
        "index": purchase.index,
        "cost": purchase.cost,
        "probability": purchase.probability,
        "unspent": np.array(purchase.unspent),
        "policy": text(purchase.policy.tolist()),
        "known": text(list(pending.known)),
    }


def _unpack_pending(saved: Saved) -> Pending:
    policy = np.array(read(saved["policy"]))
    purchase = Purchase(saved["index"], policy, saved["cost"], float(saved["unspent"]), saved["probability"])
    return Pending(purchase, read(saved["known"]))


def _model(setup: Setup, saved: Saved) -> Model:
    config = setup.config
    model = setup.model(unflat(saved["params"], abstract(config.head, setup.net, config.train)))
    return dataclasses.replace(model, state=unflat(saved.get("calibrator", {}), model.state))


def _objective(setup: Setup, saved: Saved) -> Objective:
    learnt = saved.get("objective", {})
    return Objective(setup.config.acq, *(learnt.get(name) for name in LEARNT))


def text(value: Any) -> np.ndarray:
    """Plain values as an array of bytes; floats come back as they were."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def read(array: np.ndarray) -> Any:
    """The inverse of `text`."""
    return json.loads(array.tobytes())
