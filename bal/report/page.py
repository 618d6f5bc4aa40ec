"""report.html: one file without scripts or outside addresses, written anew after every round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType

import yaml

from bal.experiment.state import Look
from bal.pool.cost import COUNTED
from bal.report import by_style, calibration, changes as changed, convergence, plots, prospect, spending, tables
from bal.report.columns import (
    FEW,
    NO_CANDIDATE,
    Row,
    audited_enough,
    count,
    number,
    of_intervals,
    of_whom,
    over,
    too_few,
)
from bal.report.gallery import gallery, touched
from bal.report.images import Panel
from bal.report.lead import lead
from bal.report.people import Team, team_table
from bal.report.reliability import expected_error, order, reliability_diagram
from bal.report.style import css_variables, escape, escape_lines, inline_svg
from bal.report.tiles import tiles
from bal.system.files import write_whole

_TITLE = ("source", "head", "acq")  # slots of the configuration whose names head the page
_HIDDEN = ("password", "secret", "token", "api_key")
NONE: Mapping[int, Sequence[Look]] = MappingProxyType({})
UNKNOWN: Mapping[str, Mapping[str, float]] = MappingProxyType({})


def write(
    out: Path,
    rows: Sequence[Row],
    queries: Sequence[Mapping],
    panels: Sequence[Panel],
    config: Mapping,
    classes: tuple[str, ...],
    bins: Mapping | None = None,
    around: Mapping[str, tuple[float, float]] | None = None,
    waiting: int = 0,
    team: Team | None = None,
    fits: Mapping[int, Sequence[Look]] = NONE,
    styles: Mapping[str, Mapping[str, float]] = UNKNOWN,
    changes: changed.Changes = (),
) -> None:
    """Writes the report of a run to `out`, whole or not at all.

    Args:
        out: the file; its folder exists.
        rows: rows of curve.csv, oldest first, at least one; row r is the model trained on the labels of rounds ≤ r.
        queries: lines of queries.jsonl.
        panels: images of the newest round.
        config: the resolved configuration, plain values.
        classes: names; class 0 is the background.
        bins: "foreground" and class names → {"raw", "calibrated"} → (count, confidence, frequency) of each bin,
            and perhaps (…, low, high), the interval of the frequency.
        around: column of curve.csv → its interval in the newest round.
        waiting: regions of the next purchase, which `panels` show, where nobody has answered for all of them yet.
        team: who has answered, where people do.
        fits: how the fit of each round went, as far as is known.
        styles: every metric of each style of the test set in the newest round, where the source knows them.
        changes: files of the data that were changed under the run, and accepted.

    Raises:
        ValueError: there is no row.
    """
    if not rows:
        raise ValueError("a report needs at least one row of curve.csv; call it after the first round")
    write_whole(out, page(rows, queries, panels, config, classes, bins, around, waiting, team, fits, styles, changes))


def page(
    rows: Sequence[Row],
    queries: Sequence[Mapping],
    panels: Sequence[Panel],
    config: Mapping,
    classes: tuple[str, ...],
    bins: Mapping | None = None,
    around: Mapping[str, tuple[float, float]] | None = None,
    waiting: int = 0,
    team: Team | None = None,
    fits: Mapping[int, Sequence[Look]] = NONE,
    styles: Mapping[str, Mapping[str, float]] = UNKNOWN,
    changes: changed.Changes = (),
) -> str:
    """The HTML of `write`: a pure function of its arguments."""
    css = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    light = f"{css_variables(0)}--ground:#f6f7f9;--card:#fff;--shade:#14191f4d;"
    dark = f"{css_variables(1)}--ground:#14171b;--card:#1c2026;--shade:#e8ebef47;"
    title = " · ".join(["Labelling report", *(name for slot in _TITLE if (name := _name(config.get(slot))))])
    round_ = count(number(rows[-1], "round"))
    on = partial(of_whom, row=rows[-1])
    sections = [
        f"<h1>{escape(title)} · round {round_}</h1>{lead(rows, classes, waiting)}",
        tiles(rows, classes),
        '<p class="note narrow">A table that is shaded at its edge goes on there: push it sideways.</p>',
        _section("The data has changed", changed.said(changes), _card(changed.changes_table(changes)))
        if changes
        else "",
        _section("What the labels bought", on(_CURVES) + _unit(config), _curves(rows, classes)),
        _section("Every class, every round", on(_CLASSES), tables.class_tables(rows, classes)),
        _section("Style by style", _STYLES, _card(by_style.style_table(styles, classes))) if styles else "",
        _section("How far has the score earned trust?", _GATE, _cards(tables.trust_table(rows, classes), found))
        if (found := calibration.errors_found(rows)) or "trust_share" in rows[-1]
        else "",
        _section(
            "Can its probabilities be trusted?",
            on(f"{_TRUST} {_whiskers(rows[-1])}"),
            _cards(tables.round_table(rows), calibration.class_calibration(rows[-1], classes, around or {})),
        )
        + _reliability(bins or {}, classes),
        _section("The newest purchases", _newest(rows, queries, panels, classes, waiting), gallery(panels, classes))
        + tables.query_list(queries),
        _section("What would more labels bring?", prospect.NOTE, ahead)
        if (ahead := prospect.prospect(rows, classes))
        else "",
        _section("Where the money went", _MONEY, _card(tables.purchases(queries))),
        *(_section(*what, _card(found)) for what, found in _spending(queries, classes) if found),
        _converged(fits, rows[-1], classes),
        _section("Time spent", _TIME, _card(tables.times(rows))),
        _section("Who has answered", _TEAM, _card(team_table(team))) if team else "",
        "<h2>Small print</h2>",
        f"<details><summary>What each column means</summary>{_card(tables.definitions(rows, classes))}</details>",
        f"<details><summary>The resolved configuration</summary>{_card(_config(config))}</details>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta name="color-scheme" content="light dark"><title>{escape(title)}</title>\n'
        f"<style>:root{{color-scheme:light dark;{light}}}"
        f"@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n{css}</style></head>\n"
        "<body><main>\n" + "\n".join(sections) + "\n</main></body></html>\n"
    )


_FALLING = "A loss that still falls steeply says that more steps may be worth more than more labels."
_CURVES = (
    "Quality on the test images against what the labels have cost so far. Pooled IoU counts all test pixels "
    "together; the mean over images gives every image the same weight, so the two differ. The background has "
    "its own scale, beside the score of a model that calls everything background."
)
_CLASSES = (
    "Pooled: one count over the pixels of all test images. Per image: computed on each test image, then averaged; "
    "neither bounds the other. ECE is the expected calibration error of the class's own probability: 0 is perfect. "
    "What every column means is in the small print."
)
_STYLES = (
    "The newest model on the test images of each style, counted together; the most common style of the pool first. "
    "Folder styles/ has every round and every metric."
)
_NEWEST = (
    "The regions bought last, over the images they come from. The score is what the acquisition thought each "
    "pixel was worth, on one colour scale for all images."
)
_WAITS = (
    "Images with a region that is kept for audit are left out: whoever answers for it "
    "may not see what a model thinks. The score is what the acquisition thought each pixel was worth."
)
_MONEY = (
    "Steered regions follow the score, foreground ones what a model takes for foreground, random ones are spread "
    "blindly, audit ones are kept for calibration and never trained on; all are paid from the same budget."
)
_FOR = (
    "Of what followed the score, by the share that each class has in the score of the regions bought: which class the "
    "money was for, before anybody had seen the answer."
)
_BILL = (
    "An annotator's time is predicted from the boundaries that the model expects, and charged by those that were "
    "there; the difference is settled with the next purchase."
)
_GATE = (
    "What the audited regions say, drawn at random and never trained on: whether the score ranks errors above the "
    "rest, whether it finds them, and whether the confidence behind it is believable. "
    "With --steer auto the share that is earned is the share of the next purchase that follows the score."
)
_TRUST = (
    "A score is worth following only if the probabilities behind it are honest. Bars reach what was observed, "
    "the dashed diagonal is perfect, hatched are the gaps that the ECE averages, weighted by the pixels beneath."
)
_TEAM = "People, their time, and how far they agree where two of them labelled the same region."
_TIME = "Seconds of computing in each round."


def _whiskers(row: Row) -> str:
    return of_intervals(row) if too_few(row) else f"Whiskers are 95 % intervals {over(row) or 'over test images'}."


def _section(title: str, note: str, body: str) -> str:
    return f'<h2>{title}</h2><p class="note">{note}</p>{body}'


def _newest(
    rows: Sequence[Row], queries: Sequence[Mapping], panels: Sequence[Panel], classes: Sequence[str], waiting: int
) -> str:
    if waiting:
        return f"The next purchase, {waiting} regions, waits for answers. {_WAITS}"
    now, bought = number(rows[-1], "round"), max((int(q["round"]) for q in queries), default=0)
    if not panels:
        return "Nothing has been bought on the advice of this model." if bought <= now else "No image of them was kept."
    ahead = f"The model of round {bought} will be trained on them." if bought > now else ""
    return f"{_NEWEST} {ahead} {touched(panels, classes)}"


def _spending(queries: Sequence[Mapping], classes: Sequence[str]) -> list[tuple[tuple[str, str], str]]:
    """Headings with their notes, and the table under each; an empty one where there is nothing to say."""
    return [
        (("What it was bought for", _FOR), spending.purposes(queries, classes)),
        (("Expected and charged", _BILL), spending.bill(queries)),
    ]


def _card(body: str) -> str:
    return f'<div class="card">{body}</div>'


def _cards(*bodies: str) -> str:
    return '<div class="grid">' + "".join(_card(body) for body in bodies if body) + "</div>"


def _curves(rows: Sequence[Row], classes: Sequence[str]) -> str:
    left = inline_svg(plots.acquisition_curve(rows, classes), "curve", "IoU of every class against labelling cost")
    right = inline_svg(plots.background_curve(rows, classes), "ground", "IoU of the background against labelling cost")
    return _figures([left, right])


def _converged(fits: Mapping[int, Sequence[Look]], row: Row, classes: Sequence[str]) -> str:
    if not fits:
        return ""
    drawn = [inline_svg(convergence.loss_curves(fits), "loss", "Training loss against steps, a curve a fit")]
    withheld = [name for name in classes if not audited_enough(row, name)]
    if (audited := convergence.audit_curves(fits, classes, withheld)) is not None:
        drawn.append(inline_svg(audited, "audit", "IoU on the audit against steps, a curve a class"))
    note = f"{convergence.verdict(fits)} {_FALLING}"
    if any(look.iou for look in fits[max(fits)]) and set(withheld) & set(classes[1:]):
        note += f" IoU on the audit, {' and '.join(map(escape, withheld))}: {FEW}."
    return _section("Had training converged?", note, _figures(drawn))


def _figures(drawn: Sequence[str]) -> str:
    return '<div class="grid curves">' + "".join(f'<figure class="card">{one}</figure>' for one in drawn) + "</div>"


def _reliability(bins: Mapping, classes: Sequence[str]) -> str:
    cards = []
    for i, (name, colour) in enumerate(w for w in order(classes) if w[0] in bins):
        if all(math.isnan(expected_error(stage)) for stage in bins[name].values()):
            why = "no pixel was judged" if colour else NO_CANDIDATE
            cards.append(f'<div class="card"><h3>{escape(name)}</h3><p class="note">No diagram: {why}.</p></div>')
            continue
        figure = reliability_diagram(bins[name], name, colour)
        drawn = inline_svg(figure, f"bins{i}", f"Reliability of {name}, before and after calibration")
        cards.append(f'<figure class="card"><h3>{escape(name)}</h3>{drawn}</figure>')
    return f'<div class="grid pairs" style="margin-top:14px">{"".join(cards)}</div>' if cards else ""


def _name(extension) -> str:
    name = extension.get("name", "") if isinstance(extension, Mapping) else extension
    return name if isinstance(name, str) else ""


def _unit(config: Mapping) -> str:
    cost = _name(config.get("cost"))
    return f" Cost is counted in {escape(COUNTED.get(cost, cost))}." if cost else ""


def _config(config: Mapping) -> str:
    text = yaml.safe_dump(_plain(config), sort_keys=False, allow_unicode=True, width=110)
    return f"<pre>{escape_lines(text)}</pre>"


def _plain(value):
    """Plain YAML values; what a key calls a secret is not shown, because a report is passed on."""
    if isinstance(value, Mapping):
        return {
            str(k): "(hidden)" if v and any(h in str(k).lower() for h in _HIDDEN) else _plain(v)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value if isinstance(value, (str, int, float, bool, type(None))) else str(value)
