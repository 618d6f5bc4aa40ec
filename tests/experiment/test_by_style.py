"""What a run says of styles: columns, a file a round, a section of the report; and nothing of a source without."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import pytest
from runs import curve, pictures, run, tiny

from bal import run_loop
from bal.experiment import by_style, curve_row
from bal.experiment.folder import RunFolder
from bal.experiment.round_tables import path_of
from bal.experiment.setup import set_up
from bal.metrics import styles
from bal.report.columns import meaning
from bal.report.publish import republish
from bal.run import main
from bal.sources import Folder, Vintages
from bal.types import BadInput

ARCHIVE = Vintages(height=48, width=48, windows=2, pool=3, test=1, styles=("plain", "log", "worn"))
CLASSES = ("background", "curve_1", "curve_2")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A run, and the records of it."""
    out = tmp_path_factory.mktemp("archive") / "run"
    records = run(tiny(source=ARCHIVE, rounds=1), out)
    republish(out)
    return out, records


def test_columns_follow_the_metrics(archive):
    out, records = archive
    rows = curve(out)
    columns = list(rows[0])
    first = columns.index("iou_mix_background")
    assert columns[first : first + 9] == styles.names(CLASSES)
    assert columns.index("cldice_image_curve_2_high") < first < columns.index("temperature")
    for row, record in zip(rows, records, strict=True):
        for c in CLASSES:
            each = [found[f"iou_{c}"] for found in record.styles.values()]
            known = sorted(x for x in each if not math.isnan(x))
            mean = sum(known) / len(known) if known else math.nan
            assert float(row[f"iou_styles_{c}"]) == pytest.approx(mean, rel=1e-6, nan_ok=True)
            assert row[f"iou_worst_{c}"] == row[f"iou_styles_{c}"], "of three styles"
            assert all(len(meaning(f"iou_{kind}_{c}", CLASSES)) > 60 for kind in styles.MEANS)


def test_every_metric_of_every_style_is_in_a_file_a_round(archive):
    out, records = archive
    for round, record in enumerate(records):
        with open(out / "styles" / f"round-{round:02d}.csv", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["style"] for row in rows] == list(record.styles) == ["plain", "log", "worn"]
        assert {row["images"] for row in rows} == {"1"}
        assert [float(row["pool_share"]) for row in rows] == pytest.approx([1 / 3] * 3)
        found = by_style.read(out / "styles", round)
        for style, row in record.styles.items():
            assert found[style] == pytest.approx(row, rel=1e-6, nan_ok=True)
            assert {"iou_curve_1", "tolerant_f1_curve_2", "cldice_curve_1"} <= set(row)


def test_the_report_has_a_section(archive):
    out, records = archive
    page = (out / "report.html").read_text()
    assert "<h2>Style by style</h2>" in page
    assert "33.3 %" in page
    assert f"{records[-1].styles['worn']['iou_curve_1']:.3f}" in page


@pytest.mark.slow
def test_a_resumed_run_has_the_same_files(archive, tmp_path):
    out, _ = archive
    again = tmp_path / "run"
    records = run_loop(tiny(source=ARCHIVE, rounds=1), again)
    next(records)
    records.close()
    assert run(tiny(source=ARCHIVE, rounds=1), again, resume=True)
    assert curve(again) == curve(out)
    for round in range(2):
        path = path_of(again / "styles", round)
        assert path.read_bytes() == path_of(out / "styles", round).read_bytes()
    RunFolder(again).clear()
    assert not list(again.iterdir())


def test_other_looks_are_no_run_to_go_on_with(archive, capsys):
    out, _ = archive
    text = (out / "config.yaml").read_text()
    config = out.parent / "other.yaml"
    config.write_text(text.replace(ARCHIVE.looks, "0123456789ab"))
    assert main(["--acq", "bald", "--config", str(config), "--out", str(out.parent / "other")]) == 2
    assert "results of one are not of the other" in capsys.readouterr().err


def test_a_folder_with_and_without_styles(tmp_path, monkeypatch):
    root = pictures(tmp_path / "pages")
    config = tiny(source=Folder(path=root, test=0.5), rounds=0, budget=10)
    plain = run(config, tmp_path / "plain")
    assert not plain[0].styles
    assert not (tmp_path / "plain" / "styles").exists()
    (root / "styles.csv").write_text("file,style\n" + "".join(f"p{n}.png,{'ab'[n % 2]}\n" for n in range(6)))
    told = run(config, tmp_path / "told")
    assert set(told[0].styles) <= {"a", "b"}
    mine, theirs = curve(tmp_path / "plain")[0], curve(tmp_path / "told")[0]
    assert {name: theirs[name] for name in mine} == mine, "styles change nothing else"
    assert set(theirs) - set(mine) == set(styles.names(("background", "class_1")))
    assert (tmp_path / "plain" / "queries.jsonl").read_bytes() == (tmp_path / "told" / "queries.jsonl").read_bytes()


def test_nothing_is_said_without_a_test_set():
    source = replace(ARCHIVE, test=0).open()
    assert not by_style.known(source)
    assert by_style.known(ARCHIVE.open())
    setup = set_up(tiny(source=replace(ARCHIVE, test=0)))
    assert by_style.table(setup, None) == {}


def test_a_class_whose_column_is_one_of_styles():
    class Odd:
        classes = ("background", "a", "mix_a")
        pool = test = ("x",)
        styles = ("s",)

        def style(self, id):
            return "s"

    with pytest.raises(BadInput, match="a metric has the column 'iou_mix_a', which is not for metrics"):
        curve_row.check(Odd())
