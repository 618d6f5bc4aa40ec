"""Every sink: what a run says is there, with the package's own reader; nothing twice, nothing lost, nothing half."""

from __future__ import annotations

import builtins
import csv
import importlib
import io
import os
import re
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image
from runs import FLAGS, assert_quiet

from bal.config import flags
from bal.config.resolve import parse
from bal.experiment.events import Event
from bal.experiment.folder import RunFolder
from bal.report.logs import Logs, find
from bal.report.sinks import SINKS
from bal.report.sinks.base import Sink
from bal.run import main
from bal.types import BadInput

ROWS = [
    {"round": n, "regions": 24 * (n + 1), "cost": 24.5 * (n + 1), "iou_Süd (2)": 0.1 * n, "iou_lure_a": float("nan")}
    for n in range(3)
]
STEPS = 4
NEEDS = {"tensorboard": ("tensorboardX",), "mlflow": ("mlflow", "sqlalchemy", "alembic")}


class Read(NamedTuple):
    """What a reader finds."""

    columns: list[tuple[str, int, float]]  # name, round, value; as often as they are there
    losses: list[tuple[int, float]]
    pictures: list[tuple[int, bytes]]


def read_tensorboard(folder: Path) -> Read:
    """The event files of a folder, by the protocol that tensorboardX has of them."""
    from tensorboardX.proto.event_pb2 import Event as Entry
    from tensorboardX.record_writer import masked_crc32c

    found = Read([], [], [])
    for path in sorted(folder.iterdir()):
        content, versions = path.read_bytes(), 0
        while content:
            head, check, length = content[:8], content[8:12], struct.unpack("Q", content[:8])[0]
            body = content[12 : 12 + length]
            assert check == struct.pack("I", masked_crc32c(head))
            assert content[12 + length : 16 + length] == struct.pack("I", masked_crc32c(body))
            content = content[16 + length :]
            entry = Entry.FromString(body)
            versions += entry.file_version == "brain.Event:2"
            for value in entry.summary.value:
                group, name = value.tag.split("/", 1)
                if group == "pictures":
                    with Image.open(io.BytesIO(value.image.encoded_image_string)) as image:
                        assert image.size == (value.image.width, value.image.height)
                    found.pictures.append((entry.step, value.image.encoded_image_string))
                elif group == "loss":
                    found.losses.append((entry.step, value.simple_value))
                else:
                    found.columns.append((name, entry.step, value.simple_value))
        assert versions == 1
        assert "tfevents" in path.name, "nothing else is left behind"
    return found


def read_mlflow(folder: Path) -> Read:
    """The one run in the database of a folder."""
    from mlflow import MlflowClient

    (database,) = folder.glob("*.db")
    client, found = MlflowClient(f"sqlite:///{database}"), Read([], [], [])
    (experiment,) = client.search_experiments(filter_string="name = 'bal'")
    (one,) = client.search_runs([experiment.experiment_id])
    assert one.info.run_name == folder.parents[1].name
    for key in one.data.metrics:
        for metric in client.get_metric_history(one.info.run_id, key):
            name = re.sub("-([0-9a-f]+)-", lambda sign: chr(int(sign[1], 16)), key)
            if name == "loss":
                found.losses.append((metric.step, metric.value))
            else:
                found.columns.append((name, metric.step, metric.value))
    for below in client.list_artifacts(one.info.run_id):
        (file,) = client.list_artifacts(one.info.run_id, below.path)
        path = Path(client.download_artifacts(one.info.run_id, file.path))
        found.pictures.append((int(below.path.removeprefix("round-")), path.read_bytes()))
    return found


READERS = {"tensorboard": read_tensorboard, "mlflow": read_mlflow}
PRECISION = {"tensorboard": np.float32, "mlflow": np.float64}


@pytest.fixture(params=SINKS)
def name(request, monkeypatch):
    for package in NEEDS[request.param]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(variable, raising=False)
    return request.param


def begin(out: Path) -> RunFolder:
    out.mkdir(exist_ok=True)
    return RunFolder(out)


def live(folder: RunFolder, logs: Logs, rounds: range) -> None:
    """What a process does, as the sinks see it: some rounds, each with its losses, its row and its picture."""
    for n in rounds:
        for done in range(STEPS + 1):
            logs.watch(Event(n, "fit", done, STEPS, loss(n, done) if done else None))
        logs.watch(Event(n, "score", 1, 6))
        folder.record(ROWS[n], [])
        Image.new("RGB", (8 + n, 5), (n, 2, 3)).save(folder.diagrams)
        assert logs.update() == []


def loss(round: int, step: int) -> float:
    return 1 / (1 + round * STEPS + step)


