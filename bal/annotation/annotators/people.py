"""People, who answer in their own time: questions and answers lie in the run's folder."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bal.annotation.annotators._asking import inbox_of, purchase_of, put
from bal.annotation.annotators.base import Question, Request
from bal.annotation.entries import Answer, Check
from bal.types import BadInput


@dataclass(frozen=True)
class People:
    """Whoever answers, in their own time: in `python -m bal.desk RUN`, or elsewhere by `bal.query` and `bal.answer`."""

    overlap: float = 0.0
    """Share of the regions that two people answer; where they differ nobody knows, and how far they agree is shown."""
    prefill: bool = True
    """Whether people correct what the model would draw, instead of drawing from nothing. Never in an audit."""

    def __post_init__(self) -> None:
        if not 0 <= self.overlap <= 1:
            raise BadInput(f"people: overlap is {self.overlap}; it is a share from 0 to 1")

    def ask(self, request: Request) -> None:
        put(request, self.prefill, self._twice(request.questions))

    def collect(self, request: Request) -> Mapping[str, Answer]:
        return inbox_of(request).collect(purchase_of(request), request.closing)

    def close(self, request: Request, check: Check) -> None:
        inbox_of(request).close(purchase_of(request), check)

    def closed(self, request: Request) -> bool:
        return inbox_of(request).closed(purchase_of(request)) is not None

    def hint(self, request: Request) -> str:
        return f"python -m bal.desk {request.folder}"

    def _twice(self, questions: Sequence[Question]) -> set[str]:
        """Ids of the questions for two people: a share of each purchase that follows from what is asked alone."""
        order = sorted(questions, key=lambda q: (zlib.crc32(f"{q.region.region} {q.region.image}".encode()), q.id))
        return {q.id for q in order[: round(self.overlap * len(order))]}
