"""The numbers of a run as HTML: one table a class, calibration, purchases, time, definitions."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from bal.metrics import summary
from bal.metrics.base import Cell
from bal.metrics.bootstrap import INTERVAL
from bal.metrics.trust import sentence
from bal.report.columns import (
    ABSENT,
    Row,
    beneath,
    between,
    count,
    meaning,
    number,
    of_intervals,
    of_whom,
    on_audit,
    show,
    withheld,
)
from bal.report.style import class_index, escape, policy_variable

POLICIES = ("start", "foreground", "steered", "random", "audit")
LISTED = 200  # queries of the newest round that are listed one by one


def table(head: str, body: Iterable[Sequence[str]], newest: bool = True, text: Sequence[int] = ()) -> str:
    """A table that scrolls on a narrow screen.

    Args:
        head: the `<tr>` elements of the head.
        body: rows of cells, already HTML; a cell that begins with "<td" is taken as it is.
        newest: whether the last row is set off as the newest.
        text: columns set flush left.
    """
    rows = [list(cells) for cells in body]
    lines = []
    for i, cells in enumerate(rows):
        mark = ' class="newest"' if newest and i == len(rows) - 1 and i else ""
        tds = (
            c if c.startswith("<td") else f'<td class="text">{c}</td>' if j in text else f"<td>{c}</td>"
            for j, c in enumerate(cells)
        )
        lines.append(f"<tr{mark}>{''.join(tds)}</tr>")
    return f'<div class="scroll"><table><thead>{head}</thead><tbody>{"".join(lines)}</tbody></table></div>'


def header(*names: str, text: Sequence[int] = ()) -> str:
    """One `<tr>` of plain column heads."""
    cells = (f"<th{' class=text' if i in text else ''}>{escape(n)}</th>" for i, n in enumerate(names))
    return f"<tr>{''.join(cells)}</tr>"


def dot(k: int) -> str:
    """The mark of class k's colour."""
    return f'<span class="dot" style="background:var(--class-{class_index(k)})"></span>'


def within(value: float, small: str, digits: int) -> str:
    """A value, and small beneath it its interval or what stands for it, as everywhere on the page."""
    return show(value, digits) + (f'<span class="between">{small}</span>' if small else "")


def before_after(row: Row, column: str, digits: int = 4) -> str:
    """ "before → after" calibration; the value alone where there is no `_raw` column."""
    after, before = number(row, column), number(row, column + "_raw")
    if math.isnan(before):
        return show(after, digits)
    return f"{show(before, digits)} → {show(after, digits)}"


