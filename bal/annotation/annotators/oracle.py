"""The annotator of experiments: reads the answer from the source's own masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bal.sources.base import Source, unlabelled
from bal.types import BadInput, Region


@dataclass(frozen=True)
class Oracle:
    """Answers every query with the source's own mask, at once and without error."""

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
            answers.append(source.mask(region.image)[top : top + height, left : left + width].astype(np.int32))
        return answers
