"""What an acquisition must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.sources.base import Source
from bal.types import Array, Key, RegionPrediction


class Acquisition(Protocol):
    """A pointwise score, higher = query; an entry of `bal.scoring.acquisitions.ACQUISITIONS`.

    It may also be a `SumOverClasses`, and one that `Learns`.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of Moments it reads. Empty means that it never looks at the pool at all."""
        ...

    def __call__(self, moments: Moments) -> Array:
        """[..., C] moments → [...] scores, in nats where the score is an information.

        −inf where nobody must be asked; NaN and +inf stop the scoring, with the image named.
        """
        ...


@runtime_checkable
class SumOverClasses(Protocol):
    """An ability of an acquisition: its score is a sum over classes, so that each class can have a weight."""

    def per_class(self, moments: Moments, *state: Array) -> Array:
        """[..., C] moments → [..., C], what each class adds to the score; `state` from one that `Learns`, else none."""
        ...


@runtime_checkable
class Learns(Protocol):
    """An ability of an acquisition: it looks at the model once a round, before images are scored."""

    def learn(
        self, key: Key, model: Model, source: Source, ids: Sequence[str], seen: Sequence[RegionPrediction]
    ) -> Array:
        """What it found: the last argument of the score, and of `per_class` where it has that.

        Args:
            key: for what it draws.
            model: the posterior of this round, calibrated.
            source, ids: the pool.
            seen: what the model says of the audited regions; may be empty.
        """
        ...
