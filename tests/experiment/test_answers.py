"""What is said of an annotator that fails: the annotator's own failure, or what the disk or the memory refused."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from helpers import Pictures

from bal import BadInput, Config, Region
from bal.annotation import views
from bal.annotation.annotators import People, _asking
from bal.annotation.annotators.base import Question, Request
from bal.annotation.inbox import Inbox
from bal.experiment.answers import ask, hint, let_go
from bal.experiment.setup import set_up


@dataclass(frozen=True)
class Fails:
    """Somebody else's annotator."""

    error: Exception

    def annotate(self, source, regions):
        raise self.error


def refused(number: int) -> OSError:
    return OSError(number, os.strerror(number), "a file")


@pytest.fixture
def request_(tmp_path) -> Request:
    source = Pictures([(8, 8)] * 3)
    return Request(source, (Question("r00-0000", Region(source.pool[0], 0, (0, 0, 4, 4)), "start"),), tmp_path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.EIO])
def test_what_the_disk_refuses_our_annotators_is_passed_on(number, request_, monkeypatch):
    def fail(*args):
        raise refused(number)

    monkeypatch.setattr(Inbox, "ask", fail)
    with pytest.raises(OSError, match="a file") as said:
        ask(People(), request_)
    assert said.value.errno == number


def test_a_full_disk_is_one_whoever_finds_it(request_):
    with pytest.raises(OSError, match="No space left"):
        ask(Fails(refused(errno.ENOSPC)), request_)
    with pytest.raises(MemoryError):
        ask(Fails(MemoryError()), request_)


@pytest.mark.parametrize("error", [refused(errno.ECONNREFUSED), refused(errno.ENOENT), ValueError("no\nidea")])
def test_what_else_befalls_another_annotator_is_its_failure(error, request_):
    with pytest.raises(BadInput, match=rf"^the annotator Fails failed: {type(error).__name__}: .*$"):
        ask(Fails(error), request_)


@dataclass(frozen=True)
class Away:
    """Somebody else's annotator, whose books are somewhere else."""

    def ask(self, request): ...

    def collect(self, request):
        return {}

    def close(self, request, check): ...

    def closed(self, request):
        raise ConnectionError("the books are away")

    def hint(self, request):
        raise ConnectionError("the books are away")


@pytest.mark.parametrize("what", [hint, let_go])
def test_whatever_an_annotator_is_asked_its_failure_names_it(what, request_):
    with pytest.raises(BadInput, match=r"^the annotator Away failed: ConnectionError: the books are away$"):
        what(Away(), request_)


@dataclass(frozen=True)
class Opens:
    """Somebody else's source, which opens as it is told."""

    opened: Any

    def open(self):
        if isinstance(self.opened, Exception):
            raise self.opened
        return self.opened


class Unstyled(Pictures):
    """It knows the style of an image, and not which there are."""

    def style(self, id: str) -> str:
        return id


@dataclass(frozen=True)
class Particular:
    """An annotator that looks at the source first."""

    def annotate(self, source, regions):
        return {}

    def check(self, source):
        raise KeyError("palette")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(source=Opens(ValueError("no\nidea"))), "the source Opens failed: ValueError: no idea"),
        (Config(source=Opens(Unstyled([(8, 8)]))), "the source Unstyled has style without styles; HasStyles is "),
        (
            Config(source=Opens(Pictures([(8, 8)])), annotator=Particular()),
            "the annotator Particular failed: KeyError: 'palette'",
        ),
    ],
)
def test_what_stops_a_run_before_it_begins_names_whose_it_is(config, message):
    with pytest.raises(BadInput, match=f"^{re.escape(message)}"):
        set_up(config)


def test_a_question_that_was_never_asked_is_drawn_again(request_, monkeypatch):
    """Killed once its picture was there; then its image changed. People saw the old one, and answered for the new."""

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Inbox, "ask", killed)
        with pytest.raises(KeyboardInterrupt):
            _asking.put(request_, prefill=False)
    white = {id: np.ones_like(request_.source.image(id)) for id in request_.source.pool}
    monkeypatch.setattr(type(request_.source), "image", lambda self, id: white[id])
    inbox = _asking.put(request_, prefill=False)
    (entry,) = inbox.entries().values()
    assert entry.pixels == views.fingerprint(white[entry.image])
    assert (views.pixels(inbox.folder, entry) == 255).all()


def test_what_was_asked_keeps_its_picture_though_the_file_of_it_is_gone(request_, monkeypatch):
    """Deleted, and its image changed since: the picture of the new image is no picture of the old question."""
    inbox = _asking.put(request_, prefill=False)
    (entry,) = inbox.entries().values()
    (inbox.folder / "views" / f"{entry.id}.png").unlink()
    white = {id: np.ones_like(request_.source.image(id)) for id in request_.source.pool}
    monkeypatch.setattr(type(request_.source), "image", lambda self, id: white[id])
    with pytest.raises(BadInput, match=r"asks something else as r00-0000 than the run does now \(its pixels\)"):
        _asking.put(request_, prefill=False)
    assert not (inbox.folder / "views" / f"{entry.id}.png").exists()
