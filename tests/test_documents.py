"""What the documents tell people to type works as written."""

from __future__ import annotations

import dataclasses
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from runs import tiny

import bal
from bal.config.extensions import SLOTS

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def test_the_first_two_commands_of_the_readme_install_and_work():
    run, test = blocks("README.md", "bash")[:2]
    assert run.strip() == "python -m pip install -e . && python -m bal.run --acq bald"
    assert test.strip() == "python -m pip install -e '.[test]' && python -m pytest"


def test_the_extras_that_the_documents_name_are_there():
    extras = project()["optional-dependencies"]
    assert {"cuda", "cuda12", "tpu"} <= set(extras)
    for document in ("README.md", "CONTRIBUTING.md", "docs/people.md"):
        for some in re.findall(r"(?:bal|\.)\[([\w,-]+)\]'", (ROOT / document).read_text()):
            assert set(some.split(",")) <= set(extras), some


def test_the_classifiers_name_the_pythons_that_are_run():
    said = {name.rsplit(" :: ", 1)[-1] for name in project()["classifiers"] if " :: Python :: " in name}
    run = re.search(r"^PYTHONS = (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert run
    assert set(run[1].split()) == said
    assert f">={min(said, key=lambda name: int(name.split('.')[1]))}" == project()["requires-python"]


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_what_the_readme_names_is_there():
    """So that a new extension needs no line here, and none that has gone is still praised."""
    text = (ROOT / "README.md").read_text()
    said = text[text.index("## Turning the knobs") : text.index("## From Python")]
    known = {name for slot in SLOTS.values() for name in slot.table}
    known |= {path.stem for path in (ROOT / "configs").glob("*.yaml")}
    for slot in ("acq", "head", "calibrator", "selector", "unit", "stop"):
        assert sum(f"`{name}`" in said for name in SLOTS[slot].table) >= 3, slot
    option = re.compile(
        r"^- \*\*`--(acq|head|calibrator|selector|unit|stop)`.*?(?=^- \*\*|\Z)", re.MULTILINE | re.DOTALL
    )
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


PYTHON = {
    "first": "regions, scores = bal.score_pool(model.head",
    "flax": "bal.WholeNet(module.init, module.apply",
    "equinox": "import equinox",
    "labelled": "eligible=eligible)",
    "about": "about=selector.needs",
    "logging": "log.jsonl",
}  # what tells the blocks of the section From Python apart, in their order


def test_every_example_in_python_is_run():
    examples = blocks("README.md", "python")
    assert len(examples) == len(PYTHON)
    for text, mark in zip(examples, PYTHON.values(), strict=True):
        assert mark in text


@pytest.mark.parametrize("name", PYTHON)
def test_an_example_in_python_runs_as_it_is_written(name, monkeypatch, tmp_path, capsys):
    if name == "equinox":
        pytest.importorskip("equinox", reason="Equinox is not installed, and nothing else needs it")
    monkeypatch.setattr(bal, "Config", small)  # the same lines, over a run of seconds
    monkeypatch.chdir(tmp_path)
    (text,) = (block for block in blocks("README.md", "python") if PYTHON[name] in block)
    found: dict[str, Any] = {}
    exec(compile(text, f"README.md, {name}", "exec"), found)
    said = capsys.readouterr().out
    assert "nan" not in said
    if name == "logging":
        lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
        assert [line["step"] for line in lines if "metrics" in line] == [0, 1]
        assert {line["step"] for line in lines if "bought" in line} == {0, 1}, "the start set too"
        return
    assert re.search(r"\d", said)
    if name in ("labelled", "about"):
        chosen = found["query"].index[found["query"].valid]
        assert chosen.size
        assert found["eligible"][chosen].all()
        assert not found["eligible"].all()


def small(**changes: Any) -> bal.Config:
    """A run of seconds with what an example brings of its own, but not with its budget."""
    return tiny(rounds=1, budget=20, **{slot: value for slot, value in changes.items() if slot in SLOTS})
