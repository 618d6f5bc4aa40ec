"""Does the trust gate tell an honest score from a sabotaged one, and does calibration help where the audit says so?

    python benchmarks/trust.py --workers 2

Runs of the default with `--steer auto`, three sources, paired seeds. After every round the audit judges the run's own
score, and beside it three that are sabotaged: BALD of a head whose logits are multiplied by 10 when it is asked,
BALD's values at other pixels, and BALD upside down; all on the same model, labels and audited regions. A score is
caught where it earns less than a tenth of the next purchase, and doubted where it earns less than half.

Of calibration: in which share of the rounds the foreground's calibration error, and the negative log-likelihood, of the
test images fall or rise with it, beyond the 95 % intervals over images or not; and what the audit said of it by
cross-fitting (`bal.experiment.audited.calibration_gain`). Rows that are there already are not computed again.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from support import rounds, rows

from bal import Record, run_loop
from bal.experiment.audited import calibration_gain
from bal.experiment.setup import Setup, set_up
from bal.metrics.trust import judge
from bal.pool.labels import AUDIT, Pool, add, empty
from bal.posterior.heads import DeepEnsemble
from bal.posterior.model import Model
from bal.posterior.moments import Moments
from bal.scoring.acquisitions import BALD
from bal.scoring.held_out import calibrate, predict_regions
from bal.types import Array

NAME = "trust"
KEY = ("dataset", "seed", "settings")
FIRST_SEED = 9400
CAUGHT, DOUBTED = 0.1, 0.5  # of the next purchase, below which a score is


@dataclass(frozen=True)
class Loud(DeepEnsemble):
    """An ensemble that is ten times too sure when it is asked."""

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


SABOTAGE = {"shuffled": Shuffled(), "reversed": Reversed(), "loud": BALD()}
COLUMNS = ("ece_foreground", "nll")  # that calibration should lower


def run(job: rounds.Job) -> Iterator[dict[str, Any]]:
    """Its rows, one a round."""
    setup = set_up(job.config)
    pool = empty(setup.costs.size)
    for record in run_loop(job.config):
        pool = audited(setup, pool, record.start)
        shown = {k: v for k, v in record.row.items() if isinstance(v, int | float)}
        helped = calibration_gain(setup, pool, record.model)
        earned = {f"earned_{name}": share for name, share in judged(setup, pool, record).items()}
        yield {**job.what, **shown, **earned, "helped": float(helped.mean), "helped_error": helped.error}
        pool = audited(setup, pool, record.queries)


def audited(setup: Setup, pool: Pool, lines: Sequence[Mapping[str, Any]]) -> Pool:
    """The pool with the audited regions of some lines of the ledger, and nothing else."""
    own = [line for line in lines if line["policy"] == "audit"]
    first = dict(zip(setup.regions.ids, setup.regions.start.tolist(), strict=False))
    index = [first[line["image"]] + line["region"] for line in own]
    if not index:
        return pool
    described = setup.regions.describe(index, setup.source.image)
    labels = setup.config.annotator.annotate(setup.source, described)  # pyright: ignore[reportAttributeAccessIssue]
    return add(pool, np.array(index), np.ones(len(index)), np.full(len(index), AUDIT, np.uint8), labels)


def judged(setup: Setup, pool: Pool, record: Record) -> dict[str, float]:
    """What a score has earned: that of the run, and those that are sabotaged, of the same model."""
    answers = pool.bought(AUDIT)

    def share(model: Model, objective: Any) -> float:
        seen = predict_regions(model, setup.source, setup.regions, answers, objective)
        return judge(list(seen.values()), len(setup.source.classes)).share

    found = {"honest": share(record.model, setup.config.acq)}
    for name, objective in SABOTAGE.items():
        model = record.model
        if name == "loud":
            own = {field.name: getattr(model.head, field.name) for field in dataclasses.fields(Loud)}
            model = calibrate(dataclasses.replace(model, head=Loud(**own)), setup.source, setup.regions, answers)
        found[name] = share(model, objective)
    return found


def share_of(found: Sequence[Mapping[str, Any]], is_so: Callable[[Mapping[str, Any]], bool]) -> str:
    """How often something is so."""
    return f"{100 * statistics.mean(float(is_so(row)) for row in found):.0f} %" if found else "–"


def gate(found: Sequence[Mapping[str, Any]]) -> str:
    """By source and round: how often each score is caught, and the honest one doubted."""
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in found):
        for n in sorted({row["round"] for row in found if row["dataset"] == dataset}):
            own = [row for row in found if (row["dataset"], row["round"]) == (dataset, n)]
            caught = [share_of(own, lambda row, name=name: row[f"earned_{name}"] < CAUGHT) for name in SABOTAGE]
            honest = [share_of(own, lambda row, x=x: row["earned_honest"] < x) for x in (CAUGHT, DOUBTED)]
            audits = statistics.mean(row["regions_audit"] for row in own)
            lines.append([dataset, str(n), str(len(own)), f"{audits:.0f}", *caught, *honest])
    scores = [f"{name} caught" for name in (*SABOTAGE, "honest")]
    return rows.markdown(["source", "round", "runs", "audited", *scores, "doubted"], lines)


def calibration(found: Sequence[Mapping[str, Any]]) -> str:
    """By source: how often calibration helps, harms, or cannot be told; and with what the audit says."""
    lines = []
    for dataset in dict.fromkeys(row["dataset"] for row in found):
        own = [row for row in found if row["dataset"] == dataset]
        for column in COLUMNS:
            change = [row[column] - row[f"{column}_raw"] for row in own]
            kept = [gain if row["helped"] > 0 else 0.0 for gain, row in zip(change, own, strict=True)]
            cells = [
                share_of(own, lambda row, c=column: row[f"{c}_high"] < row[f"{c}_raw"]),
                share_of(own, lambda row, c=column: row[c] < row[f"{c}_raw"]),
                share_of(own, lambda row, c=column: row[f"{c}_low"] > row[f"{c}_raw"]),
                f"{statistics.mean(change):+.4f}",
                f"{statistics.mean(kept):+.4f}",
            ]
            lines.append([dataset, column, str(len(own)), *cells])
        lines.append([dataset, "proven", str(len(own)), share_of(own, lambda row: row["helped"] > 0), *[""] * 4])
    header = ["source", "column", "rounds", "lower beyond the interval", "lower", "higher beyond the interval"]
    return rows.markdown([*header, "mean change", "where proven alone"], lines)


def table() -> str:
    """What the gate and the audit said, over seeds."""
    found = rows.read(NAME)
    return (
        "## The trust gate\n\n`python benchmarks/trust.py`: runs of the default with `--steer auto`. After every round "
        "the audit judges the run's score and three that are sabotaged, on the same model: BALD at other pixels, "
        "upside down, and of logits multiplied by 10. Caught: it earns less than a tenth of the next purchase; "
        f"doubted: less than half.\n\n{gate(found)}\n\n"
        "What calibration does to the numbers of the test images, in all rounds; in the last column where the audit "
        f"shows by cross-fitting that it helps (`--calibrate proven`).\n\n{calibration(found)}"
    )


if __name__ == "__main__":
    rounds.measure(NAME, KEY, run, FIRST_SEED, __doc__)
    rounds.publish(NAME, table())
