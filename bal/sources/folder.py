"""A folder of images and masks: PNG or TIFF, grey or RGB, 8 or 16 bits, sizes that differ."""

from __future__ import annotations

import csv
import dataclasses
import difflib
from collections import Counter
from pathlib import Path

import numpy as np

from bal.sources._pictures import SUFFIXES, header, read_image, read_mask
from bal.types import IGNORE, BadInput


@dataclasses.dataclass(frozen=True)
class Folder:
    """Images under `images/` and masks of the same name under `masks/`; masks hold class ids, 255 = unlabelled.

    An image without a mask may be in the pool, for an annotator to label, but is never in the test set.
    """

    path: Path = Path("data")
    """The folder that holds images/ and masks/."""
    classes: tuple[str, ...] = ()
    """Class names, background first; empty = as many as the masks use, which reads all of them once."""
    test: float = 0.25
    """Share of the images with a mask that is kept for evaluation."""
    groups: Path | None = None
    """CSV with the columns file and group: a group is never split; none = groups.csv in the folder, if there."""
    seed: int = 0
    """Seed of the split and of what `limit` keeps."""
    limit: int | None = None
    """Use at most this many images, drawn at random."""

    def open(self) -> FolderSource:
        """Checks names, sizes and settings from the files' headers.

        Raises:
            BadInput: anything that cannot be used, in one line that names the file.
        """
        if not 0 < self.test < 1:
            raise BadInput(f"folder: test is {self.test}; it must be a share between 0 and 1")
        if self.limit is not None and self.limit < 2:
            raise BadInput(f"folder: limit is {self.limit}; pool and test need at least one image each")
        if self.seed < 0:
            raise BadInput(f"folder: seed is {self.seed}; it must not be negative")
        if self.classes and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise BadInput(f"folder: classes are {self.classes}; give two or more different names, background first")
        if len(self.classes) > IGNORE:
            raise BadInput(f"folder: {len(self.classes)} classes; {IGNORE} at most, for {IGNORE} means unlabelled")
        return FolderSource(self)


class FolderSource:
    """What `Folder.open` gives: a `bal.sources.base.Source`. Every call reads the file."""

    def __init__(self, settings: Folder):
        images, masks = _pair(settings.path)
        rng = np.random.default_rng(settings.seed)
        if settings.limit is not None and settings.limit < len(images):
            kept = rng.permutation(sorted(images))[: settings.limit].tolist()
            images = {id: images[id] for id in sorted(kept)}
            masks = {id: masks[id] for id in images if id in masks}
        if len(masks) < 2:
            raise BadInput(
                f"folder: {len(masks)} of the {len(images)} images used in {settings.path} has a mask; pool and"
                " test need one each"
            )
        self._images, self._masks = images, masks
        self._headers = {id: header(path) for id, path in images.items()}
        for id, path in masks.items():
            size, expected = header(path)[:2], self._headers[id][:2]
            if size != expected:
                raise BadInput(
                    f"folder: mask {path} is {size[0]}x{size[1]} and its image {expected[0]}x{expected[1]}"
                    " (height x width); they must be the same"
                )
        self.channels = max(channels for _, _, channels in self._headers.values())
        self.classes = settings.classes or _infer_classes(masks)
        if settings.classes:
            _check_foreground(masks)
        groups = _groups(settings, images)
        held = _hold_out(sorted(masks), groups, settings.test, rng, settings.path)
        self.test = tuple(id for id in sorted(masks) if groups[id] in held)
        self.pool = tuple(id for id in sorted(images) if groups[id] not in held)
        self.unlabelled = tuple(id for id in self.pool if id not in masks)  # for an annotator; an oracle cannot

    def shape(self, id: str) -> tuple[int, int]:
        """Height and width, from the file's header."""
        self._known(id)
        return self._headers[id][:2]

    def image(self, id: str) -> np.ndarray:
        """float32 [H, W, Cin] in [0, 1]; grey images are repeated where others have colour."""
        self._known(id)
        return read_image(self._images[id], self.channels)

    def mask(self, id: str) -> np.ndarray:
        """int32 [H, W] of class ids, 255 where unlabelled. Raises BadInput where there is no mask."""
        self._known(id)
        if id not in self._masks:
            raise BadInput(f"folder: {self._images[id]} has no mask; put one into masks/ or let an annotator label it")
        ids = read_mask(self._masks[id])
        wrong = ids[((ids < 0) | (ids >= len(self.classes))) & (ids != IGNORE)]
        if wrong.size:
            raise BadInput(
                f"folder: mask {self._masks[id]} holds class {wrong[0]}, but there are {len(self.classes)} classes"
                f" ({', '.join(self.classes)}: 0 to {len(self.classes) - 1}); name more classes or correct the mask"
            )
        return ids

    def _known(self, id: str) -> None:
        if id not in self._images:
            raise BadInput(f"folder: there is no image {id!r}{_nearest(id, self._images)}")


