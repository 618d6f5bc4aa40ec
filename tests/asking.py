"""Runs whose annotators are people, and people who know the truth."""

from __future__ import annotations

import numpy as np
from runs import TINY, tiny

from bal import Waiting, run_loop
from bal.annotation.annotators import Oracle, People
from bal.annotation.entries import Reply
from bal.annotation.inbox import Inbox
from bal.types import Region

SOURCE = TINY.source.open()
PEOPLE = tiny(annotator=People())


def truth(entry):
    """What the oracle says of a question, uint8 [height, width]."""
    return Oracle().annotate(SOURCE, [Region(entry.image, entry.region, entry.box)])[0].astype(np.uint8)


def reply(entry, by="ada", label="truth", **more):
    """An answer; with the truth, unless another label, or None for skipped, is given."""
    label = truth(entry) if isinstance(label, str) else label
    return Reply(entry.id, by, "", "skipped" if label is None else "labelled", label, **more)


def go_on(out, config=PEOPLE, **how):
    """Runs until questions are open; None when it is done."""
    try:
        list(run_loop(config, out, resume=True, **how))
    except Waiting as waiting:
        return waiting
    return None


def answer_all(out, by="ada", **more):
    """Answers whatever is open for a person."""
    inbox = Inbox(out)
    for entry in inbox.open(by):
        assert inbox.answer(reply(entry, by, **more)) == "taken"
