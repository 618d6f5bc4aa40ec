"""How long does a training step take, against PyTorch?

    python -m pip install -e '.[peers]' && python benchmarks/training.py

The same network, weights, batches, loss and AdamW on both sides, batches ready before the clock starts; and bal once
more as it is used, its patches cut and changed while the step before is under way. bal takes its steps as
`bal.posterior.training.fit` does, one `Descent` for every member, wherever `bal.system.devices.places` puts it. PyTorch
trains one network with all threads on each step, in both memory formats; several one after the other like that, or
side by side, each on a Python thread that computes alone.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
import optax
import torch
import tyro
from support import rows, timing
from support.pools import Cycle
from support.torch_net import TorchUNet, converted
from torch.nn import functional as F

from bal import Config
from bal.pool.labels import IGNORE
from bal.pool.regions import lay_out
from bal.pool.units.tile import Tile
from bal.posterior import sampling
from bal.posterior.descent import descents
from bal.posterior.heads import DeepEnsemble
from bal.posterior.losses import Loss
from bal.posterior.nets.unet import BoundUNet
from bal.posterior.patches import Crop, crop_around
from bal.posterior.recipe import Train
from bal.system import devices
from bal.types import Batch

NAME = "training"
CASES = {"single": (1, 8, 32), "single, 64": (1, 16, 64), "ensemble": (4, 8, 32)}  # members, batch, patch
FORMATS = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
TOLERANCE = 1e-5  # of a parameter after three steps, which together move it by at most 2.6e-4
BAL, ON_THE_WAY = "bal", "bal, patches cut on the way"
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Settings:
    steps: int = 20
    """Steps a call of every contender."""
    repetitions: int = 9
    """Rounds in which every contender is called once."""
    labels: int = 64
    """Labelled tiles that batches are drawn from."""
    batches: int = 8
    """Different batches, taken in turn."""


def crops(source: Cycle, count: int, patch: int) -> list[Crop]:
    """Random tiles around which a patch is labelled nowhere but in the tile itself."""
    regions = lay_out(Tile(), source.pool, [source.shape(id) for id in source.pool])
    found = []
    chosen = np.random.default_rng(0).choice(regions.image.size, count, replace=False)
    for region in regions.describe(chosen):
        top, left, height, width = region.box
        own = slice(top, top + height), slice(left, left + width)
        label = np.full(source.shape(region.image), IGNORE, np.int32)
        label[own] = source.mask(region.image)[own]
        found.append(crop_around(source.image(region.image), label, region.box, patch))
    return found


class Ours:
    """The members of an ensemble trained by bal, on `batches` that are ready, or on a stream of them."""

    def __init__(self, members: int, net: BoundUNet, train: Train, examples: Sequence[Crop], batches: int = 0):
        stream = functools.partial(sampling.batches, examples, train)
        self.descents = descents(DeepEnsemble(members), net, Loss("cross_entropy"), train, stream, jax.random.key(0))
        self.batches: list[list[Batch]] = [list(itertools.islice(d.batches, batches)) for d in self.descents]
        for descent, own in zip(self.descents, self.batches, strict=True):
            descent.batches = itertools.cycle(own) if batches else descent.batches
        self.start, self.done = self.params(), 0

    def params(self) -> list[Any]:
        """Of each member, on the host."""
        return [jax.tree.map(lambda p: np.array(p)[0], descent.now.params) for descent in self.descents]

    def advance(self, steps: int) -> list[float]:
        """Takes steps and waits for them; the last loss of each member."""
        for _ in range(steps):
            for descent in self.descents:
                descent.advance(self.done)
            self.done += 1
        jax.block_until_ready([descent.now.params for descent in self.descents])
        return [descent.look() / steps for descent in self.descents]


class Theirs:
    """The same members trained by PyTorch."""

    def __init__(self, ours: Ours, net: BoundUNet, train: Train, form: torch.memory_format, side_by_side: bool):
        self.members = [TorchUNet(net, params).to(memory_format=form) for params in ours.start]
        self.optimisers = [
            torch.optim.AdamW(m.parameters(), betas=(0.9, 0.99), eps=1e-8, weight_decay=train.decay, fused=True)
            for m in self.members
        ]
        warm = max(1, train.steps // 20)
        self.rate = optax.warmup_cosine_decay_schedule(0.0, train.rate, warm, train.steps)
        self.rates = [float(self.rate(i)) for i in range(train.steps)]
        self.batches = [[_tensors(batch, form) for batch in own] for own in ours.batches]
        self.pool = ThreadPoolExecutor(CORES) if side_by_side else None
        self.done = 0

    def advance(self, steps: int) -> list[float]:
        """Takes steps; the last loss of each member."""
        first, self.done = self.done, self.done + steps
        numbers = range(len(self.members))
        if self.pool:
            losses = list(self.pool.map(lambda e: self._alone(e, first, steps), numbers))
        else:
            torch.set_num_threads(CORES)
            losses = [[self._step(e, i) for e in numbers] for i in range(first, first + steps)][-1]
        return [float(loss) for loss in losses]

    def _alone(self, e: int, first: int, steps: int) -> torch.Tensor:
        torch.set_num_threads(1)
        return [self._step(e, i) for i in range(first, first + steps)][-1]

    def _step(self, e: int, i: int) -> torch.Tensor:
        model, optimiser = self.members[e], self.optimisers[e]
        image, label = self.batches[e][i % len(self.batches[e])]
        optimiser.param_groups[0]["lr"] = self.rates[i % len(self.rates)]
        loss = F.cross_entropy(model(image), label, ignore_index=IGNORE)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.detach()


def _tensors(batch: Batch, form: torch.memory_format) -> tuple[torch.Tensor, torch.Tensor]:
    """Image [B, Cin, H, W] and label [B, H, W] of a batch whose every pixel is valid."""
    assert batch.size is None
    image = torch.from_numpy(np.array(batch.image)).permute(0, 3, 1, 2)
    return image.contiguous(memory_format=form), torch.from_numpy(np.array(batch.label)).long()


def gap(ours: Ours, theirs: Theirs, net: BoundUNet) -> float:
    """The largest difference of a parameter, over all members."""
    pairs = [(converted(net, p), m.state_dict()) for p, m in zip(ours.params(), theirs.members, strict=True)]
    return max(float((own[name] - other[name]).abs().max()) for own, other in pairs for name in own)


def measure(case: str, net: BoundUNet, source: Cycle, settings: Settings) -> dict[str, float]:
    """Checks and times one case, writes its rows, and returns what the last line says of it."""
    members, batch, patch = CASES[case]
    train = Train(batch=batch, patch=patch)
    examples = crops(source, settings.labels, patch)
    first, ours = {}, Ours(members, net, train, examples, settings.batches)
    peers: dict[str, Theirs] = {}
    for name, form in FORMATS.items():
        for side_by_side in (False, True) if members > 1 else (False,):
            how = ", side by side" if side_by_side else ""
            peers[f"PyTorch, {name}{how}"] = Theirs(ours, net, train, form, side_by_side)
    losses: dict[str, list[float]] = {}
    contenders: dict[str, Ours | Theirs] = {BAL: ours, **peers, ON_THE_WAY: Ours(members, net, train, examples)}
    for name, contender in contenders.items():
        first[name] = timing.seconds(lambda c=contender, n=name: losses.update({n: c.advance(1)}))
        contender.advance(2)
    apart = max(abs(a - b) for name in peers for a, b in zip(losses[BAL], losses[name], strict=True))
    moved = max(gap(ours, peer, net) for peer in peers.values())
    if moved > TOLERANCE:
        raise AssertionError(f"{case}: after three steps a parameter differs by {moved:.1e}, more than {TOLERANCE:.0e}")
    work: dict[str, Callable[[], Any]] = {n: lambda c=c: c.advance(settings.steps) for n, c in contenders.items()}
    for call in work.values():
        call()
    each = {
        name: [1000 * t / settings.steps for t in taken]
        for name, taken in timing.interleave(work, settings.repetitions).items()
    }  # ms a step
    for name, taken in each.items():
        row = {"case": case, "contender": name, "members": members, "batch": batch, "patch": patch}
        row |= {"ms": timing.median(taken), "ms_fastest": min(taken), "times_bal": timing.ratio(taken, each[BAL])}
        rows.append(NAME, {**row, "first_s": first[name], "cores": CORES, "repetitions": settings.repetitions})
    best = timing.fastest({name: each[name] for name in peers})
    found = {"torch": timing.ratio(each[best], each[BAL]), "loss": apart, "parameter": moved}
    return found | {"input": timing.ratio(each[ON_THE_WAY], each[BAL])}


def table(settings: Settings, results: dict[str, dict[str, float]]) -> str:
    """The last row of every contender."""
    last = {(r["case"], r["contender"]): r for r in rows.read(NAME)}
    lines = [
        [
            r["case"],
            f"{r['members']} × {r['batch']} × {r['patch']}²",
            r["contender"],
            f"{r['ms']:.2f} ({r['ms_fastest']:.2f})",
            f"{r['times_bal']:.2f}",
        ]
        for _, r in sorted(last.items(), key=lambda item: (list(CASES).index(item[0][0]), item[1]["ms"]))
    ]
    loss, moved = (max(r[k] for r in results.values()) for k in ("loss", "parameter"))
    heading = (
        "## Training\n\n`python benchmarks/training.py`: a step of the default network and optimiser, cross-entropy "
        f"(for an ensemble, a step of every member) on {CORES} CPU cores, batches ready. Milliseconds: median of "
        f"{settings.repetitions} rounds of {settings.steps} steps, in brackets the fastest; times as long as bal: "
        f"median over rounds. First losses differ by at most {loss:.1e}, parameters after three steps by {moved:.1e}."
        "\n\n"
    )
    return heading + rows.markdown(["case", "members × batch × patch", "contender", "ms a step", "times bal"], lines)


def main(settings: Settings) -> None:
    """Measures all cases and publishes the table; the last line printed is the summary."""
    torch.set_num_threads(CORES)
    source = Cycle(32, distinct=32)
    seen = np.stack([source.image(id) for id in source.pool])
    net = Config().net.bind(source.channels, len(source.classes), (float(seen.mean()),), (float(seen.std()),))
    results = {}
    for case in CASES:
        results[case] = measure(case, net, source, settings)
        print(case, results[case], flush=True)
    text = table(settings, results)
    rows.publish(NAME, text)
    print(text)
    names = {
        "train_step_vs_torch": "single",
        "train_step_64_vs_torch": "single, 64",
        "train_ensemble_vs_torch": "ensemble",
    }
    summary: dict[str, float] = {name: round(results[case]["torch"], 3) for name, case in names.items()}
    summary["step_with_input_over_step"] = round(max(r["input"] for r in results.values()), 3)
    summary["first_loss_difference"] = max(r["loss"] for r in results.values())
    print(json.dumps(summary))


if __name__ == "__main__":
    devices.set_up_platform()
    main(tyro.cli(Settings, description=__doc__))
