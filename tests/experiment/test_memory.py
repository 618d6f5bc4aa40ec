"""What a run will hold: of the right order, never above what runs today, and refused before anything is allocated."""

from __future__ import annotations

import functools
import time
from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest
from runs import ROOT, TINY

from bal.config.resolve import load
from bal.config.schema import Config
from bal.experiment import memory
from bal.experiment.setup import set_up
from bal.pool.units import UNITS
from bal.posterior.heads import HEADS, DeepEnsemble, LastLayerSVI, MCDropout
from bal.posterior.heads.batch_ensemble import BatchEnsemble
from bal.posterior.losses import Loss
from bal.posterior.nets import UNet
from bal.posterior.nets.base import Net
from bal.posterior.recipe import Train
from bal.scoring.acquisitions import EPIG
from bal.selection.selectors import Allocation, BatchBALD, KMeans
from bal.selection.selectors.badge import Badge
from bal.sources import WellLog
from bal.sources.base import Source
from bal.system import devices
from bal.types import BadInput, Batch

GIB = 2**30
PRESETS = sorted((ROOT / "configs").glob("*.yaml"))
NETS = [UNet(8, 2), UNet(16, 2, stem=False), UNet(16, 1, norm="group")]
HERE = [MCDropout(), DeepEnsemble(1), DeepEnsemble(2, "encoder"), BatchEnsemble(2), LastLayerSVI()]


def bound(config: Config, source: Source) -> Net:
    return config.net.bind(source.channels, len(source.classes))


def parts(config: Config) -> dict[str, int]:
    source = config.source.open()
    return {part.what: part.bytes for part in memory.estimate(config, source, bound(config, source))}


def whole(config: Config) -> int:
    return sum(parts(config).values())


def of_compiler(function, *arguments) -> int:
    """Bytes that XLA plans for what a program computes on the way."""
    found = jax.jit(function).lower(*arguments).compile().memory_analysis()
    assert found is not None
    return found.temp_size_in_bytes


# Of the right order


@pytest.mark.parametrize("head", HERE, ids=repr)
@pytest.mark.parametrize("net", NETS[:1], ids=repr)
def test_a_training_step_is_what_the_compiler_plans_for(head, net):
    bound, loss, key = net.bind(1, 3), Loss(), jax.eval_shape(lambda: jax.random.key(0))
    rows = 4 * head.members
    params = jax.eval_shape(functools.partial(head.init, bound), key)
    shapes = {(rows, 64, 64, 1): jnp.float32, (rows, 64, 64): jnp.int32, (rows, 2): jnp.int32}
    batch = Batch._make(jax.ShapeDtypeStruct(shape, kind) for shape, kind in shapes.items())
    planned = of_compiler(jax.value_and_grad(lambda p, b, k: head.loss(bound, p, b, k, loss)), params, batch, key)
    assert planned / 3 < memory._step(head, bound, loss, 4, 64) < 2 * planned


@pytest.mark.parametrize("net", NETS, ids=repr)
def test_a_sample_of_a_batch_is_what_the_compiler_plans_for(net):
    bound = net.bind(1, 3)
    params = jax.eval_shape(bound.init, jax.eval_shape(lambda: jax.random.key(0)))
    image, size = jax.ShapeDtypeStruct((2, 96, 96, 1), jnp.float32), jax.ShapeDtypeStruct((2, 2), jnp.int32)
    head = DeepEnsemble(1, "encoder")

    def sample(params, image, size):
        stacked = jax.tree.map(lambda p: p[None], params)
        stacked["encoder"] = params["encoder"]
        return head.logits(bound, stacked, head.prepare(bound, stacked, image, size), 0)

    planned = of_compiler(sample, params, image, size)
    assert planned / 3 < memory._forward(head, bound, 2, 96, 96) < 2 * planned


@pytest.mark.parametrize("head", [cls() for cls in HEADS.values()], ids=list(HEADS))
def test_weights_are_counted_to_the_byte(head):
    net = UNet(8, 2).bind(3, 4)
    like = jax.eval_shape(functools.partial(head.init, net), jax.random.key(0))
    expected = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
    assert memory._of_head(head, functools.partial(memory._weights, net))[0] == expected


@pytest.mark.parametrize("make", [BatchEnsemble, DeepEnsemble, functools.partial(DeepEnsemble, share="encoder")])
def test_many_members_are_counted_by_what_each_adds(make):
    net, head = UNet(8, 1).bind(1, 3), make(9)
    like = jax.eval_shape(functools.partial(head.init, net), jax.random.key(0))
    expected = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(like))
    assert memory._of_head(head, functools.partial(memory._weights, net))[0] == expected


def test_the_regions_of_a_pool_are_counted():
    for unit in (UNITS["tile"](), UNITS["tile"](7), UNITS["image"](), UNITS["pixel"]()):
        setup = set_up(replace(TINY, unit=unit, start=6, budget=6, audit=0.0))
        assert f"the {setup.costs.size:,} regions of the pool" in parts(setup.config)
        regions = setup.regions
        held = [regions.image, regions.region, regions.box, regions.pixels, regions.start, setup.costs]
        assert sum(array.nbytes for array in held) <= 2 * memory.REGION * (setup.costs.size + 10)


def test_what_a_selector_reads_of_each_region_is_counted():
    """Allocation: by_predicted and audited, of 3 classes each, and what an image looks like."""
    config = replace(TINY, unit=UNITS["tile"]())
    source = config.source.open()
    setup = set_up(config)
    plain, more = (
        memory.estimate(replace(config, selector=chosen), source, setup.net)[0].bytes
        for chosen in (config.selector, Allocation())
    )
    assert more - plain == setup.costs.size * 4 * (3 + 3 + setup.appearance.shape[1])


