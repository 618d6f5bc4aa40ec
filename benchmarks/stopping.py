"""When to stop: how much of a change of the model is gain, and what a rule that knows it would have saved.

    python benchmarks/stopping.py --workers 2

Long runs of `stopping.yaml`, of the default, that nothing has stopped. From their rows:

- the shares of `bal.selection.gain`, by source: what its `MEASURED` is made of;
- the next purchase's expected gain against the measured one, with the shares of the *other* sources: how far the two
  correlate, and how often the 95 % interval holds;
- the regret of every rule: the utility IoU − price · share of the budget spent, at the best stop of the run in
  hindsight minus at the rule's stop, mean over runs. No rule is given what it would not know: shares are of other
  sources.

Rows that are there already are not computed again.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from support import rounds, rows
from support.rounds import iou

from bal import run_loop
from bal.report.lines import classes_of
from bal.selection.gain import Factor, Gain, Shares, change, expected, updated

NAME = "stopping"
KEY = ("dataset", "arm", "seed", "settings")
FIRST_SEED = 9300
PRICES = (0.05, 0.1, 0.2, 0.4)  # IoU that the whole budget is worth
AGREEMENTS = (0.7, 0.8, 0.9)

Run = Sequence[Mapping[str, Any]]  # rows of one run, in order


def run(job: rounds.Job) -> Iterator[dict[str, Any]]:
    """Its rows, one a round."""
    for record in run_loop(job.config):
        yield {**job.what, **{k: v for k, v in record.row.items() if isinstance(v, int | float)}}


def complete() -> dict[str, list[Run]]:
    """All rows of the runs that came to their end, by data set."""
    every: dict[tuple, dict[int, Mapping[str, Any]]] = {}
    for row in rows.read(NAME):
        every.setdefault(tuple(row[k] for k in KEY), {})[row["round"]] = row
    found: dict[str, list[Run]] = {}
    for key, own in every.items():
        if set(own) == set(range(own[0]["rounds"] + 1)):
            found.setdefault(key[0], []).append([own[n] for n in sorted(own)])
    return found


class Pair(NamedTuple):
    """A purchase and the next one."""

    moved: float  # by this one
    reach: float  # that the next has, were it to move the model as the logarithm of the labels says
    gained: float  # by this one
    next: float  # by the next


def pairs(of: Run) -> list[Pair]:
    """Of a run, where everything is known."""
    found = []
    for before, now, after in zip(of, of[1:], of[2:], strict=False):
        moved = change(now, classes_of(now))
        reach = moved * math.log(2 - before["cost"] / now["cost"]) / math.log(now["cost"] / before["cost"])
        if math.isfinite(moved) and moved > 0:
            found.append(Pair(moved, reach, iou(now) - iou(before), iou(after) - iou(now)))
    return found


def shares_of(runs: Sequence[Run]) -> Shares:
    """How much of a change is gain: means of ratios over runs, their deviation within, and the rest between runs."""
    each = [own for own in map(pairs, runs) if len(own) > 1]
    now = [np.array([p.gained / p.moved for p in own]) for own in each]
    later = [np.array([p.next / p.reach for p in own]) for own in each]
    mean = float(np.mean([r.mean() for r in later]))
    noise = math.sqrt(float(np.mean([r.var(ddof=1) for r in later])))
    spread = math.nan
    if len(each) > 1:
        between = np.var([r.mean() for r in later], ddof=1) - np.mean([r.var(ddof=1) / r.size for r in later])
        spread = math.sqrt(max(float(between), 0.0)) / mean
    return Shares(float(np.mean([r.mean() for r in now])), mean, noise, spread)


def foreseen(of: Run, shares: Shares) -> list[Gain]:
    """What each model of a run would have been expected to gain by the next purchase."""
    factor, found = Factor(1.0, shares.spread), [Gain()]
    for before, now in pairwise(of):
        moved = change(now, classes_of(now))
        factor = updated(factor, moved, now["gain_audit"], now["gain_audit_error"], shares)
        found.append(expected(factor, moved, now["cost"], before["cost"], shares))
    return found


def utilities(of: Run, price: float) -> np.ndarray:
    """[R + 1] of stopping with each model."""
    return np.array([iou(row) - price * row["cost"] / of[-1]["cost"] for row in of])


def stops_at(of: Run, stops: Callable[[int], bool]) -> int:
    """The first model with which a rule stops; the last, if it never does."""
    return next((n for n in range(len(of)) if stops(n)), len(of) - 1)


def rules(of: Run, price: float, shares: Shares) -> dict[str, int]:
    """Where each rule stops."""
    gains, classes = foreseen(of, shares), classes_of(of[0])
    each = price * (of[-1]["cost"] - of[-2]["cost"]) / of[-1]["cost"]  # that a purchase costs
    same = [1 - change(row, classes) for row in of]
    found = {"never": len(of) - 1, "gain": stops_at(of, lambda n: gains[n].mean < each)}
    for least in AGREEMENTS:
        found[f"agreement {least:g}"] = stops_at(of, lambda n, least=least: same[n] >= least)
    return found | {f"after round {n}": n for n in (2, 4)}


def others(every: Mapping[str, list[Run]], dataset: str) -> Shares:
    """What was measured without a data set."""
    return shares_of([own for name, runs in every.items() if name != dataset for own in runs])


def table() -> str:
    """Shares by source, what was foreseen, and regrets."""
    every = complete()
    if len(every) < 2:
        return "## When to stop\n\nTwo sources, at least, have to be run first.\n"
    lines, whole = [], {**every, "all": [own for of in every.values() for own in of]}
    for name, runs in whole.items():
        shares = [f"{value:.2f}".replace("nan", "–") for value in shares_of(runs)]
        lines.append([name, str(len(runs)), *shares, *seen_against(every, name)])
    header = ["source", "runs", *Shares._fields, "correlation", "95 % interval holds"]
    first = rows.markdown(header, lines)
    lines = []
    for price in PRICES:
        lost: dict[str, list[float]] = {}
        for name, runs in every.items():
            shares = others(every, name)
            for own in runs:
                worth = utilities(own, price)
                for rule, at in rules(own, price, shares).items():
                    lost.setdefault(rule, []).append(float(worth.max() - worth[at]))
        lines.append([f"{price:g}", *(f"{statistics.mean(values):.4f}" for values in lost.values())])
    second = rows.markdown(["price", *lost], lines)
    return (
        "## When to stop\n\n`python benchmarks/stopping.py`: runs that nothing has stopped. The share of a change of "
        "the model's maps that is gain of IoU, of this purchase and of the next, the deviation of it within a run, and "
        "that of a run's factor. Then what was expected of the next purchase, with the shares of the other sources, "
        "against what it gained.\n\n"
        f"{first}\n\nRegret: IoU − price · share of the budget spent, at the best stop of each run in hindsight minus "
        "at the rule's, mean over runs. Rule `gain` has the shares of the other sources and the price of a "
        "purchase.\n\n"
        f"{second}"
    )


def seen_against(every: Mapping[str, list[Run]], name: str) -> tuple[str, str]:
    """Correlation of expected with measured gains, and how often the interval holds; with shares of other sources."""
    both: list[tuple[Gain, float]] = []
    for dataset, runs in every.items():
        if name in (dataset, "all"):
            shares = others(every, dataset)
            for own in runs:
                gains = [iou(after) - iou(before) for before, after in pairwise(own)]
                known = zip(foreseen(own, shares), gains, strict=False)
                both += [(gain, value) for gain, value in known if math.isfinite(gain.mean)]
    means = np.corrcoef([gain.mean for gain, _ in both], [value for _, value in both])[0, 1]
    holds = statistics.mean(gain.low <= value <= gain.high for gain, value in both)
    return f"{means:.2f}", f"{100 * holds:.0f} % of {len(both)}"


if __name__ == "__main__":
    rounds.measure(NAME, KEY, run, FIRST_SEED, __doc__)
    rounds.publish(NAME, table())
