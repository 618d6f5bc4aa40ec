"""A network in one piece is trained, asked and refused as a network in parts is."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from helpers import bucketed, check_protocol, forward
from runs import assert_same_run, run, tiny

import bal
from bal.posterior import door
from bal.posterior.heads import BatchEnsemble, DeepEnsemble, LastLayerLaplace, LastLayerSVI, MCDropout
from bal.posterior.nets.base import Net, NetSettings
from bal.posterior.nets.whole import BoundWholeNet


class Plain(nn.Module):
    """Halves its maps once."""

    classes: int
    width: int = 8

    @nn.compact
    def __call__(self, x):
        fine = nn.relu(nn.Conv(self.width, (3, 3))(x))
        coarse = nn.relu(nn.Conv(self.width, (3, 3), strides=2)(fine))
        coarse = jax.image.resize(coarse, fine.shape, "nearest")
        return nn.Conv(self.classes, (1, 1))(jnp.concatenate([fine, coarse], -1))


MODULE = Plain(3)
WHOLE = bal.WholeNet(MODULE.init, MODULE.apply, stride=2)


@dataclass(frozen=True)
class Mine:
    """A network that a configuration file can name."""

    width: int = 8
    """Channels."""

    def bind(self, channels, classes, mean=(0.0,), std=(1.0,)):
        module = Plain(classes, self.width)
        return bal.WholeNet(module.init, module.apply, stride=2).bind(channels, classes, mean, std)


class Normed(nn.Module):
    """Keeps batch statistics."""

    @nn.compact
    def __call__(self, x):
        return nn.BatchNorm(use_running_average=True)(nn.Conv(3, (1, 1))(x))


def test_it_is_a_network():
    check_protocol(bal.WholeNet, NetSettings)
    check_protocol(BoundWholeNet, Net)
    assert bal.WholeNet(MODULE.init, MODULE.apply, 2) == WHOLE
    assert hash(WHOLE.bind(1, 3)) == hash(WHOLE.bind(1, 3))
    with pytest.raises(bal.BadInput, match="stride ≥ 1, got 0"):
        bal.WholeNet(MODULE.init, MODULE.apply, 0)


def test_logits_are_those_of_the_function():
    net = WHOLE.bind(1, 3, mean=(0.4,), std=(0.2,))
    params = net.init(jax.random.key(0))
    x = np.random.default_rng(0).random((2, 7, 10, 1), np.float32)
    padded = np.pad((x - 0.4) / 0.2, ((0, 0), (0, 1), (0, 0), (0, 0))).astype(np.float32)
    expected = MODULE.apply(params["decoder"], padded)[:, :7]
    np.testing.assert_allclose(forward(net, params, x), expected, atol=1e-5)


def test_padding_may_hold_anything():
    net = WHOLE.bind(1, 3, mean=(0.4,), std=(0.2,))
    params = net.init(jax.random.key(0))
    images = [np.random.default_rng(n).random(shape, np.float32) for n, shape in enumerate([(13, 10, 1), (16, 16, 1)])]
    one, other = (forward(net, params, *bucketed(images, (16, 16), fill=fill)) for fill in (0.0, 30.0))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    "head", [DeepEnsemble(2), DeepEnsemble(2, "encoder"), BatchEnsemble(2)], ids=["apart", "at-once", "batch"]
)
def test_a_run(head):
    records = run(tiny(net=WHOLE, head=head, rounds=1, budget=20))
    assert len(records) == 2
    assert np.isfinite([record.row["nll"] for record in records]).all()
    scores = [line["score"] for line in records[0].queries if line["policy"] != "audit"]
    assert min(scores) > 0, "the members differ"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (MCDropout(), r"MCDropout on BoundWholeNet: its 20 samples are all the same, .* take --head deep_ensemble"),
        (MCDropout(where="all"), "its 20 samples are all the same"),
        (LastLayerLaplace(), "a posterior over the last layer needs a network whose readout is one 1×1 convolution"),
        (LastLayerSVI(), "a posterior over the last layer needs a network whose readout is one 1×1 convolution"),
    ],
    ids=["dropout", "all", "laplace", "svi"],
)
def test_heads_that_need_parts_are_refused_in_a_line(head, expected):
    with pytest.raises(bal.BadInput, match=expected) as error:
        bal.run_loop(tiny(net=WHOLE, head=head))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (bal.WholeNet(Plain(2).init, Plain(2).apply, 2), "there are 3 classes, background included, not 2"),
        (
            bal.WholeNet(MODULE.init, lambda p, x: MODULE.apply(p, x)[:, ::2, ::2], 2),
            "they are at 1/2 of the resolution",
        ),
        (bal.WholeNet(MODULE.init, lambda p, x: jnp.moveaxis(MODULE.apply(p, x), -1, 1)), "that is NCHW"),
        (bal.WholeNet(Normed().init, Normed().apply), "keeps batch statistics"),
        (bal.WholeNet(lambda key, x: {"w": np.asarray(x)}, MODULE.apply), "use jax.numpy there"),
    ],
    ids=["classes", "half", "nchw", "statistics", "numpy"],
)
def test_what_is_no_segmentation_network_is_named(net, expected):
    with pytest.raises(bal.BadInput, match=expected):
        bal.run_loop(tiny(net=net, head=DeepEnsemble(2)))


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [(lambda z, x: z * jnp.sqrt(-1 - x * x), "NaN"), (lambda z, x: jnp.where(x > 0.5, jnp.inf, z), "infinite")],
    ids=["root", "infinite"],
)
def test_logits_that_are_no_numbers_from_the_start_are_said_of_the_network(spoil, kind):
    """A fit ended with the advice to lower its rate."""
    net = bal.WholeNet(MODULE.init, lambda p, x: spoil(MODULE.apply(p, x), x), 2)
    said = rf"the network WholeNet gives {kind} logits at \d+ of \d+ pixels of the first images before it is trained"
    with pytest.raises(bal.BadInput, match=said) as error:
        bal.run_loop(tiny(net=net, head=DeepEnsemble(2)))
    assert "\n" not in str(error.value)


def test_padding_of_the_first_images_is_not_looked_at():
    x, size = np.zeros((2, 8, 8, 1), np.float32), np.array([[8, 8], [4, 8]], np.int32)
    net = bal.WholeNet(MODULE.init, lambda p, x: MODULE.apply(p, x).at[1, 4:].set(jnp.nan), 2).bind(1, 3)
    door.check_finite("Mine", net, x, size)
    with pytest.raises(bal.BadInput, match="the network Mine gives NaN logits at 32 of 128 pixels"):
        door.check_finite("Mine", net, x, np.full((2, 2), 8))


def test_a_class_may_be_impossible_from_the_start():
    x, size = np.zeros((2, 8, 8, 1), np.float32), np.full((2, 2), 8, np.int32)
    for classes, well in (([2], True), ([0, 1, 2], False)):
        net = bal.WholeNet(
            MODULE.init, lambda p, x, out=classes: MODULE.apply(p, x).at[..., jnp.array(out)].set(-jnp.inf), 2
        )
        if well:
            door.check_finite("Mine", net.bind(1, 3), x, size)
        else:
            with pytest.raises(bal.BadInput, match="gives infinite logits"):
                door.check_finite("Mine", net.bind(1, 3), x, size)


def test_it_is_asked_from_a_notebook(pictures):
    head, net = DeepEnsemble(2), WHOLE.bind(1, 3)
    regions, scores = bal.score_pool(head, net, head.init(net, jax.random.key(0)), pictures)
    assert np.isfinite(scores).all()
    assert scores.shape == regions.image.shape


def test_a_run_with_a_folder_needs_a_name(tmp_path):
    with pytest.raises(bal.BadInput, match=r"net.init: a file cannot hold"):
        bal.run_loop(tiny(net=WHOLE, head=DeepEnsemble(2)), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_network_with_a_name_goes_on(tmp_path):
    config = tiny(net=Mine(), head=DeepEnsemble(2), rounds=1, budget=20)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    run(config, whole)
    next(bal.run_loop(config, broken))
    assert len(run(config, broken, resume=True)) == 1
    assert_same_run(whole, broken)
    assert "name: test_whole:Mine" in (whole / "config.yaml").read_text()
