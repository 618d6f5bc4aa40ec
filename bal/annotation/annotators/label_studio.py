"""People who answer in a running Label Studio: every visit to the run sends what is open and takes what was answered.

Questions and answers lie in the run's folder as anybody's do, so that a server that is gone takes nothing with it, and
`bal.desk` and `bal.answer` can answer what it has not. Each run has a project of its own, told by a mark in its
description; tasks are told by the ids of their questions, so that whatever was cut off is not sent twice.
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bal.annotation.annotators._asking import inbox_of, purchase_of, put
from bal.annotation.annotators._rest import Server
from bal.annotation.annotators.base import Request
from bal.annotation.entries import Answer, Check, Entry
from bal.annotation.formats import label_studio as format
from bal.annotation.formats.base import Imported
from bal.annotation.inbox import Inbox
from bal.annotation.take import keep, task_of
from bal.system.lines import Lines
from bal.types import BadInput

FILE = "label_studio.json"  # in the run's folder: the mark of its project
FROM = "label-studio"  # where its answers come from, in answers.jsonl
TITLE = 50  # letters that the title of a project may have
ABOUT = (
    "Label the part that is not dimmed, exactly, pixel by pixel; what nobody can tell is unsure, and what is left free "
    "is background. Submit an empty picture if there is nothing on it; skip what cannot be labelled."
)


@dataclass(frozen=True)
class LabelStudio:
    """People who answer in a running Label Studio, in a project that is made for the run."""

    url: str = "http://127.0.0.1:8080"
    """Where it runs."""
    token: str = "LABEL_STUDIO_API_KEY"
    """The environment variable that holds an access token. Never the token: what is set here is written down."""
    title: str = "bal"
    """What the title of the project begins with; the name of the run's folder follows."""
    prefill: bool = True
    """Whether people correct what the model would draw, instead of drawing from nothing. Never in an audit."""

    def __post_init__(self) -> None:
        try:
            parts = urlsplit(self.url)
            good = parts.scheme in ("http", "https") and parts.hostname and not parts.query and not parts.fragment
            secret = parts.username is not None or parts.password is not None
            good = good and (parts.port is None or parts.port > 0)
        except ValueError:
            good, secret = False, False
        if secret:
            raise BadInput("label_studio: url holds a name or a password, which would be written down; leave it out")
        if not good or not self.url.isprintable() or " " in self.url:
            raise BadInput(f"label_studio: url is {self.url!r:.80}; expected an address such as http://127.0.0.1:8080")
        if not self.token.isidentifier() or re.fullmatch("[0-9a-f]{40}", self.token):
            raise BadInput("label_studio: token names an environment variable; export the token itself there")
        if not self.title.strip() or not self.title.isprintable() or len(self.title) > TITLE:
            raise BadInput(f"label_studio: title is {self.title!r:.80}; expected up to {TITLE} printable letters")

    def ask(self, request: Request) -> None:
        inbox = put(request, self.prefill)
        wanted = [] if request.closing else inbox.open()
        if not wanted:
            return
        with Server(self.url, self.token) as server:
            project = self._project(server, inbox, wanted[0].classes)
            there = _by_question(server.tasks(project), inbox.entries(), self.url)
            tasks = [format.task_of(task_of(inbox, entry), entry.classes) for entry in wanted if entry.id not in there]
            server.send(project, tasks)

    def collect(self, request: Request) -> Mapping[str, Answer]:
        inbox = inbox_of(request)
        if inbox.open():
            with Server(self.url, self.token) as server:
                project = server.project(_mark(inbox.folder))
                tasks = [] if project is None else server.tasks(project, annotated=True)
            found = _answers(_by_question(tasks, inbox.entries(), self.url), inbox.entries(), self.url)
            keep(inbox, found, FROM, f"Label Studio at {self.url}", FROM, lambda before: before.source == FROM)
        return inbox.collect(purchase_of(request), request.closing)

    def close(self, request: Request, check: Check) -> None:
        inbox_of(request).close(purchase_of(request), check)

    def closed(self, request: Request) -> bool:
        return inbox_of(request).closed(purchase_of(request)) is not None

    def hint(self, request: Request) -> str:
        return f"{self.url}, project {self._title(inbox_of(request).folder)!r}"

    def _title(self, folder: Path) -> str:
        return f"{self.title}: {folder.resolve().name}"[:TITLE]

    def _project(self, server: Server, inbox: Inbox, classes: tuple[str, ...]) -> int:
        """The project of a run, which is made where there is none."""
        mark = _mark(inbox.folder)
        found = server.project(mark)
        return found or server.make_project(
            {
                "title": self._title(inbox.folder),
                "description": f"Questions of a run of bal ({mark}: keep this, it is how the run finds its project)",
                "label_config": format.configuration(classes),
                "expert_instruction": ABOUT,
                "show_instruction": True,
                "sampling": "Sequential sampling",  # in our order, which tells nothing
                "maximum_annotations": 1,
                "enable_empty_annotation": True,  # nothing drawn is all background
                "show_skip_button": True,
                "skip_queue": "IGNORE_SKIPPED",  # what one person skips is not asked again
                "show_collab_predictions": True,
            }
        )


def _mark(folder: Path) -> str:
    """What tells the project of a run from all others: drawn once, and on disk before it is used."""
    lines = Lines(folder / FILE)
    for _ in range(2):
        for _, mark in lines.news(lambda line: str(json.loads(line)["mark"])):
            return mark
        lines.append(json.dumps({"mark": secrets.token_hex(8)}) + "\n")
    raise BadInput(f"{lines.path} cannot be read back")


def _by_question(
    tasks: Sequence[Mapping[str, Any]], asked: Mapping[str, Entry], url: str
) -> dict[str, list[Mapping[str, Any]]]:
    """Tasks by the ids of their questions; those that are none of ours are left out.

    Raises:
        BadInput: one asks something else by the same id, as in a project that a copy of the run's folder has used.
    """
    found: dict[str, list[Mapping[str, Any]]] = {}
    for task in tasks:
        data = task.get("data")
        id = data.get("id") if isinstance(data, Mapping) else None
        if isinstance(data, Mapping) and isinstance(id, str) and id in asked:
            format.check(data, asked[id], f"Label Studio at {url}, task {task.get('id')}")
            found.setdefault(id, []).append(task)
    return found


def _answers(tasks: Mapping[str, Sequence[Mapping[str, Any]]], asked: Mapping[str, Entry], url: str) -> list[Imported]:
    """The newest annotation of each person and question."""
    newest: dict[tuple[str, str | None], Imported] = {}
    for id, several in tasks.items():
        annotations = [(a, task) for task in several for a in task.get("annotations") or ()]
        for annotation, task in sorted(annotations, key=lambda pair: str(pair[0].get("updated_at"))):
            one = {"data": task["data"], "annotations": [annotation]}
            for answer in format.answers_of(one, asked, asked[id].classes, f"Label Studio at {url}"):
                newest[id, answer.by] = answer
    return list(newest.values())
