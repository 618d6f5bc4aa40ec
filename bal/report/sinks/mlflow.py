"""A run of MLflow: in a database below the run's folder, or on the server that MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import logging
import os
import re
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module  # so that the type checker does not need the package
from pathlib import Path
from typing import Any

from bal.experiment.events import Event
from bal.report.sinks._losses import Losses
from bal.report.sinks.base import numbers
from bal.system.files import write_whole
from bal.types import BadInput

BATCH = 1000  # the most metrics in one request
TAG = "bal.id"
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true"}


class MLflow:
    """Columns are metrics, rounds their steps; pictures are artifacts `round-0003/reliability.png`.

    Without a server it is a database, for MLflow has given up its store of files; to look at it:
    `mlflow ui --backend-store-uri sqlite:///$(echo RUN/logs/mlflow/*.db)`. It has the run's id in its name, since
    MLflow keeps what it has opened, and a run overwritten by the same process would be logged to a file that is gone.

    The experiment is MLFLOW_EXPERIMENT_NAME or `bal`. Which run of MLflow is ours is remembered by a tag that is on
    disk before the run is made, and what it has is asked for before more is written: a killed run makes no second one,
    and no value comes twice.
    """

    def __init__(self) -> None:
        self._remote = os.environ.get("MLFLOW_TRACKING_URI")
        for name, value in QUIET.items():
            os.environ.setdefault(name, value)
        try:
            with _quiet():
                self._package = import_module("mlflow")
                self._entities = import_module("mlflow.entities")
                for needed in () if self._remote else ("sqlalchemy", "alembic"):
                    import_module(needed)
        except ImportError as error:
            raise BadInput(
                f"--log mlflow needs {error.name or 'mlflow'}; install it with: pip install 'bal[mlflow]'"
            ) from None
        self._losses = Losses()

    def open(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder / "id"
        if not mark.exists():
            write_whole(mark, uuid.uuid4().hex)
        id = mark.read_text()
        where = "MLFLOW_TRACKING_URI" if self._remote else folder
        database = f"sqlite:///{(folder / f'mlflow-{id[:8]}.db').resolve()}"
        try:
            with _quiet():
                self._client = self._package.MlflowClient(self._remote or database)
                self._run = self._find(folder, id)
                self._had = self._steps()
        except Exception as error:  # whatever a server, a database or a proxy says
            line = " ".join(str(error).split())
            raise BadInput(f"--log mlflow: {where} cannot be used ({type(error).__name__}: {line[:300]})") from None

    def event(self, event: Event) -> None:
        self._losses.add(event)

    def record(self, row: Mapping[str, Any], pictures: Sequence[Path]) -> None:
        round, now = row["round"], int(1000 * time.time())
        values = [(_key(name), value, round) for name, value in numbers(row).items()]
        values += [("loss", loss, step) for step, loss in self._losses.of(round).items()]
        new = [v for v in values if (v[0], v[2]) not in self._had]
        with _quiet():
            for picture in pictures if new else ():  # first, for the numbers say that a round is there
                self._client.log_artifact(self._run, str(picture), f"round-{round:04d}")
            for i in range(0, len(new), BATCH):
                some = new[i : i + BATCH]
                metrics = [self._entities.Metric(key, value, now, step) for key, value, step in some]
                self._client.log_batch(self._run, metrics)
                self._had |= {(key, step) for key, _, step in some}
        self._losses.forget(round)

    def close(self, done: bool) -> None:
        with _quiet():
            self._client.set_terminated(self._run, "FINISHED" if done else "KILLED")

    def _find(self, folder: Path, id: str) -> str:
        """The run of MLflow with our tag, under way again, or a new one."""
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "bal"
        experiment = self._client.get_experiment_by_name(name)
        place = None if self._remote else (folder / "artifacts").resolve().as_uri()
        number = experiment.experiment_id if experiment else self._client.create_experiment(name, place)
        found = self._client.search_runs([number], f"tags.`{TAG}` = '{id}'")
        if not found:
            return self._client.create_run(number, run_name=folder.parents[1].name, tags={TAG: id}).info.run_id
        self._client.update_run(found[0].info.run_id, "RUNNING")
        return found[0].info.run_id

    def _steps(self) -> set[tuple[str, int]]:
        """Every metric that MLflow has of the run, and at which steps."""
        keys = self._client.get_run(self._run).data.metrics
        return {(key, m.step) for key in keys for m in self._client.get_metric_history(self._run, key)}


def _key(column: str) -> str:
    """A column as MLflow allows it: other signs than letters, digits and _ - . / blank become their number."""
    return re.sub(r"[^\w\-./ ]", lambda sign: f"-{ord(sign[0]):x}-", column)


@contextmanager
def _quiet() -> Iterator[None]:
    """What MLflow and its migrations log, or warn of, is none of the user's business; errors are raised."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [log.level for log in loggers]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for log in loggers:
                log.setLevel(logging.CRITICAL)
            yield
    finally:
        for log, level in zip(loggers, levels, strict=True):
            log.setLevel(level)
