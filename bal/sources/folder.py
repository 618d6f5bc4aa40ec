"""A folder of images, with or without masks: PNG, JPEG or TIFF, of any size, depth and layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from functools import partial
from pathlib import Path

import numpy as np

from bal.sources import _masks
from bal.sources._exports import find_export, importer
from bal.sources._listing import Listing, check_headers, list_folder
from bal.sources._masks import Masks, Reader, Survey
from bal.sources._once import each
from bal.sources._pages import DamagedPage, Page
from bal.sources._pictures import check_whole, read_image
from bal.sources._split import Split, drawn, given, named_in
from bal.sources._tables import MOST, Names, nearest, one_line
from bal.sources.base import check_classes
from bal.system.outside import check_file
from bal.types import IGNORE, BadInput

LABELS, SPLIT, GROUPS, STYLES = (
    "labelmap.txt",
    "split.csv",
    "groups.csv",
    "styles.csv",
)  # what is read if it lies in the folder
SHARE, USUAL = 0.25, Masks()


@dataclasses.dataclass(frozen=True)
class Folder:
    """Images, and masks where there are any: in images/ and masks/, or side by side; 255 in a mask = unlabelled.

    An image without a mask may be in the pool, for an annotator to label, but is never in the test set.
    """

    path: Path = Path("data")
    """The folder; subfolders are read too."""
    classes: tuple[str, ...] = ()
    """Class names, background first; empty = as many as the masks use, or those of a labelmap.txt."""
    test: float = SHARE
    """Share of the images with a mask that is kept for evaluation; 0 = no test set."""
    split: Path | None = None
    """CSV with the columns file and split (pool, test, unused), or a list of test files; none = split.csv, if there."""
    groups: Path | None = None
    """CSV with the columns file and group: a group is never split; none = groups.csv in the folder, if there."""
    styles: Path | None = None
    """CSV with the columns file and style: what images look like; none = styles.csv in the folder, if there."""
    seed: int = 0
    """Seed of the split and of what `limit` keeps."""
    limit: int | None = None
    """Use at most this many images, drawn at random."""
    megapixels: float = 100.0
    """The largest picture that is read, in millions of pixels; each takes 4 to 16 MB of memory."""
    mask: Masks = USUAL
    """How masks are told from images, and what their values mean."""

    def open(self) -> FolderSource:
        """Checks names, sizes and settings, reads every mask, and every image as far as it takes to know it whole.

        Raises:
            BadInput: anything that cannot be used, in one line that names the file.
        """
        if not 0 <= self.test < 1:
            raise BadInput(f"folder: test is {self.test}; it must be a share between 0 and 1")
        if self.limit is not None and self.limit < 2:
            raise BadInput(f"folder: limit is {self.limit}; pool and test need at least one image each")
        if self.seed < 0:
            raise BadInput(f"folder: seed is {self.seed}; it must not be negative")
        if not self.megapixels > 0:
            raise BadInput(f"folder: megapixels is {self.megapixels}; it must be more than 0")
        check_classes(self.classes, "folder: ")
        if self.classes and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise BadInput(f"folder: classes are {self.classes}; give two or more different names, background first")
        if len(self.classes) > IGNORE:
            raise BadInput(f"folder: {len(self.classes)} classes; {IGNORE} at most, for {IGNORE} means unlabelled")
        most = len(self.classes) or IGNORE
        if self.mask.white is not None and not 1 <= self.mask.white < most:
            raise BadInput(f"folder: mask.white is {self.mask.white}; it is a class from 1 to {most - 1}")
        table = _table(self.styles, self.path / STYLES, "file,style")
        return FolderSource(self) if table is None else StyledFolderSource(self, table)

    def notes(self) -> tuple[str, ...]:
        """What is left out, set aside or not found. Raises as `open` does, which finds nothing out twice."""
        return self.open().said


class FolderSource:
    """What `Folder.open` gives: a `bal.sources.base.Source`. Every call reads the file."""

    masks_known = True

    def __init__(self, settings: Folder):
        listing = list_folder(settings.path, settings.mask.suffix)
        self._notes = listing.notes
        self._names = names = Names(listing.files)
        rng = np.random.default_rng(settings.seed)
        used = sorted(listing.images)
        split = _given(settings, used, names)
        if split is not None:
            self._notes.append(_told(settings, split, len(used)))
            used = sorted(split.pool + split.test)
        elif settings.limit is not None and settings.limit < len(used):
            used = sorted(rng.permutation(used)[: settings.limit].tolist())
        for id in used:
            check_headers(listing.images[id], listing.masks.get(id), settings.megapixels)
        reader, self.classes = _reader(settings)
        self._reader = reader
        surveys = self._survey(listing, used, reader)
        self._images = {id: listing.images[id] for id in used if id not in listing.aside}
        self._masks = {id: page for id, page in listing.masks.items() if id in self._images}
        if not self._images:
            raise next(iter(listing.aside.values()))
        self.channels = max(page.channels for page in self._images.values())
        masks = {page: surveys[id] for id, page in self._masks.items()}
        self._name_classes(settings, masks)
        self._divide(settings, names, rng, split)
        tables = (settings.split or settings.path / SPLIT, settings.groups or settings.path / GROUPS)
        self._tables = tuple(path for path in (*tables, settings.path / LABELS) if path.exists())
        self.unlabelled = tuple(id for id in self.pool if id not in self._masks)  # for an annotator; an oracle cannot
        if listing.aside:
            id, error = next(iter(sorted(listing.aside.items())))
            self._notes.append(
                f"{len(listing.aside)} image{'s' * (len(listing.aside) != 1)} set aside, such as {id!r}: "
                f"{str(error).removeprefix('folder: ')}"
            )
        self.said = tuple(map(one_line, self._notes))

    @property
    def files(self) -> tuple[Path, ...]:
        """Images, masks, and the tables that say what they are used for."""
        pages = (*self._images.values(), *self._masks.values())
        return (*dict.fromkeys(page.path for page in pages), *self._tables)

    def shape(self, id: str) -> tuple[int, int]:
        """Height and width, from the file's header."""
        return self._known(id).size

    def image(self, id: str) -> np.ndarray:
        """float32 [H, W, Cin] in [0, 1]; grey images are repeated where others have colour."""
        return read_image(self._known(id), self.channels)

    def mask(self, id: str) -> np.ndarray:
        """int32 [H, W] of class ids, 255 where unlabelled. Raises BadInput where there is no mask."""
        page = self._known(id)
        if id not in self._masks:
            raise BadInput(f"folder: {page.path} has no mask; put one into masks/ or let an annotator label it")
        return self._reader(self._masks[id])

    def _known(self, id: str) -> Page:
        if id not in self._images:
            raise BadInput(f"folder: there is no image {id!r}{nearest(id, self._images)}")
        return self._images[id]

    def _survey(self, listing: Listing, used: list[str], reader: Reader) -> dict[str, Survey]:
        """What each mask holds; images that are damaged, or whose masks are, are set aside."""
        masked = [id for id in used if id in listing.masks]
        whole = each("whole", check_whole, [listing.images[id] for id in used])
        held = each(reader, partial(_masks.survey, reader), [listing.masks[id] for id in masked])
        found = {}
        for id, damage in zip(used, whole, strict=True):
            if isinstance(damage, DamagedPage):
                listing.aside[id] = damage
        for id, mask in zip(masked, held, strict=True):
            if isinstance(mask, DamagedPage):
                listing.aside.setdefault(id, mask)
            else:
                found[id] = mask
        return found

    def _name_classes(self, settings: Folder, masks: dict[Page, Survey]) -> None:
        """The classes, if nobody named them, and whether masks hold these alone."""
        export = find_export(settings.path)
        if not masks:
            if not self.classes:
                how = importer(export) if export else "their masks are found by name, in masks/ or beside them"
                raise BadInput(
                    f"folder: none of the {len(self._images)} images used in {settings.path} has a mask to tell the"
                    " classes by: for people to label them,"
                    f" name the classes, background first (--source.classes paper ink); {how}"
                )
            self._notes.append(
                f"no image has a mask, so there is no test set{f'; {importer(export)}' if export else ''}"
            )
            return
        if not self.classes:
            self.classes = _masks.infer_classes(masks, self._reader)
        for page, mask in masks.items():
            _masks.check_values(page, mask, self._reader, self.classes)
        if len(masks) == len(self._images) or any(mask.unlabelled for mask in masks.values()) or len(self.classes) < 2:
            _masks.check_foreground(masks)
        self._notes += _masks.remarks(masks, self._reader, self.classes)
        if export:
            self._notes.append(f"{export[1].name} is not read: {importer(export)}")

    def _divide(self, settings: Folder, names: Names, rng: np.random.Generator, split: Split | None) -> None:
        """Pool and test set, of the images that are whole, and what is in neither."""
        ids, labelled = sorted(self._images), sorted(self._masks)
        path = _table(settings.groups, settings.path / GROUPS, "file,group")
        groups = {id: id for id in ids} if path is None else named_in(path, ids, names, "group")
        if split is None:
            self.pool, self.test = drawn(ids, labelled, groups, settings.test, rng, settings.path)
            left = len(ids) - len(self.pool) - len(self.test)
            if left:
                self._notes.append(f"{left} images without a mask are in groups of the test set, and left out")
            return
        self.pool, self.test = (tuple(id for id in part if id in self._images) for part in split)
        bare = [id for id in self.test if id not in self._masks]
        if bare:
            raise BadInput(f"folder: {bare[0]} is kept for testing, and has no mask")
        if not self.pool:
            raise BadInput(f"folder: {settings.path} has no whole image for the pool")
        both = {groups[id] for id in self.pool} & {groups[id] for id in self.test}
        if both:
            self._notes.append(f"the split puts group {min(both)} into the pool and into the test set")


