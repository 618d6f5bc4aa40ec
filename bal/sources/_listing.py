"""Which pictures lie in a folder, which of them are masks, and of which pages: told by their names.

images/ and masks/ beside each other, at the top or in every subfolder; or everything in one place, masks told by how
their names end. The key of a file is its path without these folders and without suffix, in Unicode's composed form.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bal.sources._masks import check_mask
from bal.sources._pages import (
    SUFFIXES,
    DamagedPage,
    Page,
    check_fits,
    check_kind,
    check_samples,
    check_size,
    find_pages,
)
from bal.sources._tables import PLACES, composed, nearest
from bal.system.devices import memory
from bal.types import BadInput

MASKS = ("masks", "segmentationclass")  # folders of masks, in lower case; the second of them is CVAT's and VOC's
OTHERS = ("segmentationobject",)  # folders of pictures that are neither
BESIDE = ("", ".csv", ".json", ".md", ".txt", ".xml", ".yaml", ".yml")  # what may lie beside pictures and is none
RUN = ("config.yaml", "checkpoints")  # what makes a folder that of a run


class Listing(NamedTuple):
    """What a folder holds, in order of the ids."""

    images: dict[str, Page]
    masks: dict[str, Page]  # of some of the images
    files: dict[str, tuple[str, ...]]  # ids of the pages of each file, under its path
    aside: dict[str, DamagedPage]  # files and pages that cannot be read, by id or key
    notes: list[str]


class Files(NamedTuple):
    """Paths by key."""

    images: dict[str, Path]
    masks: dict[str, Path]
    others: list[Path]


def list_folder(root: Path, suffixes: Sequence[str]) -> Listing:
    """The pages of a folder, from the headers of its files.

    Args:
        root: the folder.
        suffixes: what names of masks may end with.

    Raises:
        BadInput: there is no image, or names of files contradict each other.
    """
    if not root.is_dir():
        raise BadInput(f"folder: {root} does not exist or is not a folder; set path to one that holds images")
    files = _sort(root, tuple(composed(suffix) for suffix in suffixes))
    if not files.images:
        raise BadInput(f"folder: {root} holds no {', '.join(SUFFIXES)} file that is no mask; put the images there")
    found = Listing({}, {}, {}, {}, [])
    skipped: list[tuple[int, Path]] = []
    pages = _list_images(root, files.images, found, skipped)
    _list_masks(files.masks, suffixes, pages, found, skipped)
    _remark(files.others, skipped, found.notes)
    for id in found.aside:
        found.images.pop(id, None)
        found.masks.pop(id, None)
    return found


def check_headers(image: Page, mask: Page | None, megapixels: float) -> None:
    """Raises BadInput for an image, or its mask, that can be read and cannot be used."""
    check_kind(image)
    check_size(image, megapixels)
    check_fits(image, memory())
    if mask is None:
        return
    check_mask(mask)
    check_samples(mask)
    check_size(mask, megapixels)
    if mask.size != image.size:
        raise BadInput(
            f"folder: mask {mask.path} is {mask.size[0]}x{mask.size[1]} and its image {image.size[0]}x{image.size[1]}"
            " (height x width); they must be the same"
        )


def _sort(root: Path, suffixes: tuple[str, ...]) -> Files:
    """Images and masks by key, and what is neither."""
    files = Files({}, {}, [])
    tops = [path for path in _children(root) if path.is_dir() and path.name.lower() in PLACES + MASKS]
    alone = not any(path.name.lower() in PLACES for path in tops)
    for path in _walk(root) if alone else [*_children(root), *(p for top in tops for p in _walk(top))]:
        parts = path.relative_to(root).parts
        folders = {part.lower() for part in parts[:-1]}
        picture = path.suffix.lower() in SUFFIXES
        if path.name.startswith(".") or path.is_dir():
            continue
        if not path.is_file():  # a link to nowhere, or a device
            files.others.append(path)
            continue
        if not picture or folders & set(OTHERS) or not (alone or folders & {*PLACES, *MASKS}):
            if picture or folders & {*PLACES, *MASKS} or path.suffix.lower() not in BESIDE:
                files.others.append(path)
            continue
        key = composed("/".join([*(p for p in parts[:-1] if p.lower() not in PLACES + MASKS), path.stem]))
        role = files.masks if folders & set(MASKS) else files.images
        if key in role:
            raise BadInput(f"folder: {role[key]} and {path} have the same name; rename one of them")
        role[key] = path
    if not files.masks:
        named = {key: next((s for s in suffixes if s and key.endswith(s)), "") for key in files.images}
        named = {key: suffix for key, suffix in named.items() if suffix}
        if any(key.removesuffix(suffix) in files.images for key, suffix in named.items()):
            files.masks.update({key: files.images.pop(key) for key in named})
    return files


def _walk(top: Path) -> Iterator[Path]:
    """Files below a folder, in order; none that are hidden, none of a run, and none through a link to what holds it."""
    above = Path(os.path.realpath(top)).parents
    seen = set(map(str, above))
    for here, folders, names in os.walk(top, onerror=_refuse, followlinks=True):
        real = os.path.realpath(here)
        if real in seen or set(RUN) <= {*folders, *names}:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        yield from (Path(here) / name for name in sorted(names))


def _children(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        _refuse(error)
        return []


def _refuse(error: OSError) -> None:
    raise BadInput(f"folder: {error.filename} cannot be listed ({error.strerror}); make it readable or take it away")


class Pages(NamedTuple):
    """The ids of an image's pages, and whether some have been lost."""

    ids: list[str]
    cut: bool


