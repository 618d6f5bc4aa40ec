"""What an annotator must be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from bal.sources.base import Source
from bal.types import Region


class Annotator(Protocol):
    """Who answers a query; an entry of `bal.annotation.annotators.ANNOTATORS`.

    May also have `check(source)`, called before a run begins, which raises BadInput if it could not answer.
    """

    def annotate(self, source: Source, regions: Sequence[Region]) -> list[np.ndarray]:
        """One int32 [height, width] array of class ids a region, IGNORE where the annotator declined."""
        ...
