"""Constants of effort, from answers that were timed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bal.annotation import fit_effort, views
from bal.annotation.entries import Entry, Reply
from bal.annotation.inbox import Inbox
from bal.config.resolve import load
from bal.pool.cost import Effort, boundary
from bal.types import BadInput


def inbox_of(folder, effort, count, prefilled, rng):
    """Answers that took exactly what an effort says, but for one long coffee break."""
    inbox = Inbox(folder)
    box = (0, 0, 16, 16)
    one = Entry("r01-0000", "a", (64, 64), "0", 0, box, box, "steered", None, 1, None, classes=("a", "b"))
    entries = [replace(one, id=f"r01-{k:04d}", region=k) for k in range(count)]
    inbox.ask(entries)
    for k, entry in enumerate(entries):
        label = np.zeros((16, 16), np.uint8)
        label[rng.integers(1, 15), : rng.integers(1, 16)] = 1
        drawn = boundary(label.astype(int))
        if prefilled:
            views.predict(folder, entry, np.eye(2)[label])
            label[2:4, 2:5] ^= 1
            drawn = min(boundary(label.astype(int)), 10)
        seconds = effort.open + effort.edge * drawn + (600 if k == 3 else 0)
        inbox.answer(Reply(entry.id, "ada", "", "labelled", label, float(seconds)))
    return inbox


@pytest.mark.parametrize("prefilled", [False, True])
def test_the_constants_come_back(tmp_path, prefilled):
    effort, rng = Effort(open=4.0, edge=0.15), np.random.default_rng(0)
    found = fit_effort.fit(inbox_of(tmp_path, effort, 40, prefilled, rng))
    assert (found.answers, found.people) == (40, 1)
    assert found.effort.assist == ("correct" if prefilled else "none")
    if not prefilled:
        assert found.effort.open == pytest.approx(4.0, abs=0.2)
        assert found.effort.edge == pytest.approx(0.15, abs=0.01)
    assert found.error < 0.02, "one coffee break moves nothing"
    fit_effort.write(tmp_path / "effort.yaml", found)
    config = load(tmp_path / "effort.yaml")
    assert (config.cost, config.effort) == ("effort", found.effort)
    assert "fitted to 40 answers of 1 people" in (tmp_path / "effort.yaml").read_text()


def test_a_few_answers_are_too_few(tmp_path):
    with pytest.raises(BadInput, match="9 answers have seconds, and it takes 10"):
        fit_effort.fit(inbox_of(tmp_path, Effort(), 9, False, np.random.default_rng(0)))
