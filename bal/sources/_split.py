"""Which images may be bought and which are kept for evaluation: as given, or drawn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bal.sources._tables import Names, decode, nearest, read_table
from bal.types import BadInput

USES = ("pool", "test", "unused")
TABLES = (".csv", ".tsv")  # what is no list of names


class Split(NamedTuple):
    """Ids, in order."""

    pool: tuple[str, ...]
    test: tuple[str, ...]


def given(path: Path, ids: Sequence[str], names: Names) -> Split:
    """What a table says: a CSV of every image's use, or a list of the test images.

    Args:
        path: of a CSV with the columns file and split, or of a text with a name a line.
        ids: of all images that can be used.
        names: finds them, and those that cannot be used, which the table may name.

    Raises:
        BadInput: a name is unknown, or there twice, or an image has no use.
    """
    text = decode(path, "it")
    if path.suffix.lower() in TABLES:
        rows = [(name, use.lower()) for name, use in read_table(path, ("file", "split"))]
    else:
        rows = [(line.strip(), "test") for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    uses: dict[str, str] = {}
    for name, use in rows:
        if use not in USES:
            raise BadInput(f"folder: {path} puts {name} into {use!r}; write one of {', '.join(USES)}")
        found = names.find(name, path)
        if not found:
            raise BadInput(f"folder: {path} names {name}, which is no image{names.nearest(name)}")
        for id in sorted(found):
            if id in uses:
                raise BadInput(f"folder: {path} names {name} twice; take one of its lines away")
            uses[id] = use
    missing = [id for id in ids if id not in uses]
    if missing and path.suffix.lower() in TABLES:
        raise BadInput(
            f"folder: {path} says nothing of {len(missing)} images, such as {missing[0]}; add a line for each, unused"
            " if it is to be left out"
        )
    chosen = {use: tuple(id for id in ids if uses.get(id, "pool") == use) for use in USES}
    if not chosen["pool"]:
        raise BadInput(f"folder: {path} leaves no image for the pool")
    return Split(chosen["pool"], chosen["test"])


def named_in(path: Path, ids: Sequence[str], names: Names, what: str) -> dict[str, str]:
    """The group or style of every image, from a CSV with the columns file and `what`.

    Raises:
        BadInput: an image has none, or two.
    """
    listed: dict[str, str] = {}
    unknown = []
    for name, found in read_table(path, ("file", what)):
        meant = names.find(name, path)
        unknown += [] if meant else [name]
        for id in meant:
            if listed.setdefault(id, found) != found:
                raise BadInput(f"folder: {path} puts {name} into two {what}s, {listed[id]} and {found}")
    if lacking := [id for id in ids if not listed.get(id)]:
        which = lacking[0] if len(lacking) == 1 else f"{len(lacking)} of {len(ids)} images, such as {lacking[0]}"
        raise BadInput(f"folder: {path} gives no {what} for {which}{nearest(lacking[0], unknown or listed)}")
    return {id: listed[id] for id in ids}


def drawn(
    ids: Sequence[str],
    labelled: Sequence[str],
    groups: Mapping[str, str],
    share: float,
    rng: np.random.Generator,
    path: Path,
) -> Split:
    """A share of the labelled images is kept for evaluation, a group whole; nothing if the share or they are none."""
    held = _hold_out(labelled, groups, share, rng, path) if share and labelled else set()
    test = tuple(id for id in labelled if groups[id] in held)
    return Split(tuple(id for id in ids if groups[id] not in held), test)


def _hold_out(
    ids: Sequence[str], groups: Mapping[str, str], share: float, rng: np.random.Generator, path: Path
) -> set[str]:
    """Names of the test groups: in random order, each taken where it brings the test set nearer to its share."""
    sizes = Counter(groups[id] for id in ids)
    if len(sizes) < 2:
        what = "one labelled image" if len(ids) == 1 else "labelled images of one group only"
        raise BadInput(
            f"folder: {path} has {what}, and a split needs two groups of them; do without a test set (--source.test 0),"
            " or say what is for testing in a split.csv"
        )
    target, total, held = share * len(ids), 0, set()
    for name in rng.permutation(sorted(sizes)).tolist():
        if len(held) + 1 < len(sizes) and abs(total + sizes[name] - target) < abs(total - target):
            held.add(name)
            total += sizes[name]
    return held or {min(sorted(sizes), key=lambda name: sizes[name])}
