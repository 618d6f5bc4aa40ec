"""Does the trust gate tell an honest score from a sabotaged one?

    python benchmarks/trust.py --arms honest loud shuffled reversed

Runs of default size with `--selector top_k --steer auto`, one seed each: BALD as it is; a head whose logits are
multiplied by 10 once it is trained; BALD's values at other pixels; BALD upside down. A row a round; arms that are
complete are not computed again.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import jax
import tyro
from support import rows

from bal import Config, run_loop
from bal.metrics.trust import sentence
from bal.posterior.heads import DeepEnsemble
from bal.posterior.moments import Moments
from bal.scoring.acquisitions import BALD
from bal.selection.selectors import TopK
from bal.system import devices
from bal.types import Array

NAME = "trust"
SHOWN = ("trust_auroc", "trust_capture", "trust_promise")


@dataclass(frozen=True)
class Loud(DeepEnsemble):
    """Trained as it should be (by `solo`, a plain ensemble of one), and ten times too sure when it is asked."""

    def logits(self, *args) -> Array:
        return 10 * DeepEnsemble.logits(self, *args)


@dataclass(frozen=True)
class Reversed:
    """BALD upside down."""

    needs = BALD().needs

    def __call__(self, moments: Moments) -> Array:
        return -BALD()(moments)


@dataclass(frozen=True)
class Shuffled:
    """BALD's values at other pixels."""

    needs = BALD().needs

    def __call__(self, moments: Moments) -> Array:
        score = BALD()(moments)
        return jax.random.permutation(jax.random.key(0), score.reshape(-1)).reshape(score.shape)


ARMS = {
    "honest": {},
    "loud": {"head": Loud(4)},
    "shuffled": {"acq": Shuffled()},
    "reversed": {"acq": Reversed()},
}


@dataclass(frozen=True)
class Settings:
    arms: tuple[str, ...] = tuple(ARMS)
    """Which runs."""
    seed: int = 0
    """Of all of them."""


def measure(settings: Settings) -> None:
    """Computes the arms that are missing."""
    default = dataclasses.replace(Config(), head=DeepEnsemble(4), selector=TopK(), steer="auto", seed=settings.seed)
    done = {(r["arm"], r["seed"]) for r in rows.read(NAME) if r["round"] == default.rounds}
    for arm in settings.arms:
        if (arm, settings.seed) in done:
            continue
        found = []
        for record in run_loop(dataclasses.replace(default, **ARMS[arm])):
            shown = {k: v for k, v in record.row.items() if k.startswith(("trust_", "risk_", "iou_", "steered"))}
            found.append({"arm": arm, "seed": settings.seed, "round": record.row["round"], **shown})
            print(arm, record.row["round"], sentence(record.row), flush=True)
        for row in found:
            rows.append(NAME, row)


def table() -> str:
    """A line a round of every arm."""
    lines = []
    for row in rows.read(NAME):
        cells = [row["arm"], str(row["seed"]), str(row["round"]), str(row["trust_regions"])]
        cells += [f"{row[c]:.2f} ({row[f'{c}_low']:.2f} … {row[f'{c}_high']:.2f})" for c in SHOWN]
        cells += [f"{row['trust_share']:.2f}", f"{row['iou_curve_1']:.3f}", f"{row['iou_curve_2']:.3f}"]
        lines.append(cells)
    heading = (
        "## The trust gate\n\n`python benchmarks/trust.py`: runs of default size with `--selector top_k --steer auto`; "
        "`loud` is an ensemble whose logits are multiplied by 10 when it is asked, `shuffled` and `reversed` are BALD "
        "at other pixels and upside down. A line is what the audit said after a round; brackets are 95 % intervals "
        "over audited regions, "
        "and the last column but two is the share of the next purchase that was earned.\n\n"
    )
    header = ["arm", "seed", "round", "regions with errors", "AUROC", "errors in the top 10 %", "promised errors"]
    return heading + rows.markdown([*header, "earned", "IoU curve-1", "IoU curve-2"], lines)


if __name__ == "__main__":
    devices.set_up_platform()
    measure(tyro.cli(Settings, description=__doc__))
    text = table()
    rows.publish(NAME, text)
    print(text)
