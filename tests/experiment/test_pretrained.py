"""What a pool teaches before it is labelled: once for all runs on it, and the same with and without what was kept."""

from __future__ import annotations

import dataclasses
import itertools

import jax
import numpy as np
import pytest
from runs import curve, run, tiny

from bal import run_loop
from bal.experiment import pretrained
from bal.experiment.setup import set_up

TRAIN = dataclasses.replace(tiny().train, pretrain="denoise", pretrain_steps=4)
CONFIG = tiny(train=TRAIN)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of one's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bal" / "pretrained"


@pytest.fixture
def counted(monkeypatch):
    """How often something was pre-trained."""
    calls, whole = [], pretrained.pretrain
    monkeypatch.setattr(pretrained, "pretrain", lambda *args: calls.append(1) or whole(*args))
    return calls


def same(one, other) -> bool:
    return all(jax.tree.leaves(jax.tree.map(np.array_equal, one, other)))


def test_it_is_computed_once_a_pool(home, counted):
    first = pretrained.pretrained(set_up(CONFIG))
    again = pretrained.pretrained(set_up(dataclasses.replace(CONFIG, seed=7, budget=20)))
    assert same(first, again)
    assert len(counted) == 1
    assert len(list(home.iterdir())) == 1
    for other in (
        dataclasses.replace(CONFIG, source=dataclasses.replace(CONFIG.source, seed=5)),
        dataclasses.replace(CONFIG, train=dataclasses.replace(TRAIN, pretrain="mask")),
        dataclasses.replace(CONFIG, net=dataclasses.replace(CONFIG.net, width=12)),
    ):
        pretrained.pretrained(set_up(other))
    assert len(counted) == 4


@pytest.mark.parametrize(
    "damage", [lambda b: b[:100], lambda b: b"", lambda b: b[:-200] + b"x" * 200, lambda b: b"PK\3\4"]
)
def test_what_was_kept_and_damaged_is_made_again_to_the_same_bytes(home, counted, damage):
    first = pretrained.pretrained(set_up(CONFIG))
    file = next(home.iterdir())
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert same(pretrained.pretrained(set_up(CONFIG)), first)
    assert len(counted) == 2
    assert same(pretrained.pretrained(set_up(CONFIG)), first)
    assert len(counted) == 2, "and kept again"


def test_a_cache_that_cannot_be_written_is_done_without(home):
    home.parent.mkdir(parents=True)
    home.touch()
    assert pretrained.pretrained(set_up(CONFIG))


def test_a_run_says_so_and_resumes_to_the_same_bytes(home, tmp_path):
    told = []
    run(CONFIG, tmp_path / "whole", watch=told.append)
    assert [(e.round, e.done, e.total) for e in told if e.stage == "pretrain"] == [(0, 4, 4)]
    list(itertools.islice(run_loop(CONFIG, tmp_path / "stopped"), 1))
    for file in home.iterdir():
        file.unlink()
    run(CONFIG, tmp_path / "stopped", resume=True)
    assert curve(tmp_path / "stopped") == curve(tmp_path / "whole")
    assert (tmp_path / "stopped" / "queries.jsonl").read_bytes() == (tmp_path / "whole" / "queries.jsonl").read_bytes()
    run(tiny(), tmp_path / "plain")
    assert curve(tmp_path / "plain")[0]["nll"] != curve(tmp_path / "whole")[0]["nll"]


def test_later_warm_fits_do_not_begin_from_it(monkeypatch, tmp_path):
    asked = []
    whole = pretrained.pretrained
    monkeypatch.setattr("bal.experiment.fitting.pretrained", lambda *args: asked.append(1) or whole(*args))
    run(tiny(train=dataclasses.replace(TRAIN, start="warm", later_steps=2)), tmp_path / "run")
    assert len(asked) == 1
