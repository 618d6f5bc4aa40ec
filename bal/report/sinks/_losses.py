"""The training loss between two records."""

from __future__ import annotations

from bal.experiment.events import Event


class Losses:
    """Keeps what events say of the loss until the round is over: a round is written down whole or not at all."""

    def __init__(self) -> None:
        self._kept: dict[int, dict[int, float]] = {}  # by round, by step since the run began

    def add(self, event: Event) -> None:
        """Of a step that was trained; every round takes as many."""
        if event.loss is not None:
            self._kept.setdefault(event.round, {})[event.round * event.total + event.done] = event.loss

    def of(self, round: int) -> dict[int, float]:
        """The losses of a round by step, in order; empty where another process trained it."""
        return dict(sorted(self._kept.get(round, {}).items()))

    def forget(self, round: int) -> None:
        """The round has been written down."""
        self._kept.pop(round, None)
