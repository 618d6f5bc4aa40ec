"""What the comparison of acquisitions has shown so far: tables, sentences and a figure from its rows.

    python benchmarks/analyse.py

Works on whatever rows there are. A run counts once its last round is there; where the settings have changed, the
newest ones count.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tyro
from compare_acquisitions import NAME
from support import rows
from support.curve_figure import figure
from support.curves import CURVES, ORACLE, REFERENCES, Runs, areas, collect, reaches

from bal.metrics import paired
from bal.metrics.paired import Paired
from bal.metrics.partial_pooling import CHECKS, ROPE, pooled, sentence as pooling_sentence

STEPS = {  # (with, without)
    "calibration": ("entropy", "raw_entropy"),
    "noise on BALD": ("power_bald", "bald"),
    "noise on entropy": ("power_entropy", "entropy"),
    "strata by class": ("stratified", "power_entropy"),
    "foreground first": ("foreground_power_bald", "power_bald"),
    "knowing the truth": (ORACLE, "foreground_random"),
}
Pair = TypeVar("Pair", bound=Hashable)


@dataclass(frozen=True)
class Settings:
    name: str = NAME
    """Of the rows: results/NAME.jsonl, and figures/NAME.png."""


class Line(NamedTuple):
    """One arm against one reference, in one measure."""

    arm: str
    found: Paired
    corrected: float
    verdict: paired.Verdict


def against(reference: str, values: Mapping[str, Mapping[Pair, float]], more_is_better: bool) -> list[Line]:
    """Every other arm against one, on the pairs that both have; p corrected for all of these comparisons."""
    return compared({arm: (arm, reference) for arm in values if arm != reference}, values, more_is_better)


def compared(
    what: Mapping[str, tuple[str, str]], values: Mapping[str, Mapping[Pair, float]], more_is_better: bool
) -> list[Line]:
    """One arm against another, by the name of what is compared, where they have pairs in common."""
    found = {}
    for name, (arm, reference) in what.items():
        own, other = values.get(arm, {}), values.get(reference, {})
        shared = [pair for pair in own if pair in other]
        if shared:
            found[name] = paired.paired([own[pair] for pair in shared], [other[pair] for pair in shared])
    corrected = paired.holm({name: paired.p for name, paired in found.items()})
    return [Line(n, f, corrected[n], paired.verdict(f, corrected[n], more_is_better)) for n, f in found.items()]


def sentence(reference: str, what: str, lines: Sequence[Line]) -> str:
    """What these comparisons have shown, and whether they could have shown anything."""
    if not lines:
        return f"No arm has a seed in common with {reference} yet."
    pairs = max(line.found.pairs for line in lines)
    least = min(line.found.least for line in lines)
    count, needed = len(lines), paired.pairs_needed(len(lines))
    parts = []
    for verdict in ("better", "worse", "not shown"):
        arms = [line.arm for line in lines if line.verdict == verdict]
        parts += [f"{verdict}: {', '.join(arms)}"] if arms else []
    text = f"{what} against {reference}: {'; '.join(parts)}."
    seeds = f"{pairs} pair{'s' * (pairs != 1)}"
    at_best = min(1.0, paired.least_p(pairs) * count)
    if at_best >= paired.ALPHA:
        return (
            f"{text} With {seeds} the smallest two-sided p of the exact test is {paired.least_p(pairs):.3g}, and "
            f"{at_best:.3g} once corrected for {count} comparison{'s' * (count != 1)}: **nothing could be shown "
            f"here**, whatever the differences; {needed} pairs could."
        )
    if least * count >= paired.ALPHA:
        return f"{text} Too many differences are zero for the test to show anything ({seeds})."
    return f"{text} ({seeds}, {count} comparison{'s' * (count != 1)}.)"


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± standard deviation between seeds."""
    if not values:
        return "–"
    more = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{more}"


def summary(runs: Runs) -> str:
    """A line an arm: what it reached, and by how much it differs from the references."""
    area, reached, lines = areas(runs), reaches(runs), []
    shifts = {reference: {line.arm: line for line in against(reference, area, True)} for reference in REFERENCES}
    for arm, own in runs.arms.items():
        cells = [f"{arm} (reads the truth)" if arm == ORACLE else arm, str(len(own)), spread(list(area[arm].values()))]
        cells += [difference(shifts[reference].get(arm)) for reference in REFERENCES]
        cells += [f"{np.mean([curve.iou['mean'][n] for curve in own.values()]):.3f}" for n in (1, -1)]
        cells += [f"{np.mean([curve.iou[c][-1] for curve in own.values()]):.3f}" for c in CURVES]
        costs = list(reached[arm].values())
        count = sum(r.reached for r in costs)
        at_least = "≥ " if count < len(costs) else ""
        cells.append(f"{at_least}{np.mean([r.cost for r in costs]):.0f} ({count} of {len(costs)})" if costs else "–")
        lines.append(cells)
    if runs.full:
        points = list(runs.full.values())
        ends = [f"{np.mean([p.iou[m][0] for p in points]):.3f}" for m in ("mean", *CURVES)]
        lines.append([f"full supervision, {points[0].cost[0]:,.0f}", str(len(points)), *[""] * 4, *ends, ""])
    header = [
        "arm",
        "seeds",
        "area",
        *(f"− {reference}" for reference in REFERENCES),
        "IoU after round 1",
        "at the end",
    ]
    return rows.markdown([*header, "curve_1", "curve_2", "cost to 95 % (reached)"], lines)


class Values(NamedTuple):
    """What arms are compared in, by arm and pair."""

    area: dict[str, dict[Any, float]]
    reached: dict[str, dict[Any, float]]


