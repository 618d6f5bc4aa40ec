"""Writes a run down so that it can be killed at any instant, and picks it up again."""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from bal import report
from bal.config.dump import to_dict
from bal.experiment.checkpoint import Checkpoints, flat, unflat
from bal.experiment.folder import RunFolder, write_whole
from bal.experiment.setup import Setup
from bal.metrics import bootstrap
from bal.metrics import tally as metrics
from bal.pool.labels import Pool, empty, pack, unpack
from bal.posterior.model import Model
from bal.posterior.training import abstract
from bal.scoring.objective import Objective
from bal.scoring.score import inspect
from bal.types import BadInput

PANELS = 4  # images drawn in the report
ASKED = ("state", "weight")  # the arrays of a question


def draw(setup: Setup, model: Model, objective: Objective, bought: list[dict[str, Any]]) -> list[report.Panel]:
    """The images in which a purchase bought most, as the model that was asked saw them."""
    by_image: dict[str, list[Mapping[str, Any]]] = {}
    for query in bought:
        by_image.setdefault(query["image"], []).append(query)
    most = sorted(by_image.items(), key=lambda item: -sum(q["policy"] == "steered" for q in item[1]))[:PANELS]
    drawn = []
    for id, asked in most:
        prediction, score = inspect(model, setup.source, objective, id)
        regions = [setup.regions.describe(setup.regions.find(id, q["region"])) for q in asked]
        boxes = [report.Box(*r.box, q["policy"], q["score"], r.mask) for r, q in zip(regions, asked, strict=True)]
        drawn.append(report.Panel(id, setup.source.image(id), prediction, truth(setup, id), score, boxes))
    return drawn


def truth(setup: Setup, id: str) -> np.ndarray | None:
    """The source's mask; None for an image that only the annotator can label."""
    try:
        return setup.source.mask(id)
    except BadInput:
        return None


def fingerprint(setup: Setup) -> np.ndarray:
    """A number that differs where the pool or the test images are not the same."""
    names = "\n".join((*setup.source.pool, "", *setup.source.test, "", *setup.source.classes))
    return np.array(zlib.crc32(setup.regions.box.tobytes(), zlib.crc32(names.encode())), np.int64)


class Recorder:
    """The disk's side of a run. A round counts once its checkpoint is complete; what was logged after is cut off."""

    def __init__(self, setup: Setup, folder: RunFolder):
        self.setup, self.folder = setup, folder
        self.checkpoints = Checkpoints(folder.checkpoints)
        self.panels: list[report.Panel] = []  # the newest purchase, as the model that asked for it saw it

    def restore(self) -> tuple[int, Pool, list[dict[str, Any]]]:
        """The next round, the pool, and what was bought for that round; cuts the journals back to where they agree.

        Raises:
            BadInput: the data or the journals are not those of this run any more.
        """
        last = self.checkpoints.latest()
        if last is None:
            self.folder.curve.cut(0)
            self.folder.ledger.cut(0)
            return 0, empty(self.setup.costs.size), []
        saved = self.checkpoints.load(last)
        if saved["data"] != fingerprint(self.setup):
            raise BadInput(f"the images are not those that {self.folder.path} was begun with; choose another --out")
        curve, ledger = (int(v) for v in saved["journals"])
        self.folder.curve.cut(curve)
        self.folder.ledger.cut(ledger)
        self._remember(last, saved)
        self._report(metrics.Tally(**saved["tally"]))
        return last + 1, unpack(saved["pool"], self.setup.regions), self._bought(last + 1)

    def log(self, bought: list[dict[str, Any]]) -> None:
        """Adds a purchase to the ledger."""
        self.folder.add_queries(bought)

    def save(
        self,
        round: int,
        row: dict[str, Any],
        bought: list[dict[str, Any]],
        pool: Pool,
        model: Model,
        tally: metrics.Tally,
        objective: Objective,
    ) -> None:
        """Logs a round, then makes it count: what comes after the last checkpoint is cut off on resume."""
        before = self.folder.curve.size, self.folder.ledger.size
        try:
            self.log(bought)
            self.folder.add_row(row)
            self.checkpoints.save(round, self._state(pool, model, tally, objective))
        except OSError:
            self.folder.curve.cut(before[0])
            self.folder.ledger.cut(before[1])
            raise
        if bought:
            self.panels = draw(self.setup, model, objective, bought)
        self._report(tally)

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        """Closes the files. A run whose first round failed for a reason that will not go away leaves nothing."""
        hopeless = kind is not None and issubclass(kind, BadInput | FloatingPointError)
        hopeless = hopeless and self.checkpoints.latest() is None
        self.checkpoints.close()
        if hopeless:
            self.folder.discard()

    def _state(self, pool: Pool, model: Model, tally: metrics.Tally, objective: Objective) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            "params": flat(model.params),
            "calibrator": flat(model.state),
            "question": {k: np.asarray(v) for k in ASKED if (v := getattr(objective, k)) is not None},
            "pool": pack(pool),
            "tally": tally._asdict(),
            "journals": np.array([self.folder.curve.size, self.folder.ledger.size]),
            "data": fingerprint(self.setup),
        }

    def _bought(self, round: int) -> list[dict[str, Any]]:
        return [q for q in self.folder.queries() if q["round"] == round]

    def _remember(self, last: int, saved: dict[str, Any]) -> None:
        """Draws the newest purchase again: asked for by the last model, or by the one before if the run is complete."""
        for round in (last, last - 1):
            bought = self._bought(round + 1)
            if bought:
                asker = saved if round == last else self.checkpoints.load(round)
                objective = Objective(self.setup.config.acq, *(asker["question"].get(name) for name in ASKED))
                self.panels = draw(self.setup, self._model(asker), objective, bought)
                return

    def _model(self, saved: dict[str, Any]) -> Model:
        config = self.setup.config
        model = self.setup.model(unflat(saved["params"], abstract(config.head, self.setup.net, config.train)))
        return dataclasses.replace(model, state=unflat(saved["calibrator"], model.state))

    def _report(self, tally: metrics.Tally) -> None:
        """The page and the diagrams of the newest round, from the tallies of every test image."""
        diagrams = bootstrap.bands(tally, self.setup.source.classes)
        bins = {
            name: {"calibrated": tuple(diagrams[name]), "raw": tuple(diagrams[f"{name}_raw"])}
            for name in (*self.setup.source.classes, "foreground")
        }
        report.write(
            self.folder.report,
            self.folder.rows(),
            self.folder.queries(),
            self.panels,
            to_dict(self.setup.config),
            self.setup.source.classes,
            bins,
            bootstrap.around(tally, self.setup.source.classes),
        )
        write_whole(self.folder.diagrams, report.reliability_png(bins, self.setup.source.classes))
