"""The folder that most tests of folders begin with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from folders import bar, save


@pytest.fixture
def root(tmp_path) -> Path:
    """Eight grey images of 12x16 with masks of the classes 0 and 1."""
    rng = np.random.default_rng(0)
    for k in range(8):
        save(tmp_path / "images" / f"page{k}.png", rng.integers(0, 256, (12, 16), dtype=np.uint8))
        save(tmp_path / "masks" / f"page{k}.png", bar(k))
    return tmp_path
