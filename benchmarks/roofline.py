"""How much of what this machine can compute do scoring and training use?

    python benchmarks/roofline.py

FLOP/s of scoring a batch (independent ensemble, batch as the scorer makes it) and of training steps (default head,
driven as `fit` drives it, and with a larger batch), against the best single convolution and the best matrix product on
all CPU devices. All take turns, and the fastest turn of each counts. FLOPs are those of convolutions and matrix
products alone, counted in the program as JAX traced it, and once more by XLA.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tyro
from jax.extend.core import jaxprs_in_params
from support import rows, timing
from support.pools import Cycle

from bal import Config
from bal.pool.units.tile import Tile
from bal.posterior import sampling
from bal.posterior.calibrators import Identity
from bal.posterior.descent import descents, step
from bal.posterior.heads import DeepEnsemble
from bal.posterior.heads.base import Head
from bal.posterior.model import Model
from bal.posterior.nets import UNet
from bal.posterior.patches import crop_around
from bal.posterior.recipe import Train
from bal.scoring.acquisitions import BALD
from bal.scoring.objective import Objective
from bal.scoring.score import score_batch
from bal.sources.batches import load
from bal.system import devices

NAME = "roofline"
CALLS = 8  # of a convolution, a product or a batch, one behind the other, for one measurement
STEPS = 24  # of training, likewise
Work = tuple[float, Callable[[], object]]  # FLOPs of one call, and the call; it returns once the result is there


@dataclass(frozen=True)
class Settings:
    convolutions: tuple[tuple[int, int, int], ...] = (
        (16, 64, 16),
        (16, 64, 32),
        (16, 32, 32),
        (16, 32, 64),
        (16, 16, 64),
    )
    """Batch, side and channels of the 3×3 convolutions that set the mark."""
    products: tuple[int, ...] = (512, 1024, 2048)
    """Sides of the square matrices, a product on each device."""
    members: int = 5
    """Independent networks that score."""
    batches: tuple[int, int] = (8, 32)
    """Patches a training step: as by default, and a larger batch."""
    repetitions: int = 9
    """Of everything, in turn; the fastest counts, since a mark is what the machine can do when nothing disturbs it."""


def flops(jaxpr: Any) -> float:
    """Of the convolutions and matrix products in a jaxpr, two for a multiplication with its addition."""
    total = 0.0
    for equation in jaxpr.eqns:
        out = equation.outvars[0].aval
        if equation.primitive.name == "conv_general_dilated":
            kernel = equation.invars[1].aval
            outputs = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
            total += 2 * out.size * kernel.size / outputs
        elif equation.primitive.name == "dot_general":
            (contracted, _), _ = equation.params["dimension_numbers"]
            total += 2 * out.size * math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
        inner = sum(flops(jaxpr) for jaxpr in jaxprs_in_params(equation.params))
        split = equation.params["mesh"].size if equation.primitive.name == "shard_map" else 1  # shapes are per device
        total += inner * split * equation.params.get("length", 1)
    return total


def counted(function: Callable[..., Any], *args: Any) -> float:
    """FLOPs of one call."""
    return flops(jax.make_jaxpr(function)(*args).jaxpr)


def by_xla(function: Callable[..., Any], *args: Any) -> float:
    """The same by the compiler, who also counts additions, maxima and the like; loops once."""
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), args)
    return jax.jit(function).lower(*like).compile().cost_analysis()["flops"]


def repeated(call: Callable[[], Any], times: int) -> Callable[[], object]:
    """The call, several times, and a wait for all of them."""
    return lambda: jax.block_until_ready([call() for _ in range(times)])


def convolution(batch: int, side: int, channels: int) -> Work:
    """A 3×3 convolution, the batch split over the devices."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((batch, side, side, channels), np.float32)
    kernel = rng.standard_normal((3, 3, channels, channels), np.float32)
    convolve = jax.jit(
        partial(
            jax.lax.conv_general_dilated,
            window_strides=(1, 1),
            padding="SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
    )
    args = devices.spread(x), devices.replicate(kernel)
    return CALLS * counted(convolve, x, kernel), repeated(lambda: convolve(*args), CALLS)


def product(side: int) -> Work:
    """A matrix product on every device, all at once."""
    rng = np.random.default_rng(0)
    places = devices.places(devices.mesh().size, side**2)
    pairs = [devices.replicate(tuple(rng.standard_normal((2, side, side), np.float32)), place) for place in places]
    multiply = jax.jit(jnp.matmul)
    return CALLS * 2.0 * side**3 * len(pairs), repeated(lambda: [multiply(*pair) for pair in pairs], CALLS)


def scoring(head: Head) -> tuple[Work, float]:
    """A batch of rendered logs; and how XLA counts the FLOPs of one sample, as a share of ours."""
    pool = Cycle(64)
    net = UNet().bind(pool.channels, len(pool.classes))
    params = devices.replicate(head.init(net, jax.random.key(0)))
    model = Model(head, net, params, Identity(), Identity().init(net.classes))
    batch = next(load(pool, pool.pool, math.lcm(net.stride, Tile().multiple)))
    score = partial(score_batch, model, Objective(BALD()), Tile(), batch.image, batch.size)

    def sample(params: Any, x: jax.Array, size: jax.Array) -> jax.Array:
        return head.logits(net, params, head.prepare(net, params, x, size), 0)

    one = params, batch.image, batch.size
    return (CALLS * counted(score), repeated(score, CALLS)), by_xla(sample, *one) / counted(sample, *one)


def training(train: Train) -> tuple[Work, float]:
    """Steps of the default head on labelled tiles of rendered logs, side by side as in `fit`; and XLA's count."""
    config, pool = Config(), Cycle(32)
    head, net = config.head, UNet().bind(pool.channels, len(pool.classes))
    crops = [crop_around(pool.image(id), pool.mask(id), (48, 48, 16, 16), train.patch) for id in pool.pool]
    stream = partial(sampling.batches, crops, train)
    under_way = descents(head, net, config.loss, train, stream, jax.random.key(0))

    def steps() -> None:
        for i in range(STEPS):
            for descent in under_way:
                descent.advance(i)
        jax.block_until_ready([descent.now.loss for descent in under_way])

    first = under_way[0]
    one = partial(step, *first.statics)
    args = first.now, next(first.batches), first.key, jnp.int32(0), jnp.float32(1e-3), jnp.float32(1)
    each = counted(one, *args)
    return (STEPS * len(under_way) * each, steps), by_xla(one, *args) / each


def measure(settings: Settings) -> dict[str, Any]:
    """GFLOP/s of everything."""
    works = {f"3×3 convolution, {b} × {s} × {s} × {c}": convolution(b, s, c) for b, s, c in settings.convolutions}
    works |= {f"matrix product, {side} × {side}": product(side) for side in settings.products}
    marks = list(works)
    xla = {}
    works["scoring"], xla["scoring"] = scoring(DeepEnsemble(settings.members))
    for batch in settings.batches:
        name = f"training, {batch} patches"
        works[name], xla[name] = training(Train(batch=batch))
    for _, work in works.values():
        work()
    taken = timing.interleave({name: work for name, (_, work) in works.items()}, settings.repetitions)
    rate = {name: works[name][0] / min(seconds) / 1e9 for name, seconds in taken.items()}
    best = max(rate[name] for name in marks)
    convolved = max(rate[name] for name in marks if "convolution" in name)
    row = {
        "gflops": rate,
        "xla_flops_by_ours": xla,
        "best_gflops": best,
        "best_convolution_gflops": convolved,
        "scoring_fraction": rate["scoring"] / best,
        "training_fraction": rate[f"training, {settings.batches[0]} patches"] / best,
        "training_fraction_large": rate[f"training, {settings.batches[1]} patches"] / best,
    }
    rows.append(NAME, row)
    return row


def table(row: dict[str, Any]) -> str:
    """One line for everything that was measured."""
    lines = [
        [
            name,
            f"{rate:.0f}",
            f"{rate / row['best_gflops']:.2f}",
            f"{rate / row['best_convolution_gflops']:.2f}",
            f"{row['xla_flops_by_ours'][name]:.2f}" if name in row["xla_flops_by_ours"] else "",
        ]
        for name, rate in row["gflops"].items()
    ]
    header = ["what", "GFLOP/s", "of the best", "of the best convolution", "FLOPs by XLA / by us"]
    heading = (
        "## Roofline\n\n`python benchmarks/roofline.py`: FLOP/s of convolutions and matrix products on all CPU "
        "devices; FLOPs of both alone are counted, XLA counts elementwise work too.\n\n"
    )
    return heading + rows.markdown(header, lines)


if __name__ == "__main__":
    settings = tyro.cli(Settings, description=__doc__)
    devices.set_up_platform()
    row = measure(settings)
    text = table(row)
    rows.publish(NAME, text)
    print(text)
    asked = (
        "scoring_fraction",
        "training_fraction",
        "training_fraction_large",
        "best_gflops",
        "best_convolution_gflops",
    )
    print(json.dumps({name: row[name] for name in asked}))
