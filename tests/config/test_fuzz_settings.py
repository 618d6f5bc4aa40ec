"""Settings and flags from anybody: read, or refused in a line; 2,300 cases where all are run."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from fuzz import CHANGES, every, fuzzed, outcome, spoilt
from hypothesis import strategies as st

from bal.config.dump import dump_yaml
from bal.config.extensions import SLOTS
from bal.config.files import read
from bal.config.resolve import load, parse
from bal.config.schema import Config
from bal.config.written import pairs

CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """An empty folder to be in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def keys() -> list[str]:
    """Every setting of the default configuration, and its sections."""
    path = Path("all.yaml")
    path.write_text(dump_yaml(Config()))
    try:
        found = {".".join(parts[:n]) for parts, _, _ in pairs(path) for n in range(1, len(parts) + 1)}
    finally:
        path.unlink()
    return sorted(found)


def left(folder: Path) -> list[str]:
    """What lies in a folder, for what must leave nothing."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@fuzzed(5, 300)
def test_settings_files_that_are_spoilt(here, examples):
    files = [dump_yaml(Config()).encode(), *(path.read_bytes() for path in CONFIGS)]

    @every(examples, st.sampled_from(files), st.sampled_from(files), CHANGES)
    def _(whole, other, changes):
        Path("a.yaml").write_bytes(spoilt(whole, changes, other))
        outcome(lambda: load("a.yaml"))
        assert left(here) == ["a.yaml"]


@fuzzed(30, 1500)
def test_texts_that_are_spoilt(here, examples):
    """The first of what `load` does, which looks at the text alone."""
    files = [dump_yaml(Config()).encode(), *(path.read_bytes() for path in CONFIGS)]

    @every(examples, st.sampled_from(files), st.sampled_from(files), CHANGES)
    def _(whole, other, changes):
        Path("a.yaml").write_bytes(spoilt(whole, changes, other))
        outcome(lambda: read(Path("a.yaml")))


names = st.sampled_from([name for slot in SLOTS.values() for name in slot.table])
leaves = st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.floats() | st.text(max_size=8) | names
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names | st.text(max_size=6), inner, max_size=3)
)


@fuzzed(5, 300)
def test_settings_of_any_shape(here, keys, examples):
    @every(examples, st.dictionaries(st.sampled_from(keys), values, min_size=1, max_size=4))
    def _(found):
        tree: dict = {}
        for key, value in found.items():
            *above, last = key.split(".")
            place = tree
            for part in above:
                place = place.setdefault(part, {}) if isinstance(place.get(part, {}), dict) else {}
            place[last] = value
        Path("a.yaml").write_text(yaml.safe_dump(tree, allow_unicode=True), encoding="utf-8", errors="surrogateescape")
        outcome(lambda: load("a.yaml"))


words = names | st.text(max_size=8) | st.integers(-(10**9), 10**9).map(str) | st.floats().map(str)
words |= st.sampled_from(
    ["nan", "1e400", "9" * 5000, "", "--", "-", "true", "none", "a.yaml", "\0", "٣", "1_000", "0x1"]
)


@fuzzed(5, 200)
def test_flags_of_any_kind(here, keys, examples):
    flags = [f"--{key.replace('_', '-')}" for key in keys] + ["--config", "--out", "--resume", "--overwrite", "--log"]
    flags = [flag for flag in flags if not flag.startswith("--help")]

    @every(examples, st.lists(st.tuples(st.sampled_from(flags), st.lists(words, max_size=2)), min_size=1, max_size=3))
    def _(found):
        outcome(lambda: parse([word for flag, values in found for word in (flag, *values)]))
        assert left(here) == []
