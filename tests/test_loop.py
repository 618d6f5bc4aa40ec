"""The loop: what it buys, what it writes down, and what it never does."""

from __future__ import annotations

import errno
import itertools
import json
import os
from collections import Counter
from dataclasses import dataclass, replace
from functools import lru_cache

import jax
import numpy as np
import pytest
from helpers import HEADS_SMALL, in_subprocess, slow_where
from runs import FILES, curve, drawn, ledger, left_behind, metrics_of, pictures, run, tiny

from bal import BadInput, loop, run_loop
from bal.annotation.annotators import Oracle
from bal.config.resolve import load
from bal.loop import train_on
from bal.pool.units.tile import Tile
from bal.posterior.heads import HEADS
from bal.posterior.losses import Loss
from bal.posterior.training import fit
from bal.scoring.acquisitions import ACQUISITIONS
from bal.selection.selectors import Power, Softmax, TopK
from bal.selection.selectors.base import NOTHING
from bal.sources import Folder

ISSUE = {"round", "regions", "pixels", "cost", "steered_share", "ece_foreground", "nll", "brier", "temperature"}
ISSUE |= {"ece_mass_foreground", "ece_classes", "auroc_bald", "auroc_entropy", "aurc_bald", "aurc_entropy"}
SECONDS = {"seconds_fit", "seconds_score"}
PER_CLASS = ("iou", "f1", "iou_image", "ece", "brier_reliability", "brier_resolution", "brier_uncertainty")


EVERY = [*((h, "bald") for h in HEADS), *(("mc_dropout", a) for a in ACQUISITIONS if a != "bald")]


@lru_cache
def spending(**changes):
    """The ledger of a run that costs little because it has nothing to compile that the usual one has not."""
    config = tiny(**changes)
    return [query for record in run_loop(config) for query in record.queries], config


# What a run leaves behind


def test_the_files(usual):
    records, out = usual
    assert left_behind(out) == FILES
    assert load(out / "config.yaml") == tiny()
    assert [int(row["round"]) for row in curve(out)] == [record.row["round"] for record in records] == [0, 1, 2]
    assert (out / "curve.csv").read_text().count("\n") == 4
    page = (out / "report.html").read_text()
    for name in ("background", "curve_1", "curve_2"):
        assert f"{records[-1].row[f'iou_{name}']:.3f}" in page


def test_the_columns(usual):
    classes = ("background", "curve_1", "curve_2")
    wanted = ISSUE | {f"{metric}_{name}" for metric in PER_CLASS for name in classes}
    assert wanted <= set(curve(usual[1])[0])
    assert wanted | SECONDS <= set(usual[0][0].row)
    header = (usual[1] / "curve.csv").read_text().splitlines()[0]
    assert header.split(",") == list(usual[0][0].row)


def test_the_ledger(usual):
    records, out = usual
    lines = ledger(records, out)
    for line in lines:
        assert list(line)[:2] == ["round", "image"]
        assert {"round", "image", "region", "policy", "score", "cost"} <= set(line)
        assert (line["score"] is None) == (line["round"] == 0)
        assert line["policy"] in (("start", "audit") if line["round"] == 0 else ("steered", "random", "audit"))
    bought = Counter((line["image"], line["region"]) for line in lines)
    assert set(bought.values()) == {1}
    assert [line["round"] for line in lines] == sorted(line["round"] for line in lines)
    assert lines[10:] == ledger(records)


def test_records_hold_the_whole_ledger(usual):
    records, out = usual
    assert {line["round"] for line in records[0].start} == {0}
    assert [line for record in records for line in (*record.start, *record.queries)] == ledger(records, out)
    assert [len(record.start) for record in records[1:]] == [0, 0]
    alone = run(tiny(rounds=1))  # without a folder
    assert alone[0].start == records[0].start


def test_a_row_is_about_the_labels_it_was_trained_on(usual):
    records, out = usual
    lines = ledger(records, out)
    for record in records:
        row = record.row
        known = [line for line in lines if line["round"] <= row["round"]]
        newest = [line for line in lines if line["round"] == row["round"]]
        assert row["regions"] == len(known) == row["cost"]
        assert row["pixels"] == sum(line["box"][2] * line["box"][3] for line in known)
        assert row["regions_audit"] == sum(line["policy"] == "audit" for line in known)
        steered = sum(line["policy"] == "steered" for line in newest)
        assert row["steered_share"] == pytest.approx(steered / len(newest))
        assert {query["round"] for query in record.queries} <= {row["round"] + 1}


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tiny(rounds=0, budget=10))
    assert not list(tmp_path.iterdir())


# The same run twice


def test_the_same_seed_is_the_same_run(usual):
    again = run(tiny())
    assert ledger(again) == ledger(usual[0])
    assert metrics_of([r.row for r in again]) == metrics_of([r.row for r in usual[0]])


