"""What the comparison of acquisitions has shown so far: tables, sentences and a figure from its rows.

    python benchmarks/analyse.py

Works on whatever rows there are. A run counts once its last round is there; where the settings have changed, the
newest ones count.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import rows
import tyro
from compare_acquisitions import NAME
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from plan import FULL

from bal import stats
from bal.report.plots import direct_labels
from bal.report.style import GRID, INK, MUTED, class_colour, drawing
from bal.stats import Paired, Reach

REFERENCES = ("random", "foreground_random")
ORACLE = "oracle_foreground_random"
SHARE = 0.95  # of full supervision, the level whose cost is asked for
CURVES = ("curve_1", "curve_2")
SHOWN = (*CURVES, "background")
SHORT = {"foreground_random": "fg random", ORACLE: "oracle fg random"}
GREYS = {"random": ("#767676", "-"), "foreground_random": (INK[0], "--"), ORACLE: (INK[0], ":")}


@dataclass(frozen=True)
class Settings:
    name: str = NAME
    """Of the rows: results/NAME.jsonl, and figures/NAME.png."""


class Curve(NamedTuple):
    """One run."""

    cost: np.ndarray  # [R]
    iou: dict[str, np.ndarray]  # [R] by class, and `mean` of the curves


@dataclass(frozen=True)
class Runs:
    """The runs of one data set that are complete."""

    arms: dict[str, dict[int, Curve]] = field(default_factory=dict)  # by arm and seed
    full: dict[int, Curve] = field(default_factory=dict)  # by seed, a single point
    floor: dict[str, float] = field(default_factory=dict)  # IoU of predicting background everywhere, by class


class Line(NamedTuple):
    """One arm against one reference, in one measure."""

    arm: str
    found: Paired
    corrected: float
    verdict: stats.Verdict


def collect(found: Sequence[Mapping[str, Any]]) -> dict[str, Runs]:
    """The complete runs of every data set."""
    recipe = {row["dataset"]: row["recipe"] for row in found}
    same = [row for row in found if row["recipe"] == recipe[row["dataset"]]]
    newest = {(row["dataset"], row["arm"]): row["settings"] for row in same}
    runs: dict[tuple[str, str, int], dict[int, Mapping[str, Any]]] = {}
    for row in same:
        if row["settings"] == newest[row["dataset"], row["arm"]]:
            runs.setdefault((row["dataset"], row["arm"], row["seed"]), {})[row["round"]] = row
    last = {name: max(max(own) for (d, _, _), own in runs.items() if d == name) for name in recipe}
    result: dict[str, Runs] = {}
    for (dataset, arm, seed), own in sorted(runs.items(), key=lambda item: item[0][2]):
        into = result.setdefault(dataset, Runs())
        expected = range(1 if arm == FULL else last[dataset] + 1)
        if all(round in own for round in expected):
            curve = as_curve([own[round] for round in expected])
            (into.full if arm == FULL else into.arms.setdefault(arm, {}))[seed] = curve
            into.floor.update(dict.fromkeys(CURVES, 0.0), background=float(own[0]["iou_all_background"]))
    return {dataset: ordered(runs, [row["arm"] for row in found]) for dataset, runs in result.items() if runs.arms}


def ordered(runs: Runs, arms: Sequence[str]) -> Runs:
    """The references first, then in the order of the rows."""
    order = dict.fromkeys((*REFERENCES, ORACLE, *arms))
    return Runs({arm: runs.arms[arm] for arm in order if arm in runs.arms}, runs.full, runs.floor)


def as_curve(own: Sequence[Mapping[str, Any]]) -> Curve:
    """The rows of one run, in order."""
    iou = {name: np.array([row[f"iou_{name}"] for row in own], np.float64) for name in SHOWN}
    return Curve(np.array([row["cost"] for row in own]), iou | {"mean": np.mean([iou[c] for c in CURVES], axis=0)})


def areas(runs: Runs, measure: str = "mean") -> dict[str, dict[int, float]]:
    """The area under every curve, by arm and seed, on the costs that all of them cover."""
    low, high = stats.common_range([curve.cost for arm in runs.arms.values() for curve in arm.values()])
    return {
        arm: {seed: stats.area(curve.cost, curve.iou[measure], low, high) for seed, curve in own.items()}
        for arm, own in runs.arms.items()
    }


def reaches(runs: Runs) -> dict[str, dict[int, Reach]]:
    """What `SHARE` of the fully supervised IoU of the same seed cost, by arm and seed; only seeds that have it."""
    return {
        arm: {
            seed: stats.cost_to_reach(curve.cost, curve.iou["mean"], SHARE * float(runs.full[seed].iou["mean"][0]))
            for seed, curve in own.items()
            if seed in runs.full
        }
        for arm, own in runs.arms.items()
    }


def against(reference: str, values: Mapping[str, Mapping[int, float]], more_is_better: bool) -> list[Line]:
    """Every other arm against one, on the seeds that both have; p corrected for all of these comparisons."""
    found = {}
    for arm, own in values.items():
        seeds = sorted(own.keys() & values.get(reference, {}).keys())
        if arm != reference and seeds:
            found[arm] = stats.paired([own[s] for s in seeds], [values[reference][s] for s in seeds])
    corrected = stats.holm({arm: paired.p for arm, paired in found.items()})
    return [Line(a, f, corrected[a], stats.verdict(f, corrected[a], more_is_better)) for a, f in found.items()]


def sentence(reference: str, what: str, lines: Sequence[Line]) -> str:
    """What these comparisons have shown, and whether they could have shown anything."""
    if not lines:
        return f"No arm has a seed in common with {reference} yet."
    pairs = max(line.found.pairs for line in lines)
    least = min(line.found.least for line in lines)
    count, needed = len(lines), stats.pairs_needed(len(lines))
    parts = []
    for verdict in ("better", "worse", "not shown"):
        arms = [line.arm for line in lines if line.verdict == verdict]
        parts += [f"{verdict}: {', '.join(arms)}"] if arms else []
    text = f"{what} against {reference}: {'; '.join(parts)}."
    seeds = f"{pairs} paired seed{'s' * (pairs != 1)}"
    at_best = min(1.0, stats.least_p(pairs) * count)
    if at_best >= stats.ALPHA:
        return (
            f"{text} With {seeds} the smallest two-sided p of the exact test is {stats.least_p(pairs):.3g}, and "
            f"{at_best:.3g} once corrected for {count} comparison{'s' * (count != 1)}: **nothing could be shown "
            f"here**, whatever the differences; {needed} seeds could."
        )
    if least * count >= stats.ALPHA:
        return f"{text} Too many differences are zero for the test to show anything ({seeds})."
    return f"{text} ({seeds}, {count} comparison{'s' * (count != 1)}.)"


def spread(values: Sequence[float], digits: int = 3) -> str:
    """Mean ± standard deviation between seeds."""
    if not values:
        return "–"
    more = f" ± {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):.{digits}f}{more}"


def summary(runs: Runs) -> str:
    """A line an arm."""
    every = {measure: areas(runs, measure) for measure in ("mean", *CURVES)}
    reached, lines = reaches(runs), []
    for arm, own in runs.arms.items():
        cells = [f"{arm} (reads the truth)" if arm == ORACLE else arm, str(len(own))]
        cells += [spread(list(every[measure][arm].values())) for measure in every]
        cells.append(spread([float(curve.iou["mean"][-1]) for curve in own.values()]))
        costs = list(reached[arm].values())
        count = sum(r.reached for r in costs)
        at_least = "≥ " if count < len(costs) else ""
        cells.append(f"{at_least}{np.mean([r.cost for r in costs]):.0f} ({count} of {len(costs)})" if costs else "–")
        lines.append(cells)
    if runs.full:
        points = list(runs.full.values())
        mean, one, two = (spread([float(p.iou[m][0]) for p in points]) for m in every)
        lines.append([f"full supervision, {points[0].cost[0]:,.0f}", str(len(points)), "", one, two, mean, ""])
    header = ["arm", "seeds", "area: mean of curves", "curve_1", "curve_2", "IoU at the end", "cost to 95 % (reached)"]
    return rows.markdown(header, lines)


def comparisons(runs: Runs) -> str:
    """Tables and sentences of every arm against each reference."""
    parts = []
    reached = {arm: {seed: r.cost for seed, r in own.items()} for arm, own in reaches(runs).items()}
    for reference in REFERENCES:
        area, cost = against(reference, areas(runs), True), against(reference, reached, False)
        costs, lines = {line.arm: line for line in cost}, []
        for line in area:
            cells = [line.arm, str(line.found.pairs)]
            for one, digits in ((line, 3), (costs.get(line.arm), 1)):
                cells += tested(one, digits) if one else ["–"] * 3
            lines.append(cells)
        if lines:
            header = [f"against {reference}", "pairs", "area", "p → corrected", "", "cost", "p → corrected", ""]
            parts.append(rows.markdown(header, lines))
        parts.append(sentence(reference, "Area", area))
        parts += [sentence(reference, "Cost to 95 %", cost)] if cost else []
    return "\n\n".join(parts)


def tested(line: Line, digits: int) -> list[str]:
    """Difference, p and verdict."""
    found = line.found
    interval = "" if math.isnan(found.low) else f" ({found.low:+.{digits}f} … {found.high:+.{digits}f})"
    return [f"{found.mean:+.{digits}f}{interval}", f"{found.p:.3g} → {line.corrected:.3g}", line.verdict]


def page(of: Mapping[str, Runs], name: str) -> str:
    """What goes into the README."""
    intro = (
        "## Comparison of acquisitions\n\n`python benchmarks/compare_acquisitions.py && python benchmarks/analyse.py`: "
        "settings in `comparison.yaml`. Every arm of a seed has the same images, start set, network, number of steps "
        "and budget, audited labels included. Area is the mean IoU under the learning curve on cost; the cost to 95 % "
        "of the full supervision of the same seed is linear between rounds, and where a run never gets there all of "
        "its budget stands for it (a restricted mean, which understates differences: ≥). Mean ± standard deviation "
        "between seeds; differences are paired, arm minus reference, with 95 % bootstrap intervals over seeds, which "
        "are too short for few seeds; p by Wilcoxon's exact signed-rank test, corrected by Holm's method over the arms "
        "of one table and measure, not over tables. Only a corrected p below 0.05 is called better or worse.\n\n"
        f"![Learning curves](figures/{name}.png)\n\n"
    )
    parts = [f"### {dataset}\n\n{summary(runs)}\n\n{comparisons(runs)}" for dataset, runs in of.items()]
    return intro + "\n\n".join(parts)


def colours(arms: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and dashes: baselines grey and black, methods coloured."""
    methods = [arm for arm in arms if arm not in GREYS]
    return {arm: GREYS.get(arm) or (class_colour(1 + methods.index(arm)), "-") for arm in arms}


