"""What the documents tell people to type works as written."""

from __future__ import annotations

import re
from pathlib import Path

from runs import tiny

import bal

ROOT = Path(__file__).parents[1]


def blocks(document: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / document).read_text(), re.DOTALL | re.MULTILINE)


def test_the_head_of_contributing_runs_through_the_loop(capsys, monkeypatch):
    (code,) = blocks("CONTRIBUTING.md", "python")
    monkeypatch.setattr(bal, "Config", tiny)
    exec(compile(code, "CONTRIBUTING.md", "exec", dont_inherit=True), {"__name__": "contributing"})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == tiny().rounds + 1
    costs = [float(line.split()[0]) for line in lines]
    assert costs == sorted(costs)


def test_the_first_two_commands_of_the_readme_install_and_work():
    run, test = blocks("README.md", "bash")[:2]
    assert run.strip() == "python -m pip install -e . && python -m bal.run --acq bald"
    assert test.strip() == "python -m pip install -e '.[test]' && python -m pytest"


def test_the_readme_names_every_extension_and_preset():
    text = (ROOT / "README.md").read_text()
    from bal.config.extensions import SLOTS

    for slot in ("acq", "head", "calibrator", "selector", "unit"):
        assert all(f"`{name}`" in text for name in SLOTS[slot].table)
    assert all(f"`{path.stem}`" in text for path in (ROOT / "configs").glob("*.yaml"))
