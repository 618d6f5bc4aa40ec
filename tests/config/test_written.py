"""Settings files from anybody: nothing in them is ignored, nothing means other than it says, nothing has no end."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from bal.config.dump import dump_yaml
from bal.config.extensions import SLOTS
from bal.config.resolve import load, parse
from bal.config.schema import Config
from bal.config.written import MOST, NODES, Loader, dump, pairs
from bal.sources import Folder
from bal.system.outside import shown
from bal.types import BadInput

NOTHINGS = ("{}", "[]", "", "~", "null", "''", "\n  # train: 3\n")
MANY = "9" * 401


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Reads a text as a file of settings: the Config, or the refusal."""
    monkeypatch.chdir(tmp_path)

    def reading(text: str) -> Config | str:
        Path("a.yaml").write_text(text, encoding="utf-8")
        try:
            return load("a.yaml")
        except BadInput as error:
            return shown(error)

    return reading


# Nothing is ignored


@pytest.mark.parametrize("nothing", NOTHINGS)
@pytest.mark.parametrize(
    ("key", "near"),
    [("trian", "train"), ("heads", "head"), ("budgte", "budget"), ("rounting", "routing"), ("sorce", "source")],
)
def test_an_unknown_section_is_refused_however_empty(read, key, near, nothing):
    assert read(f"{key}: {nothing}") == f"a.yaml:1: unknown key '{key}'; did you mean '{near}'?"


@pytest.mark.parametrize("nothing", NOTHINGS)
@pytest.mark.parametrize("key", ["modle", "train: {modle", "head: {modle", "source: {mask: {modle"])
def test_at_any_depth(read, key, nothing):
    found = read(f"source: folder\n{key}: {nothing.strip() or '~'}{'}' * key.count('{')}".replace("# train: 3", "~"))
    assert "source: folder" not in found
    if key.startswith("source"):
        assert "given twice" in found or "unknown key 'source.mask.modle'" in found
    else:
        assert found.startswith("a.yaml:2: unknown key ")


@pytest.mark.parametrize("key", ["seed", "train: {steps", "loss: {class_weights", "look"])
def test_a_mapping_is_no_value_even_an_empty_one(read, key):
    expected = f"a.yaml:1: {key.replace(': {', '.')}: expected a single value or a list, got a mapping"
    assert read(f"{key}: {{}}{'}' * key.count('{')}") == expected


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("name", ["", "~", "[]", "3", "{}"])
def test_a_name_that_is_none(read, slot, name):
    found = read(f"{slot}: {{name: {name}}}")
    assert found.startswith(f"a.yaml:1: {slot}.name: ")


@pytest.mark.parametrize("section", ["train", "head", "source", "effort", "routing", "execution"])
def test_a_known_section_may_be_empty(read, section):
    assert read(f"{section}: {{}}") == read(f"{section}:") == read(f"{section}:\n  # steps: 3\n") == Config()


# What is written is what is meant


@pytest.mark.parametrize(
    ("written", "key", "shows"),
    [
        *(
            (word, "rounds", word)
            for word in ("010", "1:30", "1_000", "0x10", "0b1", "0o7", "2024-01-01", "yes", "+-1")
        ),
        *((word, "budget", word) for word in ("0100", "1:30", "1_000", "0x10", "1:30.5", "190_0.5", "¹²", "١٤٤")),
        *((word, "train.flip", word) for word in ("yes", "on", "off", "no", "Y", "010", "0x1")),
        *((word, "look", word) for word in ("010", "none", "1:30")),
        *((word, "source.stroke", word) for word in ("[1_0, 2]", "[1:30, 2]", "[010, 20]")),
    ],
)
def test_surprises_of_yaml_1_1_are_refused_as_they_are_written(read, written, key, shows):
    assert isinstance(found := read(f"{key}: {written}"), str)
    assert found.startswith(f"a.yaml:1: {key}: expected ")
    assert shows.strip("[]").split(",")[0] in found


def test_texts_are_read_as_they_are_written(read):
    words = ["no", "yes", "010", "1_000", "1:30", "2024-01-01", "0x10", "on", "off", "=", "y"]
    config = read(f"source: {{name: folder, classes: [{', '.join(words)}]}}")
    assert config.source == Folder(classes=tuple(words))


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e3", 1000.0), ("1.5e-3", 0.0015), ("+2.", 2.0), (".5", 0.5), ("-0.0", -0.0), ("140", 140.0), ("'1e2'", 100.0)],
)
def test_numbers(read, text, value):
    assert read(f"source: {{also_null: [{text}]}}").source.also_null == (value,)