def assert_logged(name: str, folder: RunFolder, rounds: int, losses: set[int], pictures: set[int]) -> None:
    """Every column once a round and equal to curve.csv; losses and pictures of these rounds."""
    found, kind = READERS[name](folder.logs / name), PRECISION[name]
    rows = folder.rows()[:rounds]
    expected = {(key, row["round"]): kind(value) for row in rows for key, value in row.items()}
    assert len(found.columns) == len(expected), "nothing twice"
    for key, round, value in found.columns:
        np.testing.assert_array_equal(kind(value), expected[key, round], err_msg=key)
    steps = {n * STEPS + k: kind(loss(n, k)) for n in losses for k in range(1, STEPS + 1)}
    assert len(found.losses) == len(steps)
    assert {step: kind(value) for step, value in found.losses} == steps
    assert {n for n, _ in found.pictures} == pictures
    assert len(found.pictures) == len(pictures)
    if rounds - 1 in pictures:
        assert dict(found.pictures)[rounds - 1] == folder.diagrams.read_bytes()


def test_a_run_is_read_back_as_it_was(tmp_path, name, capfd):
    folder = begin(tmp_path / "run")
    with Logs([name, name], folder.path) as logs:
        live(folder, logs, range(3))
    assert capfd.readouterr() == ("", "")
    assert_logged(name, folder, 3, {0, 1, 2}, {0, 1, 2})


def test_a_killed_run_logs_nothing_twice(tmp_path, name):
    folder = begin(tmp_path / "run")
    live(folder, Logs([name], folder.path), range(1))  # killed: nothing was closed
    live(folder, logs := Logs([name], folder.path), range(1, 2))
    folder.record(ROWS[2], [])  # and killed before the sink heard of it
    del logs
    with Logs([name], folder.path) as logs:
        assert logs.update() == []
        assert logs.update() == []
    assert_logged(name, folder, 3, {0, 1}, {0, 1, 2})


def test_what_was_logged_in_part_is_completed(tmp_path, name, monkeypatch):
    folder = begin(tmp_path / "run")
    with Logs([name], folder.path) as logs:
        live(folder, logs, range(1))
        sink = logs.sinks[name]
        with monkeypatch.context() as patch:
            real = os.replace
            if name == "mlflow":  # the server takes one of two batches
                patch.setattr("bal.report.sinks.mlflow.BATCH", 3)
                whole, calls = sink._client.log_batch, []

                def log_batch(*what: Any) -> None:
                    calls.append(what)
                    if len(calls) > 1:
                        raise OSError("the server\nis gone")
                    whole(*what)

                patch.setattr(sink._client, "log_batch", log_batch)
            else:

                def replace(part: Any, path: Any) -> None:
                    if "logs" in Path(path).parts:
                        raise OSError("the server\nis gone")
                    real(part, path)

                patch.setattr(os, "replace", replace)
            for done in range(1, STEPS + 1):
                logs.watch(Event(1, "fit", done, STEPS, loss(1, done)))
            folder.record(ROWS[1], [])
            assert logs.update() == [f"--log {name} missed round 1 (OSError: the server is gone)"]
        (folder.logs / name / "unfinished").unlink(missing_ok=True)
        assert logs.update() == []
    assert_logged(name, folder, 2, {0, 1}, {0, 1})


def test_overwriting_a_run_forgets_what_was_logged(tmp_path, name):
    folder = begin(tmp_path / "run")
    with Logs([name], folder.path) as logs:
        live(folder, logs, range(1))
    folder.clear()
    assert not folder.logs.exists()
    with Logs([name], folder.path) as logs:
        live(folder, logs, range(2))
    assert_logged(name, folder, 2, {0, 1}, {0, 1})


@pytest.mark.parametrize("name", SINKS)
def test_a_missing_package_is_one_line_before_anything_else(name, tmp_path, monkeypatch, capfd):
    real = importlib.import_module

    def import_module(wanted: str, *rest: Any) -> Any:
        if wanted.split(".")[0] in NEEDS[name]:
            raise ImportError(wanted, name=wanted.split(".")[0])
        return real(wanted, *rest)

    monkeypatch.setattr(f"bal.report.sinks.{name}.import_module", import_module)
    out = tmp_path / "run"
    assert main([*FLAGS, "--out", str(out), "--log", name]) == 2
    stdout, stderr = capfd.readouterr()
    assert stdout == ""
    assert stderr.startswith(f"bal: error: --log {name} needs ")
    assert f"pip install 'bal[{name}]'" in stderr
    assert stderr.count("\n") == 1
    assert not out.exists()


def test_only_what_is_needed_is_imported(tmp_path, monkeypatch):
    real = builtins.__import__

    def forbid(wanted: str, *rest: Any) -> Any:
        assert wanted.split(".")[0] not in ("tensorboardX", "mlflow")
        return real(wanted, *rest)

    monkeypatch.setattr(builtins, "__import__", forbid)
    monkeypatch.delitem(sys.modules, "tensorboardX", raising=False)
    with Logs([], tmp_path) as logs:
        logs.watch(Event(0, "fit", 0, 1))
        assert logs.update() == []
    assert "tensorboardX" not in sys.modules


