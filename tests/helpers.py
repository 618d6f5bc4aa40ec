"""What several test files share."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import itertools
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.posterior.calibrators import Identity
from bal.posterior.heads import HEADS, BatchEnsemble, DeepEnsemble, LastLayerLaplace, LastLayerSVI, MCDropout
from bal.posterior.heads._plain import keep
from bal.posterior.losses import Loss
from bal.posterior.model import Model
from bal.posterior.nets import UNet
from bal.posterior.recipe import Train
from bal.posterior.training import finish
from bal.types import IGNORE, Batch

CLASSES = 3
TINY = UNet(width=8, depth=0).bind(1, CLASSES)  # compiles in a third of the time, for tests that train
TRAIN = Train(steps=30, batch=4, patch=16, rate=1e-2, start="cold", foreground=0.0, brightness=0.0)
LOSS = Loss("cross_entropy")
SMALL = {
    "mc_dropout": MCDropout(samples=4, rate=0.3),
    "mc_dropout-features": MCDropout(samples=4, rate=0.3, where="features"),
    "mc_dropout-all": MCDropout(samples=4, rate=0.3, where="all"),
    "deep_ensemble": DeepEnsemble(3),
    "deep_ensemble-encoder": DeepEnsemble(3, share="encoder"),
    "batch_ensemble": BatchEnsemble(2, spread=0.1),
    "last_layer_svi": LastLayerSVI(samples=3, rank=2, steps=5, pixels_per_class=32),
    "last_layer_laplace": LastLayerLaplace(samples=3, lowest=10.0),
}  # heads that would be slow to test as they come, and their kinds, after a dash
HEADS_SMALL = {name: cls() for name, cls in HEADS.items() if name not in SMALL} | SMALL  # every head of the table


few_and_many = pytest.mark.parametrize("examples", [50, pytest.param(300, marks=pytest.mark.slow)])


def slow_where(rest: Callable[[Any], bool], values: Iterable[Any]) -> list[Any]:
    """Parameters of a test: some always, and the rest, of which no other outcome is expected, with the slow tests."""
    return [
        pytest.param(*(v if isinstance(v, tuple) else (v,)), marks=[pytest.mark.slow] if rest(v) else [])
        for v in values
    ]


def check_settings(cls: type, *args: object) -> None:
    """An entry of an extension table: frozen, hashable, equal to its like, and documented field by field."""
    one = cls(*args)
    assert one == cls(*args)
    assert hash(one) == hash(cls(*args))
    assert dataclasses.is_dataclass(cls)
    assert cls.__dataclass_params__.frozen, f"{cls.__name__} is not frozen"
    assert cls.__doc__
    assert "(" not in cls.__doc__.splitlines()[0], f"{cls.__name__} has no docstring of its own"
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0].body
    documented = {
        a.target.id
        for a, b in itertools.pairwise(body)
        if isinstance(a, ast.AnnAssign) and isinstance(b, ast.Expr) and isinstance(b.value, ast.Constant)
    }
    undocumented = {f.name for f in dataclasses.fields(cls)} - documented
    assert not undocumented, f"{cls.__name__}: no docstring below {sorted(undocumented)}"


def check_protocol(cls: type, protocol: type) -> None:
    """Every member of a Protocol is there, and every method takes the parameters of the same names in that order."""
    for name, member in vars(protocol).items():
        if name.startswith("_") and name != "__call__":
            continue
        assert hasattr(cls, name) or name in {f.name for f in dataclasses.fields(cls)}, f"{cls.__name__} has no {name}"
        if inspect.isfunction(member):
            assert list(inspect.signature(getattr(cls, name)).parameters) == list(inspect.signature(member).parameters)


@functools.partial(jax.jit, static_argnames="net")
def forward(net, params, x, size=None):
    """[B, H, W, C] logits of a network as it is."""
    return net.readout(params, net.decode(params, net.encode(params, x, size, keep), keep), keep)


@functools.partial(jax.jit, static_argnames=("head", "net"))
def sample(head, net, params, x, size, s):
    """[B, H, W, C] logits of one posterior sample."""
    return head.logits(net, params, head.prepare(net, params, x, size), s)


@functools.lru_cache
def ask(head, net, calibrator=None) -> Model:
    """A model with its initial parameters; what a head fits after training, it has fitted to noise."""
    calibrator = calibrator or Identity()
    params = jax.jit(head.init, static_argnums=0)(net, jax.random.key(1))
    params = finish(head, net, params, labelled_noise(net), jax.random.key(2))
    return Model(head, net, params, calibrator, calibrator.init(net.classes))


def labelled_noise(net, rows: int = 4, side: int = 16) -> Batch:
    """Noise images with noise labels, a quarter of them missing."""
    rng = np.random.default_rng(2)
    label = rng.integers(0, net.classes, (rows, side, side), np.int32)
    label[:, : side // 2, : side // 2] = IGNORE
    image = rng.standard_normal((rows, side, side, net.channels)).astype(np.float32)
    return Batch(jnp.asarray(image), jnp.asarray(label), jnp.full((rows, 2), side))


def bucketed(images: Sequence[np.ndarray], shape: tuple[int, int], fill: float) -> tuple[np.ndarray, np.ndarray]:
    """[H, W, Cin] images in one padded shape, with `fill` times noise where there is no image; and their sizes."""
    noise = np.random.default_rng(1).standard_normal((len(images), *shape, images[0].shape[-1]))
    x = (fill * noise).astype(np.float32)
    for row, image in zip(x, images, strict=True):
        row[: image.shape[0], : image.shape[1]] = image
    return x, np.array([image.shape[:2] for image in images], np.int32)


class Pictures:
    """A source of noise images with noise masks, of given shapes; notes which images were read."""

    classes = ("background", "one", "two")
    channels = 1

    def __init__(self, shapes: Sequence[tuple[int, int]], test: int = 2, seed: int = 0):
        rng = np.random.default_rng(seed)
        ids = tuple(f"picture-{n}" for n in range(len(shapes)))
        self.images = {id: rng.random((*shape, 1), np.float32) for id, shape in zip(ids, shapes, strict=True)}
        self.masks = {id: rng.integers(0, 3, shape, np.int32) for id, shape in zip(ids, shapes, strict=True)}
        self.pool, self.test = ids[: len(ids) - test], ids[len(ids) - test :]
        self.read: list[str] = []

    def shape(self, id: str) -> tuple[int, int]:
        return self.masks[id].shape

    def image(self, id: str) -> np.ndarray:
        self.read.append(id)
        return self.images[id].copy()

    def mask(self, id: str) -> np.ndarray:
        return self.masks[id].copy()


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the last axis, in float64."""
    z = np.asarray(logits, np.float64)
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def in_subprocess(code: str, devices: int = 1) -> str:
    """What a fresh interpreter with so many CPU devices prints when it runs some code."""
    here = os.path.dirname(os.path.abspath(__file__))
    path = os.pathsep.join(filter(None, [here, os.path.dirname(here), os.environ.get("PYTHONPATH")]))
    start = "import jax\n" + "".join(
        f"jax.config.update({name!r}, {value!r})\n"
        for name, value in (("jax_num_cpu_devices", devices), ("jax_disable_most_optimizations", True))
    )
    done = subprocess.run(
        [sys.executable, "-c", start + textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout
