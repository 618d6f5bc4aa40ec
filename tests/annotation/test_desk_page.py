"""The desk in a real browser, without a window: what a person paints is what is kept, to the pixel."""

from __future__ import annotations

import base64
import json
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest
from asking import go_on, truth
from PIL import Image
from runs import tiny

from bal.annotation import views
from bal.annotation.annotators import People
from bal.annotation.desk import server
from bal.annotation.inbox import Inbox
from bal.metrics.thin import dilate
from bal.pool.units.tile import Tile
from bal.types import IGNORE

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'bal[browser]'")
pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]


@pytest.fixture(scope="module")
def browser():
    """Chromium as the system has it."""
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        made = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield made
        made.close()


@pytest.fixture
def desk(asked, tmp_path):
    """A desk on a copy of it: its inbox and its address."""
    out = shutil.copytree(asked, tmp_path / "run")
    running, address = server.serve(out, "ada <b>")
    thread = threading.Thread(target=running.serve_forever, args=(0.02,))
    thread.start()
    yield Inbox(out), address
    running.shutdown()
    thread.join()
    running.server_close()


class Person:
    """Who sits at a desk."""

    def __init__(self, page, inbox, address):
        self.page, self.inbox, self.troubles = page, inbox, []
        page.on("console", lambda m: self.troubles.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: self.troubles.append(str(e)))
        page.on("requestfailed", lambda r: self.troubles.append(r.url))
        page.goto(address)
        self.ready()

    def ready(self, before=None):
        """Waits for the next question; its entry, None at the end."""
        self.page.wait_for_function(
            "before => !document.getElementById('end').hidden || "
            "(document.getElementById('where').dataset.id ?? before) !== before",
            arg=before,
        )
        id = self.page.evaluate("document.getElementById('where').dataset.id")
        return None if self.page.locator("#end").is_visible() else self.inbox.entries()[id]

    def at(self, entry, x, y):
        """Where pixel (x, y) of the region lies in the window."""
        box = self.page.locator("#canvas").bounding_box()
        height, width = entry.view[2:]
        top, left, *_ = entry.inside
        return box["x"] + (left + x + 0.5) * box["width"] / width, box["y"] + (top + y + 0.5) * box["height"] / height

    def press(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def hand_in(self, entry, key="Enter"):
        """The answer as it was kept, and the next question."""
        self.press(key)
        following = self.ready(entry.id)
        return self.inbox.by_question()[entry.id]["ada <b>"], following


@pytest.fixture
def person(browser, desk):
    """At a window of usual size."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    made = Person(context.new_page(), *desk)
    yield made
    context.close()
    assert made.troubles == [], "no errors, nothing refused by the policy"


def current(person):
    return person.ready()


def go_to(person, blind):
    """A question that is blind, or is not; others are skipped."""
    entry = current(person)
    while entry.blind != blind:
        _, entry = person.hand_in(entry, "s")
    return entry


def test_what_is_painted_is_what_is_kept(person):
    entry = go_to(person, blind=True)
    person.press("2", *["["] * 10)
    person.page.mouse.move(*person.at(entry, 2, 3))
    person.page.mouse.down()
    person.page.mouse.move(*person.at(entry, 9, 3), steps=3)
    person.page.mouse.up()
    wanted = np.zeros(entry.box[2:], np.uint8)
    wanted[3, 2:10] = 2
    person.press("1")
    person.page.mouse.click(*person.at(entry, 5, 8))
    wanted[8, 5] = 1
    person.press("u")
    person.page.mouse.click(*person.at(entry, 6, 8))
    person.page.mouse.click(*person.at(entry, 15, 15))
    wanted[8, 6] = wanted[15, 15] = IGNORE
    person.page.mouse.click(*person.at(entry, 3, 3), button="right")
    wanted[3, 3] = 0
    person.page.mouse.click(*person.at(entry, -4, 3))  # beside the region
    reply, _ = person.hand_in(entry)
    np.testing.assert_array_equal(reply.label, wanted)
    assert 0 < reply.seconds < 60
    assert reply.source == "desk"


def test_a_thick_brush_is_a_disc_without_soft_edges(person):
    entry = go_to(person, blind=True)
    person.press("1", "]", "]")  # 5 across
    assert person.page.locator("#said").inner_text() == "Nothing is drawn yet."
    person.page.mouse.click(*person.at(entry, 8, 8))
    row, column = np.indices(entry.box[2:])
    disc = np.hypot(row - 8, column - 8) <= 2.5
    assert person.page.locator("#said").inner_text() == f"{disc.sum()} of {disc.size} pixels are drawn."
    reply, _ = person.hand_in(entry)
    np.testing.assert_array_equal(reply.label, disc)


def test_undo_redo_empty_fill_flood_and_prediction(person):
    entry = go_to(person, blind=False)
    person.press("e", *["["] * 10, "1")
    person.page.mouse.click(*person.at(entry, 4, 4))
    person.page.mouse.click(*person.at(entry, 5, 5))
    person.press("z")
    reply, following = person.hand_in(entry)
    assert reply.label.sum() == reply.label[4, 4] == 1
    person.press("Backspace")
    person.ready(following.id)
    person.press("2")
    person.page.keyboard.down("Shift")
    person.page.mouse.click(*person.at(entry, 10, 10))
    person.page.keyboard.up("Shift")
    reply, _ = person.hand_in(entry)
    assert (reply.label == 2).sum() == reply.label.size - 1, "everything that is connected, but for the point"
    person.press("Backspace")
    person.ready(following.id)
    person.press("f", "z", "y", "r")
    reply, _ = person.hand_in(entry)
    np.testing.assert_array_equal(reply.label, views.prefill(person.inbox.folder, entry).label)
    assert reply.touched == 0


def test_what_the_model_has_drawn_is_seen_and_can_be_hidden(person):
    """In the middle of a pixel: blue where curve_1 is predicted, and the paper's grey when it is hidden."""
    entry = go_to(person, blind=False)
    label = views.prefill(person.inbox.folder, entry).label
    read = "() => { const c = document.getElementById('canvas'), context = c.getContext('2d');"
    read += " return [c.width, c.height, [...context.getImageData(0, 0, c.width, c.height).data]] }"
    top, left, *_ = entry.inside
    others = np.ones(label.shape, bool)
    others[8, 8] = False  # where the brush is
    for hidden in (False, True):
        width, height, data = person.page.evaluate(read)
        zoom = width // entry.view[3]
        colours = np.reshape(data, (height, width, 4))[zoom // 2 :: zoom, zoom // 2 :: zoom, :3].astype(int)
        inside = colours[top : top + label.shape[0], left : left + label.shape[1]]
        seen = np.ptp(inside, axis=-1) > 40
        np.testing.assert_array_equal(seen[others], 0 if hidden else label[others] > 0)
        person.press("h")
    assert (label > 0).any()
    person.troubles = [t for t in person.troubles if "willReadFrequently" not in t]  # of this test's own reading


def test_with_the_keyboard_alone(person):
    entry = go_to(person, blind=True)
    person.press("1", *["["] * 10)
    for _ in range(3):
        person.press("Shift+ArrowLeft", "Shift+ArrowUp")
    person.press("ArrowRight", "ArrowDown", "ArrowDown")
    person.page.keyboard.down("Space")
    person.press("ArrowRight", "ArrowRight", "ArrowDown")
    person.page.keyboard.up("Space")
    reply, _ = person.hand_in(entry)
    wanted = np.zeros(entry.box[2:], np.uint8)
    wanted[2, 1:4] = wanted[3, 3] = 1
    np.testing.assert_array_equal(reply.label, wanted)
    focused = person.page.evaluate("document.activeElement.id")
    assert focused == "canvas"
    person.press("Tab")
    assert person.page.evaluate("document.activeElement.matches(':focus-visible')")


def test_tracing_follows_the_ink_within_a_pixel(person, desk):
    """Along a dark line that was drawn into the picture, from two clicks."""
    inbox, _ = desk
    entry = go_to(person, blind=True)
    path = inbox.folder / "views" / f"{entry.id}.png"
    top, left, height, width = entry.inside
    picture = np.full((*entry.view[2:], 3), 255, np.uint8)
    curve = [(round(height / 2 + 5 * np.sin(x / 3)), x) for x in range(width)]
    line = np.zeros((height, width), bool)
    for (y, x), (v, _) in zip(curve, [*curve[1:], curve[-1]], strict=True):
        line[min(y, v) : max(y, v) + 1, x] = True
    picture[top : top + height, left : left + width][line] = 0
    Image.fromarray(picture).save(path)
    person.page.reload()
    person.page.evaluate("sessionStorage.clear()")
    person.ready()
    person.press("1", "t", *["["] * 10)
    for y, x in (curve[0], curve[-1]):
        person.page.mouse.click(*person.at(entry, x, y))
    reply, _ = person.hand_in(entry)
    drawn = reply.label == 1
    assert drawn.any(0).all(), "from end to end"
    assert (dilate(line, 1.5) | ~drawn).all(), "never more than a pixel off"


def test_why_a_region_was_asked_is_told_afterwards(person):
    entry = go_to(person, blind=True)
    assert "audit" not in person.page.inner_text("main#work >> visible=true")
    person.hand_in(entry)
    assert "for the audit" in person.page.inner_text("#why")
    entry = go_to(person, blind=False)
    person.hand_in(entry)
    assert "asked for its score" in person.page.inner_text("#why")


def test_no_prediction_is_fetched_for_a_blind_question(person):
    fetched = []
    person.page.on("request", lambda request: fetched.append(request.url))
    entry = current(person)
    while entry is not None:
        before = len(fetched)
        _, following = person.hand_in(entry, "s")
        asked_for = [url for url in fetched[before:] if "/prefill/" in url]
        assert len(asked_for) == (following is not None and not following.blind)
        entry = following
    assert "All answered" in person.page.inner_text("#end")
    assert "python -m bal.run --resume --out" in person.page.inner_text("#end-command")
    assert "<b>" in person.page.inner_text("#run"), "a name is text, not a tag"


def test_what_was_painted_survives_a_lost_connection(person):
    entry = current(person)
    person.press("e", "1", "f")
    person.page.context.set_offline(True)
    person.press("Enter")
    person.page.wait_for_selector("#trouble:not([hidden])")
    assert "Your drawing is kept" in person.page.inner_text("#trouble")
    person.page.context.set_offline(False)
    person.ready(entry.id)
    assert (person.inbox.by_question()[entry.id]["ada <b>"].label == 1).all()
    person.troubles = [t for t in person.troubles if "ERR_INTERNET_DISCONNECTED" not in t and "/api/answer/" not in t]


def test_a_page_that_is_loaded_again_has_the_draft(person):
    entry = current(person)
    person.press("e", "1", "f")
    person.page.reload()
    assert person.ready().id == entry.id
    reply, _ = person.hand_in(entry)
    assert (reply.label == 1).all()


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (390, "dark"), (820, "light"), (1280, "dark")])
def test_on_a_phone_and_in_the_dark(browser, desk, width, scheme):
    phone = width < 500
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme, has_touch=phone)
    person = Person(context.new_page(), *desk)
    entry = current(person)
    assert person.page.evaluate("document.documentElement.scrollWidth") <= width
    box = person.page.locator("#canvas").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= width
    if phone:
        person.press("e")
        person.page.touchscreen.tap(*person.at(entry, 8, 8))
        sizes = person.page.eval_on_selector_all(
            "#tools button", "all => all.filter(b => b.offsetParent).map(b => b.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 44
        bar = person.page.locator("#next").bounding_box()
        assert bar["y"] + bar["height"] <= 844, "handing in needs no scrolling"
        person.page.click("#next")
        person.ready(entry.id)
        assert person.inbox.by_question()[entry.id]["ada <b>"].label[8, 8] == 1
    ground = person.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 380) == (scheme == "dark")
    context.close()
    assert person.troubles == []


