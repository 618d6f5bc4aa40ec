"""Self-training: the surest pixels of each class, where nobody has labelled, of a model that finds something."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from runs import curve, run, tiny

from bal import run_loop
from bal.experiment import fitting
from bal.experiment.setup import set_up
from bal.pool.labels import AUDIT, TRAINING, add, empty, label_map
from bal.posterior.recipe import Train
from bal.scoring import teacher
from bal.types import IGNORE, BadInput

WIDE = dataclasses.replace(tiny().train, patch=32)  # a region with its surroundings


@pytest.fixture(scope="module")
def asked():
    """A state with labels for training and audit, and the model that was trained on them."""
    setup = set_up(tiny(train=WIDE))
    pool = empty(setup.costs.size)
    index = np.arange(0, setup.costs.size, 3)
    splits = np.where(np.arange(index.size) % 4 == 0, AUDIT, TRAINING).astype(np.uint8)
    regions = setup.regions.describe(index, setup.source.image)
    labels = setup.config.annotator.annotate(setup.source, regions)
    pool = add(pool, index, np.ones(index.size), splits, labels)
    return setup, pool, fitting.train_on(setup, pool, 0, lambda event: None)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_of_each_class_its_surest_share_is_taught(asked, share):
    setup, _, model = asked
    ids = list(setup.source.pool)
    whole, some = teacher.teach(model, setup.source, ids, 1.0), teacher.teach(model, setup.source, ids, share)
    everything, kept = (np.concatenate([found[id].ravel() for id in ids]) for found in (whole, some))
    assert (everything != IGNORE).all()
    for c in np.unique(everything):
        mine = everything == c
        assert (kept[mine] == c).sum() == pytest.approx(share * mine.sum(), abs=max(2, 0.02 * mine.sum()))
    assert np.isin(kept[kept != everything], IGNORE).all()


def test_labels_and_audits_are_left_alone(asked):
    setup, pool, model = asked
    ids = list(setup.source.pool)
    told = teacher.teach(model, setup.source, ids, 1.0)
    plain, more = list(fitting.crops_of(setup, pool)), list(fitting.crops_of(setup, pool, told))
    assert len(plain) == len(more)
    audits = {int(setup.regions.image[m]) for m in pool.bought(AUDIT)}
    assert audits
    for a, b in zip(plain, more, strict=True):
        known = a.label != IGNORE
        np.testing.assert_array_equal(a.label[known], b.label[known])
        assert a.box == b.box
    filled = sum(int((b.label != IGNORE).sum() - (a.label != IGNORE).sum()) for a, b in zip(plain, more, strict=True))
    assert filled > 0
    n = min(audits)
    other = {id: np.full_like(label, 1) for id, label in told.items()}
    silent = label_map(pool, setup.regions, n, told[setup.regions.ids[n]].shape, AUDIT) != IGNORE
    label = np.full(silent.shape, IGNORE, np.int32)
    audited = np.where(silent, 0, IGNORE)
    assert (teacher.taught(label, audited, other[setup.regions.ids[n]])[silent] == IGNORE).all()


def test_a_model_that_finds_nothing_does_not_teach(asked, monkeypatch):
    setup, pool, model = asked
    setup = dataclasses.replace(setup, config=tiny(train=dataclasses.replace(WIDE, self_training=0.5)))
    monkeypatch.setattr(teacher, "recall", lambda *_: 0.49)
    assert not fitting.teacher_of(setup, pool, 2, model)
    monkeypatch.setattr(teacher, "recall", lambda *_: 0.5)
    assert fitting.teacher_of(setup, pool, 2, model)
    assert not fitting.teacher_of(setup, pool, 1, model), "not before the second purchase"
    assert not fitting.teacher_of(setup, pool, 2, None)


def test_recall_is_of_the_audited_foreground(asked):
    setup, pool, model = asked
    seen = teacher.predict_regions(model, setup.source, setup.regions, pool.bought(AUDIT), teacher.Random())
    label, predicted = (np.concatenate([getattr(s, name) for s in seen.values()]) for name in ("label", "predicted"))
    wanted = (predicted[label > 0] > 0).mean()
    assert (label > 0).sum() >= teacher.LEAST
    assert teacher.recall(model, setup.source, setup.regions, pool) == pytest.approx(wanted)
    assert teacher.recall(model, setup.source, setup.regions, empty(setup.costs.size)) == 0


def test_a_run_teaches_itself_and_resumes_to_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(teacher, "recall", lambda *_: 1.0)
    config = tiny(train=dataclasses.replace(WIDE, self_training=0.5))
    run(config, tmp_path / "whole")
    run(tiny(train=WIDE), tmp_path / "plain")
    rows, other = curve(tmp_path / "whole"), curve(tmp_path / "plain")
    assert rows[1]["nll"] == other[1]["nll"], "the first purchase is too early"
    assert rows[2]["nll"] != other[2]["nll"]
    list(itertools.islice(run_loop(config, tmp_path / "stopped"), 2))
    run(config, tmp_path / "stopped", resume=True)
    assert curve(tmp_path / "stopped")[2] == rows[2]
    assert (tmp_path / "stopped" / "queries.jsonl").read_bytes() == (tmp_path / "whole" / "queries.jsonl").read_bytes()


def test_a_share_is_a_share():
    with pytest.raises(BadInput, match=r"train\.self_training is 1\.5; expected 0 to 1"):
        Train(self_training=1.5)
