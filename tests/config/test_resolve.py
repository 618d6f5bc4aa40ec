"""Defaults, files and flags: who wins, what comes back, and what a person reads when something is wrong."""

import dataclasses
import io
import sys
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Literal

import pytest

from bal.config import extensions, resolve as front
from bal.config.convert import convert
from bal.config.dump import differences, dump_yaml, to_dict
from bal.config.extensions import SLOTS
from bal.config.form import docs_of, form, leaves
from bal.config.resolve import Command, default_out
from bal.config.schema import Config
from bal.posterior.heads import DeepEnsemble, MCDropout
from bal.posterior.heads.function import FunctionHead
from bal.types import BadInput

ENTRIES = [(slot, name) for slot, row in SLOTS.items() for name in row.table]


BASE = Config(head=MCDropout())


def parse(argv, default=BASE):
    """The front door's, from a tree that does not move with the defaults of the day."""
    return front.parse(argv, default)


def load(*paths, default=BASE):
    """Likewise."""
    return front.load(*paths, default=default)


@dataclass(frozen=True)
class Inner:
    """Fields of a field."""

    x: int = 1
    """How many."""


@dataclass(frozen=True)
class Mine:
    """A head from outside the package."""

    widths: tuple[int, ...]
    """Has no default."""
    where: Path | None = None
    """A path."""
    pair: tuple[float, str] = (1.0, "a")
    inner: Inner = Inner(7)
    samples: int = 2

    members = 1

    def init(self, net, key): ...

    def loss(self, net, params, batch, key, criterion): ...

    def prepare(self, net, params, x, size): ...

    def logits(self, net, params, cache, s): ...


MINE = f"{__name__}:Mine"


@dataclass
class Thawed:
    """Not frozen."""


@pytest.fixture(autouse=True)
def _columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")