def _list_images(
    root: Path, files: Mapping[str, Path], found: Listing, skipped: list[tuple[int, Path]]
) -> dict[str, Pages]:
    """Adds the pages of all images to what is found; gives those of each by its key."""
    pages = {}
    for key, path in sorted(files.items()):
        here, damage = _pages(path, skipped)
        pages[key] = Pages(_ids(key, len(here)), cut=damage is not None)
        if damage is not None:
            found.aside.setdefault(f"{key}#{len(here) + 1}" if here else key, damage)
        for id, page in zip(pages[key].ids, here, strict=True):
            if id in found.images:
                raise BadInput(f"folder: {found.images[id].path} and {path} both have an image {id!r}; rename one")
            found.images[id] = page
        found.files[composed(path.relative_to(root).as_posix())] = tuple(pages[key].ids) or (key,)
    if not found.images:
        raise next(iter(found.aside.values()))
    return pages


def _list_masks(
    files: Mapping[str, Path],
    suffixes: Sequence[str],
    pages: Mapping[str, Pages],
    found: Listing,
    skipped: list[tuple[int, Path]],
) -> None:
    """Adds the pages of all masks to what is found, under the ids of their images."""
    for key, path in sorted(files.items()):
        owner, only = _owner(key, path, pages, suffixes)
        here, damage = _pages(path, skipped)
        ids = pages[owner].ids if only is None else pages[owner].ids[only - 1 : only]
        if damage is not None:
            found.aside.update({id: damage for id in ids[len(here) :] if id not in found.aside})
        elif ids and not pages[owner].cut and len(here) not in (1, len(ids)):
            raise BadInput(f"folder: mask {path} has {len(here)} pages and its image {len(ids)}")
        for id, page in zip(ids, here, strict=False):  # a mask of one page is that of the first
            if id in found.masks:
                first = found.masks[id].path
                raise BadInput(f"folder: {first} and {path} are masks of the same image; take one away")
            found.masks[id] = page


def _pages(path: Path, skipped: list[tuple[int, Path]]) -> tuple[list[Page], DamagedPage | None]:
    """The pages of a file that are there, and why there are no more, if that is damage."""
    try:
        found = find_pages(path)
    except DamagedPage as error:
        return [], error
    if found.skipped:
        skipped.append((found.skipped, path))
    if not found.damage:
        return found.pages, None
    return found.pages, DamagedPage(f"folder: {path} is damaged ({found.damage}); replace it or take it away")


def _ids(key: str, pages: int) -> list[str]:
    return [key] if pages == 1 else [f"{key}#{number}" for number in range(1, pages + 1)]


def _owner(key: str, path: Path, pages: Mapping[str, Pages], suffixes: Sequence[str]) -> tuple[str, int | None]:
    """The key of the image that a mask is of, and which page of it is meant, if its name says so."""
    names = [key, *(key.removesuffix(s) for s in map(composed, suffixes) if s and key.endswith(s))]
    for name in names:
        if name in pages:
            return name, None
    for name in names:
        single = re.fullmatch(r"(.+)#([1-9]\d*)", name)
        if single and single[1] in pages and int(single[2]) <= len(pages[single[1]].ids):
            return single[1], int(single[2])
    raise BadInput(f"folder: mask {path} has no image of the same name{nearest(key, pages)}")


def _remark(others: Sequence[Path], skipped: Sequence[tuple[int, Path]], notes: list[str]) -> None:
    if others:
        first = min(others, key=lambda path: (path.suffix.lower() not in SUFFIXES, path))
        notes.append(
            f"{_counted(len(others), 'file')} left out, such as {first.name}: read are {', '.join(SUFFIXES)},"
            " and where there is images/, what is in it"
        )
    if skipped:
        count = sum(number for number, _ in skipped)
        notes.append(
            f"{_counted(count, 'page')} left out, such as in {skipped[0][1].name}: thumbnails of a TIFF, or"
            " further pictures of a PNG"
        )


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
