"""What an acquisition must be."""

from __future__ import annotations

from typing import Protocol

from bal.posterior.moments import Moments
from bal.types import Array


class Acquisition(Protocol):
    """A pointwise score, higher = query; an entry of `bal.scoring.acquisitions.ACQUISITIONS`.

    It may also have

    - `per_class(moments) -> [..., C]`, where the score is a sum over classes: then classes can be routed to;
    - `learn(key, model, source, ids, seen) -> state`, asked once before images are scored, with the ids of the pool and
      what the model saw of the audited regions (`bal.types.Seen`); an array, and the last argument of the other two.
    """

    @property
    def needs(self) -> tuple[str, ...]:
        """The fields of Moments it reads. Empty means that it never looks at the pool at all."""
        ...

    def __call__(self, moments: Moments) -> Array:
        """[..., C] moments → [...] scores, in nats where the score is an information."""
        ...