def test_on_a_phone_a_large_region_is_shown_large_enough_to_aim(browser, tmp_path):
    """A tile of 64 with all its surroundings would have two pixels of the window a pixel."""
    out, config = tmp_path / "run", tiny(annotator=People(), unit=Tile(64), start=24.0, budget=25.0, rounds=1)
    go_on(out, replace(config, source=replace(config.source, height=256, width=256)))
    running, address = server.serve(out, "ada <b>")
    threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True).start()
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    person = Person(context.new_page(), Inbox(out), address)
    entry = current(person)
    while entry.view[2] < 144 or entry.view[3] < 144 or min(entry.inside[:2]) < 40:  # at an edge of its page
        person.press("s")
        entry = person.ready(entry.id)
    box = person.page.locator("#canvas").bounding_box()
    person.press("e", "[", "[")  # a brush of one pixel
    person.page.touchscreen.tap(box["x"] + box["width"] / 2 + 2, box["y"] + box["height"] / 2 + 2)
    person.page.touchscreen.tap(box["x"] + box["width"] / 2 + 2 + 40, box["y"] + box["height"] / 2 + 2)
    reply, _ = person.hand_in(entry)
    rows, columns = np.nonzero(reply.label)
    assert rows.tolist() == [32, 32], "the region is in the middle"
    assert np.diff(columns).tolist() == [10], "four pixels of the window are one"
    context.close()
    running.shutdown()
    running.server_close()


