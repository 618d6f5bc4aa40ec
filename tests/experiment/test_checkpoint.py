"""What is saved is what is loaded, and a checkpoint is whole or absent."""

from __future__ import annotations

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, TINY

from bal.devices import replicate
from bal.experiment.checkpoint import FILES, Checkpoints, Damaged, flat, unflat
from bal.posterior.calibrators import CALIBRATORS
from bal.posterior.heads import MCDropout
from bal.posterior.nets import UNet
from bal.posterior.recipe import Train
from bal.posterior.training import abstract


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
    with pytest.raises(Damaged):
        checkpoints.load(0)
    for step in (1, 2):
        checkpoints.save(step, {"journals": np.array([step])})
    assert checkpoints.all() == [1, 2]
    (tmp_path / "checkpoints" / "2" / FILES).unlink()
    assert checkpoints.all() == [1]
    checkpoints.save(2, {"journals": np.array([9])})
    assert (checkpoints.all(), checkpoints.load(2)["journals"].tolist()) == ([1, 2], [9])
    checkpoints.close()
