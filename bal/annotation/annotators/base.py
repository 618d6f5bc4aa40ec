"""What an annotator must be, what it is asked, and what it answers.

There are two kinds. One *answers at once*: a program, a simulation, the oracle; it has `annotate`. The other *answers
later*: people, who may be asked in the evening and answer in the morning, in part, or not at all; it has `ask` and
`collect`. A run whose annotator answers later ends while questions are open, and goes on from its folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from bal.annotation.entries import Answer, Check
from bal.sources.base import Source
from bal.types import Region


class Question(NamedTuple):
    """One region that a run wants labelled, under a name that stays."""

    id: str  # such as r01-0007: the purchase, and the place in it
    region: Region
    policy: (
        str  # start, steered, foreground, random or audit; of an audited region nobody may be shown what a model thinks
    )
    price: float = 1.0  # that is expected, in units of cost
    probability: float | None = None  # of this draw, given those before it; None where the selector has none
    score: float | None = None
    share: Mapping[str, float] = MappingProxyType({})  # of the score, by class


Predict = Callable[[Sequence[Question]], Mapping[str, np.ndarray]]


class Request(NamedTuple):
    """What one round wants to know."""

    source: Source
    questions: Sequence[Question]
    folder: Path | None  # of the run; None where a run leaves nothing on disk
    predict: Predict | None = None  # calibrated float32 [height, width, C] of the model that asks, by question id
    closing: bool = False  # whether what is open now will be let go, so that half an answer is better than none


@runtime_checkable
class AnswersAtOnce(Protocol):
    """An annotator that need not be waited for; an entry of `ANNOTATORS`."""

    def annotate(self, source: Source, regions: Sequence[Region]) -> list[np.ndarray]:
        """One int32 [height, width] array of class ids a region, IGNORE where the annotator declined."""
        ...


@runtime_checkable
class Corrects(Protocol):
    """An annotator that answers at once, and may start from what the model would draw."""

    def correct(self, request: Request) -> list[np.ndarray] | None:
        """As `annotate` answers, one label a question; None if it draws from nothing, and is to be asked that way."""
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
class Closes(Protocol):
    """An annotator that keeps books of what is open, for those who answer while no run is going on."""

    def close(self, request: Request, check: Check) -> None:
        """The questions are going to be paid: what comes from now on is late, and `collect` gives none of it.

        Closing them again changes nothing. Before they are closed, `check` is called with the answers that `collect`
        will give from then on, while nobody can change one. What it raises is let through, and they stay open.
        """
        ...

    def closed(self, request: Request) -> bool:
        """Whether they have been closed, perhaps by a process that was killed then."""
        ...


@runtime_checkable
class Hints(Protocol):
    """An annotator that knows how its questions are answered."""

    def hint(self, request: Request) -> str:
        """A command or an address, in one line."""
        ...


@runtime_checkable
class ChecksSource(Protocol):
    """An annotator that knows before a run begins whether it can answer."""

    def check(self, source: Source) -> None:
        """Raises BadInput if it could not."""
        ...


Annotator = AnswersAtOnce | AnswersLater
