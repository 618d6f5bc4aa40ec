"""Everything needed to go on, saved twice a purchase. The only import of orbax."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
from orbax.checkpoint import v1 as ocp

from bal.experiment.journals import pack, stand, unpack
from bal.system.exit_status import NO_ROOM
from bal.system.files import fsync, of_file, write_whole
from bal.types import BadInput

FORMAT = 4  # of a checkpoint; 1 had none written in it
FILES = "files.json"  # in a checkpoint, the hashes of all other files of it
ROOM = 2**17  # bytes that a checkpoint takes besides its arrays
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)  # there is no file of that name


def _news(record: logging.LogRecord) -> bool:
    """Whether a record is none of orbax: what fails is raised as well, and what is damaged `_as_written` knows."""
    return "/orbax/" not in record.pathname


def _asked(record: logging.LogRecord) -> bool:
    """Whether what asyncio logs is no more than that several reads or writes of TensorStore failed, and not one."""
    error = record.exc_info[1] if record.exc_info else None
    return not (isinstance(error, ValueError) and re.match(r"[A-Z_]+: ", str(error)))  # the code of a status


class Unheard:
    """For exceptions that nobody can catch: TensorStore tells a loop of what has failed after orbax has closed it."""

    def __init__(self, before: Callable[[Any], object]):
        self._before = before

    def __call__(self, args: Any) -> None:
        if not (isinstance(args.exc_value, RuntimeError) and "Event loop is closed" in str(args.exc_value)):
            self._before(args)


def quiet() -> None:
    """From now on what fails in orbax is told where it is raised alone: for a command, whose process is its own."""
    logging.getLogger("absl").addFilter(_news)
    logging.getLogger("asyncio").addFilter(_asked)
    if not isinstance(sys.unraisablehook, Unheard):
        sys.unraisablehook = Unheard(sys.unraisablehook)


def _reserve(folder: Path, size: int) -> None:
    """Raises OSError unless so many bytes can be written: orbax would say so in a thousand lines."""
    if sys.platform != "linux":  # where orbax has to say it
        return
    with tempfile.NamedTemporaryFile(dir=folder.parent, prefix=f".{folder.name}.") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno in NO_ROOM:
                raise OSError(error.errno, os.strerror(error.errno), str(folder)) from error


def flat(tree: Any) -> dict[str, np.ndarray]:
    """A pytree as a dict of host arrays named by their place in it, which says what is what on disk."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path, simple=True, separator="."): np.asarray(leaf) for path, leaf in leaves}


def unflat(named: dict[str, Any], like: Any) -> Any:
    """The inverse of `flat`, for a pytree of the structure of `like`.

    Raises:
        ValueError: the names differ, so the checkpoint is of another network or head.
    """
    names = list(flat(jax.tree.map(lambda _: 0, like)))
    if set(names) != set(named):
        odd = sorted(set(names) ^ set(named))[0]
        raise ValueError(f"the checkpoint is of another model: {odd!r} is in only one of the two")
    return jax.tree.unflatten(jax.tree.structure(like), [named[name] for name in names])


