"""The annotator of experiments: reads the answer from the source's own masks."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bal.annotation.annotators.base import Question, Request
from bal.pool.tracing import pieces_of
from bal.sources.base import Source, truth, unlabelled
from bal.types import BadInput, Region


@dataclass(frozen=True)
class Oracle:
    """Answers every query with the source's own mask, at once and without error, unless it is to overlook some."""

    miss: float = 0.0
    """Share of the model's errors that are overlooked where a prediction is corrected: each connected piece of wrong
    pixels is left as it is with this probability. Never in a start set or an audit, where nothing is drawn beforehand.
    """
    seed: int = 0
    """Of what is overlooked."""

    def __post_init__(self) -> None:
        if not 0 <= self.miss <= 1 or self.seed < 0:
            raise BadInput(f"oracle: miss is a share from 0 to 1 and seed ≥ 0, got {self.miss} and {self.seed}")

    def check(self, source: Source) -> None:
        """Raises BadInput if the pool holds an image whose mask the source does not have."""
        missing = unlabelled(source)
        if missing:
            raise BadInput(
                f"{len(missing)} of the {len(source.pool)} images of the pool have no mask for the oracle to read, "
                f"such as {missing[0]!r}; add the masks or leave the images out"
            )

    def annotate(self, source: Source, regions: Sequence[Region]) -> list[np.ndarray]:
        answers = []
        for region in regions:
            top, left, height, width = region.box
            answers.append(truth(source, region.image)[top : top + height, left : left + width])
        return answers

    def correct(self, request: Request) -> list[np.ndarray] | None:
        if not self.miss or request.predict is None:
            return None
        drawn = request.predict([q for q in request.questions if q.policy != "audit"])
        truth = self.annotate(request.source, [q.region for q in request.questions])
        return [
            self._overlook(q, label, drawn[q.id].argmax(-1)) if q.id in drawn else label
            for q, label in zip(request.questions, truth, strict=True)
        ]

    def _overlook(self, question: Question, truth: np.ndarray, drawn: np.ndarray) -> np.ndarray:
        """The truth, but for some pieces of what was drawn wrongly."""
        pieces, count = pieces_of(drawn != truth)
        region = question.region
        rng = np.random.default_rng((self.seed, zlib.crc32(region.image.encode()), region.region))
        left = np.append(False, rng.random(count) < self.miss)
        return np.where(left[pieces], drawn, truth).astype(np.int32)
