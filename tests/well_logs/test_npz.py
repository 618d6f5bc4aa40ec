"""Files of curves from anybody: looked at before they are unpacked, and refused in a line."""

from __future__ import annotations

import io
import os
import re
import zipfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from bal.sources import WellLog
from bal.system.outside import shown
from bal.types import BadInput
from bal.well_logs import _las_text, _npz
from bal.well_logs.wells import NPZ, Reading, read_wells

READING = Reading(("RHOB", "NPHI"))


def arrays(**change) -> dict[str, np.ndarray]:
    rows = 600
    data = np.stack([np.arange(2 * rows) % rows * 0.15, np.ones(2 * rows), np.zeros(2 * rows)], 1)
    good = {
        "data": data,
        "columns": np.array(["DEPT", "RHOB", "NPHI"]),
        "well": np.array(["a", "b"]),
        "start": np.array([0, rows]),
        "stop": np.array([rows, 2 * rows]),
    }
    return {**good, **change}


def write(path: Path, **change) -> Path:
    np.savez_compressed(path, allow_pickle=True, **arrays(**change))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(BadInput) as error:
        read_wells(path, READING)
    assert len(shown(error.value)) < 500
    return str(error.value)


def test_what_is_right_is_read(tmp_path):
    assert [well.name for well in read_wells(write(tmp_path / "w.npz"), READING)] == ["a", "b"]
    assert len(read_wells(write(tmp_path / "w.npz", data=arrays()["data"].astype(np.float32)), READING)) == 2
    assert len(WellLog(curves=tmp_path / "w.npz", pool=2, test=1).open().pool) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"well": np.array("a"), "start": np.array(0), "stop": np.array(600)}, "do not fit each other"),
        ({"start": np.array([0, 599])}, "wells a and b of .* share rows from 599; give each its own"),
        ({"start": np.array([0, 0]), "stop": np.array([1200, 600])}, "share rows from 0"),
        ({"data": arrays()["data"] * [1, 1e308, 1]}, r"RHOB of well a in .* is 1e\+308, which no log measures"),
        ({"data": arrays()["data"] * [1e306, 1, 1]}, "depth of well a in .* which no log measures"),
        ({"columns": np.array([b"DEPT", b"X", b"NPHI"])}, "RHOB"),
        ({"data": np.zeros((3, 3), object)}, "data of .* holds 'object'; each of its values is to be a number"),
        ({"data": np.zeros((3, 3), complex)}, "holds 'complex128'"),
        ({"data": np.full((3, 3), "x")}, "holds '<U1'"),
        ({"columns": np.zeros(3)}, "columns of .* is to be a text"),
        ({"start": np.zeros(2)}, "start of .* holds 'float64'; each of its values is to be a whole number"),
        ({"start": np.array([-5, 600])}, "are no rows of data, which has 1200"),
        ({"stop": np.array([600, 1201])}, "are no rows of data"),
        ({"start": np.array([600, 1200]), "stop": np.array([0, 1200])}, "are no rows of data"),
        ({"data": np.zeros(3)}, "do not fit each other"),
        ({"well": np.array("a")}, "do not fit each other"),
    ],
)
def test_arrays_that_are_none(tmp_path, change, message):
    assert re.search(message, refusal(write(tmp_path / "w.npz", **change)))


def member(shape: tuple[int, ...], held: bytes = b"") -> bytes:
    """An array that says it has a shape, and holds something else."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f8", "fortran_order": False, "shape": shape})
    return file.getvalue() + held


@pytest.mark.parametrize("name", NPZ)
@pytest.mark.parametrize("shape", [(10**12,), (10**9, 10**9), (0, 10**18), (2**62, 4)])
def test_an_array_that_claims_more_than_it_holds(tmp_path, name, shape):
    path = tmp_path / "w.npz"
    with zipfile.ZipFile(path, "w") as archive:
        for other, array in arrays().items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"{other}.npy", member(shape) if other == name else file.getvalue())
    assert (
        "cannot be read as .npz" in (found := refusal(path)) or "each of its values" in found or "do not fit" in found
    )


def test_arrays_that_would_fill_memory_are_not_unpacked(tmp_path, monkeypatch):
    path = write(tmp_path / "w.npz", data=np.zeros((200_000, 3)))
    assert path.stat().st_size < 40_000
    monkeypatch.setattr(_npz, "memory", lambda: 400_000)
    monkeypatch.setattr(np, "load", lambda *a, **k: pytest.fail("was unpacked"))
    assert "take 0.0 GiB unpacked" in refusal(path)


def test_files_too_large_to_read(tmp_path, monkeypatch):
    monkeypatch.setattr(_npz, "memory", lambda: 400)
    assert "MiB are read" in refusal(write(tmp_path / "w.npz"))
    (tmp_path / "w.las").write_text("~V\n" * 100)
    monkeypatch.setattr(_las_text, "memory", lambda: 400)
    assert "MiB are read" in refusal(tmp_path / "w.las")


@pytest.mark.parametrize("name", ["w.npz", "w.las", "w.LAS"])
def test_what_is_no_file(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert refusal(tmp_path / name) == f"curves: {tmp_path / name} is a FIFO; give a file"
    (tmp_path / f"0{name}").symlink_to("/dev/zero")
    assert refusal(tmp_path / f"0{name}") == f"curves: {tmp_path / f'0{name}'} is a device; give a file"
    if not name.endswith("npz"):
        assert " is a device; give a file" in refusal(tmp_path)


@pytest.mark.parametrize("data", [b"", b"PK", b"\x93NUMPY\x01\0", member((10**12,)), b"x" * 1000])
def test_what_is_no_npz(tmp_path, data):
    (tmp_path / "w.npz").write_bytes(data)
    assert "cannot be read as .npz" in refusal(tmp_path / "w.npz")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8))
def test_damage_is_refused_in_a_line_or_changes_nothing(tmp_path, damage):
    path = write(tmp_path / "w.npz")
    data = bytearray(path.read_bytes())
    for where, value in damage:
        data[int(where * len(data))] = value
    path.write_bytes(bytes(data))
    with suppress(BadInput):
        assert len(read_wells(path, READING)) == 2
