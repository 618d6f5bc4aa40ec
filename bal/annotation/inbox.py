"""The part of a run's folder that people work on: what is asked, and what was answered.

`questions.jsonl` is written by the run alone; `answers.jsonl` by whoever brings answers, several at once. Both only
grow, and a line counts once it is on disk whole: what a killed process left behind of one is cut off by the next.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from bal.annotation import views
from bal.annotation.entries import Answer, Check, Entry, Reply, checked
from bal.system.lines import Lines
from bal.types import IGNORE, BadInput

Outcome = Literal["taken", "known", "conflicting", "late"]


class Closing(NamedTuple):
    """A purchase that is paid: no more answers count for it."""

    purchase: int
    size: int  # bytes of answers.jsonl that it was paid with


class Inbox:
    """Questions and answers of one run. Any number of processes may have one open on the same folder."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.questions = Lines(folder / "questions.jsonl")
        self.answers = Lines(folder / "answers.jsonl")
        self._entries: dict[str, Entry] = {}
        self._closed: dict[int, Closing] = {}
        self._paid: set[Closing] = set()  # those whose answers have been found
        self._replies: list[tuple[int, Reply]] = []  # with the byte at which each line ends

    def exists(self) -> bool:
        """Whether anybody was ever asked anything here."""
        return self.questions.path.exists()

    # what is asked

    def entries(self) -> dict[str, Entry]:
        """Every question that was ever asked, by id, in order. Raises BadInput for a file that somebody has damaged."""
        for _, line in self.questions.news(self._question):
            if isinstance(line, Closing):
                self._closed[line.purchase] = line
            else:
                self._entries[line.id] = line
        return self._entries

    def ask(self, entries: Sequence[Entry]) -> None:
        """Adds questions, in one piece, unless they are there. Raises BadInput if others are there by their names."""
        self.entries()
        for entry in entries:
            self.check(entry)
        self.questions.append("".join(entry.line() for entry in entries if entry.id not in self._entries))

    def check(self, entry: Entry) -> None:
        """Raises BadInput if another question was there by this name when `entries` was last asked."""
        known = self._entries.get(entry.id, entry)
        if known != entry:
            which = next(name for name in vars(entry) if vars(entry)[name] != vars(known)[name])
            raise BadInput(
                f"{self.questions.path} asks something else as {entry.id} than the run does now (its {which}): "
                f"put back {entry.image!r} and the file as they were, or begin anew with another --out"
            )

    def close(self, purchase: int, check: Check | None = None) -> None:
        """Whatever comes from now on is late for this purchase. Closing it again changes nothing.

        Args:
            purchase: which.
            check: called before it is closed, with the answers that it is closed with. What it raises leaves it open.
        """
        with self.answers.alone():  # nobody is told that an answer was taken that comes after this
            if self.closed(purchase) is None:
                if check is not None:
                    check(self.collect(purchase, everything=True))
                line = {"closed": purchase, "answers": self.answers.size}
                self.questions.append(json.dumps(line) + "\n")

    def closed(self, purchase: int) -> Closing | None:
        """How a purchase was closed; None while it is open."""
        self.entries()
        return self._closed.get(purchase)

    def newest(self) -> list[Entry]:
        """The questions of the newest purchase, if it is open, in an order that does not tell why each is asked.

        It is a random one, so that those who stop early leave out nothing in particular.
        """
        entries = list(self.entries().values())
        if not entries or entries[-1].purchase in self._closed:
            return []
        mine = [entry for entry in entries if entry.purchase == entries[-1].purchase]
        return sorted(mine, key=lambda entry: (zlib.crc32(entry.id.encode()), entry.id))

    def open(self, by: str | None = None) -> list[Entry]:
        """Questions of the newest purchase that lack answers, and that this person has not answered."""
        newest = self.newest()
        said = self._counting(newest[0].purchase) if newest else {}
        return [e for e in newest if len(said[e.id]) < e.answers and by not in said[e.id]]

    # what was answered

    def replies(self) -> list[tuple[int, Reply]]:
        """Every answer ever given, with the byte at which its line ends. Raises BadInput as `entries` does."""
        self.entries()
        self._replies += self.answers.news(self._reply)
        if new := [closing for closing in self._closed.values() if closing not in self._paid]:
            ends = {0, *(end for end, _ in self._replies)}
            for closing in new:
                if closing.size not in ends:
                    raise BadInput(
                        f"{self.questions.path} closes purchase {closing.purchase} after {closing.size} bytes of "
                        "answers, where none ends; put it back as it was"
                    )
            self._paid.update(new)
        return self._replies

    def by_question(self, size: int | None = None) -> dict[str, dict[str, Reply]]:
        """What counts: the last reply of each person, by question, then by person; of the first `size` bytes."""
        found: dict[str, dict[str, Reply]] = {}
        for end, reply in self.replies():
            if size is None or end <= size:
                found.setdefault(reply.id, {})[reply.by] = reply
        return found

    def answer(self, reply: Reply, *, replace: bool = False) -> Outcome:
        """Takes what one person says to one question: `answer_all` of one."""
        return self.answer_all([reply], lambda before: replace)[0]

    def answer_all(
        self, replies: Sequence[Reply], replace: Callable[[Reply], bool] = lambda before: False
    ) -> list[Outcome]:
        """Takes what people say, all of it or nothing but for a kill; it is on disk when this returns.

        Args:
            replies: `at` is filled in where it is empty, and `touched` where something was drawn beforehand.
            replace: whether another may take the place of this one, which the same person has said before.

        Returns:
            Of each: taken; known, which changes nothing; conflicting with what the same person has said, and not taken;
            or late, which is kept and counts if the region is asked about again.

        Raises:
            BadInput: nobody asked one of them, or it is no answer to it.
        """
        replies = [self._filled(reply) for reply in replies]
        found: list[Outcome] = []
        with self.answers.alone() as file:
            said, lines = {(r.id, r.by): r for _, r in self.replies()}, []
            for reply in replies:
                before = said.get((reply.id, reply.by))
                if before is not None and (before.same(reply) or not replace(before)):
                    found.append("known" if before.same(reply) else "conflicting")
                    continue
                said[reply.id, reply.by] = reply
                lines.append(reply.line())
                found.append("taken" if self.closed(self._entries[reply.id].purchase) is None else "late")
            if lines:
                self.answers.write(file, "".join(lines))
        return found

    def _filled(self, reply: Reply) -> Reply:
        """A reply, checked, with when it was given and how much of what was drawn beforehand it changes."""
        asked = self.entries()
        if reply.id not in asked:
            raise BadInput(f"nobody asked {reply.id!r:.100} in {self.folder}")
        reply = checked(reply, asked[reply.id])
        drawn = None if reply.label is None else views.prefill(self.folder, asked[reply.id])
        if drawn is not None:
            reply = reply._replace(touched=int(((reply.label != drawn.label) & asked[reply.id].asked_pixels()).sum()))
        return reply if reply.at else reply._replace(at=datetime.now(UTC).isoformat(timespec="seconds"))

    def collect(self, purchase: int, everything: bool = False) -> dict[str, Answer]:
        """The answers to a purchase, by question: of a closed one, those that it was closed with.

        Args:
            purchase: which.
            everything: also where fewer people have answered than are wanted.
        """
        closed = self.closed(purchase) is not None
        said, entries = self._counting(purchase), self.entries()
        enough = {id: len(mine) >= entries[id].answers or everything or closed for id, mine in said.items()}
        return {id: merged(list(mine.values())) for id, mine in said.items() if mine and enough[id]}

    def late(self) -> list[Reply]:
        """Labels of regions that had been let go, and that nobody has been asked about again."""
        last = {(entry.image, entry.region): entry for entry in self.entries().values()}
        early = {reply.id for end, reply in self.replies() if end <= self._end(reply.id)}
        said = self.by_question()
        ids = [e.id for e in last.values() if e.purchase in self._closed and e.id not in early]
        return [reply for id in ids for reply in said.get(id, {}).values() if reply.label is not None]

    def _end(self, id: str) -> int:
        """Bytes of answers that count for a question; −1 while it is open."""
        closing = self.closed(self._entries[id].purchase)
        return closing.size if closing else -1

    def _counting(self, purchase: int) -> dict[str, dict[str, Reply]]:
        """The replies that count for each question of a purchase, by person.

        Where there is none, a label that came too late for an earlier question about the same region does, unless that
        one had shown what a model thinks and this one must not.
        """
        closing = self.closed(purchase)
        said = self.by_question(closing.size if closing else None)
        earlier: dict[tuple[str, int, bool], dict[str, Reply]] = {}
        found: dict[str, dict[str, Reply]] = {}
        for entry in self.entries().values():
            mine = said.get(entry.id, {})
            if entry.purchase == purchase:
                found[entry.id] = mine or earlier.get((entry.image, entry.region, entry.blind), {})
            elif labels := {by: reply for by, reply in mine.items() if reply.label is not None}:
                for blind in {False, entry.blind}:
                    earlier[entry.image, entry.region, blind] = labels
        return found

    def _reply(self, text: str) -> Reply:
        try:
            return Reply.read(text, self._entries)
        except BadInput:  # perhaps to a question that was asked since
            return Reply.read(text, self.entries())

    def _question(self, text: str) -> Entry | Closing:
        found: dict[str, Any] = json.loads(text)
        if "closed" not in found:
            return Entry.read(text)
        closing = Closing(int(found["closed"]), int(found["answers"]))
        if closing.purchase not in {entry.purchase for entry in self._entries.values()}:
            raise BadInput(f"purchase {closing.purchase} is closed, and nothing was asked for it")
        return closing


def open_inbox(run: Path) -> Inbox:
    """The questions and answers of a run. Raises BadInput where nobody was ever asked anything."""
    inbox = Inbox(run)
    for lines in (inbox.questions, inbox.answers):
        lines.check()
    if not inbox.exists():
        absent = "" if run.is_dir() else "; there is no such folder"
        raise BadInput(
            f"{run} holds no questions to people; python -m bal.run --annotator people --out {run} asks them{absent}"
        )
    return inbox


def merged(replies: Sequence[Reply]) -> Answer:
    """One answer from those of several people: where they differ, nobody knows. All skipped: it will not be labelled.

    The seconds are everybody's, if all were measured.
    """
    seconds = [reply.seconds for reply in replies]
    spent = None if None in seconds else float(sum(s for s in seconds if s is not None))
    labels = [reply.label.astype(np.int32) for reply in replies if reply.label is not None]
    if not labels:
        return Answer(None, spent)
    agreed = np.all([label == labels[0] for label in labels], axis=0)
    return Answer(np.where(agreed, labels[0], IGNORE).astype(np.int32), spent)