def _pair(path: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Images and masks by stem; every mask has an image."""
    if not path.is_dir():
        raise BadInput(f"folder: {path} does not exist or is not a folder; set path to one that holds images/")
    if not (path / "images").is_dir():
        raise BadInput(f"folder: {path} has no folder images/; put the images there and their masks into masks/")
    images = _list(path / "images")
    if not images:
        raise BadInput(f"folder: {path / 'images'} holds no {', '.join(SUFFIXES)} file; put the images there")
    masks = _list(path / "masks") if (path / "masks").is_dir() else {}
    if not masks:
        raise BadInput(f"folder: {path / 'masks'} holds no mask; add one of the same name for every labelled image")
    for id, mask in masks.items():
        if id not in images:
            raise BadInput(f"folder: mask {mask} has no image of the same name{_nearest(id, images)}")
    return images, masks


def _list(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for file in sorted(folder.iterdir()):
        if file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            if file.stem in found:
                raise BadInput(f"folder: {found[file.stem]} and {file} have the same name; rename one of them")
            found[file.stem] = file
    return found


def _infer_classes(masks: dict[str, Path]) -> tuple[str, ...]:
    """Reads every mask once."""
    highest = 0
    for path in masks.values():
        ids = read_mask(path)
        labelled = ids[ids != IGNORE]
        if labelled.size and not 0 <= labelled.min() <= labelled.max() < IGNORE:
            raise BadInput(f"folder: mask {path} holds class {labelled.max()}; class ids run from 0 to {IGNORE - 1}")
        highest = max(highest, int(labelled.max(initial=0)))
    if highest == 0:
        raise _no_foreground(masks)
    return ("background", *(f"class_{c}" for c in range(1, highest + 1)))


def _check_foreground(masks: dict[str, Path]) -> None:
    """Reads masks until one has a foreground class, which is usually the first."""
    if not any((~np.isin(read_mask(path), (0, IGNORE))).any() for path in masks.values()):
        raise _no_foreground(masks)


def _no_foreground(masks: dict[str, Path]) -> BadInput:
    folder = next(iter(masks.values())).parent
    return BadInput(
        f"folder: no mask in {folder} has a pixel of a foreground class; number the classes 1, 2, …"
        f" ({IGNORE} means unlabelled, so black-and-white masks must be saved as 0 and 1)"
    )


def _groups(settings: Folder, images: dict[str, Path]) -> dict[str, str]:
    """The group of every image; without a CSV, each image is its own."""
    path = settings.groups or settings.path / "groups.csv"
    if not path.is_file():
        if settings.groups is not None:
            raise BadInput(f"folder: groups file {path} does not exist; it is a CSV with the columns file,group")
        return {id: id for id in images}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(f"folder: {path} cannot be read as CSV ({error}); save it as UTF-8 text") from None
    columns = [str(c) for c in (rows[0] if rows else ())]
    if not {"file", "group"} <= set(columns):
        raise BadInput(f"folder: {path} has the columns {', '.join(columns) or 'none'}; it needs file and group")
    listed = {Path(row["file"]).name: row["group"] for row in rows if row["file"]}
    found = {}
    for id, image in images.items():
        group = listed.get(image.name, listed.get(id))
        if not group:
            raise BadInput(f"folder: {path} gives no group for {image.name}{_nearest(image.name, listed)}")
        found[id] = group
    return found


def _hold_out(ids: list[str], groups: dict[str, str], share: float, rng: np.random.Generator, path: Path) -> set[str]:
    """Names of the test groups: in random order, each taken where it brings the test set nearer to its share."""
    sizes = Counter(groups[id] for id in ids)
    if len(sizes) < 2:
        raise BadInput(f"folder: all labelled images of {path} are of one group; a split needs two groups")
    target, total, held = share * len(ids), 0, set()
    for name in rng.permutation(sorted(sizes)).tolist():
        if len(held) + 1 < len(sizes) and abs(total + sizes[name] - target) < abs(total - target):
            held.add(name)
            total += sizes[name]
    return held or {min(sorted(sizes), key=lambda name: sizes[name])}


def _nearest(name: str, names) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {near[0]}?" if near else f"; there is {min(names)}" if names else ""
