"""Annotators that answer later, as people do: in part, on another visit, or never."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from bal import Answer
from bal.annotation.annotators import Oracle, People
from bal.annotation.annotators._asking import inbox_of
from bal.annotation.entries import Reply


@dataclass(frozen=True)
class Later:
    """Answers with the truth, but not all of it at once; keeps what it was asked in the run's folder."""

    second: tuple[int, ...] = ()
    """Places in a purchase that are answered from the second visit on."""
    never: tuple[int, ...] = ()
    """Places that are never answered."""
    skipped: tuple[int, ...] = ()
    """Places that are handed back without a label."""
    seconds: float | None = None
    """What every answer took."""
    dies: str = ""
    """Where its process is killed, once: ask or collect."""

    def ask(self, request):
        asked = [[q.id, q.region.image, q.region.region, list(q.region.box), q.policy] for q in request.questions]
        file = self._desk(request) / "questions.json"
        if file.exists():
            assert json.loads(file.read_text()) == asked, "the same purchase asks the same, also after a kill"
        file.write_text(json.dumps(asked))
        self._die("ask", request)

    def collect(self, request):
        visits = self._desk(request) / "visits"
        before = int(visits.read_text()) if visits.exists() else 0
        visits.write_text(str(before + 1))
        self._die("collect", request)
        missing = self.never if before else (*self.never, *self.second)
        labels = Oracle().annotate(request.source, [q.region for q in request.questions])
        return {
            q.id: Answer(None if k in self.skipped else label, self.seconds)
            for k, (q, label) in enumerate(zip(request.questions, labels, strict=True))
            if k not in missing
        }

    def _desk(self, request) -> Path:
        purchase = request.questions[0].id.partition("-")[0] if request.questions else "none"
        desk = request.folder / "desk" / purchase
        desk.mkdir(parents=True, exist_ok=True)
        return desk

    def _die(self, where, request):
        mark = request.folder / "desk" / f"died-{where}"
        if self.dies == where and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Closing(Later):
    """The same, which keeps books of what is open."""

    def close(self, request, check):
        if not self.closed(request):
            check(self.collect(request))
            (self._desk(request) / "closed").touch()

    def closed(self, request):
        return (self._desk(request) / "closed").exists()


@dataclass(frozen=True)
class Prompt:
    """People who know the truth and say it while the run looks: one answer by itself, the rest in one piece."""

    def ask(self, request):
        People().ask(request)

    def collect(self, request):
        labels = Oracle().annotate(request.source, [q.region for q in request.questions])
        replies = [
            Reply(q.id, "ada", "", "labelled", label) for q, label in zip(request.questions, labels, strict=True)
        ]
        inbox_of(request).answer(replies[0])
        inbox_of(request).answer_all(replies[1:])
        return People().collect(request)

    def close(self, request, check):
        People().close(request, check)

    def closed(self, request):
        return People().closed(request)
