"""Curves from anybody: read, or refused in a line; 4,500 cases where all are run."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fuzz import CHANGES, every, fuzzed, outcome, spoilt
from hypothesis import strategies as st

from bal.well_logs.wells import Reading, read_wells

READING = Reading(("RHOB", "NPHI"))
LAS = """~Version
 VERS. 2.0 :
 WRAP. NO :
~Well
 STRT.M 0.0 :
 STEP.M 0.5 :
 NULL. -999.25 :
 WELL. Süd 1 : WELL
~Curve
 DEPT.M : depth
 RHOB.G/C3 : bulk density
 NPHI.V/V : porosity
~ASCII
""" + "".join(f"{0.5 * n} {2.2 + 0.01 * (n % 7)} {0.3 - 0.01 * (n % 5)}\n" for n in range(60))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)


@fuzzed(30, 1500)
def test_las_files_that_are_spoilt(examples):
    pytest.importorskip("lasio")
    wholes = [LAS.encode(), LAS.replace(" ", ",").encode("utf-16"), LAS.replace(".", ",").replace(" ", ";").encode()]

    @every(examples, st.sampled_from(wholes), CHANGES)
    def _(whole, changes):
        Path("a.las").write_bytes(spoilt(whole, changes, LAS.encode()))
        outcome(lambda: read_wells(Path("a.las"), READING))


fields = st.sampled_from(["1", "0.5", "-999.25", "", "1e400", "nan", "x", '"', "1,5", "2024-01-01", "٣", "9" * 400])
sections = st.sampled_from(["~V", "~Version", "~W", "~C", "~Curve", "~A", "~ASCII", "~P", "~O", "~Log_Data | X", "~"])
lines = st.tuples(sections, st.lists(st.lists(fields, min_size=1, max_size=4), max_size=4)) | st.tuples(
    st.sampled_from(
        ["~V\nVERS. 2.0:\nWRAP. NO:", "~C\nDEPT.M:\nRHOB.:\nNPHI.:", "~W\nNULL. 0:\nSTEP. 1:", "~V\nDLM. X:"]
    ),
    st.just([]),
)


@fuzzed(20, 1500)
def test_las_files_of_any_shape(examples):
    pytest.importorskip("lasio")

    @every(examples, st.lists(lines, max_size=6), st.sampled_from([" ", ",", "\t", ";"]))
    def _(parts, delimiter):
        text = "\n".join("\n".join([title, *map(delimiter.join, rows)]) for title, rows in parts)
        Path("a.las").write_text(text, encoding="utf-8")
        outcome(lambda: read_wells(Path("a.las"), READING))


@fuzzed(20, 1500)
def test_archives_of_curves_that_are_spoilt(examples):
    rows, wholes = 100, []
    data = np.stack([np.arange(rows) * 0.15, np.ones(rows), np.zeros(rows)], 1)
    arrays = {"data": data, "columns": np.array(["DEPT", "RHOB", "NPHI"]), "well": np.array(["a"])}
    for write in (np.savez, np.savez_compressed):
        file = io.BytesIO()
        write(file, **arrays, start=np.array([0]), stop=np.array([rows]))
        wholes.append(file.getvalue())

    @every(examples, st.sampled_from(wholes), CHANGES)
    def _(whole, changes):
        Path("a.npz").write_bytes(spoilt(whole, changes))
        outcome(lambda: read_wells(Path("a.npz"), READING))