def values(runs: Runs) -> Values:
    """Of one data set: a pair is a seed."""
    return Values(areas(runs), {arm: {seed: r.cost for seed, r in own.items()} for arm, own in reaches(runs).items()})


def together(of: Mapping[str, Runs]) -> Values:
    """Of all data sets: a pair is a data set and a seed."""
    merged = Values({}, {})
    for dataset, runs in of.items():
        for into, found in zip(merged, values(runs), strict=True):
            for arm, own in found.items():
                into.setdefault(arm, {}).update({(dataset, seed): value for seed, value in own.items()})
    return merged


def comparisons(found: Values) -> str:
    """Tables and sentences of every arm against each reference, and of what single steps are worth."""
    parts = []
    for reference in REFERENCES:
        area, cost = against(reference, found.area, True), against(reference, found.reached, False)
        parts += [table(f"against {reference}", area, cost)] if area else []
        parts.append(sentence(reference, "Area", area))
        parts += [sentence(reference, "Cost to 95 %", cost)] if cost else []
    steps = {f"{what}: {arm} − {other}": (arm, other) for what, (arm, other) in STEPS.items()}
    area, cost = compared(steps, found.area, True), compared(steps, found.reached, False)
    return "\n\n".join([*parts, *([table("what one step is worth", area, cost)] if area else [])])


def in_one_model(of: Mapping[str, Runs], reference: str) -> str:
    """Every arm against one, in a hierarchical model over data sets; a line an arm that has two pairs of each."""
    area, lines = {dataset: areas(runs) for dataset, runs in of.items()}, []
    for arm in dict.fromkeys(arm for found in area.values() for arm in found if arm != reference):
        own = {
            dataset: [found[arm][seed] - found[reference][seed] for seed in found[arm] if seed in found[reference]]
            for dataset, found in area.items()
            if arm in found and reference in found
        }
        if len(own) == len(area) and all(len(values) > 1 for values in own.values()):
            found = pooled(own)
            each = " · ".join(f"{dataset} {chance.better:.2f}" for dataset, chance in found.each.items())
            checks = " · ".join(f"{p:.2f}" for p in found.predictive.values())
            lines.append([arm, f"{found.all.mean:+.3f}", pooling_sentence(found), each, checks])
    if not lines:
        return ""
    intro = (
        f"Area against {reference} in one hierarchical model over data sets ([its priors]"
        "(../bal/metrics/partial_pooling.py)): the mean difference over data sets like these, the probabilities that "
        f"it lies above, within and below ±{ROPE:g}, its central 95 %, the probability of better by data set, and how "
        f"often data of the model exceed these in {', '.join(CHECKS)} (near 0 or 1 the model is wrong)."
    )
    return f"{intro}\n\n" + rows.markdown(["arm", "mean", "over data sets", "better, each", "predictive p"], lines)


def table(title: str, area: Sequence[Line], cost: Sequence[Line]) -> str:
    """Two measures side by side."""
    costs, lines = {line.arm: line for line in cost}, []
    for line in area:
        cells = [line.arm, str(line.found.pairs)]
        for one, digits in ((line, 3), (costs.get(line.arm), 1)):
            tested = [f"{one.found.p:.3g} → {one.corrected:.3g}", one.verdict] if one else ["–"] * 2
            cells += [difference(one, digits), *tested]
        lines.append(cells)
    return rows.markdown([title, "pairs", "area", "p → corrected", "", "cost", "p → corrected", ""], lines)


def difference(line: Line | None, digits: int = 3) -> str:
    """Mean and interval."""
    if line is None:
        return "–"
    found = line.found
    interval = "" if math.isnan(found.low) else f" ({found.low:+.{digits}f} … {found.high:+.{digits}f})"
    return f"{found.mean:+.{digits}f}{interval}"


def page(of: Mapping[str, Runs], name: str) -> str:
    """What goes into the README."""
    intro = (
        "## Comparison of acquisitions\n\n`python benchmarks/compare_acquisitions.py && python benchmarks/analyse.py`: "
        "settings in `comparison.yaml`. Every arm of a seed has the same images, start set, network, number of steps "
        "and budget, audited labels included. IoU is the mean of the two curves' unless it says which. Area is the "
        "mean IoU under the learning curve on cost; the cost to 95 % of the full supervision of the same seed is "
        "linear between rounds, and where a run never gets there all of its budget stands for it (a restricted mean, "
        "which understates differences: ≥). Mean ± standard deviation between seeds; differences are paired, with 95 % "
        "bootstrap intervals, which are too short for few seeds. Tests are made once, on all data sets together, where "
        "a pair is a data set and a seed: p by Wilcoxon's exact signed-rank test, corrected by Holm's method over the "
        "lines of one table and measure, not over tables. Only a corrected p below 0.05 is called better or worse.\n\n"
        f"![Learning curves](figures/{name}.png)\n\n"
    )
    parts = [f"### {dataset}\n\n{summary(runs)}" for dataset, runs in of.items()]
    if len(of) > 1:
        parts.append("### All data sets together")
    return intro + "\n\n".join([*parts, comparisons(together(of)), in_one_model(of, REFERENCES[-1])]).rstrip()


def main(settings: Settings) -> None:
    """Publishes tables, sentences and the figure."""
    found = collect(rows.read(settings.name))
    if not found:
        print("no run is complete yet")
        return
    text = page(found, settings.name)
    target = rows.FOLDER / "figures"
    target.mkdir(exist_ok=True)
    figure(found).savefig(target / f"{settings.name}.png", dpi=90)
    rows.publish(settings.name, text)
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
