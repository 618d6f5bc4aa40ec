"""The lines of `questions.jsonl` and of `answers.jsonl`: what a person is asked, and what a person said."""

from __future__ import annotations

import base64
import binascii
import json
import re
import unicodedata
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from bal.types import IGNORE, BadInput

LONGEST = 1e6  # seconds that one answer can have taken
NAME = 80  # letters that a person's name may have
Status = Literal["labelled", "skipped"]


class Answer(NamedTuple):
    """What came back for one question."""

    label: np.ndarray | None  # int32 [height, width] class ids, IGNORE where not known; None: it will not be labelled
    seconds: float | None = None  # that it took, if somebody measured


Check = Callable[[Mapping[str, Answer]], None]  # raises BadInput if a purchase cannot be paid with these answers


@dataclass(frozen=True)
class Entry:
    """One question as it is kept: a line of questions.jsonl, which is never rewritten."""

    id: str  # such as r01-0007
    image: str
    size: tuple[int, int]  # of the image: height, width
    pixels: str  # hash of the image, so that nobody answers for another
    region: int
    box: tuple[int, int, int, int]  # top, left, height, width within the image
    view: tuple[int, int, int, int]  # the box with its surroundings, of which views/ID.png is the picture
    policy: str  # start, steered, random or audit
    probability: float | None  # of this draw, given those before it
    price: float  # that is expected
    score: float | None
    share: Mapping[str, float] = field(default_factory=dict)  # of the score, by class
    answers: int = 1  # how many people are wanted
    classes: tuple[str, ...] = ()
    mask: str | None = None  # which pixels of the box are asked about, packed; None: all

    @property
    def purchase(self) -> int:
        """The purchase that it belongs to, 0 for the start set."""
        return int(self.id[1:].partition("-")[0])

    @property
    def blind(self) -> bool:
        """Whether a person must not see what a model thinks: of audits, or because there was no model yet."""
        return self.policy == "audit" or self.purchase == 0

    @property
    def inside(self) -> tuple[int, int, int, int]:
        """The box within the view: top, left, height, width."""
        return self.box[0] - self.view[0], self.box[1] - self.view[1], self.box[2], self.box[3]

    @staticmethod
    def packed(mask: np.ndarray) -> str:
        """A bool array [height, width] as `mask` has it."""
        return pack(np.packbits(mask))

    def asked_pixels(self) -> np.ndarray:
        """bool [height, width] of the box: the pixels that are asked about."""
        if self.mask is None:
            return np.ones(self.box[2:], bool)
        count = self.box[2] * self.box[3]
        return np.unpackbits(unpack(self.mask, -(-count // 8)), count=count).astype(bool).reshape(self.box[2:])

    def line(self) -> str:
        """The line of questions.jsonl."""
        found = asdict(self)
        found["for"] = dict(found.pop("share"))
        return json.dumps(found) + "\n"

    @staticmethod
    def read(line: str) -> Entry:
        """The inverse of `line`. Raises BadInput, ValueError, KeyError or TypeError for what is none."""
        found = json.loads(line)
        found["share"] = found.pop("for")
        for name in ("size", "box", "view", "classes"):
            found[name] = tuple(found[name])
        entry = Entry(**found)
        wrong = [name for name, right in _rights(entry).items() if not right]
        if wrong:
            raise BadInput(f"its {wrong[0]} cannot be {shortened(getattr(entry, wrong[0]))}")
        entry.asked_pixels()
        return entry


def _rights(entry: Entry) -> dict[str, bool]:
    """Whether each field of a question that was read is what it can be."""

    def whole(value: object, least: int = 0) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**40

    def inside(box: tuple, of: tuple) -> bool:
        counts = len(box) == 4 and all(map(whole, box)) and min(box[2:]) > 0
        return counts and all(of[k] <= box[k] and box[k] + box[k + 2] <= of[k] + of[k + 2] for k in (0, 1))

    def number(value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)

    size = entry.size if len(entry.size) == 2 and all(whole(n, 1) for n in entry.size) else None
    view = size is not None and inside(entry.view, (0, 0, *size))
    return {
        "id": isinstance(entry.id, str) and re.fullmatch("r[0-9]{2,9}-[0-9]{4,9}", entry.id) is not None,
        "size": size is not None,
        "view": view,
        "box": view and inside(entry.box, entry.view),
        "region": whole(entry.region),
        **{name: isinstance(getattr(entry, name), str) for name in ("image", "pixels", "policy")},
        **{name: getattr(entry, name) is None or number(getattr(entry, name)) for name in ("probability", "score")},
        "price": number(entry.price),
        "share": isinstance(entry.share, dict) and all(map(number, entry.share.values())),
        "answers": whole(entry.answers, 1),
        "classes": all(isinstance(name, str) for name in entry.classes),
        "mask": entry.mask is None or isinstance(entry.mask, str),
    }


class Reply(NamedTuple):
    """What one person said to one question: a line of answers.jsonl, the newest of which counts."""

    id: str
    by: str
    at: str  # when, UTC, ISO 8601
    status: Status
    label: np.ndarray | None  # uint8 [height, width] of the box, IGNORE where unsure; None: skipped
    seconds: float | None = None  # of attention, if somebody measured
    touched: int | None = None  # pixels that differ from what was drawn beforehand; None: nothing was
    source: str = ""  # where it comes from: the desk, or a file

    def line(self) -> str:
        """The line of answers.jsonl."""
        found = self._asdict()
        label = found.pop("label")
        found["mask"] = None if label is None else pack(label.astype(np.uint8))
        found["from"] = found.pop("source")
        return json.dumps(found) + "\n"

    @staticmethod
    def read(line: str, asked: Mapping[str, Entry]) -> Reply:
        """The inverse of `line`. Raises BadInput, ValueError, KeyError or TypeError for what is none."""
        found = json.loads(line)
        mask, found["source"] = found.pop("mask"), found.pop("from")
        if found["id"] not in asked:
            raise BadInput(f"an answer to {found['id']!r}, which nobody asked")
        entry = asked[found["id"]]
        label = None if mask is None else unpack(mask, entry.box[2] * entry.box[3]).reshape(entry.box[2:])
        return checked(Reply(label=label, **found), entry)

    def same(self, other: Reply) -> bool:
        """Whether another says the same: time, place and seconds aside."""
        if self.label is None or other.label is None:
            return self.label is other.label
        return bool(np.array_equal(self.label, other.label))


def checked(reply: Reply, entry: Entry) -> Reply:
    """A reply, cut to the pixels that were asked about.

    Raises:
        BadInput: a label that is not of the size of the box, a class that is none, seconds or a name that cannot be.
    """
    what, seconds = f"the answer to {entry.id}", reply.seconds
    reply = reply._replace(by=name_of(reply.by))
    if not (isinstance(reply.at, str) and isinstance(reply.source, str)):
        raise BadInput(f"{what} does not say in text when it was given, and where it comes from")
    touched = reply.touched
    if touched is not None and (isinstance(touched, bool) or not isinstance(touched, int) or touched < 0):
        raise BadInput(f"{what} touched {shortened(touched)} pixels; expected a count, or none")
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if seconds is not None and not (number and 0 <= seconds <= LONGEST):
        raise BadInput(f"{what} took {shortened(seconds)} seconds; expected a number from 0 to {LONGEST:g}, or none")
    if reply.status not in ("labelled", "skipped") or (reply.label is None) != (reply.status == "skipped"):
        raise BadInput(f"{what} is {reply.status!r}; expected labelled, with a mask, or skipped, without")
    if reply.label is None:
        return reply
    label = np.asarray(reply.label)
    if label.shape != entry.box[2:] or label.dtype.kind not in "ui":
        raise BadInput(f"{what} has the shape {label.shape}; expected {entry.box[2:]} of whole numbers")
    wrong = label[((label < 0) | (label >= len(entry.classes))) & (label != IGNORE)]
    if wrong.size:
        raise BadInput(f"{what} holds class {wrong[0]}; expected 0 to {len(entry.classes) - 1}, or {IGNORE} for unsure")
    return reply._replace(label=np.where(entry.asked_pixels(), label, IGNORE).astype(np.uint8))


def name_of(by: object) -> str:
    """A person's name, but for spaces around it and the form of its accents. Raises BadInput for what is none."""
    if not (isinstance(by, str) and by.strip() and len(by) <= NAME and by.isprintable()):
        raise BadInput(f"{by!r:.100} is no name of a person: expected up to {NAME} printable letters")
    return unicodedata.normalize("NFC", by.strip())


def shortened(value: object) -> str:
    """What somebody gave, for a message: in a few letters, even if it is a number of thousands of digits."""
    if isinstance(value, int) and abs(value) > 10**20:
        return "a number of more than 20 digits"
    return f"{value!r:.100}"


def pack(array: np.ndarray) -> str:
    """An array of bytes as text."""
    return base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()


def unpack(text: str, size: int) -> np.ndarray:
    """The inverse of `pack`: uint8 [size]. Raises BadInput for anything else, and unpacks no more than that."""
    try:
        packed = base64.b64decode(text, validate=True)
        unpacker = zlib.decompressobj()
        found = unpacker.decompress(packed, size + 1)
        whole = unpacker.eof and not unpacker.unused_data
    except (binascii.Error, zlib.error, TypeError, ValueError):
        raise BadInput("a mask that is no base64 of a zlib stream") from None
    if len(found) != size or not whole:
        raise BadInput(f"a mask of another size than the {size} pixels of its region")
    return np.frombuffer(found, np.uint8)
