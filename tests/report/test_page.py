"""The page in a browser, at the width of a telephone too: nothing is cut off unseen, and all text can be read."""

from __future__ import annotations

import io
import re
import shutil
from functools import cache

import numpy as np
import pytest
from PIL import Image
from test_report import CONFIG, LOG, curve, judged, ledger, log_picture, reliability

from bal import report
from bal.experiment.state import Look
from bal.report.page import page as whole

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NARROW, WIDE = 390, 1280
TRUST = ("auroc", "capture", "promise", *(f"gap_{name}" for name in LOG))


def rows(count=4):
    """As a run with a test set and an audit writes them, with the intervals."""
    made = []
    for row in curve(rounds=count):
        row, *_ = judged(row)
        for name in (*(f"iou_{c}" for c in LOG), "ece_foreground", "tolerant_f1_curve_1", "cldice_curve_1"):
            row.setdefault(name, 0.51)
            row |= {f"{name}_low": row[name] - 0.0303, f"{name}_high": row[name] + 0.0207}
        for name in TRUST:
            row |= {f"trust_{name}": 0.61, f"trust_{name}_low": 0.43, f"trust_{name}_high": 0.84}
        made.append(row | {"trust_share": 0.5, "trust_regions": 12, "risk_audit": 0.0539, "risk_lure": 0.1486})
    return made


def page(classes=LOG, made=None) -> str:
    """A page that holds everything; drawn once for each of the usual ones."""
    return drawn(classes) if made is None else draw(classes, made)


@cache
def drawn(classes=LOG) -> str:
    return draw(classes, rows() if classes == LOG else curve(classes, 4))


def draw(classes, made) -> str:
    bins = reliability(classes)
    for stages in bins.values():
        for stage, (count, confidence, frequency) in stages.items():
            stages[stage] = (count, confidence, frequency, frequency - 0.05, frequency + 0.05)
    panels = [log_picture(np.random.default_rng(0), id=f"{'a-long-folder-of-scans/' * 4}log-{i}") for i in range(2)]
    fits = {r: [Look(10 * i, 2.0 ** -(i + r), dict.fromkeys(LOG, 0.1 * i)) for i in range(1, 6)] for r in range(3)}
    return whole(made, ledger(), panels, CONFIG, classes, bins, fits=fits)


def page_of(made) -> str:
    """A page of rows alone."""
    return whole(made, [], [], CONFIG, LOG)


