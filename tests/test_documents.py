"""What the documents tell people to type works as written."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from bal.config.extensions import SLOTS

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def test_the_first_two_commands_of_the_readme_install_and_work():
    run, test = blocks("README.md", "bash")[:2]
    assert run.strip() == "python -m pip install -e . && python -m bal.run --acq bald"
    assert test.strip() == "python -m pip install -e '.[test]' && python -m pytest"


def test_what_the_readme_names_is_there():
    """So that a new extension needs no line here, and none that has gone is still praised."""
    text = (ROOT / "README.md").read_text()
    said = text[text.index("## Turning the knobs") : text.index("## From Python")]
    known = {name for slot in SLOTS.values() for name in slot.table}
    known |= {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    for slot in ("acq", "head", "calibrator", "selector", "unit"):
        assert sum(f"`{name}`" in said for name in SLOTS[slot].table) >= 3, slot
    option = re.compile(r"^- \*\*`--(acq|head|calibrator|selector|unit)`.*?(?=^- \*\*|\Z)", re.MULTILINE | re.DOTALL)
    for line in option.finditer(said):
        listed = line.group().partition("`--")[2]
        for name in re.findall(r"`([a-z_]+)`", listed):
            fields = {f.name for cls in SLOTS[line[1]].table.values() for f in dataclasses.fields(cls)}
            columns = {"risk_lure", "iou_lure_"}
            assert name in known | fields | columns | {"mean", "max", "sum", "top"}, f"{name} in: {listed[:60]}"


def test_every_preset_is_in_the_readme_and_says_what_to_expect():
    text = (ROOT / "README.md").read_text()
    for path in (ROOT / "configs").glob("*.yaml"):
        assert f"`{path.stem}`" in text
        head = "".join(line for line in path.read_text().splitlines(True) if line.startswith("#"))
        assert re.search(r"python -m bal\.run ", head), f"{path.name}: the command"
        assert re.search(r"\d+ (s|min)\b", head), f"{path.name}: the runtime"
        assert re.search(r"IoU.*0\.\d", head, re.DOTALL), f"{path.name}: the number to expect"