def test_a_server_that_is_none_is_one_line(tmp_path, monkeypatch):
    for package in NEEDS["mlflow"]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nowhere://x")
    logs = Logs(["mlflow"], tmp_path)
    with pytest.raises(BadInput, match="--log mlflow: MLFLOW_TRACKING_URI cannot be used") as error:
        logs.watch(Event(0, "fit", 0, 4))
    assert "\n" not in str(error.value)


def test_a_server_of_ones_own_and_an_experiment(tmp_path, monkeypatch):
    for package in NEEDS["mlflow"]:
        pytest.importorskip(package, reason=f"{package} is not installed")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'team.db'}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "curves")
    client = MlflowClient(uri)
    place = client.create_experiment("curves", (tmp_path / "artifacts").as_uri())
    for out in ("first", "second"):
        folder = begin(tmp_path / out)
        with Logs(["mlflow"], folder.path) as logs:
            live(folder, logs, range(1))
        assert [p.name for p in (folder.logs / "mlflow").iterdir()] == ["id"]
    runs = client.search_runs([place])
    assert {(r.info.run_name, r.info.status) for r in runs} == {("first", "FINISHED"), ("second", "FINISHED")}
    logs = Logs(["mlflow"], folder.path)
    logs.update()
    logs.__exit__(KeyboardInterrupt)
    assert sorted(r.info.status for r in client.search_runs([place])) == ["FINISHED", "KILLED"]


class Mine:
    """A sink of one's own, as a test module has it."""

    heard: list[Any]

    def open(self, folder: Path) -> None:
        self.heard = [folder]
        Mine.last = self

    def event(self, event: Event) -> None:
        self.heard.append(event)

    def record(self, row, pictures) -> None:
        self.heard.append(row)

    def close(self, done: bool) -> None:
        self.heard.append(done)


def test_the_command_line_feeds_a_sink(tmp_path, monkeypatch, capfd):
    out = tmp_path / "run"
    assert (
        main([*FLAGS, "--rounds", "1", "--budget", "20", "--out", str(out), "--log", "test_sinks:Mine", "--quiet"]) == 0
    )
    folder, *heard, done = sys.modules["test_sinks"].Mine.last.heard
    assert folder == out / "logs" / "Mine"
    assert done is True
    rows = [h for h in heard if isinstance(h, dict)]
    assert [row["round"] for row in rows] == [0, 1]
    with open(out / "curve.csv", newline="") as file:
        for row, line in zip(rows, csv.DictReader(file), strict=True):
            np.testing.assert_array_equal(list(row.values()), [float(v) for v in line.values()])
    losses = [h for h in heard if isinstance(h, Event) and h.loss is not None]
    assert {event.round for event in losses} == {0, 1}
    assert_quiet(capfd.readouterr())
    assert main(["--resume", "--out", str(out), "--log", "test_sinks:Mine", "--quiet"]) == 0
    assert [h["round"] for h in sys.modules["test_sinks"].Mine.last.heard[1:-1]] == [0, 1], (
        "a finished run is made up for"
    )


def test_a_sink_that_cannot_open_stops_before_training(tmp_path, capfd, monkeypatch):
    def refuse(self: Mine, folder: Path) -> None:
        raise BadInput("no sink today")

    monkeypatch.setattr(sys.modules["test_sinks"].Mine, "open", refuse)
    out = tmp_path / "run"
    assert main([*FLAGS, "--out", str(out), "--log", "test_sinks:Mine", "--quiet"]) == 2
    assert capfd.readouterr().err == "bal: error: no sink today\n"
    assert not (out / "curve.csv").exists()
    assert main(["--resume", "--out", str(out), "--quiet"]) == 0, "the run goes on without it"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("tensorbord", "unknown sink 'tensorbord'; did you mean 'tensorboard'. choices: tensorboard, mlflow"),
        ("nowhere:Sink", "cannot be loaded: ModuleNotFoundError"),
        ("pathlib:Path", "is no sink: it needs the methods open, event, record and close"),
        ("pathlib:sys", "is no sink"),
    ],
)
def test_what_is_no_sink_is_refused(name, message):
    with pytest.raises(BadInput, match=message):
        find(name)


def test_the_table_and_the_help_agree():
    assert all(issubclass(cls, Sink) and name in flags._LOG for name, cls in SINKS.items())
    assert {cls.__module__ for cls in SINKS.values()} == {f"bal.report.sinks.{name}" for name in SINKS}
    assert set(READERS) == set(PRECISION) == set(NEEDS) == set(SINKS), "every sink is read back"
    command = parse(["--log", "tensorboard", "mlflow", "source:well_log"])
    assert command.log == ("tensorboard", "mlflow")
    assert parse([]).log == ()
