"""How fast is a pool scored, against what people use today?

    python -m pip install -e '.[peers]' && python benchmarks/throughput.py

BALD of 16 × 16 tiles over rendered 128 × 128 well logs held in memory, by the default network with the same weights
everywhere, in three posteriors. Contenders take turns on all cores:

- bal: `bal.score_pool`;
- Baal 2.1: its wrapper and its heuristic in each of its modes (`baal_scorer.py`), its own masks at the same sites;
- PyTorch by hand: `torch_scorer.py`, with bal's masks; eager, and compiled by TorchInductor.

The peers' batch is the fastest of a few. First calls, with whatever the caches on disk hold, are given apart.
"""

from __future__ import annotations

import functools
import json
import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro
from support import baal_scorer, rows, timing, torch_scorer
from support.pools import Cycle
from support.torch_net import TorchUNet, fused

import bal
from bal.posterior.heads import DeepEnsemble, MCDropout
from bal.posterior.heads.base import Head
from bal.posterior.nets import UNet
from bal.posterior.nets.unet import BoundUNet
from bal.system import devices
from bal.types import Params

NAME = "throughput"
TOP = 100
CACHED = "Baal, generator, cached"  # not one of its three documented modes, and faster: its ratio is given apart
TIE = 1e-6  # nats: closer than this to the last of the top, a candidate may be on either side


@dataclass(frozen=True)
class Settings:
    images: int = 64
    """Images a call of bal and of PyTorch by hand."""
    baal_images: int = 16
    """Images a call of Baal, which is slower and whose memory grows with them."""
    samples: int = 20
    """Samples of MC dropout."""
    rate: float = 0.1
    """Its rate."""
    members: int = 5
    """Networks of the ensemble."""
    repetitions: int = 7
    """Rounds in which every contender is called once."""
    batches: tuple[int, ...] = (2, 4, 8, 16)
    """Batches that PyTorch by hand may choose from."""
    baal_batches: tuple[int, ...] = (2, 4)
    """Batches that Baal may choose from; 1, 8 and 16 were slower in every mode."""
    compile: bool = True
    """Measure PyTorch by hand under TorchInductor too; needs a C++ compiler."""


class Posterior(NamedTuple):
    """One head, and what is needed to build the same in PyTorch."""

    head: Head
    params: Params  # of the head
    networks: list[Params]  # of its one network, or of each member
    dropped: tuple[str, ...]  # first letters of the sites that drop
    start: torch_scorer.Starts


class Call(NamedTuple):
    """A contender, ready to be called."""

    peer: str
    work: Callable[[], np.ndarray]  # → [N, …] or [M] tile scores
    images: int
    batch: int | None
    first: float  # seconds of the first call


