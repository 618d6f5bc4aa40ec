"""What an annotator must be, what it is asked, and what it answers.

There are two kinds. One *answers at once*: a program, a simulation, the oracle; it has `annotate`. The other *answers
later*: people, who may be asked in the evening and answer in the morning, in part, or not at all; it has `ask` and
`collect`. A run whose annotator answers later ends while questions are open, and goes on from its folder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from bal.sources.base import Source
from bal.types import Region


class Question(NamedTuple):
    """One region that a run wants labelled, under a name that stays."""

    id: str  # such as r01-0007: the purchase, and the place in it
    region: Region
    policy: str  # start, steered, random or audit; of an audited region nobody may be shown what a model thinks


class Request(NamedTuple):
    """What one round wants to know."""

    source: Source
    questions: Sequence[Question]
    folder: Path | None  # of the run; None where a run leaves nothing on disk


class Answer(NamedTuple):
    """What came back for one question."""

    label: np.ndarray | None  # int32 [height, width] class ids, IGNORE where not known; None: it will not be labelled
    seconds: float | None = None  # that it took, if somebody measured


@runtime_checkable
class AnswersAtOnce(Protocol):
    """An annotator that need not be waited for; an entry of `ANNOTATORS`."""

    def annotate(self, source: Source, regions: Sequence[Region]) -> list[np.ndarray]:
        """One int32 [height, width] array of class ids a region, IGNORE where the annotator declined."""
        ...


@runtime_checkable
class AnswersLater(Protocol):
    """An annotator that is waited for; an entry of `ANNOTATORS`."""

    def ask(self, request: Request) -> None:
        """Makes the questions known, and returns at once. The same request may come again, after a kill."""
        ...

    def collect(self, request: Request) -> Mapping[str, Answer]:
        """What has been answered by now, by question id; the same again, and more, at every later visit.

        A question that is missing is open. Answers to what was not asked are of no account.
        """
        ...


@runtime_checkable
class ChecksSource(Protocol):
    """An annotator that knows before a run begins whether it can answer."""

    def check(self, source: Source) -> None:
        """Raises BadInput if it could not."""
        ...


Annotator = AnswersAtOnce | AnswersLater
