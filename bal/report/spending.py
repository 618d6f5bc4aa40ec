"""What the money was for: of every purchase that followed the score, which class made the score high."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from bal.report.columns import ABSENT, count, number
from bal.report.style import class_index, escape
from bal.report.tables import dot, stack, table


def spent_for(queries: Sequence[Mapping], classes: Sequence[str]) -> dict[int, list[float]]:
    """Cost by class of what was steered in every round: each region's cost, split as its score is (`for`).

    Args:
        queries: lines of queries.jsonl.
        classes: C names.

    Returns:
        [C] by round; only rounds in which something was steered by a score that has parts.
    """
    spent: dict[int, list[float]] = defaultdict(lambda: [0.0] * len(classes))
    for query in queries:
        if query["policy"] == "steered" and query.get("for"):
            line = spent[int(query["round"])]
            for k, name in enumerate(classes):
                line[k] += number(query, "cost") * float(query["for"].get(name, 0.0))
    return dict(sorted(spent.items()))


def purposes(queries: Sequence[Mapping], classes: Sequence[str]) -> str:
    """A line a round: what was steered, how it divides over the classes; empty where no score was followed."""
    spent = spent_for(queries, classes)
    if not spent:
        return ""
    widest = max(map(sum, spent.values())) or 1.0
    body = []
    for round_, line in spent.items():
        parts = [
            (cost / widest, f"--class-{class_index(k)}", f"{cost:.1f} for {classes[k]}")
            for k, cost in enumerate(line)
            if cost > 0
        ]
        shares = (f"{100 * cost / sum(line):.0f} %" if sum(line) else ABSENT for cost in line)
        body.append((str(round_), count(round(sum(line), 2)), *shares, stack(parts)))
    marks = "".join(f"<th>{dot(k)}{escape(name)}</th>" for k, name in enumerate(classes))
    head = f'<tr><th>round</th><th>steered cost</th>{marks}<th class="text">for which class</th></tr>'
    return table(head, body, newest=False)


def bill(queries: Sequence[Mapping]) -> str:
    """A line a round: what was expected before buying, what was charged after; empty where prices are known before."""
    rounds: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0, 0.0])
    for query in queries:
        if "price" in query:
            for i, value in enumerate((1.0, number(query, "price"), number(query, "cost"))):
                rounds[int(query["round"])][i] += value
    if not rounds:
        return ""
    body = [
        (str(round_), count(regions), f"{expected:.1f}", f"{charged:.1f}", f"{charged / expected:.2f}")
        for round_, (regions, expected, charged) in sorted(rounds.items())
    ]
    heads = ("round", "regions", "expected, s", "charged, s", "charged / expected")
    return table("<tr>" + "".join(f"<th>{name}</th>" for name in heads) + "</tr>", body, newest=False)