@pytest.fixture
def yaml(tmp_path, monkeypatch):
    """Writes a file into the current directory and returns its name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str, name: str = "a.yaml") -> str:
        Path(name).write_text(text, encoding="utf-8")
        return name

    return write


@pytest.fixture
def installed(monkeypatch):
    """Pretends that a package with an entry point is installed."""

    def install(name: str, value: str, group: str = "bal.heads") -> None:
        entry = EntryPoint(name, value, group)
        monkeypatch.setattr(extensions, "installed", lambda group: [entry] if group == entry.group else [])

    return install


def config(*argv: str) -> Config:
    return parse(argv).config


def refusal(*argv: str) -> str:
    with pytest.raises(BadInput) as info:
        parse(argv)
    message = str(info.value)
    assert "\n" not in message
    return message


# Precedence


def test_nothing_given_is_the_defaults():
    assert parse([]) == Command(BASE, Path("runs/bald-well_log-0"), False, False, False, False)


def test_flags_over_later_files_over_earlier_files_over_defaults(yaml):
    a = yaml("seed: 1\nrounds: 2\nbudget: 200\ntrain: {steps: 7, batch: 3}\n")
    b = yaml("seed: 10\nrounds: 20\ntrain:\n  steps: 70\n", "b.yaml")
    got = config("--config", a, "--seed", "100", "--config", b)
    assert (got.seed, got.rounds, got.budget) == (100, 20, 200.0)
    assert (got.train.steps, got.train.batch) == (70, 3)
    assert got == config("--seed=100", "--config", a, b) == dataclasses.replace(load(a, b), seed=100)


def test_the_default_can_be_given_from_python(yaml):
    default = Config(head=MCDropout(rate=0.4), seed=3)
    assert parse(["--rounds", "1"], default).config == dataclasses.replace(default, rounds=1)
    assert load(yaml("head: {samples: 3}"), default=default).head == MCDropout(rate=0.4, samples=3)


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "train:\nhead:\n", "null\n", "train: {}\n"])
def test_an_empty_file_overrides_nothing(yaml, text):
    assert load(yaml(text)) == BASE


@pytest.mark.parametrize(
    ("text", "head"),
    [
        ("head: deep_ensemble", DeepEnsemble()),
        ("head: {name: deep_ensemble, members: 3}", DeepEnsemble(members=3)),
        ("head: {rate: 0.3}", MCDropout(rate=0.3)),
        ("head: {rate: 3e-1}", MCDropout(rate=0.3)),
        ("head.rate: 0.3", MCDropout(rate=0.3)),
    ],
)
def test_the_ways_to_write_an_extension(yaml, text, head):
    assert load(yaml(text)).head == head


def test_another_name_drops_the_fields_of_the_earlier_one(yaml):
    a = yaml("head: {name: mc_dropout, rate: 0.4}")
    b = yaml("head: {name: deep_ensemble, members: 2}", "b.yaml")
    assert config("--config", a, b).head == DeepEnsemble(members=2)
    assert config("--config", a, b, "--head", "mc_dropout").head == MCDropout()
    assert config("--config", b, a).head == MCDropout(rate=0.4)
    assert config("--config", a, "head:mc_dropout").head == MCDropout(rate=0.4)


def test_a_later_source_repairs_what_an_earlier_one_left_out_of_range(yaml):
    a, b = yaml("start: 500\nhead: {rate: 3}"), yaml("budget: 1000", "b.yaml")
    argv = ["--config", a, "--head.rate", "0.3"]
    assert config(*argv, "--budget", "1000") == Config(start=500, budget=1000, head=MCDropout(rate=0.3))
    assert config(*argv, "--config", b) == config(*argv, "--budget", "1000")
    assert refusal(*argv) == "a.yaml:1: start: expected 0 < start ≤ budget (which is 144), got 500.0"
    assert refusal("--config", a, b).startswith("a.yaml:2: head.rate: MC dropout needs")
    assert refusal(*argv, "--start", "600").startswith("--start: expected")


# The command line


@pytest.mark.parametrize(
    "argv",
    [
        "--head deep_ensemble --head.members 3 --train.steps 9 --seed 1 --out o",
        "--out=o --head.members=3 head:deep_ensemble --seed=1 --train.steps=9",
        "--seed 1 --head.members 3 --train.steps 9 --out o --head mc_dropout --head=deep_ensemble",
    ],
)
def test_flags_come_in_any_order(argv):
    got = parse(argv.split())
    expected = Config(head=DeepEnsemble(members=3), train=dataclasses.replace(BASE.train, steps=9), seed=1)
    assert got == Command(expected, Path("o"), False, False, False, False)


def test_hyphens_and_underscores_are_the_same_in_option_names():
    assert config("--loss.class-weights", "1", "2").loss.class_weights == (1.0, 2.0)
    assert config("--loss.class_weights", "1", "2") == config("--loss.class-weights", "1", "2")
    assert config("--loss.class-weights").loss.class_weights == ()


@pytest.mark.parametrize(("argv", "flip"), [("--train.flip", True), ("--train.no-flip", False)])
def test_a_truth_value_needs_no_value(argv, flip):
    assert config(argv).train.flip is flip


def test_options_of_the_run_alone():
    assert parse(["--resume", "--out", "runs/a", "--quiet", "--seed", "3"])[1:] == (
        Path("runs/a"),
        True,
        False,
        False,
        True,
        (),
        False,
    )
    assert parse(["--overwrite"]).overwrite


def test_where_a_run_leaves_its_results():
    assert parse(["--acq=entropy", "--seed=3", "source:folder"]).out == Path("runs/entropy-folder-3")
    assert parse(["--out", "here"]).out == Path("here")
    mine = dataclasses.make_dataclass("Own", [], frozen=True, namespace={"open": None})()
    assert default_out(Config(source=mine)) == Path("runs/bald-Own-0")


def test_resume_needs_no_flag_again(yaml):
    ran = config("--head=deep_ensemble", "--head.members=3", "--budget=1000", "--start=500", "--train.no-flip")
    Path("o").mkdir()
    yaml(dump_yaml(ran), "o/config.yaml")
    assert parse(["--resume", "--out", "o"]) == Command(ran, Path("o"), True, False, False, False)
    assert config("--resume", "--out", "o", "--head.members", "3", "--config", yaml("start: 500")) == ran
    assert differences(ran, config("--resume", "--out", "o", "--seed", "1")) == ["seed: 0, now 1"]
    assert config("--out", "o") == BASE
    assert refusal("--resume", "--out", "elsewhere").startswith("elsewhere holds no run that could go on")
    assert config("--resume", "--out", "elsewhere", "--seed", "1") == config("--seed", "1")
    yaml("sed: 1", "o/config.yaml")
    assert refusal("--resume", "--out", "o").startswith("o/config.yaml:1: unknown key 'sed'")


def test_resume_finds_the_default_folder(yaml):
    ran = parse(["--acq", "entropy", "--seed", "2", "--rounds", "3"])
    ran.out.mkdir(parents=True)
    yaml(dump_yaml(ran.config), str(ran.out / "config.yaml"))
    assert parse(["--resume", "acq:entropy", "--seed=2"]) == ran._replace(resume=True)
    assert refusal("--resume").startswith(f"{Path('runs/bald-well_log-0')} holds no run that could go on")


@pytest.mark.parametrize(("slot", "name"), ENTRIES)
def test_every_entry_can_be_chosen_and_comes_back_from_its_file(yaml, slot, name):
    cls = SLOTS[slot].table[name]
    missing = [f.name for f in dataclasses.fields(cls) if {f.default, f.default_factory} == {dataclasses.MISSING}]
    needed = [f"--{slot}.{name}=x" for name in missing]
    got = config(f"{slot}:{name}", *needed)
    assert type(getattr(got, slot)) is cls
    assert to_dict(got)[slot]["name"] == name
    assert load(yaml(dump_yaml(got))) == got


def test_awkward_values_come_back_from_the_file(yaml):
    got = config("--loss.class-weights", "1e-5", "3", "--train.rate", "1e-7", "--cost", "pixels", "--steer", "0")
    assert load(yaml(dump_yaml(got))) == got


# From outside


def test_a_class_from_outside(yaml):
    head = Mine((1, 2), Path("x/y"), (2.0, "yes"), Inner(3))
    got = Config(head=head)
    assert to_dict(got)["head"]["name"] == MINE
    assert load(yaml(dump_yaml(got))) == got
    argv = f"--head.widths 1 2 --head.where x/y --head.pair 2 yes --head.inner.x 3 --head {MINE}"
    assert config(*argv.split()) == got
    assert config(f"head:{MINE}", "--head.widths=4", "--head.where", "None").head == Mine((4,))


def test_a_class_from_outside_with_a_field_to_give(yaml):
    assert refusal("--head", MINE) == "missing: --head.widths; see python -m bal.run --help"
    with pytest.raises(BadInput, match=r"^a\.yaml:1: unknown key 'head\.width'; did you mean 'head\.widths'\?$"):
        load(yaml(f"head: {{name: '{MINE}', width: [1]}}"))
    with pytest.raises(BadInput, match=r"^head\.widths is missing: give a list, each a whole number$"):
        load(yaml(f"head: {{name: '{MINE}'}}"))


def test_a_head_that_no_command_line_could_describe():
    def fn(params, x, s): ...

    default = Config(head=FunctionHead(fn))
    got = parse(["--head.samples", "3", "--seed", "1"], default).config
    assert got == Config(head=FunctionHead(fn, samples=3), seed=1)
    assert parse(["--head", "mc_dropout"], default).config == BASE


def test_an_entry_point(installed, yaml, capsys):
    installed("mine", MINE)
    got = config("--head", "mine", "--head.widths", "3")
    assert got.head == Mine((3,))
    assert to_dict(got)["head"]["name"] == "mine"
    assert load(yaml(dump_yaml(got))) == got
    assert f"- mine: {MINE}" in help_text(capsys)


def test_a_broken_entry_point_hurts_only_those_who_choose_it(installed, capsys):
    installed("broken", "no_such_package.heads:Mine")
    assert config() == BASE
    assert "broken" in help_text(capsys)
    assert refusal("--head", "broken") == (
        "entry point 'broken = no_such_package.heads:Mine' of bal.heads cannot be loaded: "
        "ModuleNotFoundError: No module named 'no_such_package'"
    )


def test_an_entry_point_never_hides_an_entry_of_the_table(installed):
    installed("mc_dropout", "no_such_package:Mine")
    assert config("--head", "mc_dropout") == BASE
    assert extensions.names("head").count("mc_dropout") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such:X", "head 'no_such:X' cannot be loaded: ModuleNotFoundError: No module named 'no_such'"),
        ("json:X", "head 'json:X' cannot be loaded: AttributeError: module 'json' has no attribute 'X'"),
        ("json:dumps", "head 'json:dumps' is no head: expected a frozen dataclass, got <function dumps"),
        (f"{__name__}:Inner", "is no head: it has no samples, members, init, loss, prepare, logits"),
        (f"{__name__}:Thawed", "is not frozen: write @dataclass(frozen=True)"),
    ],
)
def test_a_class_that_is_no_such_extension(name, message):
    assert message in refusal("--head", name)


def test_a_value_that_a_file_cannot_hold():
    with pytest.raises(BadInput, match=r"^head\.where: a file cannot hold a value of type object$"):
        to_dict(Config(head=Mine((1,), object())))  # pyright: ignore[reportArgumentType]


# Refusals


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        ("--acq blad", "unknown acquisition 'blad'; did you mean 'bald'? choices: random, "),
        ("--acq xyzzy", "unknown acquisition 'xyzzy'; choices: random, "),
        ("--head.rte 0.3", "unknown option --head.rte; did you mean '--head.rate'?"),
        ("--sed 3", "unknown option --sed; did you mean '--seed'?"),
        ("--xyzzy", "unknown option --xyzzy"),
        ("-seed 3", "unknown option --seed; did you mean '--seed'?"),
        (
            "--head.members 3",
            "unknown option --head.members; it belongs to head 'deep_ensemble', which --head deep_ensemble would",
        ),
        ("--seed", "--seed: a value is missing"),
        ("--out --seed 1", "--out: a value is missing"),
        ("--head", "--head: a value is missing"),
        ("--config", "--config: a file is missing"),
        ("--resume=3", "unexpected '3': a value goes after the name of its option, as in --seed 1"),
        ("3", "unexpected '3': a value goes after the name of its option, as in --seed 1"),
        ("--seed 1.5", "--seed: expected a whole number, got '1.5'"),
        ("--head.rate x", "--head.rate: expected a number, got 'x'"),
        ("--steer Auto", "--steer: expected a number or 'auto', got 'Auto'; did you mean 'auto'?"),
        ("--audit 25%", "--audit: expected a number, got '25%'; did you mean 0.25?"),
        ("--budget 1,000", "--budget: expected a number, got '1,000'; did you mean 1000?"),
        ("--steer 0,5", "--steer: expected a number or 'auto', got '0,5'; did you mean 0.5?"),
        ("--rounds 1,000", "--rounds: expected a whole number, got '1,000'; did you mean 1000?"),
        ("--look few", "--look: expected a whole number or none, got 'few'"),
        (f"--rounds {'9' * 5000}", "--rounds: expected a whole number, got a number of thousands of digits"),
        ("--train.flip maybe", "unexpected 'maybe': a value goes"),
        (
            "--cost euros",
            "--cost: expected one of 'regions', 'pixels', 'effort', got 'euros'",
        ),
        ("--loss.class_weights 1 b", "--loss.class-weights: Could not find valid parse for arguments: ['1', 'b']"),
        ("--loss.class_wights 1", "unknown option --loss.class-wights; did you mean '--loss.class-weights'?"),
        ("--source.stroke 1", "--source.stroke: expected a list: a number, a number or none, got '1'"),
        ("--steer 2", "--steer: expected 0 ≤ steer ≤ 1 or 'auto', got 2.0"),
        (
            "--steer auto --audit 0",
            "--steer: 'auto' judges the score on the audited regions, and audit is 0: give --audit",
        ),
        ("--audit 1", "--audit: expected 0 ≤ audit < 1, got 1.0"),
        ("--rounds=-1", "--rounds: expected 0 ≤ rounds ≤ 100000, got -1"),
        ("--seed -1", "--seed: expected 0 ≤ seed < 2³², got -1"),
        ("--start 500", "--start: expected 0 < start ≤ budget (which is 144), got 500.0"),
        ("--budget nan", "--budget: expected a number, got nan, which is none"),
        ("--budget inf", "--budget: expected 0 < budget < infinity, got inf"),
        ("--head.rate 3", "--head.rate: MC dropout needs"),
        ("--head.rate 3 --head.samples 1", "head: MC dropout needs"),
        ("--resume --overwrite", "--resume goes on with a run and --overwrite deletes it: give one of the two"),
        ("--config no.yaml", "no.yaml: cannot be read: No such file or directory"),
    ],
)
def test_what_the_command_line_refuses(argv, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert refusal(*argv.split()).startswith(message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("head:\n  rte: 0.3", "a.yaml:2: unknown key 'head.rte'; did you mean 'head.rate'?"),
        ("sed: 3", "a.yaml:1: unknown key 'sed'; did you mean 'seed'?"),
        ("trian: {steps: 1}", "a.yaml:1: unknown key 'trian.steps'; did you mean 'train.steps'?"),
        ("1: 2", "a.yaml:1: unknown key '1'"),
        ("head: {members: 3}", "a.yaml:1: unknown key 'head.members'; it belongs to head 'deep_ensemble'"),
        ("acq: blad", "a.yaml:1: unknown acquisition 'blad'; did you mean 'bald'? choices: random, "),
        ("head: 3", "a.yaml:1: head: expected a name or a mapping, got 3"),
        ("head: {name: [a]}", "a.yaml:1: head.name: expected a name, got ['a']"),
        ("train: 3", "a.yaml:1: train: expected a mapping of its fields"),
        ("seed: {a: 1}", "a.yaml:1: seed: expected a single value or a list, got a mapping"),
        ("seed: yes", "a.yaml:1: seed: expected a whole number, got 'yes'"),
        ("seed: 1.0", "a.yaml:1: seed: expected a whole number, got 1.0"),
        ("seed: '1'", "a.yaml:1: seed: expected a whole number, got '1'"),
        ("seed:", "a.yaml:1: seed: expected a whole number, got None"),
        ("steer: true", "a.yaml:1: steer: expected a number or 'auto', got True"),
        ("steer: '0.5x'", "a.yaml:1: steer: expected a number or 'auto', got '0.5x'"),
        ("train:\n  flip: 'yes'", "a.yaml:2: train.flip: expected true or false, got 'yes'"),
        ("train: {flip: 1}", "a.yaml:1: train.flip: expected true or false, got 1"),
        ("cost: Pixels", "a.yaml:1: cost: expected one of 'regions', 'pixels', 'effort', got 'Pixels'"),
        ("loss: {class_weights: 1}", "a.yaml:1: loss.class_weights: expected a list, each a number, got 1"),
        ("loss: {class_weights: [a]}", "a.yaml:1: loss.class_weights: expected a list, each a number, got ['a']"),
        ("\nsteer: 2", "a.yaml:2: steer: expected 0 ≤ steer ≤ 1 or 'auto', got 2.0"),
        ("- 1", "a.yaml: expected a mapping such as 'seed: 1', got a list"),
        ("seed 1", "a.yaml: expected a mapping such as 'seed: 1', got a single value"),
        ("seed: 1\nseed: 2", "a.yaml:2: seed is given twice, first in a.yaml:1"),
        ("seed: 1\nhead: {a:", "a.yaml:2: not valid YAML: "),
        ("seed: 1\n\trounds: 2", "a.yaml:2: not valid YAML: "),
        ("seed: 1\n---\nseed: 2", "a.yaml:2: not valid YAML: "),
        ("seed: !!python/name:os.system x", "a.yaml:1: not valid YAML: "),
        ("head: &x {a: *x}", "a.yaml: not valid YAML: "),
        ("seed: \x01", "a.yaml: not valid YAML: "),
        ("seed: 2024-13-45", "a.yaml:1: seed: expected a whole number, got '2024-13-45'"),
    ],
)
def test_what_a_file_refuses(yaml, text, message):
    assert refusal("--config", yaml(text)).startswith(message)


def test_a_refusal_is_the_same_where_boxes_cannot_be_drawn(monkeypatch):
    boxed = refusal("--seed", "x"), refusal("--head", MINE, "--sed", "1")
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert boxed == (refusal("--seed", "x"), refusal("--head", MINE, "--sed", "1"))


def test_files_that_cannot_be_read(yaml):
    Path("b.yaml").write_bytes(b"\xff\xfe\x00")
    assert refusal("--config", "b.yaml") == "b.yaml: not a YAML file: it is not UTF-8 text"
    assert refusal("--config", ".") == ". is a folder; give a file"
    with pytest.raises(BadInput, match=r"^no\.yaml: cannot be read"):
        load("no.yaml")


@pytest.mark.parametrize("value", ["mc_dropout", MCDropout, None])
def test_an_extension_in_python_is_an_instance(value):
    with pytest.raises(BadInput, match=r"Config\.head"):
        Config(head=value)


# Help


def help_text(capsys, *argv: str) -> str:
    with pytest.raises(SystemExit) as info:
        parse([*argv, "--help"])
    assert info.value.code == 0
    return capsys.readouterr().out


def test_help_names_every_field_and_every_choice(capsys):
    text = help_text(capsys)
    for slot, name in ENTRIES:
        assert f"--{slot} NAME" in text
        assert f"- {name}: " in text
        assert extensions.first_line(SLOTS[slot].table[name]).split(":")[0][:25] in text
    for key, _ in leaves(form(BASE, {}, {})):
        assert (f"--{key.replace('_', '-')}" in text) == (key != "history"), "which a run writes"
    for option in ("--config FILE ...", "--out DIR", "--resume", "--overwrite", "--quiet", "-h, --help"):
        assert option in text
    assert max(map(len, text.splitlines())) <= 100


def test_every_field_is_explained():
    assert set(docs_of(Config)) == {field.name for field in dataclasses.fields(Config)}
    for slot, name in ENTRIES:
        cls = SLOTS[slot].table[name]
        assert extensions.summary(slot, name), cls
        assert {field.name for field in dataclasses.fields(cls)} <= set(docs_of(cls)), cls


def test_help_shows_the_values_in_force_and_their_file(capsys, yaml):
    text = help_text(capsys, "--config", yaml("head: {name: deep_ensemble, members: 3}\nseed: 7\n"))
    text = " ".join(text.split())
    assert "(deep_ensemble, from a.yaml:1)" in text
    assert "on two CPU devices. (3, from a.yaml:1)" in text
    assert "(7, from a.yaml:2)" in text
    assert "(default: 5)" in text
    assert "(default: empty)" in text
    assert "--head.rate FLOAT" not in text
    assert "Has no default. (required)" in help_text(capsys, "--head", MINE)


# The rest


def test_differences():
    a, b = BASE, Config(head=MCDropout(rate=0.3), seed=2, budget=144)
    assert differences(a, a) == []
    assert differences(a, b) == [f"head.rate: {MCDropout().rate}, now 0.3", "seed: 0, now 2"]
    assert differences(a, Config(head=DeepEnsemble())) == ["head: mc_dropout, now deep_ensemble"]


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        (3, float, 3.0),
        ("1e3", float, 1000.0),
        (None, int | None, None),
        ("x", Path | None, Path("x")),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, "2"], tuple[int, str] | None, (1, "2")),
        (2, Literal[1, 2], 2),
        (["a", 1], list[str | int], ["a", 1]),
    ],
)
def test_convert(value, hint, expected):
    got = convert(value, hint)
    assert (got, type(got)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("abc", float),
        ("inf", float),
        (True, Literal[1]),
        ([1, 2, 3], tuple[int, int]),
        ("1", int),
        (1, str),
        (1, Path),
        (["a", None], list[str]),
    ],
)
def test_convert_refuses(value, hint):
    with pytest.raises((TypeError, ValueError)):
        convert(value, hint)
