"""What is saved is what is loaded, and a checkpoint is whole or absent."""

from __future__ import annotations

import errno
import os
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, TINY

from bal.experiment import checkpoint
from bal.experiment.checkpoint import FILES, Checkpoints, DamagedCheckpoint, flat, unflat
from bal.posterior.calibrators import CALIBRATORS
from bal.posterior.heads import MCDropout
from bal.posterior.nets import UNet
from bal.posterior.recipe import Train
from bal.posterior.training import abstract
from bal.system.devices import replicate


@pytest.mark.parametrize("head", HEADS_SMALL.values(), ids=HEADS_SMALL)
def test_flattening_and_back(head):
    like = abstract(head, TINY, Train())
    params = jax.tree.map(lambda p: np.random.default_rng(0).random(p.shape).astype(p.dtype), like)
    named = flat(params)
    assert all(isinstance(name, str) and isinstance(a, np.ndarray) for name, a in named.items())
    back = unflat(named, like)
    assert jax.tree.structure(back) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, back, params)


def test_a_checkpoint_of_another_network_is_refused():
    head = MCDropout()
    named = flat(jax.tree.map(lambda p: np.zeros(p.shape), abstract(head, TINY, Train())))
    with pytest.raises(ValueError, match="of another model"):
        unflat(named, abstract(head, UNet(width=8, depth=1).bind(1, 3), Train()))


def test_states_survive_the_disk(tmp_path):
    like = abstract(MCDropout(), TINY, Train())
    params = jax.tree.map(lambda p: replicate(jnp.full(p.shape, 0.1, p.dtype)), like)
    states = {name: kind().init(3) for name, kind in CALIBRATORS.items()}
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert checkpoints.all() == []
    for round in range(4):
        checkpoints.save(
            round,
            {
                "params": flat(params),
                **{name: flat(state) for name, state in states.items()},
                "pool": {"split": np.arange(5, dtype=np.uint8), "money": np.array([0.1, 1 / 3])},
                "journals": np.array([round, 2**40]),
            },
        )
        assert checkpoints.all()[-1] == round
    checkpoints.save(3, {"journals": np.array([9, 9])})
    assert checkpoints.load(3)["journals"].tolist() == [9, 9], "a round that is done again replaces the old one"
    saved = checkpoints.load(2)
    checkpoints.close()
    assert saved["journals"].tolist() == [2, 2**40]
    assert saved["pool"]["split"].dtype == np.uint8
    assert saved["pool"]["money"].tolist() == [0.1, 1 / 3]
    jax.tree.map(np.testing.assert_array_equal, unflat(saved["params"], like), params)
    for name, state in states.items():
        jax.tree.map(np.testing.assert_array_equal, unflat(saved[name], state), state)
    again = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert again.all() == [2, 3]
    again.close()
    kept = {p.name for p in (tmp_path / "checkpoints").iterdir() if p.name.isdigit()}
    assert kept == {"2", "3"}


def test_what_a_kill_left_of_an_old_checkpoint_is_not_read(tmp_path):
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in range(2):
        checkpoints.save(step, {"journals": np.array([step])})
    checkpoints.close()
    shutil.copytree(tmp_path / "checkpoints" / "0", tmp_path / "left")
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    checkpoints.save(2, {"journals": np.array([2])})
    checkpoints.close()
    (tmp_path / "left" / "_CHECKPOINT_METADATA").unlink()
    (tmp_path / "left").rename(tmp_path / "checkpoints" / "0")
    again = Checkpoints(tmp_path / "checkpoints", keep=2)
    assert again.all() == [1, 2]
    again.close()