@pytest.mark.slow
def test_the_same_seed_is_the_same_run_in_another_process(usual):
    printed = in_subprocess(
        """
        import json
        from runs import ledger, metrics_of, run, tiny
        records = run(tiny())
        print(json.dumps([ledger(records), metrics_of([r.row for r in records])]))
        """,
        devices=2,
    )
    assert json.loads(printed) == [ledger(usual[0]), metrics_of([r.row for r in usual[0]])]


def test_another_seed_is_another_run(usual, tmp_path):
    out = tmp_path / "run"
    other = run(tiny(seed=1), out)
    theirs, ours = ({(q["image"], q["region"]) for q in ledger([], o) if q["round"] == 0} for o in (out, usual[1]))
    assert theirs != ours
    assert other[0].row["nll"] != usual[0][0].row["nll"]


# Money


@pytest.mark.parametrize(
    ("steer", "audit"),
    slow_where(lambda both: both != (0.75, 0.3), itertools.product((0.0, 0.75, 1.0), (0.0, 0.05, 0.3))),
)
def test_shares(steer, audit):
    lines, config = spending(steer=steer, audit=audit)
    for round in (1, 2):
        policies = Counter(line["policy"] for line in lines if line["round"] == round)
        assert policies.total() == 10
        assert policies["steered"] == int(steer * (10 - policies["audit"]))
    start = int(audit * config.start)
    assert start + sum(line["policy"] == "audit" for line in lines) == int(audit * config.budget + 1e-9)


def test_pixels_as_the_currency():
    config = tiny(unit=Tile(10), acq=ACQUISITIONS["random"](), cost="pixels", start=1500, budget=5000)
    records = run(config)
    allowed = [1500, 3250, 5000]
    for record, most in zip(records, allowed, strict=True):
        assert most - 100 < record.row["cost"] <= most
        assert record.row["cost"] == record.row["pixels"]
        assert 0 <= record.unspent < 100
    assert {line["cost"] for line in ledger(records)} == {100.0, 80.0, 64.0}


def test_all_of_the_pool_can_be_bought():
    records = run(tiny(start=20, budget=54))
    assert records[-1].row["regions"] == 54
    assert [record.unspent for record in records] == [0, 0, 0]


def test_rounds_0_is_the_start_set_alone():
    (record,) = run(tiny(rounds=0))
    assert record.row["regions"] == 10
    assert not record.queries


