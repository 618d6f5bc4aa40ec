"""How a network is fitted: the settings of training, and what follows from them before anything is computed."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Literal, get_args

import jax.numpy as jnp
import numpy as np
import optax

from bal.types import BadInput

Start = Literal["cold", "warm", "shrink"]
Pretrain = Literal["none", "denoise", "mask"]
MOST = 10**8  # steps, each of which has its learning rate in memory
Average = Literal["none", "ema", "swa"]


@dataclass(frozen=True)
class Train:
    """How a network is fitted to the labelled regions."""

    steps: int = 1400
    """Gradient steps of a fit from random weights, whatever the number of labels: arms stay comparable."""
    batch: int = 8
    """Patches a step, for each member of an ensemble."""
    patch: int = 32
    """Side of a training patch in pixels; a patch shows a labelled region with its surroundings."""
    rate: float = 6e-3
    """Peak learning rate of AdamW; a linear warm-up from 0 over a twentieth of the steps, then a cosine towards
    `end`."""
    end: float = 0.0
    """Learning rate that the cosine would reach one step after the last, as a share of the peak."""
    decay: float = 1e-4
    """Weight decay of AdamW."""
    start: Start = "shrink"
    """What a later round's fit begins from: random weights (`cold`), the weights of the round before (`warm`), or these
    shrunk towards zero and perturbed (`shrink`; Ash & Adams 2020)."""
    later_steps: int | None = None
    """Steps of a fit that begins from the round before; a third of `steps` unless given."""
    later_rate: float | None = None
    """Its peak learning rate; twice `rate` unless given."""
    keep: float = 0.8
    """`shrink`: the factor of the old weights."""
    perturb: float = 0.1
    """`shrink`: the factor of the fresh random weights that are added."""
    pretrain: Pretrain = "none"
    """What a network learns from the unlabelled pool before its cold starts: to take noise away (`denoise`), or to fill
    in squares that were blotted out (`mask`)."""
    pretrain_steps: int = 2000
    """Steps of that, once a pool."""
    foreground: float = 0.33
    """Share of the patches, at least, that are drawn around regions with labelled foreground (nnU-Net: a third)."""
    self_training: float = 0.0
    """Share of the unlabelled pixels around labelled regions, the surest of each class by the model of the round
    before, that are taken for labels. From the second purchase on, once that model finds half of the audited
    foreground."""
    average: Average = "none"
    """What a fit returns: its last weights, or an average of the last ones, weighted exponentially (`ema`) or evenly
    (`swa`; Izmailov et al. 2018)."""
    averaged: float = 0.2
    """Share of the steps that the average is over: its time constant (`ema`), or all of it (`swa`)."""
    seed: int = 0
    """Another number, another fit to the same labels: to tell what training does by chance from what labels do."""
    looks: int = 0
    """How often during a fit its IoU on the audited regions is measured and recorded; training does not depend on
    it."""
    flip: bool = True
    """Mirror patches left–right and top–bottom at random."""
    contrast: float = 0.0
    """Contrast is scaled by a factor from exp(−this) to exp(this), about the patch's mean."""
    brightness: float = 0.1
    """Brightness is shifted by up to this; pixels are in [0, 1]."""
    noise: float = 0.0
    """Largest standard deviation of the Gaussian noise that is added."""
    blur: float = 0.0
    """Largest share of a pixel's weight that a 3 × 3 binomial blur spreads over its neighbours."""

    def __post_init__(self) -> None:
        ranges = {
            "steps": (1 <= self.steps <= MOST, f"1 to {MOST}"),
            "batch": (1 <= self.batch <= 2**20, "1 to 1048576"),
            "patch": (8 <= self.patch <= 2**14, "8 to 16384"),
            "rate": (0 < self.rate < np.inf, "a number above 0"),
            "decay": (0 <= self.decay < np.inf, "a number from 0"),
            "end": (0 <= self.end <= 1, "0 to 1"),
            "start": (self.start in get_args(Start), " or ".join(get_args(Start))),
            "later_steps": (self.later_steps is None or 1 <= self.later_steps <= MOST, f"1 to {MOST}, or none"),
            "later_rate": (self.later_rate is None or 0 < self.later_rate < np.inf, "a number above 0, or none"),
            "keep": (0 <= self.keep <= 1, "0 to 1"),
            "perturb": (0 <= self.perturb <= 1, "0 to 1"),
            "pretrain": (self.pretrain in get_args(Pretrain), " or ".join(get_args(Pretrain))),
            "pretrain_steps": (1 <= self.pretrain_steps <= MOST, f"1 to {MOST}"),
            "foreground": (0 <= self.foreground <= 1, "0 to 1"),
            "self_training": (0 <= self.self_training <= 1, "0 to 1"),
            "average": (self.average in get_args(Average), " or ".join(get_args(Average))),
            "averaged": (0 < self.averaged <= 1, "more than 0 and at most 1"),
            "seed": (0 <= self.seed < 2**32, "0 or more, below 2³²"),
            "looks": (self.looks >= 0, "0 or more"),
            "contrast": (0 <= self.contrast <= 2, "0 to 2"),
            "brightness": (0 <= self.brightness <= 1, "0 to 1"),
            "noise": (0 <= self.noise <= 1, "0 to 1"),
            "blur": (0 <= self.blur <= 1, "0 to 1"),
        }
        for name, (good, expected) in ranges.items():
            if not good:
                raise BadInput(f"train.{name} is {getattr(self, name)!r}; expected {expected}")

    def of(self, later: bool) -> Train:
        """What one fit takes: the first of a run, which is always cold, or a later one."""
        if self.start == "cold" or not later:
            return dataclasses.replace(self, start="cold")
        steps, rate = self.later_steps or -(-self.steps // 3), self.later_rate or 2 * self.rate
        return dataclasses.replace(self, steps=steps, rate=rate)

    def pretraining(self) -> Train:
        """What pre-training takes, and nothing that does not matter to it."""
        kept = {name: getattr(self, name) for name in ("batch", "patch", "rate", "decay", "flip", "pretrain")}
        return Train(steps=self.pretrain_steps, pretrain_steps=self.pretrain_steps, **kept)

    def rates(self) -> np.ndarray:
        """[steps] float32 learning rate of each step."""
        warm = max(1, self.steps // 20)
        schedule = optax.warmup_cosine_decay_schedule(
            0.0, self.rate, warm, max(self.steps, warm + 1), self.end * self.rate
        )
        return np.asarray(schedule(jnp.arange(self.steps)), np.float32)

    def averaging(self) -> np.ndarray:
        """[steps] float32 share by which each step's weights replace the average; 1 takes them as they are."""
        i, last = np.arange(self.steps), max(1, round(self.averaged * self.steps))
        if self.average == "swa":
            return (1 / np.maximum(1, i - (self.steps - last) + 1)).astype(np.float32)
        if self.average == "ema":  # never over more steps than there have been
            return np.maximum(1 / last, 1 / (i + 1)).astype(np.float32)
        return np.ones(self.steps, np.float32)
