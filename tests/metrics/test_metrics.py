"""What every family of metrics must satisfy, and what one needs to reach a person: a file and a line in the table."""

from __future__ import annotations

import dataclasses
import inspect
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
from examples import NAMES, SHAPE, assert_close, example, measure, pick, scores
from hypothesis import given, strategies as st
from rich.console import Console
from runs import curve, drawn, run, tiny

from bal.metrics import METRICS, families, tally as metrics
from bal.metrics.base import Cell, Chunk, Headline, LabelledImage, OfChunk, OfImage, Tabled
from bal.metrics.bootstrap import INTERVAL, draw
from bal.metrics.detection import SCORES
from bal.metrics.histograms import ratio
from bal.metrics.summary import columns, columns_of, meaning
from bal.report import columns as report, tables, terminal
from bal.types import IGNORE

IMAGES = 8


@pytest.fixture(scope="module")
def each() -> metrics.Tally:
    """Tallies of images, two of them not labelled."""
    calibrated, raw, label = (np.concatenate(x) for x in zip(example(0), example(1), strict=True))
    return metrics.tally_images(calibrated, raw, label, scores(calibrated, raw, calibrated))


@pytest.fixture(params=METRICS)
def name(request) -> str:
    return request.param


def test_a_family_is_a_file_that_imports_no_other():
    files = {name: Path(inspect.getfile(family)) for name, family in METRICS.items()}
    assert len(set(files.values())) == len(METRICS)
    for name, file in files.items():
        imported = re.findall(r"(?:from|import) bal\.metrics\.(\w+)", file.read_text(encoding="utf-8"))
        assert not {files[other].stem for other in METRICS if other != name} & set(imported), name


def test_it_is_a_frozen_dataclass_with_defaults(name):
    family = families()[name]
    assert dataclasses.is_dataclass(family)
    assert family == families()[name]
    assert hash(family) == hash(families()[name]), "it is a static argument of jax.jit"
    assert type(family).__doc__


def test_it_measures_pixels_or_images(name):
    assert isinstance(families()[name], (OfChunk, OfImage))


def test_its_sums_are_counts_and_float64(name, each):
    zeros = families()[name].zeros(3, scores=3)
    assert isinstance(zeros, tuple)
    for field, zero, sums in zip(zeros._fields, zeros, each[name], strict=True):
        assert zero.dtype in (np.int64, np.float64), field
        assert (sums.shape, sums.dtype) == ((IMAGES, *zero.shape), zero.dtype), field
        assert not zero.any(), field
        assert sums.any(), f"{field} of these images is nothing at all"


@given(order=st.permutations(range(IMAGES)), cut=st.integers(0, IMAGES))
def test_sums_add_up_over_any_split_in_any_order(each, order, cut):
    parts = [metrics.total(pick(each, np.array(rows, int))) for rows in (order[:cut], order[cut:])]
    assert_close(metrics.add(*parts), metrics.total(each))


def test_a_resampled_test_set_is_measured_by_the_same_lines(name, each):
    family, drawn = families()[name], draw(each, draws=6)[name]
    for column, values in family.columns(drawn, NAMES):
        assert values.shape == (6,), column
        for d, value in enumerate(values):
            alone = dict(family.columns(type(drawn)(*(x[d] for x in drawn)), NAMES))
            np.testing.assert_allclose(value, alone[column], rtol=1e-12, err_msg=column)


def test_every_column_is_explained(name):
    family = families()[name]
    found = [column for column, _ in family.columns(family.zeros(3, scores=len(SCORES)), NAMES)]
    told = family.meanings(NAMES)
    assert sorted(found) == sorted(told)
    for column, text in told.items():
        assert text[0].isupper(), column
        assert text.endswith("."), column
        assert not set("{}<>") & set(text), f"{column}: {text}"
    shown = [*family.intervals(NAMES)]
    if isinstance(family, Tabled):
        shown += [cell.column for cell in family.cells(NAMES)]
        for line in family.headlines(NAMES):
            shown += [line.column, line.beside or line.column]
    assert set(shown) <= set(found)


def test_names_are_unique_and_follow_the_classes():
    found, others = (columns(tuple(f"{letter}{k}" for k in range(3))) for letter in "qz")
    assert len(found) == len(set(found))
    assert not [column for column in found if column.endswith(INTERVAL)]
    assert tuple(re.sub(r"_q(\d)", r"_z\1", column) for column in found) == others


def test_it_is_nan_where_nothing_was_measured(name):
    family = families()[name]
    for column, value in family.columns(family.zeros(3, scores=3), NAMES):
        assert np.isnan(value), column


def test_unlabelled_pixels_count_for_nothing(name):
    calibrated, raw, label = example()
    unknown = label == IGNORE
    changed = [np.where(unknown[..., None], x, p) for x, p in ((np.nan, calibrated), (1.0, raw))]
    changed[0] = np.where(unknown[..., None] & (np.arange(3) == 1), 2.0, np.nan_to_num(changed[0], nan=-1.0))
    for other in (IGNORE, -1, 3):  # whatever else is no class
        truth = np.where(unknown, other, label)
        got, expected = (metrics.tally_images(*x)[name] for x in ((*changed, truth), (calibrated, raw, label)))
        assert_close({name: got}, {name: expected})


