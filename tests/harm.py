"""What a run has come to after something befell it, from its files: what was lost, what was bought twice."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

from disk import Call
from runs import curve, left_behind

T = TypeVar("T")


class Ledger(NamedTuple):
    """What a disturbed run has bought, beside what it would have bought in peace."""

    lost: int  # lines of the undisturbed ledger that are missing
    twice: int  # regions that were bought again
    same: bool  # the ledger byte by byte, the metrics, and nothing stray

    @property
    def well(self) -> bool:
        """Whether nobody could tell."""
        return self == (0, 0, True)


def compared(out: Path, whole: Path) -> Ledger:
    """Counts, in the ledgers, what a run has lost and bought twice; checkpoints that were set aside may stay."""
    mine, theirs = ((folder / "queries.jsonl").read_bytes() for folder in (out, whole))
    missing = Counter(theirs.splitlines()) - Counter(mine.splitlines())
    regions = Counter((line["image"], line["region"]) for line in map(json.loads, mine.splitlines()))
    stray = {name for name in left_behind(out) ^ left_behind(whole) if "/damaged-" not in name}
    same = mine == theirs and curve(out) == curve(whole) and not stray
    return Ledger(missing.total(), sum(n - 1 for n in regions.values()), same)


def damage(path: Path, how: str, seed: object = 0) -> None:
    """Flips a bit of a file, inserts a byte or cuts it off, somewhere."""
    content, rng = bytearray(path.read_bytes()), random.Random(repr((seed, how)))
    at = rng.randrange(max(1, len(content)))
    if how == "cut":
        del content[at:]
    elif how == "insert" or not content:
        content[at:at] = bytes([rng.randrange(256)])
    else:
        content[at] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def lines(out: Path) -> int:
    """Whole lines of a ledger as it lies there, also after a kill."""
    ledger = out / "queries.jsonl"
    return ledger.read_bytes().count(b"\n") if ledger.exists() else 0


def files(folder: Path) -> dict[str, bytes]:
    """All files below a folder, by their place in it."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def unowned(folder: Path) -> dict[str, bytes]:
    """The same, but for who has run it last."""
    return {name: data for name, data in files(folder).items() if name != "run.lock"}


def state(folder: Path) -> str:
    """A hash of what a folder holds, but for the owner of the run: two kills that leave the same are one case."""
    names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
    content = {name: hashlib.sha256(data).hexdigest() for name, data in unowned(folder).items()}
    return hashlib.sha256(json.dumps([names, content]).encode()).hexdigest()


def stages(calls: Iterable[Call]) -> dict[str, Call]:
    """The first call of every stage of a run: each file that it writes, and each checkpoint."""
    found: dict[str, Call] = {}
    for call in calls:
        parts = [part.split(".orbax")[0] for part in call.path.split("/")[1:3]]
        parts = [part if not part.startswith(".") else part[1:].rpartition(".")[0] for part in parts]
        found.setdefault("/".join(parts) or "the folder", call)
    return found


def unsettled(calls: Iterable[Call]) -> Iterator[tuple[str, set[str]]]:
    """What the power could still take of a run when a checkpoint begins to count: contents of files, names in folders.

    Yields:
        The description of each checkpoint, as it gets its name, and what no fsync has been about since it was changed,
        but for the lock.
    """
    changed: set[str] = set()
    for call in calls:
        path = re.sub(r"\.orbax-checkpoint-tmp[^/]*", "", call.path)
        folder = path.rpartition("/")[0]
        if call.name in ("fsync", "fdatasync"):
            changed -= {path, f"names in {path}"}
        elif call.name.startswith("rename"):
            parts = {
                part
                for part in changed
                if re.fullmatch(rf"{re.escape(folder)}/\.{re.escape(path[len(folder) + 1 :])}\..{{8}}", part)
            }
            changed = (changed - parts) | ({path} if parts else set()) | {f"names in {folder}"}
            if path.endswith("/files.json"):
                yield path, changed - {f"names in {folder}", "/run.lock"}
        elif call.name.startswith(("write", "pwrite", "ftruncate", "truncate")):
            changed.add(path)
        elif call.name.startswith(("mkdir", "link")):
            changed.add(f"names in {folder}")
        elif call.name.startswith(("unlink", "rmdir")):
            changed -= {path, f"names in {path}"}


def kind(path: str) -> str:
    """What a file is one of: its path without numbers and random letters."""
    return re.sub(r"\d+", "N", re.sub(r"/\.([\w.]+)\.[a-z0-9_]{8}$", r"/.\1", re.sub(r"[0-9a-f]{32}", "*", path)))


def one_of_each(cases: Iterable[T], of: Callable[[T], Hashable], seed: int = 0) -> list[T]:
    """A case of each kind, drawn at random."""
    groups: dict[Hashable, list[T]] = {}
    for case in cases:
        groups.setdefault(of(case), []).append(case)
    rng = random.Random(seed)
    return [rng.choice(group) for group in groups.values()]


def calls_of_each_kind(calls: Iterable[Call]) -> list[Call]:
    """A call of each function about each kind of file."""
    return one_of_each(calls, lambda call: (call.name, kind(call.path)))
