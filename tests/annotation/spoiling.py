"""Exports to be spoilt, and what may be said of them."""

from __future__ import annotations

import tempfile
import warnings
import zipfile

import numpy as np
import pytest
from asking import truth
from painting import PAINT, of_view
from PIL import Image

from bal.annotation.take import give, take
from bal.types import BadInput


def exported(inbox, tmp_path, name, blank=False):
    """An export that answers everything with the truth, and its questions."""
    given = give(inbox, name, tmp_path / "package")
    labels = {e.id: of_view(e, np.zeros_like(truth(e)) if blank else truth(e), beyond=0) for e in given}
    return PAINT[name](tmp_path / "package", labels), given


def tidy(line):
    """Whether it is one line, not too long, that shows nothing of our insides."""
    inside = (
        "NoneType",
        "<class",
        "invalid literal",
        "object at",
        "Traceback",
        "inhomogeneous",
        f"{tempfile.gettempdir()}/tmp",
    )
    return "\n" not in line and len(line) < 600 and not any(word in line for word in inside)


def refused(inbox, export, match):
    """That it is refused so, in one line, and that nothing was taken."""
    before = len(inbox.replies())
    with pytest.raises(BadInput, match=match) as error:
        take(inbox, export, by="ada")
    assert tidy(str(error.value))
    assert len(inbox.replies()) == before


def opened(path):
    """A picture, its file closed again."""
    with Image.open(path) as image:
        image.load()
        return image.copy()


def masks(export):
    """The masks of a package, in order."""
    return sorted(p for p in export.rglob("*.png") if p.parent.name == "masks")


def archive(path, members):
    """A .zip of (name, content)."""
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.simplefilter("ignore")
        for name, data in members:
            file.writestr(name, data)
