"""The shape of the package: who imports whom, what a folder holds, and what must not be in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest
from runs import ROOT

from bal.config.extensions import SLOTS

LAYERS = (
    {"answer", "desk", "query", "run"},
    {"loop"},
    {"report"},
    {"experiment"},
    {"config"},
    {"selection", "metrics"},
    {"annotation", "scoring"},
    {"sources"},
    {"pool", "posterior", "well_logs"},
    {"system"},
    {"types"},
)  # from the top down; a room imports from layers below its own
RANK = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms}
NEVER = {
    "posterior": {"sources", "scoring"},
    "scoring": {"selection", "metrics"},
    "metrics": {"report"},
    "experiment": {"report"},
    "selection": {"posterior"},
    "report": {"posterior"},
}  # the reasons are in CONTRIBUTING.md; layers alone would not say the fourth to the sixth
TABLES = {
    "scoring/acquisitions": "acq",
    "posterior/heads": "head",
    "sources": "source",
    "posterior/nets": "net",
    "pool/units": "unit",
    "selection/selectors": "selector",
    "selection/stops": "stop",
    "posterior/calibrators": "calibrator",
    "annotation/annotators": "annotator",
}  # plural folders, and the slot of the configuration that each fills
MODULES = sorted((ROOT / "bal").rglob("*.py"))


def name_of(path: Path) -> str:
    """bal/posterior/heads/mc_dropout.py → bal.posterior.heads.mc_dropout."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found = set()
    files = {name_of(module) for module in MODULES}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports say where from"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= (below & files) | ({node.module} if below - files else set())
    return found


def room(module: str) -> str | None:
    """bal.posterior.heads.mc_dropout → posterior; None for what is not ours, or all of it."""
    names = module.split(".")
    return names[1] if names[0] == "bal" and len(names) > 1 else None


def arrows() -> set[tuple[str, str]]:
    """Which room imports from which other."""
    pairs = {(room(name_of(path)), room(module)) for path in MODULES for module in imports(path)}
    return {(a, b) for a, b in pairs if a and b and a != b}


def test_every_room_has_a_layer_and_there_are_few():
    assert {room(name_of(path)) for path in MODULES} - {None} == set(RANK)
    assert len(RANK) <= 20


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards(path):
    own = room(name_of(path))
    if own is None:
        return
    for module in sorted(imports(path)):
        other = room(module)
        assert module != "bal", f"{own} imports the whole package"
        if other not in (None, own):
            assert RANK[other] > RANK[own], f"{name_of(path)} imports {module}, which is not below it"


@pytest.mark.parametrize("own", NEVER)
def test_what_no_room_may_import(own):
    crossed = {other for a, other in arrows() if a == own} & NEVER[own]
    assert not crossed, f"{own} imports {crossed}"


def test_nothing_imports_benchmarks_or_tests():
    outside = {"benchmarks", "support", "tests", "conftest", "helpers", "runs"}
    for path in MODULES:
        assert not {module.split(".")[0] for module in imports(path)} & outside, path


def test_modules_of_a_room_form_no_circle():
    graph = {name_of(path): {m for m in imports(path) if room(m)} for path in MODULES if path.stem != "__init__"}
    done: set[str] = set()

    def walk(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " → ".join((*trail[trail.index(module) :], module))
        if module not in done:
            for below in sorted(graph.get(module, ())):
                walk(below, (*trail, module))
            done.add(module)

    for module in sorted(graph):
        walk(module, ())


def test_every_module_can_be_the_first_that_is_imported():
    """What runs when a module is imported, the `__init__` of its folders included, never asks for one half done."""
    files = {name_of(path): path for path in MODULES}
    above = {name: _at_the_top(path, set(files)) for name, path in files.items() if name != "bal"}

    def run(name: str, done: set[str], trail: tuple[str, ...]) -> None:
        folders = [name.rsplit(".", n)[0] for n in range(name.count("."), 0, -1)]
        for module in (*folders, name):
            if module in above and module not in done and module not in trail:
                for asked in above[module]:
                    assert asked not in trail, " → ".join((*trail, module, asked))
                    run(asked, done, (*trail, module))
                done.add(module)

    for name in above:
        run(name, set(), ())


def _at_the_top(path: Path, files: set[str]) -> list[str]:
    """Modules of ours that a file imports when it is imported itself."""
    nodes = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    pairs = [(node.module or "", alias.name) for node in nodes for alias in node.names]
    return [f"{module}.{name}" if f"{module}.{name}" in files else module for module, name in pairs if room(module)]


@pytest.mark.parametrize("folder", TABLES)
def test_a_plural_folder_holds_extensions_their_table_and_their_contract(folder):
    slot, place = SLOTS[TABLES[folder]], ROOT / "bal" / folder
    assert (place / "base.py").is_file(), "the contract lies beside its implementations"
    files = {cls.__module__ for cls in slot.table.values()}
    module = folder.replace("/", ".")
    assert files <= {name_of(path) for path in place.glob("*.py")}, "an entry of a table lies in its folder"
    assert len(files) == len(slot.table), "one file an extension"
    for path in place.glob("*.py"):
        if name_of(path) in files:
            assert not imports(path) & (files - {name_of(path)}), f"{path.name} imports another extension"
            others = {f"bal.{other.replace('/', '.')}" for other in TABLES} - {f"bal.{module}", "bal.sources"}
            own = {m for m in imports(path) if not m.endswith(".base")}
            crossed = {m for m in own for other in others if m.startswith(f"{other}.")}
            assert not crossed, f"{path.name} imports an extension of another folder: {crossed}"


def test_contributing_states_the_layers():
    steps = (f"{{{', '.join(sorted(rooms))}}}" if len(rooms) > 1 else min(rooms) for rooms in LAYERS)
    assert " → ".join(steps) in " ".join((ROOT / "CONTRIBUTING.md").read_text().split())


@pytest.mark.parametrize(
    ("library", "place"),
    [
        ("orbax", {"bal.experiment.checkpoint"}),
        ("flax", {"bal.posterior.nets.unet", "bal.posterior.nets._norms"}),
        ("rich", {"bal.report.terminal"}),
    ],
)
def test_libraries_with_one_place(library, place):
    users = {name_of(path) for path in MODULES if any(m.split(".")[0] == library for m in imports(path))}
    assert users <= place
    assert users


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in done.stdout.splitlines()]


def test_no_path_of_a_machine_in_the_repository():
    machine = re.compile(r"(?<![\w.])/(home|work|Users|root|tmp|mnt)/\w")
    for path in tracked():
        if path.is_file() and path.suffix in (".py", ".md", ".toml", ".yaml", ".yml", ".css", ".csv", "", ".json"):
            for number, line in enumerate(path.read_text(encoding="utf-8", errors="ignore").splitlines(), 1):
                assert not machine.search(line), f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}"


def test_no_module_has_grown_too_large():
    long = {name_of(path): len(path.read_text().splitlines()) for path in MODULES}
    assert not {name: lines for name, lines in long.items() if lines > 300}


def test_few_entries_at_the_top():
    entries = {path.stem for path in (ROOT / "bal").iterdir()} - {"__pycache__"}  # __init__ and its stub are one
    assert len(entries) <= 20, sorted(entries)


def test_what_is_listed_as_slow_is_there():
    listed = (ROOT / "tests" / "slow.txt").read_text().split()
    assert listed == sorted(set(listed))
    for name in listed:
        path, _, function = name.partition("::")
        assert (f"def {function}(" if function else "") in (ROOT / path).read_text(), name
