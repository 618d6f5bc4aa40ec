"""What annotators that are people share: a request becomes questions, pictures and predictions in the run's folder."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from bal.annotation import views
from bal.annotation.annotators.base import Question, Request
from bal.annotation.entries import Entry
from bal.annotation.inbox import Inbox
from bal.types import BadInput


def inbox_of(request: Request) -> Inbox:
    """Where the questions of a run lie. Raises BadInput for a run that leaves nothing on disk."""
    if request.folder is None:
        raise BadInput("people answer in the folder of a run: give it with --out")
    return Inbox(request.folder)


def purchase_of(request: Request) -> int:
    """The purchase that a request is about; it asks at least one question."""
    return int(request.questions[0].id[1:].partition("-")[0])


def put(request: Request, prefill: bool, twice: Collection[str] = ()) -> Inbox:
    """Writes down what is asked, once pictures and predictions are there; what is asked already is left as it is.

    What a kill has left of questions that were never asked is drawn again: the image may have changed since.

    Args:
        request: of a run with a folder.
        prefill: whether people may see what the model would draw; never in an audit or a start set.
        twice: ids of the questions that two people are to answer.

    Raises:
        BadInput: something else has been asked under one of these names; nothing is drawn of it.
    """
    inbox, entries = inbox_of(request), {}
    known = set(inbox.entries())
    for name in sorted({q.region.image for q in request.questions}):  # each is read once
        image = request.source.image(name)
        for q in request.questions:
            if q.region.image == name:
                entries[q.id] = _entry(q, image, request.source.classes, 2 if q.id in twice else 1)
                inbox.check(entries[q.id])
                if q.id not in known or not views.has_view(inbox.folder, entries[q.id]):
                    views.draw(inbox.folder, entries[q.id], image)
    if prefill and request.predict is not None:
        there = {id for id in known & set(entries) if views.has_prefill(inbox.folder, entries[id])}
        wanted = [q for q in request.questions if q.id not in there and not entries[q.id].blind]
        for id, probability in request.predict(wanted).items():
            views.predict(inbox.folder, entries[id], probability)
    inbox.ask([entries[q.id] for q in request.questions])
    return inbox


def _entry(question: Question, image: np.ndarray, classes: tuple[str, ...], answers: int) -> Entry:
    """A question as it is kept."""
    region, size = question.region, (int(image.shape[0]), int(image.shape[1]))
    return Entry(
        id=question.id,
        image=region.image,
        size=size,
        pixels=views.fingerprint(image),
        region=region.region,
        box=region.box,
        view=views.around(region.box, size),
        policy=question.policy,
        probability=question.probability,
        price=question.price,
        score=question.score,
        share=dict(question.share),
        answers=answers,
        classes=classes,
        mask=None if region.mask is None else Entry.packed(region.mask),
    )
