"""The numbered examples, which are what people copy: each runs as it is written, and is an extension like ours."""

from __future__ import annotations

import re
import runpy
import sys

import numpy as np
import pytest
from runs import ROOT, tiny

import bal
from bal.config import extensions
from bal.config.extensions import SLOTS
from bal.config.resolve import parse

FOLDER = ROOT / "benchmarks" / "examples"
EXAMPLES = sorted(FOLDER.glob("*.py"))
NAMED = {
    "03_my_acquisition:WidestDoubt": "acq",
    "04_my_head:Jitter": "head",
    "05_my_selector:OneAnImage": "selector",
    "07_my_annotator:Tomorrow": "annotator",
}


def small(**changes):
    """A run of seconds with the extension that an example brings, but not with its budget."""
    return tiny(rounds=1, budget=20, **{slot: value for slot, value in changes.items() if slot in SLOTS})


@pytest.fixture(autouse=True)
def _on_path(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path, str(FOLDER)])


def test_examples_are_numbered_without_a_gap():
    assert [int(path.name[:2]) for path in EXAMPLES] == list(range(1, len(EXAMPLES) + 1))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_as_it_is_written(path, monkeypatch, capsys):
    monkeypatch.setattr(bal, "Config", small)  # the same lines, over a run of seconds
    runpy.run_path(str(path), run_name="__main__")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) >= 2
    assert all(re.search(r"\d", line) for line in lines), "it says numbers"
    assert not any("nan" in line for line in lines)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_says_how_it_is_run(path):
    text = path.read_text()
    assert f"python benchmarks/examples/{path.name}" in text
    for words in re.findall(r"python -m bal\.run (--.*)", text):
        assert parse(words.split()).config.rounds == bal.Config().rounds


@pytest.mark.parametrize("name", NAMED)
def test_what_an_example_shows_is_an_extension(name):
    found = extensions.find(NAMED[name], name)
    assert extensions.name_of(NAMED[name], found()) == name


def test_one_an_image_keeps_to_the_budget_and_to_its_word():
    selector = extensions.find("selector", "05_my_selector:OneAnImage")()
    scores = np.array([5, 4, 3, np.nan, 2, 1], np.float32)
    costs, image = np.array([1, 1, 1, 1, 1, 2], np.float32), np.array([0, 0, 1, 1, 2, 2])
    offer = bal.Offer(costs, np.array([True] * 5 + [False]), 3.0, image=image)
    query = selector(None, scores, offer, {})
    assert query.index.tolist() == [0, 2, 4]
    assert selector(None, scores, offer._replace(budget=4.0, cap=1), {}).index.tolist() == [0, 2, 4]
    assert selector(None, scores, offer._replace(budget=4.0), {}).index.tolist() == [0, 2, 4, 1]
