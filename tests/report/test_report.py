"""The report: what it must contain, what it must never contain, and the odd runs it must survive."""

from __future__ import annotations

import math
import threading
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from bal import report
from bal.metrics import bootstrap, summary, tally as metrics
from bal.report import Box, Panel, plots, reliability as diagrams
from bal.report.columns import meaning
from bal.types import IGNORE

LOG = ("background", "curve_1", "curve_2")
POLICIES = ("steered", "steered", "random", "audit")
CONFIG = {
    "source": {"name": "well_log"},
    "head": {"name": "mc_dropout", "rate": 0.2},
    "cost": "pixels",
    "sizes": (64, 64),
}
VOID = {"meta", "br", "img", "link", "input", "hr"}


def log_picture(rng, shape=(128, 128), box=16, count=6, id="log-0012", channels=1, truth=True):
    """A fake scanned log with a solid and a dashed curve, a prediction that misses a part, and scores at the gap."""
    height, width = shape
    x = np.arange(width)
    page = np.full(shape, 0.9) + rng.normal(0, 0.03, shape)
    page[:: max(8, height // 12)] -= 0.18
    page[:, ::24] -= 0.12
    label = np.zeros(shape, np.int32)
    for k, (level, phase, step) in enumerate(((0.35, 0.0, 1), (0.65, 2.0, 12)), start=1):
        y = (level + 0.13 * np.sin(x / 17 + phase) + 0.05 * np.sin(x / 5.3 + phase)) * height
        on = (x % step < 8) if step > 1 else np.ones(width, bool)
        for shift in (0, 1):
            label[np.clip(y.astype(int) + shift, 0, height - 1)[on], x[on]] = k
    page[label > 0] = 0.15
    missed = rng.random(shape) < 0.25
    missed[:, width // 3 : width // 2] |= rng.random((height, width // 2 - width // 3)) < 0.7
    prediction = np.where(missed, 0, label)
    score = (
        rng.gamma(1.2, 0.01, shape) + np.where(label > 0, 0.25, 0.0) * rng.random(shape) + 0.4 * (label != prediction)
    )
    boxes = []
    for i in range(count):
        top, left = (int(v) // box * box for v in (rng.integers(0, height), rng.integers(0, width)))
        tall, wide = min(box, height - top), min(box, width - left)
        boxes.append(Box(top, left, tall, wide, POLICIES[i % 4], None if i % 4 > 1 else float(rng.random())))
    image = np.repeat(np.clip(page, 0, 1)[..., None], channels, -1).astype(np.float32)
    return Panel(id, image, prediction, label if truth else None, score.astype(np.float32), boxes)


def curve(classes=LOG, rounds=6):
    """Rows as the loop writes them, every number distinct enough to be looked for."""
    rows = []
    for r in range(rounds):
        row = {"round": r, "regions": 24 * (r + 1), "pixels": 6144 * (r + 1), "cost": 24.0 * (r + 1)}
        row |= {"steered_share": 0.6 if r else 0.0, "iou_all_background": 0.9695}
        for k, name in enumerate(classes):
            rise = 1 - math.exp(-0.5 * r)
            iou = 0.9701 + 0.01 * rise if k == 0 else 0.6 / k + (0.15 + 0.02 * k) * rise
            row[f"iou_{name}"], row[f"f1_{name}"] = iou, 2 * iou / (1 + iou)
            row[f"iou_image_{name}"] = iou - 0.031 + 0.004 * r
            row[f"ece_{name}"], row[f"ece_{name}_raw"] = 0.0041 + 0.001 * k, 0.0123 + 0.002 * k - 0.0005 * r
        row |= {"ece_foreground": 0.0052, "ece_foreground_raw": 0.0171 - 0.001 * r, "nll": 0.0613 - 0.004 * r}
        row |= {"nll_raw": 0.0702 - 0.004 * r, "brier": 0.0311, "brier_raw": 0.0345, "temperature": 1.31 - 0.02 * r}
        rows.append(row | {"seconds_fit": 41.5 + 3 * r, "seconds_score": 6.25})
    return rows


def ledger(rounds=6):
    """24 regions a round: a start set, then mostly steered ones."""
    return [
        {
            "round": r,
            "image": f"log-{i:04d}",
            "region": i,
            "box": [16 * (i % 8), 0, 16, 16],
            "policy": POLICIES[i % 4] if r else "start",
            "score": 0.125 if r and i % 4 < 2 else None,
            "cost": 1.0,
        }
        for r in range(rounds)
        for i in range(24)
    ]


def reliability(classes=LOG):
    """15 bins each, over-confident before calibration, two of them empty."""
    middle = (np.arange(15) + 0.5) / 15
    count = np.r_[380000, 9000 / (1 + np.arange(12)), 0, 5200].round()
    empty = np.where(count > 0, 1.0, np.nan)
    raw = (count, middle * empty, (0.75 * middle + 0.02) * empty)
    return {
        name: {"raw": raw, "calibrated": (count, middle * empty, 0.96 * middle * empty)}
        for name in ("foreground", *classes)
    }


class Reader(HTMLParser):
    """Checks that what opens closes, and keeps ids, addresses and the visible text."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.addresses, self.text, self.tags = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        self._note(tag, attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, attrs)

    def _note(self, tag, attrs):
        self.tags.append(tag)
        self.ids += [v for k, v in attrs if k == "id"]
        self.addresses += [v for k, v in attrs if k in ("href", "src", "xlink:href", "action", "data", "poster")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def read(path: Path) -> tuple[str, Reader, str]:
    """Raw text, parsed page, visible text; checks what holds for every report."""
    raw = path.read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(raw)
    assert reader.open == []
    assert len(reader.ids) == len(set(reader.ids))
    assert all(a.startswith(("#", "data:image/png;base64,")) for a in reader.addresses)
    assert {a[1:] for a in reader.addresses if a.startswith("#")} <= set(reader.ids)
    assert not {"script", "iframe", "link", "object", "embed"} & set(reader.tags)
    for forbidden in ("http:", "https:", "//fonts", "@import", "nan<", ">nan", "None<"):
        assert forbidden not in raw, forbidden
    assert len(raw.encode()) < 3_000_000
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    return raw, reader, "".join(reader.text)


@pytest.fixture(scope="module")
def usual():
    rng = np.random.default_rng(0)
    return curve(), ledger(), [log_picture(rng, id=f"log-{i:04d}") for i in range(4)], CONFIG, LOG, reliability()


def test_a_usual_run(tmp_path, usual):
    out = tmp_path / "report.html"
    report.write(out, *usual)
    raw, reader, text = read(out)
    assert "After 5 purchases (144 regions, 36,864 pixels): curve_1 IoU 0.60 → 0.76, curve_2 0.30 → 0.47" in text
    for row in usual[0]:
        for name in LOG:
            for column in (f"iou_{name}", f"f1_{name}", f"iou_image_{name}"):
                assert f"{row[column]:.3f}" in text, column
            assert f"{row[f'ece_{name}_raw']:.4f} → {row[f'ece_{name}']:.4f}" in text
        assert f"{row['ece_foreground_raw']:.4f} → {row['ece_foreground']:.4f}" in text
        assert f"{row['temperature']:.2f}" in text
        assert f"{row['nll']:.4f}" in text
        assert f"{row['seconds_fit']:.1f}" in text
    for column in usual[0][0]:
        assert column in text
    assert "rate: 0.2" in text
    assert "Labelling report · well_log · mc_dropout · round 5" in text
    assert "Cost is counted in pixels." in text
    assert reader.tags.count("svg") == 2 + 4 + 4 * 4
    assert all(f"var(--policy-{p})" in raw for p in ("start", "steered", "random", "audit"))


def judged(row):
    """A row with what the test images say of calibration and of errors, no two numbers alike; and the intervals."""
    names = [f"brier_{part}_{c}" for part in ("reliability", "resolution") for c in ("foreground", *LOG)]
    names += [*(f"ece_{c}" for c in ("foreground", *LOG)), "ece_classes", "ece_mass_foreground"]
    names = [name + version for name in names for version in ("", "_raw")]
    names += [f"brier_uncertainty_{c}" for c in ("foreground", *LOG)] + ["error_rate"]
    scores = [f"{metric}_{score}" for score in ("entropy", "bald") for metric in ("auroc", "aurc")]
    row = row | {name: 0.2001 + 0.0103 * i for i, name in enumerate((*names, *scores))}
    around = {name: (row[name] - 0.0017, row[name] + 0.0019) for name in names if name != "error_rate"}
    ends = zip(("_low", "_high"), (-0.0517, 0.0519), strict=True)
    return row | {f"{name}{end}": row[name] + by for end, by in ends for name in scores}, names, scores, around


def test_calibration_and_errors_found(tmp_path, usual):
    row, names, scores, around = judged(usual[0][-1])
    out = tmp_path / "report.html"
    report.write(out, [*usual[0][:-1], row], *usual[1:], around)
    _, _, text = read(out)
    for name in names:
        assert f"{row[name]:.4f}" in text, name
    for name, (low, high) in around.items():
        assert f"{low:.4f} … {high:.4f}" in text, name
    for name in scores:
        digits = 3 if name.startswith("auroc") else 4
        assert f"{row[name]:.{digits}f}{row[name + '_low']:.{digits}f} … {row[name + '_high']:.{digits}f}" in text
    assert "the run's acquisition" not in text


def test_every_column_has_a_definition():
    tally = metrics.zeros(len(LOG), 3, scores=3)
    found = [*summary.summary(metrics.total(tally), LOG), *bootstrap.columns(tally, LOG)]
    assert len(found) == len(set(found))
    nameless = meaning("what is this", LOG)
    assert not [name for name in found if meaning(name, LOG) == nameless]
    assert "“ink”" in meaning("brier_resolution_ink_raw", ("paper", "ink"))
    assert "“foreground”" in meaning("brier_uncertainty_foreground", LOG)
    assert "test images" in meaning("auroc_bald_low", LOG)


def test_same_input_same_bytes(tmp_path, usual):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    report.write(tmp_path / "a" / "report.html", *usual)
    report.write(tmp_path / "b" / "report.html", *usual)
    assert (tmp_path / "a" / "report.html").read_bytes() == (tmp_path / "b" / "report.html").read_bytes()


def test_from_several_threads(tmp_path, usual):
    folders = [tmp_path / str(i) for i in range(2)]
    for folder in folders:
        folder.mkdir()
    threads = [threading.Thread(target=report.write, args=(f / "report.html", *usual)) for f in folders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({(f / "report.html").read_bytes() for f in folders}) == 1


def test_one_row_no_queries_no_panels_no_bins(tmp_path):
    report.write(tmp_path / "report.html", curve(rounds=1), [], [], {}, LOG)
    _, _, text = read(tmp_path / "report.html")
    assert "With the start set alone (24 regions, 6,144 pixels): curve_1 IoU 0.60, curve_2 0.30" in text
    assert "No region has been bought yet" in text
    assert "Nothing has been bought on the advice of this model" in text


def test_missing_columns_and_nan(tmp_path):
    rows = [{"round": r, "cost": math.nan, "iou_curve_1": [math.nan, 0.4321, math.inf][r]} for r in range(3)]
    rows[1]["nll"] = ""
    report.write(tmp_path / "report.html", rows, [], [], CONFIG, LOG)
    _, _, text = read(tmp_path / "report.html")
    assert "0.432" in text
    assert "no foreground IoU was measured" in text


def test_no_row_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least one row"):
        report.write(tmp_path / "report.html", [], [], [], {}, LOG)


@pytest.mark.parametrize("count", [2, 10])
def test_any_number_of_classes(tmp_path, count):
    classes = ("paper", *(f"ink {k}" for k in range(1, count)))
    panel = log_picture(np.random.default_rng(1))
    panel = panel._replace(truth=panel.truth % count, prediction=panel.prediction % count)
    report.write(tmp_path / "report.html", curve(classes), ledger(), [panel], CONFIG, classes, reliability(classes))
    _, reader, text = read(tmp_path / "report.html")
    assert reader.tags.count("svg") == 2 + count + 1 + 4
    assert "predicting paper everywhere scores 0.970" in text
    assert ("worst and best" in text) == (count == 10)


def test_hostile_text_is_escaped(tmp_path):
    evil = '<script>alert("1")</script>'
    classes = ("background", evil, "$\\frac{", "岩 & \n]]>", "a_really_long_class_name_indeed")
    panel = log_picture(np.random.default_rng(2), id=evil)
    panel = panel._replace(boxes=[Box(0, 0, 16, 16, evil, 0.5)])
    queries = [
        {"round": 1, "image": evil, "region": 1, "box": [0, 0, 16, 16], "policy": evil, "score": math.nan, "cost": 1}
    ]
    config = {evil: {"note": f"-->{evil}", "api_key": "hunter2"}}
    report.write(tmp_path / "report.html", curve(classes), queries, [panel], config, classes, reliability(classes))
    raw, _, text = read(tmp_path / "report.html")
    assert "<script" not in raw
    assert evil in text
    assert "hunter2" not in text


@pytest.mark.parametrize("shape", [(640, 12800), (12800, 640)])
def test_long_strips_are_cropped(tmp_path, shape):
    panel = log_picture(np.random.default_rng(3), shape, box=64, count=8)
    report.write(tmp_path / "report.html", curve(), ledger(), [panel], CONFIG, LOG)
    raw, reader, text = read(tmp_path / "report.html")
    assert "the whole image" in text
    assert reader.tags.count("svg") == 2 + 1 + 3 * 4
    assert len(raw) < 1_500_000


def test_many_noisy_colour_images_stay_small(tmp_path):
    rng = np.random.default_rng(4)
    one = log_picture(rng, (500, 500), channels=3)
    one = one._replace(image=rng.random((500, 500, 3), np.float32))
    report.write(tmp_path / "report.html", curve(), ledger(), [one] * 12, CONFIG, LOG)
    _, _, text = read(tmp_path / "report.html")
    assert "4 more images" in text


def test_partial_truth_and_odd_scores(tmp_path):
    panel = log_picture(np.random.default_rng(5))
    truth = np.full_like(panel.truth, IGNORE)
    truth[:16, :16] = 1
    score = np.full_like(panel.score, np.nan)
    score[0, 0], score[1, 1] = np.inf, -0.5
    panel = panel._replace(
        truth=truth, score=score, boxes=[Box(0, 0, 16, 16, "steered", None), Box(64, 64, 16, 16, "random", None)]
    )
    report.write(
        tmp_path / "report.html", curve(), ledger(), [panel, panel._replace(truth=None, boxes=[])], CONFIG, LOG
    )
    _, _, text = read(tmp_path / "report.html")
    assert "Of the 1 regions drawn here whose labels are known, 1 touch curve_1, 0 touch curve_2" in text


def test_a_failed_write_leaves_the_old_report(tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        report.write(out, curve(), [], [], CONFIG, LOG)
    assert out.read_text() == "old"
    assert list(tmp_path.iterdir()) == [out]


def test_figures_for_a_notebook(tmp_path):
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    panel = log_picture(np.random.default_rng(6), channels=3)
    figures = [
        plots.acquisition_curve(curve(), LOG),
        plots.background_curve(curve(), LOG),
        diagrams.reliability_diagram(reliability()["curve_1"], "curve_1"),
        diagrams.reliability_diagram({}, "curve_1"),
        plots.panel(panel, LOG),
        plots.panel(panel._replace(truth=None), LOG),
    ]
    for i, figure in enumerate(figures):
        figure.savefig(tmp_path / f"{i}.png")
    assert dict(mpl.rcParams) == before


def test_all_diagrams_in_one_picture():
    bins = reliability()
    for stages in bins.values():
        for stage, (count, confidence, frequency) in stages.items():
            stages[stage] = (count, confidence, frequency, frequency - 0.05, frequency + 0.05)
    one = report.reliability_png(bins, LOG)
    assert one == report.reliability_png(bins, LOG)
    assert one[:8] == bytes([137]) + b"PNG\r\n" + bytes([26, 10])
    assert len(one) < 300_000
    assert report.reliability_png({}, LOG)[:4] == one[:4]


def test_expected_error_is_the_weighted_gap():
    bins = ([1, 3, 0], [0.2, 0.6, math.nan], [0.4, 0.5, math.nan])
    assert diagrams.expected_error(bins) == pytest.approx((0.2 + 3 * 0.1) / 4)
    assert math.isnan(diagrams.expected_error(([0], [math.nan], [math.nan])))
