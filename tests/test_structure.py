"""The shape of the package: who imports whom, and what must not be in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from runs import ROOT

EXTENSIONS = ("nets", "heads", "calibrators", "acquisitions", "selectors", "sources", "annotators")
LAYERS = (
    ("run",),
    ("display", "api"),
    ("loop",),
    ("keeper", "ask"),
    ("lab", "checkpoint", "rundir"),
    ("config",),
    ("settings",),
    ("extensions",),
    ("train", "evaluate", "score", "report", "purchase", "hindsight", "intervals"),
    ("pool", "readings", "summary"),
    ("moments", "regions", "question", "route"),
    ("units", "metrics", "losses", "trust", "unbiased", *EXTENSIONS),
    ("ranking", "detection", "histograms", "stats"),
    ("types",),
    ("devices", "offer"),
)  # from the top down; a module imports from layers below its own, or from its own folder
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted((ROOT / "bal").rglob("*.py"))
SIDEWAYS = {(name, "score") for name in ("evaluate", "hindsight")}  # ask a model about the stream in `score`


def name_of(path: Path) -> str:
    """bal/heads/mc_dropout.py → bal.heads.mc_dropout."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(path: Path) -> set[str]:
    """Every module that a file imports, at its top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports say where from"
            below = {f"{node.module}.{alias.name}" for alias in node.names}
            files = {name_of(module) for module in MODULES}
            found |= (below & files) | ({node.module} if below - files else set())
    return found


def part(module: str) -> str | None:
    """bal.posterior.heads.mc_dropout → heads; None for what is not ours, or all of it."""
    names = module.split(".")
    return names[1] if names[0] == "bal" and len(names) > 1 else None


def test_every_module_has_a_layer():
    assert {part(name_of(path)) for path in MODULES} - {None} == set(RANK)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_downwards(path):
    own = part(name_of(path))
    if own is None:
        return
    for module in sorted(imports(path)):
        other = part(module)
        assert module != "bal", f"{own} imports the whole package"
        if other not in (None, own) and (own, other) not in SIDEWAYS:
            assert RANK[other] > RANK[own], f"{name_of(path)} imports {module}, which is not below it"


@pytest.mark.parametrize("folder", EXTENSIONS)
def test_an_extension_imports_no_other(folder):
    from bal.config import extensions

    table = next(slot.table for slot in extensions.SLOTS.values() if slot.group == f"bal.{folder}")
    files = {cls.__module__ for cls in table.values()}
    for path in (ROOT / "bal" / folder).glob("*.py"):
        if name_of(path) in files:
            assert not imports(path) & (files - {name_of(path)}), f"{path.name} imports another extension"
            assert not {part(module) for module in imports(path)} & (set(EXTENSIONS) - {folder})


@pytest.mark.parametrize(("library", "place"), [("orbax", "checkpoint"), ("flax", "nets"), ("rich", "display")])
def test_libraries_with_one_place(library, place):
    users = {part(name_of(path)) for path in MODULES if any(m.split(".")[0] == library for m in imports(path))}
    assert users == {place}


def test_importing_touches_no_device():
    code = "import bal, bal.run, bal.display; from jax._src import xla_bridge as x; print(x.backends_are_initialized())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("False\n", "")


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
