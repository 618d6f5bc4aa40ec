"""Runs that wait for people, made once, and a Label Studio that is none."""

from __future__ import annotations

import shutil

import pytest
from asking import answer_all, go_on
from runs import TINY, run
from studio import Studio

from bal.annotation.inbox import Inbox


@pytest.fixture(scope="session")
def asked(tmp_path_factory):
    """A run that waits in its first purchase after the start set. Not to be answered."""
    out = tmp_path_factory.mktemp("asked") / "run"
    go_on(out)
    answer_all(out)
    go_on(out)
    return out


@pytest.fixture
def inbox(asked, tmp_path):
    """A copy of it, for answers."""
    return Inbox(shutil.copytree(asked, tmp_path / "run"))


@pytest.fixture(scope="session")
def oracle(tmp_path_factory):
    """The run that people with the oracle's answers must equal."""
    out = tmp_path_factory.mktemp("oracle") / "run"
    run(TINY, out)
    return out


@pytest.fixture
def studio(monkeypatch):
    """A server that answers as Label Studio does, and the token that it takes."""
    with Studio() as studio:
        monkeypatch.setenv("LABEL_STUDIO_API_KEY", studio.token)
        yield studio
