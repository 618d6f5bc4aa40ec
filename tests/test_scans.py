"""From a folder of scans and nothing else to a report: the commands of the README, and a browser that paints."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from runs import ROOT

from bal.annotation.inbox import Inbox
from bal.sources import WellLog

playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install 'bal[browser]'")
pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SOURCE = WellLog(height=64, width=64, pool=12, test=1).open()
RUN = """--acq bald --annotator people source:folder --source.path scans --source.test 0
    --source.classes paper curve_1 curve_2 --unit.size 32 --audit 0.4 --start 8 --budget 16 --rounds 1
    --head mc_dropout --head.samples 2 --net.width 8 --net.depth 1 --train.steps 20 --train.batch 2 --train.patch 16
    --out runs/logs"""


def bal(folder, module, *argv):
    """A command as it is typed."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        [sys.executable, "-m", f"bal.{module}", *argv], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def folder(tmp_path):
    """12 JPEG scans in folders of folders; their masks nobody has."""
    for k, id in enumerate(SOURCE.pool):
        path = tmp_path / "scans" / f"box {k // 4}" / f"Bohrloch ä{k % 4}" / f"scan {k:02}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        grey = np.rint(SOURCE.image(id)[..., 0] * 255).astype(np.uint8)
        Image.fromarray(grey).convert("RGB").save(path, quality=95)
    return tmp_path


def truth(entry):
    """What the renderer knows of a question."""
    top, left, height, width = entry.box
    mask = SOURCE.mask(SOURCE.pool[int(entry.image.split()[-1])])
    return mask[top : top + height, left : left + width]


def answer_all(page, inbox):
    """Paints every question that is shown, with the mouse, run by run; how many."""
    before = None
    for count in range(100):
        page.wait_for_function(
            "before => !document.getElementById('end').hidden || "
            "(document.getElementById('where').dataset.id ?? before) !== before",
            arg=before,
        )
        if page.locator("#end").is_visible():
            return count
        before = page.evaluate("document.getElementById('where').dataset.id")
        entry = inbox.entries()[before]
        box, (top, left, *_) = page.locator("#canvas").bounding_box(), entry.inside
        side = box["width"] / entry.view[3]
        page.keyboard.press("e")
        page.keyboard.press("b")
        for _ in range(3):
            page.keyboard.press("[")
        label = truth(entry)
        for value in (1, 2):
            page.keyboard.press(str(value))
            for row in range(label.shape[0]):
                edges = np.flatnonzero(np.diff((label[row] == value).astype(int), prepend=0, append=0)).reshape(-1, 2)
                for first, last in edges:
                    y = box["y"] + (top + row + 0.5) * side
                    page.mouse.move(box["x"] + (left + first + 0.5) * side, y)
                    page.mouse.down()
                    page.mouse.move(box["x"] + (left + last - 0.5) * side, y)
                    page.mouse.up()
        page.keyboard.press("Enter")
    raise AssertionError("there is no end to the questions")


def test_from_scans_to_a_report(folder):
    if CHROMIUM is None:
        pytest.skip("needs a Chromium: apt-get install chromium")
    out = folder / "runs" / "logs"
    first = bal(folder, "run", *RUN.split())
    assert first.returncode == 3
    assert "8 of 8 regions of the start set wait for people: python -m bal.desk runs/logs" in first.stderr
    for purchase in (0, 1):
        command = [sys.executable, "-m", "bal.desk", "runs/logs", "--by", "ada", "--no-open"]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        desk = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.PIPE, text=True)
        try:
            address = re.search(r"http://\S+", desk.stdout.readline())[0]
            with playwright.sync_playwright() as running:
                browser = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
                page = browser.new_page()
                page.goto(address)
                assert answer_all(page, Inbox(out)) == 8
                browser.close()
        finally:
            desk.kill()
            desk.communicate()
        replies = {id: said["ada"] for id, said in Inbox(out).by_question().items()}
        mine = [entry for entry in Inbox(out).entries().values() if entry.purchase == purchase]
        assert len(mine) == 8
        for entry in mine:
            np.testing.assert_array_equal(replies[entry.id].label, truth(entry), err_msg="as it was painted")
        going = bal(folder, "run", "--resume", "--out", "runs/logs")
        assert going.returncode == (3, 0)[purchase], going.stderr
    assert "too few to say" in going.stdout
    report = Path(out / "report.html").read_text()
    assert "IoU on 6 audited regions, there being no test set" in re.sub(r"<[^>]*>", "", report)
    assert "Who has answered" in report
    assert "Bohrloch ä" in report
