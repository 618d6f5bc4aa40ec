"""Names that somebody else has chosen: shown as they are, never obeyed, wherever a run shows them."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, strategies as st
from PIL import Image
from rich.console import Console
from runs import TINY, pictures, run, tiny

from bal import answer
from bal.annotation.agreement import Agreement, Person
from bal.experiment.events import Record
from bal.experiment.setup import set_up
from bal.experiment.state import Look
from bal.metrics.summary import columns
from bal.report import Box, Panel, learned, plots, reliability_diagram, terminal
from bal.report.convergence import audit_curves
from bal.report.page import page as whole
from bal.report.people import Team
from bal.report.style import escape, inline_svg
from bal.report.tables import class_tables, definitions, query_list
from bal.sources import Folder, WellLog
from bal.sources.base import check_classes, check_ids
from bal.sources.well_log import WellLogSource
from bal.system import exit_status
from bal.system.outside import breaks, brief, shown, shown_lines
from bal.types import BadInput

EVIL = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "' or 'a'='a",
    "a,b;c\td".replace("\t", " "),
    "]]> & &amp; --> <!-- x",
    "\u202egnp.tac",  # turned from right to left
    "[red]x[/red] [/] :smile:",
    "=HYPERLINK(1)",
    'id="bins0" #0072b2 font-family: x;',
    "$x$ \\frac{",
    "iou_a",
    "אבג",
    "\u200bhidden\ufeff",
)
OBEYED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)
NAMES = ("\x1b[2J\x1b[31mred", "a\nb", "c\rd", "\x07bell", "\u009b1m", "\u202eabc", "\udc80", "e\u2028f")
CLASSES = ("background", *EVIL)
BINS = (np.array([5.0, 0.0, 9.0]), np.array([0.1, np.nan, 0.9]), np.array([0.2, np.nan, 0.7]))


class Tags(HTMLParser):
    """What an HTML page is made of."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data):
        self.text += data


# What is shown of a text


@given(st.text(st.characters(codec=None)))
def test_a_text_is_shown_on_one_line_and_says_what_it_is(text):
    found = shown(text)
    assert not OBEYED.search(found)
    assert len(found.splitlines()) <= 1
    assert all(unicodedata.category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in found)
    assert shown(found) == found
    assert "\n" not in brief(text)
    assert len(brief(text)) <= 80


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain, ä 岩 😀 e\u0301 👨\u200d👩", "plain, ä 岩 😀 e\u0301 👨\u200d👩"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\nb\r\0", "a\\nb\\r\\x00"),
        ("\u202egnp", "\\u202egnp"),
        ("\udcff", "\\udcff"),
        ("\u2028", "\\u2028"),
        ("\\n", "\\n"),
    ],
)
def test_shown(text, expected):
    assert shown(text) == expected
    assert breaks(text) == bool(re.search("[\x00-\x1f\x7f\x85\u2028\u2029]", text))


def test_shown_lines():
    assert shown_lines("a\x1b\nb") == "a\\x1b\nb"
    assert escape("<\u202e'\">") == "&lt;\\u202e&#x27;&quot;&gt;"


# The page


def row(classes=CLASSES):
    found = {name: 0.25 + 0.01 * (i % 50) for i, name in enumerate(columns(classes))}
    return {"round": 0, "regions": 24, "pixels": 100, "cost": 24.0, "temperature": 1.5, "steered_share": 0.5} | found


def panel(id: str) -> Panel:
    image = np.zeros((32, 32, 1), np.float32)
    return Panel(
        id, image, np.zeros((32, 32), int), np.ones((32, 32), int), np.zeros((32, 32)), [Box(0, 0, 8, 8, "audit", 1)]
    )


def query(id: str, **more) -> dict:
    box = [0, 0, 8, 8]
    return {"round": 1, "image": id, "region": 3, "box": box, "policy": "steered", "score": 0.1, "cost": 1.0} | more


def judged(classes=CLASSES) -> dict:
    """A row of a run that was audited, has learned no class and has seen none: every sentence names them all."""
    found = row(classes) | {f"iou_{c}{end}": 0.01 for c in classes[1:] for end in ("", "_low", "_high")}
    trust = ("auroc", "capture", "promise", *(f"gap_{c}" for c in classes))
    found |= {f"trust_{name}{end}": 0.6 for name in trust for end in ("", "_low", "_high")}
    return found | {f"seen_{c}": 0 for c in classes} | {"trust_share": 0.5, "trust_regions": 3}