def figure(of: Mapping[str, Runs]) -> Figure:
    """Data sets below each other, classes side by side: means over seeds, bands of one standard error."""
    with drawing():
        high = 3.6 * len(of)
        drawn = Figure(figsize=(17.0, high))
        for row, (dataset, runs) in enumerate(of.items()):
            for column, name in enumerate(SHOWN):
                left, bottom = (0.13 + column) / len(SHOWN), 1 - (row + 1) * 3.6 / high + 0.5 / high
                axes = drawn.add_axes((left, bottom, 0.54 / len(SHOWN), 2.7 / high))
                panel(axes, runs, name)
                axes.set_title(f"{dataset}: IoU of {name}", fontsize=10, loc="left", color=MUTED[0])
        return drawn


def panel(axes: Axes, runs: Runs, name: str) -> None:
    """One class of one data set."""
    ends, seen = [], []
    style = colours(list(runs.arms))
    for arm, own in runs.arms.items():
        cost = next(iter(own.values())).cost
        same = np.stack([np.interp(cost, curve.cost, curve.iou[name]) for curve in own.values()])  # [S, R]
        mean, colour, dashes = same.mean(0), *style[arm]
        error = same.std(0, ddof=1) / math.sqrt(len(same)) if len(same) > 1 else 0 * mean
        axes.fill_between(cost, mean - error, mean + error, color=colour, alpha=0.1, lw=0)
        axes.plot(cost, mean, color=colour, ls=dashes, lw=1.8, marker="o", ms=3)
        ends.append((float(mean[-1]), f"{SHORT.get(arm, arm)} {mean[-1]:.3f}", colour))
        seen += [mean.min(), mean.max()]
    level = {"all background": runs.floor[name]}
    if runs.full:
        level["full supervision"] = float(np.mean([curve.iou[name][0] for curve in runs.full.values()]))
    place = axes.get_yaxis_transform()
    for text, value in level.items():
        axes.axhline(value, color=MUTED[0], lw=1, ls=(0, (1, 2)))
        axes.text(0.01, value, f"{text} {value:.3f}", transform=place, va="bottom", fontsize=8.5, color=MUTED[0])
        seen.append(value)
    low, high = min(seen), max(seen)
    pad = 0.08 * (high - low) or 0.01
    axes.set(ylim=(low - pad, high + pad), xlabel="cost of all labels bought, audit included")
    axes.grid(axis="y", color=GRID[0], lw=0.8)
    axes.set_axisbelow(True)
    direct_labels(axes, ends, high + pad, gap=0.064 * (high - low + 2 * pad))


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