@pytest.mark.parametrize(
    "more",
    [
        {"net": UNet(64)},
        {"net": UNet(depth=5)},
        {"head": DeepEnsemble(40)},
        {"train": Train(batch=512)},
        {"train": Train(patch=512)},
        {"source": WellLog(512, 2048)},
        {"source": WellLog(pool=10_000)},
        {"source": WellLog(test=10_000)},
        {"unit": UNITS["pixel"]()},
        {"selector": Badge(), "source": WellLog(pool=10_000), "net": UNet(256)},
        {"acq": EPIG(targets=512)},
    ],
    ids=str,
)
def test_more_takes_more(more):
    assert whole(replace(Config(), **more)) > 1.2 * whole(Config())


# What runs today runs


@pytest.mark.parametrize("head", HEADS)
def test_defaults_need_little(head, monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda: GIB // 4)
    config = replace(Config(), head=HEADS[head]())
    source = config.source.open()
    memory.check(config, source, bound(config, source))


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_need_little(path, monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda: GIB)
    config = load(path)
    size = (config.source.height, config.source.width) if isinstance(config.source, WellLog) else (512, 512)
    source = WellLog(*size, pool=2000, test=500)
    opened = source.open()
    memory.check(replace(config, source=source), opened, bound(config, opened))


def test_real_logs_need_little(monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda: 4 * GIB)
    source = WellLog(640, 12800, pool=200, test=50)
    opened = source.open()
    memory.check(replace(Config(), source=source), opened, bound(Config(), opened))


def test_what_cannot_be_traced_is_not_refused():
    class Opaque(MCDropout):
        def init(self, net, key):
            raise TypeError("not here")

    config = replace(TINY, head=Opaque())
    assert 0 < whole(config) < GIB


# What cannot run is refused


@pytest.mark.parametrize(
    ("more", "lower"),
    [
        ({"net": UNet(8192)}, "lower net.width or net.depth"),
        ({"net": UNet(16, 12)}, "lower net.width or net.depth"),
        ({"net": UNet(2**16, 12)}, "lower net.width or net.depth"),
        ({"head": DeepEnsemble(10**9)}, "the members of the head (1000000000)"),
        ({"head": DeepEnsemble(2**62, "encoder")}, "the members of the head"),
        ({"head": BatchEnsemble(2**62)}, "the members of the head"),
        ({"train": Train(batch=2**20, patch=2**10)}, "lower train.batch (1048576), train.patch (1024)"),
        ({"train": Train(patch=2**14, batch=64)}, "train.patch (16384)"),
        ({"source": WellLog(4096, 4096, pool=10**6), "unit": UNITS["pixel"]()}, "use fewer images or larger regions"),
        ({"source": WellLog(4096, 4096), "acq": EPIG(targets=10**5)}, "lower acq.targets (100000)"),
        ({"source": WellLog(4096, 4096), "net": UNet(2048)}, "lower net.width"),
    ],
    ids=str,
)
def test_what_is_too_large_is_refused_with_the_estimate_and_what_to_lower(more, lower, monkeypatch):
    monkeypatch.setattr(devices, "memory", lambda: 64 * GIB)
    began = time.monotonic()
    with pytest.raises(BadInput) as error:
        set_up(replace(Config(), **more))
    message = str(error.value)
    assert message.startswith("the run would take about ")
    assert "and there are 64.0 GiB" in message
    assert lower in message
    assert "\n" not in message
    assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    "make",
    [
        lambda: UNet(depth=10**9),
        lambda: UNet(width=2**62),
        lambda: Train(steps=2**62),
        lambda: Train(batch=2**62),
        lambda: Train(patch=2**62),
        lambda: Train(later_steps=2**62),
        lambda: Train(pretrain_steps=2**62),
        lambda: LastLayerSVI(rank=2**62),
        lambda: LastLayerSVI(pixels_per_class=2**62),
        lambda: KMeans(iterations=2**62),
        lambda: BatchBALD(exact=2**62),
        lambda: BatchBALD(shortlist=2**62),
    ],
)
def test_numbers_that_no_machine_could_use(make):
    with pytest.raises(ValueError, match=r"1 to |8 to |≤"):
        make()


def test_samples_that_would_never_end():
    with pytest.raises(BadInput, match=r"the head has 1000000000 samples"):
        set_up(replace(TINY, head=MCDropout(samples=10**9)))


def test_a_page_that_cannot_be_drawn(monkeypatch):
    from bal.sources import well_log

    monkeypatch.setattr(well_log, "memory", lambda: GIB)
    with pytest.raises(BadInput, match=r"to draw 16384 x 16384 pixels takes about 9.2 GiB, and there are 1.0"):
        WellLog(16384, 16384).open()


# What there is


def test_limits_of_a_control_group(monkeypatch, tmp_path):
    limit, none = tmp_path / "memory.max", tmp_path / "other"
    limit.write_text("12345678\n")
    none.write_text("max\n")
    for files, expected in (([], None), ([none, tmp_path / "missing"], None), ([none, limit], 12345678)):
        devices.memory.cache_clear()
        monkeypatch.setattr(devices, "_control_groups", lambda files=files: files)
        assert devices.memory() == expected if expected else devices.memory() > 2**26
    devices.memory.cache_clear()
