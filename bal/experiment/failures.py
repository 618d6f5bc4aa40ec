"""What an extension of somebody else raises in the middle of a run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bal.config.extensions import SLOTS
from bal.system.exit_status import NO_ROOM
from bal.types import BadInput


@contextmanager
def named(slot: str, extension: Any) -> Iterator[None]:
    """A context in which whatever an extension raises becomes a line that names it.

    What says whose fault it is stays as it is: BadInput, no memory, no room, and what a file says of ours.

    Args:
        slot: the field of `Config` that holds it.
        extension: it.
    """
    try:
        yield
    except (BadInput, MemoryError):
        raise
    except Exception as error:
        ours = type(extension) in SLOTS[slot].table.values()
        if isinstance(error, OSError) and (error.errno in NO_ROOM or (ours and error.errno)):
            raise
        line = " ".join(str(error).split())
        what = f"the {SLOTS[slot].noun} {type(extension).__name__} failed"
        raise BadInput(f"{what}: {type(error).__name__}: {line}") from error