def page(**more) -> str:
    queries = [query(name) for name in (*EVIL, *NAMES)]
    queries += [query(name, **{"policy": name, "for": dict.fromkeys(CLASSES, 0.07)}) for name in EVIL]
    queries += [query("i", **{"for": dict.fromkeys(CLASSES, 0.07)}, price=2.0)]
    panels = [panel(name) for name in (EVIL[0], EVIL[1], *NAMES[:4])]
    config = {
        "source": {"name": EVIL[0], "path": EVIL[1], "note": NAMES[0]},
        "head": {"name": "\u202ehead"},
        "cost": "regions",
    }
    bins = {name: {"raw": BINS, "calibrated": BINS} for name in (*CLASSES, "foreground")}
    people = [Person(name, 3, 1, 2.0, 0.1, 0) for name in (*EVIL, *NAMES)]
    team = Team(people, Agreement(2, dict.fromkeys(CLASSES, 0.5)))
    fits = {0: [Look(i, 0.5**i, dict.fromkeys(CLASSES, 0.1 * i)) for i in range(1, 4)]}
    return whole([judged()], queries, panels, config, CLASSES, bins, team=team, fits=fits, **more)


def test_no_name_becomes_part_of_the_page():
    text = page()
    plain = whole([row(("background", "a"))], [query("i")], [panel("i")], {"cost": "regions"}, ("background", "a"))
    evil, usual = Tags(text), Tags(plain)
    assert evil.tags <= usual.tags | {"details", "summary", "pre", "pattern"}
    assert "script" not in evil.tags
    assert evil.attributes <= usual.attributes | {"colspan", "patternunits"}
    assert not OBEYED.search(text)
    for name in EVIL:
        assert shown(name) in evil.text, name
    for name in NAMES:
        assert shown(name) in evil.text, name


def test_tables_of_names():
    for text in (class_tables([row()], CLASSES), definitions([row()], CLASSES), query_list([query(n) for n in NAMES])):
        assert not OBEYED.search(text)
        assert "<script" not in text
        assert "onload=" not in re.sub(r"&quot;.*?(?=<)", "", text)


def audit_curve(rows, classes):
    return audit_curves({0: [Look(i, 0.5**i, dict.fromkeys(classes, 0.1 * i)) for i in range(1, 4)]}, classes)


def diagram(rows, classes):
    return reliability_diagram({}, classes[0])


@pytest.mark.parametrize("draw", [plots.acquisition_curve, plots.background_curve, audit_curve, diagram])
@pytest.mark.parametrize("first", EVIL)
def test_figures_are_svg_whatever_a_class_is_called(draw, first):
    classes = (first, *(name for name in EVIL[:4] if name != first))
    text = inline_svg(draw([row(classes)], classes), "a", first)
    root = ElementTree.fromstring(text)  # of our own making
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
        *("svg", "g", "path", "text", "defs", "use", "clipPath", "rect", "style", "title", "line", "polygon", "tspan")
    }
    assert not any(name.startswith("on") for element in root.iter() for name in element.attrib)
    assert not OBEYED.search(text)


def test_a_name_that_looks_like_svg_stays_as_it_is():
    name = 'id="a" #0072b2'
    root = ElementTree.fromstring(inline_svg(plots.acquisition_curve([row(("b", name))], ("b", name)), "x", "y"))
    assert any(name in (element.text or "") for element in root.iter())


# The terminal


@pytest.mark.parametrize("width", [60, 100, 400])
def test_the_table_shows_names_as_they_are(width):
    file, all_of_it = io.StringIO(), io.StringIO()
    console = Console(width=width, file=file, force_terminal=True, color_system="truecolor")
    console.print(terminal.summary_table([row()], width))
    text = re.sub(r"\x1b\[[\d;]*m", "", file.getvalue())
    assert "\\n" not in text
    assert not OBEYED.search(text.replace("\r", ""))
    if width == 400:
        wide = Console(width=10_000, file=all_of_it)
        wide.print(terminal.summary_table([row()], 10_000))
        for name in EVIL:
            assert shown(name).strip() in all_of_it.getvalue(), name


@pytest.mark.parametrize("name", [*EVIL, *NAMES])
def test_lines_show_names_as_they_are(name, capsys):
    display = terminal.Display(TINY, Path("runs") / name.replace("/", "_"))
    display.say(["a round", name])
    display.note([name])
    display._print(f"report: {name}")
    text = capsys.readouterr().out
    assert text.count(shown(name)) == 3
    assert not OBEYED.search(re.sub(r"\x1b\[[\d;]*m", "", text))