def some_weights(net: BoundUNet, seed: int) -> Params:
    """Initial weights, nothing left at 0 or 1, with logits about as far apart as those of a trained network."""
    params = jax.jit(net.init)(jax.random.key(seed))
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(jax.random.key(seed + 1000), len(leaves))
    params = jax.tree.unflatten(
        tree, [p + 0.1 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    )
    params["readout"] = jax.tree.map(lambda p: p / 20, params["readout"])
    return params


def posteriors(net: BoundUNet, settings: Settings) -> dict[str, Posterior]:
    """What is scored with."""
    one = some_weights(net, 0)
    several = [some_weights(net, seed) for seed in range(settings.members)]
    head = MCDropout(settings.samples, settings.rate, where="features")
    decoder = MCDropout(settings.samples, settings.rate, where="decoder")
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    return {
        "mc_dropout_head": Posterior(head, one, [one], ("features",), "features"),
        "mc_dropout_decoder": Posterior(decoder, one, [one], ("bottleneck", "decoder", "features"), "code"),
        "ensemble": Posterior(DeepEnsemble(settings.members), stacked, several, (), "image"),
    }


def masks(head: MCDropout, net: BoundUNet, s: int) -> dict[str, np.ndarray]:
    """bal's masks of sample s, [F] by site: what its dropout makes of ones."""
    drop = head.masks(s)
    widths = net.settings.widths
    sizes = {"bottleneck": widths[-1], "features": widths[0]}
    sizes |= {f"decoder_{level}": widths[level] for level in range(1, len(widths) - 1)}
    return {site: np.array(drop(site, jnp.ones((1, 1, 1, size)))).ravel() for site, size in sizes.items()}


def torch_call(post: Posterior, net: BoundUNet, images: torch.Tensor, settings: Settings, compiled: bool) -> Call:
    """PyTorch by hand, in its fastest batch."""
    models = [fused(TorchUNet(net, params)) for params in post.networks]
    if isinstance(post.head, MCDropout):
        samples = [torch_scorer.weights(models[0], masks(post.head, net, s)) for s in range(post.head.samples)]
    else:
        samples = [torch_scorer.weights(model) for model in models]
    scorer = torch_scorer.TorchScorer(models[0], samples, post.start, net.classes)
    scorer = scorer.compiled() if compiled else scorer
    peer = "PyTorch by hand" + (", compiled" if compiled else "")
    return quickest(peer, lambda batch: lambda: scorer(images, batch), settings.batches, len(images))


def baal_call(
    post: Posterior, net: BoundUNet, images: torch.Tensor, settings: Settings, mode: baal_scorer.Mode
) -> Call:
    """One mode of Baal, in its fastest batch. Channels-last maps, scales in the kernels and a softmax at the end of
    the network, where PyTorch does it rather than scipy, make Baal faster than it would be without."""

    def network(params: Params) -> torch.nn.Module:
        return torch.nn.Sequential(fused(TorchUNet(net, params, post.dropped, settings.rate)), torch.nn.Softmax(1))

    def make(batch: int) -> Callable[[], np.ndarray]:
        if isinstance(post.head, MCDropout):
            return baal_scorer.dropout(network(post.networks[0]), images, post.head.samples, batch, mode)
        return baal_scorer.ensemble([network(params) for params in post.networks], images, batch, mode)

    return quickest(f"Baal, {mode}", make, settings.baal_batches, len(images))


def quickest(peer: str, make: Callable[[int], Callable], batches: tuple[int, ...], images: int) -> Call:
    """The contender in the batch whose second of two calls is the fastest."""
    calls = []
    for batch in batches:
        work = make(batch)
        first = timing.seconds(work)
        calls.append((timing.seconds(work), Call(peer, work, images, batch, first)))
    return min(calls, key=lambda call: call[0])[1]


def contenders(post: Posterior, net: BoundUNet, source: Cycle, settings: Settings) -> Iterator[Call]:
    """bal, then every peer; each has been called."""
    params = devices.replicate(post.params)  # as training leaves them
    work = functools.partial(bal.score_pool, post.head, net, params, source)
    yield Call("bal", lambda: work()[1], settings.images, None, timing.seconds(work))
    images = torch.from_numpy(np.stack([source.image(id).transpose(2, 0, 1) for id in source.pool]))
    for compiled in (False, True) if settings.compile else (False,):
        yield torch_call(post, net, images, settings, compiled)
    for mode in get_args(baal_scorer.Mode):
        if isinstance(post.head, MCDropout) or mode in ("whole pool", "generator"):
            yield baal_call(post, net, images[: settings.baal_images], settings, mode)


def agreement(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """The largest difference of two scores, and the share of their top that is in ours, ties aside."""
    top = np.argsort(-theirs)[:TOP]
    return float(np.abs(ours - theirs).max()), float(np.mean(ours[top] >= np.sort(ours)[-len(top)] - TIE))


def measure(name: str, post: Posterior, net: BoundUNet, source: Cycle, settings: Settings) -> dict[str, Any]:
    """Times the contenders of one posterior, writes their rows, and returns what the last line says of it."""
    calls = list(contenders(post, net, source, settings))
    scores = {call.peer: call.work().ravel() for call in calls if not call.peer.startswith("Baal")}
    differences, overlaps = zip(*(agreement(scores["bal"], s) for p, s in scores.items() if p != "bal"), strict=True)
    taken = timing.interleave({call.peer: call.work for call in calls}, settings.repetitions)
    each = {call.peer: [1000 * t / call.images for t in taken[call.peer]] for call in calls}  # ms an image
    for call in calls:
        row = {"posterior": name, "contender": call.peer, "batch": call.batch, "images": call.images}
        row |= {"ms": timing.median(each[call.peer]), "ms_fastest": min(each[call.peer]), "first_s": call.first}
        row |= {"times_bal": timing.ratio(each[call.peer], each["bal"]), "repetitions": settings.repetitions}
        rows.append(NAME, {**row, "cores": torch.get_num_threads()})
    result: dict[str, Any] = {"difference": max(differences), "overlap": min(overlaps)}
    modes = {"Baal": tuple(m for m in each if m.startswith("Baal") and m != CACHED), "cached": (CACHED,)}
    modes["PyTorch"] = tuple(m for m in each if m.startswith("PyTorch"))
    for peer, own in modes.items():
        times = {mode: each[mode] for mode in own if mode in each}
        if times:
            result[peer] = timing.ratio(times[timing.fastest(times)], each["bal"])
    return result


def table(settings: Settings, results: dict[str, dict[str, Any]]) -> str:
    """The last row of every contender."""
    last = {(r["posterior"], r["contender"]): r for r in rows.read(NAME)}
    lines = [
        [
            *key,
            str(r["batch"] or ""),
            f"{r['ms']:.2f} ({r['ms_fastest']:.2f})",
            f"{r['times_bal']:.2f}",
            f"{r['first_s']:.1f}",
        ]
        for key, r in sorted(last.items(), key=lambda item: (list(results).index(item[0][0]), item[1]["ms"]))
    ]
    difference, overlap = max(r["difference"] for r in results.values()), min(r["overlap"] for r in results.values())
    heading = (
        f"## Throughput\n\n`python benchmarks/throughput.py`: BALD of 16 × 16 tiles on 128 × 128 well logs, default "
        f"network, {settings.samples} samples of MC dropout (before the output layer, or in the whole decoder), "
        f"{settings.members} members of the ensemble; {torch.get_num_threads()} CPU cores. Milliseconds an image: "
        f"median of {settings.repetitions} rounds, in brackets the fastest; times as long as bal: median over rounds. "
        f"With the same weights and masks, scores of bal and of PyTorch by hand differ by at most {difference:.1e} "
        f"nats, and {overlap:.0%} of the top {TOP} are the same.\n\n"
    )
    header = ["posterior", "contender", "batch", "ms an image", "times bal", "first call, s"]
    return heading + rows.markdown(header, lines)


def main(settings: Settings) -> None:
    """Measures all posteriors and publishes the table; the last line printed is the summary."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    warnings.filterwarnings("ignore", "No layer was modified")  # Baal's, of networks it has patched before
    source = Cycle(settings.images, distinct=settings.images)
    seen = np.stack([source.image(id) for id in source.pool])
    net = UNet().bind(source.channels, len(source.classes), (float(seen.mean()),), (float(seen.std()),))
    results = {}
    for name, post in posteriors(net, settings).items():
        results[name] = measure(name, post, net, source, settings)
        print(name, results[name], flush=True)
    text = table(settings, results)
    rows.publish(NAME, text)
    print(text)
    summary = {f"{name}_vs_baal": round(r["Baal"], 3) for name, r in results.items()}
    summary |= {f"{name}_vs_baal_cached": round(r["cached"], 3) for name, r in results.items() if "cached" in r}
    summary |= {f"{name}_vs_torch": round(r["PyTorch"], 3) for name, r in results.items()}
    summary["max_score_difference"] = max(r["difference"] for r in results.values())
    summary["top100_overlap"] = min(r["overlap"] for r in results.values())
    print(json.dumps(summary))


if __name__ == "__main__":
    devices.set_up_platform()
    main(tyro.cli(Settings, description=__doc__))