def visible(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style.*?</style>|<svg.*?</svg>|<[^>]*>", " ", text, flags=re.DOTALL))


# What is said, and where


def test_the_tiles_carry_their_interval():
    text = page()
    tiles = text[text.index('class="grid tiles"') : text.index("<h2>")]
    last = rows()[-1]
    for name, digits in (("iou_curve_1", 3), ("iou_curve_2", 3), ("iou_background", 3), ("ece_foreground", 4)):
        low, high = (f"{last[name + end]:.{digits}f}" for end in ("_low", "_high"))
        value = f"{last[name]:.{digits}f}"
        assert f'<div class="value">{value}<span class="between">{low} … {high}</span></div>' in tiles, name
    assert "95 % interval over test images" in tiles


def test_an_interval_is_written_in_one_way():
    text = visible(page())
    assert "0.43 … 0.84" in text
    assert "AUROC 0.61 (0.43 … 0.84), finds 61 % (43 … 84) of them" in text
    assert not re.search(r"\d–\d*\.\d", text)
    assert not re.search(r"\(\d\.\d+, \d\.\d+\)", text)


def test_trust_comes_before_the_galleries():
    text = page()
    places = [text.index(f"<h2>{title}") for title in re.findall(r"<h2>([^<]*)", text)]
    assert places == sorted(places)
    order = ["How far has the score earned trust?", "Can its probabilities be trusted?", "The newest purchases"]
    found = [text.index(title) for title in order]
    assert found == sorted(found)
    assert text.index('aria-label="Reliability of foreground') < found[2]


def test_that_nothing_was_learned_is_said():
    never = [row | {f"iou_{c}{end}": 0.01 for c in LOG[1:] for end in ("", "_low", "_high")} for row in rows()]
    said = "The model has learned nothing: the IoU of every foreground class stayed below 0.05 in every round so far"
    assert said in visible(page_of(never))
    assert "learned nothing" not in visible(page())
    one = [row | {"iou_curve_2": 0.01, "iou_curve_2_high": 0.02} for row in rows()]
    assert "learned nothing of curve_2, whose IoU stayed below 0.05" in visible(page_of(one))
    unsure = [row | {"iou_curve_2": 0.01, "iou_curve_2_high": 0.2} for row in rows()]
    assert "learned nothing" not in visible(page_of(unsure)), "what the interval does not exclude is not said"
    once = [never[0] | {f"iou_{c}_high": 0.3 for c in LOG[1:]}, *never[1:]]
    assert "learned nothing" not in visible(page_of(once))


def test_the_hatching_has_an_opacity_of_its_own():
    """Lines as faint as the bar that they lie on cannot be seen."""
    text = page()
    (pattern, *_) = re.findall(r"<pattern.*?</pattern>", text, re.DOTALL)
    assert 'fill="none"' in pattern
    lines = re.search(r'style="([^"]*)"/>\s*</pattern>', pattern)[1]
    assert "stroke-opacity" not in lines
    bars = re.findall(r'style="fill: url\([^"]*', text)
    assert bars
    assert not [style for style in bars if "opacity" in style]


def test_no_tex_in_a_chart():
    """Class names may hold a $, so no text is read as mathematics: a scale must not write any either."""
    for text in re.findall(r"<text[^>]*>([^<]*)", page()):
        assert "$" not in text
        assert "\\" not in text


# What a browser shows


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'bal[browser]'")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        made = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()


LONG = (
    "background",
    "one_without_blanks_that_goes_on_and_on_and_on",
    "a class of a long name",
    *(f"c{k}" for k in range(5)),
)
CUT = """() => [...document.querySelectorAll('main *')].filter(e => {
  const box = e.getBoundingClientRect()
  return box.width && !e.closest('.scroll') && !e.closest('svg') && (box.right > innerWidth + 0.5 || box.left < -0.5)
}).map(e => e.className + ': ' + e.textContent.slice(0, 40))"""
TEXTS = """() => [...document.querySelectorAll('svg text')].map(t => {
  const m = t.getScreenCTM(), own = t.getBoundingClientRect(), all = t.ownerSVGElement.getBoundingClientRect()
  return {px: parseFloat(getComputedStyle(t).fontSize) * Math.hypot(m.a, m.b), text: t.textContent,
          out: Math.max(all.left - own.left, own.right - all.right, all.top - own.top, own.bottom - all.bottom)}
})"""


@pytest.fixture(params=["light", "dark"])
def opened(browser, tmp_path, request):
    """Opens a page at a width, with every `details` open."""
    pages = []

    def open_(text: str, width: int):
        path = tmp_path / f"{len(pages)}.html"
        path.write_text(text, encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=request.param)
        pages.append(context)
        shown = context.new_page()
        shown.goto(path.as_uri())
        shown.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        return shown

    yield open_
    for context in pages:
        context.close()


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("classes", [LOG, LONG], ids=["log", "long"])
def test_nothing_is_cut_off_without_a_hint(opened, width, classes):
    shown = opened(page(classes), width)
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.evaluate(CUT) == []
    for one in shown.query_selector_all(".scroll"):
        over, box = one.evaluate("e => e.scrollWidth - e.clientWidth"), one.bounding_box()
        if over < 6:
            continue
        one.scroll_into_view_if_needed()
        assert _edges(one) == (False, True), "there is more to the right"
        one.evaluate("e => { e.scrollLeft = 9999 }")
        assert not _edges(one)[1], "this is the end"
        assert box["width"] <= width


def _edges(one) -> tuple[bool, bool]:
    """Whether a table is shaded at its left and at its right edge, beneath whatever is written there."""
    pixels = np.asarray(Image.open(io.BytesIO(one.screenshot())).convert("L"), int)
    middle = np.median(pixels[:, pixels.shape[1] // 3 : -40])
    shaded = [abs(int(np.median(pixels[:, x])) - middle) > 12 for x in (1, -2)]
    return shaded[0], shaded[1]


@pytest.mark.parametrize("width", [NARROW, WIDE])
@pytest.mark.parametrize("classes", [LOG, LONG], ids=["log", "long"])
def test_the_text_of_a_chart_can_be_read(opened, width, classes):
    texts = opened(page(classes), width).evaluate(TEXTS)
    assert len(texts) > 50
    small = [(round(t["px"], 1), t["text"]) for t in texts if t["px"] < 10]
    assert not small
    outside = [(round(t["out"], 1), t["text"]) for t in texts if t["out"] > 1]
    assert not outside


def test_the_hatching_is_seen(browser, tmp_path):
    """Between the bar and its lines lies a contrast, in the picture that the browser makes."""
    report.write(tmp_path / "report.html", rows(), [], [], CONFIG, LOG, _wrong())
    shown = browser.new_page(viewport={"width": WIDE, "height": 900}, color_scheme="light")
    shown.goto((tmp_path / "report.html").as_uri())
    picture = shown.query_selector('svg[aria-label^="Reliability of foreground"]').screenshot()
    pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), int)
    red = (pixels[..., 0] - pixels[..., 1] > 15) & (pixels[..., 0] - pixels[..., 2] > 15)
    green = pixels[..., 1][red]
    assert np.quantile(green, 0.9) - np.quantile(green, 0.1) > 60
    shown.close()


def _wrong():
    """A model that promises 0.9 where 0.1 happens."""
    count = np.where(np.arange(15) == 13, 1000.0, 0.0)
    at = np.where(count > 0, 0.9, np.nan)
    return {"foreground": {"raw": (count, at, at / 9), "calibrated": (count, at, at / 9)}}