def test_one_that_was_never_described_does_not_count(tmp_path):
    """Damage of it would not be noticed; what came after the one before it is done again."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    checkpoints.save(0, {"journals": np.array([0])})
    (tmp_path / "checkpoints" / "0" / FILES).unlink()
    assert checkpoints.all() == []
    with pytest.raises(DamagedCheckpoint):
        checkpoints.load(0)
    for step in (1, 2):
        checkpoints.save(step, {"journals": np.array([step])})
    assert checkpoints.all() == [1, 2]
    (tmp_path / "checkpoints" / "2" / FILES).unlink()
    assert checkpoints.all() == [1]
    checkpoints.save(2, {"journals": np.array([9])})
    assert (checkpoints.all(), checkpoints.load(2)["journals"].tolist()) == ([1, 2], [9])
    checkpoints.close()


@pytest.fixture
def two(tmp_path):
    """Two checkpoints, 0 and 1, and their folder."""
    checkpoints = Checkpoints(tmp_path / "checkpoints", keep=2)
    for step in range(2):
        checkpoints.save(step, {"journals": np.array([step])})
    checkpoints.close()
    return tmp_path / "checkpoints"


def failing(error):
    """A function that raises."""

    def fail(*args, **kwargs):
        raise error

    return fail


def of_orbax(cause):
    """What orbax makes of an exception."""
    error = KeyError("no handler")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), of_orbax(TimeoutError("too slow"))])
def test_no_thread_to_read_with_is_said_of_the_folder(error, two, monkeypatch):
    checkpoints = Checkpoints(two)
    monkeypatch.setattr(type(checkpoints._checkpointer), "load", failing(error))
    with pytest.raises(OSError, match=r"can't start new thread|too slow") as said:
        checkpoints.load(1)
    assert said.value.filename == str(two / "1")
    checkpoints.close()


@pytest.mark.parametrize("where", ["description", "file", "orbax", "within orbax", "TensorStore"])
def test_what_cannot_be_read_now_is_not_damaged(where, two, monkeypatch):
    checkpoints, number = Checkpoints(two), errno.EMFILE
    error = OSError(number, os.strerror(number))
    if where == "description":
        monkeypatch.setattr(checkpoint.Path, "read_bytes", failing(error))
    elif where == "file":
        monkeypatch.setattr(checkpoint, "stand", failing(error))
    else:
        text = ValueError(f"UNKNOWN: Error opening local file [os_error_code='{number}']")
        made = {"orbax": error, "within orbax": of_orbax(error), "TensorStore": of_orbax(text)}
        monkeypatch.setattr(type(checkpoints._checkpointer), "load", failing(made[where]))
    with pytest.raises(OSError, match=os.strerror(number)) as said:
        checkpoints.load(1)
    assert said.value.errno == number
    monkeypatch.undo()
    assert checkpoints.load(1)["journals"] == [1]
    checkpoints.close()


@pytest.mark.parametrize(
    "error", [MemoryError(), of_orbax(MemoryError()), of_orbax(ValueError("RESOURCE_EXHAUSTED: 1"))]
)
def test_no_memory_to_read_with_is_no_damage(error, two, monkeypatch):
    checkpoints = Checkpoints(two)
    monkeypatch.setattr(type(checkpoints._checkpointer), "load", failing(error))
    with pytest.raises(MemoryError):
        checkpoints.load(1)
    checkpoints.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # see `quiet`
@pytest.mark.parametrize(
    ("name", "how"),
    [("_METADATA", "cut"), ("_METADATA", "gone"), ("_METADATA", "a folder"), ("manifest.ocdbt", "cut")],
)
def test_what_was_described_after_it_was_damaged_is_damaged(name, how, two):
    path = two / "1" / "state" / name
    content = path.read_bytes()
    path.unlink()
    if how == "a folder":
        path.mkdir()
    elif how == "cut":
        path.write_bytes(content[: len(content) // 2])
    (two / "1" / FILES).unlink()
    checkpoint._describe(two / "1")
    checkpoints = Checkpoints(two)
    with pytest.raises(DamagedCheckpoint):
        checkpoints.load(1)
    checkpoints.close()


@pytest.mark.parametrize("found", ["being deleted", "deleted"])
def test_a_reader_is_told_that_a_checkpoint_has_been_deleted(found, two):
    """Also halfway, when it looks damaged; the one that still counts is damaged."""
    reader = Checkpoints(two, reading=True)
    assert reader.all() == [0, 1]
    (two / "0" / "state" / "_METADATA").unlink()
    with pytest.raises(DamagedCheckpoint):
        reader.load(0)
    writer = Checkpoints(two, keep=3)
    writer.save(2, {"journals": np.array([2])})
    writer.close()
    if found == "deleted":
        shutil.rmtree(two / "0")
    with pytest.raises(FileNotFoundError):
        reader.load(0)
    assert reader.load(1)["journals"] == [1]
    reader.close()