@pytest.mark.parametrize("name", EVIL)
def test_what_is_said_of_a_round_shows_names_as_they_are(name, capsys):
    classes = ("background", name)
    found = judged(classes) | {"seconds_fit": 1.0, "seconds_score": 1.0, "handed_over": 1}
    display = terminal.Display(TINY, Path("runs/x"))
    display.record(Record(found, [], None, 0.0))
    display.note([learned.sentence([found], classes)])
    text = capsys.readouterr().out
    assert text.count(shown(name)) >= 2
    assert len(text.splitlines()) == 3
    assert not OBEYED.search(text)


@pytest.mark.parametrize("name", [*EVIL, *NAMES])
def test_usage_errors_show_words_as_they_are(name, capsys):
    assert answer.main(["runs/x", f"--{name}"]) == 2
    assert answer.main(["runs/x", "--format", name]) == 2
    said = capsys.readouterr().err
    assert said.count("bal: error: ") == len(said.splitlines()) == 2
    assert not OBEYED.search(said)


@pytest.mark.parametrize("name", [*EVIL, *NAMES])
def test_errors_are_one_line(name, capsys):
    def fail() -> None:
        raise BadInput(f"folder: {name} is damaged")

    assert exit_status.exit_status(fail) == 2
    text = capsys.readouterr().err
    assert text == f"bal: error: folder: {shown(name)} is damaged\n"


# Names that are refused


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\0", "\x1b[31m", " a", "a ", "x" * 101, "a\u2028b", "\x85", "\t"])
def test_class_names_that_are_refused(tmp_path, name):
    with pytest.raises(BadInput, match=r"class") as error:
        Folder(path=tmp_path, classes=("background", name)).open()
    assert "\n" not in str(error.value)
    with pytest.raises(BadInput, match=r"class"):
        check_classes(("background", name))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("a", ""), "an image is called ''; an id is a text"),
        (("../a",), "no absolute path and has no '..'"),
        (("a/../b",), "no absolute path and has no '..'"),
        (("/etc/passwd",), "no absolute path and has no '..'"),
        (("a", "b", "a"), "two images are called 'a'"),
        ((3,), "an image is called 3"),
    ],
)
def test_ids_that_are_refused(ids, message):
    with pytest.raises(BadInput, match=re.escape(message)):
        check_ids(ids)
    check_ids(("a..b", "..a", "a/b..", "c"))


@dataclass(frozen=True)
class Odd(WellLog):
    """A source whose classes or ids are odd."""

    ids: tuple[str, ...] = ()
    names: tuple[str, ...] = WellLogSource.classes

    def open(self):
        source = WellLog(self.height, self.width, self.pool, self.test).open()
        source.classes = self.names  # pyright: ignore[reportAttributeAccessIssue]
        source.test = (*source.test, *self.ids)
        return source


def test_any_source_is_checked():
    odd = Odd(48, 48, pool=6, test=2)
    assert set_up(tiny(source=odd)).source.classes == WellLogSource.classes
    with pytest.raises(BadInput, match="absolute path"):
        set_up(tiny(source=replace(odd, ids=("/x",))))
    with pytest.raises(BadInput, match="control character"):
        set_up(tiny(source=replace(odd, names=("background", "a\nb", "c"))))


# A whole run


def test_a_run_of_odd_names(tmp_path, capsys):
    """Files of odd names, classes of odd names: the same rows come back, and nothing raw reaches page or ledger."""
    root = pictures(tmp_path / "data")
    for k, name in enumerate(("\x1b[31mred", "a\nb", "<script>x", 'q"uote', "\u202egnp", "com,ma")):
        for part in ("images", "masks"):
            (root / part / f"p{k}.png").rename(root / part / f"{name}.png")
    with Image.open(next((root / "masks").iterdir())) as mask:
        assert mask.size
    classes = ("back,ground", '<script>"\u202e')
    run(tiny(source=Folder(root, classes), budget=20, start=8, rounds=1, audit=0.0), out := tmp_path / "o")
    with open(out / "curve.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {f"iou_{name}" for name in classes} <= set(rows[0])
    assert all(None not in line and None not in line.values() for line in rows)
    lines = (out / "queries.jsonl").read_text(encoding="ascii").splitlines()
    assert {json.loads(line)["image"] for line in lines} & {"\x1b[31mred", "a\nb", "\u202egnp"}
    text = (out / "report.html").read_text(encoding="utf-8")
    assert not OBEYED.search(text)
    assert "<script" not in text
    figures = re.findall("<svg.*?</svg>", text, re.DOTALL)
    assert len([ElementTree.fromstring(figure) for figure in figures]) == text.count("<svg")
    assert not OBEYED.search(capsys.readouterr().out)
