"""Exports of annotation tools that lie in a folder of images, where they answer nothing."""

from __future__ import annotations

import re
from pathlib import Path

LARGEST = 2**26  # bytes of a file that is looked at
KINDS = (
    (".xml", "CVAT", (rb"<annotations>", rb"<image\b|<meta>")),
    (".json", "COCO", (rb'"annotations"\s*:', rb'"images"\s*:')),
    (".json", "Label Studio", (rb'"annotations"\s*:', rb'"data"\s*:')),
)


def find_export(root: Path) -> tuple[str, Path] | None:
    """Which tool an export in a folder, or in its annotations/, is of; None if there is none."""
    for folder in (root, root / "annotations"):
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            kinds = [kind for kind in KINDS if path.suffix.lower() == kind[0]]
            if not kinds or not path.is_file() or path.stat().st_size > LARGEST:
                continue
            data = path.read_bytes()
            for _, tool, signs in kinds:
                if all(re.search(sign, data) for sign in signs):
                    return tool, path
    return None


def importer(export: tuple[str, Path]) -> str:
    """How its answers are taken."""
    tool, path = export
    return (
        f"{path} is an export of {tool}: begin a run with --annotator people, and give it to it with"
        f" python -m bal.answer RUN {path}"
    )
