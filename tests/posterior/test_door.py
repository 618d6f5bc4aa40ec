"""What a head or a network could not be used for is said before anything is computed, and says what to do."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import HEADS_SMALL, LOSS, TINY, TRAIN, Pictures, slow_where
from runs import tiny

import bal
from bal.experiment.setup import set_up
from bal.posterior import door, training
from bal.posterior.heads import DeepEnsemble, MCDropout
from bal.posterior.model import Model
from bal.posterior.nets import UNet

W = np.ones((1, 3), np.float32)


def refused_values(params, x, s):
    raise ValueError("three channels\nare wanted")


def refused(fn, params: Any = W, classes: int = 3) -> str:
    """What is said of a function, before an image has been read."""
    source = Pictures([(20, 30), (33, 17), (32, 48)], test=1)
    source.classes = source.classes[:classes]
    with pytest.raises(bal.BadInput) as error:
        bal.score_pool(bal.FunctionHead(fn, 2), None, params, source)
    assert not source.read
    text = str(error.value)
    assert "\n" not in text
    return text


UNUSABLE = {
    "shape": (
        lambda p, x, s: x @ p[:, :2],
        "gives logits (2, 32, 32, 2) for images (2, 32, 32, 1), expected (2, 32, 32, 3)",
    ),
    "nchw": (
        lambda p, x, s: jnp.moveaxis(x @ p, -1, 1),
        "that is NCHW; put the classes last, jnp.moveaxis(logits, 1, -1)",
    ),
    "half": (
        lambda p, x, s: (x @ p)[:, ::2, ::2],
        "at 1/2 of the resolution; enlarge them, jax.image.resize(logits, (B,",
    ),
    "cropped": (lambda p, x, s: (x @ p)[:, 1:-1, 1:-1], "they are at another resolution"),
    "classes": (lambda p, x, s: jnp.concatenate([x, x], -1), "there are 3 classes, background included, not 2"),
    "no-batch": (lambda p, x, s: (x @ p)[0], "gives logits (32, 32, 3)"),
    "labels": (lambda p, x, s: jnp.zeros((*x.shape[:3], 3), jnp.int32), "gives int32, expected logits"),
    "dict": (lambda p, x, s: {"logits": x @ p}, "gives dict, expected one array"),
    "numpy": (lambda p, x, s: np.exp(x) @ p, "use jax.numpy there: NumPy and Python's numbers need values"),
    "branch": (lambda p, x, s: x @ p if s == 0 else x, "jnp.where and jax.lax.switch choose between values"),
    "mask": (lambda p, x, s: x[x > 0] @ p, "use jax.numpy there: a branch or a shape depends on values"),
    "arguments": (lambda p, x: x @ p, "takes 2 positional arguments but 3 were given"),
    "product": (lambda p, x, s: x @ p.T, "dot_general requires contracting dimensions to have the same shape"),
    "raises": (refused_values, "the function refused_values: three channels"),
}  # functions, and what is said of them


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_function_is_traced_before_an_image_is_read(name):
    fn, expected = UNUSABLE[name]
    assert expected in refused(fn)


def test_one_logit_of_two_classes():
    assert refused(lambda p, x, s: x, classes=2).endswith("jnp.concatenate([jnp.zeros_like(z), z], -1)")


def test_parameters_must_be_arrays():
    assert refused(lambda p, x, s: x @ W, params={"name": "text"}).startswith("params: ")


def test_a_function_must_have_a_sample():
    with pytest.raises(bal.BadInput, match="samples ≥ 1, got 0"):
        bal.FunctionHead(lambda p, x, s: x, samples=0)


@dataclass(frozen=True)
class Refuses(MCDropout):
    """Refuses to be trained on so small a patch."""

    def loss(self, net, params, batch, key, criterion):
        raise ValueError("the patch is too small")


@dataclass(frozen=True)
class ByPixel(MCDropout):
    """Forgets to average its loss."""

    def loss(self, net, params, batch, key, criterion):
        return batch.image.sum((1, 2, 3))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"head": Refuses(2)}, "Refuses.loss: the patch is too small"),
        ({"head": ByPixel(2)}, "ByPixel.loss gives .*expected one number"),
        ({"head": bal.FunctionHead(lambda p, x, s: x)}, "FunctionHead has no parameters of its own"),
        ({"net": UNet(width=12, norm="group")}, "group normalisation needs a multiple of 8 channels, got 12"),
    ],
    ids=["loss", "pixels", "function", "network"],
)
def test_a_run_refuses_what_its_head_and_network_refuse(changes, expected):
    with pytest.raises(bal.BadInput, match=expected):
        bal.run_loop(tiny(**changes))


@dataclass(frozen=True)
class Bound:
    """A U-Net without the sites that a head could use, or with logits of half the size."""

    net: Any
    half: bool = False
    channels, classes, stride = 1, 3, 2

    def init(self, key):
        return self.net.init(key)

    def encode(self, params, x, size, drop):
        return self.net.encode(params, x, size, lambda site, x: x)

    def bridge(self, params, code):
        return code

    def decode(self, params, code, drop):
        return self.net.decode(params, code, lambda site, x: x)

    def readout(self, params, features, drop):
        logits = self.net.readout(params, features, lambda site, x: x)
        return logits[:, ::2, ::2] if self.half else logits


def sampled(head, net):
    """The check of the door, for images of 16 × 24."""
    params = training.check(head, net, TRAIN)
    door.check_samples(Model(head, net, params, bal.CALIBRATORS["identity"](), None), (2, 16, 24))


def test_dropout_that_finds_no_site_is_no_posterior():
    with pytest.raises(bal.BadInput, match=r"its 20 samples are all the same, .* take --head deep_ensemble"):
        sampled(MCDropout(), Bound(TINY))
    sampled(MCDropout(samples=1), Bound(TINY))
    sampled(DeepEnsemble(2), Bound(TINY))


def test_a_network_of_half_the_size():
    with pytest.raises(bal.BadInput, match=r"DeepEnsemble on Bound gives logits .* at 1/2 of the resolution"):
        sampled(DeepEnsemble(2), Bound(TINY, half=True))


@pytest.mark.parametrize("name", slow_where(lambda n: n not in ("mc_dropout", "deep_ensemble"), HEADS_SMALL))
def test_our_own_heads_pass(name):
    sampled(HEADS_SMALL[name], TINY)
    training.check_loss(HEADS_SMALL[name], TINY, TRAIN, LOSS)


def test_a_function_that_ignores_the_number_of_the_sample():
    assert "the function <lambda>: its 2 samples are all the same" in refused(lambda p, x, s: x @ p).replace(
        "test_a_function_that_ignores_the_number_of_the_sample.<locals>.", ""
    )
    source = Pictures([(20, 30)], test=1)
    bal.score_pool(bal.FunctionHead(lambda p, x, s: x @ p), None, W, source, acquisition="entropy")


def test_a_network_in_one_piece_cannot_be_pretrained():
    """It gives the logits of classes, which have been compared with the channels of an image without an error."""
    net = bal.WholeNet(lambda key, x: jnp.ones((1, 3)), lambda params, x: x @ params)
    config = tiny(net=net, head=DeepEnsemble(2), train=dataclasses.replace(TRAIN, pretrain="denoise", start="cold"))
    with pytest.raises(bal.BadInput, match=r"gives 3 channels for images of 1.*--train\.pretrain none"):
        bal.run_loop(config)


def test_what_was_checked_is_not_traced_again():
    traced = []

    def fn(params, x, s):
        traced.append(x.shape)
        return x @ params

    head = bal.FunctionHead(fn, 2)
    model = Model(head, TINY, W, bal.CALIBRATORS["identity"](), None)
    for _ in range(3):
        door.check_logits(model, (1, 8, 8))
    assert traced == [(1, 8, 8, 1)]


def test_pixels_of_a_pool_are_looked_at_before_a_run_begins():
    @dataclass(frozen=True)
    class Spoilt:
        """Images, one of which has a hole."""

        def open(self):
            source = Pictures([(48, 48)] * 6)
            source.images["picture-1"][4, 5] = jnp.nan
            return source

    with pytest.raises(bal.BadInput, match="'picture-1': 1 of its 2304 pixels are NaN or infinite"):
        set_up(tiny(source=Spoilt()))


def test_tracing_takes_no_memory():
    out = door.traced("it", lambda x: x @ x, jax.ShapeDtypeStruct((10**6, 10**6), jnp.float32))
    assert out.shape == (10**6, 10**6)
