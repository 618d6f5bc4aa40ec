"""Writes a run down so that it can be killed at any instant, and picks it up again.

A purchase has two checkpoints: once it is known what to ask, before anybody is asked, and once it is answered and paid.
Each is the whole state, so a killed run goes on from the newer one to the same bytes.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from bal.annotation.annotators.base import AnswersAtOnce
from bal.experiment.answers import expected_lines
from bal.experiment.checkpoint import Checkpoints, flat, unflat
from bal.experiment.folder import RunFolder
from bal.experiment.setup import Setup
from bal.experiment.state import Asked, Info, State
from bal.metrics.tally import Tally
from bal.pool.labels import empty, pack, unpack
from bal.posterior.model import Model
from bal.posterior.training import abstract
from bal.scoring.objective import Objective
from bal.selection.budget import Purchase
from bal.types import BadInput

FORMAT = 2  # of a checkpoint; 1 had none written in it
LEARNT = ("state", "weight")  # the arrays of an objective


class Snapshot(NamedTuple):
    """A run as it stands, besides what is in its journals: what a report is drawn from."""

    info: Info  # of the newest model; its row may not be in curve.csv yet, while questions are open
    newest: Sequence[dict[str, Any]]  # ledger lines of the newest purchase, at expected prices while questions are open
    model: Model | None  # that asked for it
    objective: Objective | None
    journals: tuple[int, int]  # bytes of curve.csv and of queries.jsonl that belong to it


def snapshot_of(setup: Setup, state: State, info: Info, journals: tuple[int, int], before: Snapshot | None) -> Snapshot:
    """A run after one more step; the last model asks for nothing, so the newest purchase is that of the one before."""
    newest = expected_lines(setup, state) or info.queries
    if not newest and before is not None:
        return before._replace(info=info, journals=journals)
    return Snapshot(info, newest, state.model, state.objective, journals)


def fingerprint(setup: Setup) -> np.ndarray:
    """A number that differs where the pool or the test images are not the same."""
    names = "\n".join((*setup.source.pool, "", *setup.source.test, "", *setup.source.classes))
    return np.array(zlib.crc32(setup.regions.box.tobytes(), zlib.crc32(names.encode())), np.int64)


def begin(setup: Setup) -> tuple[State, Info]:
    """Before the start set: nothing is labelled, and nobody has been asked."""
    return State(0, empty(setup.costs.size)), Info({})


class Unrecorded:
    """The recorder of a run that leaves nothing on disk."""

    snapshot: Snapshot | None = None

    def __init__(self, setup: Setup):
        self.setup = setup

    def restore(self) -> tuple[State, Info]:
        """The beginning."""
        return begin(self.setup)

    def asked(self, state: State, info: Info) -> None:
        """Nothing to do."""

    def answered(self, state: State, info: Info) -> None:
        """Nothing to do."""

    def __enter__(self) -> Unrecorded:
        return self

    def __exit__(self, *rest: object) -> None:
        """Nothing to do."""


class Recorder:
    """The disk's side of a run. What comes after the newest checkpoint is cut off."""

    def __init__(self, setup: Setup, folder: RunFolder, reading: bool = False):
        """`reading`: only `read` is wanted, perhaps of a run that is going on; nothing is changed."""
        self.setup, self.folder = setup, folder
        self.checkpoints = Checkpoints(folder.checkpoints, reading=reading)
        self.snapshot: Snapshot | None = None

    def restore(self) -> tuple[State, Info]:
        """The newest state; cuts the journals back to where they agree with it.

        Raises:
            BadInput: the data, the journals or the checkpoints are not those of this run any more.
        """
        last = self.checkpoints.latest()
        if last is None:
            self.folder.curve.cut(0)
            self.folder.ledger.cut(0)
            return begin(self.setup)
        saved = self._load(last)
        curve, ledger = (int(v) for v in saved["journals"])
        self.folder.curve.cut(curve)
        self.folder.ledger.cut(ledger)
        self.snapshot = self.read()
        return self._state(last, saved), self._info(last, saved)

    def asked(self, state: State, info: Info) -> None:
        """Makes a purchase durable before anybody is asked about it; one of no region has nobody to wait for."""
        assert state.asked is not None
        if state.asked.purchase.index.size:
            self.checkpoints.save(2 * state.purchase, self._saved(state, info))
        self.snapshot = snapshot_of(self.setup, state, info, self._journals(), self.snapshot)

    def answered(self, state: State, info: Info) -> None:
        """Logs a purchase and the row of the model that asked for it, then makes them count."""
        before = self._journals()
        try:
            self.folder.add_queries(info.queries)
            if info.row:
                self.folder.add_row(info.row)
            self.checkpoints.save(2 * state.purchase - 1, self._saved(state, info))
        except OSError:
            self.folder.curve.cut(before[0])
            self.folder.ledger.cut(before[1])
            raise
        self.snapshot = snapshot_of(self.setup, state, info, self._journals(), self.snapshot)

    def read(self) -> Snapshot | None:
        """The run as its checkpoints have it; None before the first."""
        found: Snapshot | None = None
        for step in self.checkpoints.all():
            saved = self._load(step)
            curve, ledger = (int(v) for v in saved["journals"])
            state, info = self._state(step, saved), self._info(step, saved)
            found = snapshot_of(self.setup, state, info, (curve, ledger), found)
        return found

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None = None, *rest: object) -> None:
        """Closes the files. A run whose first round failed for a reason that will not go away leaves nothing.

        Unless people have been asked: what they have done is never deleted.
        """
        hopeless = kind is not None and issubclass(kind, BadInput | FloatingPointError)
        alone = isinstance(self.setup.config.annotator, AnswersAtOnce)
        hopeless = hopeless and alone and not self.folder.curve.size and (self.checkpoints.latest() or 0) <= 1
        self.checkpoints.close()
        if hopeless:
            self.folder.discard()

    def _journals(self) -> tuple[int, int]:
        return self.folder.curve.size, self.folder.ledger.size

    def _load(self, step: int) -> dict[str, Any]:
        saved = self.checkpoints.load(step)
        if int(saved.get("format", 1)) != FORMAT:
            raise BadInput(
                f"{self.folder.path} was begun by another version of bal, whose checkpoints this one does not read: "
                "finish it with that version, or choose another --out"
            )
        if saved["data"] != fingerprint(self.setup):
            raise BadInput(f"the images are not those that {self.folder.path} was begun with; choose another --out")
        return saved

    def _saved(self, state: State, info: Info) -> dict[str, Any]:
        """What a checkpoint holds."""
        saved: dict[str, Any] = {
            "format": np.array(FORMAT),
            "pool": pack(state.pool),
            "row": _text(info.row),
            "journals": np.array(self._journals()),
            "data": fingerprint(self.setup),
        }
        if state.asked is not None:
            purchase, known = state.asked
            saved["asked"] = {
                "index": purchase.index,
                "cost": purchase.cost,
                "unspent": np.array(purchase.unspent),
                "probability": purchase.probability,
                "known": _text({"policy": purchase.policy.tolist(), "known": list(known)}),
            }
        if state.model is not None and state.objective is not None:
            saved["params"], saved["calibrator"] = flat(state.model.params), flat(state.model.state)
            arrays = {k: v for k in LEARNT if (v := vars(state.objective)[k]) is not None}
            saved["objective"] = {k: np.asarray(v) for k, v in arrays.items()}
        if info.tally is not None:
            saved["tally"] = info.tally._asdict()
        return saved

    def _state(self, step: int, saved: dict[str, Any]) -> State:
        config, model, objective, asked = self.setup.config, None, None, None
        if "params" in saved:
            model = self.setup.model(unflat(saved["params"], abstract(config.head, self.setup.net, config.train)))
            model = dataclasses.replace(model, state=unflat(saved.get("calibrator", {}), model.state))
            learnt = saved.get("objective", {})
            objective = Objective(config.acq, *(learnt.get(name) for name in LEARNT))
        if "asked" in saved:
            packed, told = saved["asked"], _read(saved["asked"]["known"])
            numbers = packed["cost"], float(packed["unspent"]), packed["probability"]
            asked = Asked(Purchase(packed["index"], np.array(told["policy"]), *numbers), told["known"])
        return State((step + 1) // 2, unpack(saved["pool"], self.setup.regions), asked, model, objective)

    def _info(self, step: int, saved: dict[str, Any]) -> Info:
        """With the ledger's lines of the newest purchase that has been answered."""
        number = (step + 1) // 2 - 1
        lines = [line for line in self.folder.queries(int(saved["journals"][1])) if line["round"] == number]
        tally = Tally(**saved["tally"]) if "tally" in saved else None
        unspent = float(saved["asked"]["unspent"]) if "asked" in saved else 0.0
        return Info(_read(saved["row"]), tally, lines, unspent)


def _text(value: Any) -> np.ndarray:
    """Plain values as an array of bytes; floats come back as they were."""
    return np.frombuffer(json.dumps(value).encode(), np.uint8)


def _read(array: np.ndarray) -> Any:
    return json.loads(array.tobytes())