def test_padding_changes_nothing(name):
    calibrated, raw, label = (x[:3] for x in example())
    wide = [np.pad(p, ((0, 0), (0, 7), (0, 9), (0, 0)), constant_values=0.9) for p in (calibrated, raw)]
    truth = np.pad(label, ((0, 0), (0, 7), (0, 9)), constant_values=IGNORE)
    got, expected = (metrics.tally_images(*x)[name] for x in ((*wide, truth), (calibrated, raw, label)))
    assert_close({name: got}, {name: expected})


def test_an_image_that_nobody_has_labelled_adds_nothing(name, each):
    assert not any(np.any(x) for x in pick(each, SHAPE[0] - 1)[name])


def test_nothing_at_all_and_nothing_labelled():
    calibrated, raw, label = example()
    assert all(np.isnan(value) for value in measure().values())
    assert all(np.isnan(value) for value in measure((calibrated, raw, np.full_like(label, IGNORE))).values())


class Found(NamedTuple):
    """Sums of `Line`."""

    off: Any  # [] sum over images of how far a line is off, in rows
    lines: Any  # [] images that have both lines
    sure: Any  # [] labelled pixels with a probability above one half
    pixels: Any  # [] labelled pixels


@dataclass(frozen=True)
class Line:
    """A family of another package: no sum over pixels, and one that is; the last class is read off as one height."""

    def zeros(self, classes: int, scores: int) -> Found:
        return Found(np.zeros(()), np.zeros((), np.int64), np.zeros((), np.int64), np.zeros((), np.int64))

    def of_image(self, image: LabelledImage) -> Found:
        last = image.predictive.shape[-1] - 1
        rows = [np.nonzero((x == last) & image.valid)[0] for x in (image.predicted, image.label)]
        both = all(len(row) for row in rows)
        off = abs(rows[0].mean() - rows[1].mean()) if both else 0.0
        return Found(off, both, 0, 0)

    def of_chunk(self, chunk: Chunk) -> Found:
        sure = chunk.valid & (chunk.probs[0].max(0) > 0.5)
        none = jnp.int32(0)
        return Found(jnp.float32(0), none, sure.sum(dtype=jnp.int32), chunk.valid.sum(dtype=jnp.int32))

    def columns(self, sums: Found, classes) -> list[tuple[str, np.ndarray]]:
        return [(f"off_{classes[-1]}", ratio(sums.off, sums.lines)), ("sure", ratio(sums.sure, sums.pixels))]

    def intervals(self, classes) -> list[str]:
        return ["sure"]

    def meanings(self, classes) -> dict[str, str]:
        return {f"off_{classes[-1]}": "How far the line is off, in rows.", "sure": "Share of sure pixels."}

    def cells(self, classes) -> list[Cell]:
        return [Cell(f"off_{classes[-1]}", classes[-1], "read off", "rows off", digits=1)]

    def headlines(self, classes) -> list[Headline]:
        return [Headline("sure", "foreground", "surely", caption="surely: probability above ½")]


@drawn()
def test_a_family_is_one_file_and_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, "line", Line)
    records = run(tiny(rounds=0, budget=10), tmp_path / "run")
    (row,) = (record.row for record in records)
    off, share = row["off_curve_2"], row["sure"]
    assert off >= 0 or np.isnan(off)
    assert 0 < row["sure_low"] <= share <= row["sure_high"] <= 1
    header = list(curve(tmp_path / "run")[0])
    assert header.index("iou_all_background") < header.index("sure") < header.index("iou_curve_1_low")
    assert header.index("auroc_bald_high") < header.index("sure_low") < header.index("temperature")
    assert report.meaning("sure_high", NAMES) == (
        "Upper end of a 95 % bootstrap interval over test images. Share of sure pixels."
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert "How far the line is off, in rows." in page
    assert "<span>read off</span>" in tables.class_tables([row], NAMES)
    assert "rows off" in page
    shown = Console(width=200, file=io.StringIO(), record=True)
    shown.print(terminal.summary_table([row], 200))
    assert "surely: probability above ½" in (text := shown.export_text())
    assert f"{share:.3f}" in text


def test_a_family_is_measured_as_it_says(monkeypatch):
    monkeypatch.setitem(METRICS, "line", Line)
    calibrated, raw, label = example()
    row = columns_of(metrics.tally_images(calibrated, raw, label), NAMES)
    some = label != IGNORE
    np.testing.assert_allclose(row["sure"], (calibrated[some].max(-1) > 0.5).mean())
    heights = [
        [np.nonzero((x == 2) & known)[0].mean() for x in (p.argmax(-1), truth)]
        for p, truth, known in zip(calibrated[:3], label[:3], some[:3], strict=True)
    ]
    np.testing.assert_allclose(row["off_curve_2"], np.abs(np.diff(heights)).mean())
    assert meaning("off_curve_2", NAMES) == "How far the line is off, in rows."
    assert meaning("seconds_fit", NAMES) is None