def _describe(folder: Path) -> None:
    """Writes down what the files of a checkpoint are, once they and their names are on disk: orbax does not wait."""
    run = folder.parent.parent
    for path in (*folder.rglob("*"), folder, folder.parent, run):
        fsync(path)
    found = {str(path.relative_to(folder)): stand(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    write_whole(folder / FILES, json.dumps(pack(found)))


def _as_written(folder: Path) -> bool:
    """Whether the files of a checkpoint are as they were described.

    Known before orbax reads them, which tells of damage on every thread that it has.

    Raises:
        OSError: one is there, but could not be read.
    """
    try:
        then = unpack(json.loads((folder / FILES).read_bytes()))
        return all(stand(folder / name) == was for name, was in then.items())
    except (ValueError, TypeError, AttributeError, RecursionError):
        return False
    except OSError as error:
        if error.errno in ABSENT:
            return False
        raise


def _of_machine(error: BaseException, folder: Path) -> Exception | None:
    """What the machine refused, where that is why orbax failed: an OSError or a MemoryError; None for all else.

    Orbax raises errors of its own from it, and TensorStore writes the number of an OSError into a text.
    """
    part: BaseException | None = error
    while part is not None:
        if isinstance(part, OSError) and part.errno:
            return OSError(part.errno, part.strerror, str(part.filename or folder))
        if code := re.search(r"os_error_code='(\d+)'", str(part)):
            return OSError(int(code[1]), os.strerror(int(code[1])), str(folder))
        if isinstance(part, MemoryError) or "RESOURCE_EXHAUSTED" in str(part):
            return MemoryError(str(part))
        if type(part) in (RuntimeError, TimeoutError):  # no thread can be begun; too slow
            return OSError(errno.EAGAIN, str(part), str(folder))
        part = part.__cause__ or part.__context__
    return None


class DamagedCheckpoint(BadInput):
    """A checkpoint that is not what was saved."""


class Checkpoints:
    """The numbered checkpoints of one run, each complete or absent."""

    def __init__(self, folder: Path, keep: int = 2, reading: bool = False):
        """`folder` is made when it is first written to; the newest `keep` checkpoints stay.

        `reading`: another process may be writing, and may delete what is being read.
        """
        self._folder, self._keep, self._reading, self._failed = folder, keep, reading, False

    @functools.cached_property
    def _checkpointer(self) -> ocp.training.Checkpointer:
        """Made when it is needed: it makes the folder."""
        save: Any = ocp.training.save_decision_policies.FixedIntervalPolicy(1)  # Any: orbax annotates these two as
        keeping: Any = ocp.training.preservation_policies.LatestN(self._keep)  # classes that they are not
        return ocp.training.Checkpointer(
            str(self._folder.absolute()),
            save_decision_policy=save,
            preservation_policy=keeping,
            cleanup_tmp_directories=False,  # see `tidy`
        )

    def all(self) -> list[int]:
        """The numbers of the complete checkpoints that are still there, in ascending order.

        Of one more than are kept, the oldest was being deleted when the process was killed. One that a kill has kept
        from being described does not count: damage of it would not be noticed.
        """
        found = self._checkpointer.checkpoints if self._folder.exists() else ()
        newest = sorted(int(saved.step) for saved in found)[-self._keep :]
        return [step for step in newest if self.has(step)]

    def lacks_one(self) -> bool:
        """Whether somebody has deleted one: those that are kept were all written, and no kill leaves fewer.

        Unless it comes between the deletion of an undescribed one and its end; the first of a run has none beside it.
        """
        there = [part.name for part in self._folder.iterdir() if part.is_dir()] if self._folder.exists() else []
        return 0 < len(there) < self._keep and all(name.isdecimal() and int(name) >= self._keep - 1 for name in there)

    def tidy(self) -> None:
        """Deletes what a kill, or a full disk, has left of checkpoints that were never complete."""
        for part in self._folder.glob("*.orbax-checkpoint-tmp*"):
            shutil.rmtree(part, ignore_errors=True)

    def has(self, step: int) -> bool:
        """Whether a checkpoint is there and complete: it is described last of all."""
        return (self._folder / str(step) / FILES).exists()

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Writes a nested dict of arrays and returns once it is on disk.

        Raises:
            OSError: it could not be written; nothing of it stays.
        """
        self._folder.mkdir(exist_ok=True)
        state = {**state, "format": np.array(FORMAT)}
        _reserve(self._folder, 3 * sum(leaf.nbytes for leaf in jax.tree.leaves(state)) + ROOM)
        try:
            self._checkpointer.save(step, state, overwrite=True)
            _describe(self._folder / str(step))
        except Exception as error:
            self._failed = True
            self.tidy()
            refused = _of_machine(error, self._folder)
            if isinstance(refused, OSError):
                raise of_file(refused, self._folder) from error
            raise

    def load(self, step: int) -> dict[str, Any]:
        """The nested dict of arrays that was saved.

        Raises:
            DamagedCheckpoint: it is not what was saved.
            FileNotFoundError: it has been deleted since; of a reader alone.
            BadInput: it was saved by another version.
            OSError, MemoryError: it cannot be read now, which says nothing about what it holds.
        """
        try:
            state, format = self._read(step)
        except Exception as error:
            if self._reading and not self._kept(step):
                raise FileNotFoundError(
                    errno.ENOENT, os.strerror(errno.ENOENT), str(self._folder / str(step))
                ) from error
            raise
        if format < FORMAT:
            raise BadInput(
                f"{self._folder.parent} was begun by another version of bal, whose checkpoints this one does not read: "
                "finish it with that version, or choose another --out"
            )
        return state

    def _read(self, step: int) -> tuple[dict[str, Any], int]:
        """What was saved, and its format."""
        where = self._folder / str(step)
        if not _as_written(where):
            raise DamagedCheckpoint(f"{where} is damaged")
        try:
            state = jax.tree.map(np.asarray, self._checkpointer.load(step))
            return state, int(state.get("format", 1))
        except Exception as error:  # orbax says it in pages
            refused = _of_machine(error, where)
            absent = isinstance(refused, OSError) and refused.errno in ABSENT
            if refused is None or absent:  # it was described after it was damaged
                raise DamagedCheckpoint(f"{where} is damaged") from error
            raise refused from error

    def _kept(self, step: int) -> bool:
        """Whether a checkpoint is among those that stay, by what is there now; others may be half deleted."""
        there = sorted(int(part.name) for part in self._folder.glob("*") if part.name.isdecimal())
        return step in there[-self._keep :]

    def set_aside(self, step: int) -> Path:
        """Moves a checkpoint away, whole, so that the one before is the newest; gives where it is now."""
        place = self._folder / f"damaged-{step}"
        while place.exists():
            place = place.with_name(f"{place.name}+")
        os.rename(self._folder / str(step), place)
        self._checkpointer.reload()
        return place

    def close(self) -> None:
        """Waits for whatever is still being written or deleted."""
        if "_checkpointer" not in vars(self):
            return
        with contextlib.suppress(*((Exception,) if self._failed else ())):  # orbax raises again what `save` has raised
            self._checkpointer.close()