def class_tables(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """One table a class, of what every family of metrics shows of it, as far as it was measured."""
    cards, columns = [], {column for row in rows for column in row}
    for k, name in [*list(enumerate(classes))[1:], (0, classes[0])]:
        groups: dict[str, list[Cell]] = {}
        for cell in summary.cells(classes):
            if cell.name == name and cell.column in columns:
                groups.setdefault(cell.group, []).append(cell)
        cells = [cell for group in groups.values() for cell in group]
        body = [
            (
                count(number(row, "round")),
                count(number(row, "cost")),
                *(_measured(row, cell) for cell in cells),
            )
            for row in rows
        ]
        heads = (
            f'<th colspan="{len(some)}"><span>{escape(of_whom(group, rows[-1]))}</span></th>'
            for group, some in groups.items()
        )
        head = f'<tr class="group"><th></th><th></th>{"".join(heads)}</tr>'
        head += header("round", "cost", *(cell.title for cell in cells))
        baseline = number(rows[-1], "iou_all_background")
        note = f'<p class="note">IoU {baseline:.3f} if everything is called {escape(name)}.</p>'
        note = "" if k or math.isnan(baseline) else note
        cards.append(f'<div class="card"><h3>{dot(k)}{escape(name)}</h3>{note}{table(head, body)}</div>')
    return f'<div class="grid">{"".join(cards)}</div>'


def _measured(row: Row, cell: Cell) -> str:
    """One number of a class, with its interval if it has one; from an audit that cannot tell it, not at all."""
    if instead := withheld(row, cell):
        return instead
    told = on_audit(row) and f"{cell.column}{INTERVAL[0]}" in row
    if f"{cell.column}_raw" in row:
        return before_after(row, cell.column, cell.digits)
    shown = 2 if told else cell.digits
    return within(number(row, cell.column), beneath(row, cell.column, shown), shown)


def round_table(rows: Sequence[Row]) -> str:
    """What is not of one class: labels spent, calibration of the foreground, proper scores, temperature."""
    shown = [
        ("regions", "regions", lambda row: count(number(row, "regions"))),
        ("pixels", "pixels", lambda row: count(number(row, "pixels"))),
        ("cost", "cost", lambda row: count(number(row, "cost"))),
        ("steered_share", "steered", lambda row: _percent(number(row, "steered_share"))),
        ("ece_foreground", "foreground ECE", lambda row: before_after(row, "ece_foreground")),
        ("nll", "NLL, nats", lambda row: before_after(row, "nll")),
        ("brier", "Brier", lambda row: before_after(row, "brier")),
        ("temperature", "temperature", lambda row: show(number(row, "temperature"), 2)),
    ]
    shown = [column for column in shown if any(column[0] in row for row in rows)]
    body = [(count(number(row, "round")), *(cell(row) for _, _, cell in shown)) for row in rows]
    return table(header("round", *(title for _, title, _ in shown)), body)


def trust_table(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """The evidence of the audit, round by round, each number with its interval; nothing where there is none."""
    if "trust_share" not in rows[-1]:
        return ""
    shown = [("trust_auroc", "AUROC for errors"), ("trust_capture", "errors in the top 10 %")]
    shown += [("trust_promise", "errors promised for each made")]
    shown += [(f"trust_gap_{c}", f"confidence − accuracy, {c}") for c in classes]
    body = [
        (
            count(number(row, "round")),
            count(number(row, "trust_regions")),
            *(within(number(row, column), beneath(row, column, 2), 2) for column, _ in shown),
            show(number(row, "risk_audit"), 4),
            show(number(row, "risk_lure"), 4),
            _percent(number(row, "trust_share")),
        )
        for row in rows
    ]
    titles = ("round", "regions with errors", *(title for _, title in shown), "risk, audit", "risk, LURE", "earned")
    said = sentence(rows[-1])
    note = f"{escape(said[0].upper() + said[1:])}. {of_intervals(rows[-1], 'trust_')}"
    return f'<p class="note">{note}</p>{table(header(*titles), body)}'


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if math.isfinite(share) else ABSENT


def purchases(queries: Sequence[Mapping]) -> str:
    """Regions bought in every round, by policy."""
    if not queries:
        return '<p class="note">No region has been bought yet.</p>'
    rounds: dict[int, Counter[str]] = defaultdict(Counter)
    cost: dict[int, float] = defaultdict(float)
    for query in queries:
        rounds[int(query["round"])][str(query["policy"])] += 1
        cost[int(query["round"])] += number(query, "cost")
    found = {policy for counts in rounds.values() for policy in counts}
    policies = [*(p for p in POLICIES if p in found), *sorted(found.difference(POLICIES))]
    widest = max(counts.total() for counts in rounds.values())
    body = []
    for round_, counts in sorted(rounds.items()):
        parts = [(counts[p] / widest, policy_variable(p), f"{counts[p]} {p}") for p in policies if counts[p]]
        numbers = (count(counts[p]) if counts[p] else ABSENT for p in policies)
        body.append((str(round_), count(cost[round_]), *numbers, stack(parts)))
    marks = "".join(
        f'<th><span class="dot" style="background:var({policy_variable(p)})"></span>{escape(p)}</th>' for p in policies
    )
    head = f'<tr><th>round</th><th>its cost</th>{marks}<th class="text">regions</th></tr>'
    return table(head, body, newest=False)


def query_list(queries: Sequence[Mapping]) -> str:
    """The purchases of the newest round one by one, collapsed."""
    if not queries:
        return ""
    newest = max(int(q["round"]) for q in queries)
    lines = [q for q in queries if int(q["round"]) == newest]
    body = [
        (
            escape(str(q["image"])),
            escape(str(q["region"])),
            "{}, {}; {} × {}".format(*(int(v) for v in q["box"])),
            escape(str(q["policy"])),
            show(number(q, "score"), 4),
            count(number(q, "cost")),
        )
        for q in lines[:LISTED]
    ]
    head = header("image", "region", "top, left; height × width", "policy", "score", "cost", text=(0, 3))
    title = f"All {len(lines):,} regions of round {newest}"
    if len(lines) > LISTED:
        title = f"The first {LISTED} of {len(lines):,} regions of round {newest}; queries.jsonl has them all"
    return f"<details><summary>{title}</summary>{table(head, body, newest=False, text=(0, 3))}</details>"


def times(rows: Sequence[Row]) -> str:
    """Seconds of every round, one bar part for each column that begins with "seconds_"."""
    columns = sorted({c for row in rows for c in row if c.startswith("seconds_")})
    seconds = [[number(row, c) for c in columns] for row in rows]
    longest = max((sum(v for v in line if math.isfinite(v)) for line in seconds), default=0.0)
    if longest <= 0:
        return '<p class="note">No times were recorded.</p>'
    tones = [
        f"color-mix(in srgb, var(--class-1) {100 - 62 * i // max(1, len(columns) - 1)}%, var(--card))"
        for i in range(len(columns))
    ]
    body = []
    for row, line in zip(rows, seconds, strict=True):
        parts = [
            (v / longest, tone, f"{c.removeprefix('seconds_')} {v:.1f} s")
            for v, tone, c in zip(line, tones, columns, strict=True)
            if v > 0
        ]
        body.append((count(number(row, "round")), *(show(v, 1) for v in line), stack(parts)))
    marks = "".join(
        f'<th><span class="dot" style="background:{tone}"></span>{escape(c.removeprefix("seconds_"))}, s</th>'
        for tone, c in zip(tones, columns, strict=True)
    )
    return table(f'<tr><th>round</th>{marks}<th class="text">time</th></tr>', body, newest=False)


def stack(parts: Sequence[tuple[float, str, str]]) -> str:
    """One bar cell of (share of the width, colour, what it is) parts."""
    bars = "".join(
        f'<i style="width:{100 * share:.2f}%;background:{f"var({ink})" if ink.startswith("--") else ink}"'
        f' title="{escape(label)}"></i>'
        for share, ink, label in parts
    )
    return f'<td class="bar"><div class="stack">{bars}</div></td>'


def definitions(rows: Sequence[Row], classes: Sequence[str]) -> str:
    """Every column of curve.csv: its newest value and what it means."""
    body = []
    kept_back = {cell.column: words for cell in _of_classes(classes) if (words := withheld(rows[-1], cell))}
    kept_back |= {f"{column}{end}": ABSENT for column in kept_back for end in INTERVAL}
    for column in dict.fromkeys(c for row in rows for c in row):
        value = rows[-1].get(column, "")
        if column.endswith(INTERVAL) and not math.isfinite(between(rows[-1], column.rpartition("_")[0])[0]):
            value = math.nan
        if isinstance(value, float):
            value = f"{value:.6g}" if math.isfinite(value) else ABSENT
        shown = escape(kept_back.get(column, str(value)))
        means = of_whom(meaning(column, classes), rows[-1]) if column != "test_images" else meaning(column, classes)
        body.append((escape(column), shown, f'<td class="prose">{escape(means)}</td>'))
    head = header("column", "newest value", "meaning", text=(0, 2))
    return table(head, body, newest=False, text=(0,))


def _of_classes(classes: Sequence[str]) -> list[Cell]:
    """The columns of one class each, those of the tables and the IoU on the audit."""
    return [*summary.cells(classes), *(Cell(f"iou_audit_{name}", name, "", "") for name in classes)]