def test_money_for_part_of_a_region_is_kept_for_the_next_round():
    records = run(tiny(start=10.5, budget=14.5, rounds=3))
    assert [record.row["regions"] for record in records] == [10, 11, 13, 14]
    assert all(0 <= record.unspent < 1 for record in records)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget": 55.0}, r"the budget of 55 regions is larger than the pool, which has 54 in 6 images"),
        ({"cost": "pixels", "budget": 14000.0}, r"the budget of 14000 pixels is larger than the pool, which has 13824"),
        ({"start": 0.5}, r"a start of 0.5 regions buys no region to train on"),
        ({"cost": "pixels", "start": 100.0, "budget": 1000.0}, r"buys no region to train on; one costs 256"),
        ({"loss": Loss(class_weights=(1.0, 2.0))}, r"class_weights has 2 numbers for 3 classes"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_is_done(changes, message, tmp_path):
    with pytest.raises(BadInput, match=message) as error:
        run_loop(tiny(**changes), tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_tiles_that_are_larger_than_images_are_said():
    """Each image was one region, and padded to the tile, without a word."""
    said = []
    run_loop(tiny(unit=Tile(64), start=3, budget=6), watch=lambda event: said.append(event.note))
    larger = (
        "tiles of 64 are larger than 6 of 6 images of the pool, such as 'pool-00000' of 48 x 48: each is one region"
    )
    assert [note for note in said if note] == [f"{larger} (--unit.size)"]
    said.clear()
    run_loop(tiny(unit=Tile(48), start=3, budget=6), watch=lambda event: said.append(event.note))
    assert not any(said)


def test_a_member_that_diverged_after_its_last_look_stops_the_run(tmp_path, monkeypatch):
    """With an audit in calibration, and without one in evaluation."""
    spoilt = lambda *args, **how: jax.tree.map(lambda p: p.at[1].set(np.nan), fit(*args, **how))  # noqa: E731
    monkeypatch.setattr("bal.experiment.fitting.fit", spoilt)
    for changes in ({}, {"audit": 0.0}):
        config = tiny(head=HEADS["deep_ensemble"](members=2), **changes)
        with pytest.raises(BadInput, match=r"^image '(pool|test)-\d+': sample s = 1 of the 2 of DeepEnsemble has NaN"):
            next(run_loop(config, tmp_path / f"run-{len(changes)}"))


# What is looked at


def test_a_run_may_begin_with_the_start_of_another(monkeypatch):
    other = next(iter(run_loop(tiny(acq=ACQUISITIONS["entropy"]()))))
    whole = run(tiny())
    fitted = []
    monkeypatch.setattr("bal.loop.train_on", lambda *args: fitted.append(args[2]) or train_on(*args))
    shared = list(run_loop(tiny(), warm_start=other.model))
    assert fitted == [1, 2]
    assert ledger(shared) == ledger(whole)
    rows, wanted = (metrics_of([r.row for r in records]) for records in (shared, whole))
    assert rows[1:] == wanted[1:]
    for name in ("loss_end", "loss_fall"):  # of a fit that was somebody else's
        assert rows[0].pop(name) == "nan"
        wanted[0].pop(name)
    assert rows[0] == wanted[0]
    with pytest.raises(BadInput, match="another head"):
        run_loop(tiny(head=HEADS["mc_dropout"](samples=3)), warm_start=other.model)


def test_random_never_looks_at_the_pool(tmp_path):
    stages = Counter()
    records = run(
        tiny(acq=ACQUISITIONS["random"](), steer=1.0), watch=lambda event: stages.update({event.stage: event.done})
    )
    lines = ledger(records)
    assert {line["policy"] for line in lines} == {"random", "audit"}
    assert {line["score"] for line in lines} == {None}
    assert not stages["score"]
    assert all(record.row["seconds_score"] < 1 for record in records)
    assert all(record.row["steered_share"] == 0 for record in records)


@dataclass(frozen=True)
class Liar:
    """Says class 1 everywhere of the regions it lies about, and is asked by the loop like any other."""

    about: tuple = ()

    def annotate(self, source, regions):
        truth = Oracle().annotate(source, regions)
        return [t * 0 + 1 if (r.image, r.region) in self.about else t for t, r in zip(truth, regions, strict=True)]


def test_audited_labels_never_reach_training(tmp_path):
    honest = run(tiny(annotator=Liar()), tmp_path / "run")
    audited = tuple((q["image"], q["region"]) for q in ledger([], tmp_path / "run") if q["policy"] == "audit")
    assert audited
    lied = run(tiny(annotator=Liar(audited)))
    assert ledger(lied) == ledger(honest)
    for ours, theirs in zip(honest, lied, strict=True):
        jax.tree.map(np.testing.assert_array_equal, ours.model.params, theirs.model.params)
    assert honest[-1].row["temperature"] != lied[-1].row["temperature"]
    trained = tuple((q["image"], q["region"]) for q in ledger([], tmp_path / "run") if q["policy"] != "audit")
    other = run(tiny(annotator=Liar(trained), rounds=0))
    assert other[0].row["nll"] != honest[0].row["nll"]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda t: t[:1], r"has the shape \(1, 16\); expected \(16, 16\)"),
        (lambda t: t + 7, r"holds class 7; expected 0 to 2, or 255"),
        (lambda t: t - 300, r"holds class -"),
    ],
)
def test_answers_are_checked(answer, message, tmp_path):
    @dataclass(frozen=True)
    class Careless:
        def annotate(self, source, regions):
            return [answer(t) for t in Oracle().annotate(source, regions)]

    with pytest.raises(BadInput, match=message):
        run(tiny(annotator=Careless()), None)


def test_an_annotator_may_decline_but_not_everything():
    @dataclass(frozen=True)
    class Shy:
        every: int

        def annotate(self, source, regions):
            known = Oracle().annotate(source, regions)
            return [np.full_like(label, 255) if n % self.every == 0 else label for n, label in enumerate(known)]

    records = run(tiny(annotator=Shy(every=2)))
    assert records[-1].row["regions"] == 30
    assert all(np.isfinite(record.row["nll"]) for record in records)
    with pytest.raises(BadInput, match="nothing to train on has been labelled yet"):
        run(tiny(annotator=Shy(every=1)))


# Every extension, and some from outside


@pytest.mark.parametrize(("head", "acq"), slow_where(lambda both: both != ("deep_ensemble", "bald"), EVERY))
def test_every_head_and_every_acquisition(head, acq):
    config = tiny(head=HEADS_SMALL[head], acq=ACQUISITIONS[acq](), rounds=1, budget=20)
    records = run(config)
    assert records[-1].row["regions"] == 20
    assert all(np.isfinite(line["score"]) for line in ledger(records) if acq != "random")


@pytest.mark.parametrize("name", slow_where(lambda name: name != "last_layer_laplace", HEADS_SMALL))
def test_every_head_goes_on_from_the_round_before(name):
    """Also one that adds something after training, which training does not go on from."""
    train = replace(tiny().train, start="shrink", later_steps=2)
    records = run(tiny(head=HEADS_SMALL[name], train=train, rounds=1, budget=20))
    assert [record.row["round"] for record in records] == [0, 1]
    assert np.isfinite(records[-1].row["nll"])