class StyledFolderSource(FolderSource):
    """A folder with a table of styles, which changes nothing else: it is `bal.sources.base.HasStyles`, too."""

    def __init__(self, settings: Folder, table: Path):
        super().__init__(settings)
        self._style = named_in(table, sorted(self._images), self._names, "style")
        self._tables = (*self._tables, table)

    @property
    def styles(self) -> tuple[str, ...]:
        """In the order of the alphabet."""
        return tuple(sorted(set(self._style.values())))

    def style(self, id: str) -> str:
        """That of an image."""
        self._known(id)
        return self._style[id]


def _given(settings: Folder, ids: list[str], names: Names) -> Split | None:
    """What a table says of every image, if there is one."""
    table = _table(settings.split, settings.path / SPLIT, "file,split")
    if table is not None and settings.limit is not None:
        raise BadInput(f"folder: limit draws images at random, and {table} says which are used; leave one out")
    return None if table is None else given(table, ids, names)


def _told(settings: Folder, split: Split, images: int) -> str:
    """What has come of the table."""
    left = images - len(split.pool) - len(split.test)
    unused = f"; test={settings.test:g} changes nothing" if settings.test != SHARE else ""
    return (
        f"split as {(settings.split or settings.path / SPLIT).name} says: {len(split.pool)} images in the pool,"
        f" {len(split.test)} for testing and {left} for nothing{unused}"
    )


def _table(given: Path | None, usual: Path, columns: str) -> Path | None:
    """A table that was named, or that lies in the folder. Raises BadInput if the one that was named is not there."""
    path = given or usual
    if path.exists():
        check_file(path, MOST, "folder: ")
        return path
    if given is not None:
        raise BadInput(f"folder: {path} does not exist; it is a CSV with the columns {columns}")
    return None


def _reader(settings: Folder) -> tuple[Reader, tuple[str, ...]]:
    """What reads the masks, and the names of the classes as far as they are known without a look at them."""
    path = settings.path / LABELS
    if not path.exists():
        return Reader(settings.mask.white), settings.classes
    labels = _masks.read_labels(path)
    _check_labelled(settings.classes, labels.colours, path)
    if settings.mask.white is not None:
        raise BadInput(f"folder: {path} says which colour is which class; leave out mask.white")
    classes = settings.classes or tuple(labels.colours)
    return Reader(None, path, tuple(labels.colours[name] for name in classes)), classes


def _check_labelled(classes: tuple[str, ...], labels: Collection[str], path: Path) -> None:
    odd = [name for name in classes if name not in labels]
    if odd:
        raise BadInput(f"folder: {path} has no colour for class {odd[0]}{nearest(odd[0], labels)}")