def test_seconds_stop_when_nobody_is_there_and_add_up(browser, desk):
    """By a clock that the test turns: 5 s of work, a pause of an hour, 5 s more, and 5 s when coming back to it."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.clock.install()
    person = Person(page, *desk)
    entry = current(person)
    page.keyboard.press("e")
    page.clock.run_for(5_000)
    page.keyboard.press("1")
    page.clock.run_for(3_600_000)
    page.keyboard.press("2")
    page.clock.run_for(5_000)
    reply, following = person.hand_in(entry)
    assert 5 + 20 + 5 - 1 <= reply.seconds <= 5 + 20 + 5 + 1, "of the pause, the twenty seconds until it was one"
    page.keyboard.press("Backspace")
    person.ready(following.id)
    page.keyboard.press("1")
    page.clock.run_for(5_000)
    again, _ = person.hand_in(entry)
    assert again.seconds == pytest.approx(reply.seconds, abs=0.01), "the same label again changes nothing"
    page.keyboard.press("Backspace")
    person.ready(following.id)
    page.keyboard.press("f")
    page.clock.run_for(5_000)
    changed, _ = person.hand_in(entry)
    assert reply.seconds + 4 <= changed.seconds <= reply.seconds + 7
    context.close()
    assert person.troubles == []


def test_the_answers_of_the_oracle_painted_by_hand(person):
    """A whole purchase, pixel by pixel as a person would: the classes row by row."""
    entry = current(person)
    while entry is not None:
        label = truth(entry)
        person.page.evaluate(
            "([id, mask]) => { sessionStorage.setItem('bal:' + id, JSON.stringify({mask, seconds: 1})) }",
            [entry.id, base64.b64encode(label.tobytes()).decode()],
        )
        person.page.reload()
        person.ready()
        reply, entry = person.hand_in(entry)
        np.testing.assert_array_equal(reply.label, label)
    lines = [json.loads(line) for line in person.inbox.answers.path.read_text().splitlines()]
    assert sum(line["id"].startswith("r01") for line in lines) == 10