def as_it_is(site, x):
    return x


@dataclass(frozen=True)
class Shaken:
    """One network, and logits that shake: a head as somebody else would write it."""

    samples: int = 3
    scale: float = 0.5

    @property
    def members(self):
        return 1

    def init(self, net, key):
        return net.init(key)

    def loss(self, net, params, batch, key, criterion):
        return criterion(self.logits(net, params, self.prepare(net, params, batch.image, batch.size), 0), batch.label)

    def prepare(self, net, params, x, size):
        return net.decode(params, net.encode(params, x, size, as_it_is), as_it_is)

    def logits(self, net, params, cache, s):
        shake = jax.random.normal(jax.random.fold_in(jax.random.key(0), s), (1, 1, 1, net.classes))
        return net.readout(params, cache, as_it_is) + self.scale * shake


@dataclass(frozen=True)
class Brightest:
    """Asks where the second class is likely."""

    @property
    def needs(self):
        return ("mean_p",)

    def __call__(self, moments):
        return moments.mean_p[..., 1]


@drawn()
def test_a_head_and_an_acquisition_from_outside_with_a_sum_of_losses(tmp_path):
    config = tiny(head=Shaken(), acq=Brightest(), loss=Loss("cross_entropy + 0.5*dice"), rounds=1, budget=20)
    records = run(config, tmp_path / "out")
    assert np.isfinite(records[-1].row["nll"])
    assert records[-1].row["regions"] == 20
    assert load(tmp_path / "out" / "config.yaml") == config
    assert (tmp_path / "out" / "report.html").exists()


def test_a_selector_that_chooses_too_little_is_made_up_for_at_random():
    @dataclass(frozen=True)
    class Picky:
        needs: tuple[str, ...] = ()

        def __call__(self, key, scores, offer, about=NOTHING):
            return replace_valid(config.selector(key, scores, offer, about))

    def replace_valid(query):
        return query._replace(valid=np.arange(len(query.index)) < 2)

    config = tiny()
    records = run(tiny(selector=Picky()))
    for record in records[:-1]:
        assert Counter(q["policy"] for q in record.queries)["steered"] == 2
        assert len(record.queries) == 10


@pytest.mark.parametrize("selector", [Power(), Softmax()], ids=["power", "softmax"])
def test_a_steered_purchase_that_is_drawn_estimates_the_risk(selector):
    *asked, last = run(tiny(selector=selector, steer=1.0))
    assert all(np.isfinite(record.row["risk_lure"]) for record in asked)
    assert np.isnan(last.row["risk_lure"])
    top = run(tiny(selector=TopK(), steer=1.0))
    assert all(np.isnan(record.row["risk_lure"]) for record in top)


def test_a_report_that_cannot_be_written_is_said_and_nothing_else(tmp_path, usual, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(tmp_path / "out" / "report.html"))

    told = []
    monkeypatch.setattr(loop, "publish", full)
    records = run(tiny(), tmp_path / "out", watch=told.append)
    assert metrics_of([r.row for r in records]) == metrics_of([r.row for r in usual[0]])
    (note, *_) = [event.note for event in told if event.note]
    assert note.startswith("the report could not be written (No space left on device: ")
    assert note.endswith(f"python -m bal.report {tmp_path / 'out'} does it again")


# Folders


@pytest.mark.parametrize("unlabelled", [False, True])
def test_a_folder(tmp_path, unlabelled):
    root = pictures(tmp_path / "data", unlabelled=unlabelled)
    config = tiny(source=Folder(path=root), unit=Tile(8), rounds=1, start=8, budget=16)
    records = run(config, tmp_path / "out")
    row = records[-1].row
    assert {f"{metric}_{name}" for metric in PER_CLASS for name in ("background", "class_1")} <= set(row)
    assert np.isfinite(row["nll"])
    assert len(ledger([], tmp_path / "out")) == 16


@drawn()
def test_an_image_that_only_the_annotator_can_label(tmp_path):
    root = pictures(tmp_path / "data")
    source = Folder(path=root).open()
    for id in source.pool:
        (root / "masks" / f"{id}.png").unlink() if id != source.pool[0] else None

    @dataclass(frozen=True)
    class Person:
        def annotate(self, source, regions):
            return [np.zeros(r.box[2:], np.int32) for r in regions]

    config = tiny(source=Folder(path=root), unit=Tile(8), annotator=Person(), rounds=1, start=8, budget=16)
    rounds = run_loop(config, tmp_path / "out")
    assert next(rounds).row["regions"] == 8  # and the pictures of the report are drawn without a mask