@given(
    st.recursive(
        st.text() | st.floats(allow_nan=False) | st.integers(-(10**20), 10**20) | st.booleans() | st.none(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_is_written_down_comes_back(value):
    import yaml

    assert yaml.load(dump(value), Loader) == value


@pytest.mark.parametrize(
    "words", [("no", "1e3", "010", ".5"), ("<script>", "a,b", 'c"d', "e'f"), ("‮abc", "0x1", "~", "")]
)
def test_awkward_names_come_back(read, words):
    config = Config(source=Folder(classes=words))
    assert read(dump_yaml(config)) == config


# What a person understands


def test_merged_mappings(read):
    for text in ("a: &x {steps: 3}\ntrain: {<<: *x}", "train:\n  seed: 1\n  <<: {steps: 3}"):
        assert "'<<' would merge another mapping into this one" in read(text)
    assert read("train: &x {steps: 3}\nhead: *x").startswith("a.yaml:1: unknown key 'head.steps'")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("steer: Auto", "auto"),
        ("steer: aut", "auto"),
        ("cost: Regions", "regions"),
        ("train: {start: Cold}", "cold"),
        ("train: {pretrain: denoised}", "denoise"),
        ("source: {preset: scaned}", "scanned"),
        ("route: GAP", "gap"),
    ],
)
def test_a_word_that_is_nearly_one(read, text, word):
    assert read(text).endswith(f"; did you mean '{word}'?")


# What has no end


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"rounds: {MANY}", "a.yaml:1: a number of 401 digits"),
        (f"train: {{rate: {MANY}}}", "a.yaml:1: a number of 401 digits"),
        (f"loss: {{class_weights: [1, {'9' * 5000}]}}", "a.yaml:1: a number of 5000 digits"),
        ("rounds: 1000000000000000000000", "a.yaml:1: rounds: 1000000000000000000000 is too large"),
        ("rounds: 100000000", "a.yaml:1: rounds: expected 0 ≤ rounds ≤ 100000"),
        ("budget: 1e400", "a.yaml:1: budget: expected 0 < budget < infinity, got inf"),
        (f"cost: {'x' * 10**5}", "a.yaml:1: cost: expected one of"),
        (f"{'x' * 10**5}: 1", "a.yaml"),
        ("seed: {? [1, 2] : 3}", "a.yaml:1: not valid YAML: a key is one short word"),
        ("rounds: !!bool abc", "a.yaml:1: not valid YAML: settings have no tags, and this is '!!bool'"),
        ('rounds: !!int ""', "a.yaml:1: not valid YAML: settings have no tags, and this is '!!int'"),
        ('rounds: !!int "010"', "a.yaml:1: not valid YAML: settings have no tags, and this is '!!int'"),
        ('audit: !!float "1:30"', "a.yaml:1: not valid YAML: settings have no tags, and this is '!!float'"),
        ("hand_over: !!bool yes", "a.yaml:1: not valid YAML: settings have no tags, and this is '!!bool'"),
        ("train: !!null {}", "a.yaml:1: not valid YAML: settings have no tags, and this is '!!null'"),
        ("seed: !!set {a, b}", "a.yaml:1: not valid YAML: settings have no tags, and this is '!!set'"),
        ("a: " + "[" * 5000, "a.yaml: not valid YAML: "),
    ],
)
def test_sizes(read, text, message):
    found = read(text)
    assert found.startswith(message)
    assert len(found) < 500


@pytest.mark.parametrize(("outer", "item"), [("[{}]", "{}"), ("{{{}}}", "k{}: {}")])
def test_a_bomb_of_aliases(read, outer, item):
    """Each line ten times the one before: a billion values in four hundred bytes."""
    lines = [f"a0: &a0 {outer.format('1' if outer[0] == '[' else 'k: 1')}"]
    for k in range(1, 10):
        inside = ", ".join(item.format(*[n, f"*a{k - 1}"][-item.count("{}") :]) for n in range(10))
        lines.append(f"a{k}: &a{k} {outer.format(inside)}")
    began = time.monotonic()
    assert f"more than {NODES:,} values" in read("\n".join(lines))
    assert time.monotonic() - began < 5


def test_large_files_are_not_read(read):
    assert read("#" * (MOST + 1)).startswith("a.yaml has 1.0 MiB; up to 1 MiB are read")


def test_a_name_with_a_line_break_stays_on_its_line(read):
    assert read('acq: {"\\n": 1}') == r"a.yaml:1: unknown key 'acq.\n'; did you mean 'acq'?"


def test_a_number_that_is_none(read):
    assert read("train: {rate: .nan}") == "a.yaml:1: train.rate: expected a number, got nan, which is none"
    assert read("source: {also_null: [.nan]}").endswith("got nan, which is none")
    for flag in ("--train.rate", "--steer", "--source.pace", "--loss.smooth", "--calibrator.reach"):
        with pytest.raises(BadInput, match=r"got nan, which is none"):
            parse([flag, "nan"])
    with pytest.raises(BadInput, match=r"^--rounds: 9{20,}.* is too large"):
        parse(["--rounds", MANY])


# What is no file


def test_what_is_no_file_of_settings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo.yaml")
    server = socket.socket(socket.AF_UNIX)
    server.bind("socket.yaml")
    Path("null.yaml").symlink_to("/dev/null")
    Path("zero.yaml").symlink_to("/dev/zero")
    Path("folder.yaml").mkdir()
    for name, what in (
        ("fifo", "a FIFO"),
        ("socket", "a socket"),
        ("null", "a device"),
        ("zero", "a device"),
        ("folder", "a folder"),
    ):
        with pytest.raises(BadInput, match=f"^{name}.yaml is {what}; give a file$"):
            parse(["--config", f"{name}.yaml"])
    server.close()
    Path("loop.yaml").symlink_to("loop.yaml")
    with pytest.raises(BadInput, match=r"^loop.yaml is a link to nowhere; give a file$"):
        load("loop.yaml")


def test_pairs_are_in_order(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: {b: 1, c: {}}\nd: [2]\n")
    assert list(pairs(path)) == [(["a", "b"], 1, 1), (["a", "c"], {}, 1), (["d"], [2], 2)]
    assert replace(Config(), seed=1) == load(default=replace(Config(), seed=1))
